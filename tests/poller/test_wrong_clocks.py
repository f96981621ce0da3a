"""A PBX whose clock is wrong, for good or for some rows: what is counted stays the same.

No decision compares the PBX's clock with ours where it need not. Where it must, a time that no
clock can show which is off by a day at most moves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdr_exporter.errors import TryAgain
from cdr_exporter.metrics.totals import Series

from ..support.fake_pbx import FakePBX
from ..support.poller_harness import PollerHarness

HOUR, DAY = 3600, 86_400
IN_2036, IN_1970 = 2_085_978_496, 86_400

MENU = {"call_to": "IVR Main<6200>", "duration": 20, "ring_duration": 0, "talk_duration": 20}
MISSED = {"call_to": "Ada<2001>", "duration": 15, "ring_duration": 15, "talk_duration": 0}
ANSWER: dict[str, Any] = {
    "call_to": "Ben<2002>",
    "duration": 65,
    "ring_duration": 5,
    "talk_duration": 60,
}
SHIFTS = [
    pytest.param(shift, id=name)
    for name, shift in {
        "right": 0,
        "3h-ahead": 3 * HOUR,
        "12h-ahead": 12 * HOUR,
        "4h-behind": -4 * HOUR,
        "12h-behind": -12 * HOUR,
        "2-days-ahead": 2 * DAY,
        "400-days-behind": -400 * DAY,
    }.items()
]


class WrongClock(PollerHarness):
    """A poller whose PBX's clock is *ahead* seconds of ours, which its answers tell or not."""

    def __init__(
        self,
        state_dir: Path,
        *,
        ahead: int,
        with_ids: bool = True,
        tells: bool = False,
        **changed: Any,
    ) -> None:
        super().__init__(state_dir, FakePBX(), **{"stale_after": float(HOUR), **changed})
        self.ahead = ahead
        self.pbx.clock_offset = float(ahead) if tells else None
        self.call = self.pbx.call if with_ids else self.pbx.call_without_id

    def leg(self, uid: str, leg: Mapping[str, Any], *, ago: int = 0, **fields: Any) -> None:
        """Show a *leg* that ended *ago* seconds before now."""
        began = int(self.clock.wall) - ago - leg["duration"] + self.ahead
        missed = {} if leg["talk_duration"] else {"disposition": "NO ANSWER"}
        self.call(**{"uid": uid, "started_at": began, **missed, **leg, **fields})

    def run(self, seconds: float, step: float = 30.0) -> None:
        """Poll for so many *seconds*, every *step* seconds."""
        for _ in range(round(seconds / step)):
            self.poll()
            self.clock.pass_(step)

    @property
    def durable(self) -> dict[tuple[str, ...], object]:
        """What was counted, without series at 0."""
        series = self.state.totals.series.items()
        return {(key.family, *key.labels): value for key, value in series if any(value)}

    @property
    def calls(self) -> int:
        return sum(
            value[0]
            for key, value in self.state.totals.series.items()
            if key.family == "cdr_calls_total"
        )

    @property
    def late(self) -> int:
        return self.total("cdr_exporter_late_legs_total")


def office(state_dir: Path, ahead: int, **changed: Any) -> WrongClock:
    """Return one that has read the row which was there before the start."""
    it = WrongClock(state_dir, ahead=ahead, **changed)
    it.leg("from-before", MENU)
    it.run(30)
    return it


# --- counted calls -------------------------------------------------------------------------------


@pytest.mark.fault("D14")
@pytest.mark.parametrize("ahead", SHIFTS)
@pytest.mark.parametrize("restarts", [False, True], ids=["running", "restarted"])
def test_a_counted_call_is_remembered_by_when_it_was_counted(
    tmp_path: Path, ahead: int, restarts: bool
) -> None:
    it = office(tmp_path, ahead)
    it.leg("a-call", MENU, ago=66)
    it.leg("a-call", ANSWER)
    it.run(150)
    counted = it.calls
    if restarts:
        it.restart()
    it.leg("a-call", MISSED)
    it.run(150)
    it.store.close()

    assert counted == 1
    assert (it.calls, it.late) == (1, 1)


@pytest.mark.fault("D14")
@pytest.mark.parametrize("ahead", SHIFTS)
def test_a_call_from_before_the_start_is_remembered_by_when_it_was_seen(
    tmp_path: Path, ahead: int
) -> None:
    it = office(tmp_path, ahead)
    it.leg("from-before", ANSWER)
    it.run(150)
    it.store.close()

    assert (it.calls, it.late, it.counted) == (0, 0, 1)


