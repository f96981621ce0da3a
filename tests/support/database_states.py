"""States in a real database: leases taken, commits that fail, answers that are lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cdr_exporter.database import Database, Transaction, prepare_schema
from cdr_exporter.errors import CommitInDoubt
from cdr_exporter.metrics.totals import Bounds
from cdr_exporter.store import DatabaseStore

from .postgres import PostgresServer, TestDatabase
from .rows import BOUNDS

LEASE = 4.0
"""Seconds: what is locked is given up after one."""

_FULL = """
CREATE OR REPLACE FUNCTION cdr_exporter.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'no room' USING ERRCODE = 'disk_full';
END $$;
CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON cdr_exporter.state
FOR EACH ROW WHEN (new.part = 'chunk' OR new.part = 'whole')
EXECUTE FUNCTION cdr_exporter.refuse()
"""

_LOST = """
CREATE OR REPLACE FUNCTION cdr_exporter.end_session() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_terminate_backend(pg_backend_pid());
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER lost_session AFTER INSERT OR UPDATE ON cdr_exporter.state
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.part = 'whole')
EXECUTE FUNCTION cdr_exporter.end_session()
"""


class Doubtful(Database):
    """A database of which the answer to a commit may be lost, once, after *landed* was set.

    True lets the commit land all the same.
    """

    landed: bool | None = None

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        landed, self.landed = self.landed, None
        lost = CommitInDoubt("the answer was lost", reason="unreachable")
        with super().transaction() as transaction:
            yield transaction
            if landed is False:
                raise lost
        if landed:
            raise lost


class StatesInDatabase:
    """Stores in one database, each opened under a lease of its own, as a new holder's."""

    def __init__(self, database: TestDatabase) -> None:
        self.server = database
        self._triggered = False
        self._admin = database.server.connect(database.name)
        self.database = Doubtful(database.url(), LEASE)
        prepare_schema(self.database)

    def clear(self) -> None:
        """Remove all states and leases."""
        self.unfill()
        self.run("DELETE FROM cdr_exporter.state")
        self.run("DELETE FROM cdr_exporter.lease")

    def run(self, sql: str, parameters: Any = None) -> list[Any]:
        """Run one statement as the administrator; return its rows."""
        found = self._admin.execute(sql, parameters)
        return found.fetchall() if found.description else []

    def take_lease(self, name: str = "hq") -> int:
        """Take the lease of the PBX *name*, whoever has it, and return its epoch."""
        [[epoch]] = self.run(
            "INSERT INTO cdr_exporter.lease VALUES (%s, 'me', 'here:1', 1, clock_timestamp())"
            " ON CONFLICT (pbx) DO UPDATE SET epoch = lease.epoch + 1 RETURNING epoch",
            (name,),
        )
        return int(epoch)

    def open(
        self, name: str = "hq", client_id: str = "me", bounds: Bounds = BOUNDS
    ) -> DatabaseStore:
        """Return the store of a new holder."""
        epoch = self.take_lease(name)
        return DatabaseStore(self.database, name, client_id, bounds, epoch=epoch)

    def fill(self) -> None:
        """Let every commit fail in its middle, as on a full disk, until `unfill`."""
        self._trigger(_FULL)

    def lose_sessions(self) -> None:
        """Let every session end within COMMIT, until `unfill`."""
        self._trigger(_LOST)

    def unfill(self) -> None:
        """End what was begun by `fill` or `lose_sessions`."""
        if not self._triggered:
            return
        self._triggered = False
        self.run("DROP TRIGGER IF EXISTS full_disk ON cdr_exporter.state")
        self.run("DROP TRIGGER IF EXISTS lost_session ON cdr_exporter.state")

    def remember(self) -> None:
        """Copy all rows to the table `older`, in the place of those there."""
        self.run("DROP TABLE IF EXISTS older")
        self.run("CREATE TABLE older AS SELECT * FROM cdr_exporter.state")

    def names(self) -> list[str]:
        """Return the names of which there are rows."""
        return [name for (name,) in self.run("SELECT DISTINCT pbx FROM cdr_exporter.state")]

    def close(self) -> None:
        """Close the connections."""
        self.database.close()
        self._admin.close()

    def _trigger(self, sql: str) -> None:
        self.unfill()
        self._triggered = True
        for statement in sql.split(";\nCREATE"):
            self.run(statement if statement.lstrip().startswith("CREATE") else f"CREATE{statement}")


@contextmanager
def states_in(server: PostgresServer) -> Iterator[StatesInDatabase]:
    """Return states in a database of their own on *server*, dropped at the end."""
    database = server.make_database()
    states = StatesInDatabase(database)
    try:
        yield states
    finally:
        states.close()
        database.drop()
