"""What somebody has to do is said in the words of the runbook, and leads there."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from cdr_exporter.bundled import rules, runbook
from cdr_exporter.cdr.error_codes import BLOCKED_REASONS
from cdr_exporter.metrics.catalogue import FAILURES
from cdr_exporter.metrics.snapshot import Snapshot
from cdr_exporter.metrics.totals import Series
from cdr_exporter.web import advice
from cdr_exporter.web.advice import Advice
from cdr_exporter.web.runbook import runbook_page
from cdr_exporter.web.status import CLOCK_TOLERANCE, advices

from ..support.html_reader import PageReader
from ..support.web import NOW, app, ask, snapshot

TABLE = dict(re.findall(r"^\| (`.+?) \| (.+?) \|$", runbook(), re.MULTILINE))
WORDS = {
    reason: words for names, words in TABLE.items() for reason in re.findall(r"`(\w+)`", names)
}


OFFSET = "cdr_exporter_pbx_clock_offset_seconds"


def plain(text: str) -> str:
    """Return *text* without marks, and without the difference of an end of sentence."""
    return re.sub(r"[`*.]|\[|\]\(#\w+\)", "", text).casefold()


def section(heading: str) -> str:
    return runbook().split(f"\n## {heading}\n")[1].split("\n## ")[0]


def test_every_reason_has_its_advice() -> None:
    assert advice.BLOCKED.keys() == set(BLOCKED_REASONS)
    assert advice.FAILED.keys() == set(FAILURES)


@pytest.mark.parametrize("reason", sorted(set(BLOCKED_REASONS) - {"token_cap"}))
def test_who_is_kept_out_reads_the_words_of_the_runbook(reason: str) -> None:
    assert plain(advice.BLOCKED[reason].do) == plain(WORDS[reason])


@pytest.mark.parametrize("reason", sorted(set(FAILURES) - {"auth", "api", "throttled", "state"}))
def test_what_a_failure_is_stands_in_the_runbook(reason: str) -> None:
    assert plain(WORDS[reason]) in plain(advice.FAILED[reason].problem)


@pytest.mark.parametrize("each", [pytest.param(a, id=a.problem) for a in dict.fromkeys(advice.ALL)])
def test_what_to_do_stands_under_the_heading_it_leads_to(each: Advice) -> None:
    there = plain(section(each.heading))

    for sentence in re.split(r"(?<=\.) ", each.do):
        assert plain(sentence) in there


def test_the_runbook_has_the_anchors() -> None:
    anchors = PageReader(runbook_page(runbook())).ids

    assert {each.anchor for each in advice.ALL} <= set(anchors)


def kept_out(reason: str) -> Snapshot:
    down = snapshot("hq", gauges={"cdr_up": 0.0}, failure="it refuses")
    gauges = {**down.gauges, Series("cdr_exporter_auth_blocked", (reason,)): 1.0}
    return replace(down, gauges=gauges, failure_reason="auth")


@pytest.mark.parametrize("reason", BLOCKED_REASONS)
def test_a_pbx_that_keeps_us_out_says_what_to_do_on_both_pages(reason: str) -> None:
    application = app(kept_out(reason))
    said = advice.BLOCKED[reason]

    for path, root in (("/", ""), ("/pbx/hq", "../")):
        text = ask(application, path).text.replace("&gt;", ">").replace("&#x27;", "'")
        assert said.do in text
        assert f'href="{root}runbook#{said.anchor}"' in text


@pytest.mark.parametrize("reason", FAILURES)
def test_a_poll_that_failed_says_what_to_do(reason: str) -> None:
    failed = Snapshot(pbx="hq", failure_reason=reason, attempted=True)

    assert list(advices(failed, NOW)) == [advice.FAILED[reason]]


def test_a_state_that_was_opened_and_cannot_be_written_is_told_from_one_that_cannot_be_used() -> (
    None
):
    full = snapshot("hq", gauges={"cdr_up": 0.0, "cdr_exporter_state_write_ok": 0.0})

    assert list(advices(replace(full, failure_reason="state"), NOW)) == [advice.STATE_NOT_WRITTEN]


@pytest.mark.parametrize(
    ("gauge", "labels", "value", "expected"),
    [
        pytest.param("cdr_exporter_state_write_ok", (), 0.0, advice.STATE_NOT_WRITTEN, id="disk"),
        pytest.param("cdr_exporter_lineage_suspect", (), 1.0, advice.LINEAGE_SUSPECT, id="table"),
        pytest.param(
            "cdr_last_record_timestamp_seconds", (), NOW.wall + 121, advice.CLOCK_AHEAD, id="ahead"
        ),
        pytest.param(OFFSET, (), 121.0, advice.CLOCK_OFF, id="clock ahead"),
        pytest.param(OFFSET, (), -121.0, advice.CLOCK_OFF, id="clock behind"),
        pytest.param(
            "cdr_exporter_state_reset_timestamp_seconds",
            ("corrupt",),
            NOW.wall - 3600,
            advice.STATE_RESET,
            id="state set aside",
        ),
    ],
)
def test_what_else_needs_somebody_is_said(
    gauge: str, labels: tuple[str, ...], value: float, expected: Advice
) -> None:
    well = snapshot("hq")
    ill = replace(well, gauges={**well.gauges, Series(gauge, labels): value})

    assert list(advices(well, NOW)) == []
    assert list(advices(ill, NOW)) == [expected]


@pytest.mark.parametrize(
    ("gauge", "labels", "value"),
    [
        pytest.param("cdr_last_record_timestamp_seconds", (), NOW.wall + 119, id="newest call"),
        pytest.param(OFFSET, (), -119.0, id="clock"),
        pytest.param(
            "cdr_exporter_state_reset_timestamp_seconds",
            ("corrupt",),
            NOW.wall - 86_401,
            id="state set aside long ago",
        ),
    ],
)
def test_what_needs_nobody_is_not_said(gauge: str, labels: tuple[str, ...], value: float) -> None:
    well = snapshot("hq")

    assert not list(
        advices(replace(well, gauges={**well.gauges, Series(gauge, labels): value}), NOW)
    )


def test_a_clock_is_spoken_of_from_where_its_alert_begins() -> None:
    thresholds = rules()["cdr-thresholds.yml"].decode()

    assert f"clock_offset_seconds\n        expr: {CLOCK_TOLERANCE} " in thresholds
