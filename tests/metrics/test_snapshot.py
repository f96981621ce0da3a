from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdr_exporter.clock import Now
from cdr_exporter.metrics.snapshot import Snapshot
from cdr_exporter.metrics.totals import Series, Totals

NEVER = float("inf")


def snapshot(*births: float, **fields: Any) -> Snapshot:
    series = {Series("cdr_records_total", (str(n),)): (1,) for n in range(len(births))}
    totals = Totals(series, dict(zip(series, births, strict=True)))
    usual = {"shown": True, "fresh_until": 1_300.0, "birth_hold": 120.0}
    return Snapshot(pbx="hq", totals=totals, **{**usual, **fields})


def at(wall: float = 5_000.0, steady: float = 1_000.0) -> Now:
    return Now(wall, steady)


def test_a_snapshot_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        snapshot().shown = False  # type: ignore[misc]


@pytest.mark.parametrize(
    ("shown", "steady", "seen"),
    [
        (True, 1_000.0, True),
        (True, 1_299.9, True),
        (True, 1_300.0, False),
        (True, 9_999.0, False),
        (False, 1_000.0, False),
        (False, 1_300.0, False),
    ],
)
def test_calls_are_seen_until_the_pbx_was_silent_for_too_long(
    shown: bool, steady: float, seen: bool
) -> None:
    assert snapshot(shown=shown).shows_calls(at(steady=steady)) == seen


@pytest.mark.fault("E14")
@pytest.mark.parametrize("wall", [0.0, 4_000.0, 1e10], ids=["the epoch", "set back", "far ahead"])
def test_silence_is_by_the_steady_clock(wall: float) -> None:
    assert snapshot().shows_calls(at(wall=wall, steady=1_299))
    assert not snapshot().shows_calls(at(wall=wall, steady=1_300))


@pytest.mark.parametrize(
    ("wall", "at_zero"),
    [
        pytest.param(5_000.0, True, id="at its birth"),
        pytest.param(5_119.9, True, id="just before the end"),
        pytest.param(5_120.0, False, id="at the end"),
        pytest.param(9_999.0, False, id="long after"),
        pytest.param(4_999.9, False, id="clock set back"),
    ],
)
def test_a_series_is_shown_at_0_for_a_while_after_its_birth(wall: float, at_zero: bool) -> None:
    assert snapshot().is_shown_at_zero(5_000.0, at(wall=wall)) == at_zero


def test_without_a_birth_hold_nothing_is_shown_at_0() -> None:
    assert not snapshot(birth_hold=0.0).is_shown_at_zero(5_000.0, at(wall=5_000))


def test_a_series_shown_from_the_start_is_not_shown_at_0() -> None:
    assert not snapshot().is_shown_at_zero(0.0, at())


@pytest.mark.parametrize(
    ("births", "fields", "seconds"),
    [
        pytest.param([], {"shown": False}, NEVER, id="hidden and nothing born"),
        pytest.param([], {}, 300.0, id="silence"),
        pytest.param([4_950.0], {}, 70.0, id="the end of a hold"),
        pytest.param([4_950.0, 4_900.0, 4_999.0], {}, 20.0, id="the first of several ends"),
        pytest.param([4_000.0, 0.0], {}, 300.0, id="holds that are over"),
        pytest.param([5_001.0], {}, 300.0, id="a birth ahead of a clock set back"),
        pytest.param([4_950.0], {"fresh_until": 1_050.0}, 50.0, id="silence before"),
        pytest.param([4_950.0], {"fresh_until": 900.0}, 70.0, id="silent already"),
        pytest.param([], {"fresh_until": 900.0}, NEVER, id="silent and nothing born"),
    ],
)
def test_the_next_change_is_the_earliest_change_by_time(
    births: list[float], fields: dict[str, Any], seconds: float
) -> None:
    assert snapshot(*births, **fields).next_change(at()) == seconds


def look(of: Snapshot, now: Now) -> tuple[bool, list[bool]]:
    return of.shows_calls(now), [of.is_shown_at_zero(born, now) for born in of.totals.born.values()]


@given(
    st.lists(st.integers(4_800, 5_100)),
    st.integers(900, 1_400),
    st.integers(0, 200),
    st.integers(0, 99),
)
def test_nothing_changes_before_the_next_change(
    births: list[int], fresh_until: int, hold: int, percent: int
) -> None:
    shot = snapshot(*births, fresh_until=fresh_until, birth_hold=hold)
    due = shot.next_change(at())
    # A birth ahead of the clock is as it is only until the clock gets there.
    ahead = [born - 5_000 for born in births if born > 5_000]
    until = min([due, 10_000, *ahead])
    before = until * percent / 100

    assert look(shot, at(5_000 + before, 1_000 + before)) == look(shot, at())
    if due < NEVER and until == due:
        assert look(shot, at(5_000 + due, 1_000 + due)) != look(shot, at())
