"""What every store promises: see `Store`. Each implementation passes all of this."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdr_exporter.calls import CallChange, ClosedCall, Leg, OpenCall, group_calls
from cdr_exporter.errors import (
    LeaseLost,
    StateInDoubt,
    StateInUse,
    StateNotWritten,
    StateReplaced,
)
from cdr_exporter.ingest import FirstShown
from cdr_exporter.ledger import Ledger
from cdr_exporter.metrics.totals import SHOWN_FROM_START, initial_totals
from cdr_exporter.store import FileStore, Store

from ..support.database_states import StatesInDatabase, states_in
from ..support.finished_calls import NOW, call
from ..support.memory_store import MemoryStore
from ..support.rows import BOUNDS
from ..support.store_states import Content, Process, add, content

FIRST = FirstShown(1_700_000_000.5, True, 1_699_999_000.0)
OPEN = OpenCall.of([Leg(1_700_000_000, "answered", "Inbound", "sip", 60, 5, 55)], 123.5)


class Disk(Protocol):
    """Where stores of one kind are kept. One process after another opens it."""

    def open(self) -> Store:
        """Return the store of a new process."""

    def fill(self, store: Store, *, full: bool) -> None:
        """Let the commits of *store* fail from now on, or succeed again."""

    def take_away(self, store: Store) -> None:
        """Take away what *store* has kept."""

    def lose_answer(self, store: Store, *, landed: bool) -> None:
        """Let the answer to the next commit of *store* be lost; *landed* says if it is kept."""


class Files:
    """State files of SQLite."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def open(self) -> Store:
        return FileStore(self._directory, "hq", "me", BOUNDS)

    def fill(self, store: Store, *, full: bool) -> None:
        assert isinstance(store, FileStore)
        store._db.execute(f"PRAGMA query_only={int(full)}")

    def take_away(self, store: Store) -> None:
        shutil.rmtree(self._directory)

    def lose_answer(self, store: Store, *, landed: bool) -> None:
        raise AssertionError("a commit of a file has no answer that could be lost")


class Memory:
    """Rows in memory."""

    def __init__(self, _: Path) -> None:
        self._store = MemoryStore()

    def open(self) -> Store:
        return self._store

    def fill(self, store: Store, *, full: bool) -> None:
        self._store.full = full

    def take_away(self, store: Store) -> None:
        self._store.replaced = True

    def lose_answer(self, store: Store, *, landed: bool) -> None:
        self._store.in_doubt = landed


class InDatabase:
    """Rows in PostgreSQL; each process takes the lease."""

    def __init__(self, states: StatesInDatabase) -> None:
        self._states = states
        states.clear()

    def open(self) -> Store:
        return self._states.open()

    def fill(self, store: Store, *, full: bool) -> None:
        if full:
            self._states.fill()
        else:
            self._states.unfill()

    def take_away(self, store: Store) -> None:
        self._states.run("DELETE FROM cdr_exporter.state")

    def lose_answer(self, store: Store, *, landed: bool) -> None:
        self._states.database.landed = landed


DISKS = ("files", "memory", "database")

MakeDisk = Callable[[str, Path], Disk]


@pytest.fixture(scope="module")
def make_disk(request: pytest.FixtureRequest) -> Iterator[MakeDisk]:
    """Return a function that makes a disk of a kind, with nothing on it."""
    with ExitStack() as at_end:
        made: list[StatesInDatabase] = []

        def make(kind: str, directory: Path) -> Disk:
            if kind != "database":
                return Files(directory) if kind == "files" else Memory(directory)
            if not made:
                server = request.getfixturevalue("postgres_server")
                made.append(at_end.enter_context(states_in(server)))
            return InDatabase(made[0])

        yield make


@pytest.fixture(params=DISKS)
def disk(request: pytest.FixtureRequest, make_disk: MakeDisk, tmp_path: Path) -> Disk:
    return make_disk(request.param, tmp_path)


def found(disk: Disk) -> Content:
    """Return what a new process finds."""
    store = disk.open()
    kept = store.load()
    store.close()
    return content(kept)


def commit_a_bit_of_everything(process: Process, number: int) -> None:
    add(process, number, src_trunk=f"trunk {number % 3}", born_at=float(number))
    kept = process.kept
    process.commit(
        calls=CallChange(
            opened={f"open {number}": OPEN}, closed={f"closed {number}": ClosedCall(7)}
        ),
        quarters=kept.quarters.after(group_calls([call(NOW - 900 * number)]), NOW),
        first_shown=FIRST if kept.first_shown is None else None,
    )


