"""Documents of several replicas, in memory: locks end by a clock that a test sets.

Between two steps a process may be killed, or stand still while others go on: *step* is called
there with what comes next or has just been done.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from cdr_exporter.pbx.documents import Contents


def go_on(_: str) -> None:
    """Go on at once."""


class MemoryDocuments:
    """What replicas share; *clock* is in seconds."""

    def __init__(self, clock: Callable[[], float], step: Callable[[str], None] = go_on) -> None:
        self.clock = clock
        self.step = step
        self.contents: dict[str, bytes | None] = {}
        self.held_until: dict[str, float] = {}

    def open(self, kind: str, *names: str) -> MemoryDocument:
        """Return the documents of these names."""
        return MemoryDocument(self, kind, sorted(names))

    def turn(
        self,
        name: str,
        timeout_seconds: float,
        cancelled: threading.Event,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> AbstractContextManager[None]:
        """Wait for nobody."""
        return nullcontext()


class MemoryDocument:
    """Some of them."""

    def __init__(self, place: MemoryDocuments, title: str, names: Sequence[str]) -> None:
        self.title = title
        self._place = place
        self._names = names

    def try_lock(self, hold_seconds: float) -> MemoryLock | None:
        """Lock them, as of now and so far as nobody else has."""
        place = self._place
        place.step("lock")
        asked_at = place.clock()
        if any(place.held_until.get(name, asked_at) > asked_at for name in self._names):
            return None
        lock = MemoryLock(place, self._names, asked_at + hold_seconds)
        place.step("locked")
        return lock

    def read(self) -> Contents:
        """Return what is in them."""
        self._place.step("read")
        return {name: self._place.contents.get(name) for name in self._names}

    def change(self, edit: Callable[[Contents], Contents]) -> None:
        """Change them in one step."""
        self._place.step("change")
        found = {name: self._place.contents.get(name) for name in self._names}
        self._place.contents.update(edit(found))
        self._place.step("changed")


class MemoryLock:
    """A lock that ends."""

    def __init__(self, place: MemoryDocuments, names: Sequence[str], until: float) -> None:
        self._place = place
        self._names = names
        self._until = until
        place.held_until.update(dict.fromkeys(names, until))

    def is_held(self) -> bool:
        """Say whether it has not ended yet."""
        return self._place.clock() < self._until

    def release(self) -> None:
        """Give up what nobody else has meanwhile."""
        self._place.step("release")
        for name in self._names:
            if self._place.held_until.get(name) == self._until:
                del self._place.held_until[name]
