"""Small documents in the database: tokens and logins on record, shared by all replicas.

It is what `pbx.Documents` asks for, over the table `document`.

Rule: no transaction is kept open while a PBX is asked. So a lock is a claim, written into the rows:
who has it, and until when by the database's clock. It ends by itself where its owner died or stands
still, and its owner counts it from before he asked for it, less a sixth.

Rule: a change holds without the claim. The rows are locked, read, changed and written in one
transaction, in which nothing is waited for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import TypeVar
from uuid import uuid4

from ..clock import steady_clock
from ..errors import DatabaseError, TryAgain
from ..pbx.documents import Contents
from .database import Database, Transaction

_T = TypeVar("_T")

_SURE = 5 / 6
"""For which part of its time a claim is relied on: the clocks of two machines differ."""

_MAKE = "INSERT INTO document (name) SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING"
_CLAIM = """
    WITH free AS (
        SELECT name FROM document
        WHERE name = ANY(%s) AND (locked_until IS NULL OR locked_until < clock_timestamp())
        ORDER BY name FOR UPDATE SKIP LOCKED
    )
    UPDATE document SET locked_by = %s, locked_until = clock_timestamp() + make_interval(secs => %s)
    FROM free WHERE document.name = free.name"""
_RELEASE = """
    UPDATE document SET locked_by = NULL, locked_until = NULL
    WHERE name = ANY(%s) AND locked_by = %s"""
_NAMES = """
    SELECT name FROM document
    WHERE starts_with(name, %s) AND content IS NOT NULL ORDER BY name"""
_READ = "SELECT name, content FROM document WHERE name = ANY(%s)"
_READ_FOR_CHANGE = f"{_READ} ORDER BY name FOR UPDATE"
_WRITE = """
    UPDATE document SET content = new.content
    FROM unnest(%s::text[], %s::bytea[]) AS new (name, content) WHERE document.name = new.name"""


class DatabaseDocuments:
    """The documents in *database*, whose schema is prepared. *steady* is the steady clock."""

    def __init__(self, database: Database, steady: Callable[[], float] | None = None) -> None:
        self._database = database
        self._steady = steady or steady_clock()

    def open(self, kind: str, *names: str) -> DatabaseDocument:
        """Return the documents of these names."""
        return DatabaseDocument(self._database, kind, names, self._steady)

    def names(self, beginning: str) -> list[str]:
        """Return the names of the documents that begin so; raises `DatabaseError`."""
        with self._database.transaction() as transaction:
            return [name for (name,) in transaction.execute(_NAMES, (beginning,))]

    def turn(
        self,
        name: str,
        timeout_seconds: float,
        cancelled: threading.Event,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> AbstractContextManager[None]:
        """Return at once: who polls a PBX has its lease, and no other replica polls it.

        Only what a person runs beside them, `check --connect` or `history`, may make a second
        request at the same time. Two transactions more for each request would be dear for that.
        """
        return nullcontext()


class DatabaseDocument:
    """Some documents. Raises `TryAgain` with reason `state`, without a context."""

    def __init__(
        self, database: Database, title: str, names: tuple[str, ...], steady: Callable[[], float]
    ) -> None:
        self.title = title
        self._database = database
        self._names = sorted(names)
        self._steady = steady

    def try_lock(self, hold_seconds: float) -> Claim | None:
        """Claim them for *hold_seconds*; None where somebody has a claim on one of them."""
        owner, asked_at = str(uuid4()), self._steady()

        def claim(transaction: Transaction) -> None:
            transaction.execute(_MAKE, (self._names,))
            claimed = transaction.execute(_CLAIM, (self._names, owner, hold_seconds))
            if claimed.rowcount < len(self._names):
                raise _Busy

        try:
            self._transact(claim)
        except _Busy:
            return None
        until = asked_at + hold_seconds * _SURE
        return Claim(lambda: self._steady() < until, lambda: self._release(owner))

    def read(self) -> Contents:
        """Return what is in them."""
        return self._transact(lambda transaction: self._contents(transaction, _READ))

    def change(self, edit: Callable[[Contents], Contents]) -> None:
        """Replace what is in them by what *edit* makes of it, in one transaction."""

        def change(transaction: Transaction) -> None:
            # So that there is a row to lock for each. They are locked in one order, by name.
            transaction.execute(_MAKE, (self._names,))
            after = edit(self._contents(transaction, _READ_FOR_CHANGE))
            if after:
                transaction.execute(_WRITE, ([*after], [*after.values()]))

        self._transact(change)

    def _contents(self, transaction: Transaction, query: str) -> Contents:
        found = dict(transaction.execute(query, (self._names,)).fetchall())
        return {name: found.get(name) for name in self._names}

    def _release(self, owner: str) -> None:
        with suppress(TryAgain):  # else it ends by itself
            self._transact(lambda each: each.execute(_RELEASE, (self._names, owner)))

    def _transact(self, action: Callable[[Transaction], _T]) -> _T:
        """Do *action* in a transaction; a `DatabaseError` becomes a `TryAgain` without context."""
        try:
            with self._database.transaction() as transaction:
                return action(transaction)
        except DatabaseError as error:
            problem = str(error)
        raise TryAgain(f"{self.title}: {problem}", reason="state")


class Claim:
    """A claim on documents."""

    def __init__(self, is_held: Callable[[], bool], release: Callable[[], None]) -> None:
        self._is_held = is_held
        self._release = release

    def is_held(self) -> bool:
        """Say whether it has not ended yet."""
        return self._is_held()

    def release(self) -> None:
        """Give it up, as far as the database can be reached."""
        self._release()


class _Busy(Exception):
    """Somebody has a claim on one of the documents; undoes the transaction."""
