"""Keys that were read and may still bring rows: where rows may turn up late, and until when.

By id, a row turns up late where its writer was slower than that of a higher id. Its id was
missing when the page around it was read, and its neighbours had ended no longer than
`late_window` before the newest call: such ids are to be rechecked. They are read again while they
are younger than `late_window`, and forgotten by the first read after that. The time that counts
is that of a read: a day without an answer forgets nothing.

By time, a row turns up at its *start* when the call ends. So all seconds are to be rechecked
until no call that is still to end can have begun there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from .ranges import Range, merge, rows_in, subtract

MAX_RANGES = 1_000
"""Ranges kept; of more, the oldest are forgotten. There only remembered rows tell a late one."""

MERGE_DISTANCE = 50
"""So many keys between two ranges are read along, since a request costs more than so many rows."""

_SAME_READ = 60.0
"""Seconds between two reads that count as one."""


@dataclass(frozen=True, slots=True)
class RecheckRange:
    """A range of keys; *missing_since* is when it was first found missing (epoch seconds).

    *last_read* is when it was read last, by this process; 0 before that, so that every start reads
    it
    once.
    """

    low: int
    high: int
    missing_since: int = 0
    last_read: float = field(default=0.0, compare=False)

    def span(self) -> Range:
        """Return its keys."""
        return (self.low, self.high)


def spans(ranges: Iterable[RecheckRange]) -> tuple[Range, ...]:
    """Return the keys of *ranges*."""
    return tuple(each.span() for each in ranges)


def due(ranges: Iterable[RecheckRange], now: float, interval: float) -> tuple[Range, ...]:
    """Return what to read again at *now*: what was not read for *interval* seconds.

    What waits longest comes first, alone: where the PBX is slow, the rest may be due anew before.
    """
    overdue = [each for each in ranges if not 0 <= now - each.last_read < interval]
    oldest = min((each.last_read for each in overdue), default=0.0)
    return merge(
        (each.span() for each in overdue if each.last_read <= oldest + _SAME_READ), MERGE_DISTANCE
    )


def after_page(
    ranges: Iterable[RecheckRange], evidence: Range, now: float, interval: float
) -> tuple[RecheckRange, ...]:
    """Return *ranges* after a page at *now* that leaves no doubt about the keys in *evidence*."""
    return tuple(
        part for each in ranges for part in _split_by_evidence(each, evidence, now, interval)
    )


def _split_by_evidence(
    each: RecheckRange, evidence: Range, now: float, interval: float
) -> Iterable[RecheckRange]:
    low, high = max(each.low, evidence[0]), min(each.high, evidence[1])
    # One that is not due is left in one piece: each first page would cut it otherwise.
    if low > high or 0 <= now - each.last_read < interval:
        return (each,)
    rest = (replace(each, low=part[0], high=part[1]) for part in subtract([each.span()], low, high))
    # A clock that was set back must not keep a range for ever.
    missing_since = min(each.missing_since, int(now))
    return (replace(each, low=low, high=high, missing_since=missing_since, last_read=now), *rest)


def without_keys(
    ranges: Iterable[RecheckRange], lowest: int, highest: int
) -> tuple[RecheckRange, ...]:
    """Take the keys from *lowest* to *highest* out of *ranges*."""
    return tuple(
        replace(each, low=low, high=high)
        for each in ranges
        for low, high in subtract([each.span()], lowest, highest)
    )


def normalized(ranges: Iterable[RecheckRange]) -> tuple[RecheckRange, ...]:
    """Return *ranges* newest first, neighbours of the same age as one, and not too many."""
    found: list[RecheckRange] = []
    for each in sorted(ranges, key=lambda one: -one.high):
        if found and _can_merge(found[-1], each):
            last_read = min(found[-1].last_read, each.last_read)
            found[-1] = replace(found[-1], low=min(found[-1].low, each.low), last_read=last_read)
        else:
            found.append(each)
    return tuple(found[:MAX_RANGES])


def missing_ranges(ranges: Iterable[Range], present: Sequence[int]) -> Iterator[Range]:
    """Yield the parts of *ranges* with none of the ids that are *present* (falling)."""
    for low, high in ranges:
        upper = high
        for each in rows_in(present, [(low, high)], int):
            if each < upper:
                yield (each + 1, upper)
            upper = each - 1
        if low <= upper:
            yield (low, upper)


def _can_merge(above: RecheckRange, below: RecheckRange) -> bool:
    touching = below.high >= above.low - 1
    return (
        touching
        and above.missing_since == below.missing_since
        and abs(above.last_read - below.last_read) < _SAME_READ
    )
