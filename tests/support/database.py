"""What tests of a database have in common: its failures looked at, and a table to write to."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import pytest

from cdr_exporter.database import Database
from cdr_exporter.errors import DatabaseError

LEASE = 30.0
SHORT_LEASE = 2.0
"""Seconds; the shortest there is, for tests in which a limit passes."""

CANARY = "sw0rdfish"
"""In each password of the tests."""

MakeDatabase = Callable[..., Database]

INSERT = "INSERT INTO replica VALUES (%s, 'b:1', clock_timestamp())"


def replicas(database: Database) -> list[str]:
    with database.transaction() as transaction:
        return [each for (each,) in transaction.execute("SELECT id FROM replica ORDER BY id")]


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
