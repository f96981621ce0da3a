"""A state moved from a file into the database, and back.

Rule: at no moment can both be counted on, and at each one of them is whole.

    into the database   locked; the rows under `NAME:moving` → the file as NAME.moved-TIME →
                        the rows as those of NAME
    out of it           locked, under a lease; the file as NAME.moving → the rows under
                        `NAME:moved-TIME` → the file as NAME.db

Each step is durable before the next begins. Who was killed between two of them runs it again: what
was not finished is done again or finished. While rows stand under `NAME:moving`, no replica begins
a new state in their place.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import msgspec

from ..database import Database, Transaction
from ..errors import DatabaseError, ExporterError, StateInUse, StateUnusable
from ..state_files import file_of, remedy_of
from .checked_rows import ChangedRows, Whole
from .database_rows import (
    delete_rows,
    has_rows,
    moving_name,
    names_aside,
    read_rows,
    rename_rows,
    set_rows_aside,
    write_first_rows,
)
from .file_rows import read_all_rows, read_whole
from .inspection import check_file
from .lock_file import LockFile
from .open_file import (
    read_only,
    set_file_aside,
    sync_directory,
    write_file,
)

_MOVED = "moved"

_HOLDER = "cdr-exporter state export "
"""How the holder of a lease is called that this room takes; no replica is called so."""

_LEASE_SECONDS = 60.0
"""For how long a PBX is kept from replicas while it is moved; moving takes a second or two."""

Note = Callable[[str], None]
"""Is told what is being done."""


class MoveRefused(ExporterError):
    """A state cannot be moved as asked; nothing of it can be counted on twice."""


class Moved(NamedTuple):
    """A state that was moved, in *commits* commits, to *place*."""

    place: str
    commits: int


def is_there(database: Database, name: str) -> bool:
    """Say whether *database* has a state of the PBX *name*; raises `DatabaseError`."""
    with database.transaction() as transaction:
        return has_rows(transaction, name)


# --- into the database ---------------------------------------------------------------------------


def move_in(
    directory: Path, database: Database, name: str, client_id: str, note: Note
) -> Moved | None:
    """Move the state of the PBX *name* from *directory* into *database*; None without one.

    Raises `StateInUse` where an exporter runs on it, `StateUnusable` where it is not whole,
    `MoveRefused` where the database has a state of that PBX, and `DatabaseError`.
    """
    path = file_of(directory, name, "db")
    with _file_errors(path), _locked(path):
        if path.exists():
            note("is checked")
            rows, whole = _rows_of(path, client_id)
            note("is written to the database")
            _stage(database, name, rows, whole)
            set_file_aside(path, _MOVED)
            sync_directory(directory)
        note("is put in its place")
        commits = _finish(database, name)
    return None if commits is None else Moved("the database", commits)


def _rows_of(path: Path, client_id: str) -> tuple[ChangedRows, Whole]:
    check_file(path, client_id)
    with read_only(path) as db:
        tables, whole = read_all_rows(db), read_whole(db)
    rows = ChangedRows()
    for table, contents in tables.items():
        rows.put(table, contents.items())
    return rows, whole


def _stage(database: Database, name: str, rows: ChangedRows, whole: Whole) -> None:
    """Write *rows* under the name for what is being moved, in place of what stands there."""
    with database.transaction() as transaction:
        _refuse_where_there_is_one(transaction, name)
        delete_rows(transaction, moving_name(name))
        written = write_first_rows(transaction, moving_name(name), rows, whole.commits - 1)
        found = read_rows(transaction, moving_name(name))
        if written != whole or found is None or found.whole != whole:
            raise MoveRefused("what the database holds is not what was written; nothing was moved")
        # Raises where a row is not as it was written.
        found.checked  # noqa: B018


def _finish(database: Database, name: str) -> int | None:
    """Let the rows that were being moved be those of *name*; None where there are none."""
    with database.transaction() as transaction:
        found = read_rows(transaction, moving_name(name))
        if found is None:
            return None
        _refuse_where_there_is_one(transaction, name)
        rename_rows(transaction, moving_name(name), name)
        return found.whole.commits


def _refuse_where_there_is_one(transaction: Transaction, name: str) -> None:
    if has_rows(transaction, name):
        raise MoveRefused(
            "the database has a state of this PBX already, and two cannot become one; "
            "to take the one from the files, move the other out first: cdr-exporter state export"
        )


# --- out of the database -------------------------------------------------------------------------


def move_out(database: Database, name: str, directory: Path, note: Note) -> Moved | None:
    """Move the state of the PBX *name* from *database* into *directory*; None without one there.

    Raises `StateInUse` where a replica has the PBX, or an exporter runs in *directory*,
    `StateUnusable` where the state is not whole, `MoveRefused` where *directory* has one of that
    PBX or cannot be written, and `DatabaseError`.
    """
    path, fresh = file_of(directory, name, "db"), file_of(directory, name, "moving")
    with _file_errors(path):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(path):
            if os.path.lexists(path):
                if not is_there(database, name):
                    return None
                raise MoveRefused(f"{path} is there already, and stays as it is")
            commits = _finished_before(database, name, fresh)
            if commits is None:
                commits = _write_and_set_aside(database, name, fresh, note)
            if commits is None:
                return None
            fresh.rename(path)
            sync_directory(directory)
    return Moved(str(path), commits)


def _write_and_set_aside(database: Database, name: str, fresh: Path, note: Note) -> int | None:
    """Write the state to *fresh*, then let nobody find the rows; None where there are none."""
    with _leased(database, name) as lease:
        note("is read")
        with lease.transaction() as transaction:
            found = read_rows(transaction, name)
        if found is None:
            return None
        try:
            rows, whole = found.checked, found.whole
        except (msgspec.MsgspecError, ValueError, LookupError):
            raise StateUnusable("the database: what is in it is not what was written") from None
        note("is written")
        write_file(fresh, rows, whole.commits - 1)
        if _whole_of(fresh) != whole:
            raise MoveRefused(f"{fresh}: what was written is not there; nothing was moved")
        sync_directory(fresh.parent)
        with lease.transaction() as transaction:
            set_rows_aside(transaction, name, _MOVED)
    return whole.commits


def _finished_before(database: Database, name: str, fresh: Path) -> int | None:
    """Return how many commits made *fresh*, if its rows were set aside already; else None."""
    if not fresh.exists():
        return None
    whole = _whole_of(fresh)
    with database.transaction() as transaction:
        moved = [each for each in names_aside(transaction, name) if f":{_MOVED}-" in each]
        rows = [read_rows(transaction, each) for each in moved]
    is_moved = any(each is not None and each.whole == whole for each in rows)
    return whole.commits if whole is not None and is_moved else None


def _whole_of(path: Path) -> Whole | None:
    """Return what the file at *path* says about its rows, all checked; None where it is no use."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            read_all_rows(db)
            return read_whole(db)
    except (sqlite3.Error, msgspec.MsgspecError, ValueError, LookupError):
        return None


