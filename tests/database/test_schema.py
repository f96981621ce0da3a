"""The schema: made by whoever comes first, checked by all, and refused where it is not ours."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from cdr_exporter.database import Database, check_schema, prepare_schema, schema
from cdr_exporter.database.schema import TABLES, VERSION
from cdr_exporter.secret import Secret

from ..support.database import MakeDatabase, begun, failure_of
from ..support.postgres import PostgresServer, TestDatabase
from ..support.processes import eventually
from ..support.socket_server import certificate


def tables(postgres: TestDatabase) -> set[str]:
    found = postgres.run("SELECT tablename FROM pg_tables WHERE schemaname = 'cdr_exporter'")
    return {name for (name,) in found}


def made_at(postgres: TestDatabase) -> list[tuple[int, int]]:
    """Return what tells whether the tables are the same as before."""
    return postgres.run("SELECT tableoid::bigint, xmin::text::bigint FROM cdr_exporter.version")


def test_it_is_made_once_and_then_only_checked(database: Database, postgres: TestDatabase) -> None:
    check_schema(database)
    assert tables(postgres) == set()

    prepare_schema(database)
    made = made_at(postgres)
    prepare_schema(database)
    check_schema(database)

    assert tables(postgres) == set(TABLES)
    assert made_at(postgres) == made


def test_replicas_that_start_at_once_make_one(
    postgres: TestDatabase, connect: MakeDatabase
) -> None:
    ready = threading.Barrier(4)
    made: list[str] = []

    def start() -> None:
        database = connect(postgres.url())
        ready.wait(60)
        prepare_schema(database)
        made.append("made")

    threads = [threading.Thread(target=start) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)

    assert made == ["made"] * 4
    assert postgres.run("SELECT version FROM cdr_exporter.version") == [(VERSION,)]


def test_who_comes_second_waits_for_the_first(
    postgres: TestDatabase, connect: MakeDatabase
) -> None:
    database = connect(postgres.url())
    second = threading.Thread(target=lambda: prepare_schema(database))
    with postgres.server.connect(postgres.name) as first, first.transaction():
        first.execute("SELECT pg_advisory_xact_lock(%s)", [schema._LOCK])
        second.start()
        waits = "SELECT 1 FROM pg_stat_activity WHERE datname = %s AND wait_event = 'advisory'"
        eventually(
            "the second waits, or is done",
            lambda: postgres.run(waits, [postgres.name]) or not second.is_alive(),
        )
        assert tables(postgres) == set()
    second.join(60)

    assert tables(postgres) == set(TABLES)


def test_text_is_compared_by_its_bytes(database: Database, postgres: TestDatabase) -> None:
    prepare_schema(database)

    assert (
        postgres.run(
            "SELECT table_name, column_name FROM information_schema.columns WHERE"
            " table_schema = 'cdr_exporter' AND data_type = 'text' AND collation_name <> 'C'"
        )
        == []
    )


Use = Callable[[Database], object]

by_both = pytest.mark.parametrize(
    "use", [pytest.param(prepare_schema, id="run"), pytest.param(check_schema, id="check")]
)


@by_both
def test_a_newer_version_is_refused(use: Use, database: Database, postgres: TestDatabase) -> None:
    prepare_schema(database)
    postgres.run("UPDATE cdr_exporter.version SET version = version + 1")

    failure = failure_of(lambda: use(database))

    assert failure.reason == "schema"
    assert f"of version {VERSION + 1}, newer than {VERSION}" in str(failure)
    assert "update it" in str(failure)


@by_both
@pytest.mark.parametrize(
    "change",
    [
        pytest.param("DELETE FROM cdr_exporter.version", id="no version"),
        pytest.param("UPDATE cdr_exporter.version SET version = 0", id="version 0"),
        pytest.param("DROP TABLE cdr_exporter.lease", id="a table gone"),
    ],
)
def test_what_is_not_ours_is_refused(
    change: str, use: Use, database: Database, postgres: TestDatabase
) -> None:
    prepare_schema(database)
    postgres.run(change)

    failure = failure_of(lambda: use(database))

    assert failure.reason == "schema"


@by_both
def test_a_user_who_may_not_make_it_learns_what_to_grant(
    use: Use, postgres: TestDatabase, connect: MakeDatabase
) -> None:
    of_nobody(postgres)

    failure = failure_of(lambda: use(connect(postgres.url())))

    assert failure.reason == "rights"
    assert "CREATE SCHEMA cdr_exporter AUTHORIZATION" in str(failure)
    assert tables(postgres) == set()


@by_both
def test_a_user_who_may_only_read_learns_what_to_grant(
    use: Use, postgres: TestDatabase, connect: MakeDatabase
) -> None:
    made_by_administrator(postgres, connect)
    postgres.run(f"GRANT USAGE ON SCHEMA cdr_exporter TO {postgres.user}")
    postgres.run(f"GRANT SELECT ON ALL TABLES IN SCHEMA cdr_exporter TO {postgres.user}")

    failure = failure_of(lambda: use(connect(postgres.url())))

    assert failure.reason == "rights"
    assert "GRANT" in str(failure)


@by_both
def test_a_user_who_may_not_even_look_learns_what_to_grant(
    use: Use, postgres: TestDatabase, connect: MakeDatabase
) -> None:
    made_by_administrator(postgres, connect)

    failure = failure_of(lambda: use(connect(postgres.url())))

    assert failure.reason == "rights"
    assert "GRANT" in str(failure)


def of_nobody(postgres: TestDatabase) -> None:
    """Take the database from its user, who may still connect."""
    postgres.run(f"ALTER DATABASE {postgres.name} OWNER TO postgres")


def made_by_administrator(postgres: TestDatabase, connect: MakeDatabase) -> None:
    """Let an administrator own the database and the schema."""
    prepare_schema(connect(postgres.url()))
    of_nobody(postgres)
    for owned in ("SCHEMA cdr_exporter", *(f"TABLE cdr_exporter.{name}" for name in TABLES)):
        postgres.run(f"ALTER {owned} OWNER TO postgres")


def test_a_schema_that_an_administrator_gave_to_the_user_is_used(
    postgres: TestDatabase, connect: MakeDatabase
) -> None:
    of_nobody(postgres)
    postgres.run(f"CREATE SCHEMA cdr_exporter AUTHORIZATION {postgres.user}")
    database = connect(postgres.url())

    check_schema(database)
    prepare_schema(database)

    assert tables(postgres) == set(TABLES)


def test_tables_that_an_administrator_made_and_granted_are_used(
    postgres: TestDatabase, connect: MakeDatabase
) -> None:
    made_by_administrator(postgres, connect)
    postgres.run(f"GRANT USAGE ON SCHEMA cdr_exporter TO {postgres.user}")
    postgres.run(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA cdr_exporter"
        f" TO {postgres.user}"
    )
    database = connect(postgres.url())

    check_schema(database)
    prepare_schema(database)
    with database.transaction() as transaction:
        transaction.execute("DELETE FROM document")
        transaction.execute("UPDATE version SET version = version")


@pytest.mark.parametrize(
    ("address", "warned"),
    [
        pytest.param("NULL", False, id="a local socket"),
        pytest.param("'127.0.0.1'", False, id="loopback"),
        pytest.param("'::1'", False, id="loopback of IPv6"),
        pytest.param("'192.0.2.7'", True, id="another machine"),
        pytest.param("'2001:db8::7'", True, id="another machine of IPv6"),
    ],
)
def test_a_connection_in_clear_text_to_another_machine_is_warned_about(
    address: str, warned: bool, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    come_from(address, monkeypatch)

    assert any("is not encrypted" in each for each in check_schema(database)) is warned


def come_from(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server take us for a client at *address*."""
    asked = schema._FIND_RISKS.replace("inet_client_addr()", f"{address}::inet")
    monkeypatch.setattr(schema, "_FIND_RISKS", asked)


def test_a_server_that_may_lose_what_it_committed_is_warned_about(database: Database) -> None:
    [warning] = check_schema(database)  # as the servers of tests are

    assert "runs with fsync or full_page_writes off" in warning


def test_tls_with_the_database_is_as_its_url_asks(
    tmp_path: Path, connect: MakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, other = certificate(tmp_path, "ours").file, certificate(tmp_path, "other").file
    come_from("'192.0.2.7'", monkeypatch)
    with PostgresServer(passwords=True, durable=True, certificate=ours) as server:
        url = server.make_database().url().reveal()
        trusted = Secret(f"{url}?sslmode=verify-ca&sslrootcert={ours}")
        not_trusted = Secret(f"{url}?sslmode=verify-ca&sslrootcert={other}")
        no_such_file = Secret(f"{url}?sslmode=verify-ca&sslrootcert={tmp_path / 'none'}")

        assert check_schema(connect(trusted)) == []  # durable, and not in clear text
        for wrong in (not_trusted, no_such_file):
            failure = failure_of(begun(connect(wrong)))
            assert (failure.reason, "no TLS" in str(failure)) == ("refused", True)
