"""The lines of one PBX, each written again only when its value changed.

A block is all lines of one series: one line for a counter or gauge, several for a histogram.

Rule: `PBXText.update` raises nothing. A PBX of which something cannot be written is shown as one
that is down, and the page of the others is made.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import tzinfo

from ..clock import Now
from ..logs import for_pbx
from ..metrics.catalogue import TRAFFIC_FAMILIES, UP, UTC_OFFSET
from ..metrics.snapshot import Snapshot
from ..metrics.totals import Series, Totals, Value
from .lines import Writer
from .utc_offset import seconds_until_change, utc_offset

_TRAFFIC = frozenset(family.name for family in TRAFFIC_FAMILIES)

Blocks = Sequence[bytes]

_TRY_AGAIN = 60.0
"""Seconds until what could not be written is tried again, if no snapshot comes before."""

_log = logging.getLogger(__name__)


class PBXText:
    """The text of one PBX as it was last rendered; *newest* is the snapshot it was rendered from.

    Without a time *zone* the family of the UTC offset is left out, and so are those whose names
    are in *hidden*, all of them in `TRAFFIC_FAMILIES`.
    """

    def __init__(
        self,
        pbx: str,
        writers: Mapping[str, Writer],
        zone: tzinfo | None,
        hidden: frozenset[str] = frozenset(),
    ) -> None:
        self.newest = Snapshot(pbx=pbx, number=0)
        self.valid_until = float("-inf")
        """Time on the steady clock up to which the text stays right if no snapshot is published."""
        self._writers = writers
        self._zone = zone
        self._hidden = hidden
        self._families: dict[str, FamilyText] = {}
        self._shown: Mapping[str, Blocks] = {}
        self._failed = False
        self._zeros: dict[int, Value] = {}
        self._expired_holds: frozenset[float] = frozenset()

    def update(self, snapshot: Snapshot, now: Now) -> Mapping[str, Blocks]:
        """Return the blocks of each family that is visible at *now*, by family name.

        They show *snapshot*, or a newer one if that was rendered before.
        """
        if snapshot.number < self.newest.number:
            snapshot = self.newest
        if snapshot is not self.newest or now.steady >= self.valid_until:
            try:
                self._shown = self._rendered(snapshot, now)
                change = self._seconds_until_change(snapshot, now)
            except Exception as error:  # noqa: BLE001 - it must not cost the page of the others
                self._log_failure(snapshot.pbx, error)
                self._shown = self._rendered(_without_totals(snapshot), now)
                change = _TRY_AGAIN
            else:
                self._failed = False
            self.newest, self.valid_until = snapshot, now.steady + change
        return self._shown

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

    def _rendered(self, snapshot: Snapshot, now: Now) -> Mapping[str, Blocks]:
        shown: dict[str, dict[Series, Sequence[float]]] = {}
        for series, value in self._visible_series(snapshot, now):
            shown.setdefault(series.family, {})[series] = value
        for name, values in shown.items():
            if name not in self._families:
                self._families[name] = FamilyText(snapshot.pbx, self._writers[name])
            self._families[name].update(values)
        return {name: self._families[name].blocks for name in shown}

    def _visible_series(
        self, snapshot: Snapshot, now: Now
    ) -> Iterable[tuple[Series, Sequence[float]]]:
        hidden = self._hidden if snapshot.shows_calls(now) else _TRAFFIC
        born = snapshot.totals.born
        held = self._held_births(snapshot, now)
        for series, value in snapshot.totals.series.items():
            if series.family not in hidden:
                yield series, self._zero(value) if held and born[series] in held else value
        yield from snapshot.own.items()
        for series, number in snapshot.gauges.items():
            yield series, (number,)
        if self._zone is not None:
            yield Series(UTC_OFFSET.name), (utc_offset(self._zone, now.wall),)

    def _held_births(self, snapshot: Snapshot, now: Now) -> frozenset[float]:
        """Return the times of birth of series that are still shown as 0.

        A series whose hold has expired stays at its value even if the clock is set back.
        """
        births = frozenset(snapshot.totals.born.values())
        held = frozenset(
            b for b in births - self._expired_holds if snapshot.is_shown_at_zero(b, now)
        )
        self._expired_holds = births - held
        return held

    def _zero(self, value: Value) -> Value:
        """Return as many zeros as *value* has numbers, the same object for each length."""
        return self._zeros.setdefault(len(value), (0,) * len(value))


def _without_totals(snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, totals=Totals(), gauges={**snapshot.gauges, Series(UP.name): 0.0})


class FamilyText:
    """The blocks of one family of one PBX, sorted by label values."""

    def __init__(self, pbx: str, write: Writer) -> None:
        self.blocks: Blocks = ()
        self._pbx = pbx
        self._write = write
        self._values: dict[Series, Sequence[float]] = {}
        self._lines: dict[Series, bytes] = {}

    def update(self, values: dict[Series, Sequence[float]]) -> None:
        """Write the lines of series whose value changed, and leave out series not in *values*."""
        known = self._values
        changed = [s for s, v in values.items() if (k := known.get(s)) is not v and k != v]
        if not changed and values.keys() == known.keys():
            return
        for series in changed:
            self._lines[series] = self._write(self._pbx, series, values[series])
        self._values = values
        self.blocks = [self._lines[series] for series in sorted(values)]
