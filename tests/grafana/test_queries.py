"""Every query of the dashboards, run by a real Prometheus that has fifteen days of calls."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pytest

from cdr_exporter.cdr.contract import CALL_TYPES, DISPOSITIONS
from grafana.generator.panels import JSON
from pbx_simulator.directory import BERLIN

from ..support.dashboards import DASHBOARDS, VARIABLE_CASES, filled_in, panels, targets
from ..support.fifteen_days import BEGIN, DAY, END, HOUR, SCRAPE_INTERVAL, Past
from ..support.processes import Prometheus
from ..support.programs import require
from ..support.prometheus_rules import FOLDER as PROMETHEUS
from ..support.prometheus_rules import metrics_in

Series = Sequence[Mapping[str, Any]]
"""The result of a query, as Prometheus' HTTP API returns it."""

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

ALL: Mapping[str, str] = {}
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


def seconds(text: str) -> int:
    units = {"m": 60, "h": HOUR, "d": DAY}
    return int(text[:-1]) * units[text[-1]]


def macros(panel: JSON, shown: int) -> tuple[dict[str, str], int]:
    """Return the values of Grafana's macros, and the step, if *shown* seconds are shown."""
    step = max(seconds(panel.get("interval", "1m")), shown // 1000)
    between = max(step + SCRAPE_INTERVAL, 4 * SCRAPE_INTERVAL)
    return {"$__rate_interval": f"{between}s", "$__range": f"{shown}s"}, step


def asked(
    prometheus: Prometheus,
    panel: JSON,
    query: JSON,
    shown: int,
    chosen: Mapping[str, str] = ALL,
    at: float = END,
) -> Series:
    """Return the series that a panel gets which shows *shown* seconds up to *at*."""
    filled, step = macros(panel, shown)
    expression = filled_in(query["expr"], filled, chosen)
    if query["instant"]:
        return prometheus.query(expression, time=at)
    return prometheus.query_range(expression, at - shown, at, step)


def numbers(result: Series) -> list[float]:
    """Return the numbers of all series."""
    found = [
        float(value)
        for series in result
        for _, value in (series.get("values") or [series["value"]])
    ]
    return [number for number in found if not math.isnan(number)]


def shown_by(dashboard: JSON) -> int:
    return seconds(dashboard["time"]["from"].removeprefix("now-"))


def found_by(
    prometheus: Prometheus, case: Query, chosen: Mapping[str, str], shown: int | None = None
) -> list[float]:
    """Return the numbers that the panel of one of the QUERIES shows."""
    shown = shown or shown_by(DASHBOARDS[case.dashboard])
    return numbers(asked(prometheus, case.panel, case.query, shown, chosen))


@pytest.mark.parametrize("chosen", [ALL, ONE], ids=["all", "one"])
def test_every_query_has_an_answer(prometheus: Prometheus, chosen: Mapping[str, str]) -> None:
    assert [case.id for case in QUERIES if not found_by(prometheus, case, chosen=chosen)] == []


def test_no_query_knows_anything_of_a_pbx_that_is_not_there(prometheus: Prometheus) -> None:
    elsewhere = {"pbx": "elsewhere"}
    known = [case for case in QUERIES if found_by(prometheus, case, elsewhere, shown=DAY)]

    # A count that is 0 for want of a PBX would look like good news.
    about_the_exporter = "cdr_exporter_build_info"
    assert [case.id for case in known if about_the_exporter not in case.query["expr"]] == []


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


def the(title: str, heading: str = "", ref: str = "A") -> tuple[JSON, JSON]:
    """Return a panel by its title, and its query by *ref* or the column's *heading*."""
    (panel,) = (
        one
        for dashboard in DASHBOARDS.values()
        for one in panels(dashboard)
        if one["title"] == title
    )
    for query in targets(panel):
        if heading in (query["legendFormat"], "") and (heading or query["refId"] == ref):
            return panel, query
    raise LookupError(f"{title}: no query {heading or ref}")


SAME: list[tuple[tuple[JSON, JSON], int, Mapping[str, str], str]] = [
    (
        the("Inbound answered"),
        DAY,
        {"pbx": "hq"},
        'pbx_outcome:cdr_inbound_calls:ratio1d{pbx="hq", outcome="answered"}',
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
    (the("Trunks side by side", "Erlangs"), HOUR, ALL, "pbx_trunk:cdr_traffic_erlangs:rate1h"),
    (the("Trunks side by side", "Last hour"), DAY, ALL, "pbx_trunk:cdr_calls:increase1h"),
    (
        the("Calls by queue", "Answered"),
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


def truth(past: Past, name: str, **wanted: str) -> int:
    """Return how many calls one simulated PBX made, by its own count."""
    return sum(
        int(each["count"])
        for each in past.state(name)["calls"]
        if all(each[key] == value for key, value in wanted.items())
    )


def test_the_share_answered_is_that_of_the_calls_that_were_made(
    past: Past, prometheus: Prometheus
) -> None:
    made = truth(past, "hq", call_type="Inbound")
    answered = truth(past, "hq", call_type="Inbound", outcome="answered")
    (share,) = numbers(asked(prometheus, *the("Inbound answered"), 15 * DAY, {"pbx": "hq"}))

    assert made > 500
    assert share == pytest.approx(answered / made, abs=0.01)


def test_bars_add_up_to_the_calls_that_were_made(past: Past, prometheus: Prometheus) -> None:
    made = sum(truth(past, name) for name in OFFERED["pbx"])
    panel, query = the("Calls by outcome")
    in_bars = sum(numbers(asked(prometheus, panel, query, 15 * DAY)))
    filled, step = macros(panel, 15 * DAY)

    # A bar reaches back further than it is wide, to miss nothing between bars: here twice as far.
    reach = int(filled["$__rate_interval"].removesuffix("s"))
    assert in_bars == pytest.approx(made * reach / step, rel=0.02)


def by_label(result: Series, label: str) -> dict[str, float]:
    return {series["metric"][label]: float(series["value"][1]) for series in result}


@pytest.mark.parametrize("name", ["hq", "branch"])
def test_the_busiest_hours_are_those_of_an_office_by_its_own_clock(
    past: Past, prometheus: Prometheus, name: str
) -> None:
    hours = by_label(asked(prometheus, *the("Busiest hours"), 14 * DAY, {"pbx": name}), "hour")
    night = sum(hours[f"{hour:02}"] for hour in (22, 23, 0, 1, 2, 3, 4, 5))

    assert sorted(hours) == [f"{hour:02}" for hour in range(24)]
    assert sum(hours.values()) == pytest.approx(truth(past, name), rel=0.15)
    assert night < 0.03 * sum(hours.values())
    assert max(hours, key=hours.__getitem__) in {"09", "10", "11"}


def test_the_quietest_days_are_those_of_the_weekend(prometheus: Prometheus) -> None:
    days = by_label(asked(prometheus, *the("Busiest weekdays"), 14 * DAY), "day_of_week")

    assert sorted(days) == list("0123456")
    assert set(sorted(days, key=days.__getitem__)[:2]) == {"0", "6"}


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


def test_a_pbx_that_was_not_reached_is_seen(prometheus: Prometheus) -> None:
    result = asked(prometheus, *the("PBX reached"), DAY)
    failed = asked(prometheus, *the("Failed polls by reason"), DAY)

    assert {series["metric"]["pbx"]: set(numbers([series])) for series in result} == {
        "hq": {1.0},
        "branch": {0.0, 1.0},
    }
    assert {s["metric"]["reason"] for s in failed if any(numbers([s]))} == {"connect"}
