"""PBXs that change step by step, as pollers publish them, and what a scrape must show of them.

The steps are few and small, so that a test can draw them: any of `STEPS`, of any PBX, with any
number, which says which series it concerns or how long it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cdr_exporter.clock import Now
from cdr_exporter.metrics.catalogue import (
    BACKLOG,
    CALLS,
    DURATION,
    EMERGENCY_CALLS,
    FAMILIES,
    INGEST_DELAY,
    LAST_SUCCESS,
    POLLS,
    RECORDS,
    TRAFFIC_FAMILIES,
    UP,
)
from cdr_exporter.metrics.self_metrics import SelfMetrics
from cdr_exporter.metrics.snapshot import Snapshot
from cdr_exporter.metrics.totals import Bounds, Series, Totals, Value, initial_totals, value_length

STALE_SECONDS, BIRTH_HOLD = 300.0, 120.0

_BY_NAME = {family.name: family for family in FAMILIES}
_TRAFFIC = {family.name for family in TRAFFIC_FAMILIES}
_UNWRITABLE = Series(RECORDS.name, ("a label is missing",))


@dataclass
class ChangingPBX:
    """One PBX; *trunks* are the names that new series have."""

    name: str
    bounds: Bounds
    trunks: Sequence[str] = tuple(f"trunk {number}" for number in range(40))
    totals: Totals = field(default_factory=initial_totals)
    is_shown: bool = True
    is_broken: bool = False
    fresh_until: float = STALE_SECONDS
    snapshot: Snapshot = field(init=False)
    self_metrics: SelfMetrics = field(init=False)

    def __post_init__(self) -> None:
        self.self_metrics = SelfMetrics(self.bounds)
        self.publish()

    def publish(self) -> None:
        """Publish what has changed."""
        totals = self.totals
        if self.is_broken:
            series = {**totals.series, _UNWRITABLE: (1,)}
            totals = replace(totals, series=series, born={**totals.born, _UNWRITABLE: 0.0})
        self.snapshot = Snapshot(
            pbx=self.name,
            totals=totals,
            own=self.self_metrics.own,
            gauges=self.self_metrics.gauges,
            shown=self.is_shown,
            # What cannot be written is tried again after a while, and not when it is stale.
            fresh_until=float("inf") if self.is_broken else self.fresh_until,
            birth_hold=BIRTH_HOLD,
        )

    def poll(self, number: int, now: Now) -> None:
        """Answer a poll that brings nothing."""
        self.self_metrics.add(POLLS)
        self.self_metrics.set(UP, 1)
        self.self_metrics.set(LAST_SUCCESS, now.wall)
        self.self_metrics.set(BACKLOG, number)
        self.fresh_until = now.steady + STALE_SECONDS

    def row(self, number: int, now: Now) -> None:
        """Count a row, perhaps of a trunk that nobody has seen."""
        self.self_metrics.observe(INGEST_DELAY, [number])
        trunk = self.trunks[number % len(self.trunks)]
        labels = ("ANSWERED", "Inbound", trunk)
        counted = {Series(RECORDS.name, labels): (1,), Series(DURATION.name, labels): self._one(1)}
        self._count(counted, {trunk}, now)

    def count_rows(self, numbers: Iterable[int], now: Now) -> None:
        """Publish after a row of each of these numbers."""
        for number in numbers:
            self.row(number, now)
        self.publish()

    def call(self, number: int, now: Now) -> None:
        """Count a call."""
        trunk = self.trunks[number % len(self.trunks)]
        counted = {Series(CALLS.name, ("answered", "Inbound", trunk)): (number,)}
        self._count({**counted, Series(EMERGENCY_CALLS.name): (1,)}, {trunk}, now)

    def hide(self, number: int, now: Now) -> None:
        """Have something unread, or no longer."""
        self.is_shown = not self.is_shown

    def break_down(self, number: int, now: Now) -> None:
        """Have values that cannot be written, or no longer."""
        self.is_broken = not self.is_broken

    def begin_anew(self, number: int, now: Now) -> None:
        """Lose the state."""
        self.totals = initial_totals()

    def _one(self, seconds: int) -> Value:
        length = value_length(DURATION, self.bounds)
        return (1, *[0] * (length - 2), seconds)

    def _count(self, counted: Mapping[Series, Value], trunks: set[str], now: Now) -> None:
        self.totals = self.totals.merged(counted, self.totals.trunks | trunks, now.wall)

    def visible(self, now: Now) -> Snapshot:
        """Return what a scrape at *now* must show, by the words of the documentation."""
        shot = self.snapshot
        if self.is_broken and self.is_shown:
            gauges = {**shot.gauges, Series(UP.name): 0.0}
            return replace(shot, totals=Totals(), gauges=gauges)
        series = {
            each: (0,) * len(value) if self._is_held(each, now) else value
            for each, value in shot.totals.series.items()
            if each.family not in _TRAFFIC or shot.shows_calls(now)
        }
        return replace(shot, totals=replace(shot.totals, series=series))

    def _is_held(self, series: Series, now: Now) -> bool:
        return 0 <= now.wall - self.snapshot.totals.born[series] < BIRTH_HOLD


Step = Callable[[ChangingPBX, int, Now], Any]

STEPS: Mapping[str, Step] = {
    "poll": ChangingPBX.poll,
    "row": ChangingPBX.row,
    "call": ChangingPBX.call,
    "hide": ChangingPBX.hide,
    "break down": ChangingPBX.break_down,
    "begin anew": ChangingPBX.begin_anew,
}


@dataclass
class ChangingFleet:
    """PBXs that change, leave and come back; *now* goes on by what a step takes."""

    pbxs: Mapping[str, ChangingPBX]
    now: Now = field(default_factory=lambda: Now(wall=50_000.0, steady=0.0))
    gone: set[str] = field(default_factory=set)

    def change(self, step: str, name: str, number: int) -> None:
        """Make one of `STEPS`, or `leave`, of the PBX *name*, or let time go by: `wait`."""
        pbx = self.pbxs[name]
        if step == "wait":
            self.now = Now(self.now.wall + number, self.now.steady + number)
        elif step == "leave":
            self.gone ^= {name}
        else:
            STEPS[step](pbx, number, self.now)
            pbx.publish()

    @property
    def shown(self) -> list[ChangingPBX]:
        """Those that are there, in order."""
        return [pbx for pbx in self.pbxs.values() if pbx.name not in self.gone]


ALL_STEPS = (*STEPS, "wait", "leave")
