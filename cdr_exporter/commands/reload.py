"""Reading the configuration again while the exporter runs: who asks, and what became of it.

    SIGHUP, POST /-/reload ─► ReloadRequests ─► the main thread: Exporter.reload ─► ReloadStatus

Rule: a file with a mistake, or one that asks for what only a restart can do, changes nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import Empty, SimpleQueue

from ..errors import ConfigError
from ..settings import PBX, Settings

_ANSWER_SECONDS = 30.0
"""How long whoever asked by HTTP waits; a change takes some 4 s at most."""

_ONLY_AT_A_START = ("state_dir", "state_url_file", "lease", "buckets")

_MEANING = (
    "timezone",
    "number_plan",
    "emergency_numbers",
    "legs_appear",
    "dids",
    "queues",
    "destinations",
)
"""Settings of a PBX by which its rows and calls are counted: what comes is counted in another way
than what was, under the same names."""


class ReloadRequest:
    """One request to read the configuration again."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self._successful = False

    def finish(self, *, successful: bool) -> None:
        """Say what became of it."""
        self._successful = successful
        self._done.set()

    def wait(self) -> bool:
        """Return whether it was successful, once that is known; after half a minute it was not."""
        return self._done.wait(_ANSWER_SECONDS) and self._successful


class ReloadRequests:
    """What was asked for and not done yet; any thread, and a signal handler, may ask."""

    def __init__(self) -> None:
        self._waiting: SimpleQueue[ReloadRequest] = SimpleQueue()

    def ask(self) -> ReloadRequest:
        """Ask to read the configuration again."""
        request = ReloadRequest()
        self._waiting.put(request)
        return request

    def taken(self) -> list[ReloadRequest]:
        """Return what was asked for since the last call: one reading is enough for all of it."""
        return list(self._each())

    def _each(self) -> Iterator[ReloadRequest]:
        try:
            while True:
                yield self._waiting.get_nowait()
        except Empty:
            return


def refuse_what_needs_a_restart(before: Settings, after: Settings) -> None:
    """Raise `ConfigError` where the settings differ in what cannot change while it runs."""
    for name in _ONLY_AT_A_START:
        if getattr(before, name) != getattr(after, name):
            raise ConfigError(f"{name}: changes only with a restart; restart, or change it back")


def other_meanings(before: Settings, after: Settings) -> Iterator[tuple[str, str]]:
    """Yield the names of a PBX and of a setting that from now on counts in another way."""
    if before.machine_callees != after.machine_callees:
        yield "", "machine_callees"
    known = {pbx.name: pbx for pbx in before.pbxs}
    for pbx in after.pbxs:
        if pbx.name in known:
            yield from ((pbx.name, name) for name in _differing(known[pbx.name], pbx))


def _differing(before: PBX, after: PBX) -> list[str]:
    return [name for name in _MEANING if getattr(before, name) != getattr(after, name)]
