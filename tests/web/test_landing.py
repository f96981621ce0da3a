from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cdr_exporter.calls import group_calls
from cdr_exporter.clock import Now
from cdr_exporter.metrics.quarters import Quarters
from cdr_exporter.metrics.snapshot import Snapshot
from cdr_exporter.web.html import html_page
from cdr_exporter.web.landing import MOST_WITH_CHART, KnownCells, page_body

from ..support.finished_calls import DAY, call
from ..support.html_reader import PageReader
from ..support.web import NOW, snapshot

UNKNOWN = "\u2013"
DOWN = {"cdr_up": 0.0}


def read(*snapshots: Snapshot, now: Now = NOW) -> PageReader:
    reader = PageReader(html_page("t", page_body(snapshots, now, "1.2.3")))
    assert reader.open == []
    return reader


def row(one: Snapshot, now: Now = NOW) -> list[str]:
    _, cells = read(one, now=now).rows
    return [" ".join(cell.split()) for cell in cells]


def state(one: Snapshot) -> str:
    return row(one)[1]


def test_a_pbx_that_is_up_is_one_row_of_facts() -> None:
    assert row(snapshot("hq", answered=31_244)) == [
        "hq",
        "✓ Up",
        "not counted",
        "not counted",
        "12 s ago 2023-11-14 22:13 UTC",
        "6 min ago 2023-11-14 22:07 UTC",
    ]


def with_calls(name: str = "hq", *, days: int = 1) -> Snapshot:
    """Return a PBX with a call each day, the last one missed, and two more today."""
    calls = [call(NOW.wall - n * DAY) for n in range(days)]
    calls += [call(NOW.wall, "no_answer"), call(NOW.wall, call_type="Outbound")]
    quarters = Quarters().after(group_calls(calls), NOW.wall).after
    return replace(snapshot(name), quarters=quarters)


def test_the_calls_of_today_and_of_the_last_days_are_shown() -> None:
    cells = row(with_calls(days=9))

    assert cells[2:4] == ["3 50 % answered", "9"]
    assert read(with_calls(days=9)).labels == [
        "Calls by day, answered of all: 1 of 1, 1 of 1, 1 of 1, 1 of 1, 1 of 1, 1 of 1, 2 of 3"
    ]


def test_today_is_that_of_the_pbx() -> None:
    # In Kathmandu a new day began four hours before.
    zones = {"hq": ZoneInfo("Asia/Kathmandu")}
    early = replace(
        snapshot("hq"),
        quarters=Quarters().after(group_calls([call(NOW.wall - 5 * 3600), call()]), NOW.wall).after,
    )
    page = PageReader(page_body([early], NOW, "1", zones))

    assert page.texts[1][2] == "1 100 % answered"


def test_what_is_known_of_the_calls_is_worked_out_anew_when_they_or_the_days_change() -> None:
    known = KnownCells()

    def today(one: Snapshot, now: Now = NOW) -> str:
        return PageReader(page_body([one], now, "1", None, known)).texts[1][2]

    first, more = with_calls(), with_calls(days=2)
    assert [today(first), today(first)] == ["3 50 % answered"] * 2
    assert today(
        replace(more, quarters=Quarters().after(group_calls([call()]), NOW.wall).after)
    ) == ("1 100 % answered")
    assert today(first) == "3 50 % answered"
    assert today(first, Now(NOW.wall + DAY, NOW.steady)) == "0"


def test_with_many_pbxs_the_page_stays_small() -> None:
    some = page_body([with_calls(f"pbx{n}", days=9) for n in range(MOST_WITH_CHART)], NOW, "1")
    many = page_body([with_calls(f"pbx{n}", days=9) for n in range(1000)], NOW, "1")

    assert ("<svg" in some, "<svg" in many) == (True, False)
    assert len(many) < 1_000_000
    assert PageReader(many).texts[1][2:4] == ["3 50 % answered", "9"]


def test_a_pbx_that_is_down_says_since_when_and_why() -> None:
    last = {**DOWN, "cdr_exporter_last_success_timestamp_seconds": NOW.wall - 720}

    assert state(snapshot(gauges=last, failure="no answer within 30 s")) == (
        "✕ Down for 12 min Last poll: no answer within 30 s."
    )


