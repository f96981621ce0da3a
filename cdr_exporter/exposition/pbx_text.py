"""The text of one PBX, by family: only what has changed is written again.

Rule: `PBXText.update` raises nothing. A PBX of which something cannot be written is shown as one
that is down, and the page of the others is made.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import tzinfo
from functools import cache
from typing import NamedTuple

from ..clock import Now
from ..logs import for_pbx
from ..metrics.catalogue import TRAFFIC_FAMILIES, UP, UTC_OFFSET
from ..metrics.snapshot import Snapshot
from ..metrics.totals import Series, Totals, Value
from .family_text import NO_TEXT, FamilyText, FamilyWriter, Values
from .rendered import Rendered
from .utc_offset import seconds_until_change, utc_offset

_TRAFFIC = frozenset(family.name for family in TRAFFIC_FAMILIES)

_TRY_AGAIN = 60.0
"""Seconds until what could not be written is tried again, if no snapshot comes before."""

_log = logging.getLogger(__name__)

SeriesValues = Mapping[Series, Sequence[float]]
TextByFamily = Mapping[str, FamilyText]
PBXRendered = Rendered[FamilyText]
_ByFamily = Mapping[str, tuple[Sequence[Series], Values]]


class PBXText:
    """The text of one PBX as it was last *rendered*.

    Without a time *zone* the family of the UTC offset is left out, and so are those whose names
    are in *hidden*, all of them in `TRAFFIC_FAMILIES`.
    """

    def __init__(
        self,
        pbx: str,
        writers: Mapping[str, FamilyWriter],
        zone: tzinfo | None,
        hidden: frozenset[str] = frozenset(),
    ) -> None:
        never = float("-inf")
        self.rendered: PBXRendered = Rendered((Snapshot(pbx=pbx, number=0),), never, never, {})
        self._zone = zone
        self._hidden = hidden
        self._counted = _SeriesText(pbx, writers)
        self._other = _SeriesText(pbx, writers)
        self._failed = False
        self._visible = _Visible(Totals(), frozenset(), frozenset())
        self._born: Mapping[Series, float] = {}
        self._births: frozenset[float] = frozenset()
        self._expired_holds: frozenset[float] = frozenset()

    def update(self, snapshot: Snapshot, now: Now) -> PBXRendered:
        """Return what is visible of *snapshot* at *now*, or of a newer one if that was rendered."""
        [newest] = self.rendered.snapshots
        if snapshot.number < newest.number:
            snapshot = newest
        if not self.rendered.is_current((snapshot,), now):
            try:
                families = self._families(snapshot, now)
                change = self._seconds_until_change(snapshot, now)
            except Exception as error:  # noqa: BLE001 - it must not cost the page of the others
                self._log_failure(snapshot.pbx, error)
                families = self._families(_without_totals(snapshot), now)
                change = _TRY_AGAIN
            else:
                self._failed = False
            self.rendered = Rendered((snapshot,), now.steady, now.steady + change, families)
        return self.rendered

    def _log_failure(self, pbx: str, error: Exception) -> None:
        if not self._failed:
            # Neither the message nor the traceback, which may show values of the state.
            for_pbx(_log, pbx).error(
                "its counters cannot be written and are left out", error=type(error).__name__
            )
        self._failed = True

    def _seconds_until_change(self, snapshot: Snapshot, now: Now) -> float:
        """Return for how many seconds from *now* the text stays right without a new snapshot."""
        change = snapshot.next_change(now)
        return (
            change
            if self._zone is None
            else min(change, seconds_until_change(self._zone, now.wall))
        )

    def _families(self, snapshot: Snapshot, now: Now) -> TextByFamily:
        counted = self._counted_families(snapshot, now)
        other = self._other.update(self._other_series(snapshot, now))
        if both := counted.keys() & other.keys():
            raise ValueError(f"counted, and not counted: {both}")
        return {**counted, **other}

    def _counted_families(self, snapshot: Snapshot, now: Now) -> TextByFamily:
        """Return the text of what is durable, as it is visible."""
        hidden = self._hidden if snapshot.shows_calls(now) else _TRAFFIC
        visible = _Visible(snapshot.totals, hidden, self._held_births(snapshot, now))
        if not visible.is_same(self._visible):
            self._counted.update(visible.series())
            self._visible = visible
        return self._counted.families

    def _other_series(self, snapshot: Snapshot, now: Now) -> SeriesValues:
        """Return what starts with the process, and what is true only now."""
        gauges = {series: (number,) for series, number in snapshot.gauges.items()}
        if self._zone is not None:
            gauges[Series(UTC_OFFSET.name)] = (utc_offset(self._zone, now.wall),)
        return {**snapshot.own, **gauges}

    def _held_births(self, snapshot: Snapshot, now: Now) -> frozenset[float]:
        """Return the times of birth of series that are still shown as 0.

        A series whose hold has expired stays at its value even if the clock is set back.
        """
        if snapshot.totals.born is not self._born:
            self._born, self._births = (
                snapshot.totals.born,
                frozenset(snapshot.totals.born.values()),
            )
        held = frozenset(
            b for b in self._births - self._expired_holds if snapshot.is_shown_at_zero(b, now)
        )
        self._expired_holds = self._births - held
        return held


def _without_totals(snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, totals=Totals(), gauges={**snapshot.gauges, Series(UP.name): 0.0})


class _Visible(NamedTuple):
    """What is to be seen of *totals*: not the families *hidden*, and at 0 what was born *held*."""

    totals: Totals
    hidden: frozenset[str]
    held: frozenset[float]

    def is_same(self, other: _Visible) -> bool:
        """Say whether both show the same, without a look at each series."""
        return self.totals is other.totals and self[1:] == other[1:]

    def series(self) -> SeriesValues:
        """Return the visible series with the values that they show."""
        series, born = self.totals.series, self.totals.born
        if not self.hidden and not self.held:
            return series
        return {
            each: _zeros(len(value)) if self.held and born[each] in self.held else value
            for each, value in series.items()
            if each.family not in self.hidden
        }


@cache
def _zeros(length: int) -> Value:
    """Return as many zeros, the same object each time."""
    return (0,) * length


class _SeriesText:
    """The text of some series of a PBX, by family."""

    def __init__(self, pbx: str, writers: Mapping[str, FamilyWriter]) -> None:
        self.families: TextByFamily = {}
        self._pbx = pbx
        self._writers = writers
        self._shown: SeriesValues = {}

    def update(self, shown: SeriesValues) -> TextByFamily:
        """Return the text that shows *shown*; where it raises, nothing has changed."""
        if list(shown) != list(self._shown):
            self.families = self._written(_sorted_by_family(shown))
        elif changed := self._changed_families(shown):
            self.families = {**self.families, **self._written(self._values(changed, shown))}
        self._shown = shown
        return self.families

    def _written(self, values: _ByFamily) -> TextByFamily:
        return {
            name: self._writers[name].after(
                self.families.get(name, NO_TEXT), self._pbx, *series_and_values
            )
            for name, series_and_values in values.items()
        }

    def _changed_families(self, shown: SeriesValues) -> set[str]:
        """Return the families with a value that changed, where the series are as before.

        By their order: to look each of them up would take longer than all else.
        """
        pairs = zip(shown.items(), self._shown.values(), strict=True)
        return {series.family for (series, now), was in pairs if now is not was and now != was}

    def _values(self, names: Iterable[str], shown: SeriesValues) -> _ByFamily:
        known = {name: self.families[name].series for name in names}
        return {name: (series, [shown[each] for each in series]) for name, series in known.items()}


def _sorted_by_family(shown: SeriesValues) -> _ByFamily:
    found: dict[str, list[Series]] = {}
    for series in shown:
        found.setdefault(series.family, []).append(series)
    return {
        name: (known := tuple(sorted(each)), [shown[series] for series in known])
        for name, each in found.items()
    }
