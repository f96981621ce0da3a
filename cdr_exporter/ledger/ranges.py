"""Arithmetic of closed ranges of keys. Ranges given and returned are disjoint, newest first."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

Range = tuple[int, int]
"""The lowest and the highest key of a range, both in it."""

Item = TypeVar("Item")


def merge(ranges: Iterable[Range], max_distance: int = 1) -> tuple[Range, ...]:
    """Return *ranges*, given in any order, as disjoint ones.

    Two become one where the lowest key of one and the highest of the other are at most
    *max_distance* apart: with 1, where they overlap or touch.
    """
    found: list[Range] = []
    for low, high in sorted(ranges, key=lambda each: -each[1]):
        if low > high:
            continue
        if found and high >= found[-1][0] - max_distance:
            found[-1] = (min(low, found[-1][0]), found[-1][1])
        else:
            found.append((low, high))
    return tuple(found)


def subtract(ranges: Iterable[Range], lowest: int, highest: int) -> tuple[Range, ...]:
    """Return *ranges* without the keys from *lowest* to *highest*."""
    if lowest > highest:
        return tuple(ranges)
    parts = []
    for low, high in ranges:
        if high > highest:
            parts.append((max(low, highest + 1), high))
        if low < lowest:
            parts.append((low, min(high, lowest - 1)))
    return tuple((low, high) for low, high in parts if low <= high)


def intersect(ranges: Iterable[Range], lowest: int, highest: int) -> tuple[Range, ...]:
    """Return the part of *ranges* from *lowest* to *highest*."""
    clipped = ((max(low, lowest), min(high, highest)) for low, high in ranges)
    return tuple((low, high) for low, high in clipped if low <= high)


def count_keys(ranges: Iterable[Range]) -> int:
    """Return how many keys lie in *ranges*."""
    return sum(high - low + 1 for low, high in ranges)


def rows_in(
    rows: Sequence[Item], ranges: Iterable[Range], key: Callable[[Item], int]
) -> list[Item]:
    """Return those of *rows*, sorted by falling *key*, whose key lies in *ranges*."""

    def negated_key(row: Item) -> int:
        return -key(row)

    found: list[Item] = []
    position = 0
    for low, high in ranges:
        start = bisect_left(rows, -high, lo=position, key=negated_key)
        position = bisect_left(rows, 1 - low, lo=start, key=negated_key)
        found += rows[start:position]
    return found
