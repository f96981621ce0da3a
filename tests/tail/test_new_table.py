"""A PBX that keeps new rows in a table of their own, and may show them for `from=new` only."""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import suppress
from random import Random

import pytest

from cdr_exporter.errors import TryAgain, WaitLong
from cdr_exporter.ledger.order import BY_ID, BY_TIME, NEW_BY_TIME

from ..support.counts import records
from ..support.fake_pbx import (
    BOTH_TABLES,
    FIRMWARES,
    LEGACY_ONLY,
    OLD,
    TOTAL_OF_BOTH,
    FakePBX,
)
from ..support.poller_harness import MakeHarness, PollerHarness
from ..support.without_ids import end, order_of, poll

HIDING = (LEGACY_ONLY, TOTAL_OF_BOTH)
HOUR = 3600.0
REFUSALS = [
    pytest.param(TryAgain("no", reason="api", errcode=40002), id="errcode"),
    pytest.param(TryAgain("no", reason="garbled"), id="garbled"),
    pytest.param(WaitLong("no", reason="http", first=60.0, most=1800.0), id="404"),
]


@pytest.fixture(params=HIDING)
def pbx(request: pytest.FixtureRequest) -> FakePBX:
    pbx = FakePBX()
    pbx.firmware = request.param
    return pbx


def upgraded_pbx(it: PollerHarness, rows: int = 5) -> PollerHarness:
    """Let the PBX of *it* write new rows, and poll until they are followed."""
    end(it.pbx, rows)
    it.clock.pass_(HOUR)
    poll(it, 3)
    assert order_of(it) is NEW_BY_TIME
    return it


@pytest.mark.parametrize("legacy", [0, 3, 700])
@pytest.mark.parametrize("start", ["now", "all"])
def test_a_pbx_met_with_two_tables_is_followed_in_the_new_one_from_the_start(
    make_harness: MakeHarness, pbx: FakePBX, start: str, legacy: int
) -> None:
    end(pbx, legacy, named=True)
    end(pbx, 300)
    it = make_harness(pbx, start=start)
    poll(it, 4)
    before = it.counted
    end(pbx, 40)
    poll(it, 2)

    baseline = 0 if start == "now" else legacy + 300
    assert order_of(it) is NEW_BY_TIME
    assert (before, it.counted) == (baseline, baseline + 40)
    assert it.last.shows_calls(it.clock.now())


