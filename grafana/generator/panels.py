"""The kinds of panels, as Grafana's JSON.

Rule: panels of one kind look alike, so what they have in common is defined here once. The JSON is
that of Grafana 10 to 12; options that one of these versions lacks are left to its defaults.

A panel over time begins to show something five minutes after the first scrape: Grafana asks for
nothing after the last full step, so the steps are as wide as the time shown demands, and no wider.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any, NamedTuple

from .promql import Histogram
from .styles import (
    BLUE,
    GREEN,
    HALF,
    NEUTRAL,
    NINE_OF_TEN,
    NO_CALLS,
    PERCENTILE_STYLES,
    Style,
    Styles,
)

JSON = dict[str, Any]

DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}

Queries = Mapping[str, str]
"""Queries by legend; {{label}} in a legend is replaced by the value of that label."""

NOTHING_YET = "Nothing counted yet in this range"
NONE_SEEN = "None seen in this range"
TOO_FEW = "Too few calls in this range"
"""What an empty panel over time says. It claims nothing of what nobody counted."""

EMPTY_CELL = "-"

COUNT, TIME, SECONDS, PERCENT, PLAIN, AGO, DATE = (
    "locale",
    "dthms",
    "s",
    "percentunit",
    "none",
    "dateTimeFromNow",
    "time:ddd YYYY-MM-DD",
)
"""Units, as Grafana names them.

`COUNT` is 2,973, where `short` makes 3 K of it. `TIME` is 00:02:47, and `SECONDS` is for what takes
less than a second. Points in time are in epoch milliseconds. `TIME` always has 0 decimals: where
none are given, Grafana 10 and 11 write NaN at the axes.
"""

NEVER_STYLES: Mapping[int, Style] = {0: Style(NEUTRAL, "never")}

WIDE = 12
"""So wide is a panel, in columns of the grid, that its legend stands beside the plot."""

NARROWEST_COLUMN = 60
"""Pixels; Grafana's own 150 would hide the last columns."""

_NO_DECIMALS = 0


class Resolution(NamedTuple):
    """Into how many bars or points the time shown is divided at most; *least* is the narrowest."""

    points: int
    least: str


BARS = Resolution(168, "5m")
BAR_WIDTHS = "A bar is an hour of a week or ten minutes of a day, and stands after its beginning."

FINE = Resolution(96, "5m")
POINTS = Resolution(28, "15m")
"""For shares and percentiles, which need some calls: 6 hours of a week, an hour of a day."""

DAYS = Resolution(7, "15m")
"""For the shares of a trunk, which has fewer calls: a day of a week."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table.

    *warn* is the color of numbers above 0, *value_styles* show values as texts, and *bar* is the
    color of a bar behind the number. Without *width*, in pixels, it shares what others leave.
    """

    query: str
    unit: str = COUNT
    decimals: int | None = None
    width: int = 0
    warn: str = ""
    value_styles: Mapping[int, Style] | None = None
    bar: str = ""


def stat(
    title: str,
    description: str,
    query: str,
    *,
    unit: str = COUNT,
    alarm: str = "",
    decimals: int | None = None,
    legend: str = "",
    no_value: Style = NO_CALLS,
    link: str = "",
) -> JSON:
    """Return one large number; with an *alarm*, it has that color above 0, and is green at 0.

    *no_value* is shown where there is no number. *link* is a dashboard's uid.
    """
    steps = [_step(GREEN), _step(alarm, 1e-9)] if alarm else [_step(NEUTRAL)]
    panel = _panel("stat", title, description, {legend: query}, instant=True)
    panel["fieldConfig"] = _fields(
        unit,
        decimals=decimals,
        mappings=[_no_value(no_value)],
        thresholds=steps,
        color={"mode": "thresholds"},
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
    unit: str = COUNT,
    resolution: Resolution = BARS,
    no_value: str = NOTHING_YET,
) -> JSON:
    """Return counts over time as stacked bars, each as wide as the time that it counts."""
    style = {
        "drawStyle": "bars",
        # A bar counts the time after its timestamp, so it is drawn to the right of it.
        "barAlignment": 1,
        "barWidthFactor": 0.9,
        "fillOpacity": 80,
        "lineWidth": 0,
        "showPoints": "never",
        "stacking": {"group": "A", "mode": "normal"},
    }
    panel = _panel("timeseries", title, description, queries, resolution=resolution)
    decimals = _NO_DECIMALS if unit == COUNT else None
    panel["fieldConfig"] = _over_time(unit, style, styles, no_value, decimals)
    panel["options"] = _legend_and_tooltip(["sum"])
    return panel


