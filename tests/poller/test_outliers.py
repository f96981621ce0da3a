"""Single rows that stand apart, by their id or by their time, and all the others around them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cdr_exporter.cdr import CDRAnswer, Rejected
from cdr_exporter.cdr.contract import CDRQuery
from cdr_exporter.ledger.page import FIRST_PAGE_ROWS, HALF_A_FIRST_PAGE

from ..support.fake_pbx import FakePBX
from ..support.poller_harness import MakeHarness, PollerHarness

LATE_WINDOW = 900
FAR = 1_000_000
HOUR, YEAR = 3_600, 365 * 86_400


def reject_outliers(pbx: FakePBX) -> None:
    """Let the rows with ids above `FAR` be malformed ones."""

    def rejecting(query: CDRQuery, answer: CDRAnswer) -> CDRAnswer:
        good = [row for row in answer.rows if row.id < FAR]
        bad = [Rejected("number", row.fingerprint, row.id) for row in answer.rows if row.id >= FAR]
        return replace(answer, rows=good, rejected=bad)

    pbx.edit_answer = rejecting


def pass_late_window(it: PollerHarness) -> None:
    for _ in range(10):
        it.clock.pass_(LATE_WINDOW / 3)
        it.poll()


@pytest.mark.fault("D12")
@pytest.mark.parametrize("start", ["all", "now"])
@pytest.mark.parametrize("rejected", [False, True])
@pytest.mark.parametrize("outliers", [1, 2, HALF_A_FIRST_PAGE - 1])
@pytest.mark.parametrize("there_before", [True, False])
def test_below_ids_far_above_the_others_each_row_is_counted_once(
    make_harness: MakeHarness,
    pbx: FakePBX,
    start: str,
    rejected: bool,
    outliers: int,
    there_before: bool,
) -> None:
    pbx.call(106)
    it = make_harness(pbx, start=start)
    if rejected:
        reject_outliers(pbx)
    if not there_before:
        it.poll()
    for number in range(outliers):
        pbx.insert(FAR * (number + 1) + 106)
    it.poll()
    pass_late_window(it)
    before = it.counted
    pbx.call(100)
    it.poll()

    assert it.counted == before + 100
    assert it.own("cdr_exporter_poll_failures_total", "garbled") == 0
    pbx.call(100)
    it.poll()
    assert it.counted == before + 200
    assert it.total("cdr_exporter_late_records_total") == 0


@pytest.mark.fault("D12")
@pytest.mark.parametrize("above", [*range(1, 25), 1_000, 99_000])
def test_below_an_id_a_little_above_the_others_each_row_is_counted_once(
    make_harness: MakeHarness, pbx: FakePBX, above: int
) -> None:
    pbx.call(106)
    pbx.insert(106 + above)
    it = make_harness(pbx, start="all")
    it.poll()
    pass_late_window(it)
    pbx.call(min(above - 1, 100))
    pbx.skip_ids(1)
    pbx.call(60)
    for _ in range(3):
        it.poll()
        it.clock.pass_(LATE_WINDOW / 2)

    assert it.counted == len(pbx.rows)


@pytest.mark.fault("D12")
def test_ids_that_pass_nine_outliers_between_two_polls_lose_no_row_below_them(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    pbx.call(106)
    for row_id in range(300, 309):
        pbx.insert(row_id)
    it = make_harness(pbx, start="all")
    it.poll()
    pbx.call(193)
    pbx.skip_ids(9)
    pbx.call(100, uid="above")
    it.poll()

    assert it.counted == len(pbx.rows)


@pytest.mark.fault("D12")
@pytest.mark.parametrize("above", [30, 500, 1_000_000])
def test_a_backup_that_keeps_an_outlier_and_ids_given_again_below_it_lose_no_row(
    make_harness: MakeHarness, pbx: FakePBX, above: int
) -> None:
    pbx.call(106)
    pbx.insert(106 + above)
    backup = pbx.backup()
    it = make_harness(pbx, start="all")
    it.poll()
    pbx.skip_ids(above)
    pbx.call(60)
    it.poll()
    before = it.counted
    pbx.restore(backup)
    pbx.call(29, uid="again")
    pbx.skip_ids(1)
    pbx.call(40, uid="again")
    it.poll()

    assert it.counted == before + 69


@pytest.mark.fault("D12")
def test_rows_that_go_on_above_an_outlier_cost_no_more_than_others(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    pbx.call(106)
    it = make_harness(pbx, start="all")
    it.poll()
    pbx.skip_ids(FAR)
    pbx.call(FIRST_PAGE_ROWS + 1)
    it.poll()
    pass_late_window(it)
    sent = pbx.rows_sent
    pbx.call(100)
    it.poll()

    assert it.counted == len(pbx.rows)
    assert pbx.rows_sent - sent <= 1.2 * 100 + FIRST_PAGE_ROWS


@pytest.mark.fault("D12")
def test_an_outlier_on_top_costs_nothing_while_no_rows_come(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    pbx.call(106)
    pbx.insert(FAR)
    it = make_harness(pbx, start="all")
    it.poll()
    pass_late_window(it)
    sent = pbx.rows_sent
    it.poll(5)

    assert pbx.rows_sent - sent == 5 * FIRST_PAGE_ROWS


@pytest.mark.fault("D12")
def test_rows_below_an_outlier_cost_as_many_as_they_are(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    pbx.call(106)
    pbx.insert(FAR)
    it = make_harness(pbx, start="all")
    it.poll()
    pass_late_window(it)
    sent = pbx.rows_sent
    pbx.call(100)
    it.poll()

    assert pbx.rows_sent - sent <= 1.2 * 100 + FIRST_PAGE_ROWS


@pytest.mark.fault("D12")
def test_a_late_row_below_an_outlier_is_found_and_no_other_is_called_late(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    pbx.call(106)
    pbx.insert(FAR)
    it = make_harness(pbx, start="all", late_window=LATE_WINDOW)
    it.poll()
    pass_late_window(it)
    pbx.call(3)
    late = pbx.reserve_id()
    pbx.call(3)
    it.poll()
    on_time = it.total("cdr_exporter_late_records_total")
    for _ in range(10):
        pbx.call(6)
        it.poll()
    pbx.insert(late)
    it.clock.pass_(LATE_WINDOW / 2)
    it.poll()

    assert on_time == 0
    assert it.counted == len(pbx.rows)


@pytest.mark.fault("D12")
def test_a_backup_that_keeps_the_outlier_loses_and_doubles_nothing(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    pbx.call(150)
    pbx.insert(FAR)
    it = make_harness(pbx, start="all")
    it.poll()
    backup = pbx.backup()
    pbx.call(50)
    it.poll()
    pbx.restore(backup)
    it.poll()
    before = it.counted
    pbx.call(100, uid="another")
    it.poll()

    assert it.counted == before + 100


@pytest.mark.fault("D12")
def test_an_older_backup_that_keeps_the_outlier_is_another_table(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    pbx.call(150)
    pbx.insert(FAR)
    backup = pbx.backup()
    it = make_harness(pbx, start="all")
    it.poll()
    pbx.call(5_000)
    it.poll()
    before = it.counted
    pbx.restore(backup)
    pbx.call(15, uid="another", started_at=1_700_006_000)
    it.poll(3)

    assert it.counted == before + 15
    assert it.total("cdr_exporter_lineage_breaks_total") == 1


@pytest.mark.fault("D12")
def test_rows_below_the_only_row_there_was_are_counted(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    # Without `total_number` a single row may be what a PBX shows that is still starting.
    pbx.tells_total = True
    pbx.insert(FAR)
    it = make_harness(pbx, start="now")
    it.poll()
    for _ in range(4):
        pass_late_window(it)
        pbx.call(40)
        it.poll()

    assert it.counted == 160


# --- by time -------------------------------------------------------------------------------------


def end_without_id(pbx: FakePBX, calls: int, ahead: int = 0) -> None:
    """Let *calls* calls of half a minute end, one every 200 ms; the PBX's clock is so far ahead."""
    for _ in range(calls):
        pbx.clock.pass_(0.2)
        pbx.call_without_id(started_at=int(pbx.clock.wall) - 30 + ahead, duration=30)