@pytest.mark.fault("D14")
@pytest.mark.parametrize("ahead", SHIFTS)
@pytest.mark.parametrize("tells", [False, True], ids=["not-told", "told"])
def test_legs_that_come_in_two_polls_after_a_restart_are_one_call(
    tmp_path: Path, ahead: int, tells: bool
) -> None:
    """While the series are hidden, rows count as seen when their call ended, by the PBX's clock."""
    it = office(tmp_path, ahead, tells=tells)
    it.restart()
    it.leg("a-call", MENU)
    it.poll()
    it.clock.pass_(10)
    it.leg("a-call", ANSWER)
    it.run(150)
    it.store.close()

    assert (it.calls, it.late) == (1, 0)


@pytest.mark.fault("D14")
@pytest.mark.parametrize("ahead", SHIFTS)
@pytest.mark.parametrize("tells", [False, True], ids=["not-told", "told"])
def test_calls_of_an_outage_count_before_anything_is_shown_by_whatever_clock(
    tmp_path: Path, ahead: int, tells: bool
) -> None:
    it = office(tmp_path, ahead, tells=tells)
    it.pbx.failures = [TryAgain("x", reason="connect") for _ in range(8)]
    it.run(8 * 600, step=600)
    for ago in range(4000, 0, -100):
        it.leg(f"call-{ago}", ANSWER, ago=ago)
    it.shown.clear()
    it.poll()
    first = next(each for each in it.shown if each.shows_calls(it.clock.now()))
    it.run(150)
    it.store.close()
    counted = sum(
        value[0] for key, value in first.totals.series.items() if key.family == "cdr_calls_total"
    )

    # Of the last minute, only the time that the PBX tells says that it is over; more than a day
    # ahead nothing does.
    all_but_the_last = 40 if tells and abs(ahead) <= DAY else 39
    assert counted == (all_but_the_last if ahead <= DAY else 0)
    assert it.calls == 40


@pytest.mark.parametrize("ahead", SHIFTS)
def test_of_a_baseline_only_the_last_calls_are_remembered(tmp_path: Path, ahead: int) -> None:
    it = WrongClock(tmp_path, ahead=ahead, start="all", longest_call=float(HOUR))
    for ago in range(4 * DAY, 0, -600):
        it.leg(f"call-{ago}", ANSWER, ago=ago)
    it.run(150)
    remembered = len(it.state.calls.closed)
    it.store.close()

    # An hour is 6 calls; where the clock is ahead, so much longer.
    assert 6 <= remembered <= 7 + max(0, ahead) // 600
    assert it.calls == 4 * DAY // 600


@pytest.mark.fault("D14")
def test_a_counted_call_is_remembered_after_the_clock_was_set_back(tmp_path: Path) -> None:
    it = office(tmp_path, 0)
    it.ahead = -6 * HOUR
    it.leg("a-call", MENU)
    it.run(150)
    it.leg("a-call", ANSWER)
    it.run(150)
    it.store.close()

    assert (it.calls, it.late) == (1, 1)


@pytest.mark.fault("D14")
def test_one_row_that_is_hours_ahead_lets_no_call_from_before_the_start_be_forgotten(
    tmp_path: Path,
) -> None:
    it = WrongClock(tmp_path, ahead=0)
    it.leg("from-before", MENU)
    it.leg("ahead", MENU, ago=-20 * HOUR)
    it.run(30)
    it.leg("from-before", ANSWER)
    it.run(150)
    it.store.close()

    assert (it.calls, it.late, it.counted) == (0, 0, 1)


def test_remembered_calls_are_forgotten_though_some_have_no_end(tmp_path: Path) -> None:
    it = office(tmp_path, 0, longest_call=float(HOUR))
    it.leg("no-time", ANSWER, started_at=0)
    it.leg("a-call", ANSWER)
    it.run(150)
    before = set(it.state.calls.closed)
    it.run(HOUR, step=600)
    it.leg("another", ANSWER)
    it.run(150)
    it.store.close()

    assert before == {"from-before", "no-time", "a-call"}
    assert set(it.state.calls.closed) == {"another"}


