from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cdr_exporter.cdr import GarbledAnswer, Record, Rejected
from cdr_exporter.ledger import (
    Ledger,
    LedgerLimits,
    PageVerdict,
    from_now,
    from_the_beginning,
    start_by_time,
)
from cdr_exporter.ledger import ledger as ledger_module
from cdr_exporter.ledger.order import BY_ID, BY_TIME, Order
from cdr_exporter.ledger.page import Page, page_of, query
from cdr_exporter.ledger.watermark import Watermark
from cdr_exporter.tail.anchor_search import AnchorSearch
from cdr_exporter.tail.page_size import largest_query_from

from ..support.fake_pbx import FakePBX

LIMITS = LedgerLimits(late_window=600.0, longest_call=11_700.0)
NOW = 1_700_001_000.0


def read(pbx: FakePBX, number: int = 1, size: int = 20, order: Order = BY_ID) -> Page:
    wanted = query(number, size, order)
    return page_of(wanted, pbx.fetch(wanted))


def judged(
    ledger: Ledger, page: Page, now: float = NOW, *, anchor: int | None = None
) -> PageVerdict:
    return ledger.judge(page, now, LIMITS, anchor=anchor)


def ids(verdict: PageVerdict) -> list[int]:
    return [row.id for row in verdict.counted]


@pytest.fixture
def pbx() -> FakePBX:
    pbx = FakePBX()
    pbx.call(100)
    return pbx


def test_a_page_read_twice_brings_nothing_new(pbx: FakePBX) -> None:
    first = judged(from_the_beginning(), read(pbx))
    second = judged(first.ledger, read(pbx))

    assert len(first.counted) == 20
    assert second.counted == []
    assert second.ledger == first.ledger


def test_what_lies_below_a_first_page_is_unread_until_a_page_covers_it(pbx: FakePBX) -> None:
    ledger = judged(from_the_beginning(), read(pbx)).ledger
    unread = [ledger.unread]
    for number in (2, 3, 4, 5):
        ledger = judged(ledger, read(pbx, number)).ledger
        unread.append(ledger.unread)

    assert unread == [((1, 80),), ((1, 60),), ((1, 40),), ((1, 20),), ()]


def test_rows_that_moved_down_come_twice_and_count_once(pbx: FakePBX) -> None:
    first = judged(from_the_beginning(), read(pbx))
    pbx.call(7)
    second = judged(first.ledger, read(pbx, 2))

    assert [row.id for row in second.counted] == list(range(80, 67, -1))


def test_the_keys_of_rows_that_moved_up_stay_unread(pbx: FakePBX) -> None:
    ledger = judged(from_the_beginning(), read(pbx)).ledger
    pbx.delete(100, 99, 98)
    ledger = judged(ledger, read(pbx, 2)).ledger

    assert ledger.unread == ((78, 80), (1, 57))


def test_the_last_page_proves_what_lies_below_it(pbx: FakePBX) -> None:
    pbx.delete(*range(1, 60))
    ledger = judged(from_the_beginning(), read(pbx, size=41)).ledger

    assert ledger.unread == ()
    assert not ledger.in_baseline


def test_start_now_counts_nothing_of_the_head_and_nothing_below_it(pbx: FakePBX) -> None:
    ledger = from_now(read(pbx), NOW)
    verdicts = [judged(ledger, read(pbx, number)) for number in (1, 2, 3)]

    assert [list(v.counted) for v in verdicts] == [[], [], []]


def test_a_late_row_and_a_reused_id_are_counted_as_such(pbx: FakePBX) -> None:
    pbx.delete(95)
    ledger = from_now(read(pbx), NOW)
    pbx.insert(95)
    pbx.insert(97, uid="somebody else")
    verdict = judged(ledger, read(pbx))

    assert sorted(ids(verdict)) == [95, 97]
    assert (verdict.late, verdict.reused) == (1, 1)
    assert judged(verdict.ledger, read(pbx)).counted == []


def another(rows: int, **fields: object) -> FakePBX:
    """Return a PBX of which no row is known here."""
    other = FakePBX()
    for row_id in range(1, rows + 1):
        other.insert(row_id, uid=f"other-{row_id}", **fields)
    return other


