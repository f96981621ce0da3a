"""A dashboard: its rows of panels on the grid, what can be chosen, and the way to the others.

Rule: a row reaches across the whole grid; its panels fill it from left to right.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .panels import DATA_SOURCE, JSON, heading

TAG = "cdr-exporter"

WIDTH = 24


@dataclass(frozen=True)
class PanelRow:
    """Panels side by side: how high, and how wide each."""

    height: int
    panels: Sequence[JSON]
    widths: Sequence[int]


def panel_row(height: int, *panels: JSON, widths: Sequence[int] = ()) -> PanelRow:
    """Return *panels* side by side, all as wide where there are no *widths*.

    ValueError: they would not fill the grid.
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
"""By label: its heading, and the series whose values of the label can be chosen."""


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """One dashboard; *choices* are of `VARIABLES`, and what stands between rows is a heading."""

    uid: str
    title: str
    description: str
    shown: str
    refresh: str
    rows: Sequence[PanelRow | str]
    choices: Sequence[str] = ("pbx", "trunk", "call_type")

    @property
    def text(self) -> str:
        """Return the file that Grafana reads."""
        return json.dumps(self.as_json(), indent=2, ensure_ascii=False) + "\n"

    def as_json(self) -> JSON:
        """Return the dashboard as Grafana has it, without a number of its own."""
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
            "time": {"from": self.shown, "to": "now"},
            "timezone": "browser",
            "weekStart": "",
            "fiscalYearStartMonth": 0,
            "liveNow": False,
            "annotations": {"list": []},
            "links": [_links()],
            "timepicker": {},
            "templating": {"list": [_data_source(), *map(_variable, self.choices)]},
            "panels": [
                {"id": number, **panel} for number, panel in enumerate(laid_out(self.rows), 1)
            ],
        }


def laid_out(rows: Sequence[PanelRow | str]) -> Iterator[JSON]:
    """Yield the panels of *rows* with their places."""
    top = 0
    for each in rows:
        on = panel_row(1, heading(each)) if isinstance(each, str) else each
        left = 0
        for panel, width in zip(on.panels, on.widths, strict=True):
            yield {**panel, "gridPos": {"x": left, "y": top, "w": width, "h": on.height}}
            left += width
        top += on.height


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


def _variable(name: str) -> JSON:
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
        # Not each value that was seen when the page was opened: trunks come and go.
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "hide": 0,
        "options": [],
        "regex": "",
        "skipUrlSync": False,
    }
