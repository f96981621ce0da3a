"""The calls by quarter of an hour in a state file: what was committed is found again."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdr_exporter.calls import Call, group_calls
from cdr_exporter.errors import StateNotWritten
from cdr_exporter.ledger import Ledger
from cdr_exporter.metrics.quarters import Coverage, Quarters

from ..support.finished_calls import DAY, HOUR, NOW, QUARTER_NOW, call, some_calls
from ..support.store_states import Process, asides, opened, write_rows

Content = tuple[dict[int, dict[int, tuple[int, ...]]], Coverage]


def content(quarters: Quarters) -> Content:
    cells = {n: {kind: tuple(sums) for kind, sums in each.items()} for n, each in quarters.cells()}
    return cells, quarters.coverage


def commit(store: Process, *calls: Call, now: float = NOW, baseline: bool = False) -> None:
    change = store.kept.quarters.after(group_calls(calls), now, baseline=baseline)
    store.commit(Ledger(), quarters=change)


def kept(directory: Path) -> Content:
    with opened(directory) as store:
        return content(store.kept.quarters)


@given(steps=st.lists(some_calls(), max_size=4), baseline=st.booleans())
@settings(max_examples=25, deadline=None)
def test_the_file_has_the_quarters_that_the_process_had(
    tmp_path_factory: pytest.TempPathFactory, steps: list[list[Call]], baseline: bool
) -> None:
    directory = tmp_path_factory.mktemp("state")
    with opened(directory) as store:
        for number, calls in enumerate(steps):
            commit(store, *calls, now=NOW + number * DAY, baseline=baseline)
        had = content(store.kept.quarters)

    assert kept(directory) == had


def test_a_commit_writes_only_the_quarters_that_changed(tmp_path: Path) -> None:
    written: list[str] = []
    with opened(tmp_path) as store:
        commit(store, *(call(NOW - n * HOUR) for n in range(100)))
        store.file._db.set_trace_callback(written.append)
        commit(store, call(NOW - 5 * HOUR), call(NOW - 5 * HOUR))
        store.file._db.set_trace_callback(None)

    rows = [each for each in written if "INTO quarter" in each]
    assert len(rows) == 1
    assert f"VALUES ({QUARTER_NOW - 20}," in rows[0]
    assert not any("coverage" in each for each in written)


def test_old_quarters_leave_the_file(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        commit(store, call(NOW - 20 * DAY), call())
        commit(store, call(NOW + 20 * DAY), now=NOW + 20 * DAY)

    assert kept(tmp_path)[0].keys() == {QUARTER_NOW, QUARTER_NOW + 20 * 96}


def test_that_a_pbx_was_reached_is_kept_before_any_row_was_seen(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.commit(quarters=store.kept.quarters.reached_at(NOW, 300.0))
        assert store.kept.ledger is None

    assert kept(tmp_path) == ({}, Coverage(int(NOW), ((QUARTER_NOW, QUARTER_NOW),)))


def test_a_commit_that_fails_changes_no_quarter(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        commit(store, call())
        had = content(store.kept.quarters)
        store.file._db.execute("PRAGMA query_only=1")
        with pytest.raises(StateNotWritten):
            commit(store, call(), call(NOW - HOUR))
        with pytest.raises(StateNotWritten):
            store.commit(quarters=store.kept.quarters.reached_at(NOW + DAY, 300.0))
        assert content(store.kept.quarters) == had

    assert kept(tmp_path) == had


@pytest.mark.parametrize(
    ("table", "row"),
    [
        pytest.param("quarter", {QUARTER_NOW: b'{"32":[1,0,0,0,0]}'}, id="no such kind"),
        pytest.param("quarter", {QUARTER_NOW: b'{"0":[1,0,0,0]}'}, id="a sum is missing"),
        pytest.param("quarter", {QUARTER_NOW: b'{"0":[1,0,0,0,-1]}'}, id="a sum below 0"),
        pytest.param("quarter", {QUARTER_NOW: b"{"}, id="no JSON"),
        pytest.param("quarter", {QUARTER_NOW: b"\x00"}, id="no text"),
        pytest.param("meta", {"coverage": b'{"reached":7}'}, id="runs"),
    ],
)
def test_a_file_whose_quarters_make_no_sense_is_set_aside(
    tmp_path: Path, table: str, row: dict[int | str, bytes]
) -> None:
    with opened(tmp_path) as store:
        commit(store, call())
    write_rows(tmp_path, table, row)

    assert kept(tmp_path) == ({}, Coverage())
    assert len(asides(tmp_path)) == 1
