"""By time, what is read again and how often: how soon a finished call counts, and what it costs."""

from __future__ import annotations

import time
from dataclasses import replace
from random import Random

import pytest

from cdr_exporter.cdr import CDRAnswer
from cdr_exporter.cdr.contract import CDRQuery

from ..support.counts import counted
from ..support.fake_pbx import FakePBX
from ..support.poller_harness import MakeHarness, PollerHarness

HOUR = 3600
CALLS = "cdr_calls_total"


def pbx_with(calls: int, *, tells_total: bool = True, every: int = 60) -> FakePBX:
    """Return a PBX of which *calls* calls ended, one *every* so many seconds."""
    pbx = FakePBX(tells_total=tells_total)
    for _ in range(calls):
        pbx.clock.pass_(every)
        end(pbx)
    return pbx


def end(pbx: FakePBX, *legs: tuple[int, int], duration: int = 60) -> None:
    """Let a call end that lasted *duration* seconds.

    Each of *legs* is when it began after the call did, and how long it lasted, in seconds; without
    any, one leg is the whole call. Its uid begins with its start, an hour ahead of UTC.
    """
    started_at = int(pbx.clock.wall) - duration
    local = time.strftime("%Y%m%d%H%M%S", time.gmtime(started_at + HOUR))
    uid = f"{local}{pbx.next_id:05X}"
    for after, lasted in legs or ((0, duration),):
        pbx.call_without_id(started_at=started_at + after, duration=lasted, uid=uid)


def poll(it: PollerHarness, times: int = 1, every: float = 30.0) -> None:
    for _ in range(times):
        it.poll()
        it.clock.pass_(every)


def calls(it: PollerHarness) -> int:
    return counted(it.state.totals, CALLS)


def seconds_until(it: PollerHarness, expected: int, patience: int = 700) -> float:
    """Poll every 30 seconds until so many calls are counted; return how long that took."""
    began = it.clock.wall
    while calls(it) < expected:
        assert it.clock.wall - began < patience
        it.clock.pass_(30)
        it.poll()
    return it.clock.wall - began


def running(make_harness: MakeHarness, pbx: FakePBX) -> PollerHarness:
    """Return an exporter that has read what was there, with `start: now`."""
    it = make_harness(pbx)
    poll(it, 14)
    return it


@pytest.mark.parametrize("tells_total", [True, False], ids=["total-told", "no-total"])
@pytest.mark.parametrize("rows", [5, 200])
def test_a_finished_call_counts_within_two_settle_times(
    make_harness: MakeHarness, rows: int, tells_total: bool
) -> None:
    pbx = pbx_with(rows, tells_total=tells_total)
    it = running(make_harness, pbx)
    took = []
    for number in range(6):
        end(pbx, duration=60 + number * 20)
        took.append(seconds_until(it, number + 1))
        poll(it, number)

    assert max(took) <= 120


@pytest.mark.parametrize("minutes", [30, 150])
def test_a_long_call_that_ends_deep_in_the_list_counts_as_soon_where_the_total_grows(
    make_harness: MakeHarness, minutes: int
) -> None:
    pbx = pbx_with(200)
    it = running(make_harness, pbx)
    end(pbx, duration=minutes * 60)
    took = seconds_until(it, 1)

    assert took <= 120
    assert it.counted == 1


def test_where_the_total_does_not_grow_a_long_call_waits_for_the_read_of_the_whole_window(
    make_harness: MakeHarness,
) -> None:
    pbx = pbx_with(200)
    it = running(make_harness, pbx)
    pbx.delete(1)
    end(pbx, duration=9000)
    took = seconds_until(it, 1)

    assert took <= 300 + 120


def test_a_call_does_not_count_before_its_first_leg_far_below_was_looked_for(
    make_harness: MakeHarness,
) -> None:
    pbx = pbx_with(200, tells_total=False)
    it = running(make_harness, pbx)
    # The first leg lasts as long as the call; the second is on the first page.
    end(pbx, (0, 5000), (4900, 100), duration=5000)
    seconds_until(it, 1)

    assert it.counted == 2
    assert it.total("cdr_exporter_late_legs_total") == 0


def test_a_sweep_for_calls_reads_down_to_where_the_oldest_of_them_began_and_no_further(
    make_harness: MakeHarness,
) -> None:
    pbx = pbx_with(200, tells_total=False)
    it = running(make_harness, pbx)
    # Wait until the whole window was read, so that this does not fall into the measurement.
    sent = pbx.rows_sent
    while pbx.rows_sent - sent <= 20:
        sent = pbx.rows_sent
        poll(it)
    end(pbx, duration=40 * 60)
    end(pbx, (0, 40 * 60), (39 * 60, 60), duration=40 * 60)
    sent, asked = pbx.rows_sent, pbx.requests
    poll(it, 8)

    # The second one, whose first leg was found by the first sweep; and the first one with it.
    assert calls(it) == 2
    # First pages, and twice the 40 rows of 40 minutes.
    assert pbx.rows_sent - sent <= 8 * 20 + 2 * 65
    assert pbx.requests - asked <= 8 + 6


