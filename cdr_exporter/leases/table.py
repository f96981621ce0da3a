"""The tables `lease` and `replica` of the database: who holds a PBX, and who is alive.

    lease    pbx; holder, the id of a process, and its address: of the last one where it has ended;
             epoch, one more with each holder, 0 before the first; ends
    replica  id of a process, its address; pbxs, a sum over the names in its configuration; ends

All times are those of the database's clock, as it is when a row is looked at
(`clock_timestamp()`), so that replicas whose clocks differ agree. Each method is one transaction.

Who takes a PBX locks its row first. A commit under the lease before locks it too, so either it has
landed when the row is taken, or it finds another epoch and writes nothing. Rows that are locked are
left for the next time: nobody waits for a replica that stands still.

A row that was given back ends at `-infinity`, so that it is known from one whose holder is gone.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from ..database import Database, prepare_schema

FIRST, FREE, EXPIRED = "first", "free", "expired"
"""Why a PBX could be taken: nobody had it before; it was given back; it was not renewed in time."""

_BEAT = """
WITH beat AS (
  INSERT INTO replica (id, address, pbxs, ends)
  VALUES (%(id)s, %(address)s, %(pbxs)s, clock_timestamp() + make_interval(secs => %(lease)s))
  ON CONFLICT (id) DO UPDATE SET pbxs = excluded.pbxs, ends = excluded.ends
), gone AS (
  DELETE FROM replica WHERE id IN (
    SELECT id FROM replica WHERE id <> %(id)s AND ends < clock_timestamp()
    FOR UPDATE SKIP LOCKED
  )
)
SELECT 1 + count(*) FROM replica
WHERE id <> %(id)s AND pbxs = %(pbxs)s AND ends >= clock_timestamp()
"""

_RENEW = """
WITH mine AS (
  SELECT lease.pbx FROM lease
  JOIN unnest(%(names)s::text[], %(epochs)s::bigint[]) AS held (pbx, epoch) USING (pbx, epoch)
  WHERE lease.holder = %(id)s
  FOR NO KEY UPDATE OF lease{skip_locked}
)
UPDATE lease SET ends = clock_timestamp() + make_interval(secs => %(lease)s)
FROM mine WHERE lease.pbx = mine.pbx
RETURNING lease.pbx
"""

_RENEW_UNLOCKED = _RENEW.format(skip_locked=" SKIP LOCKED")
_RENEW_ALL = _RENEW.format(skip_locked="")

_ADD = """
INSERT INTO lease (pbx, holder, address, epoch, ends)
SELECT pbx, '', '', 0, '-infinity' FROM unnest(%(names)s::text[]) AS new (pbx)
ON CONFLICT DO NOTHING
"""

# Of a takeover whose answer was lost, this replica is the holder and does not know the epoch.
_TAKE = """
WITH free AS (
  SELECT pbx, CASE WHEN epoch = 0 THEN %(first)s WHEN ends = '-infinity' THEN %(free)s
              ELSE %(expired)s END AS reason
  FROM lease
  WHERE pbx = ANY(%(names)s) AND (ends < clock_timestamp() OR holder = %(id)s)
  ORDER BY ends, pbx LIMIT %(most)s
  FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE lease SET holder = %(id)s, address = %(address)s, epoch = epoch + 1,
  ends = clock_timestamp() + make_interval(secs => %(lease)s)
FROM free WHERE lease.pbx = free.pbx
RETURNING lease.pbx, lease.epoch, free.reason
"""

_RELEASE = """
UPDATE lease SET ends = '-infinity'
FROM unnest(%(names)s::text[], %(epochs)s::bigint[]) AS held (pbx, epoch)
WHERE lease.pbx = held.pbx AND lease.epoch = held.epoch AND lease.holder = %(id)s
"""

_LEAVE = "DELETE FROM replica WHERE id = %(id)s"

_HOLDERS = """
SELECT pbx, address, holder = %(id)s, ends >= clock_timestamp() FROM lease
WHERE pbx = ANY(%(names)s) AND epoch > 0
"""


class Holder(NamedTuple):
    """Who has the lease of a PBX, or had it last.

    *address* is the `host:port` at which that replica is scraped. *held* says that the lease has
    not ended, by the database's clock; *here* that this replica is the one that holds it.
    """

    address: str
    here: bool
    held: bool


class Taken(NamedTuple):
    """A lease that was taken just now; *reason* is `FIRST`, `FREE` or `EXPIRED`."""

    pbx: str
    epoch: int
    reason: str


class Table(Protocol):
    """What a keeper needs of the tables. Every method raises `DatabaseError`."""

    def prepare(self) -> None:
        """Make the tables where there are none."""

    def beat(self, names: Collection[str]) -> int:
        """Say that this replica is alive, and return how many are, this one included.

        Only those count that have the same PBXs, *names*, in their configuration: what others may
        hold does not help these PBXs.
        """

    def renew(self, epochs: Mapping[str, int], *, wait: bool) -> Collection[str]:
        """Renew the leases of this replica with these epochs; return the PBXs of those renewed.

        Rows that are locked are waited for, or left out.
        """

    def take(self, names: Collection[str], most: int) -> Sequence[Taken]:
        """Take PBXs of *names* that nobody holds, *most* at most.

        Those that this replica holds itself are free too, so they must not be among the names.
        """

    def release(self, epochs: Mapping[str, int]) -> None:
        """Let the leases of this replica with these epochs end now; it stays their last holder."""

    def leave(self) -> None:
        """Say that this replica is alive no longer."""


class LeaseTable:
    """The tables in *database*, for the replica with the id *replica*.

    *address* is the `host:port` at which it is scraped; a lease lasts *lease_seconds*.
    """

    def __init__(
        self, database: Database, replica: str, address: str, lease_seconds: float
    ) -> None:
        self._database = database
        self._own = {"id": replica, "address": address, "lease": lease_seconds}

    def prepare(self) -> None:
        """Make the tables where there are none."""
        prepare_schema(self._database)

    def beat(self, names: Collection[str]) -> int:
        """Say that this replica is alive; return how many with these PBXs are."""
        same_pbxs = zlib.crc32("\n".join(sorted(names)).encode())
        [(replicas,)] = self._rows(_BEAT, pbxs=same_pbxs)
        return int(replicas)

    def renew(self, epochs: Mapping[str, int], *, wait: bool) -> Collection[str]:
        """Renew the leases with these epochs; return the PBXs of those renewed."""
        statement = _RENEW_ALL if wait else _RENEW_UNLOCKED
        rows = self._rows(statement, names=list(epochs), epochs=list(epochs.values()))
        return {pbx for (pbx,) in rows}

    def take(self, names: Collection[str], most: int) -> Sequence[Taken]:
        """Take PBXs of *names* that nobody holds, *most* at most."""
        # In one order, so that no two replicas that add rows wait for each other.
        asked = {"names": sorted(names), "most": most}
        reasons = {"first": FIRST, "free": FREE, "expired": EXPIRED}
        with self._database.transaction() as transaction:
            transaction.execute(_ADD, {**self._own, **asked})
            rows = transaction.execute(_TAKE, {**self._own, **asked, **reasons}).fetchall()
        return [Taken(*row) for row in rows]

    def release(self, epochs: Mapping[str, int]) -> None:
        """Let the leases with these epochs end now."""
        with self._database.transaction() as transaction:
            held = {"names": list(epochs), "epochs": list(epochs.values())}
            transaction.execute(_RELEASE, {**self._own, **held})

    def leave(self) -> None:
        """Say that this replica is alive no longer."""
        with self._database.transaction() as transaction:
            transaction.execute(_LEAVE, self._own)

    def holders(self, names: Collection[str]) -> Mapping[str, Holder | None]:
        """Return the holder of each PBX in *names*, in this order; None where there never was one.

        Raises `DatabaseError`.
        """
        rows = self._rows(_HOLDERS, names=list(names))
        found = {
            pbx: Holder(address, here=mine and held, held=held) for pbx, address, mine, held in rows
        }
        return {name: found.get(name) for name in names}

    def _rows(self, statement: str, **given: object) -> Sequence[tuple[Any, ...]]:
        with self._database.transaction() as transaction:
            return transaction.execute(statement, {**self._own, **given}).fetchall()
