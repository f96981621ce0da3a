"""What a poll counts and shows, and how much it asks for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest

from cdr_exporter.metrics.totals import Series

from ..support.fake_pbx import FakePBX
from ..support.poller_harness import MakeHarness


def test_start_now_counts_only_what_comes_after(make_harness: MakeHarness, pbx: FakePBX) -> None:
    pbx.call(1000)
    it = make_harness(pbx)
    it.poll()
    before = it.counted
    pbx.call(3)
    it.poll()

    assert (before, it.counted) == (0, 3)


def test_start_now_on_an_empty_pbx_counts_its_first_call(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    it = make_harness(pbx)
    it.poll()
    pbx.call(1)
    it.poll()

    assert it.counted == 1


@pytest.mark.parametrize("rows", [0, 1, 19, 20, 21, 40, 520, 3000])
def test_start_all_counts_every_row(make_harness: MakeHarness, pbx: FakePBX, rows: int) -> None:
    pbx.call(rows)
    it = make_harness(pbx, start="all")
    it.poll(2)

    assert it.counted == rows
    assert it.last.shown
    assert it.gauge("cdr_exporter_backlog") == 0


@pytest.mark.parametrize("new", [0, 1, 5, 19, 20, 21, 60, 500, 2000])
def test_a_poll_reads_little_more_than_what_is_new(
    make_harness: MakeHarness, pbx: FakePBX, new: int
) -> None:
    pbx.call(5000)
    it = make_harness(pbx)
    it.poll()
    pbx.call(new)
    before = pbx.rows_sent
    it.poll()

    assert it.counted == new
    assert pbx.rows_sent - before <= 1.2 * new + 20


def test_an_idle_poll_is_one_request_and_no_commit(make_harness: MakeHarness, pbx: FakePBX) -> None:
    pbx.call(100)
    it = make_harness(pbx)
    it.poll()
    before, written = len(pbx.queries), it.store._db.total_changes
    it.poll()

    assert len(pbx.queries) - before == 1
    assert it.store._db.total_changes == written


def test_foreign_rows_are_not_counted_and_are_seen(make_harness: MakeHarness, pbx: FakePBX) -> None:
    pbx.call(500)
    it = make_harness(pbx)
    it.poll()
    pbx.rows.clear()
    for row_id in range(1, 101):
        pbx.insert(row_id, uid=f"other-{row_id}", started_at=1)
    it.poll()

    assert it.counted == 0
    assert it.gauge("cdr_exporter_lineage_suspect") == 1


@pytest.mark.fault("D4")
def test_late_and_reused_ids_are_counted(make_harness: MakeHarness, pbx: FakePBX) -> None:
    pbx.call(10)
    it = make_harness(pbx)
    pbx.delete(8)
    it.poll()
    pbx.insert(8)
    pbx.delete(10)
    pbx.insert(10, uid="another call")
    it.poll(2)
    late, reused = "cdr_exporter_late_records_total", "cdr_exporter_reused_ids_total"

    assert it.counted == 2
    assert it.last.totals.series[Series(late)] == (1,)
    assert it.last.totals.series[Series(reused)] == (1,)


def test_a_foreign_table_is_not_counted_into_old_unread_ranges(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    pbx.call(5000)
    it = make_harness(pbx, start="all")
    pbx.kill_after(5)
    with suppress(SystemExit):
        it.poll()
    before = it.counted
    pbx.rows.clear()
    for row_id in range(4000, 4901):
        pbx.insert(row_id, uid=f"other-{row_id}")
    pbx.insert(4999, uid="other")
    it.restart()
    it.poll(3)

    assert 0 < before < 5000
    assert it.counted == before
    assert it.total("cdr_exporter_lineage_breaks_total") == 1
    assert it.total("cdr_exporter_pre_break_records_total") == 902


def test_a_time_at_0_that_is_over_does_not_come_back_by_a_clock_set_back(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    it = make_harness(pbx, birth_hold=120.0)
    it.poll()
    pbx.call(1, src_trunk="new")
    it.poll()
    it.clock.pass_(125)
    it.poll()
    it.clock.wall -= 60
    it.restart()
    it.poll()

    assert not [
        b for b in it.last.totals.born.values() if it.last.is_shown_at_zero(b, it.clock.now())
    ]


def test_the_first_page_of_all_has_no_more_trunks_than_allowed(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    for number in range(200):
        pbx.call(1, src_trunk=f"trunk-{number}")
    it = make_harness(pbx, max_trunks=5)
    it.poll()

    assert len(it.last.totals.trunks - {"none"}) == 5


@pytest.mark.parametrize(
    "gaps",
    [
        pytest.param(lambda n: 1, id="dense"),
        pytest.param(lambda n: 2, id="every-second"),
        pytest.param(lambda n: 1000 if n % 20 == 0 else 1, id="clusters"),
        pytest.param(lambda n: 1 + (n * 7919) % 100_000, id="sparse"),
    ],
)
@pytest.mark.parametrize("new", [20, 21, 40, 100, 200, 1000])
def test_wide_gaps_between_ids_do_not_make_a_poll_read_more(
    make_harness: MakeHarness, gaps: Callable[[int], int], new: int
) -> None:
    pbx = FakePBX()

    def calls(times: int) -> None:
        for _ in range(times):
            pbx.next_id += gaps(len(pbx.rows)) - 1
            pbx.call()

    calls(3000)
    it = make_harness(pbx)
    it.poll()
    calls(new)
    before = pbx.rows_sent
    it.poll()

    assert it.counted == new
    assert pbx.rows_sent - before <= 1.2 * new + 20


def test_positions_are_forgotten_with_their_unread_ranges(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    it = make_harness(pbx)
    for _ in range(50):
        pbx.call()
        it.poll()

    assert it.poller._tail._ranges.plan._positions == {}


def test_a_baseline_is_shown_as_it_stands(make_harness: MakeHarness, pbx: FakePBX) -> None:
    pbx.call(700)
    it = make_harness(pbx, start="all")
    it.poll()

    assert it.last.shows_calls(it.clock.now())
    assert set(it.last.totals.born.values()) == {0.0}


def test_a_pbx_without_calls_is_not_silent(make_harness: MakeHarness, pbx: FakePBX) -> None:
    pbx.call(30)
    it = make_harness(pbx, stale_after=300.0)
    for _ in range(4):
        it.poll()
        it.clock.pass_(200)

    assert it.last.shows_calls(it.clock.now())
