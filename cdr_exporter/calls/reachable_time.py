"""Reachable time: a clock that runs only while the PBX replies. Pure.

An open call is given time for further legs to turn up. Legs of a call that ended during an outage
turn up after the outage, so time in which polls failed must not count as waiting.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

_MAX_MARKS = 2_000
"""How many polls are remembered: more than lie between two rounds of re-reading by time."""


@dataclass(frozen=True, slots=True)
class ReachableTime:
    """The reachable time of one PBX, in seconds.

    *at_poll_start* is the reachable time at which the last poll began, *poll_started* when that was
    by the steady clock. *poll_succeeded* says that the time since then counts. *marks* are the last
    polls: when each began by the wall clock, and the reachable time then. *no_rows_before* is the
    only reachable time for which it is certain from the start that every row of then was read.
    """

    at_poll_start: float = 0.0
    poll_started: float = 0.0
    poll_succeeded: bool = False
    no_rows_before: float = 0.0
    marks: tuple[tuple[float, float], ...] = ()

    @classmethod
    def going_on_from(cls, last_known: float, longest_call: float) -> ReachableTime:
        """Return the reachable time of a new process; *last_known* is the newest one saved.

        *longest_call* is in seconds: no row of a call that ended longer ago can still turn up.
        """
        return cls(at_poll_start=last_known, no_rows_before=last_known - longest_call)

    def poll_began(self, wall: float, steady: float, *, was_silent: bool = False) -> ReachableTime:
        """Return it once a poll has begun; *wall* and *steady* are the two clocks, in seconds.

        *was_silent* says that too long ago was the last page, though no poll has failed since: this
        machine was suspended, and the PBX may have been, too.
        """
        at_start = self.at_poll_start
        if self.poll_succeeded and not was_silent:
            at_start += max(0.0, steady - self.poll_started)
        # A clock that was set back makes the marks before it worthless.
        before = () if self.marks and wall < self.marks[-1][0] else self.marks
        marks = (*before, (wall, at_start))[-_MAX_MARKS:]
        return ReachableTime(at_start, steady, False, self.no_rows_before, marks)

    def with_clock_set(self, seconds: float) -> ReachableTime:
        """Return it once the wall clock was set ahead by *seconds*, or back if negative."""
        marks = tuple((wall + seconds, at_start) for wall, at_start in self.marks)
        return replace(self, marks=marks)

    def poll_ended(self) -> ReachableTime:
        """Return it once the poll has succeeded: the time until the next one counts."""
        return replace(self, poll_succeeded=True)

    def at(self, steady: float) -> float:
        """Return the reachable time at *steady* (steady clock), during a poll."""
        return self.at_poll_start + max(0.0, steady - self.poll_started)

    def read_until(self, oldest_read: float) -> float:
        """Return the latest reachable time for which every row the PBX had then was read.

        *oldest_read* is the wall time of the oldest read among the ranges that may still bring
        rows (`Ledger.read_since`).
        """
        read = (at_start for wall, at_start in reversed(self.marks) if wall <= oldest_read)
        return next(read, self.no_rows_before)
