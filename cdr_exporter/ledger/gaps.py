"""Keys that were read and may still bring rows: who may turn up late, and until when.

By id, a row turns up late where its writer was slower than that of a higher id. Its id was
missing when the page around it was read, and its neighbours had ended no longer than
`late_window` before the newest call: that is a gap. It is read again while it is younger than
`late_window`, and forgotten by the first read after that. So the time that counts is that
of a read: a day without an answer forgets nothing.

By time, a row turns up at its *start* when the call ends. So all seconds are a gap until calls
that are still to end can no longer have begun there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from .ranges import Range, inside, united, without

MOST = 1_000
"""Gaps kept; beyond, the oldest are forgotten. Then only the rows remembered tell a late one."""

NEAR = 50
"""Keys between two gaps that are read along, since a request costs more than so many rows."""

_TOGETHER = 60.0
"""Seconds between two reads that count as one."""


@dataclass(frozen=True, slots=True)
class Gap:
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


def spans(gaps: Iterable[Gap]) -> tuple[Range, ...]:
    """Return the keys of *gaps*."""
    return tuple(gap.span() for gap in gaps)


def due(gaps: Iterable[Gap], now: float, every: float) -> tuple[Range, ...]:
    """Return what to read again at *now*: what was not read for *every* seconds.

    What waits longest comes first, alone: where the PBX is slow, the rest may be due anew before.
    """
    ripe = [gap for gap in gaps if not 0 <= now - gap.read < every]
    oldest = min((gap.read for gap in ripe), default=0.0)
    return united((gap.span() for gap in ripe if gap.read <= oldest + _TOGETHER), NEAR)


def read_at(gaps: Iterable[Gap], proof: Range, now: float, every: float) -> tuple[Gap, ...]:
    """Return *gaps* after a page at *now* that leaves no doubt about the keys in *proof*."""
    return tuple(part for gap in gaps for part in _read(gap, proof, now, every))


def _read(gap: Gap, proof: Range, now: float, every: float) -> Iterable[Gap]:
    low, high = max(gap.low, proof[0]), min(gap.high, proof[1])
    # One that is not due is left in one piece: each first page would cut it otherwise.
    if low > high or 0 <= now - gap.read < every:
        return (gap,)
    rest = (replace(gap, low=part[0], high=part[1]) for part in without([gap.span()], low, high))
    # A clock that was set back must not keep a gap for ever.
    since = min(gap.since, int(now))
    return (replace(gap, low=low, high=high, since=since, read=now), *rest)


def cut(gaps: Iterable[Gap], lowest: int, highest: int) -> tuple[Gap, ...]:
    """Take the keys from *lowest* to *highest* out of *gaps*."""
    return tuple(
        replace(gap, low=low, high=high)
        for gap in gaps
        for low, high in without([gap.span()], lowest, highest)
    )


def tidy(gaps: Iterable[Gap]) -> tuple[Gap, ...]:
    """Return *gaps* newest first, neighbours of the same age as one, and not too many."""
    found: list[Gap] = []
    for gap in sorted(gaps, key=lambda each: -each.high):
        if found and _alike(found[-1], gap):
            read = min(found[-1].read, gap.read)
            found[-1] = replace(found[-1], low=min(found[-1].low, gap.low), read=read)
        else:
            found.append(gap)
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


def _alike(above: Gap, below: Gap) -> bool:
    touching = below.high >= above.low - 1
    return touching and above.since == below.since and abs(above.read - below.read) < _TOGETHER
