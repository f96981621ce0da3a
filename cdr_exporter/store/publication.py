"""What a state says about when its series were first shown, read beside its owner.

Rule: nothing is locked and nothing is changed, so that it may be read while an exporter runs.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import NamedTuple

import msgspec

from ..database import Database
from ..errors import StateUnusable
from ..ingest import FirstShown
from ..state_files import file_of
from .database_rows import names_aside, read_rows
from .load import SavedState
from .open_file import client_hash, read_only, read_state


class Publication(NamedTuple):
    """Whether the series of a PBX were ever *shown*, and when *first*: None where unknown."""

    shown: bool
    first: FirstShown | None = None


NEVER_SHOWN, SHOWN_AT_UNKNOWN_TIME = Publication(shown=False), Publication(shown=True)


def read_publication(directory: Path, name: str, client_id: str) -> Publication:
    """Return what the state of the PBX *name* in *directory* says; raises nothing.

    A file that cannot be read, or counts for another *client_id*, says that they were shown.
    """
    path = file_of(directory, name, "db")
    try:
        if not path.exists():
            was_set_aside = any(directory.glob(f"{path.stem}.corrupt-*"))
            return SHOWN_AT_UNKNOWN_TIME if was_set_aside else NEVER_SHOWN
        with read_only(path) as db:
            return _publication(read_state(db), client_id)
    except (StateUnusable, sqlite3.Error, OSError, msgspec.MsgspecError, ValueError, LookupError):
        return SHOWN_AT_UNKNOWN_TIME


def publication_in_database(database: Database, name: str, client_id: str) -> Publication:
    """Return what the state of the PBX *name* in *database* says; raises `DatabaseError`.

    Rows that make no sense, or count for another *client_id*, say that they were shown.
    """
    try:
        with database.transaction() as transaction:
            found = read_rows(transaction, name)
            if found is not None:
                return _publication(found.saved, client_id)
            asides = names_aside(transaction, name)
    except (msgspec.MsgspecError, ValueError, LookupError):
        return SHOWN_AT_UNKNOWN_TIME
    return SHOWN_AT_UNKNOWN_TIME if asides else NEVER_SHOWN


def _publication(saved: SavedState, client_id: str) -> Publication:
    if saved.client != client_hash(client_id) or any(saved.resets.values()):
        return SHOWN_AT_UNKNOWN_TIME
    if saved.first_shown is not None:
        return Publication(shown=True, first=saved.first_shown)
    # While a first read goes on, nothing was shown yet.
    reads = saved.ledger is None or saved.ledger.unread
    return NEVER_SHOWN if reads else SHOWN_AT_UNKNOWN_TIME
