"""What the dashboards and the recorded KPIs say of calls that are known, by a real Prometheus.

In the short profile are offices of 20 and of 250 calls a day, over nine days with a change of
clocks and an outage; the past of one of them was written by `history`. The long ones have 3 and
2,500 calls a day too, an exporter that loses its state, and the other change of clocks. With
`pytest -s` each number is listed: the true one, the one shown, and the worst that was found.
"""

from __future__ import annotations

import ast
import re
import sys
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ..support import office_of_truth
from ..support.dashboards import DASHBOARDS, filled_in, macros, marks, step_of
from ..support.office_of_truth import WARM_UP, ZONE, Call, calls_of, utc_offset
from ..support.panel_queries import Series, ask_panel, the
from ..support.past_and_present import in_blocks, prometheus_on
from ..support.processes import Prometheus
from ..support.programs import require
from ..support.prometheus_rules import FOLDER as PROMETHEUS
from ..support.prometheus_rules import metrics_in, rules_of
from ..support.recorded_rules import record, rules_in
from ..support.scraped_offices import BOUNDS, FIRST_SCRAPE, STALE_AFTER, Moments, ScrapedPBX
from ..support.true_numbers import (
    COUNT,
    IN_BARS,
    IN_POINTS,
    IN_RANGE,
    KPIS,
    MEAN,
    ONLY_SAID,
    RATIO,
    SHARES,
    TRAFFIC_KPIS,
    Key,
    Numbers,
    Panel,
    Time,
    erlangs,
    is_exact,
    missed,
    percentiles,
)

MINUTE, QUARTER, HOUR, DAY = 60, 900, 3_600, 86_400

RULES = PROMETHEUS / "rules" / "cdr-kpis.yml"


PERCENTILES = percentiles(BOUNDS)


class Office(NamedTuple):
    """How an office is simulated; at the *rate* 1 it has 250 calls a day.

    What is before the seam was written by `history` where it is *joined*; there the exporter loses
    its state where it is *renewed*. In both, series begin again at 0. Intervals are in seconds.
    """

    rate: float
    poll_interval: int
    scrape_interval: int
    joined: bool = False
    renewed: bool = False

    @property
    def is_steady(self) -> bool:
        return not self.joined and not self.renewed


class Shown(NamedTuple):
    """The time that a dashboard shows: *seconds* up to *until* (UTC epoch seconds)."""

    until: int
    seconds: int

    @property
    def begin(self) -> int:
        return self.until - self.seconds


class Profile(NamedTuple):
    """Nine days of *offices*, by the names of their PBXs, from the Monday *first* on.

    On the Sunday the clocks change. Of the steady ones, those in *looked_at_over_time* are compared
    bar by bar too, in each of *times* that is in *over_time*; of the panels with percentiles the
    first so many.
    """

    first: date
    offices: Mapping[str, Office]
    looked_at_over_time: Sequence[str]
    times: Sequence[str]
    over_time: Sequence[str]
    percentiles: int

    def at(self, days: int, hour: int = 0, minute: int = 0, second: int = 0) -> int:
        """Return a moment of the office's clock, so many *days* after the first."""
        day = self.first + timedelta(days=days)
        local = datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=ZONE)
        return int(local.timestamp())

    @property
    def begin(self) -> int:
        return self.at(0)

    @property
    def end(self) -> int:
        return self.at(9)

    @property
    def outage(self) -> range:
        """On Friday, longer than the PBX's calls are shown."""
        return range(self.at(4, 11), self.at(4, 12, 30))

    @property
    def seam(self) -> int:
        """When nobody telephones."""
        return self.at(3, 3)

    @property
    def recorded(self) -> range:
        """When KPIs are recorded: in the busiest hours, not only full ones."""
        return range(self.at(7, 10), self.at(7, 14), 40 * MINUTE + 11)

    def shown(self, time: str) -> Shown:
        return {
            "yesterday": Shown(self.at(8), self.at(8) - self.at(7)),
            "a week up to a full hour": Shown(self.at(7, 18), 7 * DAY),
            "a week": Shown(self.at(8, 13, 52, 11), 7 * DAY),
            "from the beginning": Shown(self.end, self.end - self.begin),
            "up to the outage": Shown(self.at(4, 12, 3), DAY),
            "from the outage on": Shown(self.at(5, 12, 3), DAY),
        }[time]


