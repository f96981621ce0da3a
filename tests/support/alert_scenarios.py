"""Offices that telephone for three weeks, as a test document for promtool.

A story is what one PBX shows. All begin as the same office, open from 8 to 18 from Monday to
Friday; something then happens to it. Many stories share one run of the rules, each as a PBX of its
own, so that what fires is seen beside what must not.

Time is counted in hours since Thursday, 1970-01-01, 00:00 UTC, where promtool begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from .paths import ROOT

RULES = ROOT / "prometheus" / "rules"

STEPS = 4
"""Scrapes in an hour. Rules are evaluated once: coarse, since the weeks are long."""

DAY, WEEK = 24, 168
SATURDAY, SUNDAY, MONDAY = 16 * DAY, 17 * DAY, 18 * DAY
"""Of the third week, when something happens."""

FRIDAY_EVENING = SATURDAY - 6.75
"""Three quarters of an open hour are left: fewer calls than a share of the past is made of."""

END = MONDAY + 20

EIGHT, TEN, NOON, ONE, THREE = (MONDAY + hour for hour in (8, 10, 12, 13, 15))
"""Trouble by day begins at ten, or where it is judged over hours when the office opens; it is seen
at noon, ends at one, and is out of the hour at three."""

Series = str
Rates = Mapping[Series, float]
Profile = Callable[[float], float]
"""Hour → how busy it is: 1 as usual in the open hours, 0 when closed."""


def rows(disposition: str, call_type: str, trunk: str = "a") -> Series:
    return (
        f'cdr_records_total{{disposition="{disposition}",call_type="{call_type}",trunk="{trunk}"}}'
    )


def inbound(outcome: str) -> Series:
    return f'cdr_calls_total{{outcome="{outcome}",call_type="Inbound",trunk="a"}}'


def waits(part: str) -> Series:
    return f'cdr_call_wait_seconds_{part}call_type="Inbound",trunk="a"}}'


def abandons(part: str) -> Series:
    return f'cdr_call_abandon_seconds_{part}call_type="Inbound",trunk="a"}}'


def talk(part: str) -> Series:
    return (
        f'cdr_talk_duration_seconds_{part}disposition="ANSWERED",call_type="Outbound",trunk="a"}}'
    )


def inbound_talk(part: str) -> Series:
    return f'cdr_call_talk_seconds_{part}call_type="Inbound",trunk="a"}}'


def destination(family: str, name: str) -> Series:
    return f'cdr_destination_{family}_total{{destination="{name}"}}'


USUAL: Rates = {
    rows("ANSWERED", "Outbound"): 48,
    rows("NO ANSWER", "Outbound"): 12,
    rows("FAILED", "Outbound"): 0,
    rows("ANSWERED", "Inbound"): 36,
    rows("ANSWERED", "Internal", "none"): 12,
    inbound("answered"): 108,
    inbound("no_answer"): 12,
    inbound("machine"): 6,
    inbound("voicemail"): 0,
    "cdr_emergency_calls_total": 0,
    waits('bucket{le="20.0",'): 96,
    waits('bucket{le="+Inf",'): 108,
    waits("count{"): 108,
    abandons('bucket{le="5.0",'): 0,
    abandons("count{"): 12,
    talk('bucket{le="1.0",'): 0,
    talk('bucket{le="60.0",'): 24,
    talk('bucket{le="180.0",'): 36,
    talk('bucket{le="300.0",'): 42,
    talk('bucket{le="600.0",'): 48,
    talk('bucket{le="1200.0",'): 48,
    talk('bucket{le="+Inf",'): 48,
    talk("count{"): 48,
    talk("sum{"): 5760,
    inbound_talk('bucket{le="300.0",'): 104,
    inbound_talk("count{"): 108,
    inbound_talk("sum{"): 10800,
    destination("calls", "international"): 6,
    destination("calls", "other"): 54,
    destination("talk_seconds", "international"): 720,
    destination("talk_seconds", "other"): 5040,
}
"""What is counted in an open hour."""


STAFF = rows("ANSWERED", "Internal", "none")


def open_hours(hour: float) -> float:
    """Say how busy the office is: 1 from 8 to 18, Monday to Friday, else 0."""
    weekend = (int(hour // DAY) + 3) % 7 >= 5
    return 0.0 if weekend or not 8 <= hour % DAY < 18 else 1.0


def always(_hour: float) -> float:
    return 1.0


@dataclass(frozen=True)
class FailureStreak:
    """*rates* instead of those of the office, from *begin* to *end*, as busy as *profile* says."""

    rates: Rates
    begin: float = TEN
    end: float = ONE
    profile: Profile = open_hours


@dataclass(frozen=True)
class Story:
    """What one PBX shows, hour by hour.

    *scale* makes it a larger or smaller office. *hidden* are hours in which the calls are not
    shown, *unscraped* ones in which nothing is. *begin* is when the exporter was first started.
    """

    troubles: tuple[FailureStreak, ...] = ()
    profile: Profile = open_hours
    scale: float = 1.0
    begin: float = MONDAY - 2 * WEEK - DAY
    hidden: tuple[float, float] = (0.0, 0.0)
    unscraped: tuple[float, float] = (0.0, 0.0)
    utc_offset: Callable[[float], float] = field(default=lambda _hour: 0.0)
    up: Callable[[float], float] = field(default=lambda _hour: 1.0)
    backlog: Callable[[float], float] = field(default=lambda _hour: 0.0)

    def series(self, pbx: str, names: Iterable[Series] = USUAL) -> Iterator[dict[str, str]]:
        """Yield the input series of promtool, *names* of the counters."""
        for name in names:
            yield {"series": labelled(name, pbx), "values": self._counter(name)}
        for name, value in (
            ("cdr_up", self.up),
            ("cdr_exporter_backlog", self.backlog),
            ("cdr_utc_offset_seconds", self.utc_offset),
        ):
            yield {"series": labelled(name, pbx), "values": self._gauge(value)}

    def _hours(self) -> Iterator[float]:
        return (step / STEPS for step in range(END * STEPS + 1))

    def _rate(self, name: Series, hour: float) -> float:
        for trouble in self.troubles:
            if trouble.begin <= hour < trouble.end:
                usual = USUAL[name] * self.profile(hour)
                there = name in trouble.rates
                return trouble.rates[name] * trouble.profile(hour) if there else usual
        return USUAL[name] * self.profile(hour)

    def _counter(self, name: Series) -> str:
        return runs(
            (self._rate(name, hour) * self.scale / STEPS, self._calls_shown(hour))
            for hour in self._hours()
        )

    def _gauge(self, value: Callable[[float], float]) -> str:
        points = [(value(hour), self._scraped(hour)) for hour in self._hours()]
        return " ".join(
            f"{number:g}x{times - 1}" if shown else f"_x{times}"
            for (number, shown), same in groupby(points)
            for times in [len(list(same))]
        )

    def _scraped(self, hour: float) -> bool:
        begin, end = self.unscraped
        return hour >= self.begin and not begin <= hour < end

    def _calls_shown(self, hour: float) -> bool:
        begin, end = self.hidden
        return self._scraped(hour) and not begin <= hour < end


def labelled(name: Series, pbx: str) -> str:
    inner = name.partition("{")[2].rstrip("}")
    labels = f'job="cdr-exporter",instance="one",pbx="{pbx}"' + (f",{inner}" if inner else "")
    return f"{name.partition('{')[0]}{{{labels}}}"


def runs(steps: Iterator[tuple[float, bool]]) -> str:
    """Return a counter in promtool's notation; each step is (what it rises by after, is it shown).

    What is not shown is counted all the same. `1x2` is three samples, `_x3` three that are not.
    """
    total, found = 0.0, []
    for (rise, shown), same in groupby(steps):
        times = len(list(same))
        found.append(f"{total:g}+{rise:g}x{times - 1}" if shown else f"_x{times}")
        total += rise * times
    return " ".join(found)


# --- What happens ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Firing:
    """A story in which *alert* fires at the hour *at*, and not at *before* and *after*.

    *labels* are those beside job, instance and pbx. *young* is when the exporter was first started
    where there is too little past to compare with; None where the alert needs none. *without* names
    the twins that it does not keep quiet in.
    """

    alert: str
    story: Story
    description: str
    labels: Mapping[str, str] = field(default_factory=dict)
    at: float = NOON
    young: float | None = FRIDAY_EVENING
    without: tuple[str, ...] = ()


def by_day(rates: Rates, begin: float = TEN) -> Story:
    return Story((FailureStreak(rates, begin),))


AT_NIGHT = {rows("ANSWERED", "Outbound"): 30.0}
LONG_AT_NIGHT = {
    rows("ANSWERED", "Outbound"): 2.0,
    talk('bucket{le="1200.0",'): 2.0,
    talk('bucket{le="+Inf",'): 2.0,
    talk("count{"): 2.0,
    talk("sum{"): 2400.0,
}
NO_TIME = ("1.0", "60.0", "180.0", "300.0", "600.0")
TRUNK = {"trunk": "a"}

SHARE = (
    "{} of the calls to {{pbx}} in the last hour, or where there were few in up to 8 hours, {} the"
    " same hours of the past weeks."
)

TELEPHONY = {
    "answer-ratio": Firing(
        "CDRAnswerRatioFell",
        by_day({rows("ANSWERED", "Outbound"): 12, rows("NO ANSWER", "Outbound"): 48}, EIGHT),
        "20% of the outbound calls by a of {pbx} were answered in the last 2 or 4 hours, far below"
        " the share of the past week.",
        TRUNK,
    ),
    "silent": Firing(
        "CDRTrunkSilent",
        by_day({rows("ANSWERED", "Inbound"): 0}),
        "Inbound calls by a of {pbx} in the last hour: 0. At this hour there were some a week ago,"
        " and two weeks ago.",
        TRUNK,
    ),
    "service": Firing(
        "CDRServiceLevelMissed",
        by_day({waits('bucket{le="20.0",'): 24}, EIGHT),
        "20% of the calls to {pbx} in the last 4 hours were answered within 20 s, less than the"
        " goal and far below the share of the past weeks.",
    ),
    "abandoned": Firing(
        "CDRAbandonmentRose",
        by_day({inbound("answered"): 60, inbound("no_answer"): 60}, EIGHT),
        "47.62% of the calls to {pbx} in the last 4 or 8 hours were answered by nobody, far above"
        " the share in the same hours of the past weeks.",
    ),
    "nobody": Firing(
        "CDRNobodyAnswers",
        by_day(
            {
                inbound("answered"): 0,
                inbound("no_answer"): 24,
                inbound("voicemail"): 48,
                inbound("machine"): 54,
            }
        ),
        "252 calls came to {pbx} in the last hour, or where there were few in up to 8 hours, and"
        " none or nearly none was answered by a person, though somebody is there and otherwise"
        " answers at these hours.",
    ),
    "menu": Firing(
        "CDRMachineOnlyRose",
        by_day({inbound("answered"): 20, inbound("machine"): 94}),
        SHARE.format("74.6%", "met no person, only menus, queues or announcements, far above"),
    ),
    "voicemail": Firing(
        "CDRVoicemailRose",
        by_day({inbound("answered"): 20, inbound("voicemail"): 88}),
        SHARE.format("69.84%", "ended in voicemail, far above"),
    ),
    "no-inbound": Firing(
        "CDRNoInboundCalls",
        Story(
            (
                FailureStreak(
                    dict.fromkeys(map(inbound, ("answered", "no_answer", "machine")), 0.0),
                    MONDAY,
                    MONDAY + 13,
                ),
            )
        ),
        "Inbound calls to {pbx} in the last hour, or where there are few in up to 8 hours: 0. At"
        " these hours there were some a week ago, and two weeks ago. On a public holiday that is"
        " usual.",
    ),
    "emergency": Firing(
        "CDREmergencyCall",
        Story((FailureStreak({"cdr_emergency_calls_total": 4}, NOON - 0.25, NOON),)),
        "Emergency calls of {pbx} that were counted in the last 15 minutes: 1. The PBX's own report"
        " says who called.",
        young=None,
        without=("-few", "-usual"),
    ),
    "trunk-fails": Firing(
        "CDRTrunkFailures",
        # Of so few calls in the past that nothing is said of the share that is answered.
        replace(
            by_day(
                {
                    rows("ANSWERED", "Outbound"): 0,
                    rows("NO ANSWER", "Outbound"): 0,
                    rows("FAILED", "Outbound"): 400,
                }
            ),
            scale=1 / 40,
        ),
        "100% of the outbound calls by a of {pbx} failed in the last 45 minutes, or where there"
        " were few in up to 8 hours.",
        TRUNK,
        young=None,
        without=("-usual",),
    ),
}

FRAUD = {
    "burst": Firing(
        "CDROutboundBurst",
        by_day({rows("ANSWERED", "Outbound"): 240}),
        "252 outbound calls of {pbx} ended in the last hour, several times what there was around"
        " this hour a week and two weeks ago.",
    ),
    "talk-burst": Firing(
        "CDROutboundTalkBurst",
        by_day({talk("sum{"): 36000}),
        "Outbound calls of {pbx} that ended in the last hour were talked for 10h 0m 0s together,"
        " several times what there was around this hour a week and two weeks ago.",
    ),
    "destination": Firing(
        "CDRDestinationCalls",
        by_day({destination("calls", "international"): 60}),
        "60 calls of {pbx} to international ended in the last hour, several times those of the"
        " busiest hour of a week.",
        {"destination": "international"},
        young=TEN,
    ),
    "destination-talk": Firing(
        "CDRDestinationTalk",
        by_day({destination("talk_seconds", "international"): 7200}),
        "Calls of {pbx} to international that ended in the last hour were talked for 2h 0m 0s"
        " together, several times those of the busiest hour of a week.",
        {"destination": "international"},
        young=TEN,
    ),
    "no-talk": Firing(
        "CDROutboundNoTalk",
        by_day(dict.fromkeys((talk(f'bucket{{le="{le}",') for le in NO_TIME), 48)),
        "Half of the answered outbound calls by a of {pbx} in the last hour were talked for 500ms"
        " or less, which is not usual.",
        TRUNK,
        young=None,
    ),
    "at-night": Firing(
        "CDROutboundOutOfHours",
        Story((FailureStreak(AT_NIGHT, MONDAY + 1, MONDAY + 3, always),)),
        "30 outbound calls of {pbx} ended in the last hour, while it is night or weekend there, and"
        " far fewer are usual.",
        at=MONDAY + 3,
        young=None,
    ),
    "long-at-night": Firing(
        "CDROutboundTalkOutOfHours",
        Story((FailureStreak(LONG_AT_NIGHT, MONDAY + 1, MONDAY + 3, always),)),
        "Outbound calls of {pbx} that ended in the last hour were talked for 40m 0s together,"
        " while it is night or weekend there, and far less is usual.",
        at=MONDAY + 3,
        young=None,
    ),
    "on-saturday": Firing(
        "CDROutboundOutOfHours",
        Story((FailureStreak(AT_NIGHT, SATURDAY + 12, SATURDAY + 14, always),)),
        "30 outbound calls of {pbx} ended in the last hour, while it is night or weekend there, and"
        " far fewer are usual.",
        at=SATURDAY + 14,
        young=None,
    ),
    # At noon of UTC it is two o'clock at night there. Nobody ever telephones from 8 to 18 of UTC.
    "at-night-far-away": Firing(
        "CDROutboundOutOfHours",
        Story(
            (FailureStreak(AT_NIGHT, profile=always),),
            profile=lambda hour: open_hours(hour + 14),
            utc_offset=lambda _hour: 14 * 3600.0,
        ),
        "30 outbound calls of {pbx} ended in the last hour, while it is night or weekend there, and"
        " far fewer are usual.",
        young=None,
    ),
}


def concerned(firing: Firing) -> list[Series]:
    """Return the series of the families that the trouble is seen in, and by which somebody is
    there: the others cost time."""
    begins = {name[:9] for trouble in firing.story.troubles for name in trouble.rates}
    return [name for name in USUAL if name[:9] in begins or name == STAFF]


def twins(firing: Firing) -> dict[str, Story]:
    """Return the same story where its alert must keep quiet: by what is added to its name."""
    story = firing.story
    usual = tuple(replace(trouble, begin=0, end=END) for trouble in story.troubles)
    same = {
        "-catching-up": replace(story, backlog=lambda _hour: 5.0),
        "-down": replace(story, up=lambda _hour: 0.0),
        "-few": replace(story, scale=1 / 300),
        "-usual": replace(story, troubles=usual),
    }
    if firing.young is not None:
        same["-young"] = replace(story, begin=firing.young)
    return {name: each for name, each in same.items() if name not in firing.without}


def in_two_hours(hour: float) -> float:
    """Say that nothing answers from nine to eleven."""
    return 0.0 if MONDAY + 9 <= hour < MONDAY + 11 else 1.0


def summer_time(hour: float) -> float:
    return 3600.0 if hour >= SUNDAY + 2 else 0.0


SILENCE = (MONDAY + 9 + 1 / STEPS, MONDAY + 11 + 2 / STEPS)

QUIET = {
    "office": Story(),
    "small-office": Story(scale=1 / 12),
    "young-office": Story(begin=MONDAY + 8),
    # Of no calls at all there is no share.
    "next-week": Story(begin=NOON),
    # What is counted is durable; a restart is a gap.
    "restart": Story(unscraped=(MONDAY + 10, MONDAY + 10.5)),
    # 500 calls come at once, when all of them have been read.
    "silent-for-two-hours": Story(
        (FailureStreak({name: rate * 2 for name, rate in USUAL.items()}, MONDAY + 9, MONDAY + 11),),
        hidden=SILENCE,
        up=in_two_hours,
        backlog=lambda hour: 500.0 if MONDAY + 11 <= hour < SILENCE[1] else 0.0,
    ),
    # Nobody is there, and nobody calls.
    "holiday": Story((FailureStreak(dict.fromkeys(USUAL, 0.0), MONDAY, MONDAY + DAY),)),
    # Local time goes on as before; somebody stays in the evening.
    "clocks-change": Story(
        (
            FailureStreak(
                {rows("ANSWERED", "Internal", "none"): 12}, MONDAY + 17, MONDAY + 20, profile=always
            ),
        ),
        profile=lambda hour: open_hours(hour + (1 if hour >= SUNDAY + 2 else 0)),
        utc_offset=summer_time,
    ),
    "clocks-change-back": Story(
        profile=lambda hour: open_hours(hour - (1 if hour >= SUNDAY + 2 else 0)),
        utc_offset=lambda hour: -summer_time(hour),
    ),
    # A few calls of each kind, all failing, on a weekend.
    "weekend": Story(
        (
            FailureStreak(
                {
                    rows("FAILED", "Outbound"): 0.5,
                    inbound("no_answer"): 6,
                    abandons("count{"): 6,
                    destination("calls", "international"): 4,
                },
                SATURDAY,
                MONDAY,
                always,
            ),
        ),
    ),
}


BY_TRUNK, BY_DESTINATION = ',trunk="a"', ',destination="international"'
BY_LENGTH = ',call_type="Outbound",le="300.0"'

RECORDED = {
    # Five days of ten hours, as the office has been open: 50 times what an hour has.
    "pbx_trunk:cdr_outbound_records_past:increase1w": (3000, BY_TRUNK),
    "pbx_trunk:cdr_answer_seizure_past:ratio1w": (0.8, BY_TRUNK),
    # An hour, and the same hour in other weeks.
    "pbx_trunk:cdr_inbound_records:increase1h": (36, BY_TRUNK),
    "pbx_trunk:cdr_inbound_records_past:min2w": (36, BY_TRUNK),
    "pbx:cdr_outbound_records:increase1h": (60, ""),
    "pbx:cdr_outbound_records_past:max2w": (60, ""),
    "pbx:cdr_outbound_records_past:min2w": (60, ""),
    "pbx:cdr_outbound_talk_seconds_past:min2w": (5760, ""),
    "pbx:cdr_outbound_talk_seconds:increase1h": (5760, ""),
    "pbx:cdr_outbound_talk_seconds_past:max2w": (5760, ""),
    "pbx_destination:cdr_destination_calls:increase1h": (6, BY_DESTINATION),
    "pbx_destination:cdr_destination_calls_past:max1w": (6, BY_DESTINATION),
    "pbx_destination:cdr_destination_talk_seconds:increase1h": (720, BY_DESTINATION),
    "pbx_destination:cdr_destination_talk_seconds_past:max1w": (720, BY_DESTINATION),
    "pbx_trunk:cdr_outbound_answered:increase1h": (48, BY_TRUNK),
    # Half of the calls are talked for up to a minute.
    "pbx_trunk:cdr_outbound_talk_seconds:median1h": (60, BY_TRUNK),
    "pbx_trunk:cdr_outbound_talk_seconds_past:mean1w": (60, BY_TRUNK),
    "pbx:cdr_outbound_answered:increase1h": (48, ""),
    "pbx:cdr_inbound_talk_seconds:increase1h": (10800, ""),
    # Since eight o'clock; of the past as much again, and twice as much.
    "pbx:cdr_staff_records:increase1h": (72, ""),
    "pbx:cdr_staff_records:increase4h": (288, ""),
    "pbx:cdr_records:increase4h": (432, ""),
    "pbx:cdr_records_past:increase4h": (432, ""),
    "pbx:cdr_office_open:last4h": (1, ""),
    "pbx:cdr_service_level_calls:increase4h": (480, ""),
    "pbx:cdr_service_level_20s:increase4h": (384, ""),
    "pbx:cdr_service_level_20s:ratio4h": (0.8, ""),
    "pbx:cdr_service_level_calls_past:increase4h": (960, ""),
    "pbx:cdr_service_level_20s_past:increase4h": (768, ""),
    "pbx:cdr_service_level_20s_past:ratio4h": (0.8, ""),
    "pbx:cdr_service_level_20s_pooled:ratio4h": (0.8, ""),
}
"""What is recorded of the office at noon, and the labels beside job, instance and pbx."""

ANSWERED, HOURLY = ',outcome="answered"', ',window="1h"'

RECORDED_IN_WINDOWS = {
    "pbx_outcome_window:cdr_inbound_calls:increase": (108, ANSWERED + HOURLY),
    "pbx_window:cdr_inbound_calls:increase": (126, HOURLY),
    # Two Mondays, two Tuesdays, and a Sunday on which nobody called.
    "pbx_outcome_window:cdr_inbound_calls_past:increase": (432, ANSWERED + HOURLY),
    "pbx_window:cdr_inbound_calls_past:increase": (504, HOURLY),
    "pbx_outcome_window:cdr_inbound_calls:ratio": (108 / 126, ANSWERED + HOURLY),
    "pbx_outcome_window:cdr_inbound_calls_lately:ratio": (108 / 126, ANSWERED + HOURLY),
    "pbx_outcome_window:cdr_inbound_calls_past:ratio": (108 / 126, ANSWERED + HOURLY),
    "pbx_call_type_le:cdr_long_talk:increase1h": (6, BY_LENGTH),
    "pbx_call_type_le:cdr_long_talk_past:mean2w": (6, BY_LENGTH),
    "pbx_window:cdr_inbound_calls_past:sum2w": (252, HOURLY),
    "pbx_window:cdr_office_open:last": (1, HOURLY),
    "pbx_disposition_trunk_window:cdr_outbound_records:increase": (
        96,
        ',disposition="ANSWERED"' + BY_TRUNK + ',window="2h"',
    ),
}
"""The same of what has the label `window`, of the hour, or `le`."""


# --- As promtool wants it -------------------------------------------------------------------------


def documents(alerts: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return test documents by what they are about; *alerts* are the rules by name."""
    return {
        "telephony": _document(_firing(TELEPHONY, alerts), *TELEPHONY_RULES),
        "fraud": _document(_firing(FRAUD, alerts), *FRAUD_RULES),
        "quiet": _document(_quiet(alerts), *TELEPHONY_RULES, *FRAUD_RULES),
    }


