"""What a keeper does in each round; its thread, its clock and the database are moved by hand."""

from __future__ import annotations

import logging

import pytest

from ..support.lease_keepers import LEASE, PBXS, KeptLeases
from ..support.lease_rows import FakeTable, LeaseRows


class Replica(KeptLeases):
    """A keeper over *rows*."""

    def __init__(self, rows: LeaseRows, name: str = "one") -> None:
        self.rows = rows
        self.table = FakeTable(rows, name, LEASE)
        super().__init__(self.table)

    def pass_(self, seconds: float) -> None:
        """Let both clocks go on, this replica's and the database's."""
        self.clock.pass_(seconds)
        self.rows.now += seconds


@pytest.fixture
def rows() -> LeaseRows:
    return LeaseRows()


@pytest.fixture
def one(rows: LeaseRows) -> Replica:
    return Replica(rows)


@pytest.fixture
def two(rows: LeaseRows) -> Replica:
    return Replica(rows, "two")


def test_who_is_alone_takes_all_and_renews_at_a_third(one: Replica) -> None:
    assert one.round() == LEASE / 3
    assert one.polled == PBXS
    assert one.keeper.changes == {"first": 4}
    for _ in range(9):
        one.pass_(LEASE / 3)
        one.round()
    assert one.shown() == PBXS
    assert one.rows.held_by("one") == PBXS


def test_many_are_taken_some_at_a_time_and_those_held_are_renewed_in_between(one: Replica) -> None:
    one.keeper.change_to([str(number) for number in range(120)], ())
    waits = [one.round() for _ in range(3)]

    assert [one.table.asked.count(what) for what in ("take", "renew")] == [3, 2]
    assert len(one.polled) == 120
    assert waits == [0, 0, LEASE / 3]


def test_who_comes_gets_what_another_gives_back_between_two_polls(
    one: Replica, two: Replica
) -> None:
    one.round()
    two.round()
    assert two.polled == []
    one.round()
    assert one.polled == ["a", "b"]
    assert one.shown() == PBXS  # the polls under way go on
    two.round()
    assert two.polled == []
    one.work.end()
    one.round()
    assert one.shown() == ["a", "b"]
    two.round()
    assert two.polled == ["c", "d"]
    assert (one.keeper.changes, two.keeper.changes) == ({"first": 4, "given_back": 2}, {"free": 2})


def test_what_is_given_back_is_shown_no_longer_before_others_can_take_it(one: Replica) -> None:
    one.round()
    lease = one.work.polled["a"]
    one.keeper.change_to(["b"], ())
    one.round()
    one.work.end()
    one.rows.away = "unreachable"
    one.round()

    assert not lease.is_valid(one.clock.now())
    assert one.rows.held_by("one") == PBXS
    one.rows.away = ""
    one.round()
    assert one.rows.held_by("one") == ["b"]


def test_what_a_dead_replica_held_is_taken_when_it_ends(one: Replica, two: Replica) -> None:
    one.round()
    two.pass_(LEASE / 2)
    two.round()
    assert two.polled == []
    two.pass_(LEASE / 2 + 0.001)
    two.round()

    assert two.polled == PBXS
    assert two.keeper.changes == {"expired": 4}


def test_one_that_was_suspended_ends_what_it_held_and_takes_it_anew_after_that(
    one: Replica, caplog: pytest.LogCaptureFixture
) -> None:
    one.round()
    one.pass_(LEASE * 5 / 6)
    assert one.shown() == []
    one.round()
    assert sorted(one.work.aborted) == PBXS
    assert one.polled == []  # the old threads have not ended
    assert "renew" not in one.table.asked[-3:]
    one.pass_(LEASE)
    one.round()
    assert one.polled == []
    one.work.end()
    one.round()
    assert one.polled == PBXS
    assert {lease.epoch for lease in one.work.polled.values()} == {2}
    assert one.keeper.changes == {"first": 4, "lost": 4, "expired": 4}
    assert "lease lost: the database did not renew it in time" in caplog.text


