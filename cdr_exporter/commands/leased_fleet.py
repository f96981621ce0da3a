"""The supervisors of those PBXs of which this replica has the lease.

    LeaseKeeper (a thread) ─► poll, finish, abort ─► Supervisor (a thread for one lease)
                           ◄─ ended, lost         ◄─

Rule: a PBX is shown while its lease is valid, and this is looked at for each request. It is valid a
little shorter than the database says, so no two replicas show one PBX at a time.

Rule: a lease that is lost or given back ends its supervisor, and a new one begins a new supervisor.
So a PBX whose settings were changed is given back, and taken again by whoever comes first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..clock import Clock, SystemClock
from ..exposition import ProcessValues
from ..leases import Lease, LeaseClock, LeaseKeeper
from ..leases.table import Table
from ..metrics.catalogue import DATABASE_UP, LEASE_CHANGES, LEASES
from ..metrics.snapshot import Snapshot
from ..metrics.totals import Bounds
from ..poller import backoff
from ..poller.board import SnapshotBoard
from ..poller.supervisor import Client, OpenStore, Supervisor
from ..settings import PBX, Settings
from .fleet import FleetChange, join_all

_FIRST_RETRY = 1.0
"""Seconds until a state that could not be used is tried again; from then on it doubles."""

_STOP_SECONDS = 3.0
"""Less than where tokens are revoked: what has to be done then is done in the database, and where
that does not answer, nobody is helped by waiting longer."""


class ClientsAndStores(Protocol):
    """What a supervisor is made with: by where states, tokens and refused logins are kept."""

    def client(self, pbx: PBX, may_send: Callable[[], bool]) -> Client:
        """Return a client of *pbx*, which sends something only while *may_send* says so."""

    def open_store(self, pbx: PBX, epoch: int) -> OpenStore:
        """Return what opens the state of *pbx*, for the holder of its lease with this *epoch*."""


@dataclass(frozen=True, slots=True)
class _Member:
    """A PBX that is polled under *lease*."""

    lease: Lease
    supervisor: Supervisor
    stop: threading.Event


class LeasedFleet:
    """Polls the PBXs whose leases this replica has by *table*, with their states in *place*.

    A lease lasts *lease_seconds*. *make_clock* returns a clock whose waiting an event ends.

    The keeper's thread begins and ends members; each removes itself at the end of its thread.
    """

    def __init__(
        self,
        settings: Settings,
        bounds: Bounds,
        table: Table,
        place: ClientsAndStores,
        lease_seconds: float,
        make_clock: Callable[[threading.Event], Clock] = SystemClock,
    ) -> None:
        self._settings = settings
        self._bounds = bounds
        self._place = place
        self._retry = backoff.Steps(_FIRST_RETRY, lease_seconds)
        self._board = SnapshotBoard()
        self._make_clock = make_clock
        self._now = make_clock(threading.Event()).now
        self._lock = threading.Lock()
        self._members: Mapping[str, _Member] = {}
        self._stopping = False
        self._was_ready = False
        self._next_start = 0.0
        wake = threading.Event()
        self._keeper = LeaseKeeper(
            table,
            self,
            self._names,
            lease_seconds=lease_seconds,
            clock=make_clock(wake),
            wake=wake,
        )

    @property
    def _names(self) -> Sequence[str]:
        return [pbx.name for pbx in self._settings.pbxs]

    def snapshots(self) -> Sequence[Snapshot]:
        """Return the newest snapshot of each PBX with a valid lease, in the file's order."""
        valid = {member.lease.pbx for member in self._valid_members()}
        return [snapshot for snapshot in self._board.snapshots() if snapshot.pbx in valid]

    def _valid_members(self) -> Sequence[_Member]:
        now = self._now()
        return [each for each in self._members.values() if each.lease.is_valid(now)]

    @property
    def alive(self) -> bool:
        """Whether the leases are kept, and each poller with a valid lease runs."""
        with self._lock:
            members = self._valid_members()
        return self._keeper.alive and all(member.supervisor.alive for member in members)

    def waits_for(self) -> str:
        """Return what has to come before this replica is ready.

        Without the database it is not, so that others are asked who holds which PBX. One that holds
        no PBX is ready, or a rolling update would wait for ever. One that was ready and takes over
        more PBXs stays so, or it would be cut off by the fail-over that it is there for.
        """
        if not self._keeper.works(self._now()):
            return "the database does not tell which PBXs to poll, see the log"
        missing = [each.pbx for each in self.snapshots() if not each.attempted]
        self._was_ready = self._was_ready or not missing
        return "" if self._was_ready else f"not yet polled: {', '.join(missing)}"

    def process_values(self) -> ProcessValues:
        """Return how many leases are held, how they changed, and whether the database works."""
        changes = self._keeper.changes
        return {
            LEASES: float(len(self._valid_members())),
            LEASE_CHANGES: {each: float(changes.get(each, 0)) for each in LEASE_CHANGES.known},
            DATABASE_UP: float(self._keeper.database_up),
        }

    @property
    def stop_seconds(self) -> float:
        """The most time that pollers, and leases that are given back, have to end."""
        return _STOP_SECONDS

    def open_states(self) -> None:
        """Do nothing: a state is opened with its lease, and the database may be away now."""

    def start(self) -> None:
        """Begin to take PBXs and to poll."""
        self._board.show(self._names)
        self._keeper.start()

    def stop(self) -> None:
        """Begin to end: no poll begins from here on, and what has ended is given back."""
        with self._lock:
            self._stopping = True
            members = self._members
        for member in members.values():
            member.stop.set()
        self._keeper.stop()

    def cancel(self) -> None:
        """Abort the requests under way."""
        for member in self._members.values():
            member.supervisor.stop()

    def join(self, seconds: float) -> None:
        """Wait, *seconds* at most, until the pollers have ended and all leases are given back."""
        supervisors = [member.supervisor for member in self._members.values()]
        join_all([*(each.join for each in supervisors), self._keeper.join], seconds)

    def keep_tokens(self) -> None:
        """Do nothing: whoever takes over goes on with them."""

    def end(self, change: FleetChange) -> None:
        """Do nothing: `begin` gives back what ends."""

    def begin(self, settings: Settings, change: FleetChange) -> None:
        """Give back what is gone or becomes another; from now on take PBXs of *settings*."""
        self._settings = settings
        self._board.show(self._names)
        # Also what is gone: another reload may bring it back, changed, before the keeper looks.
        self._keeper.change_to(self._names, (*change.gone, *change.changed))

    # What the keeper's thread calls.

    def poll(self, lease: Lease) -> None:
        """Begin to poll the PBX of *lease*."""
        pbx = next((pbx for pbx in self._settings.pbxs if pbx.name == lease.pbx), None)
        with self._lock:
            begins = pbx is not None and not self._stopping
            if pbx is not None and begins:
                member = self._new_member(pbx, lease)
                member.supervisor.start()
                self._members = {**self._members, lease.pbx: member}
        if not begins:
            self._keeper.ended(lease)

    def finish(self, lease: Lease) -> None:
        """End between two polls."""
        if member := self._member_of(lease):
            member.stop.set()

    def abort(self, lease: Lease) -> None:
        """End at once, publish nothing more, and send nothing."""
        if member := self._member_of(lease):
            member.supervisor.abandon()
            member.stop.set()
            member.supervisor.stop()

    def _member_of(self, lease: Lease) -> _Member | None:
        member = self._members.get(lease.pbx)
        return member if member is not None and member.lease is lease else None

    def _new_member(self, pbx: PBX, lease: Lease) -> _Member:
        stop = threading.Event()
        clock = self._make_clock(stop)
        supervisor = Supervisor(
            pbx,
            self._place.client(pbx, lambda: lease.is_valid(clock.now())),
            self._place.open_store(pbx, lease.epoch),
            machines=self._settings.machine_callees,
            bounds=self._bounds,
            clock=LeaseClock(clock, lease),
            board=self._board,
            delay=self._delay(),
            retry=self._retry,
            lost=lambda: self._keeper.lost(lease),
            ended=lambda: self._remove(lease),
        )
        # Whoever takes over goes on with it.
        supervisor.keep_token()
        return _Member(lease, supervisor, stop)

    def _delay(self) -> float:
        """Return seconds until the next first poll of a PBX."""
        now = self._now().steady
        self._next_start = max(now, self._next_start + backoff.FIRST_POLLS_APART)
        return self._next_start - now

    def _remove(self, lease: Lease) -> None:
        """Note that the thread for *lease* ends; in this thread."""
        with self._lock:
            self._members = {
                name: member for name, member in self._members.items() if member.lease is not lease
            }
        self._board.forget(lease.pbx)
        self._keeper.ended(lease)