TELEPHONY_RULES = ("cdr-thresholds.yml", "cdr-kpis.yml", "cdr-telephony.yml")
FRAUD_RULES = ("cdr-thresholds.yml", "cdr-fraud.yml")


def _document(test: dict[str, Any], *rule_files: str) -> dict[str, Any]:
    return {
        "rule_files": [str(RULES / name) for name in dict.fromkeys(rule_files)],
        "evaluation_interval": "1h",
        # What is read of another group is read as of now.
        "group_eval_order": [
            *("cdr-thresholds.exporter", "cdr-thresholds.telephony", "cdr-thresholds.fraud"),
            *("cdr-kpis.hour", "cdr-kpis.day"),
            *("cdr-fraud.past", "cdr-telephony.windows", "cdr-telephony.past"),
            *("cdr-telephony.trunks", "cdr-telephony.service"),
            *("cdr-fraud.hours", "cdr-fraud.bursts", "cdr-fraud.destinations"),
        ],
        "tests": [test],
    }


def _firing(firing: Mapping[str, Firing], alerts: Mapping[str, Any]) -> dict[str, Any]:
    times = sorted({TEN - 1, THREE, *(each.at for each in firing.values())})
    return {
        "name": "where an alert should fire, and where the same trouble should not be reported",
        "interval": f"{60 // STEPS}m",
        "input_series": [
            series
            for name, each in firing.items()
            for kind, story in ({"": each.story} | twins(each)).items()
            for series in story.series(name + kind, concerned(each))
        ],
        "alert_rule_test": [
            {
                "eval_time": at(time),
                "alertname": alert,
                "exp_alerts": _expected(firing, alert, time, alerts),
            }
            for alert in judged(firing)
            for time in times
        ],
        # 94 of 126 met a menu, of those before 24 of 504: the square roots are the sines of 1.043
        # and 0.220, whose difference is 16.5 times sqrt(1 / 126 + 1 / 504) / 2. As many gave up as
        # ever. Two calls of 20 minutes at night, where there are none, are twice the root of two.
        "promql_expr_test": [
            _deviations("menu", "machine", 16.52),
            _deviations("menu", "no_answer", 0.0),
        ]
        * ("menu" in firing)
        + [
            {
                "expr": f"round(pbx_call_type_le:cdr_long_talk:deviations{{{labels}}}, 0.01)",
                "eval_time": at(MONDAY + 3),
                "exp_samples": [
                    {"labels": f'{{job="cdr-exporter",instance="one",{labels}}}', "value": 2.83}
                ],
            }
            for labels in ['pbx="long-at-night",call_type="Outbound",le="600.0"']
        ]
        * ("long-at-night" in firing),
    }


