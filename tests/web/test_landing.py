from __future__ import annotations

import math
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from cdr_exporter.clock import Now
from cdr_exporter.metrics.snapshot import Snapshot
from cdr_exporter.metrics.totals import Series
from cdr_exporter.web.html import file_list_page, html_page
from cdr_exporter.web.landing import page_body

from ..support.web import NOW, snapshot

UNKNOWN = "\u2013"
DOWN = {"cdr_up": 0.0}
VOID = {"meta"}


class PageReader(HTMLParser):
    """Reads a page as rows of text, and notes the links and the tags that are not closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.hrefs: list[str | None] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        self.hrefs += [value for name, value in attrs if name == "href"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "tr" in self.open:
            self.rows[-1][-1] += data + " "


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
        "12 s ago 2023-11-14 22:13 UTC",
        "31,244",
        "900",
        "6 min ago 2023-11-14 22:07 UTC",
    ]


def test_a_pbx_that_is_down_says_since_when_and_why() -> None:
    last = {**DOWN, "cdr_exporter_last_success_timestamp_seconds": NOW.wall - 720}

    assert state(snapshot(gauges=last, failure="no answer within 30 s")) == (
        "✕ Down for 12 min Last poll: no answer within 30 s."
    )


def test_a_pbx_that_was_never_reached_says_so() -> None:
    never = {**DOWN, "cdr_exporter_last_success_timestamp_seconds": 0.0}
    cells = row(snapshot(gauges=never, shown=False))

    assert cells[1].startswith("✕ Down Its call metrics are hidden")
    assert cells[2] == "never"


def test_a_pbx_that_was_never_reached_has_no_number_of_rows() -> None:
    never = {**DOWN, "cdr_exporter_last_success_timestamp_seconds": 0.0}

    assert row(snapshot(gauges=never, shown=False, answered=0))[3] == UNKNOWN
    assert row(snapshot(gauges=never, shown=False, answered=5))[3] == "5"
    assert row(snapshot(answered=0))[3] == "0"


def test_a_pbx_that_refuses_the_exporter_says_why() -> None:
    gauges = {
        Series("cdr_up"): 0.0,
        Series("cdr_exporter_auth_blocked", ("credentials",)): 1.0,
        Series("cdr_exporter_auth_blocked", ("denied",)): 0.0,
    }
    blocked = Snapshot(pbx="hq", gauges=gauges, attempted=True)

    assert "The PBX refuses the exporter until somebody acts: credentials." in state(blocked)


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
            "! Needs attention The state file cannot be written; nothing new is counted.",
            id="state not written",
        ),
        pytest.param(
            {"gauges": {"cdr_exporter_lineage_suspect": 1.0}},
            "! Needs attention Its newest rows do not belong to the CDR list read so "
            "far; counting has paused.",
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


@pytest.mark.parametrize("number", [math.inf, math.nan])
def test_a_number_that_is_not_finite_is_left_out(number: float) -> None:
    assert row(snapshot(gauges={"cdr_pbx_records": number}))[4] == UNKNOWN


def test_what_is_not_known_yet_is_left_out() -> None:
    bare = Snapshot(pbx="hq")

    assert row(bare) == ["hq", "… Waiting for the first poll", UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN]


def test_every_value_is_escaped() -> None:
    hostile = snapshot('<b>"&', gauges=DOWN, failure="<script>alert('x')</script>")
    text = page_body([hostile], NOW, "<1.0>")

    assert "<b>" not in text
    assert "<script" not in text
    assert 'href="metrics?pbx=%3Cb%3E%22%26"' in text
    assert "&lt;1.0&gt;" in text
    assert row(hostile)[0] == '<b>"&'


def test_links_are_relative_so_that_a_proxy_may_add_a_prefix() -> None:
    hrefs = read(snapshot("hq")).hrefs

    assert hrefs == [
        "metrics?pbx=hq",
        "metrics",
        "sd",
        "dashboards/",
        "rules/",
        "-/healthy",
        "-/ready",
    ]


def test_a_screen_reader_sees_a_table() -> None:
    text = page_body([snapshot()], NOW, "1")

    assert text.count('<th scope="col"') == 6
    assert text.count('<th scope="row"') == 1
    # The style turns rows into cards on a phone; screen readers see a table by the roles only.
    assert re.findall(r'role="(\w+)"', text).count("cell") == 5


def test_pages_have_no_script_and_load_nothing() -> None:
    for page in (
        html_page("t", page_body([snapshot()], NOW, "1")),
        file_list_page("Rules", ["a.yml"]),
    ):
        assert not re.search(r"<script|<img|<link|\son\w+=|url\(|@import|http", page)


def test_a_list_of_files_is_escaped_too() -> None:
    page = file_list_page("<T>", ['a"<.yml'])

    assert PageReader(page).hrefs == ["../", "a%22%3C.yml"]
    assert "<T>" not in page


def relative_luminance(color: str) -> float:
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_every_text_color_has_enough_contrast(scheme: int) -> None:
    schemes = re.findall(r":root\{(.*?)\}", html_page("t", ""), re.DOTALL)
    colors = dict(re.findall(r"--(\w+):(#\w+)", schemes[scheme]))
    colors = {
        k: v if len(v) == 7 else "#" + "".join(2 * c for c in v[1:]) for k, v in colors.items()
    }
    for paper in ("paper", "head"):
        for ink in ("ink", "soft", "link", "up", "down", "busy", "wait"):
            light, dark = sorted(relative_luminance(colors[c]) for c in (ink, paper))[::-1]

            assert (light + 0.05) / (dark + 0.05) >= 4.5, f"{ink} on {paper}"
