"""Lists that leave rows out, or end before they should."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from ..support.counts import records
from ..support.fake_pbx import FakePBX
from ..support.poller_harness import MakeHarness, shorten_pages


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