def test_a_first_page_is_known_by_half_of_its_rows(pbx: FakePBX) -> None:
    ledger = from_now(read(pbx), NOW)
    pbx.call(10)
    half_new = read(pbx)
    pbx.call(1)

    assert ledger.recognises(half_new)
    assert not ledger.recognises(read(pbx))
    assert not ledger.recognises(read(another(50)))


def test_a_whole_list_is_known_by_one_of_its_rows() -> None:
    pbx = FakePBX()
    pbx.call(2)
    ledger = from_now(read(pbx), NOW)
    pbx.delete(1)
    pbx.call(15)

    assert ledger.recognises(read(pbx))
    assert not ledger.recognises(read(another(15)))


def test_an_empty_answer_says_nothing(pbx: FakePBX) -> None:
    ledger = from_now(read(pbx), NOW)
    verdict = judged(ledger, read(FakePBX()))

    assert ledger.recognises(read(FakePBX()))
    assert verdict.ledger == ledger


def test_an_empty_answer_is_evidence_for_nothing(pbx: FakePBX) -> None:
    ledger = judged(from_the_beginning(), read(pbx)).ledger

    assert judged(ledger, read(FakePBX())).ledger == ledger


def test_a_first_page_proves_that_nothing_is_above_it(pbx: FakePBX) -> None:
    ledger = judged(from_the_beginning(), read(pbx)).ledger
    pbx.delete(*range(70, 101))
    verdict = judged(ledger, read(pbx))

    assert [row.id for row in verdict.counted] == list(range(69, 49, -1))
    assert verdict.ledger.unread == ((1, 49),)


def test_a_rejected_row_is_rejected_once_and_does_not_keep_its_page_open(pbx: FakePBX) -> None:
    rejected = [Rejected("number", 4711, id=101), Rejected("shape", 4712)]
    wanted = query(1, 22)
    answer = pbx.fetch(query(1, 20))
    page = page_of(wanted, type(answer)(errcode=0, total=102, rows=answer.rows, rejected=rejected))
    first = judged(from_the_beginning(), page)
    second = judged(first.ledger, page)

    assert list(first.rejected) == rejected
    assert second.rejected == []
    assert first.ledger.unread == ((1, 80),)
    assert first.ledger.newest_key == 101


def test_remembered_rows_are_bounded_and_the_oldest_are_forgotten(pbx: FakePBX) -> None:
    ledger = from_now(read(pbx), NOW)
    for _ in range(40):
        pbx.call(100)
        ledger = judged(ledger, read(pbx, size=110)).ledger

    assert len(ledger.remembered) <= 2_500
    assert ledger.remembered_from == min(ledger.remembered.values())


# --- the anchor ----------------------------------------------------------------------------------


def search_anchor(ledger: Ledger, pbx: FakePBX, guess: int = 20) -> AnchorSearch:
    search = AnchorSearch(ledger, read(pbx), guess)
    while not search.done:
        wanted = search.next_query()
        search.observe(page_of(wanted, pbx.fetch(wanted)))
    return search


@pytest.mark.fault("D10")
@pytest.mark.parametrize("tells_total", [True, False], ids=["total-told", "no-total"])
@pytest.mark.parametrize("new", [20, 24, 100, 1000, 30_000])
@pytest.mark.parametrize("guess", ["right", "none", "twice"])
def test_the_anchor_of_an_outage_is_found_in_few_looks(
    new: int, guess: str, tells_total: bool
) -> None:
    pbx = FakePBX(tells_total=tells_total)
    pbx.call(3000)
    ledger = from_now(read(pbx, size=200), NOW)
    pbx.call(new)
    before = pbx.rows_sent
    search = search_anchor(ledger, pbx, {"right": new, "none": 0, "twice": 2 * new}[guess])
    read_again = 3000 - (search.anchor or 0)

    assert search.anchor is not None
    assert read_again <= max(16, new / 8)
    assert pbx.rows_sent - before <= 20 + 8 * (1 if guess == "right" else 26)


