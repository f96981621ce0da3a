"""A PBX whose firmware gives rows no id: from the start, or from one day on."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import replace
from random import Random

import pytest

from cdr_exporter.cdr import CDRAnswer, GarbledAnswer
from cdr_exporter.cdr.contract import CDRQuery
from cdr_exporter.ledger.order import BY_ID, BY_TIME

from ..support.fake_pbx import FakePBX
from ..support.poller_harness import MakeHarness, shorten_pages
from ..support.without_ids import end, order_of, poll


@pytest.fixture(params=["first", "last", "left_out"])
def pbx(request: pytest.FixtureRequest) -> FakePBX:
    pbx = FakePBX()
    pbx.without_id = request.param
    return pbx


@pytest.mark.parametrize("start", ["now", "all"])
@pytest.mark.parametrize("rows", [1, 2, 30, 700])
def test_a_table_without_ids_is_followed_by_time_from_the_start(
    make_harness: MakeHarness, pbx: FakePBX, start: str, rows: int
) -> None:
    end(pbx, rows)
    it = make_harness(pbx, start=start)
    poll(it, 2)
    before = it.counted
    end(pbx, 5)
    poll(it, 2)

    assert order_of(it) is BY_TIME
    assert (before, it.counted) == ((0, 5) if start == "now" else (rows, rows + 5))
    assert it.last.shows_calls(it.clock.now())


@pytest.mark.parametrize("new", [1, 40, 900])
def test_an_upgrade_while_the_exporter_runs_loses_and_doubles_nothing(
    make_harness: MakeHarness, pbx: FakePBX, new: int
) -> None:
    end(pbx, 300, named=True)
    it = make_harness(pbx, start="all")
    poll(it, 2)
    it.clock.pass_(120)
    end(pbx, new)
    poll(it, 25)
    end(pbx, 7)
    poll(it, 2)

    assert order_of(it) is BY_TIME
    assert it.counted == 307 + new


def test_a_long_call_that_ends_among_older_ones_is_counted_within_minutes(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    end(pbx, 50)
    it = make_harness(pbx)
    poll(it, 2)
    end(pbx, 300)
    end(pbx, duration=10_000)
    poll(it, 12)

    assert it.counted == 301


def test_a_restart_by_time_changes_nothing_and_goes_on_by_time(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    end(pbx, 300, named=True)
    end(pbx, 100)
    it = make_harness(pbx, start="all")
    poll(it, 2)
    end(pbx, 100)
    it.restart()
    poll(it, 2)
    it.restart()
    poll(it, 2)

    assert order_of(it) is BY_TIME
    assert it.counted == 500


@pytest.mark.slow
@pytest.mark.parametrize("killed_after", [1, 2, 3, 5, 8, 13])
def test_a_process_killed_while_it_changes_over_goes_on_where_it_was(
    make_harness: MakeHarness, pbx: FakePBX, killed_after: int
) -> None:
    end(pbx, 600, named=True)
    it = make_harness(pbx, start="all")
    poll(it, 2)
    it.clock.pass_(120)
    end(pbx, 1500)
    for _ in range(4):
        pbx.kill_after(killed_after)
        with suppress(SystemExit):
            poll(it, 3)
        pbx.before_answer = lambda: None
        it.restart()
    poll(it, 3)

    assert it.counted == 2100


def test_calls_that_began_in_the_same_second_are_not_taken_for_one(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    it = make_harness(pbx, start="all")
    for _ in range(150):
        pbx.call_without_id(started_at=1_700_000_000)
    poll(it, 3)

    assert it.counted == 150
    assert it.gauge("cdr_exporter_backlog") == 0


def crowd(pbx: FakePBX, rows: int) -> None:
    """Let *rows* calls begin in one second, and end."""
    started_at = int(pbx.clock.wall) - 60
    for _ in range(rows):
        pbx.call_without_id(started_at=started_at)


@pytest.mark.slow
@pytest.mark.fault("C17")
@pytest.mark.parametrize(
    ("start", "below"),
    [
        pytest.param("all", 0, id="at-the-end"),
        pytest.param("all", 700, id="above-others"),
        pytest.param("now", 700, id="start-now"),
    ],
)
@pytest.mark.parametrize("rows", [60, 245, 450])
def test_a_second_with_many_calls_is_read_in_one_answer(
    make_harness: MakeHarness, rows: int, below: int, start: str
) -> None:
    pbx = FakePBX()
    pbx.shuffle = Random(1)
    end(pbx, below)
    it = make_harness(pbx, start=start)
    poll(it, 2)
    before = it.counted
    crowd(pbx, rows)
    end(pbx, 40)
    poll(it, 3)
    # All of it is in the window that is read again.
    poll(it, 12)

    assert it.counted - before == rows + 40
    assert it.gauge("cdr_up") == 1
    assert it.gauge("cdr_exporter_backlog") == 0


@pytest.mark.parametrize("tells", ["too-much", "nothing"])
@pytest.mark.parametrize("rows", [1, 2, 30, 400])
def test_the_end_is_found_where_the_total_does_not_tell_it(
    make_harness: MakeHarness, rows: int, tells: str
) -> None:
    pbx = FakePBX(tells_total=tells == "too-much")
    end(pbx, 30)
    crowd(pbx, rows)
    for serial in range(1, 31):
        pbx.delete(serial)
    pbx.edit_answer = lambda query, answer: replace(answer, total=answer.total and answer.total + 3)
    it = make_harness(pbx, start="all")
    poll(it, 3)
    end(pbx, 5)
    poll(it, 3)

    assert order_of(it) is BY_TIME
    assert it.counted == rows + 5
    assert it.gauge("cdr_up") == 1
    assert it.gauge("cdr_exporter_backlog") == 0


@pytest.mark.parametrize("more", [None, 3], ids=["no-total", "too-large"])
@pytest.mark.parametrize("start", ["now", "all"])
def test_the_window_is_read_again_to_the_end_of_a_list_whose_total_does_not_tell_it(
    make_harness: MakeHarness, start: str, more: int | None
) -> None:
    pbx = FakePBX(tells_total=more is not None)
    if more is not None:
        pbx.edit_answer = lambda query, answer: replace(answer, total=(answer.total or 0) + more)
    end(pbx, 100)
    it = make_harness(pbx, start=start)
    poll(it, 3)
    before = it.counted
    for _ in range(4):
        end(pbx, 30)
        poll(it, 11)
        end(pbx, duration=int(it.clock.wall) % 100 + 2000)
        poll(it, 14)
    sent, asked = pbx.rows_sent, pbx.requests
    poll(it, 40)

    assert it.counted - before == 4 * 31
    assert it.gauge("cdr_up") == 1
    # With a true total it takes 3,600 rows in 60 requests.
    assert pbx.rows_sent - sent <= 4000
    assert pbx.requests - asked <= 140


def test_a_second_that_short_pages_cannot_show_completely_is_no_end(
    make_harness: MakeHarness,
) -> None:
    pbx = FakePBX(tells_total=False)
    end(pbx, 300)
    crowd(pbx, 100)
    end(pbx, 30)
    shorten_pages(pbx, 15)
    it = make_harness(pbx, start="all")
    poll(it, 20)

    assert it.gauge("cdr_up") == 0
    assert it.gauge("cdr_exporter_backlog") > 0


def test_a_row_without_id_that_the_order_by_id_leaves_out_keeps_no_first_read_from_its_end(
    make_harness: MakeHarness,
) -> None:
    pbx = FakePBX()
    pbx.without_id = "left_out"
    pbx.call_without_id(new_id="", started_at=1_600_000_000)
    end(pbx, 700, named=True)
    it = make_harness(pbx, start="all")
    poll(it, 3)

    assert order_of(it) is BY_ID
    assert it.counted == 700
    assert it.gauge("cdr_up") == 1
    assert it.gauge("cdr_exporter_backlog") == 0


def test_a_call_that_turns_up_in_a_crowded_second_later_is_found(
    make_harness: MakeHarness,
) -> None:
    pbx = FakePBX()
    end(pbx, 100)
    it = make_harness(pbx)
    poll(it, 2)
    crowd(pbx, 250)
    second = max(row.started_at for row in pbx.rows.values())
    end(pbx, 100)
    poll(it, 3)
    pbx.call_without_id(started_at=second)
    pbx.call_without_id(started_at=second - 30)
    poll(it, 12)

    assert it.counted == 352


def test_a_pbx_that_is_slow_is_asked_for_all_of_a_second_too(
    make_harness: MakeHarness,
) -> None:
    pbx = FakePBX()
    pbx.before_answer = lambda: it.clock.pass_(6)
    it = make_harness(pbx, start="all")
    end(pbx, 900)
    poll(it, 40, 1)
    crowd(pbx, 130)
    end(pbx, 30)
    poll(it, 40, 1)

    assert it.counted == 1060
    assert it.gauge("cdr_up") == 1


@pytest.mark.fault("C17")
def test_a_second_with_more_calls_than_the_largest_page_fails_the_poll(
    make_harness: MakeHarness,
) -> None:
    pbx = FakePBX()
    end(pbx, 100)
    it = make_harness(pbx, start="all")
    poll(it, 2)
    crowd(pbx, 501)
    poll(it, 4)
    before = pbx.requests
    poll(it, 5)

    assert it.gauge("cdr_up") == 0
    assert it.own("cdr_exporter_poll_failures_total", "garbled") >= 1
    assert it.gauge("cdr_exporter_backlog") > 0
    assert pbx.requests - before < 5 * 60


@pytest.mark.fault("C17")
def test_calls_that_turn_up_in_a_second_that_no_page_holds_any_more_fail_the_poll(
    make_harness: MakeHarness,
) -> None:
    pbx = FakePBX()
    pbx.shuffle = Random(1)
    end(pbx, 100)
    it = make_harness(pbx, start="all")
    poll(it, 2)
    crowd(pbx, 100)
    end(pbx, 30)
    poll(it, 2)
    second = Counter(row.started_at for row in pbx.rows.values()).most_common(1)[0][0]
    pbx.call_without_id(500, started_at=second)
    poll(it, 15)

    assert it.gauge("cdr_up") == 0
    assert it.own("cdr_exporter_poll_failures_total", "garbled") >= 1


def test_rows_without_new_id_differ_by_the_rest_of_their_content(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    it = make_harness(pbx, start="all")
    for leg in range(40):
        pbx.call_without_id(new_id="", uid="one call", call_to=f"{leg}", started_at=1_700_000_000)
    poll(it, 3)

    assert it.counted == 40


def test_one_row_whose_id_is_missing_does_not_change_the_order(
    make_harness: MakeHarness,
) -> None:
    pbx = FakePBX()
    end(pbx, 100, named=True)
    it = make_harness(pbx)
    it.poll()
    pbx.call_without_id(new_id="", started_at=int(pbx.clock.wall) - 60)
    end(pbx, named=True)
    pbx.without_id = "first"
    poll(it, 5)

    assert order_of(it) is BY_ID
    assert it.counted == 1
    assert it.total("cdr_exporter_rejected_records_total", "id") == 1


def test_a_pbx_that_does_not_sort_by_time_is_followed_by_id(
    make_harness: MakeHarness,
) -> None:
    pbx = FakePBX()
    end(pbx, 100, named=True)

    def by_id_only(query: CDRQuery, answer: CDRAnswer) -> CDRAnswer:
        if query.sort_by == "time":
            raise GarbledAnswer("not sorted")
        return answer

    pbx.edit_answer = by_id_only
    it = make_harness(pbx)
    it.poll()
    end(pbx, 3, named=True)
    it.poll()

    assert it.counted == 3
    assert it.gauge("cdr_up") == 1


def test_looking_for_rows_without_id_costs_two_pages_an_hour(make_harness: MakeHarness) -> None:
    pbx = FakePBX()
    end(pbx, 100, named=True)
    it = make_harness(pbx)
    it.poll()
    before = len(pbx.queries)
    for _ in range(130):
        end(pbx, named=True, duration=10)
        it.poll()
        it.clock.pass_(29)
    looks = [query for query in pbx.queries[before:] if query.sort_by == "time"]

    assert [query.from_ for query in looks] == [None, "new"]


def test_by_time_the_window_is_read_again_every_few_minutes_and_not_at_each_poll(
    make_harness: MakeHarness,
) -> None:
    pbx = FakePBX()
    end(pbx, 600)
    it = make_harness(pbx)
    poll(it, 2)
    before = pbx.rows_sent
    poll(it, 20)

    assert pbx.rows_sent - before <= 20 * 20 + 3 * 700


@pytest.mark.parametrize("start", ["now", "all"])
def test_rows_that_vanish_and_come_back_are_not_counted_again(
    make_harness: MakeHarness, pbx: FakePBX, start: str
) -> None:
    end(pbx, 80)
    it = make_harness(pbx, start=start)
    poll(it, 2)
    end(pbx, 10)
    poll(it, 2)
    before, backup = it.counted, pbx.backup()
    pbx.delete(*sorted(pbx.rows)[-30:])
    poll(it, 2)
    pbx.restore(backup)
    poll(it, 15)

    assert it.counted == before


def test_rows_counted_by_id_that_vanish_and_come_back_by_time_count_once(
    make_harness: MakeHarness,
) -> None:
    pbx = FakePBX()
    end(pbx, 100, named=True)
    it = make_harness(pbx, start="all")
    poll(it, 2)
    end(pbx, 10, named=True)
    poll(it, 2)
    vanished = {row_id: pbx.rows[row_id] for row_id in range(101, 111)}
    pbx.delete(*vanished)
    poll(it, 2)
    end(pbx, 5)
    poll(it, 25)
    pbx.rows.update(vanished)
    poll(it, 15)

    assert it.counted == 115


def test_a_call_of_a_wrong_clock_does_not_hide_those_after_it(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    end(pbx, 100)
    it = make_harness(pbx, start="all")
    poll(it, 3)
    pbx.call_without_id(started_at=int(pbx.clock.wall) + 43_000)
    poll(it, 3)
    end(pbx, 50)
    poll(it, 25)

    assert it.counted == 151


def test_a_window_that_takes_long_to_read_does_not_keep_calls_hidden(
    make_harness: MakeHarness,
) -> None:
    pbx = FakePBX()
    end(pbx, 3000)
    it = make_harness(pbx)
    poll(it, 3)
    it.restart()
    pbx.before_answer = lambda: it.clock.pass_(6)
    poll(it, 40)

    assert it.last.shows_calls(it.clock.now())


@pytest.mark.parametrize("killed_after", [4, 5, 6, 8])
def test_start_now_by_time_counts_what_ends_while_its_first_read_is_interrupted(
    make_harness: MakeHarness, killed_after: int
) -> None:
    pbx = FakePBX()
    end(pbx, 2000)
    it = make_harness(pbx)
    pbx.kill_after(killed_after)
    with suppress(SystemExit):
        it.poll()
    pbx.before_answer = lambda: None
    end(pbx, 300)
    it.restart()
    poll(it, 15)

    assert it.counted >= 300 - 60


def test_start_now_by_time_counts_a_call_that_began_before_and_ends_in_the_first_read(
    make_harness: MakeHarness,
) -> None:
    pbx = FakePBX()
    end(pbx, 2000)
    it = make_harness(pbx)

    def some_end() -> None:
        if pbx.queries[-1].sort_by == "time" and pbx.queries[-1].offset:
            end(pbx, duration=1500)
            end(pbx, duration=90)

    pbx.before_answer = some_end
    poll(it, 2)
    pbx.before_answer = lambda: None
    ended = len(pbx.rows) - 2000
    poll(it, 15)

    assert ended > 5
    assert it.counted == ended
    assert it.total("cdr_exporter_pre_break_records_total") == 0


def test_start_now_by_time_hides_nothing_later_of_a_pbx_whose_clock_is_set_back(
    make_harness: MakeHarness,
) -> None:
    pbx = FakePBX()
    end(pbx, 2000)
    it = make_harness(pbx)
    poll(it, 2)
    for _ in range(50):
        pbx.call_without_id(started_at=int(pbx.clock.wall) - 1000)
    poll(it, 15)

    assert it.counted == 50


@pytest.mark.fault("D8")
@pytest.mark.parametrize("tells_total", [True, False], ids=["total-told", "no-total"])
@pytest.mark.parametrize("first", [1, 2, 30])
def test_start_now_on_an_empty_pbx_counts_its_first_calls_though_they_have_no_id(
    make_harness: MakeHarness, pbx: FakePBX, first: int, tells_total: bool
) -> None:
    pbx.tells_total = tells_total
    it = make_harness(pbx)
    poll(it, 3)
    end(pbx, first)
    poll(it, 25)
    end(pbx, 2)
    poll(it, 2)

    assert it.counted == first + 2
    assert order_of(it) is BY_TIME


def test_the_list_of_a_pbx_without_ids_that_is_still_starting_is_not_taken_for_its_table(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    it = make_harness(pbx)
    poll(it, 2)
    for number in range(700):
        pbx.call_without_id(started_at=1_699_990_000 + number)
    end(pbx, 3)
    poll(it, 25)

    assert it.counted == 3


@pytest.mark.fault("D9")
@pytest.mark.parametrize("rows", [30, 3000])
def test_a_row_from_before_the_start_with_a_clock_years_ahead_is_not_counted_by_time(
    make_harness: MakeHarness, rows: int
) -> None:
    pbx = FakePBX()
    ahead = int(pbx.clock.wall) + 10 * 365 * 86_400
    pbx.call(5, started_at=ahead)
    end(pbx, rows, named=True)
    it = make_harness(pbx)
    poll(it, 2)
    end(pbx, 40, named=True)
    poll(it, 2)
    it.clock.pass_(120)
    end(pbx, 3)
    poll(it, 15, 300)

    assert order_of(it) is BY_TIME
    assert it.counted == 43


@pytest.mark.fault("D9")
def test_a_clock_that_was_hours_ahead_once_does_not_hide_rows_when_the_order_changes(
    make_harness: MakeHarness,
) -> None:
    pbx = FakePBX()
    end(pbx, 100, named=True)
    it = make_harness(pbx)
    poll(it, 2)
    pbx.call(started_at=int(pbx.clock.wall) + 43_000)
    poll(it, 12)
    # Now a look shows ids only.
    end(pbx, named=True)
    poll(it, 15, 300)
    end(pbx, 70)
    poll(it, 15, 300)

    assert order_of(it) is BY_TIME
    assert it.counted == 72


def test_looking_for_rows_without_id_keeps_to_the_budget(make_harness: MakeHarness) -> None:
    pbx, over = FakePBX(), 0.0
    end(pbx, 700, named=True)
    it = make_harness(pbx)
    poll(it, 2)
    before = len(pbx.queries)
    for _ in range(100):
        sent = pbx.rows_sent
        end(pbx, 3, named=True)
        poll(it, 1, 27)
        over = max(over, pbx.rows_sent - sent - 1.2 * 3 - 20)

    assert over <= 0
    assert {(query.sort_by, query.from_) for query in pbx.queries[before:]} == {("id", None)}
