"""The kinds of panels, as Grafana's JSON.

Rule: everything of a kind looks alike, and what no panel changes stands here once. Shapes are
those of Grafana 10 to 12; what one of these has not is left to its defaults.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from .promql import Histogram
from .styles import DARK, HALF, MOST, NEUTRAL, TIMES, Meaning, Meanings

JSON = dict[str, Any]

DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}

Queries = Mapping[str, str]
"""Expressions by their legend, in which {{label}} stands for the label's value."""

NO_CALLS = "No calls"

SHORT, SECONDS, PERCENT, PLAIN, AGO = "short", "s", "percentunit", "none", "dateTimeFromNow"
"""Units, as Grafana names them. An instant is in milliseconds."""

NEVER: Mapping[int, Meaning] = {0: Meaning(NEUTRAL, "never")}

_WHOLE_NUMBERS = 0


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table. *warn* colours numbers above 0, *meaning* gives some a word."""

    query: str
    unit: str = SHORT
    decimals: int | None = None
    warn: str = ""
    meaning: Mapping[int, Meaning] | None = None
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
    meaning: Mapping[int, Meaning] | None = None,
    link: str = "",
) -> JSON:
    """Return one number, large. Above 0 it has the color *alarm*; *link* leads to a dashboard."""
    steps = [_step(color), *([_step(alarm, 1e-9)] if alarm else [])]
    panel = _panel("stat", title, description, {legend: query}, instant=True)
    panel["fieldConfig"] = _fields(
        unit,
        decimals=decimals,
        mappings=_mappings(meaning),
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
        "reduceOptions": _newest(),
    }
    if link:
        panel["links"] = [_link(link)]
    return panel


def bars(
    title: str,
    description: str,
    queries: Queries,
    *,
    meanings: Meanings | None = None,
    unit: str = SHORT,
    step: str = "1h",
    no_value: str = NO_CALLS,
) -> JSON:
    """Return counts over time, one bar each *step* or more, stacked."""
    style = {
        "drawStyle": "bars",
        # A bar holds what came before its time, and stands there.
        "barAlignment": -1,
        "fillOpacity": 80,
        "lineWidth": 0,
        "stacking": {"group": "A", "mode": "normal"},
    }
    panel = _panel("timeseries", title, description, queries, step=step)
    panel["fieldConfig"] = _over_time(unit, style, meanings, no_value, _WHOLE_NUMBERS)
    panel["options"] = _readable(["sum"])
    return panel


def lines(
    title: str,
    description: str,
    queries: Queries,
    *,
    meanings: Meanings | None = None,
    unit: str = SHORT,
    step: str = "",
    decimals: int | None = None,
    maximum: float | None = None,
    no_value: str = NO_CALLS,
) -> JSON:
    """Return values over time as lines, with points where there is one value every *step*."""
    style = {
        "drawStyle": "line",
        "fillOpacity": 0,
        "lineWidth": 2,
        "pointSize": 5,
        "showPoints": "always" if step else "never",
        "spanNulls": False,
    }
    panel = _panel("timeseries", title, description, queries, step=step)
    panel["fieldConfig"] = _over_time(unit, style, meanings, no_value, decimals)
    if maximum is not None:
        panel["fieldConfig"]["defaults"]["max"] = maximum
    panel["options"] = _readable(["lastNotNull", "max"])
    return panel


def percentiles(
    title: str,
    description: str,
    histogram: Histogram,
    *,
    step: str = "1h",
    no_value: str = NO_CALLS,
) -> JSON:
    """Return what half of the values, and nine of ten, were at most."""
    queries = {HALF: histogram.quantile(0.5), MOST: histogram.quantile(0.9)}
    text = f"{description} Estimated from buckets."
    return lines(title, text, queries, meanings=TIMES, unit=SECONDS, step=step, no_value=no_value)


def heat_map(
    title: str,
    description: str,
    buckets: str,
    *,
    unit: str = SECONDS,
    step: str = "1h",
    no_value: str = NO_CALLS,
) -> JSON:
    """Return how many values there were of each size, over time."""
    panel = _panel("heatmap", title, description, {"{{le}}": buckets}, step=step)
    panel["targets"][0]["format"] = "heatmap"
    panel["fieldConfig"] = _fields(unit, decimals=_WHOLE_NUMBERS, noValue=no_value)
    panel["options"] = {
        "calculate": False,
        "cellGap": 1,
        "cellValues": {"unit": SHORT, "decimals": _WHOLE_NUMBERS},
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
    """Return one bar for each value of *label*, side by side in the order of these."""
    panel = _panel("bargauge", title, description, {f"{{{{{label}}}}}": query}, instant=True)
    panel["targets"][0]["format"] = "table"
    panel["transformations"] = [
        _without_time(),
        {"id": "sortBy", "options": {"fields": {}, "sort": [{"field": label}]}},
    ]
    panel["fieldConfig"] = _fields(
        SHORT,
        decimals=_WHOLE_NUMBERS,
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
    key_meaning: Mapping[int, Meaning] | None = None,
    no_value: str = NO_CALLS,
) -> JSON:
    """Return one row for each value of the labels *keys*, which have a heading each.

    The highest number under the heading *sort* comes first.
    """
    queries = {heading: column.query for heading, column in columns.items()}
    panel = _table(title, description, queries, no_value)
    # A single query's column has no letter.
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
    words = {"mappings": _mappings(key_meaning)}
    panel["fieldConfig"]["overrides"] = [
        *(_override(heading, **words) for heading in keys.values() if key_meaning),
        *(_column(heading, column) for heading, column in columns.items()),
    ]
    panel["options"]["sortBy"] = [{"displayName": sort, "desc": True}]
    return panel


def matrix(title: str, description: str, row: str, column: str, query: str) -> JSON:
    """Return one number for each value of the label *row* and of the label *column*."""
    panel = _table(title, description, {"": query}, NO_CALLS)
    across = {"rowField": row, "columnField": column, "valueField": "Value"}
    panel["transformations"] = [{"id": "groupingToMatrix", "options": across}]
    return panel


def timeline(
    title: str,
    description: str,
    queries: Queries,
    meaning: Mapping[int, Meaning],
    *,
    no_value: str = "No exporter",
) -> JSON:
    """Return states over time, one band for each series."""
    panel = _panel("state-timeline", title, description, queries)
    panel["fieldConfig"] = _fields(
        SHORT,
        mappings=_mappings(meaning),
        thresholds=[_step(meaning[0].color), _step(meaning[1].color, 1)],
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
    """Return the heading of what stands below it."""
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
        decimals=_WHOLE_NUMBERS,
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
    unit: str, style: JSON, meanings: Meanings | None, no_value: str, decimals: int | None
) -> JSON:
    return _fields(
        unit,
        min=0,
        decimals=decimals,
        custom=style,
        color={"mode": "palette-classic-by-name"},
        noValue=no_value,
        overrides=[_named(name, meaning) for name, meaning in (meanings or {}).items()],
    )


def _named(name: str, meaning: Meaning) -> JSON:
    fixed = {"mode": "fixed", "fixedColor": meaning.color}
    return _override(name, color=fixed, displayName=meaning.shown or None)


def _column(name: str, column: Column) -> JSON:
    properties: JSON = {"unit": column.unit, "decimals": column.decimals}
    properties["mappings"] = _mappings(column.meaning)
    if column.warn:
        steps = [_step(NEUTRAL), _step(column.warn, 1e-9)]
        properties["thresholds"] = {"mode": "absolute", "steps": steps}
        properties["custom.cellOptions"] = {"type": "color-text"}
    elif column.meaning:
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


def _mappings(meaning: Mapping[int, Meaning] | None) -> list[JSON] | None:
    if not meaning:
        return None
    options = {
        str(value): {"color": each.color, "index": index, "text": each.shown}
        for index, (value, each) in enumerate(meaning.items())
    }
    return [{"type": "value", "options": options}]


def _step(color: str, value: float | None = None) -> JSON:
    return {"color": color, "value": value}


def _newest() -> JSON:
    return {"calcs": ["lastNotNull"], "fields": "", "values": False}


def _without_time() -> JSON:
    return {"id": "organize", "options": {"excludeByName": {"Time": True}}}


def _readable(calcs: Sequence[str]) -> JSON:
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