def beside_outliers(
    make_harness: MakeHarness, pbx: FakePBX, outliers: int, ahead: int
) -> PollerHarness:
    """Return an exporter of a PBX with so many rows that far ahead, in seconds."""
    end_without_id(pbx, 50)
    it = make_harness(pbx, start="all")
    it.poll(2)
    pbx.call_without_id(outliers, started_at=int(pbx.clock.wall) + ahead)
    return it


def poll_without_calls(it: PollerHarness) -> None:
    for _ in range(7):
        it.poll()
        it.clock.pass_(30)


@pytest.mark.fault("D12")
@pytest.mark.parametrize("tells_total", [True, False], ids=["total-told", "no-total"])
@pytest.mark.parametrize("ahead", [5 * HOUR, 24 * HOUR + 20, 10 * YEAR], ids=str)
@pytest.mark.parametrize("outliers", [1, HALF_A_FIRST_PAGE - 1])
def test_by_time_a_burst_below_rows_that_are_ahead_is_counted_in_one_poll(
    make_harness: MakeHarness, outliers: int, ahead: int, tells_total: bool
) -> None:
    pbx = FakePBX(tells_total=tells_total)
    it = beside_outliers(make_harness, pbx, outliers, ahead)
    for _ in range(4):
        poll_without_calls(it)
        end_without_id(pbx, 300)
        it.poll()
        assert it.counted == len(pbx.rows)


@pytest.mark.fault("D12")
@pytest.mark.parametrize("tells_total", [True, False], ids=["total-told", "no-total"])
@pytest.mark.parametrize("outliers", [HALF_A_FIRST_PAGE, FIRST_PAGE_ROWS - 1, 45])
def test_by_time_a_burst_below_many_rows_of_an_impossible_time_is_counted_in_one_poll(
    make_harness: MakeHarness, outliers: int, tells_total: bool
) -> None:
    pbx = FakePBX(tells_total=tells_total)
    it = beside_outliers(make_harness, pbx, outliers, 10 * YEAR)
    for _ in range(4):
        poll_without_calls(it)
        end_without_id(pbx, 300)
        it.poll()
        assert it.counted == len(pbx.rows)


@pytest.mark.fault("D12")
def test_by_time_a_few_calls_in_three_hours_are_counted_once_each(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    # The clock is ahead of us, and the tenth newest row began before all that are remembered.
    it = make_harness(pbx, start="all")
    for _ in range(30):
        pbx.clock.pass_(HOUR)
        end_without_id(pbx, 1, ahead=5 * HOUR)
        it.poll(2)
    end_without_id(pbx, 40, ahead=5 * HOUR)
    it.poll(2)

    assert it.counted == len(pbx.rows)
