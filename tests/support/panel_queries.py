"""What a panel of the shipped dashboards shows, asked of a Prometheus as Grafana asks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from grafana.generator.panels import JSON

from .dashboards import DASHBOARDS, filled_in, macros, panels, step_of, targets
from .processes import Prometheus

Series = Sequence[Mapping[str, Any]]
"""The result of a query, as Prometheus' HTTP API returns it."""

ALL: Mapping[str, str] = {}
"""Nothing chosen: all PBXs, trunks and types."""


def ask_panel(
    prometheus: Prometheus,
    panel: JSON,
    query: JSON,
    shown: int,
    chosen: Mapping[str, str],
    at: float,
) -> Series:
    """Return the series that a panel gets which shows *shown* seconds up to *at*."""
    step = step_of(panel, shown)
    expression = filled_in(query["expr"], macros(step, shown, int(at)), chosen)
    if query["instant"]:
        return prometheus.query(expression, time=at)
    first, last = (at - shown) // step * step, at // step * step
    return prometheus.query_range(expression, first, last, step)


def numbers(result: Series) -> list[float]:
    """Return the numbers of all series."""
    found = [
        float(value)
        for series in result
        for _, value in (series.get("values") or [series["value"]])
    ]
    return [number for number in found if not math.isnan(number)]


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


def by_label(result: Series, label: str) -> dict[str, float]:
    """Return the number of each series by one of its labels."""
    return {series["metric"][label]: float(series["value"][1]) for series in result}