def test_what_lies_above_the_anchor_is_read_and_counted_once(pbx: FakePBX) -> None:
    ledger = from_now(read(pbx), NOW)
    pbx.call(50)
    ledger = judged(ledger, read(pbx), anchor=98).ledger
    second = judged(ledger, read(pbx, 2))
    third = judged(second.ledger, read(pbx, 3))

    # The ten newest rows before may be outliers, so what lies below new ones may begin at 92.
    assert ledger.unread == ((92, 130),)
    assert ids(second) == list(range(130, 110, -1))
    assert ids(third) == list(range(110, 100, -1))
    assert third.ledger.unread == ()
    assert (second.late, second.reused, third.late, third.reused) == (0, 0, 0, 0)


def call_again(pbx: FakePBX, times: int) -> None:
    for _ in range(times):
        pbx.call(uid=f"again-{pbx.next_id}", started_at=1_700_000_500 + pbx.next_id)


@pytest.mark.fault("D5")
def test_after_a_backup_was_put_back_only_new_rows_count(pbx: FakePBX) -> None:
    ledger = from_now(read(pbx, size=100), NOW)
    pbx.roll_back(60)
    call_again(pbx, 30)
    search = search_anchor(ledger, pbx)
    first = judged(ledger, read(pbx), anchor=search.anchor)
    second = judged(first.ledger, read(pbx, 2))

    assert 50 <= (search.anchor or 0) <= 60
    assert sorted([*ids(first), *ids(second)]) == list(range(61, 91))
    assert first.reused + second.reused == 30
    assert second.ledger.newest_key == 90


@pytest.mark.fault("D5")
def test_rows_that_a_backup_took_away_and_that_come_back_do_not_count(pbx: FakePBX) -> None:
    ledger = judged(from_the_beginning(), read(pbx, size=100)).ledger
    backup = pbx.backup()
    pbx.roll_back(90)
    call_again(pbx, 3)
    ledger = judged(ledger, read(pbx)).ledger
    pbx.restore(backup)
    back = judged(ledger, read(pbx))
    after = judged(back.ledger, read(pbx, 2))

    assert ledger.newest_key == 93
    assert ids(back) == ids(after) == []


def test_of_another_table_nothing_is_found(pbx: FakePBX) -> None:
    ledger = from_now(read(pbx), NOW)

    assert search_anchor(ledger, another(5000)).anchor is None


# --- lineage -------------------------------------------------------------------------------------


def test_after_a_break_only_rows_that_ended_later_count(pbx: FakePBX) -> None:
    ledger = judged(from_the_beginning(), read(pbx, size=100)).ledger
    newest = ledger.watermark.newest_end
    other = another(10, started_at=newest - 60)
    other.insert(11, uid="later", started_at=newest - 59)
    verdict = judged(ledger.new_lineage(LIMITS), read(other))

    assert [row.uid for row in verdict.counted] == ["later"]
    assert verdict.pre_break == 10
    assert judged(verdict.ledger, read(other)).pre_break == 0


def test_after_a_break_the_watermark_holds_for_rows_that_turn_up_later_too(pbx: FakePBX) -> None:
    ledger = judged(from_the_beginning(), read(pbx, size=100)).ledger
    other = another(10)
    ledger = judged(ledger.new_lineage(LIMITS), read(other)).ledger
    other.insert(20, uid="from another backup", started_at=1_700_000_001)
    verdict = judged(ledger, read(other))

    assert ids(verdict) == []
    assert verdict.pre_break == 1


@pytest.mark.fault("D9")
def test_a_row_that_ends_in_the_future_does_not_hide_what_comes_after_a_break() -> None:
    far = Record(id=1, uid="far", started_at=4_000_000_000, duration=1)
    mark = Watermark(newest_end=500).after([far], NOW).with_break()
    soon = Record(id=2, uid="soon", started_at=1_700_000_000, duration=1)

    assert mark.break_end == 500
    assert mark.may_predate_break(far)
    assert not mark.may_predate_break(soon)


@pytest.mark.fault("D9")
def test_a_clock_that_is_just_wrong_hides_what_may_have_been_counted() -> None:
    rows = [
        Record(id=n, uid=f"far-{n}", started_at=4_000_000_000 + n, duration=1)
        for n in range(1, 101)
    ]
    mark = Watermark().after(rows, NOW).with_break()

    assert mark.break_end == 0
    assert all(mark.may_predate_break(row) for row in rows)


