"""Reachable time: how long a PBX replied."""

from __future__ import annotations

from cdr_exporter.calls import ReachableTime

LONGEST_CALL = 3600.0
EVER = float("inf")


def reachable(*polls: tuple[float, bool], known: float = 100.0) -> ReachableTime:
    """Return the time after *polls*: when each began, and whether it succeeded."""
    it = ReachableTime.going_on_from(known, LONGEST_CALL)
    for at, succeeded in polls:
        it = it.poll_began(wall=1_000_000 + at, steady=at)
        it = it.poll_ended() if succeeded else it
    return it


def test_it_goes_on_from_the_time_that_was_saved() -> None:
    assert reachable((7, True)).at(7) == 100


def test_it_advances_between_polls_that_succeed() -> None:
    assert reachable((0, True), (30, True), (60, True)).at(60) == 160


def test_it_advances_within_a_poll() -> None:
    assert reachable((0, True), (30, False)).at(42) == 142


def test_it_does_not_advance_after_a_poll_that_failed() -> None:
    assert reachable((0, True), (30, False), (600, True), (630, True)).at(630) == 160


def test_by_id_every_row_up_to_the_beginning_of_the_poll_was_read() -> None:
    assert reachable((0, True), (30, True)).read_until(EVER) == 130


def test_by_time_every_row_up_to_the_beginning_of_the_last_round_of_rereading_was_read() -> None:
    it = reachable((0, True), (30, True), (60, True))

    assert it.read_until(1_000_059) == 130
    assert it.read_until(1_000_060) == 160


def test_before_the_first_round_of_rereading_only_times_too_old_to_bring_rows_are_read() -> None:
    it = reachable((0, True), (30, True))

    assert it.read_until(0) == 100 - LONGEST_CALL


def test_a_wall_clock_that_is_set_back_claims_no_row_was_read_too_early() -> None:
    it = reachable((0, True), (30, True)).poll_began(wall=999_000, steady=60)

    assert it.read_until(1_000_031) == 160
    assert it.read_until(998_999) == 100 - LONGEST_CALL