class _Lease:
    """The lease of the PBX *name*, taken from all replicas, as *holder*."""

    def __init__(self, database: Database, name: str, holder: str) -> None:
        self._database, self._name, self._holder = database, name, holder

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Return a transaction under the lease; raises `MoveRefused` where it is lost."""
        with self._database.transaction() as transaction:
            held = transaction.execute(_HELD, (self._name, self._holder)).fetchone()
            if held is None:
                raise MoveRefused("it took too long, and another has the PBX now; run it again")
            yield transaction


_HELD = "SELECT 1 FROM lease WHERE pbx = %s AND holder = %s FOR UPDATE"

_ADD = """
INSERT INTO lease (pbx, holder, address, epoch, ends) VALUES (%s, '', '', 0, '-infinity')
ON CONFLICT DO NOTHING
"""

# From one that was killed it may be taken before it ends.
_TAKE = """
UPDATE lease
SET holder = %s, epoch = epoch + 1, ends = clock_timestamp() + make_interval(secs => %s)
WHERE pbx = %s AND (ends < clock_timestamp() OR starts_with(holder, %s))
"""

_HOLDER_OF = "SELECT address FROM lease WHERE pbx = %s"

# Where no replica ever had the PBX, it is again as if nobody had.
_RELEASE = """
UPDATE lease
SET holder = '', ends = '-infinity', epoch = CASE WHEN address = '' THEN 0 ELSE epoch END
WHERE pbx = %s AND holder = %s
"""


@contextmanager
def _leased(database: Database, name: str) -> Iterator[_Lease]:
    """Have the lease of the PBX *name* within the block; raises `StateInUse` where one has it."""
    holder = f"{_HOLDER}{uuid4()}"
    with database.transaction() as transaction:
        transaction.execute(_ADD, (name,))
        taken = transaction.execute(_TAKE, (holder, _LEASE_SECONDS, name, _HOLDER))
        if taken.rowcount == 0:
            [address] = transaction.execute(_HOLDER_OF, (name,)).fetchone() or ("",)
            raise StateInUse(
                f"the replica at {address} counts for this PBX; "
                "stop all replicas, or take the PBX out of their configuration"
            )
    try:
        yield _Lease(database, name, holder)
    finally:
        # Else it ends by itself.
        with suppress(DatabaseError), database.transaction() as transaction:
            transaction.execute(_RELEASE, (name, holder))


# --- files ---------------------------------------------------------------------------------------


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep exporters from the state file at *path* within the block."""
    lock_path = path.with_suffix(".lock")
    if not path.parent.is_dir():
        raise MoveRefused(f"{path.parent}: there is no such directory")
    try:
        lock = LockFile(lock_path)
    except StateInUse:
        raise StateInUse(f"{lock_path}: an exporter runs on this state; stop it first") from None
    try:
        yield
    finally:
        lock.close()


@contextmanager
def _file_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        problem = (error.strerror or "input/output error").lower()
        raise MoveRefused(f"{error.filename or path}: {problem}{remedy_of(error)}") from None
    except sqlite3.Error as error:
        raise MoveRefused(f"{path}: {error}; free space on the disk") from None