@pytest.mark.fault("D9")
def test_of_many_impossible_ends_the_nearest_are_joined() -> None:
    apart = [Record(id=n, uid=f"{n}", started_at=3_000_000_000 + 1_000 * n) for n in range(1, 70)]
    near = [Record(id=n, uid=f"{n}", started_at=2_900_000_000 + n) for n in range(0, 40, 2)]
    mark = Watermark(newest_end=500).after([*apart, *near], NOW).with_break()
    between = [Record(uid="x", started_at=at) for at in (2_900_000_001, 3_000_060_500)]

    assert len(mark.impossible_ends) <= 64
    assert all(mark.may_predate_break(row) for row in [*apart, *near])
    assert [mark.may_predate_break(row) for row in between] == [True, True]
    assert not mark.may_predate_break(Record(uid="x", started_at=2_950_000_000))


@pytest.mark.fault("D9")
def test_an_impossible_end_is_noted_only_until_later_ones_are_possible() -> None:
    ahead = Record(id=1, uid="ahead", started_at=int(NOW) + 2 * 86_400)
    mark = Watermark(newest_end=int(NOW)).after([ahead], NOW)
    three_days_later = NOW + 3 * 86_400
    after = mark.after([Record(id=2, uid="x", started_at=int(three_days_later))], three_days_later)

    assert mark.newest_end == int(NOW)
    assert mark.impossible_ends == ((ahead.ended_at, ahead.ended_at),)
    assert after == Watermark(newest_end=int(three_days_later))


# --- late rows -----------------------------------------------------------------------------------


def ledger_with_id_95_missing(pbx: FakePBX) -> Ledger:
    """Return a ledger that has read id 95 as missing, with 100 rows above it."""
    pbx.delete(95)
    ledger = judged(from_the_beginning(), read(pbx, size=100)).ledger
    pbx.call(100)
    return judged(ledger, read(pbx, size=110)).ledger


@pytest.mark.parametrize(
    ("age", "due"),
    [
        pytest.param(10, (), id="just-read"),
        pytest.param(299, (), id="younger-than-half-the-window"),
        pytest.param(301, ((95, 95),), id="half-the-window"),
        pytest.param(90_000, ((95, 95),), id="after-a-day-without-an-answer"),
        pytest.param(-90_000, ((95, 95),), id="a-clock-set-back"),
    ],
)
def test_an_id_missing_among_recent_ones_is_read_again(
    pbx: FakePBX, age: int, due: tuple[tuple[int, int], ...]
) -> None:
    assert ledger_with_id_95_missing(pbx).due(NOW + age, LIMITS) == due


def test_a_range_to_recheck_is_dropped_only_by_a_read_and_only_when_it_is_old(pbx: FakePBX) -> None:
    ledger = ledger_with_id_95_missing(pbx)
    young = judged(ledger, read(pbx, 2, 100), NOW + 301).ledger
    elsewhere = judged(young, read(pbx, 1, 20), NOW + 900).ledger
    old = judged(elsewhere, read(pbx, 2, 100), NOW + 900).ledger

    assert [each.span() for each in young.recheck] == [(95, 95)]
    assert [each.span() for each in elsewhere.recheck] == [(95, 95)]
    assert old.recheck == ()


