from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdr_exporter.errors import StateNotWritten, TryAgain, WaitLong
from cdr_exporter.poller.backoff import (
    FIRST_POLLS_SECONDS,
    NO_FAILURES,
    after_failure,
    after_success,
    before_first,
)

NETWORK = TryAgain("no route", reason="connect")
chances = st.floats(0, 1, exclude_max=True)


def wait_long(first: float, most: float) -> WaitLong:
    return WaitLong("blocked", reason="auth", first=first, most=most)


@pytest.mark.parametrize(("random_fraction", "wait"), [(0.0, 27.0), (0.5, 30.0), (0.999_999, 33.0)])
def test_a_success_is_followed_by_the_interval_give_or_take_a_tenth(
    random_fraction: float, wait: float
) -> None:
    assert after_success(30, random_fraction) == pytest.approx(wait, rel=1e-5)


@pytest.mark.parametrize(
    ("times", "longest"),
    [(1, 2), (2, 4), (3, 8), (7, 128), (8, 256), (9, 300), (10, 300), (1_000_000, 300)],
)
@pytest.mark.parametrize(
    "error", [NETWORK, StateNotWritten("disk full"), ValueError("a defect")], ids=type
)
def test_trouble_that_may_go_away_doubles_its_longest_wait(
    error: Exception, times: int, longest: float
) -> None:
    assert after_failure(error, times, 0.0) == 0
    assert after_failure(error, times, 0.5) == longest / 2
    assert after_failure(error, times, 0.999_999_999) == pytest.approx(longest)


@pytest.mark.parametrize(
    ("times", "wait"), [(1, 300), (2, 600), (3, 1200), (4, 1800), (5, 1800), (1_000_000, 1800)]
)
@pytest.mark.parametrize("random_fraction", [0.0, 0.99])
def test_trouble_for_a_person_waits_as_it_says_whatever_the_chance(
    random_fraction: float, times: int, wait: float
) -> None:
    assert after_failure(wait_long(300, 1800), times, random_fraction) == wait


def test_a_first_wait_above_the_longest_is_the_longest() -> None:
    assert after_failure(wait_long(3600, 3600), 9, 0.0) == 3600
    assert after_failure(wait_long(7200, 3600), 1, 0.0) == 3600


@pytest.mark.fault("B10")
@pytest.mark.parametrize(
    ("asked", "random_fraction", "wait"),
    [
        pytest.param(60.0, 0.0, 60.0, id="asked for"),
        pytest.param(60.0, 0.999, 60.0, id="longer than ours"),
        pytest.param(0.5, 0.5, 1.0, id="shorter than ours"),
        pytest.param(None, 0.5, 1.0, id="nothing asked"),
    ],
)
def test_a_server_that_asks_for_time_gets_it(
    asked: float | None, random_fraction: float, wait: float
) -> None:
    error = TryAgain("throttled", reason="throttled", retry_after=asked)

    assert after_failure(error, 1, random_fraction) == wait


@given(st.integers(1, 10**9), chances)
def test_no_wait_is_negative_or_endless(times: int, random_fraction: float) -> None:
    assert 0 <= after_failure(NETWORK, times, random_fraction) <= 300
    assert 300 <= after_failure(wait_long(300, 7200), times, random_fraction) <= 7200


@given(st.floats(1, 86_400), chances)
def test_jitter_stays_within_a_tenth(interval: float, random_fraction: float) -> None:
    assert 0.9 * interval <= after_success(interval, random_fraction) * (1 + 1e-12)
    assert after_success(interval, random_fraction) <= 1.1 * interval * (1 + 1e-12)


def test_the_same_cause_adds_up_and_another_begins_anew() -> None:
    once = NO_FAILURES.after(TryAgain("refused", reason="connect"))
    twice = once.after(TryAgain("no route", reason="connect"))
    another = twice.after(StateNotWritten("disk full"))

    assert [t.reason for t in (NO_FAILURES, once, twice, another)] == [
        "",
        "connect",
        "connect",
        "state",
    ]
    assert [t.times for t in (NO_FAILURES, once, twice, another)] == [0, 1, 2, 1]
    assert [t.polls for t in (NO_FAILURES, once, twice, another)] == [0, 1, 2, 3]
    assert another.message == "disk full"


def test_the_same_reason_with_another_code_is_another_cause() -> None:
    capped = WaitLong("x", reason="auth", errcode=60002, blocked="token_cap", first=1, most=9)
    blocked = WaitLong("x", reason="auth", errcode=70004, blocked="ip_blocked", first=1, most=9)

    assert NO_FAILURES.after(capped).after(blocked).times == 1


def test_a_server_that_fails_in_turns_waits_ever_longer_and_a_person_is_not_punished_for_it() -> (
    None
):
    trouble = NO_FAILURES
    for reason in ("connect", "timeout", "connect"):
        trouble = trouble.after(TryAgain("x", reason=reason))
    missing = WaitLong("x", reason="http", first=60, most=1800)

    assert trouble.delay(TryAgain("x", reason="connect"), 0.5) == 4
    assert trouble.after(missing).delay(missing, 0.5) == 60


@given(st.integers(1, 5_000))
def test_first_polls_are_spread_evenly_and_none_comes_late(pbxs: int) -> None:
    waits = [before_first(number, pbxs) for number in range(pbxs)]
    apart = [later - earlier for earlier, later in pairwise(waits)]

    assert waits[0] == 0
    assert waits[-1] < FIRST_POLLS_SECONDS
    assert apart == pytest.approx([min(0.02, FIRST_POLLS_SECONDS / pbxs)] * len(apart))
