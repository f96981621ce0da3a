"""By time, which rows are read again before their time, and how far down.

The row of a long call turns up at the place of its start, deep in the list. A call is over only
once all rows since it began were read again; and `total_number` may count rows that no page has
shown. Both are read for in each poll, as far as its time goes.
"""

from __future__ import annotations

from ..clock import Clock, Now
from .range_reader import Following, Pages, RangeReader

_MANY_CALLS = 5
"""So many calls are many. All but one in so many are swept for in each poll."""

_LONGEST_SWEEP = 300.0
"""Seconds after which a sweep that has not come to its end begins anew at the top of the list."""


class Sweeps:
    """The sweeps of one PBX's list, from poll to poll; what is known of them is never stored."""

    def __init__(self, ranges: RangeReader, following: Following, clock: Clock) -> None:
        self._ranges = ranges
        self._following = following
        self._clock = clock
        self._poll_began = clock.now()
        self._unfinished: Now | None = None
        """When the sweep began that the time of its poll did not suffice for."""
        self._next_for_calls = float("-inf")
        """When calls may be swept for again (steady clock)."""

    def begin_poll(self) -> None:
        """Note that a poll begins now."""
        self._poll_began = self._clock.now()

    def sweep(self, deadline: float) -> Pages[None]:
        """Read what has to be read again now, until *deadline* (steady clock)."""
        yield from self._sweep_for_calls(deadline)
        yield from self._sweep_for_unseen_rows(deadline)
        self._ranges.plan.unseen.end_poll()

    def _sweep_for_unseen_rows(self, deadline: float) -> Pages[None]:
        """Read down until the rows are found that `total_number` counts and no page has shown."""
        unseen = self._ranges.plan.unseen
        if unseen.are_there(self._clock.now().steady):
            yield from self._reread_from(0, deadline)
            unseen.end_search(self._clock.now().steady)

    def _sweep_for_calls(self, deadline: float) -> Pages[None]:
        """Read down to where the oldest call began that only waits for that, to be over.

        Where many wait, first to where most of them began, in each poll: a few long calls on a busy
        PBX take several polls, and the others need not wait for them.
        """
        starts = self._starts_to_read
        if len(starts) >= _MANY_CALLS:
            most = starts[len(starts) // _MANY_CALLS]
            yield from self._ranges.reread(most, self._poll_began.wall, deadline)
            starts = self._starts_to_read
        if not starts or self._clock.now().steady < self._next_for_calls:
            return
        began = yield from self._reread_from(starts[0], deadline)
        # Where the PBX is slow, or calls are many and long, half of the time is left to the rest.
        if self._unfinished is None:
            ended = self._clock.now().steady
            self._next_for_calls = ended + (ended - began.steady)

    @property
    def _starts_to_read(self) -> list[int]:
        return self._following.state.starts_to_read(self._clock.now())

    def _reread_from(self, lowest: int, deadline: float) -> Pages[Now]:
        """Read again what this sweep has not read, from the key *lowest* up, newest first.

        A sweep goes on in the next poll where its time does not suffice. Returns when it began.
        """
        began = self._unfinished or self._poll_began
        if not 0 <= self._clock.now().steady - began.steady < _LONGEST_SWEEP:
            began = self._poll_began
        self._unfinished = began
        if (yield from self._ranges.reread(lowest, began.wall, deadline)):
            self._unfinished = None
        return began
