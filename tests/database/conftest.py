"""Databases of the tests here, closed at their end; and what no log line may hold."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from cdr_exporter.database import Database
from cdr_exporter.secret import Secret

from ..support.database import CANARY, LEASE, MakeDatabase
from ..support.postgres import PostgresServer, TestDatabase


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
    """Return what we and the driver have logged; requests to a PBX are looked at elsewhere."""
    records = (each for each in caplog.get_records("call") if not each.name.startswith("urllib3"))
    return "\n".join(record.getMessage() for record in records)
