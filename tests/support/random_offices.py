"""Offices of random calls, each with a trouble, and what the rules say of them by promtool.

`alert_scenarios` has offices without chance, in which each alert is seen by itself. Here calls come
as they do in life: few in an hour, tried again when they fail, some late in the evening, one in
fifty long. So it is seen how soon a trouble is told, when the alert ends, and what fires without.

Time is in minutes since Thursday, 1970-01-01, 00:00 UTC, where promtool begins.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from pathlib import Path

import yaml

from .alert_scenarios import DAY, RULES, labelled
from .alert_scenarios import rows as rows_series
from .programs import require
from .prometheus_rules import metrics_in

STEP = 5
"""Minutes from scrape to scrape, as far apart as Prometheus looks back."""

EVALUATION = 15
"""Minutes from evaluation to evaluation. An alert, whose `for` takes one more of them, is so seen
up to half an hour later than it would be told."""

HOUR = 60
MINUTES_OF_DAY = DAY * HOUR
MONDAY = 4 * MINUTES_OF_DAY
WEEK = 7 * MINUTES_OF_DAY

Events = Counter[tuple[str, int]]
"""By how much a series rises at a step."""


@dataclass(frozen=True)
class Office:
    """What telephones: *calls* on a working day, of which *answered* is the share of inbound ones
    that a person takes in the open hours."""

    calls: int = 250
    answered: float = 0.75


@dataclass
class Day:
    """One day of an office, as the troubles change it."""

    office: Office
    begin: int
    chance: random.Random
    events: Events

    def count(self, series: str, minute: float, by: float = 1) -> None:
        self.events[series, int(minute // STEP) + 1] += by  # type: ignore[assignment]

    def row(self, minute: float, disposition: str, kind: str, trunk: str, talk: float = 0) -> None:
        """Count a row that ends at *minute*, and its *talk* in seconds."""
        self.count(rows_series(disposition, kind, trunk), minute)
        if disposition == "ANSWERED" and kind == "Outbound":
            inner = f'disposition="ANSWERED",call_type="Outbound",trunk="{trunk}"'
            name = "cdr_talk_duration_seconds"
            self.count(f"{name}_sum{{{inner}}}", minute, round(talk))
            self.count(f"{name}_count{{{inner}}}", minute)
            for bound in ("1.0", "60.0", "180.0", "+Inf"):
                if talk <= float(bound):
                    self.count(f'{name}_bucket{{le="{bound}",{inner}}}', minute)

    def destination(self, minute: float, name: str, talk: float) -> None:
        self.count(f'cdr_destination_calls_total{{destination="{name}"}}', minute)
        self.count(
            f'cdr_destination_talk_seconds_total{{destination="{name}"}}', minute, round(talk)
        )

    def talk_seconds(self) -> float:
        """Draw how long people talk: one call in fifty from half an hour to two hours."""
        if self.chance.random() < 0.02:
            return self.chance.uniform(1800, 7200)
        return min(self.chance.lognormvariate(4.6, 0.9), 1800)


Change = Callable[[Day, float], bool]
"""What a trouble does to a call at a minute: count it in its own way and say so, or leave it."""


def leave(_day: Day, _minute: float) -> bool:
    return False


@dataclass(frozen=True)
class Trouble:
    """What happens from *begin* to *end*, minutes of the week of trouble (0 is Monday, 00:00)."""

    begin: float = 0
    end: float = 0
    inbound: Change = leave
    outbound: Change = leave
    internal: Change = leave
    more: Callable[[Day, float, float], None] = lambda _day, _begin, _end: None
    """What is added once, from the one minute to the other."""


def inbound_call(day: Day, minute: float, outcome: str) -> None:
    """Count an inbound call with *outcome* that begins at *minute*."""
    talk = day.talk_seconds() if outcome == "answered" else 0
    wait = day.chance.expovariate(1 / 15)
    end = minute + (wait + talk + 90) / 60
    trunk = "a" if day.chance.random() < 0.7 else "b"
    disposition = {"answered": "ANSWERED", "voicemail": "VOICEMAIL", "machine": "ANSWERED"}
    day.row(end, disposition.get(outcome, "NO ANSWER"), "Inbound", trunk)
    day.count(f'cdr_calls_total{{outcome="{outcome}",call_type="Inbound",trunk="{trunk}"}}', end)
    inner = f'call_type="Inbound",trunk="{trunk}"}}'
    if outcome == "answered":
        day.count(f'cdr_call_wait_seconds_bucket{{le="+Inf",{inner}', end)
        if wait <= 20:
            day.count(f'cdr_call_wait_seconds_bucket{{le="20.0",{inner}', end)
    if outcome == "no_answer":
        day.count(f"cdr_call_abandon_seconds_count{{{inner}", end)
        if wait <= 5:
            day.count(f'cdr_call_abandon_seconds_bucket{{le="5.0",{inner}', end)


def usual_inbound(day: Day, minute: float) -> None:
    others = (1 - day.office.answered) / 10
    weights = {
        "answered": day.office.answered,
        "no_answer": 5 * others,
        "voicemail": 3 * others,
        "machine": 2 * others,
    }
    inbound_call(day, minute, day.chance.choices(list(weights), list(weights.values()))[0])


def closed_inbound(day: Day, minute: float) -> None:
    inbound_call(day, minute, day.chance.choice(["machine", "voicemail", "no_answer"]))


def usual_outbound(day: Day, minute: float, trunk: str = "") -> None:
    """Try a number up to three times, by *trunk* or by either."""
    trunk = trunk or ("a" if day.chance.random() < 0.7 else "b")
    for attempt in range(3):
        disposition = day.chance.choices(
            ["ANSWERED", "NO ANSWER", "BUSY", "FAILED"], [70, 18, 8, 4]
        )[0]
        talk = day.talk_seconds() if disposition == "ANSWERED" else 0
        at = minute + 2 * attempt + (talk + 30) / 60
        day.row(at, disposition, "Outbound", trunk, talk)
        abroad = day.chance.random() < 0.05
        day.destination(at, "international" if abroad else "other", talk)
        if disposition == "ANSWERED":
            return


def usual_internal(day: Day, minute: float) -> None:
    day.row(minute + 1, "ANSWERED", "Internal", "none")


def refused(trunk: str | None) -> Change:
    """Let outbound calls by *trunk*, or by any, fail three times."""

    def change(day: Day, minute: float) -> bool:
        if trunk is not None and (day.chance.random() >= 0.7):
            usual_outbound(day, minute, "b")
            return True
        for attempt in range(3):
            day.row(minute + 2 * attempt, "FAILED", "Outbound", trunk or "a")
        return True

    return change


def all_to(outcome: str) -> Change:
    def change(day: Day, minute: float) -> bool:
        inbound_call(day, minute, outcome)
        return True

    return change


def telephoning(
    lines: int, seconds: float, pause: float, destination: str = "other"
) -> Callable[[Day, float, float], None]:
    """Return what adds calls by *lines* at once, of about *seconds* and with a *pause* between."""

    def more(day: Day, begin: float, end: float) -> None:
        for _ in range(lines):
            now = begin
            while now < end:
                talk = seconds * day.chance.uniform(0.7, 1.3)
                now += (talk + pause) / 60
                day.row(now, "ANSWERED", "Outbound", "a", talk)
                day.destination(now, destination, talk)

    return more


def open_minutes(chance: random.Random, calls: float) -> Iterator[float]:
    """Yield the minutes of the day at which calls begin: from 8 to 18, most at 10 and 15."""
    for _ in range(round(chance.gauss(calls, calls**0.5))):
        peak = chance.choice([10, 15])
        yield (
            8 + 10 * chance.betavariate(2, 2.2)
            if chance.random() < 0.6
            else min(max(chance.gauss(peak, 1.2), 8), 17.9)
        ) * HOUR


def telephone(day: Day, trouble: Trouble, trouble_week: int) -> None:
    weekday = (day.begin // MINUTES_OF_DAY + 3) % 7
    calls = day.office.calls if weekday < 5 else 0
    begin, end = trouble_week + trouble.begin, trouble_week + trouble.end
    kinds = (
        (0.55, usual_inbound, trouble.inbound),
        (0.27, usual_outbound, trouble.outbound),
        (0.18, usual_internal, trouble.internal),
    )
    for share, usual, change in kinds:
        for minute in open_minutes(day.chance, calls * share):
            now = day.begin + minute
            if not (begin <= now < end and change(day, now)):
                usual(day, now)
    evening = day.office.calls * (0.04 if weekday < 5 else 0.06)
    for _ in range(round(day.chance.expovariate(1 / evening))):
        closed_inbound(day, day.begin + day.chance.uniform(18, 22) * HOUR)
    if day.begin <= begin < day.begin + MINUTES_OF_DAY:
        trouble.more(day, begin, end)


def series_of(
    pbx: str, office: Office, trouble: Trouble, seed: str, weeks: int
) -> Iterator[dict[str, str]]:
    """Yield the input series of an office; the trouble is in the last of *weeks*."""
    chance, events = random.Random(seed), Events()
    last = MONDAY + (weeks - 1) * WEEK
    steps = (MONDAY + weeks * WEEK) // STEP
    for begin in range(0, MONDAY + weeks * WEEK, MINUTES_OF_DAY):
        telephone(Day(office, begin, chance, events), trouble, last)
    by_series: dict[str, dict[int, float]] = defaultdict(dict)
    for name in always_there():
        by_series[name] = {}
    for (name, step), rise in events.items():
        by_series[name][step] = by_series[name].get(step, 0) + rise
    for name, rises in by_series.items():
        totals = accumulate(rises.get(step, 0) for step in range(steps))
        yield {"series": labelled(name, pbx), "values": runs(totals)}
    for name, value in (("cdr_up", 1), ("cdr_exporter_backlog", 0), ("cdr_utc_offset_seconds", 0)):
        yield {"series": labelled(name, pbx), "values": f"{value}x{steps}"}


def always_there() -> Iterator[str]:
    """Yield what the exporter shows at 0 before the first call."""
    yield "cdr_emergency_calls_total"
    for trunk in ("a", "b"):
        for kind in ("Inbound", "Outbound"):
            for disposition in ("ANSWERED", "NO ANSWER", "BUSY", "FAILED", "VOICEMAIL"):
                yield rows_series(disposition, kind, trunk)
        for outcome in ("answered", "no_answer", "voicemail", "machine"):
            yield f'cdr_calls_total{{outcome="{outcome}",call_type="Inbound",trunk="{trunk}"}}'


def runs(values: Iterator[float]) -> str:
    return " ".join(f"{value:g}x{len(list(same)) - 1}" for value, same in groupby(values))


Told = dict[tuple[str, str], list[int]]
"""PBX and alert → the minutes of the last week (0 is its Monday) at which it fires."""


def firing(
    offices: Mapping[str, tuple[Office, Trouble]],
    seed: int,
    directory: Path,
    weeks: int = 3,
    judged: range | None = None,
) -> Told:
    """Return what fires in the *judged* minutes of the last of *weeks*."""
    last = MONDAY + (weeks - 1) * WEEK
    minutes = judged or range(0, 7 * MINUTES_OF_DAY, EVALUATION)
    document = {
        "rule_files": [str(_needed_rules(directory))],
        "evaluation_interval": f"{EVALUATION}m",
        "group_eval_order": [
            *("cdr-thresholds.exporter", "cdr-thresholds.telephony", "cdr-thresholds.fraud"),
            *("cdr-kpis.hour", "cdr-kpis.day"),
            *("cdr-telephony.windows", "cdr-telephony.past", "cdr-fraud.past"),
            *("cdr-telephony.trunks", "cdr-telephony.service"),
            *("cdr-fraud.hours", "cdr-fraud.bursts", "cdr-fraud.destinations"),
        ],
        "tests": [
            {
                "interval": f"{STEP}m",
                "input_series": [
                    series
                    for name, (office, trouble) in offices.items()
                    for series in series_of(name, office, trouble, f"{seed}-{name}", weeks)
                ],
                "promql_expr_test": [
                    {
                        "expr": 'ALERTS{alertstate="firing"}',
                        "eval_time": f"{last + minute}m",
                        "exp_samples": [],
                    }
                    for minute in minutes
                ],
            }
        ],
    }
    path = directory / f"offices-{seed}.yml"
    path.write_text(json.dumps(document))
    done = subprocess.run(
        [require("promtool"), "test", "rules", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    return _told(done.stdout + done.stderr, last)


def _needed_rules(directory: Path) -> Path:
    """Write the rules about calls and fraud, and of those they read only what they read: the others
    cost minutes."""
    groups = [
        group
        for name in ("thresholds", "kpis", "telephony", "fraud")
        for group in yaml.safe_load((RULES / f"cdr-{name}.yml").read_text())["groups"]
    ]
    rules = [rule for group in groups for rule in group["rules"]]
    needed: set[str] = set()
    for rule in reversed(rules):
        if "alert" in rule or rule["record"] in needed:
            needed |= metrics_in(rule["expr"]).keys()
    path = directory / "rules.yml"
    kept = [
        {
            **group,
            "rules": [each for each in group["rules"] if each.get("record", "") in {"", *needed}],
        }
        for group in groups
    ]
    path.write_text(json.dumps({"groups": [group for group in kept if group["rules"]]}))
    return path


def _told(output: str, last: int) -> Told:
    """Read what promtool found where it was told to expect nothing."""
    told: Told = defaultdict(list)
    for block in re.split(r"expr: ", output)[1:]:
        time = re.search(r"time: ((?:\d+[wdhms])+)", block)
        assert time, block
        parts = re.findall(r"(\d+)([wdhm])", time[1])
        minute = (
            sum(int(n) * {"w": 10080, "d": 1440, "h": 60, "m": 1}[unit] for n, unit in parts) - last
        )
        for labels in re.findall(r"\{([^}]*)\}", block):
            found = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            if "pbx" in found:  # the query itself has none
                told[found["pbx"], found["alertname"]].append(minute)
    return told


def spells(minutes: Sequence[int]) -> list[tuple[int, int]]:
    """Return begin and end of each time without a break."""
    found: list[tuple[int, int]] = []
    for minute in sorted(set(minutes)):
        if found and minute - found[-1][1] <= EVALUATION:
            found[-1] = (found[-1][0], minute)
        else:
            found.append((minute, minute))
    return found
