"""The rows of a state in a SQLite file; see `checked_rows` for what is checked about them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain, islice

from .checked_rows import ChangedRows, Key, Row, Rows, TableChange, Whole, verified, whole_of
from .schema import CHUNK, LEDGER, META, TABLES, WHOLE

_AT_ONCE = 32
"""Rows whose old checksums are looked up by one statement."""

_OFTEN_WRITTEN = frozenset({META, LEDGER, CHUNK})
"""Tables of few rows, of which a commit writes many: their checksums are kept in memory."""


class FileRows:
    """Writes the rows of the state file *db*, which is as *whole* says."""

    def __init__(self, db: sqlite3.Connection, whole: Whole) -> None:
        self._db = db
        self.whole = whole
        """As of the last commit; within a transaction, as it will be."""
        self._checksums: dict[str, dict[Key, int]] = {}
        """The checksums in the file, of those of `_OFTEN_WRITTEN` that were written already."""

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit at the end; where anything is raised, nothing has changed."""
        before = self.whole
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.whole = self.whole.after_commit()
            self._insert(WHOLE, [self.whole.row])
            self._db.execute("COMMIT")
        except BaseException:
            self.whole = before
            self._checksums.clear()
            # A full disk has rolled back already; then there is nothing to roll back.
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise

    def write(self, changed: ChangedRows) -> None:
        """Write what has *changed*, within a transaction."""
        for table, change in changed.tables.items():
            self._write(table, change)

    def _write(self, table: str, change: TableChange) -> None:
        deleted = self._deleted(table, change)
        old = self._old_checksums(table, chain(deleted, change.rows))
        self.whole = self.whole.with_rows(len(change.rows) - len(old), change.checksums - sum(old))
        if deleted:
            statement = f"DELETE FROM {table} WHERE key = ?"  # noqa: S608 (ours)
            self._db.executemany(statement, [(key,) for key in deleted])
        self._insert(table, change.rows.values())
        if table in self._checksums:
            known = self._checksums[table]
            for key in deleted:
                known.pop(key, None)
            known |= {key: checksum for key, _, checksum in change.rows.values()}

    def _deleted(self, table: str, change: TableChange) -> Iterable[Key]:
        """Return the keys of the rows that go and are not written again."""
        if not change.emptied and change.below is None:
            return change.deleted
        below = "" if change.emptied else f" WHERE key < {change.below}"
        found = self._db.execute(f"SELECT key FROM {table}{below}")  # noqa: S608 (ours)
        keys = dict.fromkeys([*change.deleted, *(key for (key,) in found)])
        return [key for key in keys if key not in change.rows]

    def _insert(self, table: str, rows: Iterable[Row]) -> None:
        self._db.executemany(f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)", rows)  # noqa: S608

    def _old_checksums(self, table: str, keys: Iterable[Key]) -> list[int]:
        """Return the checksums of the rows that *keys* have in the file."""
        if table in _OFTEN_WRITTEN:
            if table not in self._checksums:
                found = self._db.execute(f"SELECT key, checksum FROM {table}")  # noqa: S608 (ours)
                self._checksums[table] = dict(found.fetchall())
            known = self._checksums[table]
            return [known[key] for key in keys if key in known]
        old: list[int] = []
        left = iter(keys)
        while some := list(islice(left, _AT_ONCE)):
            places = ", ".join("?" * len(some))
            statement = f"SELECT checksum FROM {table} WHERE key IN ({places})"  # noqa: S608 (ours)
            old += [checksum for (checksum,) in self._db.execute(statement, some)]
        return old


def read_whole(db: sqlite3.Connection) -> Whole:
    """Return what the file says about all of its rows; raises `Damaged` or msgspec's errors."""
    return whole_of(_read(db, WHOLE))


def read_all_rows(db: sqlite3.Connection) -> dict[str, Rows]:
    """Return the rows of each table, all of one commit.

    Raises `Damaged` or msgspec's errors where a row has changed, is missing or does not belong.
    """
    db.execute("BEGIN")
    try:
        tables = {table: _read(db, table) for table in TABLES}
        whole = read_whole(db)
    finally:
        with suppress(sqlite3.Error):
            db.execute("ROLLBACK")
    return verified(tables, whole)


def _read(db: sqlite3.Connection, table: str) -> Sequence[Row]:
    found = db.execute(f"SELECT key, content, checksum FROM {table} ORDER BY key")  # noqa: S608
    return found.fetchall()
