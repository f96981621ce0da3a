"""Keeps the leases of this replica: a thread that renews, takes and gives back.

    held ─► finishing ─► released     given back: its thread ends between two polls, then the row
      │         │                     says that it is free
      └────┬────┘
           ▼
          lost                        lapsed, or another replica has it: its thread ends at once

Rule: the thread waits for nothing but the database, and for that no longer than its timeouts. What
is done under a lease begins and ends in threads of its own, which say when they have ended; until
then the PBX is not taken here again.

Rule: what the database has not said is not so. A renewal or takeover whose answer is lost counts
for nothing here; the row is then free again when the lease ends, or for this replica at once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from queue import Empty, SimpleQueue
from random import random
from typing import Protocol, TypeVar

from ..clock import Clock, Now
from ..errors import DatabaseError
from ..logs import for_pbx
from . import rules
from .lease import Lease
from .table import Table

GIVEN_BACK, ENDED, LOST = "given_back", "ended", "lost"
"""Why a lease is held no longer: it was too much or its settings changed; this replica ended; it
lapsed or another has it. Why one is held are the reasons in `table`."""

log = logging.getLogger(__name__)

_Item = TypeVar("_Item")


class Work(Protocol):
    """What is done under leases. The keeper's thread calls it, so nothing of it may wait."""

    def poll(self, lease: Lease) -> None:
        """Begin to poll the PBX of *lease*; at its end comes `LeaseKeeper.ended`."""

    def finish(self, lease: Lease) -> None:
        """End between two polls: the lease is to be given back."""

    def abort(self, lease: Lease) -> None:
        """End at once, and show and send nothing more: the lease is lost."""


