from __future__ import annotations

import pytest

from cdr_exporter.clock import Now
from cdr_exporter.ingest.visibility import Visibility
from cdr_exporter.metrics.totals import NOT_SHOWN_YET, SHOWN_FROM_START, Series, Totals

SERIES = Series("cdr_records_total", ("ANSWERED", "Inbound", "sip"))


def at(seconds: float) -> Now:
    return Now(wall=1_000_000 + seconds, steady=500 + seconds)


def visibility(*, shown: bool = True) -> Visibility:
    it = Visibility(stale_after=300, birth_hold=120)
    it.shown = shown
    it.saw_page(at(0))
    return it


def born(when: float) -> Totals:
    return Totals({SERIES: (1,)}, {SERIES: when})


@pytest.mark.parametrize(("seconds", "shown"), [(299, True), (300, False), (9999, False)])
def test_silence_hides_until_caught_up(seconds: float, shown: bool) -> None:
    it = visibility()
    it.hide_if_stale(at(seconds))

    assert it.shown == shown


def test_a_page_ends_the_silence() -> None:
    it = visibility()
    it.saw_page(at(200))
    it.hide_if_stale(at(499))

    assert it.shown


def test_a_series_that_is_new_while_hidden_is_born_when_it_is_first_shown() -> None:
    it = visibility(shown=False)
    totals = born(it.born_at(at(0)))
    hidden = it.with_births(totals, at(50))
    it.shown = True
    shown = it.with_births(totals, at(60))

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
    updated = visibility().with_births(totals, at(seconds))

    assert updated.born[SERIES] == (SHOWN_FROM_START if over else at(0).wall)
    assert (updated is totals) != over
