"""The supervisors of PBXs: begun, ended, and changed while the others go on.

    Fleet         what the exporter needs of them
    FileFleet     all PBXs of the configuration, their state in files; they are this process's own
    leased_fleet  those of which this replica has the lease, their state in a database

Rule: a PBX whose settings stay the same is not touched by a change. One whose settings are others
is ended and begun anew, as by a restart: its series are hidden until it has caught up.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol

from ..clock import SystemClock
from ..exposition import ProcessValues
from ..metrics.snapshot import Snapshot
from ..metrics.totals import Bounds
from ..pbx import Client, FileDocuments
from ..poller.backoff import before_first
from ..poller.board import SnapshotBoard
from ..poller.supervisor import Supervisor
from ..settings import PBX, Settings
from ..store import FileStore

FINISH_SECONDS = 0.8
"""How long a request under way goes on at the end. Most end within it: then a page that the PBX has
sent is not lost, and the request that revokes the token does not come beside another."""

STOP_SECONDS = 4.0
"""The most time that the pollers have to end; each gives up revoking a token after 3 s."""


class FleetChange(NamedTuple):
    """What a new configuration means: the names of the PBXs that end, change and begin.

    Of those that change, *same_account* go on with their token.
    """

    gone: Sequence[str]
    changed: Sequence[str]
    new: Sequence[str]
    same_account: Sequence[str]


def change_between(before: Settings, after: Settings) -> FleetChange:
    """Return what has to be done about the PBXs where the settings become those of *after*."""
    old, new = _by_name(before), _by_name(after)
    changed = [name for name in old if name in new and old[name] != new[name]]
    return FleetChange(
        gone=[name for name in old if name not in new],
        changed=changed,
        new=[name for name in new if name not in old],
        same_account=[name for name in changed if _account(old[name][0]) == _account(new[name][0])],
    )


def _account(pbx: PBX) -> tuple[str, str]:
    return pbx.base_url, pbx.client_id


def _by_name(settings: Settings) -> dict[str, tuple[PBX, Sequence[str]]]:
    """Return all that a supervisor goes by."""
    return {pbx.name: (pbx, settings.machine_callees) for pbx in settings.pbxs}


@dataclass(frozen=True, slots=True)
class _Member:
    """A PBX that is polled, and what lets it end alone."""

    supervisor: Supervisor
    stop: threading.Event


class Fleet(Protocol):
    """The PBXs that are polled here. The main thread begins, changes and ends them.

    Any thread may ask for what is shown, and whether all is `alive`.
    """

    def snapshots(self) -> Sequence[Snapshot]:
        """Return the newest snapshot of each PBX that may be shown, in the file's order."""

    @property
    def alive(self) -> bool:
        """Whether every poller that has to run does."""

    def waits_for(self) -> str:
        """Return what has to come before this exporter is ready, empty where nothing has to."""

    def process_values(self) -> ProcessValues:
        """Return metrics of the whole process: what it has to do with other replicas."""

    @property
    def stop_seconds(self) -> float:
        """The most time that it has to end, once it is told to."""

    def open_states(self) -> None:
        """Open what has to be there before anything starts; raises `StateInUse` and OSError."""

    def start(self) -> None:
        """Begin to poll."""

    def stop(self) -> None:
        """Begin to end: no poll begins from here on."""

    def cancel(self) -> None:
        """Abort the requests under way."""

    def join(self, seconds: float) -> None:
        """Wait, *seconds* at most, until all has ended."""

    def keep_tokens(self) -> None:
        """Let pollers that have not ended yet keep their tokens, which the next start uses."""

    def end(self, change: FleetChange) -> None:
        """End what is gone or becomes another; takes `STOP_SECONDS` at most."""

    def begin(self, settings: Settings, change: FleetChange) -> None:
        """Begin what is new or has become another."""


