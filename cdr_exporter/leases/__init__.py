"""Leases: which replica polls which PBX, where several share one database.

A lease is a row of the database for each PBX: who holds it, until when by the database's clock,
and an epoch that is higher with each holder.

    rules    how many PBXs a replica may hold, and until when a lease counts here; pure
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple, Protocol


class Holder(NamedTuple):
    """Who has the lease of a PBX, or had it last.

    *address* is the `host:port` at which that replica is scraped. *held* says that the lease has
    not ended, by the database's clock; *here* that this replica is the one that holds it.
    """

    address: str
    here: bool
    held: bool


class Holders(Protocol):
    """Who can be asked for the holders of PBXs; `LeaseTable` is one."""

    def holders(self, names: Collection[str]) -> Mapping[str, Holder | None]:
        """Return the holder of each PBX in *names*, in this order; None where there never was one.

        Asks the database, from the calling thread. Raises `DatabaseError` where it does not tell.
        """


__all__ = ["Holder", "Holders"]