def lines(
    title: str,
    description: str,
    queries: Queries,
    *,
    styles: Styles | None = None,
    unit: str = COUNT,
    resolution: Resolution | None = None,
    calcs: Sequence[str] = ("lastNotNull", "max"),
    decimals: int | None = None,
    maximum: float | None = None,
    signed: bool = False,
    no_value: str = NOTHING_YET,
) -> JSON:
    """Return values over time as lines, as many as the panel has room for or by *resolution*.

    The axis begins at 0, unless the values are *signed*.
    """
    style = {
        "drawStyle": "line",
        "fillOpacity": 0,
        "lineWidth": 2,
        "pointSize": 5,
        "showPoints": "auto",
        "spanNulls": False,
    }
    panel = _panel("timeseries", title, description, queries, resolution=resolution)
    panel["fieldConfig"] = _over_time(unit, style, styles, no_value, decimals)
    if maximum is not None:
        panel["fieldConfig"]["defaults"]["max"] = maximum
    if signed:
        del panel["fieldConfig"]["defaults"]["min"]
        panel["fieldConfig"]["defaults"]["custom"]["axisSoftMin"] = -1
    panel["options"] = _legend_and_tooltip(calcs)
    return panel


def shares(
    title: str,
    description: str,
    queries: Queries,
    *,
    styles: Styles | None = None,
    resolution: Resolution = POINTS,
) -> JSON:
    """Return shares over time, 0 to 1, as lines."""
    return lines(
        title,
        description,
        queries,
        styles=styles,
        unit=PERCENT,
        resolution=resolution,
        # The highest of many shares is 100 % nearly always.
        calcs=("lastNotNull", "mean"),
        maximum=1,
        no_value=TOO_FEW,
    )


def percentiles(
    title: str,
    description: str,
    histogram: Histogram,
    *,
    resolution: Resolution = POINTS,
) -> JSON:
    """Return the median and the 90th percentile over time."""
    queries = {HALF: histogram.quantile(0.5), NINE_OF_TEN: histogram.quantile(0.9)}
    return lines(
        title,
        f"{description} Estimated from buckets.",
        queries,
        styles=PERCENTILE_STYLES,
        unit=TIME,
        resolution=resolution,
        no_value=TOO_FEW,
    )


def heat_map(title: str, description: str, histogram: Histogram, *, unit: str = TIME) -> JSON:
    """Return how many values fell into each bucket, over time."""
    queries = {"{{le}}": histogram.columns()}
    panel = _panel("heatmap", title, description, queries, resolution=BARS)
    panel["targets"][0]["format"] = "heatmap"
    panel["fieldConfig"] = _fields(unit, noValue=NOTHING_YET)
    panel["options"] = {
        "calculate": False,
        "cellGap": 1,
        "cellValues": {"unit": COUNT, "decimals": _NO_DECIMALS},
        # The schemes of colours are turned round by the theme, and dark is then much or little.
        "color": {
            "mode": "opacity",
            "fill": BLUE,
            "scale": "exponential",
            "exponent": 0.5,
            "min": 0,
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


def bar_gauge(title: str, description: str, label: str, query: str) -> JSON:
    """Return one bar for each value of *label*, side by side in the order of the values."""
    panel = _panel("bargauge", title, description, {f"{{{{{label}}}}}": query}, instant=True)
    panel["targets"][0]["format"] = "table"
    panel["transformations"] = [
        _time_hidden(),
        {"id": "sortBy", "options": {"fields": {}, "sort": [{"field": label}]}},
    ]
    panel["fieldConfig"] = _fields(
        COUNT,
        decimals=_NO_DECIMALS,
        min=0,
        color={"mode": "fixed", "fixedColor": BLUE},
        noValue=NOTHING_YET,
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
    descending: bool = True,
    key_styles: Mapping[int, Style] | None = None,
    key_unit: str = "",
    shown: str = "",
) -> JSON:
    """Return a table with one row for each combination of values of the labels *keys*.

    *keys* maps labels to headings, *columns* maps headings to columns. The rows are sorted by the
    column with the heading *sort*. With a *key_unit* the keys are numbers. *shown* is how much time
    is shown, such as `7d`, in place of the dashboard's.
    """
    queries = {heading: column.query for heading, column in columns.items()}
    panel = _table(title, description, queries)
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
        *([_as_numbers(keys)] if key_unit else []),
        {"id": "organize", "options": arranged},
    ]
    words = {"mappings": _mappings(key_styles), "unit": key_unit or None}
    panel["fieldConfig"]["overrides"] = [
        *(_override(heading, **words) for heading in keys.values() if any(words.values())),
        *(_column_override(heading, column) for heading, column in columns.items()),
    ]
    panel["options"]["sortBy"] = [{"displayName": sort, "desc": descending}]
    return {**panel, "timeFrom": shown} if shown else panel


def matrix(title: str, description: str, row: tuple[str, str], column: str, query: str) -> JSON:
    """Return a table of numbers with a row and a column for each value of two labels.

    *row* is the label of the rows and its heading.
    """
    label, heading = row
    panel = _table(title, description, {"": query})
    across = {"rowField": label, "columnField": column, "valueField": "Value"}
    panel["transformations"] = [
        {"id": "groupingToMatrix", "options": across},
        {"id": "organize", "options": {"renameByName": {f"{label}\\{column}": heading}}},
    ]
    return panel


def timeline(
    title: str,
    description: str,
    queries: Queries,
    value_styles: Mapping[int, Style],
) -> JSON:
    """Return states over time, one band for each series.

    Without thresholds and without a text for gaps, since both would be in the legend.
    """
    panel = _panel("state-timeline", title, description, queries)
    panel["fieldConfig"] = _fields(
        PLAIN,
        mappings=_mappings(value_styles),
        color={"mode": "fixed"},
        custom={"fillOpacity": 80, "lineWidth": 0},
    )
    panel["options"] = {
        "alignValue": "left",
        "mergeValues": True,
        "rowHeight": 0.6,
        "showValue": "never",
        "legend": _legend([]),
        "tooltip": {"mode": "single", "sort": "none"},
    }
    return panel


def with_legend_placed(panel: JSON, width: int) -> JSON:
    """Return a panel of *width* columns so that its legend leaves room and hides no series.

    Beside the plot each series has a line, those with the most first; a narrow panel has no room
    there, and below it they stand one after the other.
    """
    if panel["type"] != "timeseries" or width < WIDE:
        return panel
    legend = panel["options"]["legend"]
    beside = {
        **legend,
        "displayMode": "table",
        "placement": "right",
        "sortBy": _CALC_HEADINGS[legend["calcs"][-1]],
        "sortDesc": True,
    }
    return {**panel, "options": {**panel["options"], "legend": beside}}


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
    resolution: Resolution | None = None,
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
    if resolution is None:
        return panel
    return {**panel, "maxDataPoints": resolution.points, "interval": resolution.least}


def _table(title: str, description: str, queries: Queries) -> JSON:
    panel = _panel("table", title, description, queries, instant=True)
    for target in panel["targets"]:
        target["format"] = "table"
    panel["fieldConfig"] = _fields(
        COUNT,
        decimals=_NO_DECIMALS,
        thresholds=[_step(NEUTRAL)],
        color={"mode": "thresholds"},
        custom={
            "align": "auto",
            "cellOptions": {"type": "auto"},
            "inspect": False,
            "minWidth": NARROWEST_COLUMN,
        },
    )
    panel["options"] = {"cellHeight": "sm", "showHeader": True}
    return panel


def _fields(unit: str, *, overrides: Iterable[JSON] = (), **defaults: Any) -> JSON:
    given = {key: value for key, value in defaults.items() if value is not None}
    if unit == TIME:
        given["decimals"] = _NO_DECIMALS
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
        # Otherwise a line of zeros has an axis up to 100.
        custom={**style, "axisSoftMax": 1},
        # One colour after the other: by name, two of three trunks may have the same.
        color={"mode": "palette-classic"},
        noValue=no_value,
        overrides=[_series_override(name, style) for name, style in (styles or {}).items()],
    )


