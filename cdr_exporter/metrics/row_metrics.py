"""How a page of new rows is counted: which row adds to which series.

| family | rows |
|---|---|
| `cdr_records_total`, `cdr_duration_seconds` | every row |
| `cdr_ring_duration_seconds` | ANSWERED or VOICEMAIL, or with ring > 0 |
| `cdr_talk_duration_seconds` | ANSWERED, or with talk > 0 |

Rule: the way of each single row is short, since it decides how fast a million of them are read:
rows are sorted into groups by what the PBX wrote, and everything else is done once a group.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from operator import add
from typing import NamedTuple

from ..cdr import FlawedRecord, Record, Rejected
from ..cdr.labels import OTHER_TRUNK, Labels, labels_of
from .catalogue import (
    DURATION,
    FOLDED_TRUNKS,
    RECORDS,
    REJECTED_FIELDS,
    REJECTED_RECORDS,
    RING,
    TALK,
    UNKNOWN_VALUES,
    Family,
)
from .totals import Bounds, Series, Value

_ALWAYS_RANG = frozenset({"ANSWERED", "VOICEMAIL"})
_ALWAYS_TALKED = frozenset({"ANSWERED"})

_LONGEST_IN_TABLE = 86_400
"""Seconds: longer calls are rare, and a user's last bound may be anything."""


class LabelledRows(NamedTuple):
    """Rows that count under the same *labels*."""

    labels: Labels
    rows: Sequence[Record]


def group_by_labels(rows: Iterable[Record]) -> Sequence[LabelledRows]:
    """Sort *rows* by what decides their labels."""
    groups: dict[tuple[str, ...], list[Record]] = defaultdict(list)
    for row in rows:
        groups[row.disposition, row.call_type, row.src_trunk, row.dst_trunk].append(row)
    return [LabelledRows(labels_of(group[0]), group) for group in groups.values()]


class PageCount:
    """The count of one page; *trunks* are the trunk labels with series of their own so far."""

    def __init__(self, bounds: Bounds, trunks: frozenset[str], max_trunks: int) -> None:
        self.trunks = trunks
        self._bounds = bounds
        # Rows without a trunk have their series from the beginning, and that is no trunk.
        self._max_labels = max_trunks + 1
        self._added: dict[Series, Value] = {}

    def add_rows(self, groups: Iterable[LabelledRows]) -> None:
        """Count each row of *groups*."""
        for group in groups:
            self._count_labelled_rows(group)
            self._count_unusable_fields(group.rows)

    def add_rejected(self, rows: Iterable[Rejected]) -> None:
        """Count rows that cannot be counted as CDRs."""
        for reason, times in Counter(row.reason for row in rows).items():
            self.add_event(REJECTED_RECORDS, times, reason)

    def add_event(self, family: Family, times: int, *label: str) -> None:
        """Count something that is not about one label set."""
        if times:
            self._add_to_series(Series(family.name, label), (times,))

    def series(self) -> Mapping[Series, Value]:
        """Return what the page adds to the totals; a histogram is born when it has a row."""
        return self._added

    def _count_labelled_rows(self, group: LabelledRows) -> None:
        disposition, call_type, trunk, unknown = group.labels
        times = len(group.rows)
        if not self._has_own_series(trunk):
            trunk = OTHER_TRUNK
            self.add_event(FOLDED_TRUNKS, times)
        for field in unknown:
            self.add_event(UNKNOWN_VALUES, times, field)
        records, duration, ring, talk = _series_of((disposition, call_type, trunk))
        self._add_to_series(records, (times,))
        self._observe(DURATION, duration, [row.duration for row in group.rows])
        rung = [row.ring_duration for row in group.rows]
        self._observe(RING, ring, rung if disposition in _ALWAYS_RANG else _nonzero(rung))
        talked = [row.talk_duration for row in group.rows]
        self._observe(TALK, talk, talked if disposition in _ALWAYS_TALKED else _nonzero(talked))

    def _count_unusable_fields(self, rows: Sequence[Record]) -> None:
        if FlawedRecord not in set(map(type, rows)):
            return
        flawed = (row for row in rows if isinstance(row, FlawedRecord))
        for field, times in Counter(
            fault for row in flawed for fault in row.unusable_fields
        ).items():
            self.add_event(REJECTED_FIELDS, times, field)

    def _observe(self, family: Family, series: Series, seconds: Sequence[int]) -> None:
        if seconds:
            self._add_to_series(series, histogram_value(seconds, self._bounds[family.buckets]))

    def _add_to_series(self, series: Series, value: Value) -> None:
        known = self._added.get(series)
        self._added[series] = value if known is None else tuple(map(add, known, value))

    def _has_own_series(self, trunk: str) -> bool:
        """Say whether *trunk* has series of its own; once admitted it stays so."""
        if trunk not in self.trunks and len(self.trunks) < self._max_labels:
            self.trunks |= {trunk}
        return trunk in self.trunks


def _nonzero(seconds: Sequence[int]) -> Sequence[int]:
    return [each for each in seconds if each]


@lru_cache(maxsize=4096)
def _series_of(values: tuple[str, str, str]) -> tuple[Series, Series, Series, Series]:
    """Return the series of one label set."""
    records, duration, ring, talk = (
        Series(f.name, values) for f in (RECORDS, DURATION, RING, TALK)
    )
    return records, duration, ring, talk


def histogram_value(seconds: Sequence[int], bounds: tuple[int, ...]) -> Value:
    """Return the histogram value of *seconds*: rows by bucket, then the sum."""
    counts = [0] * (len(bounds) + 1)
    bucket_of = _bucket_table(bounds)
    if max(seconds) < len(bucket_of):
        for each in seconds:
            counts[bucket_of[each]] += 1
    else:
        for each in seconds:
            counts[bisect_left(bounds, each)] += 1
    return (*counts, sum(seconds))


def histogram_value_of_counts(times: Mapping[int, int], bounds: tuple[int, ...]) -> Value:
    """Return the histogram value of numbers of which it is known how many *times* they came."""
    counts = [0] * (len(bounds) + 1)
    for number, count in times.items():
        counts[bisect_left(bounds, number)] += count
    return (*counts, sum(number * count for number, count in times.items()))


@lru_cache(maxsize=32)
def _bucket_table(bounds: tuple[int, ...]) -> Sequence[int]:
    """Return the bucket of every whole number of seconds that is usual for a call."""
    longest = min(bounds[-1], _LONGEST_IN_TABLE)
    return array("H", (bisect_left(bounds, seconds) for seconds in range(longest + 1)))