def test_a_pbx_that_was_never_reached_says_so() -> None:
    never = {**DOWN, "cdr_exporter_last_success_timestamp_seconds": 0.0}
    cells = row(snapshot(gauges=never, shown=False))

    assert cells[1].startswith("✕ Down Its call metrics are hidden")
    assert cells[4] == "never"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param(
            {"attempted": False, "shown": False}, "… Waiting for the first poll", id="new"
        ),
        pytest.param(
            {"gauges": {"cdr_exporter_backlog": 182_344.0}},
            "↻ Catching up At most 182,344 rows are still to be read.",
            id="backlog",
        ),
        pytest.param(
            {"shown": False},
            "↻ Catching up Its call metrics are hidden until the rows it missed are read.",
            id="not yet shown",
        ),
        pytest.param(
            {"fresh_until": NOW.steady},
            "✓ Up Its call metrics are hidden: no valid answer for longer than stale_after.",
            id="silent",
        ),
        pytest.param(
            {"gauges": {"cdr_exporter_state_write_ok": 0.0}},
            "! Needs attention The state file of this PBX cannot be written; nothing new is "
            "counted. Free some space, or correct the permissions. Each poll tries again. "
            "More in the runbook: CDRStateNotWritable",
            id="state not written",
        ),
        pytest.param(
            {"gauges": {"cdr_exporter_lineage_suspect": 1.0}},
            "! Needs attention The rows that the exporter knows are gone, and the newest rows of "
            "the PBX are others; counting has paused. Make sure that one machine answers at this "
            "address. More in the runbook: CDRLineageSuspect",
            id="another table",
        ),
    ],
)
def test_the_state_is_shown_in_words(changes: dict[str, Any], expected: str) -> None:
    assert state(snapshot(**changes)) == expected


def test_pbxs_that_need_attention_come_first_and_the_others_as_configured() -> None:
    page = read(
        snapshot("b"),
        snapshot("a"),
        snapshot("new", attempted=False),
        snapshot("busy", shown=False),
        snapshot("down", gauges=DOWN),
    )

    assert [cells[0].strip() for cells in page.rows] == ["PBX", "down", "busy", "new", "b", "a"]


def test_a_summary_counts_the_states() -> None:
    many = [snapshot(f"up{number}") for number in range(38)]
    text = page_body([*many, snapshot("x", gauges=DOWN), snapshot("y", gauges=DOWN)], NOW, "1")

    assert "<p>40 PBXs: 2 down, 38 up.</p>" in text
    assert "<p>1 PBX: 1 up.</p>" in page_body([snapshot()], NOW, "1")
    assert "<p>No PBX.</p>" in page_body([], NOW, "1")


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (0, "0 s ago"),
        (89, "89 s ago"),
        (91, "2 min ago"),
        (5_399, "90 min ago"),
        (7_200, "2 h ago"),
        (172_801, "2 days ago"),
        (-3_600, "in 60 min"),
    ],
)
def test_an_age_is_shown_in_its_largest_sensible_unit(age: int, expected: str) -> None:
    newest = snapshot(gauges={"cdr_last_record_timestamp_seconds": NOW.wall - age})

    assert row(newest)[5].startswith(f"{expected} 20")


@pytest.mark.parametrize("moment", [1e18, -1e18, math.inf, -math.inf, math.nan, 253_402_300_800.0])
def test_a_time_outside_the_calendar_is_left_out(moment: float) -> None:
    assert row(snapshot(gauges={"cdr_last_record_timestamp_seconds": moment}))[5] == UNKNOWN


def test_what_is_not_known_yet_is_left_out() -> None:
    bare = Snapshot(pbx="hq")

    assert row(bare) == [
        "hq",
        "… Waiting for the first poll",
        "not counted",
        "not counted",
        UNKNOWN,
        UNKNOWN,
    ]


def test_every_value_is_escaped() -> None:
    hostile = snapshot('<b>"&', gauges=DOWN, failure="<script>alert('x')</script>")
    text = page_body([hostile], NOW, "<1.0>")

    assert "<b>" not in text
    assert "<script" not in text
    assert 'href="pbx/%3Cb%3E%22%26"' in text
    assert "&lt;1.0&gt;" in text
    assert row(hostile)[0] == '<b>"&'


def test_links_are_relative_so_that_a_proxy_may_add_a_prefix() -> None:
    hrefs = read(snapshot("hq")).hrefs

    assert hrefs == [
        "pbx/hq",
        "metrics",
        "sd",
        "dashboards/",
        "rules/",
        "runbook",
        "-/healthy",
        "-/ready",
    ]


def test_a_screen_reader_sees_a_table() -> None:
    text = page_body([snapshot()], NOW, "1")

    assert text.count('<th scope="col"') == 6
    assert text.count('<th scope="row"') == 1
    # The style turns rows into cards on a phone; screen readers see a table by the roles only.
    assert re.findall(r'role="(\w+)"', text).count("cell") == 5
