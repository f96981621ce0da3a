"""Rows that no answer can hold: they are rejected once, and all others count as ever."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from random import Random

import pytest

from cdr_exporter.cdr import Record, Rejected
from cdr_exporter.cdr.contract import CDRQuery
from cdr_exporter.errors import PageTooLarge, TryAgain
from cdr_exporter.ledger.order import BY_ID, BY_TIME, Order
from cdr_exporter.ledger.page import Page, query
from cdr_exporter.metrics.self_metrics import SelfMetrics
from cdr_exporter.metrics.totals import Series
from cdr_exporter.tail.page_reader import PageReader, Stopped

from ..support.fake_pbx import FakePBX
from ..support.oversized import is_oversized, make_oversized
from ..support.poller_harness import MakeHarness, PollerHarness
from ..support.rows import BOUNDS

ROWS_FETCHED = "cdr_exporter_rows_fetched_total"
REJECTED = "cdr_exporter_rejected_records_total"

pytestmark = pytest.mark.fault("C25")


@pytest.fixture(params=[True, False], ids=["with-total", "no-total"])
def pbx(request: pytest.FixtureRequest) -> FakePBX:
    return FakePBX(tells_total=request.param)


def end(pbx: FakePBX, times: int = 1, *, named: bool = True) -> None:
    """Let calls end, one a second."""
    for _ in range(times):
        pbx.clock.pass_(1)
        (pbx.call if named else pbx.call_without_id)(started_at=int(pbx.clock.wall) - 60)


def reader_of(pbx: FakePBX) -> PageReader:
    return PageReader(pbx, SelfMetrics(BOUNDS), pbx.clock)


def rejected(it: PollerHarness) -> int:
    return it.last.totals.series.get(Series(REJECTED, ("shape",)), (0,))[0]


def readable(pbx: FakePBX) -> int:
    return sum(not is_oversized(row) for row in pbx.rows.values())


def identities(rows: list[Record] | list[Rejected]) -> list[int]:
    return [BY_ID.identity(row) for row in rows]


def poll(it: PollerHarness, times: int = 1) -> None:
    for _ in range(times):
        it.poll()
        it.clock.pass_(30)


# --- one page ------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [BY_ID, BY_TIME], ids=["by-id", "by-time"])
@pytest.mark.parametrize(
    ("number", "size"), [(1, 20), (1, 200), (2, 20), (7, 8), (3, 37), (2, 100)], ids=str
)
def test_wherever_the_row_is_the_page_has_all_others_in_few_requests(
    number: int, size: int, order: Order
) -> None:
    whole = FakePBX()
    end(whole, 230)
    expected = reader_of(whole).read(query(number, size, order))
    step = 1 if size < 50 else 7
    for position in range(expected.offset, expected.offset + expected.size, step):
        pbx = FakePBX()
        end(pbx, 230)
        make_oversized(pbx, position)
        page = reader_of(pbx).read(query(number, size, order))
        others = [row for row in expected.rows if row.id != 230 - position]

        assert list(page.rows) == others
        assert [row.reason for row in page.rejected] == ["shape"]
        assert (page.size, page.total, page.is_last) == (expected.size, 230, expected.is_last)
        assert pbx.requests <= 24


@pytest.mark.parametrize(
    "positions",
    [(0, 1, 2), tuple(range(7)), (5, 6), (0, 19), (18, 19), (3, 9, 16)],
    ids=lambda each: f"{each}",
)
def test_each_of_several_rows_is_rejected_at_its_place(positions: tuple[int, ...]) -> None:
    pbx = FakePBX()
    pbx.call(50)
    make_oversized(pbx, *positions)
    page = reader_of(pbx).read(query(1, 20))

    assert [50 - row.id for row in page.rows] == [at for at in range(20) if at not in positions]
    assert len(set(identities(list(page.rejected)))) == len(positions)


@pytest.mark.parametrize("position", [0, 7, 19, 99], ids=str)
def test_a_single_row_that_is_too_large_is_a_rejected_one(position: int) -> None:
    pbx = FakePBX()
    pbx.call(100)
    make_oversized(pbx, position)
    page = reader_of(pbx).read(query(position + 1, 1))

    assert (list(page.rows), len(page.rejected), page.total) == ([], 1, 100)


def test_a_page_between_rows_that_are_too_large_is_read_whole() -> None:
    pbx = FakePBX()
    pbx.call(100)
    make_oversized(pbx, 19, 40)
    reader = reader_of(pbx)
    for _ in range(2):
        assert len(reader.read(query(2, 20)).rows) == 20

    assert pbx.requests == 2


def test_the_pbx_rests_before_each_part_and_nothing_is_asked_for_at_the_end() -> None:
    pbx = FakePBX()
    pbx.call(100)
    make_oversized(pbx, 7)
    reader = reader_of(pbx)
    reader.read(query(1, 20))

    assert pbx.clock.waited == pytest.approx([0.02] * (pbx.requests - 1))

    def stop() -> None:
        pbx.clock.stopping = True

    pbx.before_answer = stop
    before = pbx.requests
    with pytest.raises(Stopped):
        reader.read(query(1, 20))
    assert pbx.requests == before + 1


def test_where_every_answer_is_too_large_a_poll_asks_ten_times(make_harness: MakeHarness) -> None:
    pbx = FakePBX()
    pbx.call(100)
    pbx.before_answer = refuse
    it = make_harness(pbx)
    for polls in range(1, 4):
        it.poll()

        assert pbx.requests == 10 * polls
    assert it.own("cdr_exporter_poll_failures_total", "too_large") == 3
    assert it.gauge("cdr_up") == 0


def refuse() -> None:
    raise PageTooLarge("the answer is longer than 147456 bytes")


def test_a_page_with_too_many_of_them_ends_early_and_the_next_ones_go_on(
    make_harness: MakeHarness,
) -> None:
    pbx = FakePBX()
    pbx.call(100)
    it = make_harness(pbx, start="all")
    it.poll()
    pbx.call(600)
    make_oversized(pbx, *range(30, 500, 6))
    poll(it, 30)

    assert (it.counted, it.gauge("cdr_exporter_backlog")) == (readable(pbx), 0)


def test_a_page_below_the_first_that_begins_with_many_of_them_is_read_too() -> None:
    pbx = FakePBX()
    pbx.call(100)
    make_oversized(pbx, *range(20, 36))
    page = reader_of(pbx).read(query(2, 20))

    assert [100 - row.id for row in page.rows] == [36, 37, 38, 39]
    assert len(page.rejected) == 16


def test_one_page_never_costs_more_than_60_requests() -> None:
    pbx = FakePBX()
    pbx.call(600)
    make_oversized(pbx, *range(3, 500, 6))
    page = reader_of(pbx).read(query(1, 500))

    assert pbx.requests == 60
    assert page.is_partial
    assert not page.is_last


# --- the list changes between two parts ----------------------------------------------------------


def at_request(pbx: FakePBX, number: int, change: Callable[[], None]) -> None:
    """Let *change* happen before the answer to the request with this *number*, from 1."""
    last = pbx.requests + number

    def before_answer() -> None:
        if pbx.requests == last:
            change()

    pbx.before_answer = before_answer


def read_until_it_holds(pbx: FakePBX, wanted: CDRQuery) -> Page:
    """Return the page; the first polls may fail, as the list does not stand still."""
    reader = reader_of(pbx)
    for _ in range(50):
        with suppress(TryAgain):
            return reader.read(wanted)
    raise AssertionError("no reading was one slice of the list")


@pytest.mark.parametrize("request_number", range(1, 12))
@pytest.mark.parametrize("tells_total", [True, False], ids=["with-total", "no-total"])
@pytest.mark.parametrize(("added", "deleted"), [(1, 0), (3, 0), (0, 1), (0, 3), (2, 3)], ids=str)
def test_a_list_that_changes_meanwhile_hides_no_row(
    request_number: int, tells_total: bool, added: int, deleted: int
) -> None:
    pbx = FakePBX(tells_total=tells_total)
    pbx.call(100)
    make_oversized(pbx, 27)

    def change() -> None:
        pbx.delete(*range(100, 100 - deleted, -1))
        pbx.call(added)

    at_request(pbx, request_number, change)
    page = read_until_it_holds(pbx, query(2, 20))
    lowest, highest = page.evidence
    there = {row.id for row in pbx.rows.values() if not is_oversized(row)}
    expected = sorted((each for each in there if lowest <= each <= highest), reverse=True)

    assert len(page.rejected) == 1
    assert [row.id for row in page.rows] == expected


def test_a_list_that_never_stands_still_is_an_error_that_passes() -> None:
    pbx = FakePBX()
    pbx.call(400)
    make_oversized(pbx, 7)

    def come_and_go() -> None:
        if pbx.requests % 2:
            pbx.delete(*sorted(pbx.rows)[-2:])
        else:
            pbx.call(2)

    pbx.before_answer = come_and_go
    with pytest.raises(TryAgain, match="deleted or moved") as raised:
        reader_of(pbx).read(query(1, 20))
    assert raised.value.reason == "garbled"


def test_by_time_rows_of_one_second_that_change_places_hide_none() -> None:
    for seed in range(20):
        pbx = FakePBX()
        for second in range(10):
            # By itself in its second; of the others, four share each.
            rows = 1 if second == 7 else 4
            pbx.call_without_id(rows, started_at=int(pbx.clock.wall) + second)
        make_oversized(pbx, 8)
        pbx.shuffle = Random(seed)
        page = read_until_it_holds(pbx, query(1, 20, BY_TIME))
        shown = {row.new_id for row in page.rows}
        lowest, highest = page.evidence
        there = {row.new_id for row in pbx.rows.values() if lowest <= row.started_at <= highest}
        hidden = {row.new_id for row in pbx.rows.values() if is_oversized(row)}

        assert there - hidden <= shown


# --- polls ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", [True, False], ids=["by-id", "by-time"])
@pytest.mark.parametrize(
    ("position", "requests", "rows"), [(0, 6, 19), (7, 4, 19), (19, 3, 20)], ids=str
)
def test_a_poll_with_the_row_on_its_first_page_asks_for_each_other_row_once(
    make_harness: MakeHarness, named: bool, position: int, requests: int, rows: int
) -> None:
    pbx = FakePBX()
    end(pbx, 100, named=named)
    it = make_harness(pbx, start="all")
    poll(it, 2)
    end(pbx, position + 1, named=named)
    make_oversized(pbx, position)
    poll(it, 3)
    before, rows_before = pbx.requests, it.own(ROWS_FETCHED)
    it.poll()

    assert pbx.requests - before == requests
    assert it.own(ROWS_FETCHED) - rows_before == rows
    assert (it.counted, rejected(it), it.gauge("cdr_up")) == (readable(pbx), 1, 1)


def test_a_row_added_above_it_does_not_start_the_search_anew(make_harness: MakeHarness) -> None:
    pbx = FakePBX()
    pbx.call(100)
    make_oversized(pbx, 7)
    it = make_harness(pbx, start="all")
    poll(it, 2)
    pbx.call()
    before = pbx.requests
    it.poll()

    assert pbx.requests - before == 5


@pytest.mark.parametrize("position", [0, 7], ids=str)
@pytest.mark.parametrize("request_number", range(1, 14))
def test_it_is_rejected_once_though_it_moves_down_while_it_is_looked_for(
    make_harness: MakeHarness, request_number: int, position: int
) -> None:
    pbx = FakePBX()
    pbx.call(100)
    it = make_harness(pbx, start="all")
    poll(it, 2)
    pbx.call(position + 1)
    make_oversized(pbx, position)
    at_request(pbx, request_number, pbx.call)
    poll(it, 3)

    assert (it.counted, rejected(it), it.gauge("cdr_up")) == (readable(pbx), 1, 1)


@pytest.mark.parametrize("named", [True, False], ids=["by-id", "by-time"])
@pytest.mark.parametrize("neighbours", [1, 2, 3])
def test_it_is_rejected_once_while_rows_come_and_the_program_starts_again(
    make_harness: MakeHarness, named: bool, neighbours: int, caplog: pytest.LogCaptureFixture
) -> None:
    pbx = FakePBX()
    end(pbx, 40, named=named)
    it = make_harness(pbx, start="all")
    poll(it, 2)
    end(pbx, neighbours, named=named)
    make_oversized(pbx, *range(neighbours))
    with caplog.at_level(logging.WARNING, "cdr_exporter.tail.page_reader"):
        for number in range(25):
            poll(it)
            end(pbx, named=named)
            if number % 10 == 9:
                it.restart()
    poll(it, 2)

    assert (it.counted, rejected(it)) == (readable(pbx), neighbours)
    starts = 3
    assert caplog.text.count("a CDR row is too large to be read") == neighbours * starts


@pytest.mark.parametrize("start", ["all", "now"])
@pytest.mark.parametrize("named", [True, False], ids=["by-id", "by-time"])
@pytest.mark.parametrize("rows", [1, 2, 5, 20, 30, 260])
@pytest.mark.parametrize("place", ["newest", "second", "oldest"])
def test_a_first_start_with_the_row_in_the_list_counts_all_others(
    make_harness: MakeHarness, pbx: FakePBX, start: str, named: bool, rows: int, place: str
) -> None:
    end(pbx, rows, named=named)
    make_oversized(pbx, {"newest": 0, "second": min(1, rows - 1), "oldest": rows - 1}[place])
    it = make_harness(pbx, start=start)
    poll(it, 3)
    before = readable(pbx) if start == "all" else 0
    assert it.counted == before
    end(pbx, 5, named=named)
    poll(it, 4)

    assert it.counted == before + 5
    assert it.gauge("cdr_exporter_backlog") == 0
    assert it.last.shows_calls(it.clock.now())


def test_a_catch_up_of_5_000_rows_reads_around_the_row_in_few_requests(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    pbx.call(100)
    it = make_harness(pbx, start="all")
    it.poll(2)
    pbx.call(5_000)
    make_oversized(pbx, 2_500)
    before = pbx.requests
    it.poll()

    assert (it.counted, rejected(it)) == (5_099, 1)
    assert it.gauge("cdr_exporter_backlog") == 0
    assert pbx.requests - before < 45
    assert it.own(ROWS_FETCHED) < 1.2 * 5_100


def test_another_table_is_confirmed_though_one_of_its_rows_is_too_large(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    pbx.call(300)
    it = make_harness(pbx, start="all")
    poll(it, 2)
    pbx.reset()
    it.clock.pass_(3_000)
    end(pbx, 250)
    make_oversized(pbx, 3, 100)
    poll(it, 3)
    end(pbx, 5)
    poll(it, 3)

    assert it.total("cdr_exporter_lineage_breaks_total") == 1
    assert it.gauge("cdr_exporter_lineage_suspect") == 0
    assert it.counted >= 300 + 5


def test_the_anchor_of_an_outage_is_found_beside_the_row(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    pbx.call(300)
    it = make_harness(pbx, start="all")
    poll(it, 2)
    pbx.call(100)
    make_oversized(pbx, *range(97, 104))
    poll(it, 3)

    assert it.counted == 300 + 97
    assert it.gauge("cdr_exporter_backlog") == 0


def test_a_short_list_whose_oldest_row_is_malformed_ends_without_a_total(
    make_harness: MakeHarness,
) -> None:
    pbx = FakePBX(tells_total=False)
    pbx.call(4)
    make_oversized(pbx, 3)
    it = make_harness(pbx, start="all")
    poll(it, 4)

    assert (it.counted, it.gauge("cdr_exporter_backlog"), it.gauge("cdr_up")) == (3, 0, 1)
