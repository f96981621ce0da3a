"""Where states are kept, as the command `state` looks at them: files, or a database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from ..database import Database, DatabaseDocuments, has_schema
from ..pbx import TOKEN, expiry_in, read_expiry
from ..settings import PBX, Settings
from ..state_files import file_name, file_of
from ..store import (
    InspectedState,
    back_up,
    back_up_rows,
    inspect,
    inspect_rows,
    rows_set_aside,
    set_aside,
)
from .preflight import open_database


class Place(Protocol):
    """Where the states of PBXs are. Raises `StateUnusable` and `DatabaseError`."""

    def inspect(self, pbx: PBX) -> InspectedState | None:
        """Return what the state of *pbx* says, which is whole; None where there is none."""

    def back_up(self, pbx: PBX, output: Path, note: Callable[[float], None]) -> Path | None:
        """Copy it into *output*, see `store.back_up`; None where there is none."""

    def set_aside(self, pbx: PBX) -> list[str]:
        """Return the names of the states of *pbx* that were set aside."""

    def token_expiry(self, pbx: PBX) -> float | None:
        """Return when the token of *pbx* expires (epoch seconds), None where there is none."""


@contextmanager
def place_of(settings: Settings) -> Iterator[Place]:
    """Return where the states are; raises `ConfigError` and `DatabaseError`."""
    if settings.state_url_file is None:
        yield FilePlace(settings.state_dir)
        return
    database = open_database(settings.state_url_file, settings.lease)
    try:
        yield DatabasePlace(database) if has_schema(database) else EmptyPlace()
    finally:
        database.close()


class FilePlace:
    """Files in *directory*."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def inspect(self, pbx: PBX) -> InspectedState | None:
        """Return what the file says."""
        return inspect(self._directory, pbx.name, pbx.client_id)

    def back_up(self, pbx: PBX, output: Path, note: Callable[[float], None]) -> Path | None:
        """Copy the file."""
        return back_up(self._directory, pbx.name, pbx.client_id, output, note)

    def set_aside(self, pbx: PBX) -> list[str]:
        """Return the names of the files."""
        return set_aside(self._directory, pbx.name)

    def token_expiry(self, pbx: PBX) -> float | None:
        """Return what the file of the token says."""
        with suppress(OSError):
            return read_expiry(file_of(self._directory, pbx.name, "token"))
        return None


class DatabasePlace:
    """Rows in *database*."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def inspect(self, pbx: PBX) -> InspectedState | None:
        """Return what the rows say."""
        return inspect_rows(self._database, pbx.name, pbx.client_id)

    def back_up(self, pbx: PBX, output: Path, note: Callable[[float], None]) -> Path | None:
        """Write the rows to a file."""
        return back_up_rows(self._database, pbx.name, pbx.client_id, output, note)

    def set_aside(self, pbx: PBX) -> list[str]:
        """Return the names of the rows."""
        return rows_set_aside(self._database, pbx.name)

    def token_expiry(self, pbx: PBX) -> float | None:
        """Return what the document of the token says."""
        name = file_name(pbx.name, "token")
        content = DatabaseDocuments(self._database).open(TOKEN, name).read()[name]
        return None if content is None else expiry_in(content)


class EmptyPlace:
    """A database in which nothing was kept yet."""

    def inspect(self, pbx: PBX) -> None:
        """Return None."""

    def back_up(self, pbx: PBX, output: Path, note: Callable[[float], None]) -> None:
        """Return None."""

    def set_aside(self, pbx: PBX) -> list[str]:
        """Return nothing."""
        return []

    def token_expiry(self, pbx: PBX) -> None:
        """Return None."""
