"""The rows of a state file, each with a checksum, and one row about all of them.

Rule: every row is written and read here, so no writer can forget a checksum and no reader can
believe a row that is not as it was written.

Bits flip, and a disk may lose a write, or write or read it at another place. So two things are
checked when a file is opened:

- The checksum of a row covers its table, its key and its content: no row has changed, and none is
  another row's.
- The `whole` row, written with each commit, has how many rows there are and the sum of their
  checksums: none is missing, there twice, or of an earlier commit.

A commit changes the sum by the rows that it writes, so what it costs does not go by how many rows
there are. Checksums are CRC-32: they notice any change within 32 bits that follow each other, and
all but one of 2**32 others. They are against accidents; who can write the file can write them, too.
(64 bits of BLAKE2b made a commit of a page about 10 % slower.)
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice, pairwise
from typing import Any, NamedTuple
from zlib import crc32

import msgspec

from .schema import CHUNK, LEDGER, META, TABLES, VERSION, WHOLE

Key = int | str
"""The key of a row: an int or a str, the same in all of a table."""

Rows = Mapping[Any, bytes]
"""The rows of one table: content by key, in the order of the keys."""

_Row = tuple[Any, Any, int]
"""Key, content and checksum."""

_MODULUS = 1 << 64

_AT_ONCE = 32
"""Rows whose old checksums are looked up by one statement."""

_OFTEN_WRITTEN = frozenset({META, LEDGER, CHUNK})
"""Tables of few rows, of which a commit writes many: their checksums are kept in memory."""


class Damaged(ValueError):
    """What is in the file is not what was written."""


class Whole(NamedTuple):
    """What is known of all *rows* of a file together.

    *checksums* is the sum of their checksums modulo 2**64. *commits* counts the commits. *version*
    is that of the file, beside the one in SQLite's header, which has no checksum.
    """

    version: int = VERSION
    rows: int = 0
    checksums: int = 0
    commits: int = 0

    def with_rows(self, rows: int, checksums: int) -> Whole:
        """Return it with so many more *rows*, and with their *checksums* added."""
        sum_of_all = (self.checksums + checksums) % _MODULUS
        return Whole(self.version, self.rows + rows, sum_of_all, self.commits)


class CheckedRows:
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
            self.whole = self.whole._replace(commits=self.whole.commits + 1)
            self._insert(WHOLE, [_row(WHOLE, 0, msgspec.json.encode(self.whole))])
            self._db.execute("COMMIT")
        except BaseException:
            self.whole = before
            self._checksums.clear()
            # A full disk has rolled back already; then there is nothing to roll back.
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise

    def put(self, table: str, rows: Iterable[tuple[Key, bytes]]) -> None:
        """Write *rows*, key and content, in place of those of the same keys."""
        checked = [_row(table, key, content) for key, content in dict(rows).items()]
        if not checked:
            return
        checksums = {key: checksum for key, _, checksum in checked}
        old = self._old_checksums(table, checksums)
        self.whole = self.whole.with_rows(
            len(checked) - len(old), sum(checksums.values()) - sum(old)
        )
        self._insert(table, checked)
        if table in self._checksums:
            self._checksums[table] |= checksums

    def delete(self, table: str, keys: Iterable[Key]) -> None:
        """Delete the rows of *keys*, as far as there are any."""
        once = dict.fromkeys(keys)
        if not once:
            return
        old = self._old_checksums(table, once)
        self.whole = self.whole.with_rows(-len(old), -sum(old))
        statement = f"DELETE FROM {table} WHERE key = ?"  # noqa: S608 (ours)
        self._db.executemany(statement, [(key,) for key in once])
        for key in once if table in self._checksums else ():
            self._checksums[table].pop(key, None)

    def delete_all(self, table: str) -> None:
        """Delete every row of *table*."""
        self.delete(table, read_rows(self._db, table))

    def delete_below(self, table: str, key: int) -> None:
        """Delete the rows of *table* with lower keys."""
        found = self._db.execute(f"SELECT key FROM {table} WHERE key < ?", (key,))  # noqa: S608
        self.delete(table, [each for (each,) in found])

    def get(self, table: str, key: Key) -> bytes | None:
        """Return the content of the row of *key*, None where there is none; raises `Damaged`."""
        statement = f"SELECT key, content, checksum FROM {table} WHERE key = ?"  # noqa: S608 (ours)
        row = self._db.execute(statement, (key,)).fetchone()
        return None if row is None else _checked(table, row)[1]

    def _insert(self, table: str, rows: Sequence[_Row]) -> None:
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
    rows = read_rows(db, WHOLE)
    if list(rows) != [0]:
        raise Damaged("no row about all others")
    return msgspec.json.decode(rows[0], type=Whole)


def read_rows(db: sqlite3.Connection, table: str) -> Rows:
    """Return the rows of *table*; raises `Damaged` where one is not as it was written."""
    return _rows(_checked_rows(db, table))


def read_all_rows(db: sqlite3.Connection) -> dict[str, Rows]:
    """Return the rows of each table, all of one commit.

    Raises `Damaged` or msgspec's errors where a row has changed, is missing or does not belong.
    """
    db.execute("BEGIN")
    try:
        tables = {table: _checked_rows(db, table) for table in TABLES}
        whole = read_whole(db)
    finally:
        with suppress(sqlite3.Error):
            db.execute("ROLLBACK")
    found = Whole(commits=whole.commits)
    for rows in tables.values():
        found = found.with_rows(len(rows), sum([checksum for _, _, checksum in rows]))
    if found != whole:
        raise Damaged("rows are missing, or there twice, or of an earlier commit")
    return {table: _rows(rows) for table, rows in tables.items()}


def _rows(rows: Iterable[_Row]) -> Rows:
    return {key: content for key, content, _ in rows}


def _checked_rows(db: sqlite3.Connection, table: str) -> list[_Row]:
    found = db.execute(f"SELECT key, content, checksum FROM {table} ORDER BY key")  # noqa: S608
    rows = [_checked(table, row) for row in found.fetchall()]
    # Where pages have changed places, a row is not found by its key.
    if not all(one[0] < other[0] for one, other in pairwise(rows)):
        raise Damaged(f"the rows of {table} are not in order")
    return rows


def _checked(table: str, row: _Row) -> _Row:
    key, content, _ = row
    if not isinstance(content, bytes) or row != _row(table, key, content):
        raise Damaged(f"a row of {table} is not as it was written")
    return row


def _row(table: str, key: Key, content: bytes) -> _Row:
    return key, content, _checksum(table, key, content)


def _checksum(table: str, key: Key, content: bytes) -> int:
    return crc32(content, crc32(f"{table}\0{key}\0".encode()))
