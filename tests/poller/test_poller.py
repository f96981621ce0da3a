from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from cdr_exporter.cdr import CDRAnswer, Rejected
from cdr_exporter.cdr.contract import CDRQuery
from cdr_exporter.errors import TryAgain, WaitLong
from cdr_exporter.metrics.totals import Series

from ..support.counts import records
from ..support.fake_pbx import FakePBX
from ..support.poller_harness import MakeHarness, shorten_pages


@pytest.fixture(params=[True, False], ids=["with-total", "no-total"])
def pbx(request: pytest.FixtureRequest) -> FakePBX:
    return FakePBX(tells_total=request.param)


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


@pytest.mark.parametrize("killed_after", [25, 31, 40])
def test_a_process_killed_in_a_catch_up_goes_on_where_it_was(
    make_harness: MakeHarness, pbx: FakePBX, killed_after: int
) -> None:
    pbx.call(30_000)
    it = make_harness(pbx, start="all")
    kills = 0
    for _ in range(20):
        pbx.kill_after(killed_after)
        with suppress(SystemExit):
            it.poll(9)
            break
        kills += 1
        it.restart()
    pbx.before_answer = lambda: None
    it.poll(2)

    assert kills >= 2
    assert it.counted == 30_000
    assert pbx.rows_sent < 1.2 * 30_000


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


