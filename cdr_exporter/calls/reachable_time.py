"""The time in which a PBX answered: by it open calls are given time for their legs to turn up.

What ended in an outage turns up after it, so a minute of silence is no minute of waiting.
"""

from __future__ import annotations

from collections import deque
from itertools import takewhile

_MAX_MARKS = 2_000
"""Polls remembered: as many as lie between two sweeps where rows have no id."""


class ReachableTime:
    """Of one PBX, in seconds; it goes on from *known*, which its state remembers."""

    def __init__(self, known: float, longest_call: float) -> None:
        self._at_poll_start = known
        """When the last poll began."""
        self._poll_started = 0.0
        """The same, by the steady clock."""
        self._succeeded = False
        # No row of a call that ended before can still turn up.
        self._no_rows_before = known - longest_call
        self._marks: deque[tuple[float, float]] = deque(maxlen=_MAX_MARKS)

    def begin_poll(self, wall: float, steady: float) -> None:
        """Note that a poll begins, by both clocks."""
        if self._succeeded:
            self._at_poll_start += max(0.0, steady - self._poll_started)
        self._succeeded, self._poll_started = False, steady
        if self._marks and wall < self._marks[-1][0]:
            self._marks.clear()
        self._marks.append((wall, self._at_poll_start))

    def at(self, steady: float) -> float:
        """Return the answered time, within a poll."""
        return self._at_poll_start + max(0.0, steady - self._poll_started)

    def end_poll(self) -> None:
        """Note that the poll which began last read what was new."""
        self._succeeded = True

    def read_until(self, oldest_read: float) -> float:
        """Return up to when (answered time) all was read that was there.

        *oldest_read* is when (wall clock) that was read which is longest ago, of what may still
        bring rows: infinity where a first page shows all that is new.
        """
        if oldest_read == float("inf"):
            return self._at_poll_start
        read = takewhile(lambda mark: mark[0] <= oldest_read, self._marks)
        return max((answered for _, answered in read), default=self._no_rows_before)
