"""What the store in a database promises beyond the contract: leases, lost answers, damage."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import pytest

from cdr_exporter.calls import CallChange, ClosedCall
from cdr_exporter.database import Database, Rows, Transaction
from cdr_exporter.errors import (
    LeaseLost,
    StateInDoubt,
    StateNotWritten,
    StateReplaced,
    StateUnusable,
)
from cdr_exporter.metrics.totals import initial_totals
from cdr_exporter.store import DatabaseStore
from cdr_exporter.store.schema import TABLES

from ..support.counts import records
from ..support.database_states import LEASE, StatesInDatabase, states_in
from ..support.postgres import PostgresServer
from ..support.rows import BOUNDS
from ..support.store_states import Process, add, content


@pytest.fixture(scope="module")
def one_database(postgres_server: PostgresServer) -> Iterator[StatesInDatabase]:
    with states_in(postgres_server) as states:
        yield states


@pytest.fixture
def states(one_database: StatesInDatabase) -> StatesInDatabase:
    one_database.clear()
    return one_database


class Interleaved(Database):
    """A database that lets *between* be done before a step: a statement or COMMIT, from 1 on."""

    def __init__(self, states: StatesInDatabase) -> None:
        super().__init__(states.server.url(), LEASE)
        self.steps = 0
        self.between: Callable[[int], object] = lambda step: None

    def step(self) -> None:
        self.steps += 1
        self.between(self.steps)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with super().transaction() as transaction:
            yield _Interleaved(self, transaction)
            self.step()


class _Interleaved:
    def __init__(self, database: Interleaved, transaction: Transaction) -> None:
        self._database, self._transaction = database, transaction

    def execute(self, sql: str, parameters: Any = ()) -> Rows:
        self._database.step()
        return self._transaction.execute(sql, parameters)


@pytest.fixture
def interleaved(states: StatesInDatabase) -> Iterator[Interleaved]:
    database = Interleaved(states)
    yield database
    database.close()


def store_in(database: Database, epoch: int) -> DatabaseStore:
    return DatabaseStore(database, "hq", "me", BOUNDS, epoch=epoch)


# --- the lease -----------------------------------------------------------------------------------


def test_a_commit_is_five_round_trips(states: StatesInDatabase, interleaved: Interleaved) -> None:
    """One to begin is not counted here, one is COMMIT."""
    process = Process(store_in(interleaved, states.take_lease()))
    add(process, 1)
    interleaved.steps = 0
    add(process, *range(300, 1, -1))

    assert interleaved.steps == 4


DO_NOW: dict[str, Callable[[Process], object]] = {
    "commit": lambda process: add(process, 9),
    "load": lambda process: process.store.load(),
    "rewrite": lambda process: process.store.rewrite(process.kept),
}


@pytest.mark.fault("E26")
@pytest.mark.parametrize("do", DO_NOW.values(), ids=DO_NOW)
def test_who_has_lost_the_lease_writes_nothing(
    states: StatesInDatabase, do: Callable[[Process], object]
) -> None:
    first = Process(states.open())
    add(first, 1)
    second = Process(states.open())
    add(second, 2)
    before = states.run("SELECT * FROM cdr_exporter.state ORDER BY part, number, name")
    for _ in range(2):
        with pytest.raises(LeaseLost):
            do(first)

    assert states.run("SELECT * FROM cdr_exporter.state ORDER BY part, number, name") == before
    add(second, 3)


def test_without_a_lease_there_is_no_state(states: StatesInDatabase) -> None:
    with pytest.raises(LeaseLost):
        store_in(states.database, 1).load()

    assert states.names() == []


def test_a_commit_in_doubt_under_a_lost_lease_is_the_next_holders_to_find(
    states: StatesInDatabase,
) -> None:
    first = Process(states.open())
    states.database.landed = True
    with pytest.raises(StateInDoubt):
        add(first, 1)
    second = Process(states.open())

    with pytest.raises(LeaseLost):
        first.store.landed()
    assert content(second.kept) == content(first.unsure)


def take_over(states: StatesInDatabase) -> bool:
    """Take the lease in another session, unless it is locked; say whether that was done."""
    with states.server.server.connect(states.server.name) as other:
        other.execute("SET lock_timeout = '50ms'")
        try:
            other.execute("UPDATE cdr_exporter.lease SET epoch = epoch + 1")
        except psycopg.errors.LockNotAvailable:
            return False
    return True


STEPS = range(1, 5)


@pytest.mark.fault("E26")
@pytest.mark.parametrize("step", STEPS)
def test_a_takeover_at_any_step_of_a_commit_waits_or_the_commit_is_refused(
    states: StatesInDatabase, interleaved: Interleaved, step: int
) -> None:
    process = Process(store_in(interleaved, states.take_lease()))
    add(process, 1)
    taken: list[bool] = []
    interleaved.steps = 0
    interleaved.between = lambda now: taken.append(take_over(states)) if now == step else None
    with suppress(LeaseLost):
        add(process, 2)
    landed = records(process.kept.totals) == 2
    after = Process(states.open())

    assert taken == [step == 1], "once the commit has looked at the lease, it is locked"
    assert landed is not taken[0]
    assert content(after.kept) == content(process.kept)


def test_a_takeover_under_way_lets_the_commit_wait_and_then_refuses_it(
    states: StatesInDatabase, interleaved: Interleaved
) -> None:
    process = Process(store_in(interleaved, states.take_lease()))
    with states.server.server.connect(states.server.name) as other:
        other.execute("BEGIN")
        other.execute("UPDATE cdr_exporter.lease SET epoch = epoch + 1")
        with pytest.raises(StateNotWritten):
            add(process, 1)
        other.execute("COMMIT")
    with pytest.raises(LeaseLost):
        add(process, 1)

    assert records(Process(states.open()).kept.totals) == 0


@pytest.mark.fault("E26")
def test_who_takes_over_in_the_middle_of_many_commits_finds_each_that_was_answered(
    states: StatesInDatabase,
) -> None:
    process, number = Process(states.open()), 0
    for _ in range(15):
        begun = threading.Event()

        def count(process: Process = process, begun: threading.Event = begun) -> int:
            high = process.kept.ledger.newest_key if process.kept.ledger else 0
            with suppress(LeaseLost):
                while True:
                    high += 1
                    add(process, high, src_trunk=f"trunk {high % 3}")
                    begun.set()
            return high - 1

        with ThreadPoolExecutor(1) as pool:
            counting = pool.submit(count)
            assert begun.wait(30)
            successor = Process(states.open())
            number = counting.result(30)
        assert content(successor.kept) == content(process.kept)
        assert records(successor.kept.totals) == number
        process = successor


# --- lost answers --------------------------------------------------------------------------------


def test_a_session_that_ends_within_commit_leaves_it_in_doubt(states: StatesInDatabase) -> None:
    process = Process(states.open())
    add(process, 1)
    states.lose_sessions()
    with pytest.raises(StateInDoubt):
        add(process, 2)
    states.unfill()

    assert process.store.landed() is False
    add(process, 3, 2)
    assert content(Process(states.open()).kept) == content(process.kept)


@pytest.mark.fault("E24")
def test_whether_it_landed_is_not_said_while_it_may_still_land(states: StatesInDatabase) -> None:
    doubtful = Process(states.open())
    add(doubtful, 1)
    states.database.landed = True
    with pytest.raises(StateInDoubt):
        add(doubtful, 2)
    with states.server.server.connect(states.server.name) as other:
        # As the session does whose COMMIT was sent and is not done.
        other.execute("BEGIN")
        other.execute("UPDATE cdr_exporter.state SET content = content WHERE part = 'whole'")
        with pytest.raises(StateNotWritten):
            doubtful.store.landed()
        with pytest.raises(StateNotWritten):
            store_in(states.database, 1).load()
        other.execute("ROLLBACK")

    assert doubtful.store.landed() is True


# --- what somebody else has written --------------------------------------------------------------


@pytest.mark.fault("E25")
def test_a_state_put_in_place_of_ours_is_set_aside_at_the_next_commit(
    states: StatesInDatabase,
) -> None:
    process = Process(states.open())
    add(process, 1)
    states.remember()
    add(process, 2)
    states.run("DELETE FROM cdr_exporter.state")
    states.run("INSERT INTO cdr_exporter.state SELECT * FROM older")
    with pytest.raises(StateReplaced):
        add(process, 3)
    process.store.rewrite(process.kept)
    add(process, 3)

    assert content(Process(states.open()).kept) == content(process.kept)
    [aside] = [name for name in states.names() if name != "hq"]
    assert aside.startswith("hq:replaced-")


FLIPPED = """
UPDATE cdr_exporter.state SET content = set_byte(content, 0, get_byte(content, 0) # 1)
WHERE (part, number, name) = (
    SELECT part, number, name FROM cdr_exporter.state WHERE part = 'PART' LIMIT 1
)
"""

PARTS = ("meta", "ledger", "remembered", "calls", "series", "chunk", "whole")

DAMAGE = {
    **{f"a flipped bit in {part}": FLIPPED.replace("PART", part) for part in PARTS},
    "another checksum": "UPDATE cdr_exporter.state SET checksum = 1 WHERE part = 'chunk'",
    "a missing row": "DELETE FROM cdr_exporter.state WHERE part = 'calls'",
    "no row about all others": "DELETE FROM cdr_exporter.state WHERE part = 'whole'",
    "an old row": "UPDATE cdr_exporter.state SET (content, checksum) ="
    " (SELECT content, checksum FROM older WHERE part = 'ledger') WHERE part = 'ledger'",
    "a row of another key": "UPDATE cdr_exporter.state SET number = 77 WHERE part = 'remembered'",
    "a key of another kind": "UPDATE cdr_exporter.state SET name = 'x' WHERE part = 'chunk'",
    "an unknown part": "INSERT INTO cdr_exporter.state VALUES ('hq', 'more', 0, '', '', 0)",
}


@pytest.mark.fault("E25")
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damaged_rows_are_set_aside_and_counting_begins_anew_loudly(
    states: StatesInDatabase, damage: str
) -> None:
    process = Process(states.open())
    add(process, 1)
    states.remember()
    add(process, 2)
    process.commit(calls=CallChange(closed={"b": ClosedCall(7)}))
    before = states.run("SELECT count(*) FROM cdr_exporter.state")
    states.run(damage)
    after = Process(states.open())
    add(after, 9)

    assert after.kept.resets["corrupt"] > 0
    assert records(after.kept.totals) == 1
    assert Process(states.open()).kept.resets == after.kept.resets
    [aside] = [name for name in states.names() if name != "hq"]
    assert aside.startswith("hq:corrupt-")
    kept_aside = states.run("SELECT count(*) FROM cdr_exporter.state WHERE pbx = %s", (aside,))
    assert abs(kept_aside[0][0] - before[0][0]) <= 1


def test_two_states_set_aside_in_one_second_have_two_names(states: StatesInDatabase) -> None:
    for _ in range(3):
        add(Process(states.open()), 1)
        states.run("UPDATE cdr_exporter.state SET checksum = 1 WHERE pbx = 'hq'")
    Process(states.open())

    assert len(states.names()) == 4


def test_an_older_version_is_set_aside_as_foreign(states: StatesInDatabase) -> None:
    set_version(states, 1)

    assert Process(states.open()).kept.resets["foreign"] > 0


def test_a_newer_version_is_not_touched_and_the_remedy_is_named(states: StatesInDatabase) -> None:
    set_version(states, 999)
    before = states.run("SELECT * FROM cdr_exporter.state")
    with pytest.raises(StateUnusable, match="install the newer"):
        states.open().load()

    assert states.run("SELECT * FROM cdr_exporter.state") == before


def set_version(states: StatesInDatabase, version: int) -> None:
    Process(states.open())
    states.run(
        "UPDATE cdr_exporter.state SET content = %s WHERE part = 'whole'",
        (f"[{version},0,0,0]".encode(),),
    )


def test_a_state_of_another_client_is_not_touched_and_the_remedy_is_named(
    states: StatesInDatabase,
) -> None:
    add(Process(states.open(client_id="another")), 1)
    before = states.run("SELECT * FROM cdr_exporter.state")
    with pytest.raises(StateUnusable, match="another client_id"):
        states.open().load()

    assert states.run("SELECT * FROM cdr_exporter.state") == before


def test_states_of_other_pbxs_are_left_alone(states: StatesInDatabase) -> None:
    branch = Process(states.open("hq.branch"))
    add(branch, 2, 1)
    add(Process(states.open("hq")), 1)
    states.run("UPDATE cdr_exporter.state SET checksum = 1 WHERE pbx = 'hq'")
    Process(states.open("hq"))

    assert content(Process(states.open("hq.branch")).kept) == content(branch.kept)


# --- rows ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("uid", ["\0", "%", "%00", "a\0%25b", "é\U0001f600", "x" * 64])
def test_a_call_of_any_uid_is_kept(states: StatesInDatabase, uid: str) -> None:
    process = Process(states.open())
    process.commit(calls=CallChange(closed={uid: ClosedCall(7), "other": ClosedCall(8)}))
    assert content(Process(states.open()).kept) == content(process.kept)

    process = Process(states.open())
    process.commit(calls=CallChange(forgotten=[uid]))
    assert list(Process(states.open()).kept.calls.closed) == ["other"]


def test_histograms_with_changed_buckets_begin_again(states: StatesInDatabase) -> None:
    process = Process(states.open())
    add(process, 2, 1)
    bounds = {**BOUNDS, "ring": (3, 9)}
    after = Process(states.open(bounds=bounds))

    assert after.kept.dropped_histograms == ("cdr_ring_duration_seconds",)
    assert records(after.kept.totals) == 2
    assert Process(states.open(bounds=bounds)).kept.dropped_histograms == ()


def test_at_first_there_is_one_row_about_the_pbx_and_one_about_all(
    states: StatesInDatabase,
) -> None:
    process = Process(states.open())

    assert process.kept.totals == initial_totals()
    assert sorted(part for (part,) in states.run("SELECT part FROM cdr_exporter.state")) == [
        *("meta", "meta", "whole"),
    ]
    assert "whole" not in TABLES
