"""What tests of a database have in common: its failures looked at, and a table to write to."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import pytest

from cdr_exporter.database import Database, prepare_schema
from cdr_exporter.errors import DatabaseError

LEASE = 30.0
SHORT_LEASE = 4.0
"""Seconds, for tests in which a limit passes; long enough for a machine that is busy."""

CANARY = "sw0rdfish"
"""In each password of the tests."""

MakeDatabase = Callable[..., Database]

INSERT = "INSERT INTO note VALUES (%s)"
"""Into a table of the tests' own, whatever the columns of the others are."""


def prepare_notes(database: Database) -> None:
    """Make the schema, and the table of the tests."""
    prepare_schema(database)
    with database.transaction() as transaction:
        transaction.execute("CREATE TABLE note (text text PRIMARY KEY)")


def notes(database: Database) -> list[str]:
    with database.transaction() as transaction:
        return [each for (each,) in transaction.execute("SELECT text FROM note ORDER BY text")]


def failure_of(fails: Callable[[], object]) -> DatabaseError:
    """Return the error that is raised; it shows nothing it must not.

    That is the password, anywhere in its traceback, and any other error, which may hold the URL.
    """
    with pytest.raises(DatabaseError) as caught:
        fails()
    error = caught.value
    assert (error.__cause__, error.__context__) == (None, None)
    assert CANARY not in "".join(traceback.format_exception(error))
    assert "127.0.0.1" not in str(error)
    return error


def begun(database: Database) -> Callable[[], None]:
    """Return a function with one transaction that does nothing."""

    def begin() -> None:
        with database.transaction():
            pass

    return begin
