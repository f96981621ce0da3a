"""The dashboards, checked by the JSON Schemas of the oldest and the newest Grafana supported.

The schemas are beside the repository, not in it; without them these tests are skipped.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from jsonschema import Draft7Validator

from grafana.generator.panels import JSON

from ..support.dashboards import DASHBOARDS, PANELS, marks, targets
from ..support.each import for_each
from ..support.paths import ROOT

SCHEMAS = ROOT.parent / "shared" / "grafana-schema"
VERSIONS = ("10.4", "11.6", "main")

FILES = {
    "timeseries": "timeseries",
    "stat": "stat",
    "table": "table",
    "heatmap": "heatmap",
    "bargauge": "bargauge",
    "state-timeline": "statetimeline",
}
"""The schema by the type of a panel."""

OF_PROMETHEUS = {"step", "titleFormat", "textFormat", "tagKeys", "target"}
"""What an annotation has for its data source; the older schemas know nothing of it."""

every_version = for_each(pytest.param(version, id=version) for version in VERSIONS)
every_dashboard = for_each(
    pytest.param(dashboard, version, id=f"{name} in {version}")
    for name, dashboard in DASHBOARDS.items()
    for version in VERSIONS
)
every_panel = for_each(
    pytest.param(*case.values, version, id=f"{case.id} in {version}")
    for case in PANELS
    for version in VERSIONS
)


@cache
def schema(version: str, name: str) -> JSON:
    path = SCHEMAS / version / f"{name}.json"
    if not path.is_file():
        pytest.skip(f"Grafana's schemas are not beside the repository: {SCHEMAS}")
    found: JSON = json.loads(path.read_text(encoding="utf-8"), object_hook=loosened)
    if "Threshold" in found["definitions"]:
        # The first step begins below all numbers, which JSON writes as null.
        found["definitions"]["Threshold"]["properties"]["value"] = {"type": ["number", "null"]}
    return found


def loosened(part: JSON) -> JSON:
    """Return a part of a schema without demands that Grafana itself does not make.

    The schemas call every option required that has a default, but a panel may leave it out: Grafana
    then uses the default. An object of anything stands for anything. And because such a choice
    matches every value, `oneOf` is read as `anyOf`.
    """
    about = {key: value for key, value in part.items() if key not in ("description", "default")}
    if about == {"type": "object", "additionalProperties": {}}:
        return {}
    if "oneOf" in part:
        part["anyOf"] = part.pop("oneOf")
    if isinstance(part.get("required"), list):
        del part["required"]
    return part


def faults(version: str, name: str, definition: str, value: Any) -> list[str]:
    """Return what is wrong with *value* by one definition of a schema."""
    known = {"definitions": schema(version, name)["definitions"]}
    validator = Draft7Validator({**known, "$ref": f"#/definitions/{definition}"})
    return [f"{error.json_path}: {error.message}"[:400] for error in validator.iter_errors(value)]


@every_dashboard
def test_a_dashboard_is_one_for_grafana(dashboard: JSON, version: str) -> None:
    # An id of null asks for any free number; the older schemas allow numbers only.
    rest = {**dashboard, "id": 1, "panels": [], "annotations": {"list": []}}

    assert faults(version, "dashboard", "Dashboard", rest) == []


@every_dashboard
def test_what_marks_times_is_for_grafana_and_for_prometheus(dashboard: JSON, version: str) -> None:
    prometheus = schema(version, "prometheus")["$ref"].rpartition("/")[2]
    for mark in marks(dashboard):
        of_grafana = {key: value for key, value in mark.items() if key not in OF_PROMETHEUS}

        assert faults(version, "dashboard", "AnnotationQuery", of_grafana) == []
        assert faults(version, "prometheus", prometheus, mark["target"]) == []


@every_dashboard
def test_a_heading_is_one_for_grafana(dashboard: JSON, version: str) -> None:
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            assert faults(version, "dashboard", "RowPanel", panel) == []


@every_panel
def test_a_panel_is_one_for_grafana(panel: JSON, version: str) -> None:
    assert faults(version, "dashboard", "Panel", panel) == []


@every_panel
def test_a_panel_has_the_options_of_its_kind(panel: JSON, version: str) -> None:
    name = FILES[panel["type"]]

    assert faults(version, name, "Options", panel["options"]) == []


@every_panel
def test_a_panel_draws_as_its_kind_can(panel: JSON, version: str) -> None:
    if custom := panel["fieldConfig"]["defaults"].get("custom"):
        assert faults(version, FILES[panel["type"]], "FieldConfig", custom) == []


@every_panel
def test_a_query_is_one_for_prometheus(panel: JSON, version: str) -> None:
    name = schema(version, "prometheus")["$ref"].rpartition("/")[2]
    for query in targets(panel):
        assert faults(version, "prometheus", name, query) == []


@every_version
def test_a_typing_mistake_would_be_seen(version: str) -> None:
    (dashboard, *_) = DASHBOARDS.values()
    without = {"panels": [], "annotations": {"list": []}}
    wrong = {**dashboard, **without, "id": 1, "refrehs": "1m", "graphTooltip": 7}
    panel = next(one for one in dashboard["panels"] if one["type"] == "timeseries")
    options = {**panel["options"], "tooltip": {"mode": "many"}}

    assert len(faults(version, "dashboard", "Dashboard", wrong)) == 2
    assert faults(version, "timeseries", "Options", options)
