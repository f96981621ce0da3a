"""Our own clock is set back or ahead, while it runs or between two runs: the same is counted.

The PBX's clock is right all along.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdr_exporter.errors import TryAgain

from ..support.counts import records
from ..support.fake_pbx import FakePBX
from ..support.poller_harness import PollerHarness

HOUR, DAY, YEAR = 3600, 86_400, 365 * 86_400
STEP = 300
STEPS = 48
"""A life lasts 4 hours, in steps of 5 minutes."""

MENU = {"call_to": "IVR Main<6200>", "duration": 20, "ring_duration": 0, "talk_duration": 20}
ANSWER = {"call_to": "Ben<2002>", "duration": 65, "ring_duration": 5, "talk_duration": 60}


class JumpingClock(PollerHarness):
    """A poller whose own clock is *ahead* seconds of the right time, and can be set."""

    def __init__(self, state_dir: Path, *, with_ids: bool, **changed: Any) -> None:
        super().__init__(
            state_dir, FakePBX(), stale_after=600.0, longest_call=float(HOUR), **changed
        )
        self.ahead = 0
        self.with_ids = with_ids
        self.writing: list[tuple[int, int, dict[str, Any]]] = []

    def jump(self, seconds: int) -> None:
        """Set our clock; the PBX's stays right."""
        self.ahead += seconds
        self.clock.wall += seconds
        self.pbx.clock_offset = -float(self.ahead)

    def leg(self, uid: str, leg: Mapping[str, Any], *, ago: int, shown_in: int = 0) -> None:
        """Let a *leg* end *ago* seconds before now; its row turns up *shown_in* steps later."""
        fields = {"uid": uid, "started_at": self.right_time - ago - leg["duration"], **leg}
        if self.with_ids:
            self.writing.append((shown_in, self.pbx.reserve_id(), fields))
        else:
            self.writing.append((shown_in, 0, fields))

    @property
    def right_time(self) -> int:
        return int(self.clock.wall) - self.ahead

    def show_written(self) -> None:
        waiting, self.writing = self.writing, []
        for steps, row_id, fields in waiting:
            if steps:
                self.writing.append((steps - 1, row_id, fields))
            elif row_id:
                self.pbx.insert(row_id, **fields)
            else:
                self.pbx.call_without_id(**fields)

    def run(self, seconds: float, step: float = 60.0) -> None:
        for _ in range(round(seconds / step)):
            self.poll()
            self.clock.pass_(step - 0.02)

    @property
    def durable(self) -> dict[tuple[str, ...], object]:
        series = self.state.totals.series.items()
        return {(key.family, *key.labels): value for key, value in series if any(value)}


def a_life(
    state_dir: Path, seed: int, with_ids: bool, jumps: Mapping[int, int], start: str = "now"
) -> dict[tuple[str, ...], object]:
    """Return what is counted; *jumps* are by the step in which our clock is set."""
    it = JumpingClock(state_dir, with_ids=with_ids, start=start)
    chance = Random(seed)
    for number in range(100):
        it.leg(f"old-{number}", ANSWER, ago=2 * DAY - 600 * number)
    it.show_written()
    for step in range(STEPS):
        for number in range(chance.choice([0, 1, 2, 3])):
            uid, late = f"call-{step}-{number}", int(chance.random() < 0.1)
            it.leg(uid, MENU, ago=65)
            it.leg(uid, ANSWER, ago=0, shown_in=late)
        restarts, outage = chance.random() < 0.05, chance.random() < 0.05
        it.show_written()
        if outage:
            it.pbx.failures = [TryAgain("x", reason="connect") for _ in range(12)]
        it.jump(jumps.get(step, 0))
        if restarts:
            it.restart()
        it.run(STEP)
    it.run(1800)
    it.store.close()
    return it.durable


@cache
def a_life_by_a_right_clock(seed: int, with_ids: bool) -> dict[tuple[str, ...], object]:
    with TemporaryDirectory() as directory:
        return a_life(Path(directory), seed, with_ids, {})


JUMPS = [sign * by for by in (90, HOUR, 4 * HOUR, DAY + 60, 5 * YEAR) for sign in (-1, 1)]


