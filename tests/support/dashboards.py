"""The dashboards that are shipped, and the queries of their panels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType

import pytest

from grafana.generator.dashboard import VARIABLES
from grafana.generator.panels import JSON

from .paths import ROOT

Dashboard = JSON
"""A dashboard as it is in its file."""

FOLDER = ROOT / "grafana" / "dashboards"
DASHBOARDS: dict[str, Dashboard] = {
    path.name: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))
}


MINUTE, HOUR, DAY = 60, 3_600, 86_400
STEPS = (
    *((90, MINUTE), (210, 2 * MINUTE), (450, 5 * MINUTE), (750, 10 * MINUTE)),
    *((1_050, 15 * MINUTE), (1_500, 20 * MINUTE), (2_700, 30 * MINUTE), (5_400, HOUR)),
    *((9_000, 2 * HOUR), (16_200, 3 * HOUR), (32_400, 6 * HOUR), (86_400, 12 * HOUR)),
    (7 * DAY, DAY),
)
"""To what Grafana rounds a step in seconds, by what it is below (`roundInterval` of its source)."""

USUAL_POINTS = 600
"""About how many points Grafana asks for where a panel does not say it: its width in pixels."""


def panels(dashboard: Dashboard) -> list[JSON]:
    """Return the panels that show something, without headings."""
    return [one for one in dashboard["panels"] if one["type"] != "row"]


def targets(panel: JSON) -> list[JSON]:
    """Return the queries of a panel."""
    found: list[JSON] = panel["targets"]
    return found


def seconds(text: str) -> int:
    """Return a duration such as `24h` in seconds."""
    return int(text[:-1]) * {"s": 1, "m": MINUTE, "h": HOUR, "d": DAY}[text[-1]]


def shown_by(dashboard: Dashboard, panel: JSON) -> int:
    """Return how many seconds a panel shows, unless somebody chooses another time."""
    return seconds(panel.get("timeFrom") or dashboard["time"]["from"].removeprefix("now-"))


def step_of(panel: JSON, shown: int) -> int:
    """Return Grafana's step in seconds, if *shown* seconds are shown."""
    least = seconds(panel.get("interval", "1m"))
    exact = max(least, shown / panel.get("maxDataPoints", USUAL_POINTS))
    return next(step for below, step in STEPS if exact < below)


def marks(dashboard: Dashboard) -> list[JSON]:
    """Return what marks times in all panels."""
    found: list[JSON] = dashboard["annotations"]["list"]
    return found


def variables(dashboard: Dashboard) -> list[JSON]:
    """Return the variables, without that of the data source."""
    found: list[JSON] = dashboard["templating"]["list"][1:]
    return found


def duration(step: int) -> str:
    """Return a step in seconds as Grafana writes it, such as `1h`."""
    units = (("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", 1))
    return next(f"{step // each}{unit}" for unit, each in units if step % each == 0)


def macros(step: int, shown: int, until: int) -> dict[str, str]:
    """Return the values of Grafana's macros where *shown* seconds are shown up to *until*."""
    interval = duration(step)
    return {
        "${__interval}": interval,
        "${__from:date:seconds}": str(until - shown),
        "${__to:date:seconds}": str(until),
        "$__interval_ms": str(step * 1000),
        "$__interval": interval,
        "$__range_s": str(shown),
        "$__range": f"{shown}s",
    }


MACROS = macros(5 * MINUTE, HOUR, HOUR)

PANELS = [
    pytest.param(panel, id=f"{name}: {panel['title']}")
    for name, dashboard in DASHBOARDS.items()
    for panel in panels(dashboard)
]
VARIABLE_CASES = [
    pytest.param(variable, id=f"{name}: {variable['name']}")
    for name, dashboard in DASHBOARDS.items()
    for variable in variables(dashboard)
]


def filled_in(
    expression: str,
    macros: Mapping[str, str] = MappingProxyType(MACROS),
    chosen: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Return a query as Prometheus gets it; variables that are not *chosen* select everything."""
    for macro, value in macros.items():
        expression = expression.replace(macro, value)
    for name in VARIABLES:
        expression = expression.replace(f"${name}", chosen.get(name, ".*"))
    return expression
