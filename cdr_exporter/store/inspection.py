"""A state looked at and copied, in a file or in a database, also while a poller uses it.

Rule: nothing of it is changed, and nobody is kept out: a reader sees one commit, whole, and the
poller goes on committing. A copy is a state file, also where the state is in a database.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from ..database import Database
from ..errors import ExporterError, StateUnusable
from ..state_files import file_of, open_file, remedy_of
from .database_rows import FoundRows, names_aside, read_rows
from .file_rows import read_whole
from .load import SavedState
from .open_file import (
    client_hash,
    read_only,
    read_state,
    reason_to_set_aside,
    sync_directory,
    write_file,
)

_ASIDE = ("corrupt", "replaced", "moved")
_PAGES_AT_ONCE = 256
"""Pages of SQLite that are copied between two notes of progress: a megabyte."""

_WHAT_IS_WRONG = {
    "empty": "it is empty",
    "corrupt": "it is damaged: what is in it is not what was written",
    "foreign": "it is not a state of this program, or of a version that was never released",
}
_IN_USE = (
    "it is locked by a running exporter, since its file system has no shared memory; stop the "
    "exporter, or put state_dir on a local disk"
)

_IN_DATABASE = "the database"

_OTHER_USER = "; run it as the user the exporter runs as"


class InspectedState(NamedTuple):
    """What a state says, which is whole.

    *place* is where it is. *size* is in bytes, with the log beside a file; *commits* is how many
    made it.
    """

    place: str
    size: int
    commits: int
    saved: SavedState


class BackupRefused(ExporterError):
    """A backup cannot be written where it was asked for."""


def inspect(directory: Path, name: str, client_id: str) -> InspectedState | None:
    """Return what the state of the PBX *name* in *directory* says; None where there is none.

    Raises `StateUnusable` where it is not whole, or cannot be read.
    """
    path = file_of(directory, name, "db")
    with _unusable(path):
        # SQLite says nothing about permissions but that it cannot open a file.
        try:
            os.close(open_file(path, os.O_RDONLY))
        except FileNotFoundError:
            return None
        check_file(path, client_id)
        with read_only(path) as db:
            commits, saved = read_whole(db).commits, read_state(db)
            [[verdict], *_] = db.execute("PRAGMA integrity_check(1)")
            if verdict != "ok":
                raise StateUnusable(f"{path}: {_WHAT_IS_WRONG['corrupt']}")
        log = path.with_name(f"{path.name}-wal")
        size = path.stat().st_size + (log.stat().st_size if log.exists() else 0)
    return InspectedState(str(path), size, commits, saved)


def set_aside(directory: Path, name: str) -> list[str]:
    """Return the names of the state files of the PBX *name* that were set aside, oldest first."""
    stem = file_of(directory, name, "db").stem
    found = [path for each in _ASIDE for path in directory.glob(f"{stem}.{each}-*")]
    return sorted(path.name for path in found if not path.name.endswith(("-wal", "-journal")))


def back_up(
    directory: Path, name: str, client_id: str, output: Path, note: Callable[[float], None]
) -> Path | None:
    """Copy the state of the PBX *name* into the directory *output*, and return the copy.

    It is one commit, whole, and verified; None where there is no state. *note* is told which share
    is copied, from 0 to 1. Raises `StateUnusable`, and `BackupRefused` where there is such a file
    in *output* already, or none can be written.
    """
    path = file_of(directory, name, "db")
    if inspect(directory, name, client_id) is None:
        return None
    return _placed(output, name, client_id, lambda fresh: _copy(path, fresh, note))


def inspect_rows(database: Database, name: str, client_id: str) -> InspectedState | None:
    """Return what the state of the PBX *name* in *database* says; None where there is none.

    Raises `StateUnusable` where it is not whole, and `DatabaseError`.
    """
    found = _usable_rows(database, name, client_id)
    if found is None:
        return None
    return InspectedState(_IN_DATABASE, found.size, found.whole.commits, found.saved)


def rows_set_aside(database: Database, name: str) -> list[str]:
    """Return the names of the states of the PBX *name* that were set aside in *database*."""
    with database.transaction() as transaction:
        return names_aside(transaction, name)


def back_up_rows(
    database: Database, name: str, client_id: str, output: Path, note: Callable[[float], None]
) -> Path | None:
    """Copy the state of the PBX *name* in *database* as a file; otherwise as `back_up`."""
    found = _usable_rows(database, name, client_id)
    if found is None:
        return None
    copy = _placed(
        output,
        name,
        client_id,
        lambda fresh: write_file(fresh, found.checked, found.whole.commits - 1),
    )
    note(1.0)
    return copy


def _usable_rows(database: Database, name: str, client_id: str) -> FoundRows | None:
    with database.transaction() as transaction:
        found = read_rows(transaction, name)
    reason = found and found.reason_to_set_aside(client_hash(client_id))
    if reason:
        raise StateUnusable(f"{_IN_DATABASE}: {_WHAT_IS_WRONG[reason]}")
    return found


def _placed(output: Path, name: str, client_id: str, write: Callable[[Path], None]) -> Path:
    """Let *write* write a state file, check it, and put it into the directory *output*."""
    copy = file_of(output, name, "db")
    if os.path.lexists(copy):
        raise BackupRefused(f"{copy} is there already, and stays as it is; name another directory")
    fresh = copy.with_suffix(".new")
    try:
        output.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh.unlink(missing_ok=True)
        os.close(open_file(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL))
        try:
            write(fresh)
            check_file(fresh, client_id)
            fresh.rename(copy)
        finally:
            fresh.unlink(missing_ok=True)
        sync_directory(output)
    except OSError as error:
        problem = (error.strerror or "input/output error").lower()
        raise BackupRefused(f"{error.filename or output}: {problem}") from None
    except sqlite3.Error as error:
        raise BackupRefused(f"{copy}: {error}; free space on the disk") from None
    return copy


def _copy(path: Path, fresh: Path, note: Callable[[float], None]) -> None:
    def progress(_status: int, remaining: int, total: int) -> None:
        note((total - remaining) / total if total else 1.0)

    with read_only(path) as db, closing(sqlite3.connect(fresh)) as target:
        # Reading holds on to one commit: otherwise the copy would begin anew with each commit.
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        db.backup(target, pages=_PAGES_AT_ONCE, progress=progress)


def check_file(path: Path, client_id: str) -> None:
    """Raise `StateUnusable` where the file at *path* is not whole, and SQLite's errors."""
    client = client_hash(client_id)
    # While an exporter starts, or ends, the file may have been read without its log.
    reason = reason_to_set_aside(path, client) and reason_to_set_aside(path, client)
    if reason:
        raise StateUnusable(f"{path}: {_WHAT_IS_WRONG[reason]}")


@contextmanager
def _unusable(path: Path) -> Iterator[None]:
    """Turn errors of the system and of SQLite about *path* into `StateUnusable`."""
    try:
        yield
    except sqlite3.Error as error:
        locked = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
        raise StateUnusable(f"{path}: {_IN_USE if locked else error}") from None
    except (msgspec.MsgspecError, ValueError, LookupError):
        raise StateUnusable(f"{path}: {_WHAT_IS_WRONG['corrupt']}") from None
    except OSError as error:
        problem = (error.strerror or "input/output error").lower()
        remedy = _OTHER_USER if isinstance(error, PermissionError) else remedy_of(error)
        raise StateUnusable(f"{error.filename or path}: {problem}{remedy}") from None
