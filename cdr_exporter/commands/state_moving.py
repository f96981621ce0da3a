"""`state import` and `state export`: states, tokens and logins on record, to a database and back.

Rule: a token goes before the state, so that who is killed in between loses neither. It is removed
where it came from once the state has moved; logins on record stay, since they keep a PBX from
refusing us for good, wherever somebody logs in from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..database import Database, DatabaseDocuments, prepare_schema
from ..errors import ConfigError
from ..pbx import LOGINS_PREFIX, FileDocuments, copy_logins, copy_token, remove_token
from ..settings import PBX, Settings
from ..state_files import file_name, file_of
from ..store import Moved, is_there, move_in, move_out
from .preflight import open_database

_NO_DATABASE = (
    "state_url_file: is missing; states are moved between a directory and the database named there"
)

Note = Callable[[str], None]


@contextmanager
def opened_database(settings: Settings) -> Iterator[Database]:
    """Return the database of *settings*, with its schema; raises `ConfigError`, `DatabaseError`."""
    if settings.state_url_file is None:
        raise ConfigError(_NO_DATABASE)
    database = open_database(settings.state_url_file, settings.lease)
    try:
        prepare_schema(database)
        yield database
    finally:
        database.close()


def import_logins(directory: Path, database: Database) -> None:
    """Add the logins on record in *directory* to those in *database*. Raises `TryAgain`."""
    source, target = FileDocuments(directory), DatabaseDocuments(database)
    for name in sorted(
        path.name for path in directory.glob(f"{LOGINS_PREFIX}*") if _is_record(path)
    ):
        copy_logins(source, target, name)


def export_logins(database: Database, directory: Path) -> None:
    """Add the logins on record in *database* to those in *directory*. Raises `TryAgain`."""
    source, target = DatabaseDocuments(database), FileDocuments(directory)
    for name in source.names(LOGINS_PREFIX):
        copy_logins(source, target, name)


def import_state(pbx: PBX, directory: Path, database: Database, note: Note) -> tuple[str, bool]:
    """Move what is kept of *pbx* into *database*; return what to say, and whether it is there."""
    source, target = FileDocuments(directory), DatabaseDocuments(database)
    if file_of(directory, pbx.name, "db").exists():
        copy_token(source, target, file_name(pbx.name, "token"))
    moved = move_in(directory, database, pbx.name, pbx.client_id, note)
    if moved is None:
        if is_there(database, pbx.name):
            return "is in the database already", True
        return f"no state in {directory}", False
    remove_token(source, file_name(pbx.name, "token"))
    return _said(moved), True


def export_state(pbx: PBX, database: Database, directory: Path, note: Note) -> tuple[str, bool]:
    """Move what is kept of *pbx* into *directory*; return what to say, and whether it is there."""
    source, target = DatabaseDocuments(database), FileDocuments(directory)
    if is_there(database, pbx.name):
        copy_token(source, target, file_name(pbx.name, "token"))
    moved = move_out(database, pbx.name, directory, note)
    if moved is None:
        if file_of(directory, pbx.name, "db").exists():
            return f"is in {directory} already", True
        return "no state in the database", False
    remove_token(source, file_name(pbx.name, "token"))
    return _said(moved), True


def _said(moved: Moved) -> str:
    return f"moved to {moved.place}, {moved.commits:,} commits, whole"


def _is_record(path: Path) -> bool:
    return path.suffix not in (".lock", ".new")