def test_at_first_nothing_is_kept(disk: Disk) -> None:
    store = disk.open()
    kept = store.load()
    store.close()

    assert (kept.ledger, kept.first_shown, any(kept.resets.values())) == (None, None, False)
    assert kept.totals == initial_totals()
    assert (kept.calls.open, kept.calls.closed) == ({}, {})


def test_what_was_committed_is_what_a_new_process_finds(disk: Disk) -> None:
    process = Process(disk.open())
    for number in range(1, 6):
        commit_a_bit_of_everything(process, number)
        if number == 3:
            # Another process goes on from what it found.
            process.close()
            process = Process(disk.open())
    process.close()

    assert found(disk) == content(process.kept)
    assert found(disk) == found(disk)


def test_a_commit_that_failed_keeps_nothing_and_may_be_made_again(disk: Disk) -> None:
    process = Process(disk.open())
    commit_a_bit_of_everything(process, 1)
    before = process.kept
    disk.fill(process.store, full=True)
    for _ in range(2):
        with pytest.raises(StateNotWritten):
            commit_a_bit_of_everything(process, 2)
        assert process.kept is before
    disk.fill(process.store, full=False)
    assert content(process.store.load()) == content(before)

    commit_a_bit_of_everything(process, 2)
    process.close()
    assert found(disk) == content(process.kept)


def test_what_was_taken_away_is_written_anew_before_the_next_commit(disk: Disk) -> None:
    process = Process(disk.open())
    for number in range(1, 4):
        commit_a_bit_of_everything(process, number)
    disk.take_away(process.store)
    with pytest.raises(StateReplaced):
        commit_a_bit_of_everything(process, 4)
    process.store.rewrite(process.kept)
    commit_a_bit_of_everything(process, 4)
    commit_a_bit_of_everything(process, 5)
    process.close()

    assert found(disk) == content(process.kept)


def test_what_is_written_anew_is_all_that_is_there(disk: Disk) -> None:
    process = Process(disk.open())
    commit_a_bit_of_everything(process, 1)
    before = process.kept
    commit_a_bit_of_everything(process, 2)
    process.store.rewrite(before)
    process.close()

    assert found(disk) == content(before)


def test_a_state_of_which_nothing_is_known_may_be_written_anew(disk: Disk) -> None:
    process = Process(disk.open())
    disk.take_away(process.store)
    process.store.rewrite(process.kept)
    commit_a_bit_of_everything(process, 1)
    process.close()

    assert found(disk) == content(process.kept)


def test_what_was_forgotten_is_gone(disk: Disk) -> None:
    process = Process(disk.open())
    add(process, *range(30, 0, -1))
    process.commit(calls=CallChange(opened={"a": OPEN}, closed={"b": ClosedCall(7)}))
    ledger = process.kept.ledger
    assert ledger is not None
    process.commit(
        Ledger(newest_key=30, remembered=dict(list(ledger.remembered.items())[:3])),
        calls=CallChange(forgotten=["a", "b"]),
    )
    process.close()

    after = found(disk)
    assert after == content(process.kept)
    assert (after.open, after.closed) == ({}, {})
    assert after.ledger is not None
    assert len(after.ledger.remembered) == 3


def test_a_birth_that_has_changed_is_kept(disk: Disk) -> None:
    process = Process(disk.open())
    add(process, 1, src_trunk="gsm", born_at=100.0)
    process.commit(totals=process.kept.totals.with_births_replaced({100.0: SHOWN_FROM_START}))
    process.close()

    assert set(found(disk).born.values()) == {SHOWN_FROM_START}


ANSWERING = pytest.mark.parametrize("disk", ["memory", "database"], indirect=True)
"""Disks that answer a commit: what is written to a file is there or not."""

LANDED = pytest.mark.parametrize("landed", [True, False], ids=["landed", "not landed"])


@ANSWERING
@LANDED
def test_a_commit_whose_answer_was_lost_is_kept_or_not_and_said_to_be(
    disk: Disk, landed: bool
) -> None:
    process = Process(disk.open())
    commit_a_bit_of_everything(process, 1)
    disk.lose_answer(process.store, landed=landed)
    for _ in range(2):
        # The second is refused, since the first may have landed.
        with pytest.raises(StateInDoubt):
            commit_a_bit_of_everything(process, 2)
    assert process.store.landed() is landed
    assert process.store.landed() is False
    if landed:
        process.kept = process.unsure
    else:
        commit_a_bit_of_everything(process, 2)
    commit_a_bit_of_everything(process, 3)
    process.close()

    assert found(disk) == content(process.kept)


