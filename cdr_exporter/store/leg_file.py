"""The legs that `history` has read of one PBX, in one SQLite file, until it is done with them.

Rule: what is kept are legs as the state keeps them (see `calls.leg`), with the disposition of
their rows: no name and no number of a person. A leg that is added twice is kept once.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import msgspec

from ..calls import Leg
from ..errors import StateNotWritten, StateUnusable

_SCHEMA = """
CREATE TABLE IF NOT EXISTS leg (
    identity INTEGER PRIMARY KEY, uid TEXT NOT NULL, ended_at INTEGER NOT NULL,
    disposition TEXT NOT NULL, leg TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS list_read (name TEXT PRIMARY KEY);
"""

_SORTED = """
CREATE INDEX IF NOT EXISTS leg_by_end ON leg (ended_at);
CREATE INDEX IF NOT EXISTS leg_by_uid ON leg (uid, ended_at);
DROP TABLE IF EXISTS call;
CREATE TABLE call AS SELECT uid, max(ended_at) AS ended_at FROM leg WHERE uid <> '' GROUP BY uid;
CREATE INDEX call_by_end ON call (ended_at, uid);
"""

_leg = msgspec.json.Decoder(Leg)
_json = msgspec.json.encode


class KeptLeg(NamedTuple):
    """A row of the CDR list as it is kept: *ended_at* is in epoch seconds, 0 where unknown.

    *identity* is what no other row has (`ledger.order`), *disposition* a label value.
    """

    identity: int
    uid: str
    ended_at: int
    disposition: str
    leg: Leg


class LegFile:
    """The legs in the file at *path*, which is created (mode 0600) where it is not there.

    Raises `StateUnusable` where it cannot be opened, and `StateNotWritten` where a write fails.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise StateUnusable(f"{path}: {error}; free space on the disk, or remove it") from None

    def __len__(self) -> int:
        [[count]] = self._db.execute("SELECT count(*) FROM leg")
        return int(count)

    def add(self, legs: Iterable[KeptLeg]) -> None:
        """Add *legs*, all or none; those that are there already stay as they are."""
        rows = [(*each[:-1], _json(each.leg).decode()) for each in legs]
        with self._transaction():
            self._db.executemany("INSERT OR IGNORE INTO leg VALUES (?, ?, ?, ?, ?)", rows)

    def holds(self, identities: Collection[int]) -> bool:
        """Say whether the legs of all *identities* are there."""
        look_up = "SELECT count(*) FROM leg WHERE identity = ?"
        return all(self._db.execute(look_up, (each,)).fetchone()[0] for each in identities)

    def is_read(self, name: str) -> bool:
        """Say whether the list *name* was read as far as is wanted."""
        look_up = "SELECT count(*) FROM list_read WHERE name = ?"
        return bool(self._db.execute(look_up, (name,)).fetchone()[0])

    def mark_read(self, name: str) -> None:
        """Note that the list *name* was read as far as is wanted."""
        with self._transaction():
            self._db.execute("INSERT OR IGNORE INTO list_read VALUES (?)", (name,))

    def sort(self) -> None:
        """Prepare the file for what follows, once all legs are in it."""
        with self._transaction():
            for statement in _SORTED.split(";"):
                self._db.execute(statement)

    def oldest_end(self) -> int | None:
        """Return the earliest known end of a leg, in epoch seconds; None without any."""
        [[oldest]] = self._db.execute("SELECT min(ended_at) FROM leg WHERE ended_at > 0")
        return oldest if oldest is None else int(oldest)

    def rows(self, begin: int, end: int) -> Iterator[tuple[str, Leg]]:
        """Yield (disposition, leg) of the rows that ended from *begin* to before *end*, sorted."""
        found = self._db.execute(
            "SELECT disposition, leg FROM leg WHERE ended_at >= ? AND ended_at < ?"
            " ORDER BY ended_at",
            (begin, end),
        )
        return ((disposition, _leg.decode(text)) for disposition, text in found)

    def calls(self, begin: int, end: int) -> Iterator[list[Leg]]:
        """Yield the legs of each call whose last leg ended from *begin* to before *end*."""
        found = self._db.execute(
            "SELECT uid, leg FROM call JOIN leg USING (uid)"
            " WHERE call.ended_at >= ? AND call.ended_at < ? ORDER BY call.ended_at, uid",
            (begin, end),
        )
        for _, legs in groupby(found, key=itemgetter(0)):
            yield [_leg.decode(text) for _, text in legs]
        # A row without uid is a call of its own.
        alone = self._db.execute(
            "SELECT leg FROM leg WHERE uid = '' AND ended_at >= ? AND ended_at < ?", (begin, end)
        )
        for (text,) in alone:
            yield [_leg.decode(text)]

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            with self._db:
                self._db.execute("BEGIN IMMEDIATE")
                yield
        except sqlite3.Error as error:
            raise StateNotWritten(f"{self._path}: {error}; free space on the disk") from None
