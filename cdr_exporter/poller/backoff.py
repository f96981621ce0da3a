"""How long to wait before the next poll. Pure: the random number is an argument.

| the poll | wait |
|---|---|
| is the first | by the number of the PBX, up to 25 s, so that not all log in at the same instant |
| succeeded | the poll interval, ± 10 % so that many PBXs are not polled at the same instant |
| is catching up | as long as the last request took, so that the PBX is busy half of the time at most |
| failed, and the network or the server may recover | random from 0 to 2 s, doubling up to 5 min (full jitter); at least what the PBX asked for |
| failed, and a person has to act | from what the failure says, doubling up to what it says |
"""  # noqa: E501 (a table)

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ..errors import PBXError, TryAgain, WaitLong

JITTER = 0.1
"""By which part of the interval the wait after a success may differ from it."""

FIRST_POLLS_SECONDS = 25.0
"""Within so many seconds every PBX is polled first, however many there are."""

FIRST_POLLS_APART = 0.02
"""The most seconds between the first polls of two PBXs: of a few, nobody waits long."""

FIRST_DELAY, MAX_DELAY = 2.0, 300.0
"""Seconds: the longest wait after one failed poll, and after many in a row."""


class Steps(NamedTuple):
    """Waits that double from *first* up to *most* seconds."""

    first: float
    most: float

    def after(self, times: int) -> float:
        """Return how many seconds to wait when it has failed *times* (1 or more) in a row."""
        return min(self.most, self.first * 2.0 ** min(times - 1, _MOST_DOUBLINGS))


_MOST_DOUBLINGS = 16
"""Beyond them every wait is at its most."""


@dataclass(frozen=True, slots=True)
class FailureStreak:
    """The polls that failed in a row up to now: *polls* in all, the last *times* of one *cause*.

    *message* is that of the last failure. A *cause* distinguishes more than *reason*, the label
    value on the counter of failures.
    """

    cause: tuple[object, ...] = ()
    message: str = ""
    times: int = 0
    polls: int = 0

    @property
    def reason(self) -> str:
        """The reason of the last failure, as a label value; empty where no poll failed."""
        return str(self.cause[0]) if self.cause else ""

    def after(self, error: Exception) -> FailureStreak:
        """Return the streak after one more failed poll, which failed with *error*."""
        cause = _cause(error)
        times = self.times + 1 if cause == self.cause else 1
        return FailureStreak(cause, str(error), times, self.polls + 1)

    def delay(self, error: Exception, random_fraction: float) -> float:
        """Return seconds to wait after *error*, the last failure of this streak.

        *random_fraction* is a random number from 0 up to 1.
        """
        # What a person has to mend backs off by its own cause, since it may have come up just now.
        # Other failures back off by all failed polls in a row, whatever the cause of each.
        times = self.times if isinstance(error, WaitLong) else self.polls
        return after_failure(error, times, random_fraction)


NO_FAILURES = FailureStreak()


def _cause(error: Exception) -> tuple[object, ...]:
    if not isinstance(error, PBXError):
        return ("state",)
    return (error.reason, type(error), error.errcode, error.blocked)


def before_first(number: int, pbxs: int) -> float:
    """Return seconds to wait before the first poll of the PBX *number*, from 0 up, of *pbxs*."""
    return number * min(FIRST_POLLS_APART, FIRST_POLLS_SECONDS / pbxs)


def after_success(interval: float, random_fraction: float) -> float:
    """Return seconds to wait; *interval* is in seconds, *random_fraction* from 0 up to 1."""
    return interval * (1 + JITTER * (2 * random_fraction - 1))


def after_failure(error: Exception, times: int, random_fraction: float) -> float:
    """Return seconds to wait after *error*, when *times* (1 or more) polls in a row failed."""
    if isinstance(error, WaitLong):
        return Steps(error.first, error.most).after(times)
    asked = (error.retry_after or 0.0) if isinstance(error, TryAgain) else 0.0
    return max(asked, random_fraction * Steps(FIRST_DELAY, MAX_DELAY).after(times))
