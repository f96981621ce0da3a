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

from .ranges import Range, inside, united, without

MOST = 1_000
"""Ranges kept; of more, the oldest are forgotten. There only remembered rows tell a late one."""

NEAR = 50
"""So many keys between two ranges are read along, since a request costs more than so many rows."""

_TOGETHER = 60.0
"""Seconds between two reads that count as one."""


@dataclass(frozen=True, slots=True)
class RecheckRange:
    """A range of keys; *since* is when it was first found missing (epoch seconds).

    *read* is when it was read last, by this process; 0 before that, so that every start reads it
    once.
    """

    low: int
    high: int
    since: int = 0
    read: float = field(default=0.0, compare=False)

    def span(self) -> Range:
        """Return its keys."""
        return (self.low, self.high)


def spans(ranges: Iterable[RecheckRange]) -> tuple[Range, ...]:
    """Return the keys of *ranges*."""
    return tuple(each.span() for each in ranges)


def due(ranges: Iterable[RecheckRange], now: float, every: float) -> tuple[Range, ...]:
    """Return what to read again at *now*: what was not read for *every* seconds.

    What waits longest comes first, alone: where the PBX is slow, the rest may be due anew before.
    """
    ripe = [each for each in ranges if not 0 <= now - each.read < every]
    oldest = min((each.read for each in ripe), default=0.0)
    return united((each.span() for each in ripe if each.read <= oldest + _TOGETHER), NEAR)


def read_at(
    ranges: Iterable[RecheckRange], evidence: Range, now: float, every: float
) -> tuple[RecheckRange, ...]:
    """Return *ranges* after a page at *now* that leaves no doubt about the keys in *evidence*."""
    return tuple(part for each in ranges for part in _read(each, evidence, now, every))


def _read(each: RecheckRange, evidence: Range, now: float, every: float) -> Iterable[RecheckRange]:
    low, high = max(each.low, evidence[0]), min(each.high, evidence[1])
    # One that is not due is left in one piece: each first page would cut it otherwise.
    if low > high or 0 <= now - each.read < every:
        return (each,)
    rest = (replace(each, low=part[0], high=part[1]) for part in without([each.span()], low, high))
    # A clock that was set back must not keep a range for ever.
    since = min(each.since, int(now))
    return (replace(each, low=low, high=high, since=since, read=now), *rest)


def cut(ranges: Iterable[RecheckRange], lowest: int, highest: int) -> tuple[RecheckRange, ...]:
    """Take the keys from *lowest* to *highest* out of *ranges*."""
    return tuple(
        replace(each, low=low, high=high)
        for each in ranges
        for low, high in without([each.span()], lowest, highest)
    )


def tidy(ranges: Iterable[RecheckRange]) -> tuple[RecheckRange, ...]:
    """Return *ranges* newest first, neighbours of the same age as one, and not too many."""
    found: list[RecheckRange] = []
    for each in sorted(ranges, key=lambda one: -one.high):
        if found and _alike(found[-1], each):
            read = min(found[-1].read, each.read)
            found[-1] = replace(found[-1], low=min(found[-1].low, each.low), read=read)
        else:
            found.append(each)
    return tuple(found[:MOST])


def missing(ranges: Iterable[Range], there: Sequence[int]) -> Iterator[Range]:
    """Yield the parts of *ranges* with none of the ids that are *there* (falling)."""
    for low, high in ranges:
        upper = high
        for each in inside(there, [(low, high)], int):
            if each < upper:
                yield (each + 1, upper)
            upper = each - 1
        if low <= upper:
            yield (low, upper)


def _alike(above: RecheckRange, below: RecheckRange) -> bool:
    touching = below.high >= above.low - 1
    return touching and above.since == below.since and abs(above.read - below.read) < _TOGETHER
