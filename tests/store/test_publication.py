"""Since when the series of a PBX are shown: written once, and read beside a running exporter."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdr_exporter.errors import StateNotWritten
from cdr_exporter.ingest import FirstShown, StateChange
from cdr_exporter.store import Publication, read_publication

from ..support.poller_harness import MakeHarness
from ..support.store_states import add, opened, reopened, write_rows

FIRST = FirstShown(1_700_000_000.5, True, 1_699_999_000.0)

NEVER = Publication(shown=False)
UNKNOWN = Publication(shown=True)


def read(directory: Path, client_id: str = "me") -> Publication:
    return read_publication(directory, "hq", client_id)


def test_the_first_time_is_kept_and_no_later_one(make_harness: MakeHarness) -> None:
    it = make_harness()
    it.pbx.call(3)
    it.poll()
    first = it.state.first_shown
    it.clock.pass_(100_000)
    it.restart()
    it.pbx.call(3)
    it.poll()

    assert first is not None
    assert it.last.shown
    assert it.state.first_shown == first
    assert read_publication(it.state_dir, "hq", "me") == Publication(shown=True, first=first)


def test_it_is_read_while_the_exporter_runs(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        add(store, 1)
        store.commit(first_shown=FIRST)
        for number in range(2, 20):
            add(store, number)
            assert read(tmp_path) == Publication(shown=True, first=FIRST)


def test_nothing_is_changed_by_reading(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        add(store, 1)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    read(tmp_path)

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_without_a_state_no_exporter_has_shown_it(tmp_path: Path) -> None:
    assert read(tmp_path) == read(tmp_path / "nowhere") == NEVER


def test_a_state_that_counted_and_does_not_say_since_when_is_told(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        assert read(tmp_path) == NEVER
        add(store, 1)

    assert read(tmp_path) == UNKNOWN


def test_after_a_state_was_lost_nobody_knows_since_when(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.commit(first_shown=FIRST)
    (tmp_path / "hq.db").write_bytes(b"x" * 9000)
    assert read(tmp_path) == UNKNOWN

    assert reopened(tmp_path).resets["corrupt"]
    assert read(tmp_path) == UNKNOWN

    (tmp_path / "hq.db").unlink()
    assert read(tmp_path) == UNKNOWN


def test_a_damaged_note_is_noticed(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.commit(first_shown=FIRST)
    write_rows(tmp_path, "meta", {"first_shown": b"[1700000000"})
    assert read(tmp_path) == UNKNOWN

    with opened(tmp_path) as store:
        assert store.kept.resets["corrupt"] > 0


def test_the_state_of_another_client_id_says_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.commit(first_shown=FIRST)

    assert read(tmp_path, "you") == UNKNOWN


def test_where_it_cannot_be_written_nothing_is_shown(make_harness: MakeHarness) -> None:
    it = make_harness()
    it.pbx.call(3)
    commit = it.store.commit

    def fail_to_note(change: StateChange) -> None:
        if change.first_shown is not None:
            raise StateNotWritten("full")
        commit(change)

    it.store.commit = fail_to_note  # type: ignore[method-assign]
    it.poll()

    assert not it.last.shown
    assert it.own("cdr_exporter_poll_failures_total", "state") == 1


def test_with_start_now_it_is_what_ended_before_the_first_poll(make_harness: MakeHarness) -> None:
    it = make_harness()
    it.pbx.call(3, started_at=int(it.clock.wall) - 600)
    newest_end = max(row.ended_at for row in it.pbx.rows.values())
    it.poll()

    assert it.state.first_shown == FirstShown(it.clock.wall, False, newest_end + 1)


@pytest.mark.parametrize("legs_appear", ["at_call_end", "one_by_one"])
def test_with_a_baseline_it_is_what_is_certainly_in_it(
    make_harness: MakeHarness, legs_appear: str
) -> None:
    it = make_harness(start="all", legs_appear=legs_appear)
    it.pbx.call(1_200, started_at=int(it.clock.wall) - 60)
    began = it.clock.wall
    it.poll()
    settle = it.settings.longest_call if legs_appear == "one_by_one" else it.settings.call_settle

    assert it.clock.wall > began
    assert it.state.first_shown == FirstShown(
        it.clock.wall, True, began - settle - it.settings.late_window
    )


def test_a_pbx_without_records_is_shown_from_the_first_poll_on(make_harness: MakeHarness) -> None:
    it = make_harness(start="all")
    it.poll()
    first = it.clock.wall
    it.clock.pass_(600)
    it.pbx.call(started_at=int(it.clock.wall))
    it.poll()

    assert it.state.first_shown is not None
    assert it.state.first_shown.at == first