TIMES = (
    "yesterday",
    "a week up to a full hour",
    "a week",
    "from the beginning",
    "up to the outage",
    "from the outage on",
)

IN_AUTUMN, IN_SPRING = date(2025, 10, 20), date(2026, 3, 23)

SHORT = Profile(
    IN_AUTUMN,
    {
        "mid": Office(1.0, 600, 300),
        "joined": Office(0.08, 600, 300, joined=True),
    },
    ("mid",),
    ("yesterday", "a week up to a full hour", "up to the outage", "from the outage on"),
    ("a week up to a full hour",),
    3,
)
LONG = Profile(
    IN_AUTUMN,
    {
        "tiny": Office(0.012, 60, 120),
        "small": Office(0.08, 60, 60),
        "mid": Office(1.0, 60, 60),
        "centre": Office(10.0, 60, 60),
        "joined": Office(0.08, 60, 60, joined=True),
        "renewed": Office(0.3, 60, 60, renewed=True),
    },
    ("tiny", "small", "mid", "centre"),
    TIMES,
    TIMES,
    len(PERCENTILES),
)
LONG_IN_SPRING = Profile(
    IN_SPRING,
    {"small": Office(0.08, 60, 60), "mid": Office(1.0, 60, 60)},
    ("small", "mid"),
    TIMES,
    TIMES,
    len(PERCENTILES),
)


class Truth:
    """What is true of the *calls* of one PBX, which is scraped at *moments*."""

    def __init__(self, calls: Sequence[Call], moments: Moments) -> None:
        self.calls = calls
        self.moments = moments
        self.counted = self._by_scrape(moments.counted)
        """Each call with the first scrape that shows it."""
        self._read = self._by_scrape(moments.known)

    def _by_scrape(self, moment: Callable[[float], float]) -> list[tuple[int, Call]]:
        found = [(self.moments.scraped(moment(call.ended)), call) for call in self.calls]
        return sorted(found, key=itemgetter(0))

    def time(self, begin: float, end: float) -> Time:
        """Return what the scrapes in (*begin*, *end*] showed for the first time."""
        calls, read = _between(self.counted, begin, end), _between(self._read, begin, end)
        return Time(calls, read, end - begin, self.moments.known)


def _between(scraped: Sequence[tuple[int, Call]], begin: float, end: float) -> list[Call]:
    first, last = (bisect_right(scraped, edge, key=itemgetter(0)) for edge in (begin, end))
    return [call for _, call in scraped[first:last]]


class World(NamedTuple):
    """A Prometheus, and what is true of each PBX in it."""

    profile: Profile
    prometheus: Prometheus
    truths: Mapping[str, Truth]


# --- The past -------------------------------------------------------------------------------------

HOURS, WEEKDAYS, BY_DAY = (
    Panel("Busiest hours", "", COUNT, lambda _: {}, ("hour",)),
    Panel("Busiest weekdays", "Calls", COUNT, lambda _: {}, ("weekday",), 14 * DAY),
    Panel("Calls by day", "Calls", COUNT, lambda _: {}, ("day",), 7 * DAY),
)
BEFORE, NOW = (
    Panel("Against a week before", legend, COUNT, lambda t: {(): len(t.calls)})
    for legend in ("A week before", "As shown")
)
HEAT_MAP = Panel("Wait until answered, call by call", "", COUNT, lambda _: {}, ("le",))
TRAFFIC = Panel("Traffic (erlangs)", "", MEAN, erlangs, ("trunk",))
BUSIEST = Panel("Trunks side by side", "Busiest hour", MEAN, erlangs, ("trunk",))