def test_a_baseline_of_both_tables_is_shown_only_when_it_is_whole(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    end(pbx, 1500, named=True)
    end(pbx, 1500)
    it = make_harness(pbx, start="all")
    pbx.before_answer = lambda: it.clock.pass_(6)
    poll(it, 30)

    whole = [each for each in it.shown if each.shown]
    assert len(whole) < len(it.shown) - 5
    assert {records(each.totals) for each in whole} == {3000}


@pytest.mark.parametrize("killed_after", [3, 6, 7, 9])
def test_a_baseline_of_both_tables_survives_being_killed(
    make_harness: MakeHarness, pbx: FakePBX, killed_after: int
) -> None:
    end(pbx, 899, named=True)
    # So that the end of the legacy rows does not tell since when there are new ones.
    pbx.call(started_at=int(pbx.clock.wall) + 43_000)
    end(pbx, 900)
    pbx.clock.pass_(80_000)
    it = make_harness(pbx, start="all")
    pbx.kill_after(killed_after)
    with suppress(SystemExit):
        poll(it, 5)
    pbx.before_answer = lambda: None
    it.restart()
    poll(it, 4)

    assert order_of(it) is NEW_BY_TIME
    assert it.counted == 1800
    assert it.last.shows_calls(it.clock.now())


def test_a_baseline_goes_on_with_one_table_where_the_other_one_goes(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    end(pbx, 900, named=True)
    end(pbx, 900)
    it = make_harness(pbx, start="all")
    pbx.kill_after(6)
    with suppress(SystemExit):
        poll(it, 5)
    pbx.before_answer = lambda: None
    pbx.hides_new_table = True
    it.restart()
    poll(it, 4)

    assert order_of(it) is BY_ID
    assert it.counted == 900
    assert it.state.ledger is not None
    assert not it.state.ledger.in_baseline
    assert it.last.shows_calls(it.clock.now())


@pytest.mark.parametrize("new", [1, 40, 900])
@pytest.mark.parametrize("start", ["now", "all"])
def test_an_upgrade_while_it_runs_is_found_and_loses_and_doubles_nothing(
    make_harness: MakeHarness, pbx: FakePBX, start: str, new: int
) -> None:
    end(pbx, 300, named=True)
    it = make_harness(pbx, start=start)
    poll(it, 2)
    end(pbx, 10, named=True)
    poll(it, 2)
    it.clock.pass_(120)
    end(pbx, new)
    poll(it, 25)
    end(pbx, 7)
    poll(it, 2)

    assert order_of(it) is NEW_BY_TIME
    assert it.counted == (300 if start == "all" else 0) + 17 + new


@pytest.mark.fault("C26")
@pytest.mark.parametrize("legacy", [5, 1500])
def test_rows_of_both_tables_that_came_during_an_outage_all_count(
    make_harness: MakeHarness, pbx: FakePBX, legacy: int
) -> None:
    end(pbx, 300, named=True)
    it = make_harness(pbx)
    poll(it, 3)
    it.close()
    end(pbx, legacy, named=True)
    it.clock.pass_(2 * 86_400)
    end(pbx, 1200)
    it.restart()
    pbx.before_answer = lambda: it.clock.pass_(6)
    poll(it, 30, 1)
    pbx.before_answer = lambda: None
    poll(it, 10)

    assert order_of(it) is NEW_BY_TIME
    assert it.counted == legacy + 1200


def test_the_new_table_waits_until_the_legacy_one_was_read(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    end(pbx, 300, named=True)
    it = make_harness(pbx)
    poll(it, 3)
    it.close()
    end(pbx, 3000, named=True)
    end(pbx, 100)
    it.restart()
    pbx.before_answer = lambda: it.clock.pass_(11)
    seen = []
    for number in range(40):
        it.poll()
        assert it.state.ledger is not None
        seen.append((order_of(it), it.state.ledger.backlog > 0))
        if number in (2, 5, 9):
            it.restart()

    assert (BY_ID, True) in seen
    assert it.counted == 3100
    assert seen[-1] == (NEW_BY_TIME, False)


def test_a_restart_goes_on_with_the_new_table(make_harness: MakeHarness, pbx: FakePBX) -> None:
    end(pbx, 300, named=True)
    it = make_harness(pbx, start="all")
    poll(it, 2)
    upgraded_pbx(it, 100)
    it.restart()
    asked = pbx.requests
    end(pbx, 50)
    poll(it, 3)

    assert order_of(it) is NEW_BY_TIME
    assert it.counted == 450
    assert {query.from_ for query in pbx.queries[asked:]} == {"new"}


@pytest.mark.slow
@pytest.mark.parametrize("killed_after", [1, 3, 5, 8])
def test_a_process_killed_while_it_changes_over_to_the_new_table_goes_on_where_it_was(
    make_harness: MakeHarness, pbx: FakePBX, killed_after: int
) -> None:
    end(pbx, 600, named=True)
    it = make_harness(pbx, start="all")
    poll(it, 2)
    it.clock.pass_(120)
    end(pbx, 1500)
    it.clock.pass_(HOUR)
    for _ in range(4):
        pbx.kill_after(killed_after)
        with suppress(SystemExit):
            poll(it, 3)
        pbx.before_answer = lambda: None
        it.restart()
    poll(it, 3)

    assert it.counted == 2100


def test_every_query_for_the_new_table_says_so(make_harness: MakeHarness, pbx: FakePBX) -> None:
    end(pbx, 300, named=True)
    it = make_harness(pbx)
    poll(it, 2)
    upgraded_pbx(it)
    asked = pbx.requests
    for _ in range(4):
        end(pbx, 700)
        poll(it, 14)
        end(pbx, duration=3000)
    it.restart()
    poll(it, 3)

    assert len({query.page_size for query in pbx.queries[asked:]}) > 3
    assert {query.from_ for query in pbx.queries[asked:]} == {"new"}
    assert it.counted == 5 + 4 * 701


def test_it_is_said_once(
    make_harness: MakeHarness, pbx: FakePBX, caplog: pytest.LogCaptureFixture
) -> None:
    end(pbx, 300, named=True)
    it = make_harness(pbx)
    poll(it, 2)
    upgraded_pbx(it)
    it.restart()
    poll(it, 150)

    said = [r.message for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(said) == 1
    assert "from=new" in said[0]


@pytest.mark.parametrize("firmware", [OLD, BOTH_TABLES])
def test_where_the_list_shows_everything_it_is_followed_without_from(
    make_harness: MakeHarness, firmware: str
) -> None:
    pbx = FakePBX()
    pbx.firmware = firmware
    end(pbx, 300, named=True)
    it = make_harness(pbx, start="all")
    poll(it, 2)
    end(pbx, 50)
    poll(it, 150)
    end(pbx, 50)
    poll(it, 2)
    asked = Counter(query.from_ for query in pbx.queries)

    assert order_of(it) is BY_TIME
    assert it.counted == 400
    # One look an hour, and one every ten minutes without a new row.
    assert asked["new"] <= 12


def test_a_quiet_pbx_of_old_firmware_is_asked_for_one_row_of_a_new_table_every_ten_minutes(
    make_harness: MakeHarness,
) -> None:
    pbx = FakePBX()
    end(pbx, 300, named=True)
    it = make_harness(pbx)
    poll(it, 1)
    asked, sent = pbx.requests, pbx.rows_sent
    poll(it, 240)

    new = [query for query in pbx.queries[asked:] if query.from_]
    assert order_of(it) is BY_ID
    assert [query.page_size for query in new].count(1) <= 12
    assert [query.page_size for query in new].count(20) <= 2
    assert pbx.rows_sent - sent <= 240 * 20 + 2 * 2 * 20 + 2 * 12 + 20


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("start", ["now", "all"])
def test_a_pbx_that_refuses_from_loses_nothing(
    make_harness: MakeHarness, start: str, refusal: Exception
) -> None:
    pbx = FakePBX()
    if isinstance(refusal, WaitLong):
        end(pbx, 300, named=True)
        it = make_harness(pbx, start=start)
        poll(it, 2)
        pbx.refuses_from = refusal
        it.restart()
    else:
        pbx.refuses_from = refusal
        end(pbx, 300, named=True)
        it = make_harness(pbx, start=start)
    poll(it, 150)
    end(pbx, 40, named=True)
    poll(it, 2)

    assert it.counted == (340 if start == "all" else 40)
    assert it.gauge("cdr_up") == 1
    assert it.own("cdr_exporter_polls_total") > 100


def test_a_first_start_waits_where_it_is_not_known_what_the_new_table_holds(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    end(pbx, 300, named=True)
    end(pbx, 100)
    pbx.refuses_from = TryAgain("no answer", reason="timeout")
    it = make_harness(pbx)
    poll(it, 2)
    waiting = it.gauge("cdr_up"), order_of(it)
    pbx.refuses_from = None
    poll(it, 4)
    end(pbx, 3)
    poll(it, 2)

    assert waiting == (0, None)
    assert it.counted == 3


def test_a_refusal_by_an_upgraded_pbx_ends_with_the_next_look(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    end(pbx, 300, named=True)
    it = make_harness(pbx)
    poll(it, 2)
    pbx.refuses_from = TryAgain("no", reason="api", errcode=-1)
    end(pbx, 50)
    poll(it, 200)
    pbx.refuses_from = None
    poll(it, 130)

    assert order_of(it) is NEW_BY_TIME
    assert it.counted == 50


@pytest.mark.parametrize("way", ["empty", "refused", "old"])
def test_a_new_table_that_goes_for_a_while_loses_and_doubles_nothing(
    make_harness: MakeHarness, pbx: FakePBX, way: str
) -> None:
    end(pbx, 300, named=True)
    it = make_harness(pbx)
    poll(it, 2)
    upgraded_pbx(it, 50)
    firmware = pbx.firmware
    pbx.hides_new_table = way == "empty"
    pbx.refuses_from = TryAgain("no", reason="api", errcode=-1) if way == "refused" else None
    if way == "old":
        hidden = {serial: row for serial, row in pbx.rows.items() if not row.id}
        pbx.delete(*hidden)
        pbx.firmware = OLD
    poll(it, 5)
    end(pbx, 20, named=True)
    poll(it, 40)
    between = it.counted, it.gauge("cdr_up")
    if way == "old":
        pbx.rows.update(hidden)
    pbx.hides_new_table, pbx.refuses_from, pbx.firmware = False, None, firmware
    end(pbx, 30)
    poll(it, 150)

    assert between == (70, 1)
    assert order_of(it) is NEW_BY_TIME
    assert it.counted == 100


def test_one_poll_without_the_new_table_changes_nothing(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    end(pbx, 300, named=True)
    it = make_harness(pbx)
    poll(it, 2)
    upgraded_pbx(it, 50)
    pbx.hides_new_table = True
    poll(it, 1)
    pbx.hides_new_table = False
    end(pbx, 7)
    poll(it, 1)

    assert order_of(it) is NEW_BY_TIME
    assert it.counted == 57


def test_what_is_unread_of_a_new_table_that_goes_is_said_and_read_once_it_is_back(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    end(pbx, 300, named=True)
    it = make_harness(pbx)
    poll(it, 2)
    upgraded_pbx(it, 50)
    it.close()
    it.clock.pass_(86_400)
    end(pbx, 3000)
    it.restart()
    pbx.before_answer = lambda: it.clock.pass_(31)
    poll(it, 2, 0)
    unread = it.gauge("cdr_exporter_backlog")
    pbx.hides_new_table = True
    poll(it, 3)
    down = it.gauge("cdr_up")
    pbx.hides_new_table = False
    pbx.before_answer = lambda: None
    poll(it, 3)

    assert (unread > 0, down) == (True, 0)
    assert order_of(it) is NEW_BY_TIME
    assert it.counted == 3050


def test_a_pbx_that_shows_both_tables_and_then_one_loses_and_doubles_nothing(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    firmware, pbx.firmware = pbx.firmware, BOTH_TABLES
    end(pbx, 300, named=True)
    it = make_harness(pbx, start="all")
    poll(it, 2)
    end(pbx, 200)
    poll(it, 25)
    before = order_of(it)
    pbx.firmware = firmware
    end(pbx, 60)
    poll(it, 30)
    end(pbx, 5)
    poll(it, 2)

    assert (before, order_of(it)) == (BY_TIME, NEW_BY_TIME)
    assert it.counted == 565


def test_a_list_that_is_emptied_by_the_upgrade_does_not_hide_the_new_table(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    end(pbx, 300, named=True)
    it = make_harness(pbx)
    poll(it, 2)
    pbx.delete(*pbx.rows)
    end(pbx, 40)
    poll(it, 130)

    assert order_of(it) is NEW_BY_TIME
    assert it.counted == 40


def test_rows_years_ahead_do_not_hide_the_new_table(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    end(pbx, 300, named=True)
    pbx.call(80, started_at=int(pbx.clock.wall) + 10 * 365 * 86_400)
    it = make_harness(pbx)
    poll(it, 2)
    upgraded_pbx(it, 40)

    assert it.counted == 40


def seeds(few: int, many: int) -> list[object]:
    """Return *many* seeds, of which all but *few* are for `make test-long`."""
    return [*range(few), *(pytest.param(n, marks=pytest.mark.long) for n in range(few, many))]


@pytest.mark.slow
@pytest.mark.parametrize("start", ["now", "all"])
@pytest.mark.parametrize("seed", seeds(1, 8))
@pytest.mark.parametrize("firmware", FIRMWARES)
def test_whatever_the_firmware_and_the_moment_of_the_upgrade_each_row_counts_once(
    make_harness: MakeHarness, firmware: str, seed: int, start: str
) -> None:
    chance = Random(f"{firmware}/{seed}/{start}")
    pbx = FakePBX(tells_total=chance.random() < 0.8)
    pbx.without_id = chance.choice(["first", "last", "left_out"])
    steps, upgrade_at = 16, chance.randrange(-1, 10)
    rows = chance.choice([3, 250, 900])
    is_new = False

    def calls(times: int) -> None:
        end(pbx, times, named=not is_new, duration=chance.choice([5, 60, 900]))

    calls(rows)
    if upgrade_at < 0:
        pbx.firmware, is_new = firmware, firmware != OLD
        calls(rows)
    there = len(pbx.rows)
    it = make_harness(pbx, start=start)
    poll(it, 3)
    for step in range(steps):
        if step == upgrade_at:
            pbx.firmware, is_new = firmware, firmware != OLD
        calls(chance.choice([0, 1, 30, 300]))
        match chance.choice(["polls", "outage", "restart", "killed", "hour"]):
            case "outage":
                it.clock.pass_(chance.choice([HOUR, 30 * HOUR]))
            case "restart":
                it.restart()
            case "killed":
                pbx.kill_after(chance.randrange(1, 9))
                with suppress(SystemExit):
                    poll(it, 3)
                pbx.before_answer = lambda: None
                it.restart()
            case "hour":
                poll(it, 12, 300)
        poll(it, chance.randrange(4))
    poll(it, 140)

    assert it.counted == len(pbx.rows) - (there if start == "now" else 0)
    assert it.gauge("cdr_up") == 1
    assert it.gauge("cdr_exporter_backlog") == 0
