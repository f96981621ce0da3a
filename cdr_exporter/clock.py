"""The two clocks, and waiting: the only place where a poller gets the time from.

The wall clock is for times that people see and for comparing with times of other machines. The
steady clock is for measuring how long something takes: nobody can set it back.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Now:
    """One instant by both clocks: *wall* in epoch seconds, *steady* in seconds since any time."""

    wall: float
    steady: float


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
    """The clocks of this machine. Waiting ends early when *stop* is set, from another thread."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def now(self) -> Now:
        """Return the time by both clocks."""
        return Now(time.time(), time.monotonic())

    def wait(self, seconds: float) -> None:
        """Wait for *seconds*, or until the program is to end."""
        self._stop.wait(seconds)

    @property
    def stopping(self) -> bool:
        """Whether the program is to end."""
        return self._stop.is_set()