def test_long_calls_that_take_several_polls_to_sweep_for_hold_up_no_short_ones(
    make_harness: MakeHarness,
) -> None:
    pbx = pbx_with(2000, tells_total=False, every=4)
    it = running(make_harness, pbx)

    def sent_slowly(query: CDRQuery, answer: CDRAnswer) -> CDRAnswer:
        """As by a PBX that sends 50 rows a second: the whole window takes more than a poll."""
        it.clock.pass_(len(answer.rows) / 50)
        return answer

    pbx.edit_answer = sent_slowly
    open_before = 0.0
    for _ in range(8):
        end(pbx, (0, 7000), (6990, 5), duration=7000)
        for _ in range(9):
            end(pbx, duration=20)
        poll(it)
        open_before = it.gauge("cdr_exporter_open_calls")
    took = [seconds_until(it, 72)]

    # 80 calls ended in about 8 minutes; of the 72 short ones none waits for a long one.
    assert open_before < 60
    assert took[0] <= 120


def test_a_total_that_grows_by_rows_that_are_nowhere_is_searched_for_ever_more_rarely(
    make_harness: MakeHarness,
) -> None:
    pbx = pbx_with(300)
    it = running(make_harness, pbx)
    began, sent = it.clock.wall, pbx.rows_sent

    def with_hidden_rows(query: CDRQuery, answer: CDRAnswer) -> CDRAnswer:
        assert answer.total is not None
        return replace(answer, total=answer.total + int(it.clock.wall - began) // 30)

    pbx.edit_answer = with_hidden_rows
    poll(it, 240)

    # First pages, the whole window every five minutes, and a few searches more.
    assert pbx.rows_sent - sent <= 240 * 20 + 24 * 230 + 10 * 230


@pytest.mark.fault("C27")
@pytest.mark.parametrize("tells_total", [True, False], ids=["total-told", "no-total"])
@pytest.mark.parametrize("impossible", [25, 80, 600])
def test_rows_of_an_impossible_time_on_top_delay_no_other_row(
    make_harness: MakeHarness, impossible: int, tells_total: bool
) -> None:
    pbx = pbx_with(100, tells_total=tells_total)
    ahead = 2_082_000_000
    it = running(make_harness, pbx)
    for number in range(impossible):
        pbx.call_without_id(started_at=ahead + number)
    poll(it, 12)
    before = it.counted
    seen = []
    for _ in range(5):
        end(pbx)
        poll(it)
        seen.append(it.counted - before)
    sent, asked = pbx.rows_sent, pbx.requests
    poll(it, 8)

    assert seen == [1, 2, 3, 4, 5]
    # The rows on top are not read through: one page more a poll, of few rows.
    assert pbx.requests - asked <= 8 * 2 + 30
    assert pbx.rows_sent - sent <= 8 * 50 + 2 * (impossible + 250)


def test_below_rows_of_an_impossible_time_an_outage_is_caught_up_with(
    make_harness: MakeHarness,
) -> None:
    pbx = pbx_with(100)
    it = running(make_harness, pbx)
    for number in range(80):
        pbx.call_without_id(started_at=2_082_000_000 + number)
    poll(it, 2)
    it.close()
    for _ in range(900):
        pbx.clock.pass_(60)
        end(pbx)
    it.restart()
    poll(it, 3)

    assert it.counted == 80 + 900


def test_right_times_cost_no_row_more_than_the_first_page(make_harness: MakeHarness) -> None:
    pbx = pbx_with(300)
    it = running(make_harness, pbx)
    sent, asked = pbx.rows_sent, pbx.requests
    poll(it, 120)

    # First pages, and the whole window of 195 rows every five minutes.
    assert pbx.rows_sent - sent <= 120 * 20 + 13 * 250
    assert pbx.requests - asked <= 120 + 13 * 2 + 10


def test_a_poll_that_brings_nothing_commits_nothing(make_harness: MakeHarness) -> None:
    pbx = pbx_with(300)
    it = running(make_harness, pbx)
    poll(it, 4)
    shown = len(it.shown)
    poll(it, 40)

    # Each poll publishes once at its end, and once more for each page that it commits.
    assert len(it.shown) - shown <= 40 + 4


def test_after_a_restart_calls_wait_until_what_is_not_durable_was_read_again(
    make_harness: MakeHarness,
) -> None:
    pbx = pbx_with(200, tells_total=False)
    it = running(make_harness, pbx)
    end(pbx, (0, 3000), (2950, 50), duration=3000)
    poll(it, 1)
    it.restart()
    it.clock.pass_(90)
    poll(it, 6)

    assert calls(it) == 1
    assert it.total("cdr_exporter_late_legs_total") == 0


@pytest.mark.slow
@pytest.mark.parametrize("tells_total", [True, False], ids=["total-told", "no-total"])
@pytest.mark.parametrize("seed", [0])
def test_calls_of_all_lengths_are_counted_whole_and_soon(
    make_harness: MakeHarness, seed: int, tells_total: bool
) -> None:
    chance = Random(seed)
    pbx = pbx_with(200, tells_total=tells_total, every=40)
    it = running(make_harness, pbx)
    legs = 0
    for number in range(200):
        for _ in range(chance.choice([0, 1, 3])):
            lasts = int(min(9000, chance.lognormvariate(4.5, 1.2))) + 5
            parts = [
                (0, lasts),
                *((chance.randrange(lasts), 3) for _ in range(chance.randrange(3))),
            ]
            legs += len(parts)
            end(pbx, *parts, duration=lasts)
        poll(it)
        if number in (50, 125):
            it.restart()
    poll(it, 30)

    assert it.counted == legs
    assert it.gauge("cdr_exporter_open_calls") == 0
    assert it.total("cdr_exporter_late_legs_total") == 0
