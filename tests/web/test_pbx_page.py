"""The page of one PBX: every number of its charts is that of the calls counted, in its own time."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdr_exporter.calls import Call, group_calls
from cdr_exporter.clock import Now
from cdr_exporter.metrics.quarters import Quarters
from cdr_exporter.metrics.snapshot import Snapshot
from cdr_exporter.web.charts import OUTCOME_WORDS
from cdr_exporter.web.pbx_page import page_body

from ..support.finished_calls import DAY, HOUR, NOW, call, some_calls
from ..support.html_reader import PageReader
from ..support.web import app, ask, snapshot

AT = Now(NOW, 5_000.0)
ZONES = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "America/New_York")


def with_calls(*calls: Call, now: float = NOW, baseline: bool = True) -> Snapshot:
    """Return a PBX with *calls*, of which the oldest is the oldest that is known."""
    quarters = Quarters().after(group_calls(calls), now, baseline=baseline).after
    return replace(snapshot("hq"), quarters=quarters)


def read(one: Snapshot, zone: str = "UTC", now: Now = AT) -> PageReader:
    page = PageReader(page_body(one, now, ZoneInfo(zone)))
    assert page.open == []
    return page


class Charts:
    """The lines of the two charts of a page, and of the tables behind them, by their labels."""

    def __init__(self, page: PageReader) -> None:
        heads = [n for n, cells in enumerate(page.texts) if cells[0] in ("Hour", "Day")]
        parts = [
            page.texts[first:end]
            for first, end in zip(heads, [*heads[1:], len(page.texts)], strict=True)
        ]
        self.hours, self.hour_table, self.days, self.day_table = (part[1:] for part in parts)
        self.table_head = parts[1][0]


def calls_in(lines: Sequence[Sequence[str]], column: int) -> int:
    return sum(int(line[column].replace(",", "")) for line in lines if len(line) > 3)


# --- numbers -------------------------------------------------------------------------------------


@given(some_calls(), st.sampled_from(ZONES))
@settings(max_examples=30, deadline=None)
def test_the_bars_and_the_table_show_all_calls_of_their_time(calls: list[Call], zone: str) -> None:
    page = read(with_calls(*calls), zone)
    charts = Charts(page)

    today = datetime.fromtimestamp(NOW, ZoneInfo(zone)).date()
    ages = [
        (today - datetime.fromtimestamp(each.started_at, ZoneInfo(zone)).date()).days
        for each in calls
    ]
    expected = sum(age < 31 for age in ages)
    assert calls_in(charts.days, 2) == calls_in(charts.day_table, 1) == expected
    assert sum(sum(numbers_of(label).values()) for label in bars(page)[24:]) == expected
    assert calls_in(charts.hours, 2) == calls_in(charts.hour_table, 1)


def bars(page: PageReader) -> list[str]:
    return [label or "" for label in page.labels]


def numbers_of(label: str) -> dict[str, int]:
    """Return the calls by outcome that a bar names."""
    return {word: int(n) for n, word in re.findall(r"(\d+) ([a-z ]+?)(?:,|$)", label)}


@given(some_calls())
@settings(max_examples=20, deadline=None)
def test_a_bar_says_what_its_line_of_the_table_says(calls: list[Call]) -> None:
    page = read(with_calls(call(NOW - 31 * DAY), *calls))
    charts = Charts(page)
    words = {word: word.lower() for word in OUTCOME_WORDS.values()}

    lines = [*charts.hour_table, *charts.day_table]
    for label, line, shown in zip(bars(page), lines, [*charts.hours, *charts.days], strict=True):
        named = numbers_of(label)
        assert sum(named.values()) == int(line[1]) == int(shown[2])
        assert not named.keys() - set(words.values())
        assert shown[3] in line


def test_outcomes_have_their_columns() -> None:
    page = read(with_calls(call(), call(outcome="no_answer"), call(outcome="no_answer")))

    charts = Charts(page)
    newest = dict(zip(charts.table_head, charts.hour_table[0], strict=True))
    assert newest["Hour"] == "Tue 14 Nov, 22:00"
    assert (newest["Calls"], newest["Answered"], newest["No answer"]) == ("3", "1", "2")
    assert (newest["Answered, of inbound"], newest["In time"]) == ("33 %", "33 %")
    assert (newest["Wait, mean"], newest["Talk, mean"]) == ("5 s", "55 s")
    assert bars(page)[0] == "1 answered, 2 no answer"
    assert charts.hours[0] == ["22:00 Tue 14 Nov", "", "3", "33 %", "33 %"]


@pytest.mark.parametrize(
    ("zone", "hour", "day"),
    [
        pytest.param("UTC", "22:00 Tue 14 Nov", "Tue 14 Nov", id="UTC"),
        pytest.param("Europe/Berlin", "23:00 Tue 14 Nov", "Tue 14 Nov", id="Berlin"),
        pytest.param("Asia/Kathmandu", "03:00 Wed 15 Nov", "Wed 15 Nov", id="Kathmandu"),
    ],
)
def test_times_are_those_of_the_pbx(zone: str, hour: str, day: str) -> None:
    charts = Charts(read(with_calls(call()), zone))

    assert (charts.hours[0][0], charts.days[0][0]) == (hour, day)
    assert f"Times are those of {zone}" in page_body(with_calls(call()), AT, ZoneInfo(zone))


@pytest.mark.parametrize(
    ("zone", "day", "expected"),
    [
        pytest.param("Europe/Berlin", "2023-10-29", 25, id="a day of 25 hours"),
        pytest.param("Europe/Berlin", "2024-03-31", 23, id="a day of 23 hours"),
        pytest.param("Australia/Lord_Howe", "2024-04-07", 24.5, id="half an hour more"),
        pytest.param("Asia/Kathmandu", "2024-04-07", 24, id="an ordinary day"),
    ],
)
def test_a_day_over_a_change_of_clocks_has_all_its_calls_and_no_other(
    zone: str, day: str, expected: float
) -> None:
    noon = datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=ZoneInfo(zone)).timestamp()
    calls = [call(noon + n * 1800 + 60) for n in range(-96, 97)]
    now = noon + 3 * DAY

    charts = Charts(read(with_calls(*calls, now=now), zone, Now(now, 5_000.0)))

    date = datetime.fromtimestamp(noon, ZoneInfo(zone))
    [line] = [line for line in charts.days if line[0] == f"{date:%a} {date.day} {date:%b}"]
    assert int(line[2]) == 2 * expected


# --- what is not known ---------------------------------------------------------------------------


def test_before_the_first_start_stands_not_counted() -> None:
    charts = Charts(read(with_calls(call(), baseline=False)))

    assert charts.hours[0] == ["22:00 Tue 14 Nov", "", "1", "100 %", "100 %"]
    assert charts.hours[1] == ["23:00 Mon 13 Nov to 21:00 Tue 14 Nov", "not counted"]
    assert charts.days[1:] == [["Sun 15 Oct to Mon 13 Nov", "not counted"]]
    assert all(line[1:] == ["not counted"] for line in charts.day_table[1:])
    assert len(charts.day_table) == 31


def test_a_time_that_was_counted_in_part_says_since_when() -> None:
    began = NOW - 2 * DAY - HOUR
    one = with_calls(call(began), now=began, baseline=False)

    charts = Charts(read(one, "Europe/Berlin"))

    assert charts.days[2][0] == "Sun 12 Nov"
    assert charts.days[2][1].startswith("counted since Sun 12 Nov, 22:13")
    assert charts.days[3] == ["Sun 15 Oct to Sat 11 Nov", "not counted"]


def test_a_call_that_began_before_the_first_start_is_shown_all_the_same() -> None:
    charts = Charts(read(with_calls(call(NOW - 3 * HOUR), baseline=False)))

    assert charts.hours[3][::2] == ["19:00", "1", "100 %"]
    assert charts.hours[2] == ["20:00", "not counted"]


def test_nothing_is_counted_yet() -> None:
    page = read(snapshot("hq"))

    charts = Charts(page)
    assert charts.days == [["Sun 15 Oct to Tue 14 Nov", "not counted"]]
    assert page.labels == []


def reached(*spans: tuple[float, float]) -> Snapshot:
    """Return a PBX that was polled each minute from and to these hours before now."""
    quarters = Quarters()
    for first, last in spans:
        for minute in range(int(first * 60), int(last * 60), -1):
            quarters = quarters.reached_at(NOW - minute * 60, 300.0).after
    return replace(snapshot("hq"), quarters=quarters)


def test_a_time_in_which_the_pbx_was_not_reached_is_said_in_words_and_hatched() -> None:
    text = page_body(reached((6, 3.3), (1.5, 0)), AT, UTC)
    charts = Charts(PageReader(text))

    assert charts.hours[2][1] == "not reached for 30 min"
    assert charts.hours[3][1] == "not reached for 1 h"
    assert charts.days[0][1].endswith("not reached for 1 h 30 min")
    assert [line[1] for line in charts.hours[:2]] == ["", ""]
    # Two hours, a day, and the key to it.
    assert text.count('class="unreached"') == 4


def test_a_pbx_that_was_reached_all_the_time_has_no_hatching() -> None:
    assert 'class="unreached"' not in page_body(reached((30, 0)), AT, UTC)


# --- the state -----------------------------------------------------------------------------------


def test_a_first_read_says_how_far_it_is() -> None:
    one = snapshot("hq", answered=12_500, shown=False, gauges={"cdr_pbx_records": 50_000.0})
    reading = replace(one, in_first_read=True)

    text = page_body(reading, AT, UTC)

    assert "First read: 12,500 of 50,000 rows are read (25\u00a0%)." in text
    assert '<rect class="done" width="25.0%"' in text
    assert "not counted" not in text.split("</section>", 1)[1]
    assert Charts(PageReader(text)).days == [["Sun 15 Oct to Tue 14 Nov", "not read yet"]]


@pytest.mark.parametrize("total", [0.0, -1.0, math.inf, math.nan])
def test_a_first_read_of_who_knows_how_many_rows_is_shown_too(total: float) -> None:
    one = snapshot("hq", shown=False, gauges={"cdr_pbx_records": total})

    assert "First read: 7 " in page_body(replace(one, in_first_read=True), AT, UTC)


def test_the_facts_of_a_pbx_are_on_its_page() -> None:
    text = page_body(snapshot("hq", answered=31_244), AT, UTC)

    assert "<dt>Rows counted</dt><dd>31,244</dd>" in text
    assert "<dt>Rows on the PBX</dt><dd>900</dd>" in text
    assert 'href="../metrics?pbx=hq"' in text


def test_a_pbx_that_was_never_reached_has_no_number_of_rows() -> None:
    never = {"cdr_up": 0.0, "cdr_exporter_last_success_timestamp_seconds": 0.0}

    text = page_body(snapshot("hq", gauges=never, answered=0), AT, UTC)

    assert "<dt>Rows counted</dt><dd>\u2013</dd>" in text
    assert "<dt>Last success</dt><dd>never</dd>" in text


@pytest.mark.parametrize("number", [math.inf, math.nan])
def test_a_number_that_is_not_finite_is_left_out(number: float) -> None:
    text = page_body(snapshot("hq", gauges={"cdr_pbx_records": number}), AT, UTC)

    assert "<dt>Rows on the PBX</dt><dd>\u2013</dd>" in text


def test_it_says_by_which_end_of_a_call_the_charts_go() -> None:
    text = page_body(snapshot("hq"), AT, UTC)

    assert "a call at the time at which it began" in text
    assert "count it when it is over" in text


def test_there_are_sums_only() -> None:
    hostile = call(did="+4930555", trunk="<b>", talk_by_destination={"premium": 5})

    text = page_body(with_calls(hostile), AT, UTC)

    assert not re.search(r"4930555|premium|<b>", text)


# --- the path ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("/pbx/hq", 200, id="its name"),
        pytest.param("/pbx/hq?x=1", 200, id="with a query"),
        pytest.param("/pbx/nobody", 404, id="another name"),
        pytest.param("/pbx/HQ", 404, id="in capitals"),
        pytest.param("/pbx/", 404, id="no name"),
        pytest.param("/pbx", 404, id="no slash"),
        pytest.param("/pbx/hq/", 404, id="a slash too many"),
        pytest.param("/pbx/%68q", 404, id="encoded"),
        pytest.param("/pbx//hq", 404, id="two slashes"),
        pytest.param("/hq", 404, id="no folder"),
    ],
)
def test_a_page_has_exactly_one_path(path: str, status: int) -> None:
    for method in ("GET", "HEAD"):
        assert ask(app(snapshot("hq")), path, method).status == status


def test_the_page_goes_by_the_time_zone_of_its_pbx() -> None:
    application = app(snapshot("hq"), zones={"hq": ZoneInfo("Asia/Kathmandu")})

    assert "Times are those of Asia/Kathmandu" in ask(application, "/pbx/hq").text
    assert Counter(ask(application, "/pbx/hq").text.split())["JavaScript"] == 0
