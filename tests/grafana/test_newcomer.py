"""What somebody sees ten minutes after the first scrape, at the default range.

Every series that the exporter has is there, as a real Prometheus got it in twenty scrapes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import pytest

from cdr_exporter.calls import OUTCOMES, QUEUE_OUTCOMES
from cdr_exporter.metrics.catalogue import FAMILIES, GAUGE, HISTOGRAM
from grafana.generator.panels import JSON

from ..support.dashboards import DASHBOARDS, filled_in, macros, panels, shown_by, step_of, targets
from ..support.processes import Prometheus
from ..support.programs import require
from ..support.recorded_rules import promtool

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SCRAPE_INTERVAL = 30
FIRST_SCRAPE = 1_700_568_197
"""Twelve hours and some minutes and seconds: no step of Grafana's begins then."""

NOW = FIRST_SCRAPE + 600

ALL_OUTCOMES = tuple(dict.fromkeys((*OUTCOMES, *QUEUE_OUTCOMES)))

LABELS: Mapping[str, Sequence[str]] = {
    "pbx": ("hq",),
    "outcome": ALL_OUTCOMES,
    "call_type": ("Inbound", "Outbound"),
    "disposition": ("ANSWERED", "FAILED", "BUSY"),
    "trunk": ("SIP-Provider",),
    "le": ("5.0", "20.0", "+Inf"),
}
"""The values of the labels; any other label has one value."""

NEEDS_HISTORY = {"Against a week before"}

HEAT_MAPS = [
    panel["title"]
    for panel in panels(DASHBOARDS["calls-overview.json"])
    if panel["type"] == "heatmap"
]


def series() -> Iterator[tuple[str, bool]]:
    """Yield every series with its labels, and whether it counts."""
    for family in FAMILIES:
        names = (() if family.process_wide else ("pbx",)) + family.labels
        for suffix, extra in (
            (("_bucket", ("le",)), ("_count", ()), ("_sum", ()))
            if family.kind == HISTOGRAM
            else (("", ()),)
        ):
            for values in product(*(_pairs(label) for label in (*names, *extra))):
                yield f"{family.name}{suffix}{{{','.join(values)}}}", family.kind != GAUGE


def _pairs(label: str) -> list[str]:
    return [f'{label}="{value}"' for value in LABELS.get(label, ("x",))]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Return a Prometheus that scraped ten minutes of a busy office: a call a minute of each."""
    require("promtool")
    directory = tmp_path_factory.mktemp("newcomer")
    samples = directory / "samples.om"
    with samples.open("w", encoding="utf-8") as file:
        for name, counts in series():
            for at in range(FIRST_SCRAPE, NOW, SCRAPE_INTERVAL):
                value = (at - FIRST_SCRAPE) // 60 if counts else 1
                file.write(f"{name} {value} {at}\n")
        file.write("# EOF\n")
    promtool("openmetrics", "--max-block-duration=720h", samples, directory / "data")
    with Prometheus(directory, "", "--storage.tsdb.retention.time=100y") as running:
        yield running


def seen(prometheus: Prometheus, dashboard: JSON, panel: JSON) -> list[list[dict[str, Any]]]:
    """Return the series of each query of a panel at its default range."""
    shown = shown_by(dashboard, panel)
    step = step_of(panel, shown)
    values = macros(step, shown, NOW)
    first, last = (NOW - shown) // step * step, NOW // step * step
    return [
        prometheus.query(filled_in(query["expr"], values), time=NOW)
        if query["instant"]
        else prometheus.query_range(filled_in(query["expr"], values), first, last, step)
        for query in targets(panel)
    ]


def test_every_panel_shows_something(prometheus: Prometheus) -> None:
    silent = [
        panel["title"]
        for dashboard in DASHBOARDS.values()
        for panel in panels(dashboard)
        if not all(seen(prometheus, dashboard, panel)) and panel["title"] not in NEEDS_HISTORY
    ]

    assert silent == []


def of_overview(prometheus: Prometheus, title: str) -> list[dict[str, Any]]:
    """Return what the only query of a panel of the calls overview finds."""
    overview = DASHBOARDS["calls-overview.json"]
    (panel,) = (one for one in panels(overview) if one["title"] == title)
    (result,) = seen(prometheus, overview, panel)
    return result


@pytest.mark.parametrize("title", HEAT_MAPS)
def test_a_heat_map_has_the_two_columns_without_which_grafana_draws_none(
    prometheus: Prometheus, title: str
) -> None:
    result = of_overview(prometheus, title)

    assert all(len(each["values"]) >= 2 for each in result)
    assert any(float(value) > 0 for each in result for _, value in each["values"])


def test_bars_have_all_that_was_counted_so_far(prometheus: Prometheus) -> None:
    bars = {
        each["metric"]["outcome"]: sum(float(value) for _, value in each["values"])
        for each in of_overview(prometheus, "Calls by outcome")
    }

    # Nine minutes and a half, of two call types on one trunk.
    assert bars == dict.fromkeys(ALL_OUTCOMES, 9 * 2)


def test_against_a_week_before_shows_at_least_now(prometheus: Prometheus) -> None:
    overview = DASHBOARDS["calls-overview.json"]
    (panel,) = (one for one in panels(overview) if one["title"] in NEEDS_HISTORY)
    a_week_before, now = seen(prometheus, overview, panel)

    assert (a_week_before, len(now)) == ([], 1)