def judged(firing: Mapping[str, Firing]) -> list[str]:
    """Return the alerts that stories are about."""
    return sorted({each.alert for each in firing.values()})


def _expected(
    firings: Mapping[str, Firing], alert: str, time: float, alerts: Mapping[str, Any]
) -> list[dict[str, Any]]:
    rule = alerts[alert]
    return [
        {
            "exp_labels": {
                **rule["labels"],
                "job": "cdr-exporter",
                "instance": "one",
                "pbx": name,
                **firing.labels,
            },
            "exp_annotations": {
                **rule["annotations"],
                "description": firing.description.format(pbx=name),
            },
        }
        for name, firing in firings.items()
        if (firing.alert, firing.at) == (alert, time)
    ]


ON_A_HOLIDAY = Firing(
    "CDRNoInboundCalls",
    QUIET["holiday"],
    TELEPHONY["no-inbound"].description,
    at=MONDAY + 10,
)
"""The one alert that may speak on a holiday, for information, until midnight and longer."""

ON_THE_EDGE = (ON_A_HOLIDAY.alert, ON_A_HOLIDAY.at - 1)
"""Here Prometheus 3 speaks a sample earlier: a range leaves out the sample at its beginning."""


def _quiet(alerts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": "where nothing should fire from Saturday to Monday evening",
        "interval": f"{60 // STEPS}m",
        "input_series": [each for name, story in QUIET.items() for each in story.series(name)],
        "alert_rule_test": [
            {
                "eval_time": at(hour),
                "alertname": alert,
                "exp_alerts": _expected(
                    {"holiday": ON_A_HOLIDAY}, alert, min(hour, ON_A_HOLIDAY.at), alerts
                ),
            }
            for alert in judged(TELEPHONY | FRAUD)
            for hour in range(SATURDAY, END)
            if (alert, hour) != ON_THE_EDGE
        ],
        "promql_expr_test": list(_recorded()),
    }