class LeaseKeeper:
    """Holds leases of the PBXs *names* by *table*, each for *lease_seconds*.

    *wake* is the event that ends the waiting of *clock*.
    """

    def __init__(
        self,
        table: Table,
        work: Work,
        names: Collection[str],
        *,
        lease_seconds: float,
        clock: Clock,
        wake: threading.Event,
        random_fraction: Callable[[], float] = random,
    ) -> None:
        self.changes: Mapping[str, int] = {}
        """How often a lease began or ended here, by reason."""
        self.database_up = False
        """Whether the last round worked."""
        self._table = table
        self._work = work
        self._names = tuple(names)
        self._lease_seconds = lease_seconds
        self._clock = clock
        self._wake = wake
        self._random_fraction = random_fraction
        self._held: dict[str, Lease] = {}
        self._finishing: dict[str, Lease] = {}
        self._lost: dict[str, Lease] = {}
        self._released: dict[str, Lease] = {}
        self._to_finish: SimpleQueue[str] = SimpleQueue()
        self._reported_lost: SimpleQueue[Lease] = SimpleQueue()
        self._reported_ended: SimpleQueue[Lease] = SimpleQueue()
        self._stopping = False
        self._has_left = False
        self._worked_at: float | None = None
        self._has_more = False
        self._failures = 0
        self._cause = ""
        self._thread = threading.Thread(target=self._run, name="leases", daemon=True)

    def works(self, now: Now) -> bool:
        """Say whether a round has worked so recently that a lease renewed in it is still valid."""
        last = self._worked_at
        return last is not None and now.steady < rules.valid_until(last, self._lease_seconds)

    @property
    def alive(self) -> bool:
        """Whether the thread is running."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def change_to(self, names: Collection[str], changed: Collection[str]) -> None:
        """From now on hold leases of *names* only; give back those of *changed* too.

        What was given back is free again, for this replica too.

        Any thread may call this, `stop`, `ended` and `lost`.
        """
        self._names = tuple(names)
        for name in changed:
            self._to_finish.put(name)
        self._wake.set()

    def stop(self) -> None:
        """Give everything back; then the thread ends."""
        self._stopping = True
        self._wake.set()

    def join(self, seconds: float) -> None:
        """Wait, *seconds* at most, until the thread has ended."""
        self._thread.join(seconds)

    def lost(self, lease: Lease) -> None:
        """Take note that the database has refused a commit under *lease*."""
        lease.end()
        self._reported_lost.put(lease)
        self._wake.set()

    def ended(self, lease: Lease) -> None:
        """Take note that what was done under *lease* has ended."""
        self._reported_ended.put(lease)
        self._wake.set()

    def _run(self) -> None:
        while not self.is_done:
            self._wake.clear()
            wait = self.round()
            if not self.is_done:
                self._clock.wait(wait)

    @property
    def is_done(self) -> bool:
        """Whether this replica has stopped, and nothing of it is left."""
        left = self._held or self._finishing or self._lost or self._released
        # Without the database its row ends by itself.
        return self._stopping and not left and (self._has_left or self._failures > 0)

    def round(self) -> float:
        """Do what is due, and return the seconds until the next round."""
        self._has_more = False
        began = self._clock.now().steady
        try:
            self._take_note()
            if self._worked_at is None:
                self._table.prepare()
            locked = self._renew()
            self._release()
            self._share_out()
            # At the end there is no time to wait: what ends meanwhile is to be given back.
            if not self._stopping:
                self._renew_locked(locked)
        except DatabaseError as error:
            return self._failed(error.reason, str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, there is another round
            kind = f"unexpected {type(error).__name__}"
            return self._failed(kind, kind, error)
        return self._succeeded(began)

    def _take_note(self) -> None:
        """Sort the leases by what was reported, and by the clock."""
        # First, since whoever reports a lease as lost reports the end after it.
        ended = list(_all_of(self._reported_ended))
        for lease in _all_of(self._reported_lost):
            self._lose(lease, "another replica has it")
        for name in (*_all_of(self._to_finish), *(self._held.keys() - self._wanted)):
            self._finish(name)
        now = self._clock.now()
        for lease in self._renewable:
            if not lease.is_valid(now):
                self._lose(lease, "the database did not renew it in time")
        for lease in ended:
            self._forget(lease)

    @property
    def _wanted(self) -> Collection[str]:
        return () if self._stopping else self._names

    @property
    def _renewable(self) -> Collection[Lease]:
        return (*self._held.values(), *self._finishing.values())

    def _forget(self, lease: Lease) -> None:
        """Note that the thread of *lease* has ended: it is lost, or may be given back."""
        if self._lost.pop(lease.pbx, None) is None:
            self._held.pop(lease.pbx, None)
            self._finishing.pop(lease.pbx, None)
            lease.end()
            self._released[lease.pbx] = lease

    def _lose(self, lease: Lease, why: str) -> None:
        for phase in (self._held, self._finishing):
            if phase.get(lease.pbx) is lease:
                del phase[lease.pbx]
                break
        else:
            return
        lease.end()
        self._lost[lease.pbx] = lease
        self._count(LOST)
        for_pbx(log, lease.pbx).warning("lease lost: %s", why, epoch=lease.epoch)
        self._work.abort(lease)

    def _finish(self, name: str) -> None:
        if lease := self._held.pop(name, None):
            self._finishing[name] = lease
            self._work.finish(lease)

    def _renew(self) -> Collection[Lease]:
        """Renew what is held; return those whose rows are locked just now, or another's."""
        renewed = self._renewed(self._renewable, wait=False)
        return [lease for lease in self._renewable if lease.pbx not in renewed]

    def _renew_locked(self, leases: Collection[Lease]) -> None:
        """Wait for the rows of *leases*: the trouble of one PBX comes after all others."""
        renewed = self._renewed(leases, wait=True)
        for lease in leases:
            if lease.pbx not in renewed:
                self._lose(lease, "another replica has it")

    def _renewed(self, leases: Collection[Lease], *, wait: bool) -> Collection[str]:
        if not leases:
            return ()
        asked_at = self._clock.now().steady
        renewed = self._table.renew({lease.pbx: lease.epoch for lease in leases}, wait=wait)
        until, now = rules.valid_until(asked_at, self._lease_seconds), self._clock.now()
        for lease in leases:
            if lease.pbx in renewed:
                lease.renew(until, now)
        return renewed

    def _release(self) -> None:
        """Let others have what has ended here."""
        if not self._released:
            return
        self._table.release({lease.pbx: lease.epoch for lease in self._released.values()})
        for lease in self._released.values():
            self._count(ENDED if self._stopping else GIVEN_BACK)
            for_pbx(log, lease.pbx).info("lease given back", epoch=lease.epoch)
        self._released.clear()

    def _share_out(self) -> None:
        """Take what is free, up to the share of this replica, or give back what is more than it."""
        if self._stopping:
            self._leave()
            return
        names = self._names
        replicas = self._table.beat(names)
        for name in rules.to_give_back(tuple(self._held), len(names), replicas):
            self._finish(name)
        if most := rules.to_take(len(self._held), len(names), replicas):
            here = {*self._held, *self._finishing, *self._lost}
            self._take([name for name in names if name not in here], most)

    def _take(self, names: Collection[str], most: int) -> None:
        if not names:
            return
        asked_at = self._clock.now().steady
        taken = self._table.take(names, most)
        self._has_more = len(taken) == rules.MOST_AT_ONCE
        until = rules.valid_until(asked_at, self._lease_seconds)
        for each in taken:
            lease = self._held[each.pbx] = Lease(each.pbx, each.epoch, until)
            self._count(each.reason)
            for_pbx(log, each.pbx).info("lease taken", epoch=each.epoch, reason=each.reason)
            self._begin(lease)

    def _begin(self, lease: Lease) -> None:
        try:
            self._work.poll(lease)
        except Exception as error:  # noqa: BLE001 - the others have to go on
            for_pbx(log, lease.pbx).error(
                "polling could not begin, the lease is given back", exc_info=error
            )
            self.ended(lease)

    def _leave(self) -> None:
        """Be counted no longer, so that the others take what is given back."""
        if not self._has_left:
            self._table.leave()
            self._has_left = True

    def _count(self, reason: str) -> None:
        self.changes = {**self.changes, reason: self.changes.get(reason, 0) + 1}

    def _failed(self, cause: str, message: str, bug: Exception | None = None) -> float:
        self._failures += 1
        self.database_up = False
        if cause != self._cause:
            fields = {"fields": {"cause": cause}}
            log.warning("the leases cannot be kept: %s", message, exc_info=bug, extra=fields)
        self._cause = cause
        return rules.next_try(self._lease_seconds, self._failures, self._random_fraction())

    def _succeeded(self, began: float) -> float:
        if self._failures:
            log.info("the leases are kept again", extra={"fields": {"tries": self._failures}})
        self._failures, self._cause = 0, ""
        self._worked_at, self.database_up = began, True
        if self._has_more:
            return 0.0
        return rules.next_round(self._lease_seconds, self._random_fraction())


def _all_of(queue: SimpleQueue[_Item]) -> Iterator[_Item]:
    try:
        while True:
            yield queue.get_nowait()
    except Empty:
        return
