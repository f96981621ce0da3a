"""All that two replicas, the network and the server can do to one lease, in every order."""

from __future__ import annotations

import pytest

from ..support.lease_protocol import LEASE, Bounds, Protocol, Violation, search

SHOW_BOTH = "two replicas show the PBX"
LATE_COMMIT = "a commit under an old lease landed after the takeover"
LOST_COMMIT = "a commit was made without what another replica had committed"


@pytest.mark.parametrize(
    ("bounds", "worlds"),
    [
        pytest.param(Bounds(commits=0), 14_000, id="clocks that are slow"),
        pytest.param(Bounds(commits=1, slow_clocks=False), 30_000, id="a commit"),
        pytest.param(
            Bounds(), 200_000, id="clocks that are slow and two commits", marks=pytest.mark.long
        ),
    ],
)
def test_no_two_replicas_show_a_pbx_and_no_commit_is_late_or_lost(
    bounds: Bounds, worlds: int
) -> None:
    assert search(Protocol(), bounds) > worlds


@pytest.mark.parametrize(
    ("weaker", "violation"),
    [
        pytest.param({"fence_locks": False}, LATE_COMMIT, id="a commit that locks nothing"),
        pytest.param({"fence_compares": False}, LATE_COMMIT, id="a commit under any epoch"),
        pytest.param({"counts_from_asking": False}, SHOW_BOTH, id="a lease from its answer on"),
        pytest.param({"valid_for": LEASE}, SHOW_BOTH, id="a lease to its very end"),
        pytest.param({"takes_only_what_ended": False}, SHOW_BOTH, id="any clock at a takeover"),
        pytest.param({"loads_after_taking": False}, LOST_COMMIT, id="a state read too early"),
    ],
)
def test_each_part_of_the_protocol_is_needed(weaker: dict[str, int], violation: str) -> None:
    with pytest.raises(Violation, match=violation):
        search(Protocol()._replace(**weaker), Bounds())  # type: ignore[arg-type]