BUSIEST_HOUR = Panel("pbx_trunk:cdr_traffic_erlangs:max1d", "", MEAN, erlangs, ("trunk",))

SIDE_BY_SIDE = [
    Panel("PBXs side by side", heading, COUNT, lambda _: {}, ("pbx",))
    for heading in ("Reached", "Since success", "Newest call", "Rows on the PBX", "Failed polls")
]
OPEN_CALLS, FAILED_POLLS = (
    Panel(title, "", COUNT, lambda _: {}, names)
    for title, names in (
        ("Open calls", ("pbx",)),
        ("Failed polls by reason", ("reason",)),
    )
)
HEALTH = [*SIDE_BY_SIDE, OPEN_CALLS, FAILED_POLLS]

ALL_PANELS = [*IN_RANGE, *IN_BARS, *IN_POINTS, HOURS, BEFORE, HEAT_MAP, TRAFFIC, BUSIEST, *HEALTH]


def kept(profile: Profile) -> re.Pattern[bytes]:
    """Return which samples are kept: it is a matter of time."""
    shown = [(panel.title, panel.heading) for panel in ALL_PANELS]
    shown += [(panel.title, "Half at most") for panel in PERCENTILES[: profile.percentiles]]
    names = {"cdr_up"}.union(
        *(metrics_in(the(*panel)[1]["expr"]) for panel in shown),
        *(metrics_in(rule["expr"]) for rule in rules_of(RULES)),
    )
    return re.compile(rb"^(?:%s)\{.*\n" % "|".join(names).encode(), re.MULTILINE)


def truth_of(profile: Profile, office: Office) -> Truth:
    """Let an office telephone."""
    past_until = profile.seam if office.joined else 0
    intervals = office.poll_interval, office.scrape_interval
    return Truth(
        calls_of(3, office.rate, profile.begin, profile.end),
        Moments(*intervals, (profile.outage,), past_until),
    )


def scraped(profile: Profile, pbx: str, truth: Truth, directory: Path) -> Iterator[bytes]:
    """Yield what Prometheus got of a PBX."""
    office = profile.offices[pbx]
    lost_at = profile.seam if office.renewed else float("inf")
    it = ScrapedPBX(pbx, truth.calls, truth.moments, directory / pbx, lost_at=lost_at)
    if office.joined:
        yield from it.history(profile.seam, directory / "history", kept(profile))
    first = profile.seam if office.joined else profile.begin - WARM_UP
    yield from it.lines(first, profile.end, kept(profile))


def made(profile: Profile, directory: Path) -> Mapping[str, Truth]:
    """Let the nine days pass; return what is true of each PBX."""
    truths = {pbx: truth_of(profile, office) for pbx, office in profile.offices.items()}
    texts = (
        text for pbx, truth in truths.items() for text in scraped(profile, pbx, truth, directory)
    )
    in_blocks(directory, texts)
    record(directory, lambda: prometheus_on(directory), rules_in(RULES), profile.recorded)
    return truths


# --- Numbers shown and true -----------------------------------------------------------------------


class Comparison(NamedTuple):
    """A number that is shown, and the true one; None where there is none."""

    pbx: str
    time: str
    what: str
    key: tuple[Any, ...]
    kind: str
    true: float | None
    shown: float | None

    @property
    def is_exact(self) -> bool:
        if self.kind == COUNT:
            return is_exact(COUNT, self.shown or 0, self.true or 0)
        if self.true is None or self.shown is None:
            # Of what did not happen there is no number, or a share of 0.
            return not self.true and not self.shown
        return is_exact(self.kind, self.shown, self.true)

    @property
    def error(self) -> float:
        return abs((self.shown or 0) - (self.true or 0))


