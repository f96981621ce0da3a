"""When the table is suddenly another one: a reset, an old backup, another PBX at the address."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cdr_exporter.errors import TryAgain

from ..support.fake_pbx import FakePBX
from ..support.poller_harness import PollerHarness

BREAKS = "cdr_exporter_lineage_breaks_total"
LEFT_OUT = "cdr_exporter_pre_break_records_total"
SUSPECT = "cdr_exporter_lineage_suspect"


@pytest.fixture
def it(tmp_path: Path) -> Iterator[PollerHarness]:
    """Return a harness that has counted 500 rows, and then 100 that ended one a second."""
    pbx = FakePBX()
    pbx.call(500, started_at=1_600_000_000)
    harness = PollerHarness(tmp_path, pbx, start="all")
    harness.poll()
    end(pbx, 100)
    harness.poll()
    yield harness
    harness.close()


def end(pbx: FakePBX, times: int = 1, **fields: Any) -> None:
    for _ in range(times):
        pbx.clock.pass_(1)
        started = {"started_at": int(pbx.clock.wall) - 60, "uid": f"at-{pbx.clock.wall}"}
        pbx.call(**{**started, **fields})


def poll(it: PollerHarness, times: int = 1) -> None:
    for _ in range(times):
        it.poll()
        it.clock.pass_(30)


@pytest.fixture
def reset(it: PollerHarness) -> FakePBX:
    """Return its PBX after a factory reset and 30 calls."""
    it.clock.pass_(100)
    it.pbx.reset()
    end(it.pbx, 30)
    return it.pbx


@pytest.mark.fault("D7")
def test_the_first_sight_of_another_table_counts_nothing(it: PollerHarness, reset: FakePBX) -> None:
    poll(it)

    assert it.counted == 600
    assert it.gauge(SUSPECT) == 1
    assert it.gauge("cdr_up") == 1
    assert it.total(BREAKS) == 0


@pytest.mark.fault("D6")
def test_the_second_sight_begins_a_new_lineage_and_counts_its_rows(
    it: PollerHarness, reset: FakePBX
) -> None:
    poll(it, 2)
    end(reset, 5)
    poll(it)

    assert it.counted == 635
    assert it.gauge(SUSPECT) == 0
    assert (it.total(BREAKS), it.total(LEFT_OUT)) == (1, 0)
    assert it.gauge("cdr_exporter_backlog") == 0


@pytest.mark.fault("D7")
def test_two_strange_tables_without_a_row_in_common_are_no_confirmation(it: PollerHarness) -> None:
    for number in range(4):
        it.pbx.reset()
        end(it.pbx, 30, src_trunk=f"strange-{number}")
        poll(it)

    assert it.counted == 600
    assert it.total(BREAKS) == 0
    assert it.gauge(SUSPECT) == 1


@pytest.mark.fault("D7")
@pytest.mark.parametrize("between", ["ours", "empty"])
def test_a_table_that_comes_and_goes_is_never_counted(it: PollerHarness, between: str) -> None:
    ours = it.pbx.backup()
    it.pbx.reset()
    end(it.pbx, 30)
    strange = it.pbx.backup()
    for _ in range(5):
        it.pbx.restore(strange)
        poll(it)
        if between == "ours":
            it.pbx.restore(ours)
        else:
            it.pbx.reset()
        poll(it)
    it.pbx.restore(ours)
    end(it.pbx, 3)
    poll(it)

    assert it.counted == 603
    assert it.total(BREAKS) == 0
    assert it.gauge(SUSPECT) == 0


@pytest.mark.fault("D6")
def test_rows_of_the_new_table_that_ended_before_are_left_out_and_reported(
    it: PollerHarness, reset: FakePBX
) -> None:
    for number in range(200):
        reset.call(uid=f"old-{number}", started_at=1_650_000_000 + number)
    poll(it, 3)

    assert it.counted == 630
    assert it.total(LEFT_OUT) == 200


@pytest.mark.fault("D6", "D11")
def test_a_backup_from_before_anything_we_remember_doubles_nothing(it: PollerHarness) -> None:
    end(it.pbx, 4000)
    poll(it, 2)
    before = it.counted
    it.pbx.roll_back(500)
    it.clock.pass_(60)
    end(it.pbx, 30)
    poll(it, 3)

    assert before == 4600
    assert it.counted == 4630
    assert it.total(BREAKS) == 1
    assert it.total(LEFT_OUT) == 500


@pytest.mark.fault("D5")
def test_a_backup_within_what_we_remember_is_no_break(it: PollerHarness) -> None:
    it.clock.pass_(60)
    it.pbx.roll_back(550)
    end(it.pbx, 80)
    poll(it, 2)

    assert it.counted == 680
    assert it.total(BREAKS) == 0
    assert it.total("cdr_exporter_reused_ids_total") == 50


@pytest.mark.fault("D8")
@pytest.mark.parametrize("rows", [1, 19, 20, 25, 300])
def test_a_list_that_was_cleared_goes_on_with_what_comes(it: PollerHarness, rows: int) -> None:
    it.pbx.rows.clear()
    poll(it, 3)
    it.clock.pass_(60)
    end(it.pbx, rows)
    poll(it, 3)

    assert it.counted == 600 + rows
    assert it.gauge("cdr_exporter_backlog") == 0


def test_a_restart_between_two_sights_waits_for_two_more(it: PollerHarness, reset: FakePBX) -> None:
    poll(it)
    it.restart()
    poll(it)
    one = it.counted
    poll(it)

    assert (one, it.counted) == (600, 630)


def test_a_failed_poll_between_two_sights_says_nothing(it: PollerHarness, reset: FakePBX) -> None:
    poll(it)
    it.pbx.failures = [TryAgain("x", reason="connect")]
    it.poll()
    poll(it)

    assert it.counted == 630


def test_a_break_is_confirmed_on_a_busy_table_too(it: PollerHarness) -> None:
    it.clock.pass_(60)
    it.pbx.reset()
    for _ in range(6):
        end(it.pbx, 25)
        poll(it)

    assert it.total(BREAKS) == 1
    assert it.counted == 750


# --- late rows -----------------------------------------------------------------------------------


@pytest.mark.fault("D3")
def test_a_late_row_far_below_the_first_page_is_counted_within_half_the_window(
    it: PollerHarness,
) -> None:
    late = it.pbx.reserve_id()
    end(it.pbx, 300)
    poll(it, 2)
    it.pbx.insert(late, started_at=int(it.clock.wall) - 400)
    poll(it, 11)

    assert it.counted == 901
    assert it.total("cdr_exporter_late_records_total") == 1


@pytest.mark.fault("D3")
def test_a_row_that_is_visible_again_only_after_the_window_is_looked_for_no_more(
    it: PollerHarness,
) -> None:
    late = it.pbx.reserve_id()
    end(it.pbx, 300)
    poll(it, 40)
    before = it.pbx.rows_sent
    poll(it, 30)

    assert it.state.ledger is not None
    assert [each.span() for each in it.state.ledger.recheck if each.low == late] == []
    assert it.pbx.rows_sent - before <= 30 * 20 + 3 * 20


@pytest.mark.fault("D3")
def test_downtime_drops_no_range_to_recheck(it: PollerHarness) -> None:
    late = it.pbx.reserve_id()
    end(it.pbx, 300)
    poll(it)
    it.pbx.insert(late, started_at=int(it.clock.wall) - 400)
    it.clock.pass_(100_000)
    poll(it, 2)

    assert it.counted == 901


def test_ranges_to_recheck_are_read_after_a_start_before_anything_is_shown(
    it: PollerHarness,
) -> None:
    late = it.pbx.reserve_id()
    end(it.pbx, 300)
    poll(it)
    it.pbx.insert(late, started_at=int(it.clock.wall) - 400)
    it.restart()
    seen = len(it.shown)
    it.poll()
    counts = {
        sum(v[0] for key, v in s.totals.series.items() if key.family == "cdr_records_total")
        for s in it.shown[seen:]
        if s.shows_calls(it.clock.now())
    }

    assert counts == {901}


def test_with_nothing_to_recheck_nothing_is_read_twice(it: PollerHarness) -> None:
    poll(it, 25)
    before = it.pbx.rows_sent
    poll(it, 15)

    assert it.pbx.rows_sent - before <= 15 * 20 + 20
