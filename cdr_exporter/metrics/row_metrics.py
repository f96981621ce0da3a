"""What a page of new rows adds to the totals: which row counts in which family.

| family | rows |
|---|---|
| `cdr_records_total`, `cdr_duration_seconds` | every row |
| `cdr_ring_duration_seconds` | ANSWERED or VOICEMAIL, or with ring > 0 |
| `cdr_talk_duration_seconds` | ANSWERED, or with talk > 0 |

Rule: as little as possible is done per row, since that decides how long reading a million rows
takes. Rows are grouped by what the PBX wrote, and everything else is done once per group.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from operator import attrgetter
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
from .new_values import NewValues
from .totals import Bounds, Series, Value

_ALWAYS_RANG = frozenset({"ANSWERED", "VOICEMAIL"})
_ALWAYS_TALKED = frozenset({"ANSWERED"})


class LabelledRows(NamedTuple):
    """Rows that have the same *labels*."""

    labels: Labels
    rows: Sequence[Record]


def group_by_labels(rows: Iterable[Record]) -> Sequence[LabelledRows]:
    """Group *rows* by the fields that decide their labels."""
    groups: dict[tuple[str, ...], list[Record]] = defaultdict(list)
    for row in rows:
        groups[_fields_of_labels(row)].append(row)
    return [LabelledRows(labels_of(group[0]), group) for group in groups.values()]


_fields_of_labels = attrgetter("disposition", "call_type", "src_trunk", "dst_trunk")


class PageCount:
    """What one page adds to the totals.

    *trunks* are the trunk labels that have series of their own so far; new ones are added to it, up
    to *max_trunks*. Rows of further trunks count under `other`. *known* are the values to which is
    added; without any, each series begins at 0.
    """

    def __init__(
        self,
        bounds: Bounds,
        trunks: frozenset[str],
        max_trunks: int,
        known: Mapping[Series, Value] | None = None,
    ) -> None:
        self.trunks = trunks
        self._bounds = bounds
        # One more, for the label of rows without a trunk: it always exists and is not a trunk.
        self._max_labels = max_trunks + 1
        self._values = NewValues(known or {})

    def add_rows(self, groups: Iterable[LabelledRows]) -> None:
        """Count each row of *groups*."""
        for group in groups:
            self._count_labelled_rows(group)
            self._count_unusable_fields(group.rows)

    def add_rejected(self, rows: Iterable[Rejected]) -> None:
        """Count *rows* as rejected, by reason."""
        for reason, times in Counter(row.reason for row in rows).items():
            self.add_event(REJECTED_RECORDS, times, reason)

    def add_event(self, family: Family, times: int, *label: str) -> None:
        """Raise the counter *family* by *times*, in the series with *label*; 0 adds no series."""
        if times:
            self._values.add(Series(family.name, label), times)

    def series(self) -> Mapping[Series, Value]:
        """Return the value of each series to which the page adds something."""
        return self._values.by_series()

    def _count_labelled_rows(self, group: LabelledRows) -> None:
        disposition, call_type, trunk, unknown, came_in_by, _ = group.labels
        times = len(group.rows)
        if not self._has_own_series(trunk):
            trunk = OTHER_TRUNK
            self.add_event(FOLDED_TRUNKS, times)
        if came_in_by:
            # The call may count under it, though the row counts under the trunk that it left by.
            self._has_own_series(came_in_by)
        for field in unknown:
            self.add_event(UNKNOWN_VALUES, times, field)
        records, duration, ring, talk = _series_of((disposition, call_type, trunk))
        self._values.add(records, times)
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
            self._values.observe(series, seconds, self._bounds[family.buckets])

    def _has_own_series(self, trunk: str) -> bool:
        """Say whether *trunk* has series of its own; give it some while there is room."""
        if trunk not in self.trunks and len(self.trunks) < self._max_labels:
            self.trunks |= {trunk}
        return trunk in self.trunks


def _nonzero(seconds: Sequence[int]) -> Sequence[int]:
    return [each for each in seconds if each]


@lru_cache(maxsize=4096)
def _series_of(values: tuple[str, str, str]) -> tuple[Series, Series, Series, Series]:
    """Return the four series of rows with these label values; cached, since labels recur."""
    records, duration, ring, talk = (
        Series(f.name, values) for f in (RECORDS, DURATION, RING, TALK)
    )
    return records, duration, ring, talk
