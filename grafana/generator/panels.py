"""The kinds of panels, as Grafana's JSON.

Rule: panels of one kind look alike, so what they have in common is defined here once. The JSON is
that of Grafana 10 to 12; options that one of these versions lacks are left to its defaults.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from .promql import Histogram
from .styles import DARK, NEUTRAL, PERCENTILE_STYLES, WITHIN_90_PERCENT, WITHIN_HALF, Style, Styles

JSON = dict[str, Any]

DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}

Queries = Mapping[str, str]
"""Queries by legend; {{label}} in a legend is replaced by the value of that label."""

NO_CALLS = "No calls"

SHORT, SECONDS, PERCENT, PLAIN, AGO = "short", "s", "percentunit", "none", "dateTimeFromNow"
"""Units, as Grafana names them. Points in time are in epoch milliseconds."""

NEVER_STYLES: Mapping[int, Style] = {0: Style(NEUTRAL, "never")}

_NO_DECIMALS = 0


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table.

    *warn* is the color of numbers above 0, *value_styles* show values as texts, and *bar* is the
    color of a bar behind the number.
    """

    query: str
    unit: str = SHORT
    decimals: int | None = None
    warn: str = ""
    value_styles: Mapping[int, Style] | None = None
    bar: str = ""


def stat(
    title: str,
    description: str,
    query: str,
    *,
    unit: str = SHORT,
    color: str = NEUTRAL,
    alarm: str = "",
    decimals: int | None = None,
    legend: str = "",
    no_value: str = NO_CALLS,
    value_styles: Mapping[int, Style] | None = None,
    link: str = "",
) -> JSON:
    """Return one large number; above 0 it has the color *alarm*. *link* is a dashboard's uid."""
    steps = [_step(color), *([_step(alarm, 1e-9)] if alarm else [])]
    panel = _panel("stat", title, description, {legend: query}, instant=True)
    panel["fieldConfig"] = _fields(
        unit,
        decimals=decimals,
        mappings=_mappings(value_styles),
        thresholds=steps,
        color={"mode": "thresholds"},
        noValue=no_value,
    )
    panel["options"] = {
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "center",
        "orientation": "auto",
        "textMode": "name" if legend else "auto",
        "wideLayout": True,
        "reduceOptions": _last_value(),
    }
    if link:
        panel["links"] = [_link(link)]
    return panel


def bars(
    title: str,
    description: str,
    queries: Queries,
    *,
    styles: Styles | None = None,
    unit: str = SHORT,
    step: str = "1h",
    no_value: str = NO_CALLS,
) -> JSON:
    """Return counts over time as stacked bars, each *step* wide or wider."""
    style = {
        "drawStyle": "bars",
        # A bar counts the time before its timestamp, so it is drawn to the left of it.
        "barAlignment": -1,
        "fillOpacity": 80,
        "lineWidth": 0,
        "stacking": {"group": "A", "mode": "normal"},
    }
    panel = _panel("timeseries", title, description, queries, step=step)
    panel["fieldConfig"] = _over_time(unit, style, styles, no_value, _NO_DECIMALS)
    panel["options"] = _legend_and_tooltip(["sum"])
    return panel


def lines(
    title: str,
    description: str,
    queries: Queries,
    *,
    styles: Styles | None = None,
    unit: str = SHORT,
    step: str = "",
    decimals: int | None = None,
    maximum: float | None = None,
    no_value: str = NO_CALLS,
) -> JSON:
    """Return values over time as lines; with a *step*, also as points at least that far apart."""
    style = {
        "drawStyle": "line",
        "fillOpacity": 0,
        "lineWidth": 2,
        "pointSize": 5,
        "showPoints": "always" if step else "never",
        "spanNulls": False,
    }
    panel = _panel("timeseries", title, description, queries, step=step)
    panel["fieldConfig"] = _over_time(unit, style, styles, no_value, decimals)
    if maximum is not None:
        panel["fieldConfig"]["defaults"]["max"] = maximum
    panel["options"] = _legend_and_tooltip(["lastNotNull", "max"])
    return panel


def percentiles(
    title: str,
    description: str,
    histogram: Histogram,
    *,
    step: str = "1h",
    no_value: str = NO_CALLS,
) -> JSON:
    """Return the median and the 90th percentile over time."""
    queries = {WITHIN_HALF: histogram.quantile(0.5), WITHIN_90_PERCENT: histogram.quantile(0.9)}
    text = f"{description} Estimated from buckets."
    return lines(
        title, text, queries, styles=PERCENTILE_STYLES, unit=SECONDS, step=step, no_value=no_value
    )


