from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdr_exporter.leases import rules

counts = st.integers(0, 2000)
fractions = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(
    ("pbxs", "replicas", "share"), [(30, 3, 10), (31, 3, 11), (2, 3, 1), (0, 3, 0), (5, 0, 5)]
)
def test_a_share_is_rounded_up(pbxs: int, replicas: int, share: int) -> None:
    assert rules.share(pbxs, replicas) == share


@given(counts, st.integers(1, 20))
def test_all_shares_together_are_no_less_than_all_pbxs(pbxs: int, replicas: int) -> None:
    assert rules.share(pbxs, replicas) * replicas >= pbxs


@given(counts, counts, st.integers(1, 20))
def test_nobody_takes_what_he_has_to_give_back(held: int, pbxs: int, replicas: int) -> None:
    names = [str(number) for number in range(held)]
    given_back = rules.to_give_back(names, pbxs, replicas)
    taken = rules.to_take(held, pbxs, replicas)

    assert not (given_back and taken)
    rest = rules.share(pbxs, replicas) - (held - len(given_back))
    assert taken == min(rest, rules.MOST_AT_ONCE)


def test_those_that_were_taken_last_are_given_back() -> None:
    assert rules.to_give_back(["old", "newer", "newest"], 3, 2) == ["newest"]


@given(st.floats(0, 1e9), st.floats(2, 600))
def test_a_lease_counts_here_a_sixth_less_than_in_the_database(
    asked_at: float, lease: float
) -> None:
    left = asked_at + lease - rules.valid_until(asked_at, lease)

    assert left == pytest.approx(lease / 6, rel=1e-3)


@given(st.floats(2, 600), fractions)
def test_two_rounds_may_fail_before_a_lease_lapses(lease: float, fraction: float) -> None:
    wait = rules.next_round(lease, fraction)

    assert 2 * wait < rules.valid_until(0, lease)
    assert wait > lease * 0.29


@given(st.floats(2, 600), st.integers(1, 100), fractions)
def test_a_round_that_failed_is_tried_again_soon_and_never_later_than_the_next(
    lease: float, failures: int, fraction: float
) -> None:
    wait = rules.next_try(lease, failures, fraction)

    assert 0.1 <= wait <= lease / 3
    assert failures > 1 or wait <= 0.2
