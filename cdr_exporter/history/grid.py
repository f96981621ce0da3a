"""At which times samples are written, block by block. Pure. All times are epoch seconds.

Prometheus keeps its samples in blocks of two hours that begin at multiples of two hours, and puts
them together to blocks of 6, 18, 54 hours later; so do we.
Within a block the samples stand at multiples of the step, so that midnight is one of them in every
time zone.
"""

from __future__ import annotations

from collections.abc import Iterator

BLOCK_SECONDS, LONG_BLOCK_SECONDS = 7_200, 64_800
DAY_SECONDS = 86_400

RECENT_DAYS, RECENT_STEP, OLDER_STEP = 8, 60, 300
"""A sample a minute for the last so many days, one in five minutes before."""

STEPS = (15, 20, 30, 60, 120, 180, 300)
"""What `--step` may be: parts of two hours, and no longer than Prometheus looks back."""


def block_before(time: float, length: int = BLOCK_SECONDS) -> int:
    """Return when the block of *length* seconds begins that holds *time*."""
    return int(time // length) * length


def blocks(
    begin: int, end: float, step: int | None, length: int = BLOCK_SECONDS
) -> Iterator[range]:
    """Yield the times of each block from *begin*, a block's, to before *end*, oldest first.

    Without *step* it is the usual one. A block of which no sample is before *end* is left out.
    """
    recent = end - RECENT_DAYS * DAY_SECONDS
    for start in range(begin, block_before(end, length) + 1, length):
        chosen = step or (RECENT_STEP if start + length > recent else OLDER_STEP)
        times = clipped(range(start, start + length, chosen), begin, end)
        if times:
            yield times


def clipped(times: range, begin: float, end: float) -> range:
    """Return those of *times* from *begin* to before *end*."""
    low = next((n for n, time in enumerate(times) if time >= begin), len(times))
    high = next((n for n, time in enumerate(times) if time >= end), len(times))
    return times[low:high]
