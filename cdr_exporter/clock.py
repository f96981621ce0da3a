"""The two clocks, and waiting: the only place where a poller gets the time from.

The wall clock is for times that people see and for comparing with times of other machines. The
steady clock is for measuring how long something takes: nobody can set it, and it goes on while the
machine is suspended. So a poller that was suspended finds that its PBX was silent, as after an
outage.

| where | the steady clock |
|---|---|
| Linux | `CLOCK_BOOTTIME`; `time.monotonic` stands still in suspend |
| macOS | `CLOCK_MONOTONIC_RAW`; `time.monotonic` stands still there, too |
| elsewhere, or where the system refuses these | `time.monotonic`: suspended time may be missing |

What gives up after some seconds, as a request does, may use `time.monotonic`: nothing is counted
by it.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, cast

_LOOK_AT_CLOCK = 10.0
"""Seconds. Waiting itself stands still in suspend, so it looks at the steady clock so often: a poll
that is due when the machine goes on comes within this time."""

_CLOCKS = {"linux": "CLOCK_BOOTTIME", "darwin": "CLOCK_MONOTONIC_RAW"}
"""By platform, the clock of the operating system that goes on in suspend."""


def steady_clock(platform: str = sys.platform, system: Any = time) -> Callable[[], float]:
    """Return the clock of *system* that counts suspended time on *platform*, or its monotonic one.

    *system* is the module `time`, or what stands for it.
    """
    number = getattr(system, _CLOCKS.get(platform, ""), None)
    if number is None:
        return cast(Callable[[], float], system.monotonic)
    try:
        system.clock_gettime(number)
    except OSError:
        return cast(Callable[[], float], system.monotonic)
    return partial(system.clock_gettime, number)


_STEADY = steady_clock()


@dataclass(frozen=True, slots=True)
class Now:
    """One instant by both clocks: *wall* in epoch seconds, *steady* in seconds since any time."""

    wall: float
    steady: float

    def set_by_since(self, earlier: Now) -> float:
        """Return by how many seconds the wall clock was set ahead since *earlier*; < 0 is back."""
        return (self.wall - earlier.wall) - (self.steady - earlier.steady)


class Clock(Protocol):
    """What the program needs of a clock; tests move one by hand."""

    def now(self) -> Now:
        """Return the time by both clocks."""

    def wait(self, seconds: float) -> None:
        """Wait for *seconds*, or until the program is to end."""

    @property
    def stopping(self) -> bool:
        """Whether the program is to end."""


class SystemClock:
    """The clocks of this machine. Waiting ends early when *stop* is set, from another thread.

    *steady* is the steady clock, in seconds.
    """

    def __init__(self, stop: threading.Event, steady: Callable[[], float] = _STEADY) -> None:
        self._stop = stop
        self._steady = steady

    def now(self) -> Now:
        """Return the time by both clocks."""
        return Now(time.time(), self._steady())

    def wait(self, seconds: float) -> None:
        """Wait for *seconds*, or until the program is to end."""
        end = self._steady() + seconds
        while (left := end - self._steady()) > 0:
            if self._stop.wait(min(left, _LOOK_AT_CLOCK)):
                return

    @property
    def stopping(self) -> bool:
        """Whether the program is to end."""
        return self._stop.is_set()
