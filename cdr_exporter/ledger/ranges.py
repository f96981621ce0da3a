"""Closed ranges of keys, newest first and disjoint."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

Range = tuple[int, int]
"""Lowest and highest key."""

T = TypeVar("T")


def united(ranges: Iterable[Range], nearer_than: int = 1) -> tuple[Range, ...]:
    """Return *ranges* as disjoint ones; what lies *nearer_than* becomes one."""
    found: list[Range] = []
    for low, high in sorted(ranges, key=lambda each: -each[1]):
        if low > high:
            continue
        if found and high >= found[-1][0] - nearer_than:
            found[-1] = (min(low, found[-1][0]), found[-1][1])
        else:
            found.append((low, high))
    return tuple(found)


def without(ranges: Iterable[Range], lowest: int, highest: int) -> tuple[Range, ...]:
    """Take the keys from *lowest* to *highest* out of *ranges*."""
    if lowest > highest:
        return tuple(ranges)
    left = []
    for low, high in ranges:
        if high > highest:
            left.append((max(low, highest + 1), high))
        if low < lowest:
            left.append((low, min(high, lowest - 1)))
    return tuple((low, high) for low, high in left if low <= high)


def within(ranges: Iterable[Range], lowest: int, highest: int) -> tuple[Range, ...]:
    """Return the part of *ranges* from *lowest* to *highest*."""
    cut = ((max(low, lowest), min(high, highest)) for low, high in ranges)
    return tuple((low, high) for low, high in cut if low <= high)


def total(ranges: Iterable[Range]) -> int:
    """Count the keys in *ranges*."""
    return sum(high - low + 1 for low, high in ranges)


def inside(rows: Sequence[T], ranges: Iterable[Range], key: Callable[[T], int]) -> list[T]:
    """Return those of *rows* (keys falling) whose key lies in *ranges*."""

    def falling(row: T) -> int:
        return -key(row)

    found: list[T] = []
    at = 0
    for low, high in ranges:
        start = bisect_left(rows, -high, lo=at, key=falling)
        at = bisect_left(rows, 1 - low, lo=start, key=falling)
        found += rows[start:at]
    return found
