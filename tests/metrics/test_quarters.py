"""Calls by quarter of an hour: each call once, where it started, and nowhere if that cannot be."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdr_exporter.calls import Call, group_calls
from cdr_exporter.metrics.quarters import (
    KEPT_DAYS,
    QUARTER,
    CallSums,
    Coverage,
    Quarters,
    Sums,
)

from ..support.counts import all_quarters
from ..support.finished_calls import DAY, HOUR, MIDNIGHT, NOW, QUARTER_NOW, call, some_calls


def after(*calls: Call, known: Quarters | None = None, now: float = NOW) -> Quarters:
    return (known or Quarters()).after(group_calls(calls), now).after


def counts(quarters: Quarters) -> dict[int, int]:
    """Return how many calls are in each quarter that has any."""
    return {n: sum(sums[0] for sums in cells.values()) for n, cells in quarters.cells()}


# --- where a call belongs ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "quarter"),
    [
        pytest.param(QUARTER_NOW * QUARTER, QUARTER_NOW, id="its first second"),
        pytest.param(QUARTER_NOW * QUARTER - 1, QUARTER_NOW - 1, id="the second before"),
        pytest.param(NOW + HOUR, QUARTER_NOW + 4, id="a clock that is ahead"),
        pytest.param(MIDNIGHT - KEPT_DAYS * DAY, MIDNIGHT // QUARTER - KEPT_DAYS * 96, id="oldest"),
    ],
)
def test_a_call_is_in_the_quarter_in_which_it_started(start: float, quarter: int) -> None:
    assert counts(after(call(start))) == {quarter: 1}


@pytest.mark.fault("D9")
@pytest.mark.parametrize(
    "start",
    [
        pytest.param(0, id="unknown"),
        pytest.param(86_400, id="a clock that was not set"),
        pytest.param(NOW + 2 * DAY, id="days ahead"),
        pytest.param(2_085_978_496, id="years ahead"),
        pytest.param(MIDNIGHT - KEPT_DAYS * DAY - 1, id="too old"),
    ],
)
def test_a_call_with_an_impossible_or_an_old_start_is_in_no_quarter(start: float) -> None:
    assert counts(after(call(start), call())) == {QUARTER_NOW: 1}


def test_a_late_call_goes_where_it_belongs() -> None:
    known = after(call(NOW - 5 * DAY), call())

    later = after(call(NOW - 5 * DAY), known=known, now=NOW + HOUR)

    assert counts(later) == {QUARTER_NOW - 5 * 96: 2, QUARTER_NOW: 1}


@given(some_calls(), st.integers(1, 5))
def test_calls_added_in_any_parts_give_the_same_sums(calls: list[Call], parts: int) -> None:
    quarters = Quarters()
    for part in range(parts):
        quarters = after(*calls[part::parts], known=quarters)

    expected = Counter((each.call_type, each.outcome) for each in calls)
    found = all_quarters(quarters)
    assert {kind: sums.calls for kind, sums in found.by_kind.items()} == expected
    assert found.calls == len(calls)
    assert counts(quarters) == Counter(each.started_at // QUARTER for each in calls)
    assert dict(quarters.cells()) == dict(after(*calls).cells())


def test_the_sums_of_a_call_are_its_seconds_and_what_the_service_level_needs() -> None:
    quarters = after(
        call(wait=20, talk=7),
        call(wait=21, talk=8),
        call(outcome="no_answer", abandon=5),
        call(outcome="no_answer", abandon=6),
        call(outcome="no_answer", abandon=None),
        call(outcome="busy", call_type="Outbound"),
    )

    assert all_quarters(quarters).by_kind == {
        ("Inbound", "answered"): Sums(calls=2, in_time=1, gave_up=0, wait=41, talk=15),
        ("Inbound", "no_answer"): Sums(calls=3, in_time=0, gave_up=1, wait=0, talk=0),
        ("Outbound", "busy"): Sums(calls=1),
    }


def test_a_change_writes_the_quarters_that_changed_and_no_other() -> None:
    known = after(call(), call(NOW - HOUR), call(NOW - DAY))

    change = known.after(group_calls([call(NOW - HOUR, "busy")]), NOW)

    assert change.written.keys() == {QUARTER_NOW - 4}
    assert sum(sums[0] for sums in change.written[QUARTER_NOW - 4].values()) == 2
    assert change.dropped_before == 0


def test_no_call_is_no_change() -> None:
    known = after(call())

    assert known.after([], NOW + 60).after is known
    assert known.after(group_calls([call(0)]), NOW + 60).after is known


def test_old_quarters_are_dropped_a_day_at_a_time() -> None:
    known = after(call(NOW - KEPT_DAYS * DAY), call())

    same_day = known.after([], MIDNIGHT + DAY - 1.0)
    next_day = known.after([], MIDNIGHT + DAY + 0.0)

    assert same_day.after is known
    assert counts(next_day.after) == {QUARTER_NOW: 1}
    assert next_day.dropped_before == MIDNIGHT // QUARTER - (KEPT_DAYS - 1) * 96


@given(some_calls(), st.lists(st.integers(-3300, 100), min_size=2, unique=True).map(sorted))
def test_sums_between_any_bounds_are_those_of_the_calls_between_them(
    calls: list[Call], bounds: list[int]
) -> None:
    bounds = [QUARTER_NOW + each for each in bounds]
    starts = [each.started_at // QUARTER for each in calls]

    sums = after(*calls).sums(bounds)

    assert [each.calls for each in sums] == [
        sum(first <= start < end for start in starts) for first, end in pairwise(bounds)
    ]


# --- shares --------------------------------------------------------------------------------------


def test_the_shares_are_of_inbound_calls_and_leave_out_blocked_ones() -> None:
    sums = CallSums(
        {
            ("Inbound", "answered"): Sums(calls=6, in_time=3),
            ("Inbound", "no_answer"): Sums(calls=3, gave_up=2),
            ("Inbound", "machine"): Sums(calls=1),
            ("Inbound", "blocked"): Sums(calls=90),
            ("Outbound", "answered"): Sums(calls=1000, in_time=1000),
        }
    )

    assert (sums.answered_share, sums.in_time_share) == (6 / 10, 3 / 8)


def test_there_is_no_share_of_nothing() -> None:
    nothing = CallSums({("Inbound", "blocked"): Sums(calls=2), ("Internal", "busy"): Sums(1)})

    assert (nothing.answered_share, nothing.in_time_share) == (None, None)
    assert (nothing.mean_wait, nothing.mean_talk) == (None, None)


def test_means_are_of_answered_calls() -> None:
    sums = CallSums(
        {
            ("Inbound", "answered"): Sums(calls=2, wait=30, talk=100),
            ("Outbound", "answered"): Sums(calls=2, wait=10, talk=20),
            ("Inbound", "no_answer"): Sums(calls=9),
        }
    )

    assert (sums.mean_wait, sums.mean_talk) == (15, 30)


# --- of which time the calls are known -----------------------------------------------------------


def test_counting_begins_with_the_first_commit() -> None:
    known = after(call(NOW - HOUR))

    assert known.coverage.counted_from == int(NOW)
    assert after(call(), known=known, now=NOW + DAY).coverage.counted_from == int(NOW)


def test_a_baseline_reaches_back_to_its_oldest_call() -> None:
    first = Quarters().after(group_calls([call(NOW - DAY)]), NOW, baseline=True).after
    second = first.after(
        group_calls([call(NOW - 90 * DAY), call(0)]), NOW + HOUR, baseline=True
    ).after

    start = int(NOW - 90 * DAY) // QUARTER
    assert second.coverage == Coverage(start * QUARTER, ((start, QUARTER_NOW + 4),))
    assert second.coverage.unreached(QUARTER_NOW - 96, QUARTER_NOW + 5) == 0
    assert counts(second) == {QUARTER_NOW - 96: 1}


def polled(*times: float, gap: float = 300.0, coverage: Coverage | None = None) -> Coverage:
    coverage = coverage or Coverage(counted_from=int(NOW) - DAY)
    for time in times:
        coverage = coverage.reached_at(time, gap)
    return coverage


def test_each_quarter_in_which_a_poll_succeeded_was_reached() -> None:
    coverage = polled(NOW, NOW + QUARTER, NOW + 2 * QUARTER, NOW + 5 * QUARTER)

    at = QUARTER_NOW
    assert coverage.reached == ((at, at + 2), (at + 5, at + 5))
    assert [coverage.unreached(at + n, at + n + 1) for n in range(6)] == [0, 0, 0, 1, 1, 0]
    assert coverage.unreached(at, at + 6) == 2


def test_only_time_since_counting_began_counts_as_not_reached() -> None:
    coverage = polled(NOW + QUARTER, coverage=Coverage(counted_from=int(NOW)))

    assert coverage.unreached(QUARTER_NOW - 100, QUARTER_NOW + 2) == 1
    assert Coverage().unreached(0, QUARTER_NOW) == 0


def test_polls_that_are_far_apart_as_they_should_be_leave_no_gap() -> None:
    coverage = polled(NOW, NOW + 2 * HOUR, NOW + 5 * HOUR, gap=2.0 * HOUR)

    at = QUARTER_NOW
    assert coverage.reached == ((at, at + 8), (at + 20, at + 20))


def test_a_clock_that_is_set_back_reaches_nothing_twice() -> None:
    coverage = polled(NOW, NOW + 4 * QUARTER, NOW, NOW - 4 * QUARTER)

    assert [first - QUARTER_NOW for first, _ in coverage.reached] == [-4, 0, 4]
    assert coverage.unreached(QUARTER_NOW - 4, QUARTER_NOW + 5) == 6


def test_a_clock_that_was_ahead_for_a_while_leaves_no_gap_afterwards() -> None:
    times = [NOW + n * QUARTER for n in range(8)]
    coverage = polled(*times[:2], NOW + 400 * DAY, *times[2:])

    assert [first - QUARTER_NOW for first, _ in coverage.reached] == [0, 400 * 96]
    assert coverage.unreached(QUARTER_NOW, QUARTER_NOW + 8) == 0


def test_a_clock_that_is_ahead_for_a_while_loses_no_calls() -> None:
    known = after(call(NOW - 29 * DAY), call())
    ahead = after(call(NOW + HOUR), known=known, now=NOW + 400 * DAY)

    assert counts(ahead) == {QUARTER_NOW - 29 * 96: 1, QUARTER_NOW: 1, QUARTER_NOW + 4: 1}


def test_counting_did_not_begin_later_than_now() -> None:
    assert Coverage(counted_from=int(NOW) + 400 * DAY).begun(NOW).counted_from == int(NOW)


def test_what_was_reached_is_forgotten_with_its_quarters() -> None:
    known = Quarters(coverage=polled(NOW - 33 * DAY, NOW))

    assert known.after([], NOW).after.coverage.reached == ((QUARTER_NOW, QUARTER_NOW),)


def test_a_poll_in_a_quarter_that_was_reached_changes_nothing() -> None:
    known = Quarters().reached_at(NOW, 300.0).after

    assert known.coverage == Coverage(int(NOW), ((QUARTER_NOW, QUARTER_NOW),))
    assert known.reached_at(NOW + 1, 300.0).after is known
