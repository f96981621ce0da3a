"""The rows of a state, each with a checksum, and one row about all of them. Pure.

Rule: every row that a store writes is made in `ChangedRows`, and every row that it reads goes
through `verified`, so no writer can forget a checksum and no reader can believe a row that is not
as it was written. Where the rows are kept is the business of `file_rows` and `database_rows`.

Bits flip, and a disk may lose a write, or write or read it at another place. So two things are
checked when a state is opened:

- The checksum of a row covers its table, its key and its content: no row has changed, and none is
  another row's.
- The `whole` row, written with each commit, has how many rows there are and the sum of their
  checksums: none is missing, there twice, or of an earlier commit.

A commit changes the sum by the rows that it writes, so what it costs does not go by how many rows
there are. Checksums are CRC-32: they notice any change within 32 bits that follow each other, and
all but one of 2**32 others. They are against accidents; who can write the rows can write them, too.
(64 bits of BLAKE2b made a commit of a page about 10 % slower.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple
from zlib import crc32

import msgspec

from .schema import TABLES, VERSION, WHOLE

Key = int | str
"""The key of a row: an int or a str, the same in all of a table."""

Rows = Mapping[Any, bytes]
"""The rows of one table: content by key, in the order of the keys."""

Row = tuple[Any, Any, int]
"""Key, content and checksum."""

_MODULUS = 1 << 64


class Damaged(ValueError):
    """What is kept is not what was written."""


class Whole(NamedTuple):
    """What is known of all *rows* of a state together.

    *checksums* is the sum of their checksums modulo 2**64. *commits* counts the commits. *version*
    is that of the layout; a file has it in SQLite's header, too, which has no checksum.
    """

    version: int = VERSION
    rows: int = 0
    checksums: int = 0
    commits: int = 0

    def with_rows(self, rows: int, checksums: int) -> Whole:
        """Return it with so many more *rows*, and with their *checksums* added."""
        sum_of_all = (self.checksums + checksums) % _MODULUS
        return Whole(self.version, self.rows + rows, sum_of_all, self.commits)

    def after_commit(self) -> Whole:
        """Return it as it is after one more commit."""
        return self._replace(commits=self.commits + 1)

    @property
    def row(self) -> Row:
        """The row that says it."""
        return _row(WHOLE, 0, msgspec.json.encode(self))


class TableChange:
    """What changes in one table: first rows go, then others are written.

    *deleted* are the keys of the rows that go, as far as there are any; where it is *emptied* that
    is all of them, and else also those with keys *below* a number. *rows* are then written, each
    in place of that of the same key, which is in none of the others.
    """

    def __init__(self) -> None:
        self.rows: dict[Key, Row] = {}
        self.deleted: dict[Key, None] = {}
        self.emptied = False
        self.below: int | None = None

    @property
    def checksums(self) -> int:
        """The sum of the checksums of the rows that are written."""
        return sum([checksum for _, _, checksum in self.rows.values()])


class ChangedRows:
    """The rows that a commit writes and deletes, by table. What comes later counts."""

    def __init__(self) -> None:
        self.tables: dict[str, TableChange] = {}

    def put(self, table: str, rows: Iterable[tuple[Key, bytes]]) -> None:
        """Write *rows*, key and content, in place of those of the same keys."""
        checked = {key: _row(table, key, content) for key, content in rows}
        if not checked:
            return
        change = self._of(table)
        change.rows |= checked
        if change.deleted:
            change.deleted = {key: None for key in change.deleted if key not in checked}

    def delete(self, table: str, keys: Iterable[Key]) -> None:
        """Delete the rows of *keys*, as far as there are any."""
        gone = dict.fromkeys(keys)
        if not gone:
            return
        change = self._of(table)
        change.deleted |= gone
        for key in gone.keys() & change.rows.keys():
            del change.rows[key]

    def delete_all(self, table: str) -> None:
        """Delete every row of *table*."""
        self.tables[table] = TableChange()
        self.tables[table].emptied = True

    def delete_below(self, table: str, key: int) -> None:
        """Delete the rows of *table* with lower keys."""
        change = self._of(table)
        change.below = key if change.below is None else max(key, change.below)
        for low in [each for each in change.rows if isinstance(each, int) and each < key]:
            del change.rows[low]

    def _of(self, table: str) -> TableChange:
        return self.tables.setdefault(table, TableChange())


def whole_of(rows: Sequence[Row]) -> Whole:
    """Return what *rows*, those of the table `whole`, say about all others.

    Raises `Damaged` or msgspec's errors.
    """
    checked = _checked_rows(WHOLE, rows)
    if [key for key, _, _ in checked] != [0]:
        raise Damaged("no row about all others")
    return msgspec.json.decode(checked[0][1], type=Whole)


def verified(tables: Mapping[str, Sequence[Row]], whole: Whole) -> dict[str, Rows]:
    """Return the rows of each table; all of them were read as of one commit, and *whole*, too.

    Raises `Damaged` where a row has changed, is missing or does not belong.
    """
    found = Whole(commits=whole.commits)
    for table in TABLES:
        rows = _checked_rows(table, tables[table])
        found = found.with_rows(len(rows), sum([checksum for _, _, checksum in rows]))
    if found != whole:
        raise Damaged("rows are missing, or there twice, or of an earlier commit")
    return {table: contents(tables[table]) for table in TABLES}


def contents(rows: Sequence[Row]) -> Rows:
    """Return the content of each row by its key."""
    return {key: content for key, content, _ in rows}


def _checked_rows(table: str, rows: Sequence[Row]) -> Sequence[Row]:
    for row in rows:
        key, content, _ = row
        if not isinstance(content, bytes) or row != _row(table, key, content):
            raise Damaged(f"a row of {table} is not as it was written")
    # Where pages have changed places, a row is not found by its key.
    if not all(one[0] < other[0] for one, other in pairwise(rows)):
        raise Damaged(f"the rows of {table} are not in order")
    return rows


def _row(table: str, key: Key, content: bytes) -> Row:
    return key, content, crc32(content, crc32(f"{table}\0{key}\0".encode()))
