"""A poller that has much to read: over kills, from a slow PBX, and what it shows meanwhile."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest

from cdr_exporter.cdr import CDRAnswer, Rejected
from cdr_exporter.cdr.contract import CDRQuery
from cdr_exporter.metrics.totals import Series

from ..support.counts import records
from ..support.fake_pbx import FakePBX
from ..support.poller_harness import MakeHarness


@pytest.mark.fault("D10")
@pytest.mark.parametrize("missed", [1, 19, 20, 21, 500, 3000])
def test_an_outage_is_caught_up_once(make_harness: MakeHarness, pbx: FakePBX, missed: int) -> None:
    pbx.call(300)
    it = make_harness(pbx)
    it.poll()
    pbx.call(missed)
    it.poll(3)

    assert it.counted == missed


@pytest.mark.fault("D1")
def test_rows_inserted_before_every_answer_are_counted_once(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    pbx.call(2000)
    it = make_harness(pbx, start="all")
    pbx.before_answer = lambda: pbx.call(7)
    it.poll(20)
    pbx.before_answer = lambda: None
    it.poll()

    assert it.counted == len(pbx.rows)


@pytest.mark.fault("D1")
def test_rows_deleted_at_both_ends_before_every_answer_lose_no_other(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    pbx.call(3000)
    it = make_harness(pbx, start="all")

    def mutate() -> None:
        ids = sorted(pbx.rows)
        pbx.delete(*ids[:3], *ids[-30:-25])
        pbx.call(2)

    pbx.before_answer = mutate
    it.poll(5)
    pbx.before_answer = lambda: None
    it.poll(2)
    left = set(pbx.rows)

    assert it.gauge("cdr_exporter_backlog") == 0
    assert it.counted >= len(left)
    assert it.counted <= pbx.next_id - 1


@pytest.mark.parametrize("killed_after", [7, 10, 14])
def test_a_process_killed_in_a_catch_up_goes_on_where_it_was(
    make_harness: MakeHarness, pbx: FakePBX, killed_after: int
) -> None:
    pbx.call(5_000)
    it = make_harness(pbx, start="all")
    kills = 0
    for _ in range(8):
        pbx.kill_after(killed_after)
        with suppress(SystemExit):
            it.poll(9)
            break
        kills += 1
        it.restart()
    pbx.before_answer = lambda: None
    it.poll(2)

    assert kills >= 2
    assert it.counted == 5_000
    assert pbx.rows_sent < 1.2 * 5_000


def test_nothing_durable_is_shown_before_the_start_is_read_whole(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    pbx.call(3000)
    it = make_harness(pbx, start="all")
    it.poll()
    counts = [records(s.totals) for s in it.shown if s.shows_calls(it.clock.now())]

    assert counts
    assert set(counts) == {3000}


@pytest.mark.fault("D10")
def test_calls_hidden_after_silence_come_back_when_caught_up(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    it = make_harness(pbx, stale_after=300.0)
    it.poll()
    it.clock.pass_(3600)
    silent = it.last.shows_calls(it.clock.now())
    pbx.call(800)
    start = len(it.shown)
    it.poll()
    partial = [s for s in it.shown[start:] if s.shows_calls(it.clock.now())]

    assert not silent
    assert {records(s.totals) for s in partial} == {800}


def test_label_sets_born_in_a_long_catch_up_are_first_shown_at_0(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    pbx.call(300)
    pbx.before_answer = lambda: it.clock.pass_(10)
    it = make_harness(pbx, birth_hold=60.0, poll_interval=600.0)
    it.poll()
    pbx.call(4000, src_trunk="new")
    it.restart()
    began = it.clock.wall
    it.poll()
    new = [k for k in it.last.totals.series if "new" in k.labels]
    held = [it.last.is_shown_at_zero(it.last.totals.born[key], it.clock.now()) for key in new]

    assert new
    assert all(held)
    assert it.clock.wall - began > 90


@pytest.mark.slow
def test_a_slow_search_does_not_keep_the_first_page_waiting(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    pbx.call(16_000)
    it = make_harness(pbx, start="all")
    pbx.kill_after(6)
    with suppress(SystemExit):
        it.poll()
    it.restart()
    pbx.before_answer = lambda: it.clock.pass_(5)
    took = []
    for _ in range(20):
        began = it.clock.steady
        it.poll()
        took.append(it.clock.steady - began)
    pbx.before_answer = lambda: None
    it.poll(60)

    assert max(took) < 60
    assert sum(took) > 2 * 60
    assert it.counted == 16_000


def test_each_page_is_shown_as_soon_as_it_is_committed(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    pbx.call(300)
    it = make_harness(pbx)
    it.poll()
    pbx.call(900)
    before = len(it.shown)
    it.poll()
    backlogs = [s.gauges[Series("cdr_exporter_backlog")] for s in it.shown[before:]]

    assert len(set(backlogs)) >= 3
    assert backlogs == sorted(backlogs, reverse=True)


def test_a_slow_pbx_is_caught_up_with_in_pages_and_not_in_rows(
    make_harness: MakeHarness,
) -> None:
    pbx = FakePBX()
    pbx.call(300)
    it = make_harness(pbx)
    it.poll()
    pbx.call(3000)
    # Time for the first page and one of the unread range in each poll.
    pbx.before_answer = lambda: it.clock.pass_(20)
    it.poll(80)

    assert it.counted == 3000


def test_answers_that_take_longer_than_the_interval_still_get_somewhere(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    pbx.call(700)
    it = make_harness(pbx, start="all", poll_interval=10.0)
    pbx.before_answer = lambda: it.clock.pass_(12)
    it.poll(40)

    assert it.counted == 700
    assert it.last.shows_calls(it.clock.now())


def test_calls_that_are_open_when_the_list_is_emptied_count_with_the_next_row(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    # A PBX that is starting shows an empty list, too: legs of the call may still be missing.
    pbx.call(30)
    it = make_harness(pbx, start="all")
    it.poll()
    pbx.call()
    it.poll()
    pbx.rows.clear()
    for _ in range(10):
        it.clock.pass_(it.poll())
    waiting = len(it.state.calls.open)
    pbx.call()
    for _ in range(10):
        it.clock.pass_(it.poll())

    assert waiting > 0
    assert it.counted == 32
    assert it.state.calls.open == {}


def test_a_list_that_becomes_empty_in_a_catch_up_is_left_in_peace(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    pbx.call(5000)
    it = make_harness(pbx, start="all")

    def emptied() -> None:
        if len(pbx.queries) == 4:
            pbx.rows.clear()

    pbx.before_answer = emptied
    it.poll(2)
    before = pbx.requests
    waits = [it.poll() for _ in range(10)]

    assert pbx.requests - before == 10
    assert min(waits) >= 27


@pytest.mark.parametrize("position", [0, 1, 3, 7, 31])
def test_a_row_without_a_usable_id_does_not_mislead_the_search(
    make_harness: MakeHarness, pbx: FakePBX, position: int
) -> None:
    pbx.call(5000)
    it = make_harness(pbx, start="all")
    bad = 5000 - position

    def without_bad(query: CDRQuery, answer: CDRAnswer) -> CDRAnswer:
        good = [row for row in answer.rows if row.id != bad]
        lost = [Rejected("id", 4711)] * (len(answer.rows) - len(good))
        return replace(answer, rows=good, rejected=lost)

    pbx.edit_answer = without_bad
    pbx.failures = []
    pbx.kill_after(5)
    with suppress(SystemExit):
        it.poll()
    it.restart()
    it.poll(3)
    rejected = Series("cdr_exporter_rejected_records_total", ("id",))

    assert it.counted == 4999
    assert it.last.totals.series[rejected] == (1,)
