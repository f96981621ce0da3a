"""The rows of leases in a real PostgreSQL: who gets which, and what two replicas do at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from cdr_exporter.errors import DatabaseError
from cdr_exporter.leases import Holder
from cdr_exporter.leases.table import EXPIRED, FIRST, FREE, Taken

from ..support.lease_keepers import LEASE, MakeTable, let_all_end
from ..support.postgres import TestDatabase

PBXS = ["a", "b", "c"]


def test_a_lease_is_one_replicas_until_it_ends_and_then_has_another_epoch(
    replica: MakeTable, postgres: TestDatabase
) -> None:
    one, two = replica("one"), replica("two")

    assert one.take(PBXS, 2) == [Taken("a", 1, FIRST), Taken("b", 1, FIRST)]
    assert two.take(PBXS, 9) == [Taken("c", 1, FIRST)]
    assert two.take(["a", "b"], 9) == []
    let_all_end(postgres)
    assert sorted(two.take(["a", "b"], 9)) == [Taken("a", 2, EXPIRED), Taken("b", 2, EXPIRED)]


def test_renewing_goes_by_holder_and_epoch(replica: MakeTable, postgres: TestDatabase) -> None:
    one, two = replica("one"), replica("two")
    one.take(["a", "b"], 2)

    assert one.renew({"a": 1, "b": 2, "c": 1}, wait=False) == {"a"}
    assert two.renew({"a": 1}, wait=True) == set()
    let_all_end(postgres)
    two.take(["a"], 1)
    assert one.renew({"a": 1, "b": 1}, wait=True) == {"b"}
    assert two.renew({"a": 2}, wait=True) == {"a"}


def test_a_lease_lasts_from_when_it_was_renewed(replica: MakeTable, postgres: TestDatabase) -> None:
    one, two = replica("one"), replica("two")
    one.take(["a"], 1)
    let_all_end(postgres)

    assert one.renew({"a": 1}, wait=False) == {"a"}
    assert two.take(["a"], 1) == []
    [(left,)] = postgres.run(
        "SELECT extract(epoch FROM ends - now())::float FROM cdr_exporter.lease"
    )
    assert LEASE - 1 < left <= LEASE


def test_what_is_given_back_is_free_at_once_and_keeps_its_last_holder(replica: MakeTable) -> None:
    one, two = replica("one"), replica("two")
    one.take(["a", "b"], 2)

    two.release({"a": 1})  # it is not his
    one.release({"b": 2})  # nor is that its epoch
    assert two.take(["a", "b"], 2) == []
    one.release({"a": 1})
    assert two.holders(["b", "a", "c"]) == {
        "b": Holder("one:10088", here=False, held=True),
        "a": Holder("one:10088", here=False, held=False),
        "c": None,
    }
    assert two.take(["a", "b"], 2) == [Taken("a", 2, FREE)]
    assert two.holders(["a"]) == {"a": Holder("two:10088", here=True, held=True)}
    assert list(two.holders(["b", "a", "c"])) == ["b", "a", "c"]


def test_of_a_takeover_whose_answer_was_lost_the_taker_need_not_wait_for_the_end(
    replica: MakeTable,
) -> None:
    one = replica("one")
    one.take(["a"], 1)

    assert one.take(["a"], 1) == [Taken("a", 2, EXPIRED)]


def test_replicas_count_that_live_and_have_the_same_pbxs(
    replica: MakeTable, postgres: TestDatabase
) -> None:
    one, two, other = replica("one"), replica("two"), replica("other")

    assert one.beat(PBXS) == 1
    assert two.beat(PBXS[::-1]) == 2
    assert other.beat(["x"]) == 1
    assert one.beat(PBXS) == 2
    let_all_end(postgres)
    assert two.beat(PBXS) == 1
    assert postgres.run("SELECT id FROM cdr_exporter.replica") == [("two",)]
    assert one.beat(PBXS) == 2
    two.leave()
    assert one.beat(PBXS) == 1


@pytest.fixture
def locked_row(postgres: TestDatabase, replica: MakeTable) -> Iterator[psycopg.Connection[Any]]:
    """Return a session that commits under the lease of `a`, and stands still before it does."""
    replica("one").take(["a", "b"], 2)
    with postgres.server.connect(postgres.name) as session:
        session.execute("BEGIN")
        session.execute("SELECT 1 FROM cdr_exporter.lease WHERE pbx = 'a' FOR SHARE")
        yield session


def test_a_row_that_is_locked_holds_up_no_takeover(
    locked_row: object, replica: MakeTable, postgres: TestDatabase
) -> None:
    with postgres.server.connect(postgres.name) as session:
        session.execute("UPDATE cdr_exporter.lease SET ends = '-infinity' WHERE pbx = 'b'")

    # Of a, too, the lease may have ended; its commit has not.
    assert replica("one").take(["a", "b"], 2) == [Taken("b", 2, FREE)]


def test_a_row_that_is_locked_holds_up_no_other_renewal(
    locked_row: psycopg.Connection[Any], replica: MakeTable
) -> None:
    one = replica("one")

    assert one.renew({"a": 1, "b": 1}, wait=False) == {"b"}
    with pytest.raises(DatabaseError) as caught:
        one.renew({"a": 1}, wait=True)
    assert caught.value.reason == "busy"
    locked_row.execute("COMMIT")
    assert one.renew({"a": 1}, wait=True) == {"a"}


@pytest.mark.parametrize("method", ["beat", "holders"])
def test_a_database_that_is_away_is_told(
    method: str, replica: MakeTable, postgres: TestDatabase
) -> None:
    one = replica("one")
    postgres.drop()

    with pytest.raises(DatabaseError):
        getattr(one, method)(PBXS)
