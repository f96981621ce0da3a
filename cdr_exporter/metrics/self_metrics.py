"""Metrics about the exporter itself, for one PBX: they start at 0 with the process.

Rule: one thread writes them, that of the PBX's poller, and a snapshot takes a copy. They go on
when a poller failed and is started again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from .catalogue import (
    CLOCK_OFFSET,
    FAMILIES,
    GAUGE,
    LAST_RECORD,
    PBX_RECORDS,
    UTC_OFFSET,
    Family,
)
from .totals import Bounds, Series, Value, zeros

_ABSENT_UNTIL_FIRST_SET = {PBX_RECORDS, LAST_RECORD, CLOCK_OFFSET}
_COMPUTED_AT_SCRAPE = {UTC_OFFSET}
"""Computed at each scrape from the time zone, so no value is kept here."""

_NOT_AT_ZERO = _ABSENT_UNTIL_FIRST_SET | _COMPUTED_AT_SCRAPE


class SelfMetrics:
    """Counters, histograms and gauges. Series with known label values exist at 0 from the start."""

    def __init__(self, bounds: Bounds) -> None:
        ours = [f for f in FAMILIES if not f.process_wide and f not in _NOT_AT_ZERO]
        self._bounds = bounds
        self._own = zeros((f for f in ours if f.kind != GAUGE and not f.durable), bounds)
        self._gauges = dict.fromkeys(zeros(f for f in ours if f.kind == GAUGE), 0.0)

    def add(self, family: Family, *labels: str, by: int = 1) -> None:
        """Raise the counter *family* with *labels* by *by*."""
        series = Series(family.name, labels)
        self._own[series] = (self._own[series][0] + by,)

    def observe(self, family: Family, seconds: Iterable[int]) -> None:
        """Add *seconds* to the histogram *family*, which has no labels."""
        series = Series(family.name)
        *counts, total = self._own[series]
        bounds = self._bounds[family.buckets]
        for each in seconds:
            counts[bisect_left(bounds, each)] += 1
            total += each
        self._own[series] = (*counts, total)

    def set(self, family: Family, value: float, *labels: str) -> None:
        """Set the gauge *family* with *labels*."""
        self._gauges[Series(family.name, labels)] = value

    def set_or_remove(self, family: Family, value: float | None) -> None:
        """Set the gauge *family*, which has no labels; None removes it until it is set again."""
        if value is None:
            self._gauges.pop(Series(family.name), None)
        else:
            self.set(family, value)

    def set_only(self, family: Family, label: str | None) -> None:
        """Set the sample of *label* to 1 and the other known ones of *family* to 0.

        None sets all of them to 0.
        """
        for known in family.known:
            self.set(family, float(known == label), known)

    @property
    def own(self) -> dict[Series, Value]:
        """A copy of the counters and histograms."""
        return dict(self._own)

    @property
    def gauges(self) -> dict[Series, float]:
        """A copy of the gauges."""
        return dict(self._gauges)
