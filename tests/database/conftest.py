"""Databases of the tests here, closed at their end; and what no log line may hold."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator

import pytest

from cdr_exporter.database import Database
from cdr_exporter.errors import DatabaseError
from cdr_exporter.secret import Secret

from ..support.postgres import PostgresServer, TestDatabase

LEASE = 30.0
SHORT_LEASE = 2.0
"""Seconds; the shortest there is, for tests in which a limit passes."""

CANARY = "sw0rdfish"
"""In each password of the tests."""

MakeDatabase = Callable[..., Database]


@pytest.fixture
def connect() -> Iterator[MakeDatabase]:
    """Return a function that makes databases, which are closed at the end."""
    made: list[Database] = []

    def make(url: Secret, lease: float = LEASE, connections: int = 4) -> Database:
        made.append(Database(url, lease, connections))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def database(postgres: TestDatabase, connect: MakeDatabase) -> Database:
    """Return the test's own database, with nothing in it."""
    return connect(postgres.url())


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresServer]:
    """Return a server that a test may stop, kill and let stand still."""
    settings = {"wal_level": "replica", "max_wal_senders": "2", "max_connections": "20"}
    with PostgresServer(passwords=True, settings=settings) as server:
        yield server


@pytest.fixture(autouse=True)
def _no_log_line_shows_the_url(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    assert not [part for part in (CANARY, "127.0.0.1", "test_") if part in _logged(caplog)]


def _logged(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(record.getMessage() for record in caplog.get_records("call"))


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