def heat_map(
    title: str,
    description: str,
    buckets: str,
    *,
    unit: str = SECONDS,
    step: str = "1h",
    no_value: str = NO_CALLS,
) -> JSON:
    """Return how many values fell into each bucket, over time."""
    panel = _panel("heatmap", title, description, {"{{le}}": buckets}, step=step)
    panel["targets"][0]["format"] = "heatmap"
    panel["fieldConfig"] = _fields(unit, decimals=_NO_DECIMALS, noValue=no_value)
    panel["options"] = {
        "calculate": False,
        "cellGap": 1,
        "cellValues": {"unit": SHORT, "decimals": _NO_DECIMALS},
        "color": {
            "mode": "scheme",
            "scheme": "Blues",
            "fill": "dark-blue",
            "scale": "exponential",
            "exponent": 0.5,
            "steps": 64,
            "reverse": False,
        },
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        "tooltip": {"mode": "single", "yHistogram": False, "showColorScale": False},
        "yAxis": {"axisPlacement": "left", "reverse": False, "unit": unit},
    }
    return panel


def bar_gauge(
    title: str, description: str, label: str, query: str, *, no_value: str = NO_CALLS
) -> JSON:
    """Return one bar for each value of *label*, side by side in the order of the values."""
    panel = _panel("bargauge", title, description, {f"{{{{{label}}}}}": query}, instant=True)
    panel["targets"][0]["format"] = "table"
    panel["transformations"] = [
        _time_hidden(),
        {"id": "sortBy", "options": {"fields": {}, "sort": [{"field": label}]}},
    ]
    panel["fieldConfig"] = _fields(
        SHORT,
        decimals=_NO_DECIMALS,
        min=0,
        color={"mode": "fixed", "fixedColor": DARK},
        noValue=no_value,
    )
    panel["options"] = {
        "displayMode": "basic",
        "maxVizHeight": 300,
        "minVizHeight": 10,
        "minVizWidth": 0,
        "namePlacement": "auto",
        "orientation": "vertical",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": True},
        "showUnfilled": True,
        "sizing": "auto",
        "valueMode": "text",
    }
    return panel


def table(
    title: str,
    description: str,
    keys: Mapping[str, str],
    columns: Mapping[str, Column],
    *,
    sort: str,
    key_styles: Mapping[int, Style] | None = None,
    no_value: str = NO_CALLS,
) -> JSON:
    """Return a table with one row for each combination of values of the labels *keys*.

    *keys* maps labels to headings, *columns* maps headings to columns. The rows are sorted by the
    column with the heading *sort*, the highest value first.
    """
    queries = {heading: column.query for heading, column in columns.items()}
    panel = _table(title, description, queries, no_value)
    # With a single query the name of its column has no letter.
    letters = ["Value"] if len(columns) == 1 else [f"Value #{each}" for each in ascii_uppercase]
    order = [*keys, *letters[: len(columns)]]
    arranged = {
        "excludeByName": {"Time": True},
        "indexByName": {name: index for index, name in enumerate(order)},
        "renameByName": dict(zip(order, [*keys.values(), *columns], strict=True)),
    }
    panel["transformations"] = [
        {"id": "merge", "options": {}},
        {"id": "organize", "options": arranged},
    ]
    words = {"mappings": _mappings(key_styles)}
    panel["fieldConfig"]["overrides"] = [
        *(_override(heading, **words) for heading in keys.values() if key_styles),
        *(_column_override(heading, column) for heading, column in columns.items()),
    ]
    panel["options"]["sortBy"] = [{"displayName": sort, "desc": True}]
    return panel


def matrix(title: str, description: str, row: str, column: str, query: str) -> JSON:
    """Return a table of numbers with a row and a column for each value of two labels."""
    panel = _table(title, description, {"": query}, NO_CALLS)
    across = {"rowField": row, "columnField": column, "valueField": "Value"}
    panel["transformations"] = [{"id": "groupingToMatrix", "options": across}]
    return panel


def timeline(
    title: str,
    description: str,
    queries: Queries,
    value_styles: Mapping[int, Style],
    *,
    no_value: str = "No exporter",
) -> JSON:
    """Return states over time, one band for each series."""
    panel = _panel("state-timeline", title, description, queries)
    panel["fieldConfig"] = _fields(
        SHORT,
        mappings=_mappings(value_styles),
        thresholds=[_step(value_styles[0].color), _step(value_styles[1].color, 1)],
        color={"mode": "thresholds"},
        custom={"fillOpacity": 80, "lineWidth": 0},
        noValue=no_value,
    )
    panel["options"] = {
        "alignValue": "left",
        "mergeValues": True,
        "rowHeight": 0.8,
        "showValue": "never",
        "legend": _legend("list", []),
        "tooltip": {"mode": "single", "sort": "none"},
    }
    return panel