class FileFleet:
    """Polls each PBX of the configuration; the snapshots are on *board*.

    A change makes another mapping of members, with those only that run, since other threads read
    it.
    """

    def __init__(
        self, settings: Settings, bounds: Bounds, board: SnapshotBoard | None = None
    ) -> None:
        self._bounds = bounds
        self._board = board or SnapshotBoard()
        self._members = self._new_members(settings, [pbx.name for pbx in settings.pbxs])

    def snapshots(self) -> Sequence[Snapshot]:
        """Return the newest snapshot of each PBX, in the file's order."""
        return self._board.snapshots()

    @property
    def alive(self) -> bool:
        """Whether each poller runs."""
        return all(member.supervisor.alive for member in self._members.values())

    def waits_for(self) -> str:
        """Return which PBXs were not polled yet, empty where all were."""
        snapshots = self._board.snapshots()
        missing = [snapshot.pbx for snapshot in snapshots if not snapshot.attempted]
        return f"not yet polled: {', '.join(missing)}" if missing or not snapshots else ""

    def process_values(self) -> ProcessValues:
        """Return nothing: there are no other replicas."""
        return {}

    @property
    def stop_seconds(self) -> float:
        """The most time that the pollers have to end."""
        return STOP_SECONDS

    def open_states(self) -> None:
        """Open the state files before anything starts; raises `StateInUse` and OSError."""
        for member in self._members.values():
            member.supervisor.open_state()

    def start(self) -> None:
        """Begin to poll."""
        for member in self._members.values():
            member.supervisor.start()

    def stop(self) -> None:
        """Begin to end: no poll begins from here on."""
        for member in self._members.values():
            member.stop.set()

    def cancel(self) -> None:
        """Abort the requests under way."""
        for member in self._members.values():
            member.supervisor.stop()

    def join(self, seconds: float) -> None:
        """Wait, *seconds* at most, until the pollers have ended."""
        _join(self._members.values(), seconds)

    def keep_tokens(self) -> None:
        """Let pollers that have not ended yet keep their tokens, which the next start uses."""
        for member in self._members.values():
            member.supervisor.keep_token()

    def end(self, change: FleetChange) -> None:
        """End what is gone or becomes another; takes `STOP_SECONDS` at most."""
        for name in change.same_account:
            self._members[name].supervisor.keep_token()
        names = {*change.gone, *change.changed}
        ended = [member for name, member in self._members.items() if name in names]
        self._members = {name: each for name, each in self._members.items() if name not in names}
        for member in ended:
            member.stop.set()
        _join(ended, FINISH_SECONDS)
        for member in ended:
            member.supervisor.stop()
        _join(ended, STOP_SECONDS - FINISH_SECONDS)
        for member in ended:
            member.supervisor.abandon()

    def begin(self, settings: Settings, change: FleetChange) -> None:
        """Begin what is new or has become another."""
        begun = self._new_members(settings, (*change.changed, *change.new))
        for member in begun.values():
            member.supervisor.start()
        self._members = {**self._members, **begun}

    def _new_members(self, settings: Settings, names: Collection[str]) -> dict[str, _Member]:
        pbxs = [pbx for pbx in settings.pbxs if pbx.name in names]
        made = {
            pbx.name: self._member(settings, pbx, before_first(number, len(pbxs)))
            for number, pbx in enumerate(pbxs)
        }
        self._board.show([pbx.name for pbx in settings.pbxs])
        return made

    def _member(self, settings: Settings, pbx: PBX, delay: float) -> _Member:
        stop = threading.Event()
        supervisor = Supervisor(
            pbx,
            Client(pbx, FileDocuments(settings.state_dir)),
            partial(FileStore, settings.state_dir, pbx.name, pbx.client_id),
            machines=settings.machine_callees,
            bounds=self._bounds,
            clock=SystemClock(stop),
            board=self._board,
            delay=delay,
        )
        return _Member(supervisor, stop)


def _join(members: Iterable[_Member], seconds: float) -> None:
    join_all([member.supervisor.join for member in members], seconds)


def join_all(
    joins: Iterable[Callable[[float], None]],
    seconds: float,
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    """Call all *joins*, which wait the given seconds at most, in *seconds* all together."""
    end = monotonic() + seconds
    for join in joins:
        join(max(0.0, end - monotonic()))