class Look(NamedTuple):
    """Somebody who looks at the panels of one PBX that show some *time*."""

    world: World
    pbx: str
    time: str

    @property
    def shown(self) -> Shown:
        return self.world.profile.shown(self.time)

    @property
    def truth(self) -> Truth:
        return self.world.truths[self.pbx]

    def compared(
        self, panel: Panel, true: Mapping[Any, float], found: Mapping[Any, float]
    ) -> Iterator[Comparison]:
        for key in sorted(true.keys() | found.keys()):
            yield Comparison(
                self.pbx, self.time, panel.id, key, panel.kind, true.get(key), found.get(key)
            )

    def asked(self, panel: Panel, seconds: int = 0) -> Series:
        return ask_panel(
            self.world.prometheus,
            *the(panel.title, panel.heading),
            seconds or self.shown.seconds,
            {"pbx": self.pbx},
            self.shown.until,
        )

    def steps(self, panel: Panel) -> range:
        """Return the steps that Grafana asks for."""
        step = step_of(the(panel.title, panel.heading)[0], self.shown.seconds)
        return range(self.shown.begin // step * step, self.shown.until + 1, step)


def named(true: Numbers, names: Sequence[str]) -> Numbers:
    """Return numbers by own number or queue under the names that these have here."""
    if names[:1] == ("did",):
        return {(f"did {key[0][-3:]}", *key[1:]): value for key, value in true.items()}
    if names[:1] == ("queue",):
        return {(f"queue {key[0]}", *key[1:]): value for key, value in true.items()}
    return true


def labels(series: Mapping[str, Any], names: Sequence[str]) -> Key:
    return tuple(series["metric"][name] for name in names)


def in_table(result: Series, names: Sequence[str]) -> Numbers:
    """Return the numbers of series, by the values of the labels *names*."""
    found = {labels(series, names): float(series["value"][1]) for series in result}
    return {key: number for key, number in found.items() if number == number}


def over_time(result: Series, names: Sequence[str]) -> dict[tuple[int, Key], float]:
    """Return the numbers of series, by their time and the values of the labels *names*."""
    return {
        (int(moment), labels(series, names)): float(value)
        for series in result
        for moment, value in series["values"]
    }


def numbers_of_the_whole(look: Look) -> Iterator[Comparison]:
    """Compare the tiles, and the tables."""
    for panel in IN_RANGE:
        begin = look.shown.until - (panel.seconds or look.shown.seconds)
        true = panel.true(look.truth.time(begin, look.shown.until))
        found = in_table(look.asked(panel), panel.names)
        yield from look.compared(panel, named(true, panel.names), found)


def bars(look: Look) -> Iterator[Comparison]:
    """Compare each bar, and the total of a legend with the number of the whole time."""
    begin, until = look.shown.begin, look.shown.until
    for panel in IN_BARS:
        steps = look.steps(panel)
        true = {
            (edge, key): value
            for edge in steps
            for key, value in panel.true(
                look.truth.time(max(edge, begin), min(edge + steps.step, until))
            ).items()
        }
        found = over_time(look.asked(panel), panel.names)
        yield from look.compared(panel, true, found)

        total: Counter[Key] = Counter()
        for (_, key), value in found.items():
            total[key] += value  # type: ignore[assignment]
        legend = panel._replace(title=f"{panel.title} (legend)")
        yield from look.compared(legend, panel.true(look.truth.time(begin, until)), total)


def points(look: Look) -> Iterator[Comparison]:
    """Compare each point of a line of shares or means."""
    for panel in IN_POINTS:
        steps = look.steps(panel)
        true = {
            (edge, key): value
            for edge in steps
            for key, value in panel.true(look.truth.time(edge, edge + steps.step)).items()
        }
        yield from look.compared(panel, true, over_time(look.asked(panel), panel.names))


def local_times(look: Look) -> Iterator[Comparison]:
    """Compare what is shown by hour, day and weekday of the office's clock."""

    def by(
        label: Callable[[datetime], str], panel: Panel, wanted: Callable[[Time], int]
    ) -> Numbers:
        found: Counter[Key] = Counter()
        until = look.shown.until
        begin = until - (panel.seconds or look.shown.seconds)
        for quarter in range(begin // QUARTER * QUARTER, until, QUARTER):
            time = look.truth.time(max(quarter, begin), min(quarter + QUARTER, until))
            if count := wanted(time):
                found[(label(datetime.fromtimestamp(quarter, ZONE)),)] += count
        return found

    inbound = by(noon, BY_DAY, lambda t: len(t.inbound))
    answered = by(noon, BY_DAY, lambda t: len(t.answered))
    numbers = {
        HOURS: by("{:%H} h".format, HOURS, lambda t: len(t.calls)),
        WEEKDAYS: by(lambda local: str(local.weekday()), WEEKDAYS, lambda t: len(t.calls)),
        BY_DAY: by(noon, BY_DAY, lambda t: len(t.calls)),
        BY_DAY._replace(heading="Inbound"): inbound,
        BY_DAY._replace(heading="Missed"): by(noon, BY_DAY, lambda t: len(missed(t))),
        BY_DAY._replace(heading="Answered", kind=RATIO): {
            key: answered.get(key, 0) / count for key, count in inbound.items()
        },
    }
    for panel, true in numbers.items():
        found = in_table(look.asked(panel, panel.seconds), panel.names)
        yield from look.compared(panel, true, found)


def noon(local: datetime) -> str:
    """Return the noon of a date in UTC, in epoch milliseconds."""
    return f"{int(datetime(local.year, local.month, local.day, 12, tzinfo=UTC).timestamp())}000"


def against_a_week_before(look: Look) -> Iterator[Comparison]:
    """Compare both lines: the same time by the office's clock."""
    for panel in (BEFORE, NOW):
        steps = look.steps(panel)
        true = {}
        for edge in steps:
            before = edge - 7 * DAY + utc_offset(edge) - utc_offset(edge - 7 * DAY)
            end = before if panel is BEFORE else edge
            true[edge, ()] = len(look.truth.time(end - steps.step, end).calls)
        yield from look.compared(panel, true, over_time(look.asked(panel), ()))


def columns(look: Look) -> Iterator[Comparison]:
    """Compare how many calls are in each column of a heat map."""
    steps = look.steps(HEAT_MAP)
    true = {
        (edge, ("+Inf",)): len(look.truth.time(edge - steps.step, edge).answered) for edge in steps
    }
    found = over_time(look.asked(HEAT_MAP), ("le",))
    whole = {key: value for key, value in found.items() if key[1] == ("+Inf",)}
    yield from look.compared(HEAT_MAP, true, whole)


def traffic(look: Look) -> Iterator[Comparison]:
    """Compare the traffic of each hour, and that of the busiest, of the calls that ended in it."""
    found = over_time(look.asked(TRAFFIC), ("trunk",))
    true = {
        (edge, key): value
        for edge in {edge for edge, _ in found}
        for key, value in erlangs(look.truth.time(edge - HOUR, edge)).items()
    }
    yield from look.compared(TRAFFIC, true, {key: value for key, value in found.items() if value})

    most: dict[Key, float] = defaultdict(float)
    for edge in range(-(-look.shown.begin // 300) * 300, look.shown.until + 1, 300):
        for key, value in erlangs(look.truth.time(edge - HOUR, edge)).items():
            most[key] = max(most[key], value)
    busiest = in_table(look.asked(BUSIEST), ("trunk",))
    yield from look.compared(BUSIEST, most, busiest)


def lines_of_percentiles(look: Look) -> Iterator[Comparison]:
    """Compare each point with what is to be drawn, and list how far that is from the truth."""
    for panel in PERCENTILES[: look.world.profile.percentiles]:
        for heading, share in SHARES.items():
            asked = Panel(panel.title, heading, MEAN, lambda _: {})
            steps = look.steps(asked)
            times = {edge: look.truth.time(edge, edge + steps.step) for edge in steps}
            found = over_time(look.asked(asked), ())
            for kind, numbers in ((MEAN, panel.as_drawn), (ONLY_SAID, panel.true)):
                true = {
                    (edge, key): value
                    for edge, time in times.items()
                    for key, value in numbers(share, time).items()
                }
                estimated = asked._replace(kind=kind, heading=f"{heading}, {kind}")
                yield from look.compared(estimated, true, found)


def health(look: Look) -> Iterator[Comparison]:
    """Compare what is shown of the polls, as of the last scrape and of the last hour."""
    moments, until, pbx = look.truth.moments, look.shown.until, (look.pbx,)
    interval = moments.scrape_interval
    last_scrape = (until - FIRST_SCRAPE) // interval * interval + FIRST_SCRAPE
    polls = moments.polls(look.truth.calls, look.world.profile.begin - WARM_UP, last_scrape)
    succeeded = max(poll for poll in polls if moments.is_reached(poll))
    listed = [call for call in look.truth.calls if call.ended <= succeeded]
    is_up = moments.is_reached(polls[-1])
    failed = [moments.scraped(poll) for poll in polls if not moments.is_reached(poll)]
    true = {
        "Reached": int(is_up),
        "Since success": until - succeeded,
        "Newest call": until - max(leg["timestamp"] for call in listed for leg in call.legs),
        "Rows on the PBX": sum(len(call.legs) for call in listed),
        "Failed polls": sum(until - HOUR < scrape <= until for scrape in failed),
    }
    for panel in SIDE_BY_SIDE:
        found = in_table(look.asked(panel), panel.names)
        if panel.heading == "Newest call":
            found = {key: until - value / 1000 for key, value in found.items()}
        yield from look.compared(panel, {pbx: true[panel.heading]}, found)

    begin, steps = look.shown.begin, look.steps(FAILED_POLLS)
    by_reason = Counter(
        ((scrape - 1) // steps.step * steps.step, ("connect",))
        for scrape in failed
        if begin < scrape <= until
    )
    bars_shown = over_time(look.asked(FAILED_POLLS), FAILED_POLLS.names)
    yield from look.compared(FAILED_POLLS, by_reason, bars_shown)

    now = over_time(look.asked(OPEN_CALLS), ("pbx",))
    open_calls = sum(moments.counted(call.ended) > succeeded for call in listed)
    newest = {key: value for key, value in now.items() if key[0] == max(now)[0]}
    if look.steps(OPEN_CALLS)[-1] == until:
        yield from look.compared(OPEN_CALLS, {(until, pbx): open_calls}, newest)


OVER_TIME = (
    *(bars, points, local_times, against_a_week_before, columns, traffic),
    lines_of_percentiles,
)


def busiest_hours(world: World, pbx: str) -> Iterator[Comparison]:
    """Compare the recorded traffic of the busiest hour: of those that were recorded so far."""
    look = Look(world, pbx, "1d")
    most: dict[Key, float] = defaultdict(float)
    for moment, found in recorded(world, BUSIEST_HOUR.title, pbx, BUSIEST_HOUR.names).items():
        for key, value in erlangs(look.truth.time(moment - HOUR, moment)).items():
            most[key] = max(most[key], value)
        yield from look.compared(BUSIEST_HOUR, dict(most), found)


def kpis(world: World, pbx: str, window: str, seconds: int) -> Iterator[Comparison]:
    """Compare what is recorded of the last hour or day."""
    look = Look(world, pbx, window)
    moments = recorded(world, "pbx:cdr_inbound_calls:increase" + window, pbx, ()).keys()
    assert set(moments) == set(world.profile.recorded)
    for kpi in [*KPIS, *(TRAFFIC_KPIS if seconds == HOUR else ())]:
        found = recorded(world, kpi.title + window, pbx, kpi.names)
        for moment in moments:
            true = named(kpi.true(look.truth.time(moment - seconds, moment)), kpi.names)
            yield from look.compared(kpi, true, found[moment])


def recorded(
    world: World, metric: str, pbx: str, names: Sequence[str]
) -> dict[int, dict[Key, float]]:
    """Return what was recorded of a PBX, by the moment and the values of the labels *names*."""
    found: dict[int, dict[Key, float]] = defaultdict(dict)
    times = world.profile.recorded
    for series in world.prometheus.query(f'{metric}{{pbx="{pbx}"}}[1d]', time=times.stop):
        for moment, value in series["values"]:
            found[int(moment)][labels(series, names)] = float(value)
    return found


# --- What is promised -----------------------------------------------------------------------------


def comparisons(world: World) -> Iterator[Comparison]:
    """Compare all that is looked at in a profile."""
    profile = world.profile
    for pbx, office in profile.offices.items():
        for time in profile.times:
            yield from numbers_of_the_whole(Look(world, pbx, time))
            if office.is_steady:
                yield from health(Look(world, pbx, time))
        if office.is_steady:
            yield from busiest_hours(world, pbx)
            yield from kpis(world, pbx, "1h", HOUR)
            yield from kpis(world, pbx, "1d", DAY)
        for time in profile.over_time if pbx in profile.looked_at_over_time else ():
            for compare in OVER_TIME:
                yield from compare(Look(world, pbx, time))


def assert_no_bar_but_a_mark_in_the_outage(look: Look) -> None:
    """Where a PBX was not reached, 0 would say that nobody telephoned."""
    steps, outage = look.steps(IN_BARS[0]), look.world.profile.outage
    # The exporter shows what it has until the PBX was silent for so long.
    hidden = [
        edge
        for edge in steps
        if outage.start + STALE_AFTER <= edge and edge + steps.step <= min(outage.stop, steps.stop)
    ]
    bars = {edge for edge, _ in over_time(look.asked(IN_BARS[0]), ("outcome",))}
    (mark,) = marks(DASHBOARDS["calls-overview.json"])
    values = macros(steps.step, look.shown.seconds, look.shown.until)
    asked = filled_in(mark["expr"], values, {"pbx": look.pbx})
    (marked,) = look.world.prometheus.query_range(asked, hidden[0], hidden[-1], steps.step)

    assert bars.isdisjoint(hidden)
    assert {int(moment) for moment, _ in marked["values"]} >= set(hidden)


def table(found: Iterable[Comparison]) -> str:
    """Return each number with the worst that was found of it, by PBX."""
    worst: dict[tuple[str, str], Comparison] = {}
    count: Counter[tuple[str, str]] = Counter()
    for each in found:
        count[each.what, each.pbx] += 1
        so_far = worst.setdefault((each.what, each.pbx), each)
        if each.error > so_far.error or (each.error == so_far.error and each.true):
            worst[each.what, each.pbx] = each
    lines = [
        f"{what} | {pbx} | {each.true} | {each.shown} | {each.error:.2g} | {count[what, pbx]}"
        for (what, pbx), each in worst.items()
    ]
    return "\n".join(["number | PBX | true | shown | worst error | compared", *lines, ""])


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "profile",
    [
        pytest.param(SHORT, id="short"),
        pytest.param(LONG, id="long", marks=pytest.mark.long),
        pytest.param(LONG_IN_SPRING, id="long in spring", marks=pytest.mark.long),
    ],
)
def test_dashboards_and_recorded_kpis_say_what_became_of_the_calls(
    profile: Profile, tmp_path: Path
) -> None:
    require("promtool")
    truths = made(profile, tmp_path)
    with prometheus_on(tmp_path) as prometheus:
        world = World(profile, prometheus, truths)
        found = list(comparisons(world))
        for pbx in profile.looked_at_over_time:
            for time in ("up to the outage", "from the outage on"):
                assert_no_bar_but_a_mark_in_the_outage(Look(world, pbx, time))
    sys.stdout.write(table(found))

    assert [each for each in found if not each.is_exact] == []


def test_the_office_of_truth_knows_nothing_of_the_exporter() -> None:
    tree = ast.parse(Path(office_of_truth.__file__).read_text())
    imported = {
        *(node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)),
        *(
            name.name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for name in node.names
        ),
    }
    relative = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level]

    assert relative == []
    assert {str(name).partition(".")[0] for name in imported} <= {
        *sys.stdlib_module_names,
        "pbx_simulator",
    }
