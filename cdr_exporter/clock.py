"""The two clocks, and waiting: the only place that reads the time for a poller.

The wall clock dates what people see and what other machines said; lengths of time are by the
steady one, which nobody sets back.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Now:
    """One instant by both clocks: *wall* in epoch seconds, *steady* for lengths of time."""

    wall: float
    steady: float


class Clock(Protocol):
    """What is needed of a clock; tests move one by hand."""

    def now(self) -> Now:
        """Return this instant."""

    def wait(self, seconds: float) -> None:
        """Wait *seconds*, or until stopping."""

    @property
    def stopping(self) -> bool:
        """Whether the program is to end."""


class SystemClock:
    """The machine's clocks; waiting ends early when *stop* is set."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def now(self) -> Now:
        """Return this instant."""
        return Now(time.time(), time.monotonic())

    def wait(self, seconds: float) -> None:
        """Wait *seconds*, or until stopping."""
        self._stop.wait(seconds)

    @property
    def stopping(self) -> bool:
        """Whether the program is to end."""
        return self._stop.is_set()
