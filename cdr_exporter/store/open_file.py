"""Before a state file is used: lock it, check it, and set it aside or create it where needed."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import chain, count
from pathlib import Path
from typing import NamedTuple

import msgspec

from ..errors import StateInUse, StateUnusable
from ..state_files import StateFileError, open_file, refuse_links, remedy_of, try_lock
from . import header
from .checked_rows import ChangedRows, Damaged, Whole
from .file_rows import FileRows, read_all_rows, read_whole
from .load import SavedState, saved_state
from .schema import APPLICATION_ID, PAGE_SIZE, PRAGMAS, SCHEMA, VERSION, WITHOUT_SHARED_MEMORY


def client_hash(client_id: str) -> str:
    """Return the SHA-256 of *client_id*, which stands for it in the file."""
    return hashlib.sha256(client_id.encode()).hexdigest()


def take_lock(path: Path) -> int:
    """Lock the file at *path*, which is created if need be, and return its descriptor.

    Closing the descriptor ends the lock. Raises `StateInUse` where another process has it, and
    OSError where it cannot be locked.
    """
    descriptor = open_file(path, os.O_RDWR | os.O_CREAT)
    try:
        locked = try_lock(descriptor, path)
    except BaseException:
        os.close(descriptor)
        raise
    if not locked:
        os.close(descriptor)
        raise StateInUse(
            f"{path}: another process is counting for this PBX; stop it, or use another state_dir"
        )
    return descriptor


def connect(path: Path) -> sqlite3.Connection:
    """Open the state file at *path* for durable writing; raises SQLite's errors."""
    try:
        return _connect(path, PRAGMAS)
    except sqlite3.OperationalError:
        return _connect(path, (WITHOUT_SHARED_MEMORY, *PRAGMAS))


def _connect(path: Path, pragmas: Sequence[str]) -> sqlite3.Connection:
    # No statements are kept: they would be 60 kB for each PBX, and are made anew in no time.
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=0)
    try:
        for pragma in pragmas:
            db.execute(f"PRAGMA {pragma}")
        # Only a statement that may write opens the log and the shared memory beside it.
        db.execute("UPDATE whole SET key = key WHERE false")
    except sqlite3.Error:
        db.close()
        raise
    return db


_UNSYNCED = (WITHOUT_SHARED_MEMORY, "journal_mode=MEMORY", "synchronous=OFF")
"""The pragmas for a file that nobody else opens, and that is thrown away where it is not whole."""


def create(path: Path, changed: ChangedRows, *, aside: str) -> None:
    """Create the state file at *path* with the rows of *changed*.

    It is made beside *path* and renamed, so that a crash leaves no half file: so nothing has to be
    synced before that. A file that is there is set aside, as NAME.*aside*-TIME.
    """
    fresh = path.with_suffix(".new")
    write_file(fresh, changed)
    set_file_aside(path, aside)
    fresh.rename(path)
    sync_directory(path.parent)


def write_file(path: Path, changed: ChangedRows, commits: int = 0) -> None:
    """Write a state file at *path*, in place of what is there, with the rows of *changed*.

    They are one commit, which comes after *commits* others.
    """
    path.unlink(missing_ok=True)
    os.close(open_file(path, os.O_RDWR | os.O_CREAT | os.O_EXCL))
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for pragma in (f"page_size={PAGE_SIZE}", *_UNSYNCED):
            db.execute(f"PRAGMA {pragma}")
        rows = FileRows(db, Whole(commits=commits))
        with rows.transaction():
            db.execute(f"PRAGMA application_id={APPLICATION_ID}")
            db.execute(f"PRAGMA user_version={VERSION}")
            for statement in SCHEMA.values():
                db.execute(statement)
            rows.write(changed)
        # As `connect` would do it, with four syncs.
        db.execute("PRAGMA journal_mode=WAL")
    _sync(path, os.O_RDWR)


def sync_directory(directory: Path) -> None:
    """Make new names of files in *directory* durable."""
    _sync(directory, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Verified(NamedTuple):
    """What a file that can be used says: *whole* about all of its rows, and the *state* in them."""

    whole: Whole
    state: SavedState


def reason_to_set_aside(path: Path, client: str) -> str | None:
    """Return why the file at *path* has to be set aside, as `verified` does; None otherwise."""
    found = verified(path, client)
    return found if isinstance(found, str) else None


def verified(path: Path, client: str) -> Verified | str | None:
    """Return what the file at *path* says, or why it has to be set aside: one of `STATE_RESETS`.

    None where it is not there. Raises `StateUnusable` where it is of a newer version or of another
    *client*, or reached by a symbolic link, since such a file must be left alone, and SQLite's
    errors about disk and permissions.
    """
    _refuse_links(path)
    if not path.exists():
        return None
    if path.stat().st_size == 0:
        return "empty"  # SQLite would silently take it for a new database
    try:
        with read_only(path) as db:
            found = _verified(db, path, client)
            return found if isinstance(found, str) else _fault_of_header(path) or found
    except sqlite3.OperationalError as error:
        # A missing table is SQLITE_ERROR; all other codes are about disk and permissions.
        if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) != sqlite3.SQLITE_ERROR:
            raise
        return "corrupt"
    except (sqlite3.DatabaseError, msgspec.MsgspecError, ValueError, LookupError):
        return "corrupt"


