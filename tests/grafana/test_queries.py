"""Every query of the dashboards, run by a real Prometheus that has fifteen days of calls."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from typing import NamedTuple

import pytest

from cdr_exporter.cdr.contract import CALL_TYPES, DISPOSITIONS
from cdr_exporter.metrics.catalogue import FAMILIES
from grafana.generator.panels import JSON
from pbx_simulator.directory import BERLIN

from ..support.dashboards import (
    DASHBOARDS,
    VARIABLE_CASES,
    filled_in,
    marks,
    panels,
    shown_by,
    step_of,
    targets,
)
from ..support.fifteen_days import BEGIN, DAY, DOWN, END, HOUR, MINUTE, ZONES, Past
from ..support.panel_queries import ALL, Series, ask_panel, by_label, numbers, the
from ..support.processes import Prometheus
from ..support.programs import require
from ..support.prometheus_rules import FOLDER as PROMETHEUS
from ..support.prometheus_rules import metrics_in

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

ONE_DAY = timedelta(days=1)

ONE: Mapping[str, str] = {
    "pbx": "hq",
    "trunk": "SIP-Provider",
    "call_type": "Inbound",
    "disposition": "ANSWERED",
}


class Query(NamedTuple):
    """One query of a panel, and the file name of its dashboard."""

    dashboard: str
    panel: JSON
    query: JSON

    @property
    def id(self) -> str:
        return f"{self.dashboard}: {self.panel['title']} {self.query['refId']}"


QUERIES = [
    Query(name, panel, query)
    for name, dashboard in DASHBOARDS.items()
    for panel in panels(dashboard)
    for query in targets(panel)
]
ASKED_FOR = sorted({metric for case in QUERIES for metric in metrics_in(case.query["expr"])})


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Past:
    require("promtool")
    require("prometheus")
    made = Past(tmp_path_factory.mktemp("past"), ASKED_FOR)
    recorded = {name for *_, selector in SAME for name in metrics_in(selector)}
    made.record(PROMETHEUS / "rules" / "cdr-kpis.yml", recorded)
    return made


@pytest.fixture(scope="module")
def prometheus(past: Past) -> Iterator[Prometheus]:
    with past.prometheus() as running:
        yield running


def asked(
    prometheus: Prometheus,
    panel: JSON,
    query: JSON,
    shown: int,
    chosen: Mapping[str, str] = ALL,
    at: float = END,
) -> Series:
    """Return the series that a panel gets which shows *shown* seconds, up to the end or *at*."""
    return ask_panel(prometheus, panel, query, shown, chosen, at)


def found_by(
    prometheus: Prometheus, case: Query, chosen: Mapping[str, str], shown: int | None = None
) -> list[float]:
    """Return the numbers that the panel of one of the QUERIES shows."""
    shown = shown or shown_by(DASHBOARDS[case.dashboard], case.panel)
    return numbers(asked(prometheus, case.panel, case.query, shown, chosen))


LONGER = {"Against a week before": 7 * DAY}
"""How much is shown where a day is too short: a week ago there was a scrape in 30 minutes."""


def may_be_silent(case: Query) -> bool:
    """Whether a query shows troubles, of which a good day has none, or what only HTTP tells."""
    expression = case.query["expr"]
    return "@ end()" in expression or "cdr_exporter_pbx_clock_offset_seconds" in expression


@pytest.mark.parametrize("chosen", [ALL, ONE], ids=["all", "one"])
def test_every_query_has_an_answer(prometheus: Prometheus, chosen: Mapping[str, str]) -> None:
    silent = [
        case
        for case in QUERIES
        if not found_by(prometheus, case, chosen, LONGER.get(case.panel["title"]))
    ]

    assert [case.id for case in silent if not may_be_silent(case)] == []


def test_what_marks_an_outage_finds_it(prometheus: Prometheus) -> None:
    for dashboard in DASHBOARDS.values():
        (mark,) = marks(dashboard)
        expression = filled_in(mark["expr"], {"$__interval": f"{15 * MINUTE}s"})
        (marked,) = prometheus.query_range(expression, END - DAY, END, 15 * MINUTE)

        assert marked["metric"] == {"pbx": "branch"}
        # The exporter looks every 5 minutes on that day, so it knows it so much later.
        times = [int(at) for at, _ in marked["values"]]
        assert DOWN.start < times[0] <= DOWN.start + 15 * MINUTE
        assert DOWN.stop <= times[-1] <= DOWN.stop + 15 * MINUTE


def test_no_query_knows_anything_of_a_pbx_that_is_not_there(prometheus: Prometheus) -> None:
    elsewhere = {"pbx": "elsewhere"}
    known = [case for case in QUERIES if found_by(prometheus, case, elsewhere, shown=DAY)]

    # A count that is 0 for want of a PBX would look like good news.
    of_the_process = {family.name for family in FAMILIES if family.process_wide}
    about_pbxs = [c for c in known if of_the_process.isdisjoint(metrics_in(c.query["expr"]))]
    assert [case.id for case in about_pbxs] == []


OFFERED = {
    "pbx": {"hq", "branch"},
    "trunk": {"none", *BERLIN.trunks},
    "call_type": set(CALL_TYPES),
    "disposition": set(DISPOSITIONS),
}


@pytest.mark.parametrize("variable", VARIABLE_CASES)
@pytest.mark.parametrize("chosen", [ALL, ONE], ids=["all", "one"])
def test_a_variable_offers_what_there_is(
    prometheus: Prometheus, variable: JSON, chosen: Mapping[str, str]
) -> None:
    series = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"])
    assert series
    selector = filled_in(series[1], chosen=chosen)
    offered = prometheus.ask(
        f"label/{series[2]}/values", **{"match[]": selector}, start=BEGIN, end=END
    )

    assert set(offered) == OFFERED[variable["name"]]


def at_one_moment(title: str) -> tuple[JSON, JSON]:
    """Return a panel over time and its query, as one that is asked for the end only."""
    panel, query = the(title)
    return panel, {**query, "instant": True}


SAME: list[tuple[tuple[JSON, JSON], int, Mapping[str, str], str]] = [
    (
        the("Inbound answered"),
        DAY,
        {"pbx": "hq"},
        'pbx_outcome:cdr_inbound_calls:ratio1d{pbx="hq", outcome="answered"}',
    ),
    (
        the("Calls by number (dids in exporter.yml)", "Answered"),
        DAY,
        {"pbx": "hq"},
        'pbx_did_outcome:cdr_did_calls:ratio1d{pbx="hq", outcome="answered"}',
    ),
    (the("Service level"), DAY, {"pbx": "hq"}, 'pbx:cdr_service_level_20s:ratio1d{pbx="hq"}'),
    (the("Average wait"), DAY, {"pbx": "hq"}, 'pbx:cdr_inbound_wait_seconds:mean1d{pbx="hq"}'),
    (
        the("Inbound missed"),
        DAY,
        {"pbx": "hq"},
        'pbx_outcome:cdr_inbound_calls:increase1d{pbx="hq", outcome="no_answer"}',
    ),
    (the("Trunks side by side", "ASR"), DAY, ALL, "pbx_trunk:cdr_answer_seizure:ratio1d"),
    (
        the("Trunks side by side", "ALOC"),
        DAY,
        {"call_type": "Inbound"},
        'pbx_call_type_trunk:cdr_call_talk_seconds:mean1d{call_type="Inbound", trunk!="none"}',
    ),
    (at_one_moment("Traffic (erlangs)"), HOUR, ALL, "pbx_trunk:cdr_traffic_erlangs:rate1h"),
    (the("Trunks side by side", "Last hour"), DAY, ALL, "pbx_trunk:cdr_calls:increase1h"),
    (
        the("Calls by queue (queues in exporter.yml)", "Answered"),
        DAY,
        {"pbx": "hq"},
        'pbx_queue_outcome:cdr_queue_calls:ratio1d{pbx="hq", outcome="answered"}',
    ),
]
"""A query, how much is shown, what is chosen, and what the rules record of the same."""


@pytest.mark.parametrize(
    ("which", "shown", "chosen", "recorded"), SAME, ids=[case[3].split("{")[0] for case in SAME]
)
def test_a_dashboard_says_what_the_rules_record(
    prometheus: Prometheus,
    which: tuple[JSON, JSON],
    shown: int,
    chosen: Mapping[str, str],
    recorded: str,
) -> None:
    # A group of rules has moments of its own at which it is evaluated.
    (moment,) = set(numbers(prometheus.query(f"timestamp({recorded})", time=END)))
    said = numbers(asked(prometheus, *which, shown, chosen, at=moment))
    kept = numbers(prometheus.query(recorded, time=END))

    assert said
    assert sorted(said) == pytest.approx(sorted(kept), rel=1e-6)


def counted(prometheus: Prometheus, name: str, begin: float, end: float) -> int:
    """Return how many calls of one PBX were counted between two moments, by its counters."""
    at = {
        when: sum(numbers(prometheus.query(f'cdr_calls_total{{pbx="{name}"}}', time=when)))
        for when in (begin, end)
    }
    return round(at[end] - at[begin])


@pytest.mark.parametrize("shown", [DAY, 7 * DAY, 15 * DAY], ids=["a day", "a week", "all"])
def test_bars_are_whole_calls_and_add_up_to_those_that_were_counted(
    prometheus: Prometheus, shown: int
) -> None:
    panel, query = the("Calls by outcome")
    step = step_of(panel, shown)
    begin = (END - shown) // step * step
    bars = numbers(asked(prometheus, panel, query, shown))

    assert all(bar == int(bar) for bar in bars)
    assert sum(bars) == sum(counted(prometheus, name, begin, END) for name in OFFERED["pbx"])


def test_the_buckets_of_a_heat_map_hold_each_call_once(prometheus: Prometheus) -> None:
    panel, query = the("Wait until answered, call by call")
    result = asked(prometheus, panel, query, 7 * DAY)
    # A column ends at its timestamp, so that the first begins before the time shown.
    begin = END - 7 * DAY - step_of(panel, 7 * DAY)
    answers = 'sum(cdr_call_wait_seconds_count{call_type="Inbound"}'
    (answered,) = numbers(prometheus.query(f"{answers}) - {answers} @ {begin})", time=END))
    columns = {
        series["metric"]["le"]: [float(value) for _, value in series["values"]] for series in result
    }

    assert sum(columns["+Inf"]) == answered
    for narrow, wide in pairwise(sorted(columns, key=float)):
        assert all(a <= b for a, b in zip(columns[narrow], columns[wide], strict=True))


@pytest.mark.parametrize("name", ["hq", "branch"])
def test_the_busiest_hours_are_those_of_an_office_by_its_own_clock(
    prometheus: Prometheus, name: str
) -> None:
    hours = by_label(asked(prometheus, *the("Busiest hours"), 14 * DAY, {"pbx": name}), "hour")
    night = sum(hours[f"{hour:02} h"] for hour in (22, 23, 0, 1, 2, 3, 4, 5))

    assert sorted(hours) == [f"{hour:02} h" for hour in range(24)]
    assert night < 0.03 * sum(hours.values())
    assert max(hours, key=hours.__getitem__) in {"09 h", "10 h", "11 h"}


WHEN = [("Busiest hours", "hour"), ("Busiest weekdays", "weekday"), ("Calls by day", "day")]


@pytest.mark.parametrize(("title", "label"), WHEN, ids=[title for title, _ in WHEN])
@pytest.mark.parametrize("late", [0, 433], ids=["at a full hour", "at another moment"])
def test_calls_by_local_time_are_all_calls_in_the_time_shown_and_no_others(
    prometheus: Prometheus, title: str, label: str, late: int
) -> None:
    # In the middle of a working day, so that a quarter too many would have calls.
    at = END - 14 * HOUR + late
    found = by_label(asked(prometheus, *the(title), 7 * DAY, {"pbx": "hq"}, at), label)

    assert sum(found.values()) == counted(prometheus, "hq", at - 7 * DAY, at)


def test_an_hour_without_calls_has_its_place(prometheus: Prometheus) -> None:
    hours = by_label(asked(prometheus, *the("Busiest hours"), 2 * HOUR, {"pbx": "hq"}), "hour")

    assert sorted(hours) == [f"{hour:02} h" for hour in range(24)]
    assert sum(1 for calls in hours.values() if calls) <= 3


def test_the_quietest_days_are_those_of_the_weekend(prometheus: Prometheus) -> None:
    days = by_label(asked(prometheus, *the("Busiest weekdays"), 14 * DAY), "weekday")

    assert sorted(days) == list("0123456")
    assert set(sorted(days, key=days.__getitem__)[:2]) == {"5", "6"}


@pytest.mark.parametrize("name", ["hq", "branch"])
def test_a_day_goes_from_midnight_to_midnight_of_its_pbx(prometheus: Prometheus, name: str) -> None:
    days = by_label(asked(prometheus, *the("Calls by day"), 7 * DAY, {"pbx": name}), "day")
    zone = ZONES[name]
    whole = sorted(int(day) // 1000 for day in days)[1:-1]

    assert len(whole) >= 6
    for noon in whole:
        date = datetime.fromtimestamp(noon, UTC).date()
        midnights = [
            datetime.combine(each, time(), zone).timestamp() for each in (date, date + ONE_DAY)
        ]
        # At midnight itself there may be a scrape, and its calls are of the day before.
        assert days[f"{noon}000"] == counted(prometheus, name, *midnights), date


def test_the_last_call_of_a_trunk_is_at_most_10_minutes_off(
    past: Past, prometheus: Prometheus
) -> None:
    result = asked(prometheus, *the("Trunks side by side", "Last call"), 7 * DAY)
    shown = {
        (series["metric"]["pbx"], series["metric"]["trunk"]): float(series["value"][1]) / 1000
        for series in result
    }

    assert {key for key, at in past.last_risen.items() if at > END - DAY + HOUR} - {
        (pbx, "none") for pbx in OFFERED["pbx"]
    } == set(shown)
    for key, at in shown.items():
        assert 0 <= at - past.last_risen[key] <= 600, key


@pytest.mark.parametrize("shown", [15 * MINUTE, DAY, 7 * DAY], ids=["15m", "1d", "7d"])
def test_a_mean_of_erlangs_is_not_above_the_busiest_hour(
    prometheus: Prometheus, shown: int
) -> None:
    def by_trunk(heading: str) -> dict[tuple[str, str], float]:
        return {
            (series["metric"]["pbx"], series["metric"]["trunk"]): float(series["value"][1])
            for series in asked(
                prometheus, *the("Trunks side by side", heading), shown, at=END - 14 * HOUR
            )
        }

    mean, highest = by_trunk("Erlangs"), by_trunk("Busiest hour")

    assert mean.keys() == highest.keys()
    assert all(mean[trunk] <= highest[trunk] for trunk in mean)
    assert any(mean.values())


@pytest.mark.parametrize(
    ("title", "label"),
    [
        ("Calls by number (dids in exporter.yml)", "did"),
        ("Calls by queue (queues in exporter.yml)", "queue"),
    ],
    ids=["numbers", "queues"],
)
def test_a_number_or_queue_without_a_call_has_no_row(
    prometheus: Prometheus, title: str, label: str
) -> None:
    panel, calls = the(title, "Calls")
    called = {
        label
        for label, count in by_label(asked(prometheus, panel, calls, DAY), label).items()
        if count
    }

    # All of them are named in this configuration, so that the rest never has a call.
    assert numbers(prometheus.query(f'cdr_{label}_calls_total{{{label}="other"}}', time=END))
    assert called
    assert "other" not in called
    for query in targets(panel):
        rows = {series["metric"][label] for series in asked(prometheus, panel, query, DAY)}
        assert rows <= called, query["legendFormat"]


def test_a_pbx_that_was_not_reached_is_seen(prometheus: Prometheus) -> None:
    result = asked(prometheus, *the("PBX reached"), DAY)
    failed = asked(prometheus, *the("Failed polls by reason"), DAY)

    assert {series["metric"]["pbx"]: set(numbers([series])) for series in result} == {
        "hq": {1.0},
        "branch": {0.0, 1.0},
    }
    assert {s["metric"]["reason"] for s in failed if any(numbers([s]))} == {"connect"}
