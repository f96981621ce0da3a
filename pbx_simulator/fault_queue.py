"""Faults that wait for the requests they happen to.

Rule: a fault ignores the next *after* requests that fit it, happens to the *times* after these
(None: to all that follow) and is then forgotten.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from .checks import checked_count

_Fault = TypeVar("_Fault")


@dataclass(slots=True)
class _Entry(Generic[_Fault]):
    """A fault, how often it is still to happen, and how many requests it ignores first."""

    fault: _Fault
    times: int | None
    after: int

    @property
    def over(self) -> bool:
        return self.times == 0

    def strikes(self) -> bool:
        """Count one request, and return whether the fault happens to it."""
        if self.after:
            self.after -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


class FaultQueue(Generic[_Fault]):
    """The waiting faults of one sort; those added first go first."""

    def __init__(self) -> None:
        self._entries: list[_Entry[_Fault]] = []

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, fault: _Fault, times: int | None = 1, after: int = 0) -> None:
        """Let *fault* happen *times* times, *after* requests from now. ValueError: not counts."""
        entry = _Entry(fault, None if times is None else checked_count(times), checked_count(after))
        if not entry.over:
            self._entries.append(entry)

    def take_first(self, fits: Callable[[_Fault], bool] = lambda _: True) -> _Fault | None:
        """Return the fault of this request, the first that *fits*; the others go on waiting."""
        for entry in self._entries:
            if fits(entry.fault):
                return self._taken([entry])[0] if entry.strikes() else None
        return None

    def take_all(self) -> list[_Fault]:
        """Return all faults that happen to this request, in the order in which they were added."""
        return self._taken([entry for entry in self._entries if entry.strikes()])

    def clear(self) -> None:
        """Forget the faults that still wait."""
        self._entries.clear()

    def _taken(self, struck: list[_Entry[_Fault]]) -> list[_Fault]:
        self._entries = [entry for entry in self._entries if not entry.over]
        return [entry.fault for entry in struck]