def verify(db: sqlite3.Connection) -> SavedState:
    """Read the whole file, and check how it is built too.

    Raises ValueError, LookupError or msgspec's errors where it makes no sense.
    """
    [[verdict]] = db.execute("PRAGMA quick_check(1)").fetchmany(1)
    if verdict != "ok":
        raise Damaged(verdict)
    built = db.execute("SELECT name, type, tbl_name, sql FROM sqlite_master").fetchall()
    # Not sorted: what should be text may be anything.
    if set(built) != {(name, "table", name, sql) for name, sql in SCHEMA.items()}:
        raise Damaged("it has other tables")
    return read_state(db)


def read_state(db: sqlite3.Connection) -> SavedState:
    """Read the whole file, as of one commit; raises as `verify` does."""
    return saved_state(read_all_rows(db))


def _refuse_links(path: Path) -> None:
    """Raise `StateUnusable` where SQLite would follow a symbolic link, or open no regular file."""
    try:
        refuse_links(*(path.with_name(path.name + part) for part in (*_PARTS, _INDEX)))
    except StateFileError as error:
        text = f"{error.filename}: {error.strerror}{remedy_of(error)}"
        raise StateUnusable(text) from None


def _verified(db: sqlite3.Connection, path: Path, client: str) -> Verified | str:
    [[application]] = db.execute("PRAGMA application_id")
    [[version]] = db.execute("PRAGMA user_version")
    if (application, version) != (APPLICATION_ID, VERSION) and _has_our_rows(db):
        return "corrupt"  # the header, and nothing else
    if application != APPLICATION_ID or version < VERSION:
        return "foreign"
    if version > VERSION:
        raise StateUnusable(
            f"{path} is of version {version} and this program knows {VERSION}; install the "
            "newer cdr-exporter again, or move the file away to start without it"
        )
    whole, state = read_whole(db), verify(db)
    if state.client != client:
        raise StateUnusable(
            f"{path} counts for another client_id; move the file away to start without it, or give "
            "this PBX another name"
        )
    return Verified(whole, state)


def _has_our_rows(db: sqlite3.Connection) -> bool:
    try:
        return read_whole(db).version == VERSION
    except (sqlite3.Error, msgspec.MsgspecError, ValueError):
        return False


def _fault_of_header(path: Path) -> str | None:
    with path.open("rb") as file:
        return "corrupt" if header.is_damaged(file.read(header.LENGTH)) else None


@contextmanager
def read_only(path: Path) -> Iterator[sqlite3.Connection]:
    """Open *path* without changing a byte of it, or of a log that a kill left beside it."""
    _refuse_links(path)
    log, index = path.with_name(path.name + "-wal"), path.with_name(path.name + _INDEX)
    logged, indexed = log.exists() and log.stat().st_size > 0, index.exists()
    mode = "mode=ro" if logged else "immutable=1"
    db = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, isolation_level=None)
    try:
        yield db
    finally:
        db.close()
        if logged and not indexed:
            index.unlink(missing_ok=True)


def unusable_error(path: Path, error: sqlite3.Error) -> StateUnusable:
    """Return the error for a file that SQLite cannot open or write, with the remedy."""
    return StateUnusable(
        f"{path}: {error}; free space on the disk, and make file and directory readable and "
        "writable for this user"
    )


_PARTS, _INDEX = ("", "-wal", "-journal"), "-shm"


def set_file_aside(path: Path, aside: str) -> None:
    """Rename *path*, if it exists, and the logs beside it, to a NAME.*aside*-TIME not yet taken.

    A log without its file is renamed too: SQLite would replay it into the new file.
    """
    second = f".{aside}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    suffixes = chain([second], (f"{second}-{number}" for number in count(2)))
    unused = next(
        each
        for each in map(path.with_suffix, suffixes)
        if not any(each.with_name(each.name + part).exists() for part in _PARTS)
    )
    # The index of a log says nothing by itself, and is made anew.
    with suppress(OSError):
        path.with_name(path.name + _INDEX).unlink()
    for part in _PARTS:
        with suppress(FileNotFoundError):
            path.with_name(path.name + part).rename(unused.with_name(unused.name + part))
