"""The tables of leases without a database: its clock is moved by hand, and it can be away."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from cdr_exporter.errors import DatabaseError
from cdr_exporter.leases.table import EXPIRED, FIRST, FREE, Taken

GIVEN_BACK = float("-inf")


@dataclass
class LeaseRow:
    """The lease of one PBX; *ends* is a time of the database's clock."""

    holder: str = ""
    epoch: int = 0
    ends: float = GIVEN_BACK


@dataclass
class LeaseRows:
    """What is in the database, whose clock says *now* seconds."""

    now: float = 0.0
    leases: dict[str, LeaseRow] = field(default_factory=dict)
    replicas: dict[str, tuple[frozenset[str], float]] = field(default_factory=dict)
    locked: set[str] = field(default_factory=set)
    away: str = ""

    def held_by(self, replica: str) -> list[str]:
        """Return the PBXs whose lease *replica* has."""
        held = [n for n, row in self.leases.items() if row.holder == replica]
        return sorted(name for name in held if self.leases[name].ends >= self.now)


class FakeTable:
    """The tables as the replica *name* sees them; *asked* counts what it asked for."""

    def __init__(self, rows: LeaseRows, name: str, lease: float) -> None:
        self.rows = rows
        self.name = name
        self.lease = lease
        self.asked: list[str] = []

    def prepare(self) -> None:
        self._ask("prepare")

    def beat(self, names: Collection[str]) -> int:
        self._ask("beat")
        same, now = frozenset(names), self.rows.now
        self.rows.replicas[self.name] = same, now + self.lease
        return sum(pbxs == same and ends >= now for pbxs, ends in self.rows.replicas.values())

    def renew(self, epochs: Mapping[str, int], *, wait: bool) -> Collection[str]:
        self._ask("wait" if wait else "renew")
        if wait and self.rows.locked & epochs.keys():
            raise DatabaseError("waited too long for a lock", reason="busy")
        mine = {name for name in epochs.keys() - self.rows.locked if self._is_mine(name, epochs)}
        for name in mine:
            self.rows.leases[name].ends = self.rows.now + self.lease
        return mine

    def take(self, names: Collection[str], most: int) -> Sequence[Taken]:
        self._ask("take")
        rows = [(name, self.rows.leases.setdefault(name, LeaseRow())) for name in names]
        free = [
            (name, row)
            for name, row in rows
            if name not in self.rows.locked
            and (row.ends < self.rows.now or row.holder == self.name)
        ]
        return [self._taken(name, row) for name, row in free[:most]]

    def release(self, epochs: Mapping[str, int]) -> None:
        self._ask("release")
        for name in epochs:
            if self._is_mine(name, epochs):
                self.rows.leases[name].ends = GIVEN_BACK

    def leave(self) -> None:
        self._ask("leave")
        self.rows.replicas.pop(self.name, None)

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.rows.away:
            raise DatabaseError(f"the database is away: {self.rows.away}", reason=self.rows.away)

    def _is_mine(self, name: str, epochs: Mapping[str, int]) -> bool:
        row = self.rows.leases.get(name)
        return row is not None and (row.holder, row.epoch) == (self.name, epochs[name])

    def _taken(self, name: str, row: LeaseRow) -> Taken:
        reason = FIRST if not row.epoch else FREE if row.ends == GIVEN_BACK else EXPIRED
        row.holder, row.epoch, row.ends = self.name, row.epoch + 1, self.rows.now + self.lease
        return Taken(name, row.epoch, reason)
