"""Transactions with a real PostgreSQL, and how each way to fail comes out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest

from cdr_exporter.database import Database, check_schema, prepare_schema
from cdr_exporter.errors import DatabaseError

from ..support.postgres import TestDatabase

LEASE = 30.0


@pytest.fixture
def database(postgres: TestDatabase) -> Iterator[Database]:
    made = Database(postgres.url(), LEASE)
    yield made
    made.close()


def test_what_a_block_writes_is_there_after_it(database: Database) -> None:
    prepare_schema(database)
    with database.transaction() as transaction:
        transaction.execute("INSERT INTO replica VALUES (%s, %s, clock_timestamp())", ("a", "b:1"))

    with database.transaction() as transaction:
        assert transaction.execute("SELECT id, address FROM replica").fetchall() == [("a", "b:1")]


def test_a_block_that_raises_writes_nothing(database: Database) -> None:
    prepare_schema(database)
    with suppress(ZeroDivisionError), database.transaction() as transaction:
        transaction.execute("INSERT INTO replica VALUES ('a', 'b:1', clock_timestamp())")
        raise ZeroDivisionError

    with database.transaction() as transaction:
        assert transaction.execute("SELECT count(*) FROM replica").fetchone() == (0,)


def test_a_schema_can_be_prepared_again_and_checked(database: Database) -> None:
    check_schema(database)
    prepare_schema(database)
    prepare_schema(database)
    check_schema(database)


def test_a_wrong_password_is_refused(postgres: TestDatabase) -> None:
    database = Database(postgres.url(password="wrong"), LEASE)
    with pytest.raises(DatabaseError) as failed, database.transaction():
        pass
    database.close()

    assert failed.value.reason == "refused"
    assert "wrong" not in str(failed.value)
