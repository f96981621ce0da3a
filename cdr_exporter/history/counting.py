"""What the exporter would have counted of one PBX by a time, and when each series was born.

Rule: rows and calls are counted by the code that counts them live (`metrics`), a row at its end
and a call at the end of its last leg. A sample at a time counts what ended before it, so that from
midnight to midnight is what ended on that day.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice, pairwise
from typing import TypeVar

from ..calls import Leg, assemble_call, group_calls
from ..cdr import Record
from ..cdr.labels import Labels
from ..metrics.call_metrics import count_calls
from ..metrics.catalogue import TRAFFIC_FAMILIES
from ..metrics.row_metrics import LabelledRows, PageCount
from ..metrics.totals import SHOWN_FROM_START, Bounds, Series, Totals, Value, initial_totals
from ..store import LegFile

_BATCH = 2_000
"""Rows or calls that are in memory at once."""

_TRAFFIC = frozenset(family.name for family in TRAFFIC_FAMILIES)

_T = TypeVar("_T")

Changes = dict[Series, list[tuple[int, Value]]]
"""For each series its value at the first time of a block at which it exists, and each time (epoch
seconds) at which it has another."""


class Counting:
    """Counts what is in *legs* and ended before *until*; *totals* is what was counted so far."""

    def __init__(
        self,
        legs: LegFile,
        bounds: Bounds,
        max_trunks: int,
        number_zeros: Mapping[Series, Value],
        until: float = float("inf"),
    ) -> None:
        self.totals = initial_totals(number_zeros=number_zeros)
        self._legs = legs
        self._bounds = bounds
        self._max_trunks = max_trunks
        self._number_zeros = number_zeros
        self._until = until

    def begin(self, at: int, *, baseline: bool) -> None:
        """Count what ended before *at* (epoch seconds), as a baseline.

        Without *baseline* every series begins at 0; only the trunks of before are known.
        """
        self.count(0, at)
        if not baseline:
            known = self.totals.trunks
            self.totals = initial_totals(known, self._number_zeros)

    def count(self, begin: int, end: int) -> Collection[Series]:
        """Count what ended from *begin* to before *end*; return the series that changed."""
        changed: set[Series] = set()
        end = int(min(end, self._until))
        for rows in _batches(self._legs.rows(begin, end)):
            count = PageCount(self._bounds, self.totals.trunks, self._max_trunks)
            count.add_rows(_labelled(rows))
            changed |= self._merge(count.series(), count.trunks)
        for calls in _batches(self._legs.calls(begin, end)):
            trunks = self.totals.trunks
            counted = count_calls(group_calls(map(assemble_call, calls)), self._bounds, trunks)
            changed |= self._merge(counted, trunks)
        return changed

    def _merge(self, counted: Mapping[Series, Value], trunks: frozenset[str]) -> set[Series]:
        shown = {key: value for key, value in counted.items() if key.family in _TRAFFIC}
        before, self.totals = self.totals, self.totals.merged(shown, trunks, SHOWN_FROM_START)
        if len(self.totals.series) == len(before.series):
            return set(shown)
        return {*shown, *(self.totals.series.keys() - before.series.keys())}


def timeline(counting: Counting, blocks: Sequence[range]) -> Iterator[tuple[range, Changes]]:
    """Yield the changes in each of *blocks*, oldest first; *counting* has begun at the first.

    A series that is born later begins with a 0, one step before its first count.
    """
    for block, following in pairwise([*blocks, None]):
        assert block is not None  # noqa: S101 (only the last one is)
        changes = _values_at(block[0], counting.totals)
        for earlier, time in pairwise(block):
            _note(changes, counting, earlier, time, shown=True)
        if following is not None:
            _note(changes, counting, block[-1], following[0], shown=False)
        yield block, changes


def _values_at(time: int, totals: Totals) -> Changes:
    return {key: [(time, value)] for key, value in totals.series.items() if key.family in _TRAFFIC}


def _note(changes: Changes, counting: Counting, earlier: int, time: int, *, shown: bool) -> None:
    """Count what ended between two times of samples; note it at *time*, if that is *shown* here."""
    for series in counting.count(earlier, time):
        value = counting.totals.series[series]
        known = changes.setdefault(series, [(earlier, (0,) * len(value))])
        if shown:
            known.append((time, value))


def _labelled(rows: Iterable[tuple[str, Leg]]) -> Iterator[LabelledRows]:
    groups: dict[Labels, list[Record]] = defaultdict(list)
    for disposition, leg in rows:
        labels = Labels(disposition, leg.call_type, leg.trunk, came_in_by=leg.came_in_by)
        groups[labels].append(
            Record(duration=leg.duration, ring_duration=leg.ring, talk_duration=leg.talk)
        )
    return (LabelledRows(labels, group) for labels, group in groups.items())


def _batches(items: Iterable[_T]) -> Iterator[list[_T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, _BATCH)):
        yield batch
