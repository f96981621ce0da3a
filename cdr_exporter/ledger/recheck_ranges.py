"""Ranges to be rechecked: keys that were read and where rows may still appear late.

By id, a row appears late when it was written more slowly than a row with a higher id. Then its id
was missing when the page around it was read. So missing ids are to be rechecked if their
neighbours ended at most `late_window` before the newest call. They are read again while they have
been missing for less than `late_window`, and dropped by the first read after that. Only a read can
drop them: a day without an answer from the PBX drops nothing.

By time, a row appears at its *start* when the call ends. So every second is to be rechecked, until
no call that may still end can have begun in it. Each part of that window has its own last read:
the seconds since the oldest call that only waits for it are read often, all of them seldom.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from ..cdr import MAX_ID
from .ranges import Range, intersect, merge, rows_in, subtract

MAX_RANGES = 1_000
"""The most ranges kept; the oldest are dropped first. A late row in a dropped range is noticed only
while it lies at or above the ledger's `remembered_from`."""

MERGE_DISTANCE = 50
"""Ranges that are at most so many keys apart are read as one: reading the rows between them costs
the PBX less than another request."""

_SAME_READ = 60.0
"""Seconds between two reads up to which they are treated as one, where nothing else is said."""


@dataclass(frozen=True, slots=True)
class RecheckRange:
    """The keys from *low* to *high*, to be rechecked.

    *missing_since* is when they were first found missing (epoch seconds; 0 by time, where rows may
    appear anywhere); of an earlier process, when this one first read them, since the clock may have
    been set in between. *last_read* is when this process last read them (epoch seconds): 0 before
    that and never stored, so that every start reads each range once.
    """

    low: int
    high: int
    missing_since: int = 0
    last_read: float = field(default=0.0, compare=False)

    def span(self) -> Range:
        """Return its lowest and highest key."""
        return (self.low, self.high)


def spans(ranges: Iterable[RecheckRange]) -> tuple[Range, ...]:
    """Return the keys of *ranges*."""
    return tuple(each.span() for each in ranges)


def due(ranges: Iterable[RecheckRange], now: float, interval: float) -> tuple[Range, ...]:
    """Return the ranges of keys that, at *now*, have not been read for *interval* seconds.

    Only those that have waited longest are returned. Where the PBX is slow, they might otherwise
    never have their turn, since what is read before them is soon due again.
    """
    overdue = [each for each in ranges if not 0 <= now - each.last_read < interval]
    oldest = min((each.last_read for each in overdue), default=0.0)
    return merge(
        (each.span() for each in overdue if each.last_read <= oldest + _SAME_READ), MERGE_DISTANCE
    )


def not_read_since(
    ranges: Iterable[RecheckRange], lowest: int, since: float, now: float
) -> tuple[Range, ...]:
    """Return the ranges of keys from *lowest* up that were not read from *since* to *now*."""
    old = (each for each in ranges if not since <= each.last_read <= now)
    return intersect(merge((each.span() for each in old), MERGE_DISTANCE), lowest, MAX_ID)


def read_since(ranges: Iterable[RecheckRange]) -> tuple[tuple[int, float], ...]:
    """Return since when everything is read from each range up: (its highest key, epoch seconds).

    The lowest range comes first. For any key, the first pair with this or a higher key holds.
    """
    found: list[tuple[int, float]] = []
    oldest = float("inf")
    for each in sorted(ranges, key=lambda one: -one.high):
        oldest = min(oldest, each.last_read)
        found.append((each.high, oldest))
    return tuple(reversed(found))


def after_page(
    ranges: Iterable[RecheckRange], evidence: Range, now: float, interval: float
) -> tuple[RecheckRange, ...]:
    """Return *ranges* once a page, read at *now*, was evidence for the keys in *evidence*.

    What was due for a read every *interval* seconds, and lies in *evidence*, is noted as read.
    """
    return tuple(
        part for each in ranges for part in _split_by_evidence(each, evidence, now, interval)
    )


def _split_by_evidence(
    each: RecheckRange, evidence: Range, now: float, interval: float
) -> Iterable[RecheckRange]:
    low, high = max(each.low, evidence[0]), min(each.high, evidence[1])
    # A range that is not due stays in one piece: otherwise each first page would cut off a part.
    if low > high or 0 <= now - each.last_read < interval:
        return (each,)
    rest = (replace(each, low=part[0], high=part[1]) for part in subtract([each.span()], low, high))
    missing_since = int(now) if each.missing_since and not each.last_read else each.missing_since
    return (replace(each, low=low, high=high, missing_since=missing_since, last_read=now), *rest)


def with_clock_set(ranges: Iterable[RecheckRange], seconds: float) -> tuple[RecheckRange, ...]:
    """Return *ranges* once our clock was set ahead by *seconds*, or back where that is negative.

    So how long ago something was stays the same.
    """
    return tuple(
        replace(
            each,
            missing_since=each.missing_since and max(1, each.missing_since + round(seconds)),
            last_read=each.last_read and each.last_read + seconds,
        )
        for each in ranges
    )


def without_keys(
    ranges: Iterable[RecheckRange], lowest: int, highest: int
) -> tuple[RecheckRange, ...]:
    """Return *ranges* without the keys from *lowest* to *highest*."""
    return tuple(
        replace(each, low=low, high=high)
        for each in ranges
        for low, high in subtract([each.span()], lowest, highest)
    )


def without_rows(
    ranges: Iterable[RecheckRange], ids: Sequence[int], now: float
) -> tuple[RecheckRange, ...]:
    """Return *ranges* without the *ids*, sorted highest first, of rows that turned up by *now*.

    Where one turned up, others may be written just now: what is left is missing only since then.
    """
    return tuple(part for each in ranges for part in _without_rows(each, ids, now))


def _without_rows(each: RecheckRange, ids: Sequence[int], now: float) -> Iterable[RecheckRange]:
    found = rows_in(ids, [each.span()], int)
    if not found:
        return (each,)
    parts = missing_ranges([each.span()], found)
    return (replace(each, low=low, high=high, missing_since=int(now)) for low, high in parts)


def normalized(
    ranges: Iterable[RecheckRange], same_read: float = _SAME_READ
) -> tuple[RecheckRange, ...]:
    """Return *ranges* newest first, with neighbours of one age as one, and at most `MAX_RANGES`.

    Reads at most *same_read* seconds apart are of one age.
    """
    found: list[RecheckRange] = []
    for each in sorted(ranges, key=lambda one: -one.high):
        if found and _can_merge(found[-1], each, same_read):
            last_read = min(found[-1].last_read, each.last_read)
            found[-1] = replace(found[-1], low=min(found[-1].low, each.low), last_read=last_read)
        else:
            found.append(each)
    return tuple(found[:MAX_RANGES])


def missing_ranges(ranges: Iterable[Range], present: Sequence[int]) -> Iterator[Range]:
    """Yield the parts of *ranges* that hold no id of *present*, which is sorted, highest first."""
    for low, high in ranges:
        upper = high
        for each in rows_in(present, [(low, high)], int):
            if each < upper:
                yield (each + 1, upper)
            upper = each - 1
        if low <= upper:
            yield (low, upper)


def _can_merge(above: RecheckRange, below: RecheckRange, same_read: float) -> bool:
    touching = below.high >= above.low - 1
    return (
        touching
        and above.missing_since == below.missing_since
        and abs(above.last_read - below.last_read) < same_read
    )
