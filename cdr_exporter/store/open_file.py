"""Before a state file is used: whose it is, whether it can be used, and what else is done."""

from __future__ import annotations

import fcntl
import hashlib
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from itertools import chain, count
from pathlib import Path

import msgspec

from ..errors import StateInUse, StateUnusable
from .load import read_meta, read_state
from .schema import APPLICATION_ID, PRAGMAS, SCHEMA, VERSION


def client_hash(client_id: str) -> str:
    """Return what stands for *client_id* in the file."""
    return hashlib.sha256(client_id.encode()).hexdigest()


def take_lock(path: Path) -> int:
    """Take the lock at *path* and return its descriptor; raises `StateInUse`."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StateInUse(
            f"{path}: another process is counting for this PBX; stop it, or use another state_dir"
        ) from None
    return descriptor


def connect(path: Path) -> sqlite3.Connection:
    """Open the file for writing, durably."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        for pragma in PRAGMAS:
            db.execute(f"PRAGMA {pragma}")
    except sqlite3.Error:
        db.close()
        raise
    return db


def create(path: Path, client: str, reset_reason: str | None) -> None:
    """Make an empty state beside *path* and move it there whole: a crash leaves no half file."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    os.close(os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    rows = {"client": client} | (
        {f"reset_{reset_reason}": str(time.time())} if reset_reason else {}
    )
    with closing(sqlite3.connect(fresh)) as db, db:
        db.executescript(
            f"PRAGMA application_id={APPLICATION_ID};PRAGMA user_version={VERSION};{SCHEMA}"
        )
        db.executemany("INSERT INTO meta VALUES (?, ?)", rows.items())
    _set_aside(path)
    fresh.rename(path)
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def reason_to_set_aside(path: Path, client: str) -> str | None:
    """Return why the file at *path* cannot be used (a label value), or None.

    Raises `StateUnusable` for a newer version or another *client*, which are to be left alone.
    """
    if not path.exists():
        return None
    if path.stat().st_size == 0:
        return "empty"  # SQLite would take it for a new database without a word
    try:
        with _read_only(path) as db:
            return _find_fault(db, path, client)
    except sqlite3.OperationalError as error:
        # A table that is not there is a plain ERROR; all others are about disk and permissions.
        if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) != sqlite3.SQLITE_ERROR:
            raise
        return "corrupt"
    except (sqlite3.DatabaseError, msgspec.MsgspecError, ValueError, LookupError):
        return "corrupt"


def _find_fault(db: sqlite3.Connection, path: Path, client: str) -> str | None:
    [[application]] = db.execute("PRAGMA application_id")
    [[version]] = db.execute("PRAGMA user_version")
    if application != APPLICATION_ID or version < VERSION:
        return "foreign"
    if version > VERSION:
        raise StateUnusable(
            f"{path} is of version {version} and this program knows {VERSION}; install the "
            "newer cdr-exporter again, or move the file away to begin anew"
        )
    [[verdict], *_] = db.execute("PRAGMA quick_check(1)")
    if verdict != "ok":
        return "corrupt"
    if read_meta(db)["client"] != client:
        raise StateUnusable(
            f"{path} counts for another client_id; move the file away to begin anew, or give "
            "this PBX another name"
        )
    read_state(db)
    return None


@contextmanager
def _read_only(path: Path) -> Iterator[sqlite3.Connection]:
    """Look into a file without changing a byte of it, nor of the log that a kill left beside it."""
    log, index = path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")
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
    """Say what SQLite said, and the remedy."""
    return StateUnusable(
        f"{path}: {error}; free space on the disk, and make file and directory readable and "
        "writable for this user"
    )


_PARTS = ("", "-wal", "-shm", "-journal")


def _set_aside(path: Path) -> None:
    """Give *path*, if there is one, and the logs beside it a name that nothing has yet.

    A log without its file goes too: SQLite would replay it into the new one.
    """
    second = f".corrupt-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    suffixes = chain([second], (f"{second}-{number}" for number in count(2)))
    aside = next(
        aside
        for aside in map(path.with_suffix, suffixes)
        if not any(aside.with_name(aside.name + part).exists() for part in _PARTS)
    )
    for part in _PARTS:
        with suppress(FileNotFoundError):
            path.with_name(path.name + part).rename(aside.with_name(aside.name + part))
