"""The dashboards, checked by the rules of Grafana's dashboard-linter and by our catalogue.

Rules of the linter that are left out:
- template-job/instance, target-job/instance: our series differ in `pbx`, which is unique within
  one exporter, and a person looks for a PBX, not for the process that polled it.
- target-rate-interval: what rose in a bar is the difference of two samples (`promql.Window`), and
  `WINDOWS` says why others have windows of their own.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
import yaml

from cdr_exporter.calls import OUTCOMES, QUEUE_OUTCOMES
from cdr_exporter.cdr.contract import CALL_TYPES
from cdr_exporter.cdr.labels import NO_TRUNK
from cdr_exporter.history.grid import OLDER_STEP
from cdr_exporter.metrics.catalogue import ALL_DISPOSITIONS, FAMILIES
from grafana.generator import promql
from grafana.generator.__main__ import FILES
from grafana.generator.dashboard import panel_row
from grafana.generator.panels import JSON
from grafana.generator.promql import BAR, COLUMN, LONGEST_GAP, POINT, QUARTER, TIME_RANGE

from ..support.dashboards import (
    DASHBOARDS,
    DAY,
    FOLDER,
    MACROS,
    MINUTE,
    PANELS,
    VARIABLE_CASES,
    filled_in,
    marks,
    panels,
    seconds,
    step_of,
    targets,
    variables,
)
from ..support.each import for_each
from ..support.programs import require
from ..support.prometheus_rules import SAMPLES, metrics_in, samples

DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}

# Those in use, of packages/grafana-data/src/valueFormats/categories.ts in Grafana.
UNITS = {"locale", "dthms", "s", "percentunit", "dateTimeFromNow", "none"}

SUBQUERIES = {"15m$__range:15m", "$__range:5m", "1d:1h", "1s:1s"}
"""Windows over the results of a query."""

A_WEEK_AGO = [promql.Window("${__interval}", ago=hours * 3600) for hours in (167, 168, 169)]
ALL_WINDOWS = (
    *(TIME_RANGE, promql.HOUR, promql.DAY, BAR, POINT, COLUMN, QUARTER),
    *A_WEEK_AGO,
)

OF_THE_WHOLE = {TIME_RANGE.width, LONGEST_GAP}
OF_BARS = {BAR.width, LONGEST_GAP}
OF_QUARTERS = {QUARTER.width, LONGEST_GAP}

WINDOWS: dict[str, tuple[set[str], str]] = {
    "Busiest hours": (OF_QUARTERS, "the local time is computed quarter by quarter"),
    "Busiest weekdays": (OF_QUARTERS, "the local time is computed quarter by quarter"),
    "Calls by day": (OF_QUARTERS, "the local time is computed quarter by quarter"),
    "Against a week before": ({A_WEEK_AGO[0].width}, "a name of $__interval that can be added to"),
    "Traffic (erlangs)": ({"1h"}, "a call counts at its end, so traffic is of an hour or more"),
    "Trunks side by side": ({"1h", "1d", "15m"}, "its headings say so; 15m to see when one rose"),
    "PBXs side by side": ({"1h"}, "its description says so"),
}
"""Windows that are not macros, and why, by the title of the panel."""

CHOICES = ("pbx", "trunk", "call_type")

every_dashboard = for_each(pytest.param(one, id=name) for name, one in DASHBOARDS.items())


every_panel = for_each(PANELS)
every_variable = for_each(VARIABLE_CASES)
every_target = for_each(
    pytest.param(panel, query, id=f"{name}: {panel['title']} {query['refId']}")
    for name, dashboard in DASHBOARDS.items()
    for panel in panels(dashboard)
    for query in targets(panel)
)


def test_the_files_are_those_that_the_generator_makes() -> None:
    assert {name: (FOLDER / name).read_text(encoding="utf-8") for name in DASHBOARDS} == {
        name: dashboard.file_text for name, dashboard in FILES.items()
    }, "generate them: make dashboards"


@every_dashboard
def test_a_dashboard_can_be_provisioned_anywhere(dashboard: JSON) -> None:
    assert dashboard["id"] is None
    assert re.fullmatch(r"[a-z0-9-]{8,40}", dashboard["uid"])
    assert dashboard["schemaVersion"] == 39
    assert dashboard["editable"] is False
    assert not {"version", "iteration", "__inputs", "__requires"} & set(dashboard)


def test_a_uid_stays_since_people_link_to_it() -> None:
    assert {name: one["uid"] for name, one in DASHBOARDS.items()} == {
        "calls-overview.json": "cdr-calls-overview",
        "exporter-health.json": "cdr-exporter-health",
        "legs-and-records.json": "cdr-legs-and-records",
        "trunks.json": "cdr-trunks",
    }


@every_dashboard
def test_a_dashboard_says_what_it_answers(dashboard: JSON) -> None:
    assert dashboard["tags"] == ["cdr-exporter"]
    assert "?" in dashboard["description"]
    assert dashboard["description"].endswith((".", "?"))


@every_dashboard
def test_a_dashboard_leads_to_the_others_with_all_that_was_chosen(dashboard: JSON) -> None:
    (link,) = dashboard["links"]

    assert (link["type"], link["tags"]) == ("dashboards", dashboard["tags"])
    assert link["includeVars"] is link["keepTime"] is True


def test_a_panel_leads_to_a_dashboard_that_exists() -> None:
    urls = [
        link["url"]
        for dashboard in DASHBOARDS.values()
        for panel in panels(dashboard)
        for link in panel.get("links", ())
    ]

    assert urls
    assert all(re.match(r"/d/[\w-]+\?", url) for url in urls)
    assert {url.removeprefix("/d/").partition("?")[0] for url in urls} <= {
        dashboard["uid"] for dashboard in DASHBOARDS.values()
    }


@every_dashboard
def test_a_dashboard_renews_itself_and_shares_its_cursor(dashboard: JSON) -> None:
    assert re.fullmatch(r"\d+m", dashboard["refresh"])
    assert dashboard["graphTooltip"] == 1
    assert dashboard["time"]["to"] == "now"


def test_no_two_dashboards_are_mistaken_for_each_other() -> None:
    assert len({one["uid"] for one in DASHBOARDS.values()}) == len(DASHBOARDS)
    assert len({one["title"] for one in DASHBOARDS.values()}) == len(DASHBOARDS)


@every_dashboard
def test_there_is_one_data_source_to_choose(dashboard: JSON) -> None:
    first, *others = dashboard["templating"]["list"]

    assert (first["name"], first["label"]) == ("datasource", "Data source")
    assert (first["type"], first["query"]) == ("datasource", "prometheus")
    assert [one["name"] for one in others if one["type"] == "datasource"] == []


@every_dashboard
def test_pbx_trunk_and_call_type_are_handed_on(dashboard: JSON) -> None:
    names = [one["name"] for one in dashboard["templating"]["list"]]

    assert names[:4] == ["datasource", *CHOICES]


@every_dashboard
def test_what_can_be_chosen_does_something(dashboard: JSON) -> None:
    asked = " ".join(query["expr"] for panel in panels(dashboard) for query in targets(panel))
    used = {one["name"] for one in variables(dashboard) if f'"${one["name"]}"' in asked}

    assert {one["name"] for one in variables(dashboard) if one["hide"] == 0} == used
    assert {one["hide"] for one in variables(dashboard)} <= {0, 2}


@every_dashboard
def test_it_is_marked_when_a_pbx_was_not_reached(dashboard: JSON) -> None:
    (mark,) = marks(dashboard)

    assert mark["datasource"] == DATA_SOURCE
    assert mark["enable"] is True
    assert metrics_in(mark["expr"]) == {"cdr_up": {"pbx"}}
    # Grafana 10 reads the one, later ones the other.
    assert mark["target"]["expr"] == mark["expr"]


@every_variable
def test_a_variable_offers_all_and_follows_the_time(variable: JSON) -> None:
    assert (variable["type"], variable["datasource"]) == ("query", DATA_SOURCE)
    assert (variable["multi"], variable["includeAll"]) == (True, True)
    assert variable["allValue"] == ".*", "all of them, none and other too"
    assert variable["current"]["value"] == ["$__all"]
    assert variable["refresh"] == 2, "on time range change"
    assert variable["label"]


@every_variable
def test_a_variable_asks_for_a_label_that_exists(variable: JSON) -> None:
    query = variable["query"]["query"]
    match = re.fullmatch(r"label_values\((\w+)(\{.*\})?, (\w+)\)", query)

    assert match
    assert match[3] in SAMPLES[match[1]]
    assert match[3] == variable["name"]
    assert metrics_in(query)[match[1]] <= SAMPLES[match[1]]


@every_panel
def test_a_panel_says_what_it_shows(panel: JSON) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["datasource"] == DATA_SOURCE
    assert panel["targets"]
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS


@every_dashboard
def test_panels_have_names_and_numbers_of_their_own(dashboard: JSON) -> None:
    found = dashboard["panels"]

    assert [one["id"] for one in found] == list(range(1, len(found) + 1))
    assert len({one["title"] for one in found}) == len(found)


@every_dashboard
def test_panels_neither_overlap_nor_leave_the_grid(dashboard: JSON) -> None:
    taken: set[tuple[int, int]] = set()
    for one in dashboard["panels"]:
        place = one["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, one["title"]
        taken |= cells

    width, height = (max(cell[axis] for cell in taken) + 1 for axis in (0, 1))
    assert width == 24
    assert len(taken) == width * height, "a part of the grid is empty"


def test_a_row_that_does_not_fill_the_grid_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^Calls: a row of the widths \(12, 11\) is not 24"):
        panel_row(5, {"title": "Calls"}, {"title": "Rows"}, widths=(12, 11))


@every_target
def test_a_query_has_the_data_source_that_was_chosen(panel: JSON, target: JSON) -> None:
    assert target["datasource"] == DATA_SOURCE
    assert target["instant"] is not target["range"]


@every_target
def test_a_query_uses_metrics_and_labels_that_exist(panel: JSON, target: JSON) -> None:
    used = metrics_in(target["expr"])

    assert used
    for metric, labels in used.items():
        assert metric in SAMPLES, metric
        assert labels <= SAMPLES[metric], (metric, labels)


NOT_SHOWN = {
    **dict.fromkeys(
        ("cdr_exporter_database_up", "cdr_exporter_leases", "cdr_exporter_lease_changes_total"),
        "only replicas have it, of which alerts tell; without them its panel would be empty",
    ),
    "cdr_exporter_config_last_reload_success_timestamp_seconds": "what matters is whether it was",
    "cdr_exporter_polls_total": "a poll makes requests, and those are shown",
}


def test_every_metric_is_on_some_panel() -> None:
    shown = {
        metric
        for dashboard in DASHBOARDS.values()
        for panel in panels(dashboard)
        for query in targets(panel)
        for metric in metrics_in(query["expr"])
    }
    missing = {family.name for family in FAMILIES if not shown & samples([family]).keys()}

    assert missing == NOT_SHOWN.keys()


@every_target
def test_a_query_groups_by_and_names_labels_that_exist(panel: JSON, target: JSON) -> None:
    made = set(re.findall(r'count_values(?: by \(pbx\) )?\("(\w+)"', target["expr"]))
    known = made.union(*(SAMPLES[metric] for metric in metrics_in(target["expr"])))
    grouped = re.findall(r"\b(?:by|on) \(([^)]*)\)", target["expr"])
    named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
    by = {label.strip() for labels in grouped for label in labels.split(",") if label}

    assert by <= known
    assert named <= by, "what is not grouped by has more series than names"


VALUES: dict[str, Collection[str]] = {
    "outcome": {*OUTCOMES, *QUEUE_OUTCOMES},
    "disposition": ALL_DISPOSITIONS,
    "call_type": CALL_TYPES,
    "trunk": (NO_TRUNK,),
    "le": ("5.0", "20.0"),
}
"""What a query may ask for by name. Of the bounds, those that no setting takes away."""


@every_target
def test_a_query_asks_for_label_values_that_exist(panel: JSON, target: JSON) -> None:
    for label, value in re.findall(r'(\w+)!?="([^"]*)"', target["expr"]):
        assert value in VALUES[label], (label, value)


@every_dashboard
def test_a_query_asks_for_no_variable_that_is_not_offered(dashboard: JSON) -> None:
    offered = {*MACROS, *(f"${one['name']}" for one in variables(dashboard))}
    for panel in panels(dashboard):
        for target in targets(panel):
            # $1 is a group of label_replace, and no variable can have that name.
            assert set(re.findall(r"\$\w+", target["expr"])) - {"$1"} <= offered, panel["title"]


@every_target
def test_a_query_uses_every_variable_that_applies_to_it(panel: JSON, target: JSON) -> None:
    for metric, labels in metrics_in(target["expr"]).items():
        assert SAMPLES[metric] & set(CHOICES) <= labels, metric


def without_windows(expression: str, metric: str) -> str:
    """Return an expression without the parts that count what rose of a *metric* in a window."""
    for series in set(re.findall(rf"{metric}\{{[^}}]*\}}", expression)):
        for window in ALL_WINDOWS:
            expression = expression.replace(window.rise(series), "")
        # The empty column of a heat map.
        known = f"last_over_time({series}[{COLUMN.width}] offset -{COLUMN.width})"
        expression = expression.replace(f"0 * sum by (le) ({known})", "")
    return expression


@every_target
def test_of_a_counter_only_is_shown_how_much_it_rose(panel: JSON, target: JSON) -> None:
    counters = {family.name for family in FAMILIES if family.kind == "counter"}
    for metric in metrics_in(target["expr"]):
        if metric in counters or re.search(r"_(bucket|sum|count)$", metric):
            rest = without_windows(target["expr"], metric)
            bare = re.sub(rf"\bincrease\({metric}\b", "", rest)
            assert not re.search(rf"\b{metric}\b", bare), metric


@every_target
def test_a_window_is_the_time_shown_or_a_bar_of_it(panel: JSON, target: JSON) -> None:
    windows = set(re.findall(r"\[([^\]]+)\](?! @ end)", target["expr"])) - SUBQUERIES
    usual = OF_THE_WHOLE if target["instant"] else OF_BARS
    others, _ = WINDOWS.get(panel["title"], (set(), ""))

    assert windows <= usual | others


@every_target
def test_nothing_is_hidden_until_a_step_is_over(panel: JSON, target: JSON) -> None:
    """Grafana asks for nothing after the last full step, so a bar has to look ahead of its own.

    Where that cannot be, as in a heat map, the step is short where people look at a day.
    """
    if target["range"] and f"offset -{BAR.width}" not in target["expr"]:
        assert step_of(panel, DAY) <= 10 * MINUTE
    if "interval" in panel:
        assert seconds(panel["interval"]) <= 15 * MINUTE, "an hour shown has four points or more"


@every_panel
def test_what_is_drawn_after_its_timestamp_counts_what_came_after_it(panel: JSON) -> None:
    custom = panel["fieldConfig"]["defaults"].get("custom", {})
    if custom.get("drawStyle") == "bars":
        assert custom["barAlignment"] == 1
        assert all(f"offset -{BAR.width}" in query["expr"] for query in targets(panel))


@every_target
def test_a_point_of_a_line_is_not_made_of_fewer_than_five(panel: JSON, target: JSON) -> None:
    over_time = target["range"] and BAR.width in target["expr"]
    rest = target["expr"]
    for metric in metrics_in(rest):
        rest = without_windows(rest, metric)
    if over_time and re.search(r" / \(|histogram_quantile", rest):
        assert ">= 5" in rest
        assert "> 0" not in rest


def test_a_window_of_its_own_holds_three_samples_of_the_past_that_history_writes() -> None:
    windows = {one for allowed, _ in WINDOWS.values() for one in allowed if "$" not in one}

    assert min(map(seconds, windows)) >= 3 * OLDER_STEP


def test_a_window_of_its_own_has_a_panel_that_uses_it() -> None:
    used = {
        (panel["title"], window)
        for dashboard in DASHBOARDS.values()
        for panel in panels(dashboard)
        for target in targets(panel)
        for window in re.findall(r"\[([^\]]+)\]", target["expr"])
    }

    assert {(title, one) for title, (windows, _) in WINDOWS.items() for one in windows} <= used


def test_a_name_that_does_not_exist_would_be_seen() -> None:
    used = metrics_in('rate(cdr_record_total{pbx=~"$pbx",trunc="a"}[5m])')

    assert used == {"cdr_record_total": {"pbx", "trunc"}}
    assert "cdr_record_total" not in SAMPLES
    assert "trunc" not in SAMPLES["cdr_records_total"]


@pytest.mark.e2e
def test_promtool_reads_every_query(tmp_path: Path) -> None:
    rules = [
        {"record": f"query:{number}", "expr": filled_in(query["expr"])}
        for number, query in enumerate(
            query
            for dashboard in DASHBOARDS.values()
            for query in (
                *(query for panel in panels(dashboard) for query in targets(panel)),
                *marks(dashboard),
            )
        )
    ]
    path = tmp_path / "queries.yml"
    path.write_text(
        yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}), encoding="utf-8"
    )

    done = subprocess.run(
        [require("promtool"), "check", "rules", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules)} rules found" in done.stdout


def colors() -> Iterator[tuple[str, str]]:
    """Yield the name of a series and its colour, of every panel."""
    for dashboard in DASHBOARDS.values():
        for panel in panels(dashboard):
            for override in panel["fieldConfig"]["overrides"]:
                for each in override["properties"]:
                    if each["id"] == "color" and panel["type"] == "timeseries":
                        yield override["matcher"]["options"], each["value"]["fixedColor"]


def test_a_name_has_one_color_in_all_panels() -> None:
    found = set(colors())

    assert len(found) == len({name for name, _ in found})


@pytest.mark.parametrize("names", [OUTCOMES, ALL_DISPOSITIONS], ids=["outcomes", "dispositions"])
def test_each_way_a_call_ends_has_a_color_of_its_own(names: Collection[str]) -> None:
    found = dict(colors())

    assert len({found[name] for name in names}) == len(names)


def test_colors_have_the_meaning_that_people_know() -> None:
    found = dict(colors())

    assert {found["answered"], found["ANSWERED"]} == {"green"}
    assert {found["no_answer"], found["NO ANSWER"]} == {"red"}
    assert found["voicemail"] == found["VOICEMAIL"]
    assert found["busy"] == found["BUSY"]
    assert found["failed"] == found["FAILED"]
    assert found["unknown"] == found["OTHER"]


def test_what_matters_most_is_top_left() -> None:
    first = {
        dashboard["title"]: one["title"]
        for dashboard in DASHBOARDS.values()
        for one in dashboard["panels"]
        if (one["gridPos"]["x"], one["gridPos"]["y"]) == (0, 0)
    }

    assert first == {
        "Calls overview": "Inbound answered",
        "Exporter health": "PBXs not reached",
        "Legs and raw records": "Rows",
        "Trunks": "Trunks side by side",
    }
