"""Leases: which replica polls which PBX, where several share one database.

A lease is a row of the database for each PBX: who holds it, until when by the database's clock,
and an epoch that is higher with each holder.

    rules    how many PBXs a replica may hold, and until when a lease counts here; pure
    lease    one PBX's lease, as it counts here
    table    the rows in the database
    keeper   the thread that renews, takes and gives back
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from .keeper import LeaseKeeper, Work
from .lease import Lease, LeaseClock
from .table import Holder, LeaseTable


class Holders(Protocol):
    """Who can be asked for the holders of PBXs; `LeaseTable` is one."""

    def holders(self, names: Collection[str]) -> Mapping[str, Holder | None]:
        """Return the holder of each PBX in *names*, in this order; None where there never was one.

        Asks the database, from the calling thread. Raises `DatabaseError` where it does not tell.
        """


__all__ = ["Holder", "Holders", "Lease", "LeaseClock", "LeaseKeeper", "LeaseTable", "Work"]
