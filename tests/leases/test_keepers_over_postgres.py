"""Two keepers over a real PostgreSQL, round by round; their own clocks are set by hand."""

from __future__ import annotations

import re

import pytest

from ..support.lease_keepers import LEASE, PBXS, KeptLeases, MakeTable, let_all_end
from ..support.paths import ROOT
from ..support.postgres import TestDatabase


@pytest.fixture
def one(replica: MakeTable) -> KeptLeases:
    return KeptLeases(replica("one"))


@pytest.fixture
def two(replica: MakeTable) -> KeptLeases:
    return KeptLeases(replica("two"))


def settled(*replicas: KeptLeases) -> list[list[str]]:
    """Return what each polls once nothing moves any more."""
    for _ in range(3):
        for each in replicas:
            each.round()
            each.work.end()
    return [each.polled for each in replicas]


def test_what_they_hold_is_halved_when_one_comes_and_all_the_others_when_one_goes(
    one: KeptLeases, two: KeptLeases
) -> None:
    assert settled(one) == [PBXS]
    assert settled(one, two) == [["a", "b"], ["c", "d"]]
    one.keeper.stop()
    settled(one)
    assert one.keeper.is_done
    assert settled(two) == [PBXS]
    assert {name: lease.epoch for name, lease in two.work.polled.items()} == {
        "a": 2,
        "b": 2,
        "c": 2,
        "d": 2,
    }


def test_what_one_held_that_stood_still_is_taken_and_given_back_when_it_goes_on(
    one: KeptLeases, two: KeptLeases, postgres: TestDatabase
) -> None:
    settled(one, two)
    one.clock.pass_(LEASE)
    let_all_end(postgres)
    two.round()
    assert (one.shown(), two.polled) == ([], PBXS)
    one.round()
    assert sorted(one.work.aborted) == ["a", "b"]
    held = settled(one, two)
    assert sorted(name for names in held for name in names) == PBXS
    assert [len(names) for names in held] == [2, 2]


def test_a_restart_of_the_database_costs_a_round_and_no_lease(
    one: KeptLeases, two: KeptLeases, postgres: TestDatabase
) -> None:
    before = settled(one, two)
    postgres.server.stop()
    waits = [one.round(), two.round()]
    assert max(waits) <= 0.2
    assert not one.keeper.database_up
    postgres.server.start()
    postgres.run("UPDATE cdr_exporter.lease SET ends = clock_timestamp() + interval '1 minute'")

    assert settled(one, two) == before
    assert one.keeper.database_up
    assert "lost" not in {**one.keeper.changes, **two.keeper.changes}


def test_leases_of_a_clock_that_was_ahead_end_as_the_docs_say(
    one: KeptLeases, two: KeptLeases, postgres: TestDatabase
) -> None:
    settled(one)
    postgres.run("UPDATE cdr_exporter.lease SET ends = ends + interval '1 hour'")
    postgres.run("UPDATE cdr_exporter.replica SET ends = ends + interval '1 hour'")
    assert settled(two) == [[]]
    docs = (ROOT / "docs/replicas.md").read_text()
    [statements] = re.findall("`(UPDATE cdr_exporter.lease .*)`", docs)
    for statement in statements.split(";"):
        postgres.run(statement)

    assert settled(two) == [PBXS]
