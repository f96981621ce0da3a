"""Transactions with a real PostgreSQL: what they promise while all is well."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import suppress

import pytest

from cdr_exporter.database import Database
from cdr_exporter.errors import ConfigError, DatabaseError
from cdr_exporter.secret import Secret

from ..support.database import (
    INSERT,
    LEASE,
    SHORT_LEASE,
    MakeDatabase,
    begun,
    failure_of,
    notes,
    prepare_notes,
)
from ..support.paths import ROOT
from ..support.postgres import TestDatabase


def test_what_a_block_writes_is_there_after_it(database: Database) -> None:
    prepare_notes(database)
    with database.transaction() as transaction:
        assert transaction.execute(INSERT, ["a"]).rowcount == 1

    assert notes(database) == ["a"]


def test_a_block_that_raises_writes_nothing(database: Database) -> None:
    prepare_notes(database)
    with suppress(ZeroDivisionError), database.transaction() as transaction:
        transaction.execute(INSERT, ["a"])
        raise ZeroDivisionError

    assert notes(database) == []


def test_a_block_that_goes_on_after_a_failed_statement_fails_as_a_whole(database: Database) -> None:
    prepare_notes(database)

    def goes_on() -> None:
        with database.transaction() as transaction:
            transaction.execute(INSERT, ["a"])
            with suppress(DatabaseError):
                transaction.execute("SELECT 1 / 0")

    assert str(failure_of(goes_on)) == "a statement before had failed, so all was undone"
    assert notes(database) == []


SHOWN = (
    "SELECT name, setting, unit FROM pg_settings WHERE name IN ('synchronous_commit',"
    " 'statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'search_path',"
    " 'transaction_isolation', 'transaction_read_only', 'client_encoding', 'application_name',"
    " 'tcp_user_timeout')"
)


def test_each_transaction_is_durable_and_bounded_whatever_the_defaults_are(
    postgres: TestDatabase, connect: MakeDatabase
) -> None:
    for setting in (
        "synchronous_commit = off",
        "statement_timeout = 0",
        "lock_timeout = 0",
        "idle_in_transaction_session_timeout = 0",
        "tcp_user_timeout = 0",
        "default_transaction_isolation = 'repeatable read'",
        "default_transaction_read_only = on",
        "client_encoding = LATIN1",
    ):
        postgres.run(f"ALTER ROLE {postgres.user} SET {setting}")
    database = connect(postgres.url(), SHORT_LEASE)

    with database.transaction() as transaction:
        shown = {name: f"{value}{unit or ''}" for name, value, unit in transaction.execute(SHOWN)}

    assert shown == {
        "synchronous_commit": "on",
        "statement_timeout": "1000ms",
        "lock_timeout": "500ms",
        "idle_in_transaction_session_timeout": "1000ms",
        "search_path": "cdr_exporter",
        "transaction_isolation": "read committed",
        "transaction_read_only": "off",
        "client_encoding": "UTF8",
        "application_name": "cdr-exporter",
        "tcp_user_timeout": "1000ms",
    }


@pytest.mark.parametrize("lease", [2.0, 5.0, 30.0, 600.0])
def test_every_limit_is_under_half_a_lease(lease: float) -> None:
    database = Database(Secret("postgresql://nowhere"), lease)

    assert 0 < database.limits.server < database.limits.answer < lease / 2
    assert database.limits.answer <= 15


def test_what_a_url_asks_for_does_not_weaken_it(
    postgres: TestDatabase, connect: MakeDatabase
) -> None:
    url = f"{postgres.url().reveal()}?options=-csynchronous_commit%3Doff&client_encoding=LATIN1"
    with connect(Secret(url)).transaction() as transaction:
        shown = {name: value for name, value, _ in transaction.execute(SHOWN)}

    assert (shown["synchronous_commit"], shown["client_encoding"]) == ("on", "UTF8")


def test_a_hundred_threads_share_a_few_connections(
    postgres: TestDatabase, connect: MakeDatabase
) -> None:
    database = connect(postgres.url(), connections=3)
    prepare_notes(database)

    def write(number: int) -> None:
        for step in range(3):
            with database.transaction() as transaction:
                transaction.execute(INSERT, [f"{number}-{step}"])

    threads = [threading.Thread(target=write, args=[number]) for number in range(100)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)

    assert len(notes(database)) == 300
    sessions = postgres.run(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = %s", [postgres.name]
    )
    assert sessions[0][0] <= 3 + 1  # the last is the one that asks


def test_after_its_end_nothing_is_begun(postgres: TestDatabase, connect: MakeDatabase) -> None:
    used, unused = connect(postgres.url()), connect(postgres.url())
    with used.transaction():
        pass
    for each in (used, unused):
        each.close()

        assert str(failure_of(begun(each))) == "the connections to the database are closed"


def test_who_waits_for_a_connection_learns_of_the_end(
    postgres: TestDatabase, connect: MakeDatabase
) -> None:
    database = connect(postgres.url(), connections=1)
    failures: list[DatabaseError] = []
    waiter = threading.Thread(target=lambda: failures.append(failure_of(begun(database))))
    with database.transaction():
        waiter.start()
        database.close()
        waiter.join(60)

    assert [str(each) for each in failures] == ["the connections to the database are closed"]


WITHOUT_DRIVER = """
import sys
sys.modules["psycopg"] = None
import cdr_exporter.cli
from cdr_exporter.database import Database
from cdr_exporter.secret import Secret
Database(Secret("postgresql://nowhere"), 30.0)
"""


def test_without_the_driver_the_program_runs_and_says_how_to_install_it() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_DRIVER], capture_output=True, text=True, cwd=ROOT
    )

    [*_, last] = ended.stderr.splitlines()
    assert last == (
        "cdr_exporter.errors.ConfigError: state_url_file: the driver of PostgreSQL is not"
        " installed; pip install 'cdr-exporter[postgres]'"
    )


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("postgresql://cdr:sw0rd%zzfish@db/cdr", id="percent"),
        pytest.param("postgresql://cdr:sw0rdfish@[::1/cdr", id="bracket"),
        pytest.param("postgresql://db/cdr?passwd=sw0rdfish", id="unknown parameter"),
    ],
)
def test_a_bad_url_is_a_mistake_of_configuration_and_not_shown(url: str) -> None:
    with pytest.raises(ConfigError, match="is no URL of PostgreSQL") as caught:
        Database(Secret(url), LEASE)

    assert "sw0rd" not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
