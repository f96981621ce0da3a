"""Lives of processes that need tokens of one PBX, in which anything happens at any moment.

Two entries of configurations, two processes each, new ones and checks. They are edited, killed, and
with replicas they stand still for longer than their locks last, while others go on.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import pytest
from hypothesis import strategies as st

from cdr_exporter.errors import PBXError
from cdr_exporter.pbx import Client, Person, documents
from cdr_exporter.pbx.file_documents import KeptFile

from . import lockout
from .client_harness import FIRST_PAGE, WallClock
from .lockout import RIGHT_CLIENT, Killed, Office, OfficeOnDisk
from .memory_documents import MemoryDocuments

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
FATES = (*lockout.JUDGED * 3, *lockout.NOT_JUDGED)
SECRETS = ("right-secret", "changed", *"vwxyz")
CLIENT_IDS = (RIGHT_CLIENT, RIGHT_CLIENT, "client-b", "client-c")
HOSTS = ("192.0.2.1", "pbx.test", "two.test")
EDITS = st.fixed_dictionaries(
    {},
    optional={
        "secret": st.sampled_from(SECRETS),
        "client_id": st.sampled_from(CLIENT_IDS),
        "host": st.sampled_from(HOSTS),
    },
)


@dataclass(frozen=True)
class Event:
    """Somebody needs a token: entry *name*, and of it *process* 0 or 1, a new one, or a check.

    Before, *seconds* passed, the entry was edited, and *accident* happened. *fate* is what becomes
    of the login. The process dies before or after the step *last_step* from now on, 0 for none: on
    one machine a step is a write to a file. Replicas stand still at the step *still_at*, while the
    next *meanwhile* events happen.
    """

    name: str
    process: int | str
    seconds: float
    edit: dict[str, str]
    accident: str
    fate: str | int
    last_step: int
    dies_after_step: bool
    still_at: int = 0
    meanwhile: int = 0


_COMMON = {
    "name": st.sampled_from("ab"),
    "process": st.sampled_from([0, 1, "new", "check"]),
    "seconds": st.sampled_from([1.0, MINUTE, 16 * MINUTE, 2 * HOUR + 1, 25 * HOUR, -HOUR]),
    "edit": EDITS | st.just({}),
    "accident": st.sampled_from(["", "", "tokens lost", "token removed", "secret changed"]),
    "fate": st.sampled_from(FATES),
}
EVENTS = st.builds(
    Event,
    **_COMMON,
    last_step=st.sampled_from([0, 0, 0, 1, 2, 3, 4, 5, 6]),
    dies_after_step=st.booleans(),
)
_STEPS = 16
"""About so many steps of a replica are in a login."""

REPLICA_EVENTS = st.builds(
    Event,
    **_COMMON,
    last_step=st.sampled_from([*[0] * _STEPS, *range(1, _STEPS)]),
    dies_after_step=st.just(False),
    still_at=st.sampled_from([*[0] * (_STEPS // 2), *range(1, _STEPS)]),
    meanwhile=st.sampled_from([1, 1, 2, 3, 5, 8]),
)


class Life:
    """Two entries of configurations, two processes each, and a PBX that blocks at the fifth.

    *coming* are the events that are to happen.
    """

    def __init__(self, office: Office) -> None:
        self.office = office
        self.coming: deque[Event] = deque()
        office.pbx.names = {"pbx.test": ["192.0.2.1"], "two.test": ["192.0.2.1", "192.0.2.2"]}
        self.entries = {
            "a": {"client_id": RIGHT_CLIENT, "secret": lockout.RIGHT_SECRET, "host": "pbx.test"},
            "b": {"client_id": "client-b", "secret": "right", "host": "192.0.2.1"},
        }
        self.processes: dict[tuple[str, int | str], Client] = {}

    def live(self, event: Event) -> None:
        """Let *event* happen."""
        pbx = self.office.pbx
        self.office.clock.now += event.seconds
        if event.edit:
            self.entries[event.name] |= event.edit
            self.processes.clear()
        if event.accident == "tokens lost":
            pbx.issuer.expire(refresh_too=True)
        elif event.accident == "token removed":
            self.remove_token(event.name)
        elif event.accident == "secret changed":
            pbx.issuer.change_secret("changed" if pbx.logins % 2 else lockout.RIGHT_SECRET)
        pbx.fate.clear()
        pbx.fate.append(event.fate)
        self.fetch(self.client(event))

    def remove_token(self, name: str) -> None:
        """Let somebody remove the token of an entry."""
        raise NotImplementedError

    def client(self, event: Event) -> Client:
        """Return the client of the process of *event*."""
        written = self.entries[event.name]
        client = self.office.client(
            event.name,
            written["client_id"],
            written["secret"],
            written["host"],
            Person() if event.process == "check" else None,
        )
        if isinstance(event.process, str):
            return client
        return self.processes.setdefault((event.name, event.process), client)

    def fetch(self, client: Client) -> None:
        """Let it fetch a page, or fail, or die."""
        try:
            client.fetch(FIRST_PAGE)
        except PBXError:
            pass
        except Killed:
            self.processes.clear()


class LifeOnOneMachine(Life):
    """With a state directory, which is *directory*."""

    def __init__(self, directory: Path, patch: pytest.MonkeyPatch) -> None:
        super().__init__(OfficeOnDisk(directory))
        self._directory = directory
        self._writes_left = 0
        self._dies_after_write = False
        replace, remove = KeptFile.replace, KeptFile.remove

        def write(change: Callable[[], None]) -> None:
            self._writes_left -= 1
            if self._writes_left != 0 or self._dies_after_write:
                change()
            if self._writes_left == 0:
                raise Killed

        patch.setattr(os, "fsync", lambda _: None)
        patch.setattr(
            KeptFile, "replace", lambda file, content: write(lambda: replace(file, content))
        )
        patch.setattr(KeptFile, "remove", lambda file: write(lambda: remove(file)))

    def live(self, event: Event) -> None:
        """Let *event* happen."""
        self._writes_left, self._dies_after_write = event.last_step, event.dies_after_step
        super().live(event)

    def remove_token(self, name: str) -> None:
        """Remove the file."""
        (self._directory / f"{name}.token").unlink(missing_ok=True)


@dataclass
class _Running:
    """A process at work: how many steps it has made, and what is to happen to it."""

    event: Event
    steps: int = 0
    is_dead: bool = False


class LifeOfReplicas(Life):
    """With documents whose locks end, though their owners may go on later."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._steady = 0.0
        self._shared = MemoryDocuments(lambda: self._steady, self._step)
        # Who waits for a lock gives up at once: nobody would release it meanwhile.
        monotonic = count(step=int(DAY)).__next__
        super().__init__(Office(self._shared, WallClock(), monotonic))
        self.office.pbx.step = self._step
        self._running: list[_Running] = []
        patch.setattr(documents, "_LOOK_AGAIN_SECONDS", 0.0)

    def live(self, event: Event) -> None:
        """Let *event* happen."""
        self._steady += abs(event.seconds)
        self._running.append(_Running(event))
        try:
            super().live(event)
        finally:
            self._running.pop()

    def remove_token(self, name: str) -> None:
        """Remove the row."""
        self._shared.contents.pop(f"{name}.token", None)

    def client(self, event: Event) -> Client:
        """Return the client; a process that stands still does nothing else."""
        busy = {(each.event.name, each.event.process) for each in self._running[:-1]}
        if (event.name, event.process) in busy:
            event = replace(event, process="new")
        return super().client(event)

    def _step(self, _: str) -> None:
        running = self._running[-1]
        running.steps += 1
        if running.is_dead or running.steps == running.event.last_step:
            running.is_dead = True
            raise Killed
        if running.steps == running.event.still_at:
            self._stand_still(running.event.meanwhile)

    def _stand_still(self, meanwhile: int) -> None:
        fate = list(self.office.pbx.fate)
        for _ in range(meanwhile):
            if self.coming:
                self.live(self.coming.popleft())
        self.office.pbx.fate.clear()
        self.office.pbx.fate.extend(fate)
