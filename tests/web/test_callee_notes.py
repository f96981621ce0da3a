"""The landing page says where callees are not told by number and name."""

from __future__ import annotations

from dataclasses import replace

from cdr_exporter.metrics.totals import Series
from cdr_exporter.web.callee_notes import callee_notes
from cdr_exporter.web.landing import page_body

from ..support.web import NOW, snapshot

UNRECOGNISED = "cdr_exporter_unrecognised_callees_total"


def notes(answered: int = 100, neither: int = 0, conflict: int = 0) -> list[str]:
    return list(
        callee_notes(
            {
                Series("cdr_records_total", ("ANSWERED", "Inbound", "sip")): (answered,),
                Series("cdr_records_total", ("NO ANSWER", "Inbound", "sip")): (1000,),
                Series(UNRECOGNISED, ("neither",)): (neither,),
                Series(UNRECOGNISED, ("conflict",)): (conflict,),
            }
        )
    )


def test_where_every_callee_is_told_there_is_nothing_to_say() -> None:
    assert notes() == []
    assert list(callee_notes({})) == []


def test_a_number_and_a_name_that_disagree_are_worth_a_look_at_the_number_plan() -> None:
    assert notes(conflict=1234) == [
        "Legs whose callee's number and name disagree, so far: 1,234; check number_plan; "
        "check --connect shows which numbers."
    ]


def test_a_large_share_of_callees_whom_nothing_tells_is_said() -> None:
    assert notes(answered=100, neither=11) == [
        "Of 100 rows ANSWERED so far, 11 do not tell by number or name who picked up, and count "
        "as persons; check number_plan; check --connect shows which numbers."
    ]


def test_a_small_share_of_them_is_not_said_nor_that_of_a_few_rows() -> None:
    assert notes(answered=100, neither=10) == []
    assert notes(answered=19, neither=19) == []


def test_the_landing_page_says_it_beside_the_pbx() -> None:
    plain = snapshot()
    counted = {**plain.totals.series, Series(UNRECOGNISED, ("conflict",)): (3,)}
    one = replace(plain, totals=replace(plain.totals, series=counted))

    assert "disagree, so far: 3; check number_plan" in page_body([one], NOW, "1.2.3")
    assert "number_plan" not in page_body([plain], NOW, "1.2.3")