def test_a_late_row_in_a_range_to_recheck_counts_though_its_neighbours_are_forgotten(
    pbx: FakePBX,
) -> None:
    ledger = ledger_with_id_95_missing(pbx)
    while ledger.remembered_from <= 95:
        pbx.call(100)
        ledger = judged(ledger, read(pbx, size=100)).ledger
    pbx.insert(95)
    position = sorted(pbx.rows, reverse=True).index(95)
    page = read(pbx, position // 10 + 1, 10)
    verdict = judged(ledger, page, NOW + 301)

    assert (ids(verdict), verdict.late) == ([95], 1)
    assert ids(judged(verdict.ledger, page, NOW + 302)) == []


def test_a_rejected_row_that_turns_up_late_below_what_is_remembered_is_rejected_once(
    pbx: FakePBX,
) -> None:
    ledger = ledger_with_id_95_missing(pbx)
    while ledger.remembered_from <= 95:
        pbx.call(100)
        ledger = judged(ledger, read(pbx, size=110)).ledger
    wanted = query(pbx.next_id // 10 - 9, 10)
    answer = pbx.fetch(wanted)
    late = Rejected("number", 1, 95)
    page = page_of(wanted, replace(answer, rows=answer.rows[:-1], rejected=[late]))
    verdict = judged(ledger, page, NOW + 301)

    assert page.lowest <= 95 <= page.highest
    assert verdict.rejected == [late]
    assert judged(verdict.ledger, page, NOW + 302).rejected == []


def test_ids_missing_below_the_newest_rows_are_noted_once_though_read_in_each_poll(
    pbx: FakePBX,
) -> None:
    pbx.delete(95)
    ledger = judged(from_the_beginning(), read(pbx, size=100)).ledger
    for number in range(1, 4):
        pbx.call(15)
        first = judged(ledger, read(pbx), NOW + number, anchor=94).ledger
        ledger = judged(first, read(pbx, size=100), NOW + number).ledger

    assert [each.span() for each in ledger.recheck] == [(95, 95)]


def test_ids_that_were_missing_long_ago_are_not_rechecked() -> None:
    pbx = FakePBX()
    pbx.call(20, started_at=1_600_000_000)
    pbx.delete(*range(2, 20, 2))
    pbx.call(20)
    ledger = judged(from_the_beginning(), read(pbx, 1, 20)).ledger

    assert judged(ledger, read(pbx, 2, 20)).ledger.recheck == ()


def test_ids_missing_among_rows_whose_clock_was_not_set_are_rechecked(pbx: FakePBX) -> None:
    ledger = judged(from_the_beginning(), read(pbx, size=100)).ledger
    pbx.call(20, started_at=86_400)
    pbx.delete(110)

    after = judged(ledger, read(pbx)).ledger
    assert [each.span() for each in after.recheck] == [(110, 110)]


def test_pruning_never_claims_to_remember_what_it_has_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The newest rows are deleted while an unread range below still holds remembered rows."""
    monkeypatch.setattr(ledger_module, "REMEMBERED_BY_ID", 10)
    monkeypatch.setattr(ledger_module, "_PRUNE_MARGIN", 2)
    pbx = FakePBX()
    pbx.call(100)
    rows = {row.id: row for row in pbx.rows.values()}
    # Rows 61 to 79 were counted and are forgotten; those from 80 up are remembered, and two in a
    # range that is still unread.
    remembered = {BY_ID.identity(rows[n]): n for n in (50, 51, *range(80, 101))}
    ledger = Ledger(newest_key=100, remembered_from=80, remembered=remembered, unread=((45, 60),))
    pbx.delete(*range(83, 101))

    after = judged(ledger, read(pbx, 1, 5)).ledger

    assert after.remembered_from >= 80
    assert ids(judged(after, read(pbx, 1, 20))) == []


# --- by time -------------------------------------------------------------------------------------


def calls_by_time(pbx: FakePBX, *starts: int, **fields: Any) -> None:
    for start in starts:
        pbx.call_without_id(started_at=start, **fields)


START = 1_700_000_000


def test_a_row_that_turns_up_between_others_counts_once() -> None:
    pbx = FakePBX()
    calls_by_time(pbx, *range(START, START + 10))
    ledger = judged(
        start_by_time(None, (), NOW, LIMITS, "all", None), read(pbx, order=BY_TIME)
    ).ledger
    calls_by_time(pbx, START + 5)
    verdict = judged(ledger, read(pbx, order=BY_TIME))
    again = judged(verdict.ledger, read(pbx, order=BY_TIME))

    assert [row.new_id for row in verdict.counted] == ["A-11"]
    assert list(again.counted) == []


def test_the_second_at_a_pages_end_stays_unread() -> None:
    pbx = FakePBX()
    calls_by_time(pbx, *[START] * 30)
    calls_by_time(pbx, *[START + 1] * 10)
    ledger = judged(
        start_by_time(None, (), NOW, LIMITS, "all", None), read(pbx, order=BY_TIME)
    ).ledger
    rest = judged(ledger, read(pbx, 2, 20, BY_TIME))

    assert ledger.unread == ((0, START),)
    assert len(rest.counted) == 20


def test_seconds_in_which_no_call_can_have_begun_that_is_still_to_end_are_over() -> None:
    pbx = FakePBX()
    calls_by_time(pbx, START, START + 20_000)
    now = START + 20_100.0
    ledger = start_by_time(None, (), now, LIMITS, "all", None)
    ledger = judged(ledger, read(pbx, order=BY_TIME), now).ledger
    calls_by_time(pbx, START + 1, START + 10_000)
    verdict = judged(ledger, read(pbx, order=BY_TIME), now)

    assert ledger.remembered_from == START + 20_060 - 11_700
    assert [row.started_at for row in verdict.counted] == [START + 10_000]


def test_what_was_counted_by_id_is_not_counted_by_time(pbx: FakePBX) -> None:
    before = judged(from_the_beginning(), read(pbx, size=100)).ledger
    pbx.call(2)
    calls_by_time(pbx, START + 90, START + 120)
    ledger = start_by_time(before, (), NOW, LIMITS, "all", None)
    verdict = judged(ledger, read(pbx, size=200, order=BY_TIME))

    assert sorted(row.uid for row in verdict.counted) == [
        "uid-101",
        "uid-102",
        "uid-103",
        "uid-104",
    ]


def test_by_time_the_second_of_the_anchor_is_read_again() -> None:
    pbx = FakePBX()
    calls_by_time(pbx, *range(START, START + 19))
    ledger = judged(
        start_by_time(None, (), NOW, LIMITS, "all", None), read(pbx, order=BY_TIME)
    ).ledger
    calls_by_time(pbx, START + 9, *range(START + 20, START + 60))
    verdict = judged(ledger, read(pbx, order=BY_TIME), anchor=START + 9)

    assert verdict.ledger.unread == ((START + 9, START + 40),)


def test_by_time_start_now_reads_back_a_longest_call_and_counts_nothing_of_it() -> None:
    pbx = FakePBX()
    calls_by_time(pbx, *range(START, START + 50))
    ledger = start_by_time(None, read(pbx, order=BY_TIME).rows, NOW, LIMITS, "now", None)
    first = judged(ledger, read(pbx, order=BY_TIME))
    second = judged(first.ledger, read(pbx, 1, 60, BY_TIME))
    calls_by_time(pbx, START + 20, START + 60)
    after = judged(second.ledger, read(pbx, 1, 60, BY_TIME))

    assert (list(first.counted), list(second.counted)) == ([], [])
    assert second.ledger.first_read == ""
    assert len(after.counted) == 2


# --- pages ---------------------------------------------------------------------------------------


def test_a_page_by_time_out_of_order_is_void() -> None:
    pbx = FakePBX()
    calls_by_time(pbx, START, START + 1)
    rows = list(pbx.rows.values())
    answer = pbx.fetch(query(1, 20, BY_TIME))

    with pytest.raises(GarbledAnswer, match="by time"):
        page_of(query(1, 20, BY_TIME), type(answer)(errcode=0, total=2, rows=rows))


@pytest.mark.parametrize(
    ("rows", "total", "size", "complaint"),
    [
        pytest.param([2, 3], 9, 20, "not sorted", id="ascending"),
        pytest.param([3, 2, 1], 9, 2, "asked for", id="more-than-asked"),
    ],
)
def test_a_page_that_contradicts_itself_is_void(
    rows: list[int], total: int, size: int, complaint: str
) -> None:
    pbx = FakePBX()
    for row_id in rows:
        pbx.insert(row_id)
    answer = pbx.fetch(query(1, 100))
    records = [pbx.rows[row_id] for row_id in rows]

    with pytest.raises(GarbledAnswer, match=complaint):
        page_of(query(1, size), type(answer)(errcode=0, total=total, rows=records))


@pytest.mark.parametrize("end", [*range(600), 4_998, 5_001, 9_999, 15_000, 200_000])
def test_wherever_a_second_begins_245_rows_of_it_fit_one_answer(end: int) -> None:
    wanted = largest_query_from(end, BY_TIME)

    assert wanted.offset < end or wanted.offset == end == 0
    assert wanted.offset + wanted.limit > end + 245
    assert wanted.limit <= 500
