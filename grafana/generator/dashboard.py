"""A dashboard: its rows of panels on the grid, its variables, and links to the other dashboards.

Rule: each row fills the whole width of the grid, with its panels from left to right.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .panels import DATA_SOURCE, JSON, heading, with_legend_placed
from .promql import PBX
from .styles import RED

TAG = "cdr-exporter"

WIDTH = 24
"""Columns of Grafana's grid."""


@dataclass(frozen=True)
class PanelRow:
    """Panels side by side; *height* and *widths* are in units of the grid."""

    height: int
    panels: Sequence[JSON]
    widths: Sequence[int]


def panel_row(height: int, *panels: JSON, widths: Sequence[int] = ()) -> PanelRow:
    """Return a row of *panels*, equally wide if no *widths* are given.

    Raises `ValueError` if they do not fill the width of the grid.
    """
    widths = widths or [WIDTH // len(panels)] * len(panels)
    if len(widths) != len(panels) or sum(widths) != WIDTH:
        raise ValueError(f"{panels[0]['title']}: a row of the widths {widths} is not {WIDTH}")
    return PanelRow(height, panels, widths)


VARIABLES = {
    "pbx": ("PBX", "cdr_up"),
    "trunk": ("Trunk", 'cdr_records_total{pbx=~"$pbx"}'),
    "call_type": ("Call type", 'cdr_records_total{pbx=~"$pbx"}'),
    "disposition": ("Disposition", 'cdr_records_total{pbx=~"$pbx"}'),
}
"""For each label: the title of its variable, and the series whose values are offered."""


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """One dashboard; *variables* are keys of `VARIABLES`, a text in *rows* is a heading.

    *handed_on* are variables that no panel uses: they are not shown, but what was chosen for them
    elsewhere is kept for the dashboard that is visited next.
    *start* is the beginning of its time range, such as `now-24h`.
    """

    uid: str
    title: str
    description: str
    start: str
    refresh: str
    rows: Sequence[PanelRow | str]
    variables: Sequence[str] = ("pbx", "trunk", "call_type")
    handed_on: Sequence[str] = ()

    @property
    def file_text(self) -> str:
        """The content of the file that Grafana reads."""
        return json.dumps(self.as_json(), indent=2, ensure_ascii=False) + "\n"

    def as_json(self) -> JSON:
        """Return the dashboard as Grafana's JSON; its id is null, so Grafana assigns one."""
        return {
            "id": None,
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": [TAG],
            "schemaVersion": 39,
            "editable": False,
            "graphTooltip": 1,
            "refresh": self.refresh,
            "time": {"from": self.start, "to": "now"},
            "timezone": "browser",
            "weekStart": "",
            "fiscalYearStartMonth": 0,
            "liveNow": False,
            "annotations": {"list": [_not_reached()]},
            "links": [_links()],
            "timepicker": {},
            "templating": {
                "list": [
                    _data_source(),
                    *(_variable(name, hide=_SHOWN) for name in self.variables),
                    *(_variable(name, hide=_NOT_SHOWN) for name in self.handed_on),
                ]
            },
            "panels": [
                {"id": number, **panel} for number, panel in enumerate(placed(self.rows), 1)
            ],
        }


def placed(rows: Sequence[PanelRow | str]) -> Iterator[JSON]:
    """Yield the panels of *rows* with their positions on the grid."""
    top = 0
    for each in rows:
        row = panel_row(1, heading(each)) if isinstance(each, str) else each
        left = 0
        for panel, width in zip(row.panels, row.widths, strict=True):
            place = {"x": left, "y": top, "w": width, "h": row.height}
            yield {**with_legend_placed(panel, width), "gridPos": place}
            left += width
        top += row.height


def _links() -> JSON:
    return {
        "title": "Calls and their exporter",
        "type": "dashboards",
        "tags": [TAG],
        "icon": "external link",
        "tooltip": "",
        "url": "",
        "asDropdown": False,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
    }


def _not_reached() -> JSON:
    """Return what marks in all panels over time where a PBX was not reached, mostly.

    Bars are missing there or 0 though calls were made. Grafana looks where it is above 0; older
    versions read the query from the annotation itself.
    """
    unreached = f"1 - min by (pbx) (avg_over_time(cdr_up{{{PBX}}}[$__interval]))"
    query = {"expr": f"({unreached}) > 0.5", "refId": "Anno"}
    return {
        "name": "PBX not reached",
        "datasource": DATA_SOURCE,
        "enable": True,
        "hide": False,
        "iconColor": RED,
        "expr": query["expr"],
        "step": _ANNOTATION_STEP,
        "titleFormat": "{{pbx}} not reached",
        "textFormat": "Its calls of this time are counted once it answers.",
        "tagKeys": "pbx",
        "target": {**query, "interval": _ANNOTATION_STEP, "instant": False, "range": True},
    }


def _data_source() -> JSON:
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "refresh": 1,
        "regex": "",
        "multi": False,
        "includeAll": False,
        "hide": 0,
        "options": [],
        "current": {},
        "skipUrlSync": False,
    }


_SHOWN, _NOT_SHOWN = 0, 2
_ANNOTATION_STEP = "5m"


def _variable(name: str, *, hide: int) -> JSON:
    label, series = VARIABLES[name]
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATA_SOURCE,
        "query": {"query": f"label_values({series}, {name})", "refId": "StandardVariableQuery"},
        "refresh": 2,
        "sort": 5,
        "multi": True,
        "includeAll": True,
        # A pattern, not the list of values when the page was opened: trunks come and go.
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "hide": hide,
        "options": [],
        "regex": "",
        "skipUrlSync": False,
    }
