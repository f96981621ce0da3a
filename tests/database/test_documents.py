"""Documents in a real database: claims that end, changes at once, and a database that is lost.

What all places for documents have to do is in `tests/pbx/test_documents.py`.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from traceback import format_exception
from typing import cast

import pytest

from cdr_exporter.database import Database, DatabaseDocuments, Transaction, prepare_schema
from cdr_exporter.database.documents import DatabaseDocument
from cdr_exporter.errors import CommitInDoubt, PBXError, TryAgain
from cdr_exporter.pbx.documents import LOGINS, TOKEN, Contents

from ..support.client_harness import FIRST_PAGE, WallClock, failure
from ..support.lockout import Office
from ..support.memory_documents import go_on
from ..support.postgres import TestDatabase

NAMES = (".logins-192.0.2.1-8088", ".logins-pbx.test-8088")
CANARY = "canary-token-0123456789"


class Steady:
    """A steady clock that a test sets, in seconds."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def steady() -> Steady:
    return Steady()


@pytest.fixture
def database(postgres: TestDatabase) -> Iterator[Database]:
    made = Database(postgres.url(), 30.0)
    prepare_schema(made)
    yield made
    made.close()


@pytest.fixture
def documents(database: Database, steady: Steady) -> DatabaseDocuments:
    return DatabaseDocuments(database, steady)


def pass_by(postgres: TestDatabase, seconds: float) -> None:
    """Let the claims be so much older."""
    postgres.run(
        "UPDATE cdr_exporter.document SET locked_until = locked_until - make_interval(secs => %s)",
        (seconds,),
    )


# --- claims


def test_a_claim_ends_by_itself_by_the_clock_of_the_database(
    documents: DatabaseDocuments, postgres: TestDatabase
) -> None:
    claim = documents.open(LOGINS, *NAMES).try_lock(120.0)
    pass_by(postgres, 119.0)
    early = documents.open(LOGINS, *NAMES).try_lock(120.0)
    pass_by(postgres, 1.0)
    late = documents.open(LOGINS, *NAMES).try_lock(120.0)

    assert claim is not None
    assert early is None
    assert late is not None


def test_its_owner_counts_it_from_before_he_asked_less_a_sixth(
    documents: DatabaseDocuments, steady: Steady
) -> None:
    claim = documents.open(LOGINS, *NAMES).try_lock(120.0)
    assert claim is not None
    held = []
    for seconds in (99.0, 1.0):
        steady.now += seconds
        held.append(claim.is_held())

    assert held == [True, False]


def test_who_lost_his_claim_does_not_give_up_that_of_another(
    documents: DatabaseDocuments, postgres: TestDatabase
) -> None:
    lost = documents.open(TOKEN, "hq.token").try_lock(60.0)
    pass_by(postgres, 60.0)
    others = documents.open(TOKEN, "hq.token").try_lock(60.0)
    assert lost is not None
    assert others is not None
    lost.release()

    assert documents.open(TOKEN, "hq.token").try_lock(60.0) is None


def test_of_many_who_claim_at_once_one_gets_it(documents: DatabaseDocuments) -> None:
    claims: list[object] = []

    def claim() -> None:
        claims.append(documents.open(LOGINS, *NAMES).try_lock(60.0))

    at_once([claim] * 8)

    assert len([each for each in claims if each is not None]) == 1


# --- changes


def at_once(actions: Sequence[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=each) for each in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_changes_at_once_without_a_claim_are_made_one_after_another(
    documents: DatabaseDocuments,
) -> None:
    """As of processes that stood still until their claims had ended."""

    def add_one(found: Contents) -> Contents:
        return {name: b"%d" % (int(content or b"0") + 1) for name, content in found.items()}

    documents.open(LOGINS, *NAMES).change(add_one)
    one_reads, another_waits = threading.Event(), threading.Event()

    def add_one_late(found: Contents) -> Contents:
        one_reads.set()
        assert another_waits.wait(10)
        return add_one(found)

    late = threading.Thread(target=documents.open(LOGINS, *NAMES).change, args=[add_one_late])
    late.start()
    assert one_reads.wait(10)
    names = [NAMES, tuple(reversed(NAMES))] * 3
    others = [partial(documents.open(LOGINS, *each).change, add_one) for each in names]
    threading.Timer(0.2, another_waits.set).start()
    at_once(others)
    late.join()

    assert documents.open(LOGINS, *NAMES).read() == dict.fromkeys(NAMES, b"8")


def test_nothing_is_held_while_nobody_changes_anything(
    documents: DatabaseDocuments, postgres: TestDatabase
) -> None:
    """A claim is no open transaction: the process that has it may stand still for long."""
    claim = documents.open(LOGINS, *NAMES).try_lock(60.0)
    open_ones = postgres.run(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND state <> 'idle'"
        " AND pid <> pg_backend_pid()",
        (postgres.name,),
    )

    assert claim is not None
    assert open_ones == [(0,)]


# --- a database that is lost


class Shaky:
    """A database whose answer to a COMMIT is lost, for that with the number *lost_answer*."""

    def __init__(self, database: Database, lost_answer: int) -> None:
        self._database = database
        self._left = lost_answer

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with self._database.transaction() as transaction:
            yield transaction
        self._left -= 1
        if self._left == 0:
            raise CommitInDoubt("whether it has committed is not known", reason="unreachable")


@pytest.fixture
def office(documents: DatabaseDocuments) -> Office:
    return Office(documents, WallClock())


@pytest.fixture
def lost(postgres: TestDatabase) -> Iterator[Callable[[], None]]:
    """Return what takes the database away, until the end of the test."""

    def take_away() -> None:
        postgres.server.run(f"ALTER DATABASE {postgres.name} ALLOW_CONNECTIONS false")
        postgres.server.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            parameters=(postgres.name,),
        )

    yield take_away
    give_back(postgres)