@ANSWERING
@LANDED
def test_a_process_that_ends_in_doubt_leaves_all_of_the_commit_or_nothing(
    disk: Disk, landed: bool
) -> None:
    process = Process(disk.open())
    commit_a_bit_of_everything(process, 1)
    disk.lose_answer(process.store, landed=landed)
    with pytest.raises(StateInDoubt):
        commit_a_bit_of_everything(process, 2)
    process.close()

    assert found(disk) == content(process.unsure if landed else process.kept)


@ANSWERING
@LANDED
def test_what_was_taken_away_in_doubt_is_written_anew(disk: Disk, landed: bool) -> None:
    process = Process(disk.open())
    commit_a_bit_of_everything(process, 1)
    disk.lose_answer(process.store, landed=landed)
    with pytest.raises(StateInDoubt):
        commit_a_bit_of_everything(process, 2)
    disk.take_away(process.store)
    with pytest.raises(StateReplaced):
        process.store.landed()
    process.store.rewrite(process.kept)
    commit_a_bit_of_everything(process, 3)
    process.close()

    assert found(disk) == content(process.kept)


def test_no_commit_is_in_doubt_where_none_was_lost(disk: Disk) -> None:
    process = Process(disk.open())
    commit_a_bit_of_everything(process, 1)

    assert process.store.landed() is False
    process.close()


def test_closing_twice_is_once(disk: Disk) -> None:
    process = Process(disk.open())
    process.close()
    process.close()


FATES = ["", "fails", "restarts", "taken away", "landed", "not landed"]
STEP = st.tuples(st.integers(1, 40), st.sampled_from(FATES))


@given(steps=st.lists(STEP, max_size=8))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@pytest.mark.parametrize("kind", DISKS)
def test_after_any_commits_and_failures_it_is_as_the_process_had_it(
    kind: str,
    make_disk: MakeDisk,
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[int, str]],
) -> None:
    disk = make_disk(kind, tmp_path_factory.mktemp("state"))
    process = Process(disk.open())
    high = 0
    for rows, fate in steps:
        disk.fill(process.store, full=fate == "fails")
        if fate == "taken away":
            disk.take_away(process.store)
        if fate in ("landed", "not landed") and kind != "files":
            disk.lose_answer(process.store, landed=fate == "landed")
        try:
            add(process, *range(high + rows, high, -1), src_trunk=f"trunk {rows % 5}")
            high += rows
        except StateNotWritten:
            assert fate == "fails"
        except StateReplaced:
            assert fate == "taken away"
            process.store.rewrite(process.kept)
        except StateInDoubt:
            assert process.store.landed() == (fate == "landed")
            process.kept = process.unsure if fate == "landed" else process.kept
        disk.fill(process.store, full=False)
        if fate == "restarts":
            process.close()
            assert found(disk) == content(process.kept)
            process = Process(disk.open())
    process.close()

    assert found(disk) == content(process.kept)


@pytest.mark.parametrize("disk", ["files", "database"], indirect=True)
def test_of_two_owners_one_alone_can_commit(disk: Disk) -> None:
    """Rows in memory have no second process."""
    owners = [Process(disk.open())]
    commit_a_bit_of_everything(owners[0], 1)
    with suppress(StateInUse):
        owners.append(Process(disk.open()))
    done = []
    for owner in owners:
        with suppress(LeaseLost):
            commit_a_bit_of_everything(owner, 2)
            done.append(owner)
    for owner in owners:
        owner.close()

    assert len(done) == 1
    assert found(disk) == content(done[0].kept)


def test_the_other_kinds_of_failure_pass_through_and_keep_nothing(tmp_path: Path) -> None:
    process = Process(FileStore(tmp_path, "hq", "me", BOUNDS))
    add(process, 1)
    before = content(process.kept)
    other = sqlite3.connect(":memory:")
    other.close()
    process.file._rows._db = other
    with pytest.raises((StateNotWritten, sqlite3.ProgrammingError)):
        add(process, 2)
    process.close()

    assert found(Files(tmp_path)) == before