@pytest.mark.slow
@pytest.mark.fault("E14")
@settings(max_examples=5, deadline=None)
@given(
    seed=st.integers(0, 2),
    with_ids=st.booleans(),
    jumps=st.dictionaries(st.integers(0, STEPS - 1), st.sampled_from(JUMPS), min_size=1),
)
def test_our_clock_may_be_set_at_any_time_and_the_same_is_counted(
    seed: int, with_ids: bool, jumps: Mapping[int, int]
) -> None:
    with TemporaryDirectory() as directory:
        found = a_life(Path(directory), seed, with_ids, jumps)

    assert found == a_life_by_a_right_clock(seed, with_ids)


@pytest.mark.fault("E14")
def test_without_ids_no_row_counts_again_when_our_clock_was_set_back_by_days(
    tmp_path: Path,
) -> None:
    found = a_life(tmp_path, 2, False, {10: -DAY, 30: -DAY})

    assert found == a_life_by_a_right_clock(2, False)


# --- the late window -----------------------------------------------------------------------------


def busy(it: JumpingClock, calls: int = 30) -> None:
    """Let more calls end than a first page has, and poll."""
    for number in range(calls):
        it.leg(f"{it.right_time}-{number}", ANSWER, ago=0)
    it.show_written()
    it.run(60)


@pytest.mark.fault("E14")
@pytest.mark.parametrize("jump", [-5 * YEAR, -HOUR, HOUR, 5 * YEAR])
@pytest.mark.parametrize("restarts", [False, True], ids=["running", "between-runs"])
def test_a_late_row_counts_though_our_clock_was_set_while_it_was_written(
    tmp_path: Path, jump: int, restarts: bool
) -> None:
    it = JumpingClock(tmp_path, with_ids=True, late_window=600.0)
    busy(it)
    late = it.pbx.reserve_id()
    busy(it)
    before = it.counted
    it.jump(jump)
    if restarts:
        it.restart()
    for _ in range(7):
        busy(it)
    it.pbx.insert(late, uid="late", started_at=it.right_time - 500, **ANSWER)
    for _ in range(6):
        busy(it)
    it.store.close()

    assert it.counted == before + 13 * 30 + 1


@pytest.mark.fault("E14")
@pytest.mark.parametrize("jump", [-5 * YEAR, 5 * YEAR])
def test_an_id_that_never_comes_is_looked_for_no_longer_after_our_clock_was_set(
    tmp_path: Path, jump: int
) -> None:
    it = JumpingClock(tmp_path, with_ids=True, late_window=600.0)
    busy(it)
    it.pbx.reserve_id()
    busy(it)
    missing = it.state.ledger
    it.jump(jump)
    for _ in range(16):
        busy(it)
    it.store.close()

    assert missing is not None
    assert missing.recheck
    assert it.state.ledger is not None
    assert not it.state.ledger.recheck


# --- suspended -----------------------------------------------------------------------------------


@pytest.mark.fault("E17")
@pytest.mark.parametrize("with_ids", [True, False], ids=["by id", "by time"])
def test_calls_of_an_hour_of_suspend_are_a_gap_and_no_spike(tmp_path: Path, with_ids: bool) -> None:
    it = JumpingClock(tmp_path, with_ids=with_ids)
    busy(it)
    it.run(300)
    before = it.counted
    it.clock.pass_(HOUR)
    gap = it.last.shows_calls(it.clock.now())
    it.shown.clear()
    for number in range(300):
        it.leg(f"suspended-{number}", ANSWER, ago=10 * number)
    it.show_written()
    it.run(300)
    shown = [each for each in it.shown if each.shown]
    it.store.close()

    assert not gap
    assert not it.shown[0].shown
    assert {records(each.totals) for each in shown} == {before + 300}


@pytest.mark.fault("E17")
def test_a_late_leg_is_recognised_after_hours_of_suspend(tmp_path: Path) -> None:
    """As after an outage: the PBX may have been suspended, too, and writes its last leg now."""
    it = JumpingClock(tmp_path, with_ids=True)
    it.leg("before", ANSWER, ago=0)
    it.show_written()
    it.run(60)
    it.leg("a-call", ANSWER, ago=0)
    it.show_written()
    it.run(300)
    it.clock.pass_(4 * HOUR)
    it.leg("another", ANSWER, ago=0)
    it.show_written()
    it.run(60)
    it.leg("a-call", MENU, ago=4 * HOUR)
    it.show_written()
    it.run(300)
    it.store.close()

    assert it.total("cdr_exporter_late_legs_total") == 1
