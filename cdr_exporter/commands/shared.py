"""What a command that asks PBXs shares with the exporters: tokens, refused logins, states to read.

It is where the exporters keep it: in `state_dir`, or in the database of `state_url_file`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from ..database import Database, DatabaseDocuments, prepare_schema
from ..errors import ConfigError, DatabaseError
from ..pbx import Documents, FileDocuments
from ..settings import PBX, Settings
from ..store import Publication, publication_in_database, read_publication
from . import preflight


class Shared(NamedTuple):
    """Where tokens and refused logins are, and what says since when a PBX's series are shown."""

    documents: Documents
    publication: Callable[[PBX], Publication]


@contextmanager
def shared_by(settings: Settings) -> Iterator[Shared]:
    """Return what exporters with *settings* share, made where it is missing.

    Raises `ConfigError` where it cannot be used.
    """
    if settings.state_url_file is None:
        preflight.make_state_dir(settings)
        yield shared_in_files(settings)
        return
    database = preflight.open_database(settings.state_url_file, settings.lease)
    try:
        _prepare(database)
        yield Shared(
            DatabaseDocuments(database),
            lambda pbx: publication_in_database(database, pbx.name, pbx.client_id),
        )
    finally:
        database.close()


def shared_in_files(settings: Settings) -> Shared:
    """Return what is in state_dir."""
    directory = settings.state_dir
    return Shared(
        FileDocuments(directory),
        lambda pbx: read_publication(directory, pbx.name, pbx.client_id),
    )


def _prepare(database: Database) -> None:
    try:
        prepare_schema(database)
    except DatabaseError as error:
        problem = str(error)
    else:
        return
    raise ConfigError(f"state_url_file: {problem}")
