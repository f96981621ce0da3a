"""Events that wait for the requests they happen to.

Rule: an event lets *after* fitting requests pass, happens to the next *times* and is gone; None
times are all that follow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from .table import whole

_Event = TypeVar("_Event")


@dataclass(slots=True)
class _Entry(Generic[_Event]):
    event: _Event
    times: int | None
    after: int

    @property
    def over(self) -> bool:
        return self.times == 0

    def strikes(self) -> bool:
        """Count one request, and return whether the event happens to it."""
        if self.after:
            self.after -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


class FaultQueue(Generic[_Event]):
    """The events of one sort that wait, first come first served."""

    def __init__(self) -> None:
        self._entries: list[_Entry[_Event]] = []

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, event: _Event, times: int | None = 1, after: int = 0) -> None:
        """Let *event* happen *times* times, *after* requests from now. ValueError: no numbers."""
        entry = _Entry(event, None if times is None else whole(times), whole(after))
        if not entry.over:
            self._entries.append(entry)

    def take_first(self, fits: Callable[[_Event], bool] = lambda _: True) -> _Event | None:
        """Return the event of the next request: the first that *fits*; the others wait on."""
        for entry in self._entries:
            if fits(entry.event):
                return self._taken([entry])[0] if entry.strikes() else None
        return None

    def take_all(self) -> list[_Event]:
        """Return all events that happen to the next request, the first come first."""
        return self._taken([entry for entry in self._entries if entry.strikes()])

    def clear(self) -> None:
        """Forget the events that still wait."""
        self._entries.clear()

    def _taken(self, turns: list[_Entry[_Event]]) -> list[_Event]:
        self._entries = [entry for entry in self._entries if not entry.over]
        return [entry.event for entry in turns]