def test_after_a_restart_remembered_calls_are_forgotten_as_soon(tmp_path: Path) -> None:
    it = office(tmp_path, 0, longest_call=float(HOUR))
    it.run(2 * HOUR, step=600)
    it.leg("a-call", ANSWER)
    it.run(150)
    it.restart()
    it.run(HOUR, step=600)
    before = set(it.state.calls.closed)
    it.leg("another", ANSWER)
    it.run(150)
    it.store.close()

    assert before == {"a-call"}
    assert set(it.state.calls.closed) == {"another"}


# --- impossible times ----------------------------------------------------------------------------


def show_impossible(it: WrongClock, began: int, times: int = 80) -> None:
    """Let *times* calls end by a clock that is not right, a minute apart."""
    for number in range(times):
        it.leg(f"wrong-{number}", ANSWER, started_at=began + 60 * number)


IMPOSSIBLE = pytest.mark.parametrize("began", [IN_2036, IN_1970], ids=["2036", "1970"])


@pytest.mark.fault("D9")
@IMPOSSIBLE
def test_impossible_times_change_nothing_about_the_rows_that_follow(
    tmp_path: Path, began: int
) -> None:
    it = office(tmp_path, 0)
    it.leg("a-call", MENU)
    it.run(150)
    show_impossible(it, began)
    it.run(150)
    ledger = it.state.ledger
    it.leg("a-call", ANSWER)
    it.leg("another", ANSWER)
    it.run(150)
    newest = max(row.ended_at for row in it.pbx.rows.values() if row.uid == "another")
    delays = it.last.own[next(key for key in it.last.own if "ingest_delay" in key.family)]
    it.store.close()

    assert ledger is not None
    assert ledger.watermark.newest_end < it.clock.wall
    assert it.state.ledger is not None
    assert it.state.ledger.watermark.newest_end == newest
    assert it.gauge("cdr_last_record_timestamp_seconds") == newest - ANSWER["duration"]
    assert (it.calls, it.late, it.counted) == (82, 1, 83)
    assert sum(delays[:-1]) == 3


@pytest.mark.fault("D9")
@IMPOSSIBLE
@pytest.mark.parametrize("rows", [1, 80, 300])
def test_after_a_break_rows_with_impossible_times_do_not_count_again(
    tmp_path: Path, began: int, rows: int
) -> None:
    it = office(tmp_path, 0)
    show_impossible(it, began, rows)
    it.leg("right", ANSWER)
    it.run(300)
    before = (it.calls, it.counted)
    renumber(it, it.pbx.rows.values())
    it.leg("after", ANSWER)
    it.run(300)
    it.leg("later", ANSWER)
    it.run(300)
    it.store.close()

    assert it.total("cdr_exporter_lineage_breaks_total") == 1
    assert before == (rows + 1, rows + 1)
    assert (it.calls, it.counted) == (rows + 3, rows + 3)


@pytest.mark.fault("D9")
def test_rows_before_2000_that_came_first_do_not_move_the_watermark(tmp_path: Path) -> None:
    it = WrongClock(tmp_path, ahead=0)
    show_impossible(it, IN_1970)
    it.run(150)
    ledger = it.state.ledger
    it.store.close()

    assert ledger is not None
    assert ledger.watermark.newest_end == 0


@pytest.mark.fault("D9")
def test_impossible_times_all_over_the_years_do_not_hide_today_after_a_break(
    tmp_path: Path,
) -> None:
    it = office(tmp_path, 0)
    years = Random(1)
    for number in range(300):
        began = int(it.clock.wall) + years.randrange(30 * DAY, 50 * 365 * DAY)
        it.leg(f"wrong-{number}", ANSWER, started_at=began)
    it.run(300)
    renumber(it, it.pbx.rows.values())
    it.leg("after", ANSWER)
    it.run(300)
    it.store.close()

    assert (it.calls, it.counted) == (301, 301)


def renumber(it: WrongClock, rows: Iterable[Any]) -> None:
    """Let *rows* stand in a new table, with other ids: it is not the table that was known."""
    kept = list(rows)
    it.pbx.reset()
    it.pbx.skip_ids(7)
    for row in kept:
        fields = {name: getattr(row, name) for name in row.__struct_fields__}
        it.call(**{name: value for name, value in fields.items() if name not in ("id", "new_id")})


# --- the first calls of a new PBX ----------------------------------------------------------------


