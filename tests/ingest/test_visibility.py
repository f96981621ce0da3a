from __future__ import annotations

import pytest

from cdr_exporter.clock import Now
from cdr_exporter.ingest import Visibility
from cdr_exporter.metrics.totals import NOT_SHOWN_YET, SHOWN_FROM_START, Series, Totals

SERIES = Series("cdr_records_total", ("ANSWERED", "Inbound", "sip"))
STALE_AFTER, BIRTH_HOLD = 300.0, 120.0


def at(seconds: float) -> Now:
    return Now(wall=1_000_000 + seconds, steady=500 + seconds)


def seen(it: Visibility, seconds: float, **page: bool) -> Visibility:
    usual = {"starts_reading": False, "in_baseline": False}
    return it.after_page(at(seconds), STALE_AFTER, **usual | page)


HIDDEN = seen(Visibility(), 0)
SHOWN = HIDDEN.after_all_was_read()


def born(when: float) -> Totals:
    return Totals({SERIES: (1,)}, {SERIES: when})


@pytest.mark.parametrize(("seconds", "shown"), [(299, True), (300, False), (9999, False)])
def test_a_page_after_a_silence_hides_until_caught_up(seconds: float, shown: bool) -> None:
    it = seen(SHOWN, seconds)

    assert it.shown == shown
    assert it.after_all_was_read().shown


def test_a_page_ends_the_silence() -> None:
    assert seen(seen(SHOWN, 200), 499).shown


def test_the_first_page_of_a_first_read_hides() -> None:
    assert not seen(SHOWN, 1, starts_reading=True).shown


def test_a_baseline_appears_at_its_value_and_is_over_once_it_is_shown() -> None:
    it = seen(seen(HIDDEN, 1, in_baseline=True), 2)

    assert it.born_at(at(2)) == SHOWN_FROM_START
    assert it.after_all_was_read().born_at(at(3)) == at(3).wall


def test_a_series_that_is_new_while_hidden_is_born_when_it_is_first_shown() -> None:
    totals = born(HIDDEN.born_at(at(0)))
    hidden = HIDDEN.with_births(totals, at(50), BIRTH_HOLD)
    shown = HIDDEN.after_all_was_read().with_births(totals, at(60), BIRTH_HOLD)

    assert totals.born == {SERIES: NOT_SHOWN_YET}
    assert hidden is totals
    assert shown.born == {SERIES: at(60).wall}
    assert shown.series is totals.series


@pytest.mark.parametrize(
    ("seconds", "over"),
    [
        pytest.param(119, False, id="running"),
        pytest.param(120, True, id="over"),
        pytest.param(-1, True, id="clock-set-back"),
    ],
)
def test_the_end_of_a_birth_hold_is_saved(seconds: float, over: bool) -> None:
    totals = born(at(0).wall)
    updated = SHOWN.with_births(totals, at(seconds), BIRTH_HOLD)

    assert updated.born[SERIES] == (SHOWN_FROM_START if over else at(0).wall)
    assert (updated is totals) != over
