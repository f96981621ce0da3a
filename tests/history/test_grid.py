"""At which times samples are written."""

from __future__ import annotations

import pytest

from cdr_exporter.history.grid import (
    BLOCK_SECONDS,
    DAY_SECONDS,
    LONG_BLOCK_SECONDS,
    STEPS,
    block_before,
    blocks,
    clipped,
)

BEGIN = 1_700_006_400
"""The beginning of a block: a multiple of two hours."""


def test_a_block_is_two_hours_of_prometheus_and_has_all_its_samples() -> None:
    made = list(blocks(BEGIN, BEGIN + 2 * BLOCK_SECONDS, None))

    assert BEGIN % BLOCK_SECONDS == 0
    assert made == [
        range(BEGIN, BEGIN + 7200, 60),
        range(BEGIN + 7200, BEGIN + 14_400, 60),
    ]


def test_a_sample_a_minute_is_for_the_last_eight_days_and_one_in_five_minutes_for_the_rest() -> (
    None
):
    end = BEGIN + 31 * DAY_SECONDS
    steps = [times.step for times in blocks(BEGIN, end, None)]

    assert steps == [300] * (23 * 12) + [60] * (8 * 12)


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_is_asked_for_is_that_of_every_block(step: int) -> None:
    made = list(blocks(BEGIN, BEGIN + 20 * DAY_SECONDS, step))

    assert {times.step for times in made} == {step}
    assert sum(map(len, made)) == 20 * DAY_SECONDS // step


def test_no_sample_is_at_the_end_or_after_it() -> None:
    end = BEGIN + BLOCK_SECONDS + 61.5
    *_, last = blocks(BEGIN, end, 60)

    assert list(last) == [BEGIN + BLOCK_SECONDS, BEGIN + BLOCK_SECONDS + 60]


def test_long_blocks_are_nine_short_ones_of_prometheus() -> None:
    begin = block_before(BEGIN, LONG_BLOCK_SECONDS)
    made = list(blocks(begin, begin + LONG_BLOCK_SECONDS + 600, 300, LONG_BLOCK_SECONDS))

    assert begin % LONG_BLOCK_SECONDS == 0
    assert begin <= BEGIN < begin + LONG_BLOCK_SECONDS == begin + 9 * BLOCK_SECONDS
    assert made == [
        range(begin, begin + LONG_BLOCK_SECONDS, 300),
        range(begin + LONG_BLOCK_SECONDS, begin + LONG_BLOCK_SECONDS + 600, 300),
    ]


def test_a_block_without_a_sample_before_the_end_is_left_out() -> None:
    assert len(list(blocks(BEGIN, BEGIN + BLOCK_SECONDS, 60))) == 1


@pytest.mark.parametrize("quarter", range(4))
def test_midnight_is_the_time_of_a_sample_in_every_time_zone(quarter: int) -> None:
    midnight = BEGIN + DAY_SECONDS - quarter * 900
    times = {time for each in blocks(BEGIN, BEGIN + 2 * DAY_SECONDS, None) for time in each}

    assert midnight in times


def test_what_one_pbx_has_of_a_block_is_what_lies_within_its_own_past() -> None:
    times = range(BEGIN, BEGIN + 600, 60)

    assert clipped(times, BEGIN - 1, BEGIN + 9999) == times
    assert list(clipped(times, BEGIN + 61, BEGIN + 180)) == [BEGIN + 120]
    assert not clipped(times, BEGIN + 600, BEGIN + 9999)