def _deviations(pbx: str, outcome: str, expected: float) -> dict[str, Any]:
    """Say how far the share of an outcome in the last hour is off."""
    labels = f'pbx="{pbx}",outcome="{outcome}"{HOURLY}'
    found = f'{{job="cdr-exporter",instance="one",{labels}}}'
    return {
        "expr": f"round(pbx_outcome_window:cdr_inbound_calls:deviations{{{labels}}}, 0.01)",
        "eval_time": at(NOON),
        "exp_samples": [{"labels": found, "value": expected}],
    }


def _recorded() -> Iterator[dict[str, Any]]:
    """Yield what is recorded of the office, and that there is nothing of one that is not yet."""
    for name, (value, labels) in RECORDED.items():
        found = f'{{job="cdr-exporter",instance="one",pbx="office"{labels}}}'
        for pbx, samples in (("office", [{"labels": found, "value": value}]), ("next-week", [])):
            yield {
                "expr": f'round({name}{{pbx="{pbx}"}}, {_precision(name, value):g})',
                "eval_time": at(NOON),
                "exp_samples": samples,
            }
    for name, (value, labels) in RECORDED_IN_WINDOWS.items():
        found = f'{{job="cdr-exporter",instance="one",pbx="office"{labels}}}'
        for pbx, samples in (("office", [{"labels": found, "value": value}]), ("next-week", [])):
            yield {
                "expr": f'{name}{{pbx="{pbx}"{labels}}} * 1',
                "eval_time": at(NOON),
                "exp_samples": samples,
            }
    for name, labels in (
        ("pbx:cdr_out_of_hours:last1h", ""),
        ("pbx_window:cdr_out_of_hours:begin", HOURLY),
    ):
        found = f'{{job="cdr-exporter",instance="one",pbx="office"{labels}}}'
        yield {
            "expr": f'{name}{{pbx="office"{labels}}} * 1',
            "eval_time": at(SATURDAY + 12),
            "exp_samples": [{"labels": found, "value": 1}],
        }


def _precision(name: str, value: float) -> float:
    """Return to multiples of what a recorded *value* is rounded.

    The increase of a day is seen from 97 samples by Prometheus 2, the first and the last at
    midnight, and from 96 by Prometheus 3, which leaves out the first and makes up for it by 1 %.
    A day more or less would be 20 %.
    """
    return value / 30 if name.endswith(":increase1w") else 1e-6


def at(hour: float) -> str:
    return f"{round(hour)}h"
