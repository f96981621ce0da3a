"""How long to wait before the next poll. Pure: chance is an argument.

| the poll | wait |
|---|---|
| succeeded | the interval, ± 10 % so that many PBXes do not march in step |
| is catching up | none: the rest between its pages is the pause |
| failed, the network or the server may recover | full jitter, 2 s doubling up to 5 min |
| failed, a person has to act | what the failure says, doubling up to what it says |
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import PBXError, TryAgain, WaitLong

JITTER = 0.1
FIRST_DELAY, MAX_DELAY = 2.0, 300.0


@dataclass(frozen=True, slots=True)
class FailureStreak:
    """What polls fail with at present: *polls* in a row, the last *times* of the same *cause*.

    *reason* is the label on the failure counter; a cause is told apart more finely.
    """

    cause: tuple[object, ...] = ()
    message: str = ""
    times: int = 0
    polls: int = 0

    @property
    def reason(self) -> str:
        """The label of the present failure."""
        return str(self.cause[0]) if self.cause else ""

    def after(self, error: Exception) -> FailureStreak:
        """Return the trouble after one more failure."""
        cause = _cause(error)
        times = self.times + 1 if cause == self.cause else 1
        return FailureStreak(cause, str(error), times, self.polls + 1)

    def delay(self, error: Exception, random_fraction: float) -> float:
        """Return seconds to wait after *error*, which this trouble has taken in."""
        # What a person has to mend is waited for on its own account: it may be new. A server that
        # fails now so, now so, fails all the same.
        times = self.times if isinstance(error, WaitLong) else self.polls
        return after_failure(error, times, random_fraction)


NO_FAILURES = FailureStreak()


def _cause(error: Exception) -> tuple[object, ...]:
    if not isinstance(error, PBXError):
        return ("state",)
    return (error.reason, type(error), error.errcode, error.blocked)


def after_success(interval: float, random_fraction: float) -> float:
    """Return seconds to wait; *random_fraction* is from 0 up to 1."""
    return interval * (1 + JITTER * (2 * random_fraction - 1))


def after_failure(error: Exception, times: int, random_fraction: float) -> float:
    """Return seconds to wait after the same trouble *times* (1 or more) in a row."""
    doublings = min(times - 1, 16)
    if isinstance(error, WaitLong):
        return min(error.most, error.first * 2.0**doublings)
    asked = (error.retry_after or 0.0) if isinstance(error, TryAgain) else 0.0
    return max(asked, random_fraction * min(MAX_DELAY, FIRST_DELAY * 2.0**doublings))
