"""New values of series: what was known, with what a page adds. Pure: what was known stays.

Rule: as little as possible is done per row and per series, since that decides how long reading a
million rows takes. So a value is a list of numbers while a page is counted, made of the known one.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from functools import lru_cache

from .totals import Series, Value

_LONGEST_IN_TABLE = 86_400
"""Seconds up to which buckets are looked up in a table: longer calls are rare, and a user may
configure any last bound."""


class NewValues:
    """The values of the series to which something is added.

    *known* are their values before; a series that is not among these begins at 0.
    """

    def __init__(self, known: Mapping[Series, Value]) -> None:
        self._known = known
        self._values: dict[Series, list[int]] = {}

    def add(self, series: Series, times: int) -> None:
        """Raise the counter *series* by *times*."""
        self._value(series, 1)[0] += times

    def observe(self, series: Series, seconds: Sequence[int], bounds: tuple[int, ...]) -> None:
        """Add *seconds*, one or more, to the histogram *series* with these *bounds*."""
        value = self._value(series, len(bounds) + 2)
        bucket_of = _bucket_table(bounds)
        if max(seconds) < len(bucket_of):
            for each in seconds:
                value[bucket_of[each]] += 1
        else:
            for each in seconds:
                value[bisect_left(bounds, each)] += 1
        value[-1] += sum(seconds)

    def by_series(self) -> dict[Series, Value]:
        """Return the new value of each series to which something was added."""
        return {series: tuple(value) for series, value in self._values.items()}

    def _value(self, series: Series, length: int) -> list[int]:
        value = self._values.get(series)
        if value is None:
            value = self._values[series] = list(self._known.get(series) or (0,) * length)
        return value


@lru_cache(maxsize=32)
def _bucket_table(bounds: tuple[int, ...]) -> Sequence[int]:
    """Return a table: the bucket of each whole number of seconds that is usual for a call."""
    longest = min(bounds[-1], _LONGEST_IN_TABLE)
    return array("H", (bisect_left(bounds, seconds) for seconds in range(longest + 1)))