@pytest.mark.fault("D14")
@pytest.mark.parametrize("ahead", [0, 12 * HOUR, -12 * HOUR])
def test_the_first_calls_after_an_empty_list_count_by_the_clock_that_the_pbx_tells(
    tmp_path: Path, ahead: int
) -> None:
    it = WrongClock(tmp_path, ahead=ahead)
    it.pbx.clock_offset = ahead + 0.3
    it.run(60)
    it.leg("from-before", ANSWER, ago=HOUR)
    it.leg("first", ANSWER)
    it.run(150)
    it.store.close()

    assert (it.counted, it.calls) == (1, 1)


@pytest.mark.fault("D14")
def test_a_clock_that_was_not_set_makes_no_old_rows_new(tmp_path: Path) -> None:
    """A PBX that is starting may show an empty list, and a time of 1970, for a while."""
    it = WrongClock(tmp_path, ahead=0)
    it.pbx.clock_offset = -it.clock.wall
    it.run(60)
    for ago in range(30 * DAY, DAY, -DAY):
        it.leg(f"old-{ago}", ANSWER, ago=ago)
    it.run(150)
    it.store.close()

    assert (it.counted, it.calls) == (0, 0)


# --- the offset ----------------------------------------------------------------------------------


def test_the_offset_of_the_clock_is_shown_while_the_pbx_tells_it(tmp_path: Path) -> None:
    it = WrongClock(tmp_path, ahead=0)
    series = Series("cdr_exporter_pbx_clock_offset_seconds")
    shown = []
    for offset in (None, 7200.25, None, -1e300):
        it.pbx.clock_offset = offset
        it.run(30)
        shown.append(it.last.gauges.get(series))
    it.store.close()

    assert shown == [None, 7200.25, None, -1e300]
    assert it.gauge("cdr_up") == 1


# --- a day ---------------------------------------------------------------------------------------

STEP = 600


def a_day(
    state_dir: Path, ahead: int, *, start: str, with_ids: bool, tells: bool = False
) -> dict[tuple[str, ...], object]:
    """Return what is counted of a day with late legs, restarts, an outage and a break."""
    it = WrongClock(state_dir, ahead=ahead, with_ids=with_ids, tells=tells, start=start)
    chance = Random(1)
    late: list[tuple[int, str]] = []
    for _ in range(200):
        it.leg(f"old-{_}", ANSWER, ago=3 * DAY - 1200 * _)
    for step in range(DAY // STEP):
        for number in range(chance.choice([0, 1, 1, 2, 5])):
            uid, ago = f"call-{step}-{number}", 5 * number
            it.leg(uid, MENU, ago=ago + 60)
            it.leg(uid, chance.choice([MISSED, ANSWER]), ago=ago)
            if chance.random() < 0.2:
                late.append((step + chance.randint(1, 4), uid))
        for when, uid in late:
            if when == step:
                it.leg(uid, MISSED)
        if step == 60:
            it.pbx.failures = [TryAgain("x", reason="connect") for _ in range(12)]
        if step in (30, 72, 101):
            it.restart()
        if step == 100:
            renumber(it, list(it.pbx.rows.values())[-150:])
            it.leg("after-the-break", ANSWER)
        it.run(STEP, step=200)
    it.store.close()
    counted = it.durable
    if not with_ids:
        # Days ahead, more of the new table is read, and so more left out.
        del counted["cdr_exporter_pre_break_records_total",]
    return counted


@cache
def a_day_by_a_right_clock(start: str, with_ids: bool) -> dict[tuple[str, ...], object]:
    with TemporaryDirectory() as directory:
        return a_day(Path(directory), 0, start=start, with_ids=with_ids)


@pytest.mark.slow
@pytest.mark.fault("D14")
@settings(max_examples=5, deadline=None)
@given(
    ahead=st.one_of(
        st.integers(-12 * HOUR, 12 * HOUR), st.sampled_from([2 * DAY, -400 * DAY, 30 * DAY])
    ),
    start=st.sampled_from(["now", "all"]),
    with_ids=st.booleans(),
    tells=st.booleans(),
)
def test_a_day_counts_the_same_by_a_clock_that_is_off_by_a_constant(
    ahead: int, start: str, with_ids: bool, tells: bool
) -> None:
    with TemporaryDirectory() as directory:
        found = a_day(Path(directory), ahead, start=start, with_ids=with_ids, tells=tells)

    assert found == a_day_by_a_right_clock(start, with_ids)