def test_one_that_stood_still_while_it_was_asking_counts_from_before_it_asked(
    one: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = one.table.take

    def slow(names: list[str], most: int) -> object:
        taken = take(names, most)
        one.pass_(LEASE * 5 / 6)
        return taken

    monkeypatch.setattr(one.table, "take", slow)
    one.round()

    assert one.polled == PBXS
    assert one.shown() == []


def let_renewals_take(one: Replica, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let so many *seconds* pass from what the database does to its answer."""
    renew = one.table.renew

    def slow(epochs: dict[str, int], *, wait: bool) -> object:
        renewed = renew(epochs, wait=wait)
        one.pass_(seconds)
        return renewed

    monkeypatch.setattr(one.table, "renew", slow)


def test_a_renewal_counts_from_before_it_was_asked_for(
    one: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    one.round()
    let_renewals_take(one, LEASE / 3, monkeypatch)
    one.pass_(LEASE / 3)
    one.round()
    one.pass_(LEASE / 2 - 0.001)
    assert one.shown() == PBXS
    one.pass_(0.001)
    assert one.shown() == []


def test_a_renewal_that_comes_too_late_makes_nothing_valid_again(
    one: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    one.round()
    let_renewals_take(one, LEASE / 2, monkeypatch)
    one.pass_(LEASE / 2)
    one.round()

    assert one.shown() == []


def test_what_another_has_taken_is_ended_at_once(one: Replica, rows: LeaseRows) -> None:
    one.round()
    rows.leases["b"].holder, rows.leases["b"].epoch = "two", 2
    one.round()

    assert list(one.work.aborted) == ["b"]
    assert one.polled == ["a", "c", "d"]
    one.work.end()
    one.round()
    assert rows.leases["b"].holder == "two"


def test_a_commit_that_was_refused_ends_the_lease(one: Replica) -> None:
    one.round()
    lease = one.work.polled.pop("a")
    one.work.aborted["a"] = lease
    one.keeper.lost(lease)
    assert not lease.is_valid(one.clock.now())
    one.work.polled["a"], one.work.aborted = lease, {}
    one.work.end()
    one.round()

    assert list(one.work.aborted) == ["a"]
    assert one.keeper.changes["lost"] == 1


def test_a_row_that_is_locked_is_renewed_after_the_others_and_costs_only_itself(
    one: Replica, rows: LeaseRows
) -> None:
    one.round()
    rows.locked = {"b"}
    for _ in range(3):
        one.pass_(LEASE / 3)
        one.round()

    assert one.shown() == ["a", "c", "d"]
    assert one.keeper.changes == {"first": 4, "lost": 1}


def test_a_database_that_is_away_is_told_once_for_each_cause_and_tried_again_soon(
    one: Replica, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    one.rows.away = "unreachable"
    waits = [one.round() for _ in range(20)]
    one.rows.away = "refused"
    one.round()
    assert not one.keeper.database_up
    assert not one.keeper.works(one.clock.now())
    one.rows.away = ""
    one.round()

    assert waits[0] <= 0.2
    assert max(waits) == LEASE / 3
    assert [record.getMessage() for record in caplog.records[:3]] == [
        "the leases cannot be kept: the database is away: unreachable",
        "the leases cannot be kept: the database is away: refused",
        "lease taken",
    ]
    assert caplog.records[-1].getMessage() == "the leases are kept again"
    assert one.keeper.database_up
    assert one.keeper.works(one.clock.now())
    one.clock.pass_(LEASE * 5 / 6)
    assert not one.keeper.works(one.clock.now())


def test_a_bug_ends_no_keeper_and_is_told_once(
    one: Replica, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(names: object) -> int:
        raise RuntimeError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(one.table, "beat", broken)
        assert max(one.round() for _ in range(3)) < 1
    one.round()

    assert one.polled == PBXS
    assert [line.exc_info is not None for line in caplog.records] == [True]


def test_leases_that_cannot_be_renewed_end_here(one: Replica) -> None:
    one.round()
    one.rows.away = "unreachable"
    one.pass_(LEASE / 2)
    one.round()
    assert one.shown() == PBXS
    one.pass_(LEASE / 3)
    one.round()

    assert sorted(one.work.aborted) == PBXS


def test_another_configuration_releases_what_is_gone_and_takes_what_is_new(one: Replica) -> None:
    one.round()
    one.keeper.change_to(["b", "c", "new"], ["c"])
    one.round()
    assert one.polled == ["b", "new"]
    one.work.end()
    one.round()

    assert one.polled == ["b", "c", "new"]
    assert one.work.polled["c"].epoch == 2
    assert one.rows.held_by("one") == ["b", "c", "new"]


def test_polling_that_cannot_begin_gives_the_lease_back(one: Replica) -> None:
    one.work.broken = True
    one.round()
    one.work.broken = False
    one.round()

    assert one.polled == PBXS
    assert one.keeper.changes["given_back"] == 4


def test_at_the_end_all_is_given_back_and_the_others_take_it(one: Replica, two: Replica) -> None:
    one.round()
    two.round()
    one.keeper.stop()
    one.round()
    assert one.rows.replicas.keys() == {"two"}
    assert not one.keeper.is_done
    assert one.shown() == PBXS
    one.work.end()
    one.round()
    two.round()

    assert one.keeper.is_done
    assert two.polled == PBXS
    assert one.keeper.changes == {"first": 4, "ended": 4}


def test_the_end_waits_for_no_row_that_is_locked(one: Replica, rows: LeaseRows) -> None:
    one.round()
    rows.locked = {"b"}
    one.keeper.stop()
    one.round()

    assert one.table.asked.count("wait") == 0
    assert one.keeper.changes == {"first": 4}
    one.work.end()
    one.round()
    assert one.keeper.is_done


def test_the_end_waits_for_no_database(one: Replica) -> None:
    one.rows.away = "unreachable"
    one.keeper.stop()
    one.round()

    assert one.keeper.is_done


@pytest.mark.parametrize("replicas", [2, 3, 5])
def test_replicas_come_to_rest_and_nobody_moves_anything_then(
    rows: LeaseRows, replicas: int
) -> None:
    all_of_them = [Replica(rows, str(number)) for number in range(replicas)]
    for _ in range(4):
        for each in all_of_them:
            each.round()
            each.work.end()
    at_rest = [each.polled for each in all_of_them]
    changes = [each.keeper.changes for each in all_of_them]
    for each in all_of_them * 3:
        each.round()

    assert sorted(name for names in at_rest for name in names) == PBXS
    assert max(map(len, at_rest)) <= -(-len(PBXS) // replicas)
    assert [each.polled for each in all_of_them] == at_rest
    assert [each.keeper.changes for each in all_of_them] == changes
