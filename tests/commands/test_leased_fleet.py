"""The PBXs that a replica polls under its leases: real threads and stores, tables in memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cdr_exporter.cdr import CDRAnswer
from cdr_exporter.cdr.contract import CDRQuery
from cdr_exporter.clock import SystemClock
from cdr_exporter.commands.exporter import histogram_bounds
from cdr_exporter.commands.fleet import change_between
from cdr_exporter.commands.leased_fleet import LeasedFleet
from cdr_exporter.errors import DatabaseError, LeaseLost
from cdr_exporter.ingest import StateChange
from cdr_exporter.metrics.catalogue import DATABASE_UP, LEASE_CHANGES, LEASES
from cdr_exporter.metrics.totals import Series, Value
from cdr_exporter.pbx.connection import Cancelled
from cdr_exporter.settings import PBX, SecretSource, Settings
from cdr_exporter.store import FileStore, Store

from ..support.fake_pbx import FakePBX
from ..support.lease_rows import FakeTable, LeaseRow, LeaseRows

LEASE = 30.0
NAMES = ("a", "b", "c")
PBXS = tuple(
    PBX(
        name=name,
        base_url="http://127.0.0.1:1",
        client_id=name,
        secret=SecretSource(env="X"),
        poll_interval=0.05,
        stale_after=LEASE * 10,
    )
    for name in NAMES
)


def eventually(what: str, holds: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.01)


class AskedPBX(FakePBX):
    """A PBX and its client; each answer takes as long as *gate* is closed."""

    def __init__(self, may_send: Callable[[], bool]) -> None:
        super().__init__()
        self.may_send = may_send
        self.gate = threading.Event()
        self.gate.set()
        self.in_request = False
        self.was_cancelled = False
        self.revoked = 0
        self.call(3)

    def fetch(self, query: CDRQuery) -> CDRAnswer:
        if not self.may_send():
            raise Cancelled("not sent", reason="state")
        self.in_request = True
        self.gate.wait(20)
        self.in_request = False
        if self.was_cancelled:
            raise Cancelled("stopped", reason="connect")
        return super().fetch(query)

    def cancel(self) -> None:
        self.was_cancelled = True
        self.gate.set()

    def revoke(self, timeout_seconds: float = 3.0) -> None:
        self.revoked += 1


class RefusingStore:
    """A store whose commits the database refuses while another replica holds the lease."""

    def __init__(self, store: Store, is_mine: Callable[[], bool]) -> None:
        self._store = store
        self._is_mine = is_mine
        self.load, self.rewrite, self.close = store.load, store.rewrite, store.close
        self.landed = store.landed

    def commit(self, change: StateChange) -> None:
        if not self._is_mine():
            raise LeaseLost("another replica has it")
        self._store.commit(change)


class FakePlace:
    """States in files; the newest client of each PBX is in *pbxs*."""

    def __init__(self, directory: Path, rows: LeaseRows) -> None:
        self.directory = directory
        self.rows = rows
        self.pbxs: dict[str, AskedPBX] = {}
        self.opened: list[tuple[str, int]] = []
        self.away = False

    def client(self, pbx: PBX, may_send: Callable[[], bool]) -> AskedPBX:
        self.pbxs[pbx.name] = AskedPBX(may_send)
        return self.pbxs[pbx.name]

    def open_store(self, pbx: PBX, epoch: int) -> Any:
        return partial(self._open, pbx, epoch)

    def _open(self, pbx: PBX, epoch: int, bounds: Any, zeros: Mapping[Series, Value]) -> Store:
        if self.away:
            raise DatabaseError("the database is away", reason="unreachable")
        self.opened.append((pbx.name, epoch))
        store = FileStore(self.directory, pbx.name, pbx.client_id, bounds, zeros)
        return RefusingStore(store, lambda: self.rows.leases[pbx.name].epoch == epoch)


class Replica:
    """A replica, whose steady clock can be set on by *ahead* seconds."""

    def __init__(self, directory: Path) -> None:
        self.settings = Settings(pbxs=PBXS)
        self.ahead = 0.0
        self.rows = LeaseRows()
        self.table = FakeTable(self.rows, "one", LEASE)
        self.place = FakePlace(directory, self.rows)
        self.fleet = LeasedFleet(
            self.settings,
            histogram_bounds(self.settings),
            self.table,
            self.place,
            LEASE,
            lambda stop: SystemClock(stop, lambda: time.monotonic() + self.ahead),
        )

    def shown(self) -> list[str]:
        """Return the PBXs that are shown."""
        return [snapshot.pbx for snapshot in self.fleet.snapshots()]

    def change_to(self, *pbxs: PBX) -> None:
        """Go on with other PBXs."""
        after = replace(self.settings, pbxs=pbxs)
        change = change_between(self.settings, after)
        self.fleet.end(change)
        self.fleet.begin(after, change)
        self.settings = after

    def look(self) -> None:
        """Let it do a round now: what was read again is the same."""
        self.change_to(*self.settings.pbxs)

    def lost(self) -> float:
        """Return how many leases were lost."""
        changes = self.fleet.process_values()[LEASE_CHANGES]
        assert isinstance(changes, Mapping)
        return changes["lost"]

    def is_polling(self) -> bool:
        """Say whether each PBX that is shown was polled."""
        return all(snapshot.attempted for snapshot in self.fleet.snapshots())


@pytest.fixture
def replica(tmp_path: Path) -> Iterator[Replica]:
    it = Replica(tmp_path)
    yield it
    it.rows.away = ""
    it.fleet.stop()
    it.fleet.cancel()
    it.fleet.join(10)


@pytest.fixture
def running(replica: Replica) -> Replica:
    replica.fleet.start()
    eventually("all are polled", lambda: replica.shown() == list(NAMES) and replica.is_polling())
    return replica


def test_it_polls_and_shows_what_it_holds(running: Replica) -> None:
    values = running.fleet.process_values()

    assert sorted(running.place.opened) == [("a", 1), ("b", 1), ("c", 1)]
    assert (values[LEASES], values[DATABASE_UP]) == (3, 1)
    assert values[LEASE_CHANGES] == {
        **dict.fromkeys(("free", "expired", "given_back", "ended", "lost"), 0),
        "first": 3,
    }
    assert running.fleet.alive
    assert running.fleet.waits_for() == ""


def test_what_has_lapsed_is_hidden_at_once_and_asks_nothing(running: Replica) -> None:
    running.rows.away = "unreachable"
    running.ahead = LEASE * 5 / 6

    assert running.shown() == []
    assert running.fleet.process_values()[LEASES] == 0
    assert running.fleet.alive  # what has no lease need not run
    assert not any(pbx.may_send() for pbx in running.place.pbxs.values())


def test_one_that_was_suspended_polls_anew_once_its_old_threads_have_ended(
    running: Replica,
) -> None:
    old = running.place.pbxs["a"]
    old.gate.clear()
    eventually("a request is under way", lambda: old.in_request)
    running.rows.now = running.ahead = LEASE + 1
    running.look()
    eventually("it polls all again", lambda: len(running.place.opened) == 6)

    assert running.shown() == list(NAMES)
    assert old.was_cancelled
    assert sorted(running.place.opened[3:]) == [("a", 2), ("b", 2), ("c", 2)]
    assert running.lost() == 3


def test_a_commit_that_is_refused_ends_what_is_shown_and_keeps_the_token(running: Replica) -> None:
    old = running.place.pbxs["a"]
    running.rows.leases["a"] = LeaseRow("two", 2, ends=running.rows.now + LEASE)
    old.call()
    eventually("it is hidden", lambda: running.shown() == ["b", "c"])
    eventually("it has ended", lambda: running.lost() == 1)

    assert running.rows.leases["a"].holder == "two"
    assert old.revoked == 0
    assert running.fleet.alive


def test_what_is_given_back_ends_between_two_polls_and_is_shown_until_then(
    running: Replica,
) -> None:
    last = [name for name in running.rows.leases if name in running.shown()][-1]
    pbx = running.place.pbxs[last]
    pbx.gate.clear()
    eventually("a request is under way", lambda: pbx.in_request)
    running.rows.replicas["two"] = frozenset(NAMES), running.rows.now + LEASE
    running.look()
    eventually("it is told to end", lambda: running.table.asked.count("beat") == 2)
    assert running.shown() == list(NAMES)
    assert running.rows.held_by("one") == list(NAMES)
    pbx.gate.set()
    eventually("it is free", lambda: len(running.rows.held_by("one")) == 2)

    assert running.shown() == running.rows.held_by("one")
    assert not pbx.was_cancelled
    assert pbx.revoked == 0


def test_a_reload_touches_only_what_is_different(running: Replica) -> None:
    changed = replace(PBXS[1], poll_interval=0.04)
    running.change_to(PBXS[0], changed)
    eventually("b is polled anew", lambda: running.place.opened[3:] == [("b", 2)])
    eventually("c is free", lambda: running.rows.held_by("one") == ["a", "b"])

    assert running.shown() == ["a", "b"]
    running.change_to(changed, PBXS[2], PBXS[0])
    eventually("the file's order", lambda: running.shown() == ["b", "c", "a"])


def test_what_goes_and_comes_back_as_another_at_once_is_polled_as_that(running: Replica) -> None:
    asked, go_on, renew = threading.Event(), threading.Event(), running.table.renew

    def renew_slowly(epochs: Mapping[str, int], *, wait: bool) -> Collection[str]:
        asked.set()
        go_on.wait(20)
        return renew(epochs, wait=wait)

    running.table.renew = renew_slowly  # type: ignore[method-assign]
    running.look()
    assert asked.wait(20)
    running.change_to(*PBXS[1:])
    running.change_to(replace(PBXS[0], poll_interval=0.04), *PBXS[1:])
    go_on.set()

    eventually("a is polled anew", lambda: running.place.opened[3:] == [("a", 2)])


def test_a_state_that_cannot_be_opened_is_shown_as_down_and_tried_again_soon(
    replica: Replica,
) -> None:
    replica.place.away = True
    replica.fleet.start()
    eventually("all have failed", lambda: len(replica.shown()) == 3 and replica.is_polling())
    [snapshot, *_] = replica.fleet.snapshots()
    assert (snapshot.failure_reason, snapshot.gauges[Series("cdr_up")]) == ("state", 0)
    assert replica.fleet.alive
    assert replica.fleet.waits_for() == ""
    replica.place.away = False
    eventually("they are polled", lambda: len(replica.place.opened) == 3)


def test_it_is_ready_once_a_round_has_worked_and_what_it_holds_was_polled(
    replica: Replica,
) -> None:
    replica.rows.away = "unreachable"
    replica.fleet.start()
    assert replica.fleet.waits_for().startswith("the database does not tell")
    replica.rows.away = ""
    eventually("it is ready", lambda: not replica.fleet.waits_for())
    assert replica.is_polling()
    replica.change_to(*PBXS, replace(PBXS[0], name="new"))
    eventually("more is polled", lambda: "new" in replica.shown())
    assert replica.fleet.waits_for() == ""
    replica.rows.away = "unreachable"
    replica.ahead = LEASE
    assert replica.fleet.waits_for().startswith("the database does not tell")


def test_one_that_holds_none_is_ready(replica: Replica) -> None:
    replica.rows.leases = {name: LeaseRow("two", 1, ends=LEASE) for name in NAMES}
    replica.fleet.start()
    eventually("it is ready", lambda: not replica.fleet.waits_for())

    assert replica.shown() == []
    assert replica.fleet.alive


@pytest.mark.parametrize("away", ["", "unreachable"], ids=["", "without the database"])
def test_the_end_gives_all_back_and_keeps_the_tokens(running: Replica, away: str) -> None:
    running.rows.away = away
    running.fleet.stop()
    running.fleet.join(1)

    assert running.rows.held_by("one") == ([] if not away else list(NAMES))
    assert bool(running.rows.replicas) == bool(away)
    assert running.shown() == []
    assert [pbx.revoked for pbx in running.place.pbxs.values()] == [0, 0, 0]
