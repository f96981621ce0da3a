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

MACROS = {
    "$__rate_interval": "5m",
    "$__interval": "1m",
    "$__range": "1h",
}


def panels(dashboard: Dashboard) -> list[JSON]:
    """Return the panels that show something, without headings."""
    return [one for one in dashboard["panels"] if one["type"] != "row"]


def targets(panel: JSON) -> list[JSON]:
    """Return the queries of a panel."""
    found: list[JSON] = panel["targets"]
    return found


def variables(dashboard: Dashboard) -> list[JSON]:
    """Return the variables, without that of the data source."""
    found: list[JSON] = dashboard["templating"]["list"][1:]
    return found


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