def test_failures_are_counted_by_reason_and_the_next_answer_counts_as_if_nothing_had_been(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    it = make_harness(pbx)
    it.poll()
    pbx.call(2)
    pbx.failures = [TryAgain("late", reason="timeout"), TryAgain("late", reason="timeout")]
    waits = [it.poll(), it.poll()]
    down = it.gauge("cdr_up")
    it.poll()

    assert waits == [1.0, 2.0]
    assert down == 0
    assert it.own("cdr_exporter_poll_failures_total", "timeout") == 2
    assert it.gauge("cdr_up") == 1
    assert it.counted == 2


def test_what_an_administrator_has_to_mend_is_shown_until_it_is_mended(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    it = make_harness(pbx)
    it.poll()
    blocked = WaitLong("x", reason="auth", blocked="ip_blocked", first=60, most=200)
    pbx.failures = [blocked, blocked, blocked]
    waits = [it.poll(), it.poll(), it.poll()]
    during = it.gauge("cdr_exporter_auth_blocked", "ip_blocked")
    it.poll()

    assert waits == [60, 120, 200]
    assert (during, it.gauge("cdr_exporter_auth_blocked", "ip_blocked")) == (1, 0)


def test_a_state_that_cannot_be_written_publishes_nothing_new(
    make_harness: MakeHarness, pbx: FakePBX, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = make_harness(pbx)
    it.poll()
    pbx.call(3)
    it.store._db.execute("PRAGMA query_only=1")
    it.poll()
    full = (it.counted, it.gauge("cdr_exporter_state_write_ok"), it.gauge("cdr_up"))
    it.store._db.execute("PRAGMA query_only=0")
    it.poll()

    assert full == (0, 0, 0)
    assert it.own("cdr_exporter_poll_failures_total", "state") == 1
    assert it.counted == 3
    assert it.gauge("cdr_exporter_state_write_ok") == 1


def test_after_a_lost_state_counting_begins_at_now_whatever_start_says(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    pbx.call(50)
    it = make_harness(pbx, start="all")
    it.poll()
    it.store.close()
    it.store.path.write_bytes(b"garbage" * 1000)
    it.restart()
    it.poll()
    pbx.call(1)
    it.poll()

    assert it.counted == 1


def test_rows_that_a_page_leaves_out_are_not_taken_for_the_end(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    pbx.call(300)
    it = make_harness(pbx)
    it.poll()
    pbx.call(1000)
    shorten_pages(pbx, 15)
    it.poll(30)

    assert it.counted == 1000


def test_rows_that_are_on_no_page_make_the_poll_fail_and_cost_little(
    make_harness: MakeHarness,
) -> None:
    pbx = FakePBX()
    pbx.call(5000)
    it = make_harness(pbx, start="all")
    pbx.edit_answer = lambda query, answer: replace(
        answer, rows=[row for row in answer.rows if not 3000 < row.id <= 4000]
    )
    it.poll(3)
    before = pbx.requests
    waits = [it.poll() for _ in range(10)]

    assert it.gauge("cdr_up") == 0
    assert it.own("cdr_exporter_poll_failures_total", "garbled") >= 10
    assert it.gauge("cdr_exporter_backlog") > 0
    assert max(waits) > 60
    assert pbx.requests - before < 10 * 60


def ends_early(pbx: FakePBX, rows: Callable[[], int]) -> None:
    """Let *pbx* list its newest *rows* only, and tell the total of all."""
    pbx.edit_answer = lambda query, answer: replace(
        answer, rows=answer.rows[: max(0, rows() - query.offset)]
    )


@pytest.mark.fault("C8")
@pytest.mark.parametrize("listed", [1, 2, 3, 4, 21, 199, 200, 203, 700, 1501])
@pytest.mark.parametrize("more", [1, 2, 4000])
def test_a_total_that_is_too_large_for_ever_does_not_keep_a_first_read_from_its_end(
    make_harness: MakeHarness, listed: int, more: int, caplog: pytest.LogCaptureFixture
) -> None:
    pbx = FakePBX()
    pbx.call(listed + more)
    ends_early(pbx, lambda: pbx.next_id - 1 - more)
    it = make_harness(pbx, start="all")
    it.poll(3)
    first = it.counted
    pbx.call(5)
    it.poll(2)

    assert (first, it.counted) == (listed, listed + 5)
    assert it.gauge("cdr_up") == 1
    assert it.gauge("cdr_exporter_backlog") == 0
    assert it.last.shows_calls(it.clock.now())
    assert "the CDR list is shorter than its total_number" in caplog.messages


def test_a_list_that_seems_to_end_too_early_for_a_moment_loses_nothing(
    make_harness: MakeHarness,
) -> None:
    pbx = FakePBX()
    pbx.call(3000)
    listed = [1000]
    ends_early(pbx, lambda: listed[0])
    it = make_harness(pbx, start="all")
    it.poll()
    listed[0] = 3000
    it.poll(3)

    assert it.counted == 3000


def test_rows_deleted_while_the_end_is_made_sure_of_do_not_make_it_one(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    pbx.call(400)
    shorten_pages(pbx, 15)
    it = make_harness(pbx, start="all")

    def mutate() -> None:
        # As much as a page, newest first, whenever one row is looked at.
        if pbx.queries[-1].limit == 1 and len(pbx.rows) > 200:
            pbx.delete(*sorted(pbx.rows)[-15:])

    pbx.before_answer = mutate
    it.poll(30)
    pbx.before_answer = lambda: None
    it.poll(60)
    left = len(pbx.rows)

    assert it.counted >= left
    assert it.gauge("cdr_exporter_backlog") == 0


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


@pytest.mark.fault("D8")
@pytest.mark.parametrize("start", ["now", "all"])
def test_the_list_of_a_pbx_that_is_still_starting_is_not_taken_for_its_table(
    make_harness: MakeHarness, pbx: FakePBX, start: str
) -> None:
    it = make_harness(pbx, start=start)
    it.poll(2)
    pbx.call(3000, started_at=1)
    it.poll()
    counts = {records(s.totals) for s in it.shown if s.shows_calls(it.clock.now())}

    assert it.counted == (0 if start == "now" else 3000)
    assert counts <= {0, 3000}


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


def test_back_off_grows_though_the_failures_differ(make_harness: MakeHarness, pbx: FakePBX) -> None:
    it = make_harness(pbx)
    pbx.failures = [
        TryAgain("x", reason=("connect", "timeout")[number % 2]) for number in range(12)
    ]
    waits = [it.poll() for _ in range(12)]

    assert waits[-1] == 150


def test_what_a_person_has_to_mend_waits_on_its_own_account(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    it = make_harness(pbx)
    pbx.failures = [TryAgain("x", reason="http") for _ in range(5)]
    pbx.failures += [WaitLong("y", reason="http", first=60, most=1800)]
    waits = [it.poll() for _ in range(6)]

    assert waits[-1] == 60


def test_each_cause_is_logged_once(
    make_harness: MakeHarness, pbx: FakePBX, caplog: pytest.LogCaptureFixture
) -> None:
    it = make_harness(pbx)
    pbx.failures = [
        WaitLong(blocked, reason="auth", blocked=blocked, first=1, most=1)
        for blocked in ("token_cap", "token_cap", "ip_blocked", "ip_blocked")
    ]
    it.poll(5)

    assert [r.message for r in caplog.records if r.levelname == "WARNING"] == [
        "token_cap",
        "ip_blocked",
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

    assert it.poller._tail._plan._positions == {}


def test_a_slow_search_does_not_keep_the_first_page_waiting(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    pbx.call(100_000)
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
    assert it.counted == 100_000


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


def test_rows_deleted_above_do_not_make_the_rest_the_end(make_harness: MakeHarness) -> None:
    pbx = FakePBX(tells_total=False)
    pbx.call(230)
    it = make_harness(pbx, start="all")

    def some_vanish() -> None:
        if len(pbx.queries) == 3:
            pbx.delete(*range(150, 231))

    pbx.before_answer = some_vanish
    it.poll(20)

    assert it.counted == 230