def give_back(postgres: TestDatabase) -> None:
    postgres.server.run(f"ALTER DATABASE {postgres.name} ALLOW_CONNECTIONS true")


def on_record(documents: DatabaseDocuments) -> list[int | None]:
    """Return how the logins on record were answered."""
    content = documents.open(LOGINS, ".logins-192.0.2.1-8088").read()[".logins-192.0.2.1-8088"]
    return [each["errcode"] for each in json.loads(content)["attempts"]] if content else []


@pytest.mark.fault("E22")
def test_without_the_database_no_login_is_sent(
    office: Office, lost: Callable[[], None], postgres: TestDatabase
) -> None:
    lost()
    error = failure(office.client())

    assert (error.reason, office.pbx.logins) == ("state", 0)
    assert str(error).startswith("token: the ")


@pytest.mark.fault("E22")
def test_a_login_that_could_not_be_written_down_is_not_sent(
    office: Office, lost: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    change = DatabaseDocument.change

    def lost_before(document: DatabaseDocument, edit: Callable[[Contents], Contents]) -> None:
        lost()
        change(document, edit)

    monkeypatch.setattr(DatabaseDocument, "change", lost_before)
    error = failure(office.client())

    assert (error.reason, office.pbx.logins) == ("state", 0)
    assert str(error).startswith("record of logins: the ")


@pytest.mark.fault("E22")
def test_a_database_that_is_lost_during_a_login_has_it_on_record(
    office: Office,
    lost: Callable[[], None],
    documents: DatabaseDocuments,
    postgres: TestDatabase,
) -> None:
    office.pbx.step = lambda step: lost() if step == "send" else None
    error = failure(office.client(secret="wrong"))
    give_back(postgres)

    assert (error.reason, office.pbx.logins) == ("state", 1)
    assert on_record(documents) == [None]


def test_a_token_that_cannot_be_written_is_used_by_the_process_that_has_it(
    office: Office, lost: Callable[[], None]
) -> None:
    office.pbx.step = lambda step: lost() if step == "send" else None
    client = office.client()
    error = failure(client)
    office.pbx.step = go_on
    client.fetch(FIRST_PAGE)

    assert (error.reason, office.pbx.logins) == ("state", 1)


@pytest.mark.fault("E22")
@pytest.mark.parametrize("transaction", range(1, 7))
def test_a_commit_in_doubt_before_a_login_sends_none_and_leaves_none_on_record(
    transaction: int, database: Database, documents: DatabaseDocuments, steady: Steady
) -> None:
    """Look at the tokens, claim and read them, claim the record, write it down; then it is sent."""
    shaky = DatabaseDocuments(cast(Database, Shaky(database, transaction)), steady)
    office = Office(shaky, WallClock())
    is_sent = transaction > 5
    with suppress(PBXError):
        office.client().fetch(FIRST_PAGE)

    assert office.pbx.logins == is_sent
    assert on_record(documents) == []


# --- nothing is shown


REFUSALS = (
    "ALTER TABLE cdr_exporter.document ADD CONSTRAINT short CHECK (length(content) < 5) NOT VALID",
    "ALTER TABLE cdr_exporter.document RENAME content TO contents",
    "DROP TABLE cdr_exporter.document",
)
"""After each of these, the database does not take a token."""


def test_no_token_and_no_password_is_in_an_error_a_log_line_or_a_repr(
    database: Database,
    documents: DatabaseDocuments,
    postgres: TestDatabase,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    document = documents.open(TOKEN, "hq.token")
    claim = document.try_lock(60.0)
    document.change(lambda _: {"hq.token": CANARY.encode()})
    shown = [repr(each) for each in (documents, document, claim, database)]
    for statement in REFUSALS:
        postgres.run(statement)
        with pytest.raises(TryAgain) as caught:
            document.change(lambda _: {"hq.token": f"{CANARY}-2".encode()})
        assert (caught.value.__cause__, caught.value.__context__) == (None, None)
        shown += format_exception(caught.value)
    text = "\n".join((*shown, caplog.text))

    assert CANARY not in text
    assert postgres.password not in text