def _series_override(name: str, style: Style) -> JSON:
    fixed = {"mode": "fixed", "fixedColor": style.color}
    return _override(name, color=fixed, displayName=style.text or None)


def _column_override(name: str, column: Column) -> JSON:
    decimals = _NO_DECIMALS if column.unit == TIME else column.decimals
    properties: JSON = {"unit": column.unit, "decimals": decimals, "noValue": EMPTY_CELL}
    properties["custom.width"] = column.width or None
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
        # The longest bar is that of the column, not of all numbers in the table.
        properties["fieldMinMax"] = True
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


def _no_value(style: Style) -> JSON:
    """Return the mapping of a number that does not exist.

    The option `noValue` would give its text the color of 0, and a dead exporter would look healthy.
    """
    result = {"text": style.text, "color": style.color, "index": 0}
    return {"type": "special", "options": {"match": "null+nan", "result": result}}


def _as_numbers(labels: Iterable[str]) -> JSON:
    conversions = [{"targetField": label, "destinationType": "number"} for label in labels]
    return {"id": "convertFieldType", "options": {"fields": {}, "conversions": conversions}}


def _step(color: str, value: float | None = None) -> JSON:
    return {"color": color, "value": value}


def _last_value() -> JSON:
    return {"calcs": ["lastNotNull"], "fields": "", "values": False}


def _time_hidden() -> JSON:
    return {"id": "organize", "options": {"excludeByName": {"Time": True}}}


_CALC_HEADINGS = {"sum": "Total", "max": "Max", "mean": "Mean"}
"""What Grafana calls the columns of a legend."""


def _legend_and_tooltip(calcs: Sequence[str]) -> JSON:
    return {"legend": _legend(calcs), "tooltip": {"mode": "multi", "sort": "desc"}}


def _legend(calcs: Sequence[str]) -> JSON:
    return {
        "calcs": list(calcs),
        "displayMode": "list",
        "placement": "bottom",
        "showLegend": True,
    }


def _link(uid: str) -> JSON:
    url = f"/d/{uid}?${{__url_time_range}}&${{pbx:queryparam}}&${{datasource:queryparam}}"
    return {"title": "Look closer", "url": url, "targetBlank": False}