def heading(title: str) -> JSON:
    """Return a heading for the panels below it."""
    return {"type": "row", "title": title, "collapsed": False, "panels": []}


def _panel(
    kind: str,
    title: str,
    description: str,
    queries: Queries,
    *,
    instant: bool = False,
    step: str = "",
) -> JSON:
    panel = {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATA_SOURCE,
        "targets": [
            {
                "refId": ref,
                "datasource": DATA_SOURCE,
                "expr": query,
                "legendFormat": legend or "__auto",
                "instant": instant,
                "range": not instant,
            }
            for ref, (legend, query) in zip(ascii_uppercase, queries.items(), strict=False)
        ],
    }
    return {**panel, "interval": step} if step else panel


def _table(title: str, description: str, queries: Queries, no_value: str) -> JSON:
    panel = _panel("table", title, description, queries, instant=True)
    for target in panel["targets"]:
        target["format"] = "table"
    panel["fieldConfig"] = _fields(
        SHORT,
        decimals=_NO_DECIMALS,
        thresholds=[_step(NEUTRAL)],
        color={"mode": "thresholds"},
        custom={"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False},
        noValue=no_value,
    )
    panel["options"] = {"cellHeight": "sm", "showHeader": True}
    return panel


def _fields(unit: str, *, overrides: Iterable[JSON] = (), **defaults: Any) -> JSON:
    given = {key: value for key, value in defaults.items() if value is not None}
    if "thresholds" in given:
        given["thresholds"] = {"mode": "absolute", "steps": given["thresholds"]}
    return {"defaults": {"unit": unit, **given}, "overrides": list(overrides)}


def _over_time(
    unit: str, style: JSON, styles: Styles | None, no_value: str, decimals: int | None
) -> JSON:
    return _fields(
        unit,
        min=0,
        decimals=decimals,
        custom=style,
        color={"mode": "palette-classic-by-name"},
        noValue=no_value,
        overrides=[_series_override(name, style) for name, style in (styles or {}).items()],
    )


def _series_override(name: str, style: Style) -> JSON:
    fixed = {"mode": "fixed", "fixedColor": style.color}
    return _override(name, color=fixed, displayName=style.text or None)


def _column_override(name: str, column: Column) -> JSON:
    properties: JSON = {"unit": column.unit, "decimals": column.decimals}
    properties["mappings"] = _mappings(column.value_styles)
    if column.warn:
        steps = [_step(NEUTRAL), _step(column.warn, 1e-9)]
        properties["thresholds"] = {"mode": "absolute", "steps": steps}
        properties["custom.cellOptions"] = {"type": "color-text"}
    elif column.value_styles:
        properties["custom.cellOptions"] = {"type": "color-text"}
    if column.bar:
        properties["custom.cellOptions"] = {"type": "gauge", "mode": "basic"}
        properties["color"] = {"mode": "fixed", "fixedColor": column.bar}
        properties["min"] = 0
    return _override(name, **properties)


def _override(name: str, **properties: Any) -> JSON:
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [
            {"id": key, "value": value} for key, value in properties.items() if value is not None
        ],
    }


def _mappings(value_styles: Mapping[int, Style] | None) -> list[JSON] | None:
    if not value_styles:
        return None
    options = {
        str(value): {"color": each.color, "index": index, "text": each.text}
        for index, (value, each) in enumerate(value_styles.items())
    }
    return [{"type": "value", "options": options}]


def _step(color: str, value: float | None = None) -> JSON:
    return {"color": color, "value": value}


def _last_value() -> JSON:
    return {"calcs": ["lastNotNull"], "fields": "", "values": False}


def _time_hidden() -> JSON:
    return {"id": "organize", "options": {"excludeByName": {"Time": True}}}


def _legend_and_tooltip(calcs: Sequence[str]) -> JSON:
    return {"legend": _legend("table", calcs), "tooltip": {"mode": "multi", "sort": "desc"}}


def _legend(mode: str, calcs: Sequence[str]) -> JSON:
    return {
        "calcs": list(calcs),
        "displayMode": mode,
        "placement": "bottom",
        "showLegend": True,
    }


def _link(uid: str) -> JSON:
    url = f"/d/{uid}?${{__url_time_range}}&${{pbx:queryparam}}&${{datasource:queryparam}}"
    return {"title": "Look closer", "url": url, "targetBlank": False}
