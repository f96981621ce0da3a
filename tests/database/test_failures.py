"""How each way in which a database can fail comes out: soon, in our words, and without a secret.

A server that is stopped, killed, read-only or silent is a real one. Where the network is to fail, a
proxy stands in between.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psycopg
import pytest

from cdr_exporter.database import Database, failures, prepare_schema
from cdr_exporter.errors import CommitInDoubt, DatabaseError

from ..support.database import (
    CANARY,
    INSERT,
    SHORT_LEASE,
    MakeDatabase,
    begun,
    failure_of,
    notes,
    prepare_notes,
)
from ..support.postgres import PostgresServer, TestDatabase
from ..support.processes import eventually
from ..support.socket_server import Wire
from ..support.tcp_proxy import Proxy, cut, hold, swallow_answer


@pytest.fixture
def proxy(postgres: TestDatabase) -> Iterator[Proxy]:
    with Proxy(postgres.server.port) as between:
        yield between


@pytest.fixture
def own(own_server: PostgresServer) -> Iterator[TestDatabase]:
    """Return a database on a server that the test may stop."""
    database = own_server.make_database()
    yield database
    database.drop()


# --- who cannot come in --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("others", "reason", "said"),
    [
        pytest.param({"password": "sw0rdfish"}, "refused", "user or the password", id="password"),
        pytest.param({"user": "nobody"}, "refused", "user or the password", id="user"),
        pytest.param({"password": ""}, "refused", "user or the password", id="no password"),
        pytest.param({"name": "other"}, "refused", "no such database", id="database"),
        pytest.param({"host": "no-such-host.invalid"}, "unreachable", "host name", id="host"),
        pytest.param({"port": "http"}, "refused", "no URL of PostgreSQL", id="no number"),
        pytest.param({"host": "a..b"}, "unreachable", "host name", id="no host name"),
        pytest.param({"port": 1}, "unreachable", "nothing listens", id="port"),
        pytest.param({"host": "%2Fno%2Fsuch"}, "unreachable", "socket", id="socket"),
    ],
)
def test_who_cannot_come_in_learns_at_once_why(
    others: dict[str, str], reason: str, said: str, postgres: TestDatabase, connect: MakeDatabase
) -> None:
    failure = failure_of(begun(connect(postgres.url(**others))))

    assert (failure.reason, said in str(failure)) == (reason, True), failure


def test_a_port_of_something_else_is_no_database(
    connect: MakeDatabase, postgres: TestDatabase
) -> None:
    with Wire(lambda call: call.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as other:
        failure = failure_of(begun(connect(postgres.url(port=other.port))))

    assert failure.reason in ("unreachable", "refused")


def test_a_server_whose_texts_are_in_another_language_refuses_too() -> None:
    error = psycopg.OperationalError("connection failed: FATAL:  Passwort-Authentifizierung ...")

    assert failures.of_connecting(error).reason == "refused"


def test_too_many_connections_are_waited_for_and_then_said(
    postgres: TestDatabase, connect: MakeDatabase
) -> None:
    postgres.run(f"ALTER ROLE {postgres.user} CONNECTION LIMIT 1")
    with connect(postgres.url()).transaction():
        failure = failure_of(begun(connect(postgres.url(), SHORT_LEASE)))

    assert failure.reason == "busy"
    assert "no connection left" in str(failure)


def test_a_thread_that_gets_no_connection_in_time_says_so(
    postgres: TestDatabase, connect: MakeDatabase
) -> None:
    database = connect(postgres.url(), SHORT_LEASE, connections=1)
    # The server ends the transaction that stands still meanwhile.
    with suppress(CommitInDoubt), database.transaction():
        failure = failure_of(begun(database))

    assert (failure.reason, "in use" in str(failure)) == ("busy", True)


# --- which server is of no use -------------------------------------------------------------------


class OtherServer:
    """A connection to a server that is not as it should be."""

    def __init__(self, version: int = 150000, **parameters: bytes) -> None:
        self._parameters = {"in_hot_standby": b"off", "server_encoding": b"UTF8"} | parameters
        self.pgconn = self
        self.server_version = version
        self.is_closed = False

    def parameter_status(self, name: bytes) -> bytes | None:
        return self._parameters.get(name.decode())

    def close(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize(
    ("server", "said"),
    [
        pytest.param(OtherServer(149999), "older than PostgreSQL 15", id="old"),
        pytest.param(OtherServer(server_encoding=b"SQL_ASCII"), "not UTF8", id="encoding"),
    ],
)
def test_a_server_that_cannot_do_it_is_refused(server: OtherServer, said: str) -> None:
    failure = failures.of_server(server)  # type: ignore[arg-type]

    assert failure is not None
    assert said in str(failure)
    assert server.is_closed


def test_a_standby_is_refused(own: TestDatabase, connect: MakeDatabase) -> None:
    own.server.stop()
    signal = own.server.directory / "data/standby.signal"
    signal.touch(0o666)
    own.server.start()
    try:
        failure = failure_of(begun(connect(own.url())))
    finally:
        own.server.stop()
        signal.unlink()
        own.server.start()

    assert (failure.reason, "read-only" in str(failure)) == ("refused", True)


# --- a server that goes away ---------------------------------------------------------------------


def test_after_a_restart_the_next_transaction_works(
    own: TestDatabase, connect: MakeDatabase
) -> None:
    database = connect(own.url())
    prepare_notes(database)
    with database.transaction(), database.transaction(), database.transaction():
        pass  # so that three connections are lost

    own.server.restart()

    with database.transaction() as transaction:
        transaction.execute(INSERT, ["after"])
    assert notes(database) == ["after"]


def test_a_server_that_is_stopped_is_unreachable_at_once(
    own: TestDatabase, connect: MakeDatabase
) -> None:
    database = connect(own.url())
    with database.transaction():
        pass
    own.server.stop()
    began = time.monotonic()
    try:
        failure = failure_of(begun(database))
    finally:
        took = time.monotonic() - began
        own.server.start()

    assert failure.reason == "unreachable"
    assert took < database.limits.answer
    with database.transaction():
        pass


def test_a_server_killed_in_a_transaction_keeps_nothing_of_it(
    own: TestDatabase, connect: MakeDatabase
) -> None:
    database = connect(own.url())
    prepare_notes(database)

    def goes_on() -> None:
        with database.transaction() as transaction:
            transaction.execute(INSERT, ["lost"])
            own.server.kill()
            transaction.execute(INSERT, ["too"])

    failure = failure_of(goes_on)
    own.server.start()

    assert failure.reason == "unreachable"
    assert not isinstance(failure, CommitInDoubt)
    assert notes(database) == []


# --- no answer to COMMIT -------------------------------------------------------------------------


def is_commit(data: bytes) -> bool:
    return b"COMMIT" in data and b"BEGIN" not in data


@pytest.mark.parametrize(
    ("then", "written"),
    [
        pytest.param(swallow_answer, ["a"], id="the answer is lost"),
        pytest.param(cut, [], id="the question is lost"),
        pytest.param(hold, [], id="neither comes"),
    ],
)
def test_a_commit_without_an_answer_is_in_doubt(
    then: object,
    written: list[str],
    postgres: TestDatabase,
    proxy: Proxy,
    connect: MakeDatabase,
) -> None:
    direct = connect(postgres.url())
    prepare_notes(direct)
    proxy.breaks_at, proxy.then = is_commit, then  # type: ignore[assignment]
    behind = connect(postgres.url(port=proxy.port), SHORT_LEASE)

    def write() -> None:
        with behind.transaction() as transaction:
            transaction.execute(INSERT, ["a"])

    assert type(failure_of(write)) is CommitInDoubt
    assert notes(direct) == written


def test_a_commit_that_the_server_refuses_is_not_in_doubt(database: Database) -> None:
    with database.transaction() as transaction:
        transaction.execute("CREATE SCHEMA cdr_exporter")
        transaction.execute("CREATE TABLE once (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)")

    def twice() -> None:
        with database.transaction() as transaction:
            transaction.execute("INSERT INTO once VALUES (1), (1)")

    assert type(failure_of(twice)) is DatabaseError
    with database.transaction() as transaction:
        assert transaction.execute("SELECT n FROM once").fetchall() == []


@pytest.fixture
def without_standby(own: TestDatabase) -> Iterator[TestDatabase]:
    """Return a database of a server that waits with each commit for a standby that is not there."""
    own.server.run("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    own.server.run("SELECT pg_reload_conf()")
    yield own
    own.server.run("ALTER SYSTEM RESET synchronous_standby_names")
    own.server.restart()


def test_a_commit_that_waits_for_a_standby_for_ever_is_in_doubt_in_time(
    without_standby: TestDatabase, connect: MakeDatabase
) -> None:
    database = connect(without_standby.url(), SHORT_LEASE)
    began = time.monotonic()

    failure = failure_of(lambda: prepare_schema(database))

    assert type(failure) is CommitInDoubt
    assert time.monotonic() - began < 10


def test_a_commit_whose_wait_for_a_standby_is_ended_by_somebody_is_in_doubt(
    without_standby: TestDatabase, connect: MakeDatabase
) -> None:
    found: list[DatabaseError] = []
    database = connect(without_standby.url(), 40.0)
    thread = threading.Thread(
        target=lambda: found.append(failure_of(lambda: prepare_schema(database)))
    )
    thread.start()
    waiting = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    eventually("the commit waits", lambda: without_standby.run(waiting))
    thread.join(60)

    assert [type(each) for each in found] == [CommitInDoubt]
    assert "did not wait until that was safe" in str(found[0])


# --- a server that hangs -------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["connecting", "beginning", "in a statement"])
def test_a_server_that_hangs_holds_nobody_for_half_a_lease(
    when: str, postgres: TestDatabase, proxy: Proxy, connect: MakeDatabase
) -> None:
    database = connect(postgres.url(port=proxy.port), SHORT_LEASE, connections=1)
    if when != "connecting":
        with database.transaction():
            pass
    began = [time.monotonic()]

    def hangs() -> None:
        if when != "in a statement":
            proxy.hold_all()
        with database.transaction() as transaction:
            proxy.hold_all()
            began[0] = time.monotonic()
            transaction.execute("SELECT 1")

    failure = failure_of(hangs)

    assert failure.reason == "unreachable"
    # Of a busy machine, too; without a limit it would be for ever.
    assert time.monotonic() - began[0] < SHORT_LEASE / 2 + 5


def test_of_several_connections_that_hang_one_is_waited_for(
    postgres: TestDatabase, proxy: Proxy, connect: MakeDatabase
) -> None:
    database = connect(postgres.url(port=proxy.port), SHORT_LEASE, connections=8)
    with ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(database.transaction())
    proxy.hold_all()
    began = time.monotonic()

    assert failure_of(begun(database)).reason == "unreachable"
    # One limit; the rest is for a busy machine.
    assert time.monotonic() - began < 4 * database.limits.answer


def test_a_server_that_stands_still_with_all_its_sessions_is_given_up(
    own: TestDatabase, connect: MakeDatabase
) -> None:
    database = connect(own.url(), SHORT_LEASE)
    with database.transaction():
        pass
    own.server.pause()
    try:
        failure = failure_of(begun(database))
    finally:
        own.server.go_on()

    assert failure.reason == "unreachable"
    with database.transaction():
        pass


# --- what takes too long -------------------------------------------------------------------------


def test_a_statement_that_takes_too_long_is_ended(
    postgres: TestDatabase, connect: MakeDatabase
) -> None:
    database = connect(postgres.url(), SHORT_LEASE)

    def sleeps() -> None:
        with database.transaction() as transaction:
            transaction.execute("SELECT pg_sleep(60)")

    failure = failure_of(sleeps)

    assert (failure.reason, "took too long" in str(failure)) == ("busy", True)


def test_a_lock_of_another_is_waited_for_no_longer_than_allowed(
    postgres: TestDatabase, connect: MakeDatabase
) -> None:
    database = connect(postgres.url())
    prepare_notes(database)
    impatient = connect(postgres.url(), SHORT_LEASE)

    def waits() -> None:
        with impatient.transaction() as transaction:
            transaction.execute("LOCK TABLE note")

    with database.transaction() as holder:
        holder.execute("LOCK TABLE note")
        failure = failure_of(waits)

    assert (failure.reason, "lock" in str(failure)) == ("busy", True)


def test_who_stands_still_in_a_transaction_loses_it_and_what_he_had_locked(
    postgres: TestDatabase, connect: MakeDatabase
) -> None:
    database = connect(postgres.url())
    prepare_notes(database)
    slow = connect(postgres.url(), SHORT_LEASE)

    def stands_still() -> None:
        with slow.transaction() as transaction:
            transaction.execute("LOCK TABLE note")
            with database.transaction() as other:
                other.execute("LOCK TABLE note")  # got once the server has ended the first
            transaction.execute(INSERT, ["late"])

    failure = failure_of(stands_still)

    # Some versions of the driver see the end of the session only, and not what it was ended for.
    assert failure.reason in ("busy", "unreachable")
    assert notes(database) == []


# --- a disk that is full -------------------------------------------------------------------------


def test_a_full_disk_is_said_and_room_on_it_is_used_again(
    own: TestDatabase, connect: MakeDatabase
) -> None:
    database = connect(own.url())
    prepare_notes(database)
    [[path]] = own.run("SELECT pg_relation_filepath('cdr_exporter.note')")
    file = own.server.directory / "data" / path
    own.server.stop()
    _put(file, Path("/dev/full"))
    own.server.start()

    def write() -> None:
        with database.transaction() as transaction:
            transaction.execute(INSERT, ["a"])

    failure = failure_of(write)
    own.server.stop()
    file.unlink()
    own.server.give(b"", file)
    own.server.start()

    assert (failure.reason, "is full" in str(failure)) == ("full", True)
    write()
    assert notes(database) == ["a"]


def _put(file: Path, device: Path) -> None:
    """Let *file* be a device on which nothing can be written, as on a full disk."""
    file.unlink()
    file.symlink_to(device)


# --- the other codes of the server ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("42501", "rights"),
        ("53100", "full"),
        ("53200", "full"),
        ("53400", "full"),
        ("58030", "full"),
        ("40001", "busy"),
        ("40P01", "busy"),
        ("55P03", "busy"),
        ("57014", "busy"),
        ("3F000", "schema"),
        ("42P01", "schema"),
        ("42703", "schema"),
        ("22021", "error"),
        ("26000", "error"),
        ("42P05", "error"),
        ("25006", "refused"),
        ("XX001", "error"),
    ],
)
def test_each_code_of_a_server_has_its_reason(code: str, reason: str, database: Database) -> None:
    def fails() -> None:
        with database.transaction() as transaction:
            transaction.execute(
                f"DO $$ BEGIN RAISE EXCEPTION 'of {CANARY}' USING ERRCODE = '{code}'; END $$"
            )

    failure = failure_of(fails)

    assert failure.reason == reason
    assert (code in str(failure)) == (code == "XX001")


def test_a_value_that_is_refused_is_not_shown(database: Database) -> None:
    value = CANARY

    def fails() -> None:
        with database.transaction() as transaction:
            transaction.execute("SELECT %s::int", [value])

    assert failure_of(fails).reason == "error"
