"""Reachable time: a clock that runs only while the PBX replies.

An open call is given time for further legs to turn up. Legs of a call that ended during an outage
turn up after the outage, so time in which polls failed must not count as waiting.
"""

from __future__ import annotations

from collections import deque

_MAX_MARKS = 2_000
"""How many polls are remembered: more than lie between two rounds of re-reading by time."""


class ReachableTime:
    """The reachable time of one PBX, in seconds. It goes on from *known*, the last one saved.

    *longest_call* is in seconds: no row of a call that ended longer ago can still turn up.
    """

    def __init__(self, known: float, longest_call: float) -> None:
        self._at_poll_start = known
        """The reachable time at which the last poll began."""
        self._poll_started = 0.0
        """When the last poll began, by the steady clock."""
        self._succeeded = False
        # Before the first round of re-reading is over, only this is certain.
        self._no_rows_before = known - longest_call
        self._marks: deque[tuple[float, float]] = deque(maxlen=_MAX_MARKS)

    def begin_poll(self, wall: float, steady: float) -> None:
        """Note that a poll begins; *wall* and *steady* are the two clocks, in seconds."""
        if self._succeeded:
            self._at_poll_start += max(0.0, steady - self._poll_started)
        self._succeeded, self._poll_started = False, steady
        if self._marks and wall < self._marks[-1][0]:
            self._marks.clear()
        self._marks.append((wall, self._at_poll_start))

    def at(self, steady: float) -> float:
        """Return the reachable time at *steady* (steady clock), during a poll."""
        return self._at_poll_start + max(0.0, steady - self._poll_started)

    def end_poll(self) -> None:
        """Note that the poll which began last succeeded: the time until the next one counts."""
        self._succeeded = True

    def read_until(self, oldest_read: float) -> float:
        """Return the latest reachable time for which every row the PBX had then was read.

        *oldest_read* is the wall time of the oldest read among the ranges that may still bring
        rows (`Ledger.read_since`).
        """
        read = (at_start for wall, at_start in reversed(self._marks) if wall <= oldest_read)
        return next(read, self._no_rows_before)

    @property
    def at_poll_start(self) -> float:
        """The reachable time at which the last poll began."""
        return self._at_poll_start
