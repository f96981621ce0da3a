"""Keepers of leases without a thread: rounds, clocks and the work under leases go by hand."""

from __future__ import annotations

import threading
from collections.abc import Callable

from cdr_exporter.leases import Lease, LeaseKeeper, LeaseTable
from cdr_exporter.leases.table import Table

from .fake_clock import FakeClock
from .postgres import TestDatabase

LEASE = 30.0
PBXS = ["a", "b", "c", "d"]

QUICK = 2.0
"""Seconds: with a real database its time limits go by such a lease, and the rows by `LEASE`."""

MakeTable = Callable[[str], LeaseTable]


def let_all_end(postgres: TestDatabase) -> None:
    """Let all leases, and all that replicas have said of themselves, have ended just now."""
    postgres.run("UPDATE cdr_exporter.lease SET ends = clock_timestamp() - interval '1 ms'")
    postgres.run("UPDATE cdr_exporter.replica SET ends = clock_timestamp() - interval '1 ms'")


class FakeWork:
    """Notes what is polled, and what is to end; `end` lets its threads end."""

    def __init__(self) -> None:
        self.keeper: LeaseKeeper | None = None
        self.polled: dict[str, Lease] = {}
        self.finishing: dict[str, Lease] = {}
        self.aborted: dict[str, Lease] = {}
        self.broken = False

    def poll(self, lease: Lease) -> None:
        if self.broken:
            raise RuntimeError("a bug")
        assert lease.pbx not in {**self.polled, **self.finishing, **self.aborted}
        self.polled[lease.pbx] = lease

    def finish(self, lease: Lease) -> None:
        self.finishing[lease.pbx] = self.polled.pop(lease.pbx)

    def abort(self, lease: Lease) -> None:
        found = self.polled.pop(lease.pbx, None) or self.finishing.pop(lease.pbx)
        self.aborted[lease.pbx] = found

    def end(self) -> None:
        """Let the threads end that are to end."""
        assert self.keeper is not None
        for lease in (*self.finishing.values(), *self.aborted.values()):
            self.keeper.ended(lease)
        self.finishing, self.aborted = {}, {}


class KeptLeases:
    """A keeper of leases of `PBXS` in *table*, with a clock and work of its own."""

    def __init__(self, table: Table) -> None:
        self.work = FakeWork()
        self.clock = FakeClock()
        self.keeper = self.work.keeper = LeaseKeeper(
            table,
            self.work,
            PBXS,
            lease_seconds=LEASE,
            clock=self.clock,
            wake=threading.Event(),
            random_fraction=lambda: 0.0,
        )

    def round(self) -> float:
        """Do what is due; return the seconds until the next round."""
        return self.keeper.round()

    @property
    def polled(self) -> list[str]:
        """The PBXs that are polled, and not to end."""
        return sorted(self.work.polled)

    def shown(self) -> list[str]:
        """Return the PBXs that it may show now."""
        leases = (*self.work.polled.values(), *self.work.finishing.values())
        return sorted(each.pbx for each in leases if each.is_valid(self.clock.now()))
