"""The dashboards, held to the rules of Grafana's dashboard-linter and to our catalogue.

Two of the linter's rules are left out: template-job/instance and target-job/instance. Our series
are told apart by `pbx`, which is unique within one exporter, and a person looks for a PBX and not
for the process that asked it.
"""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from cdr_exporter.catalogue import ALL_DISPOSITIONS, FAMILIES, TRUNK_FAMILIES

from .judges import require
from .test_rules import RECORDED, SAMPLES, metrics_in

FOLDER = Path(__file__).parent.parent / "grafana" / "dashboards"
DASHBOARDS = {path.name: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}

# Of grafana/packages/grafana-data/src/valueFormats/categories.ts, those used so far.
UNITS = {"short", "s", "percentunit", "dateTimeFromNow", "none"}

MACROS = {
    "$__rate_interval": "5m",
    "$__interval": "1m",
    "$__range": "1h",
}

every_dashboard = pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=DASHBOARDS)


def all_of(kind):
    """Parametrise by every panel, target or variable of every dashboard."""
    found = [
        pytest.param(thing, id=f"{name}: {label}")
        for name, dashboard in DASHBOARDS.items()
        for label, thing in kind(dashboard)
    ]
    return pytest.mark.parametrize(kind.__name__, found)


def panel(dashboard):
    return [(one["title"], one) for one in dashboard["panels"]]


def target(dashboard):
    return [
        (f"{one['title']} {query['refId']}", query)
        for one in dashboard["panels"]
        for query in one["targets"]
    ]


def variable(dashboard):
    return [(one["name"], one) for one in dashboard["templating"]["list"][1:]]


def filled_in(expression):
    """Return a query as Prometheus gets it when everything is chosen."""
    for macro, value in MACROS.items():
        expression = expression.replace(macro, value)
    return re.sub(r"\$\{?\w+\}?", ".*", expression)


@every_dashboard
def test_a_dashboard_can_be_provisioned_anywhere(dashboard):
    assert dashboard["id"] is None
    assert re.fullmatch(r"[a-z0-9-]{8,40}", dashboard["uid"])
    assert dashboard["schemaVersion"] == 39
    assert dashboard["editable"] is False
    assert not {"version", "iteration", "__inputs", "__requires"} & set(dashboard)


@every_dashboard
def test_a_dashboard_renews_itself_and_shares_its_cursor(dashboard):
    assert re.fullmatch(r"\d+[sm]", dashboard["refresh"])
    assert dashboard["graphTooltip"] == 1
    assert dashboard["time"]["to"] == "now"


def test_no_two_dashboards_are_mistaken_for_each_other():
    assert len({one["uid"] for one in DASHBOARDS.values()}) == len(DASHBOARDS)
    assert len({one["title"] for one in DASHBOARDS.values()}) == len(DASHBOARDS)


@every_dashboard
def test_there_is_one_data_source_to_choose(dashboard):
    first, *others = dashboard["templating"]["list"]

    assert (first["name"], first["label"]) == ("datasource", "Data source")
    assert (first["type"], first["query"]) == ("datasource", "prometheus")
    assert [one["name"] for one in others if one["type"] == "datasource"] == []


@every_dashboard
def test_pbx_trunk_and_call_type_can_be_chosen(dashboard):
    names = [one["name"] for one in dashboard["templating"]["list"]]

    assert names[:4] == ["datasource", "pbx", "trunk", "call_type"]


@all_of(variable)
def test_a_variable_offers_all_and_follows_the_time(variable):
    assert (variable["type"], variable["datasource"]) == ("query", DATA_SOURCE)
    assert (variable["multi"], variable["includeAll"]) == (True, True)
    assert variable["allValue"] == ".*", "all of them, none and other too"
    assert variable["current"]["value"] == ["$__all"]
    assert variable["refresh"] == 2, "on time range change"
    assert variable["label"]


@all_of(variable)
def test_a_variable_asks_for_a_label_that_exists(variable):
    query = variable["query"]["query"]
    match = re.fullmatch(r"label_values\((\w+)(\{.*\})?, (\w+)\)", query)

    assert match
    assert match[3] in SAMPLES[match[1]]
    assert match[3] == variable["name"]
    assert metrics_in(query)[match[1]] <= SAMPLES[match[1]]


@all_of(panel)
def test_a_panel_says_what_it_shows(panel):
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["datasource"] == DATA_SOURCE
    assert panel["targets"]
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS


@every_dashboard
def test_panels_have_names_and_numbers_of_their_own(dashboard):
    panels = dashboard["panels"]

    assert len({one["id"] for one in panels}) == len(panels)
    assert len({one["title"] for one in panels}) == len(panels)


@every_dashboard
def test_panels_neither_overlap_nor_leave_the_grid(dashboard):
    taken = set()
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
    assert len(taken) == width * height, "there is a hole"


@all_of(target)
def test_a_query_has_the_data_source_that_was_chosen(target):
    assert target["datasource"] == DATA_SOURCE
    assert target["instant"] is not target["range"]


@all_of(target)
def test_a_query_uses_metrics_and_labels_that_exist(target):
    used = metrics_in(target["expr"])

    assert used
    for metric, labels in used.items():
        known = SAMPLES.get(metric) or (RECORDED.keys() & {metric} and labels)
        assert known, metric
        assert labels <= known, (metric, labels)


@all_of(target)
def test_a_query_groups_by_and_names_labels_that_exist(target):
    known = set().union(*(SAMPLES[metric] for metric in metrics_in(target["expr"])))
    grouped = re.findall(r"by \(([^)]*)\)", target["expr"])
    named = re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
    by = {label.strip() for labels in grouped for label in labels.split(",")}

    assert by <= known
    assert set(named) <= (by or known)


@all_of(target)
def test_a_query_heeds_what_was_chosen(target):
    with_trunks = {family.name for family in TRUNK_FAMILIES}
    for metric, labels in metrics_in(target["expr"]).items():
        assert "pbx" in labels
        if re.sub(r"_(bucket|sum|count)$", "", metric) in with_trunks:
            assert {"trunk", "call_type"} <= labels


@all_of(target)
def test_counters_are_seen_through_a_rate_only(target):
    counters = {family.name for family in FAMILIES if family.kind == "counter"}
    for metric in metrics_in(target["expr"]):
        if metric in counters or metric.endswith("_bucket"):
            assert re.search(rf"\b(rate|increase)\({metric}\b", target["expr"]), metric


@all_of(target)
def test_a_rate_fits_the_scrape_interval(target):
    # The linter's one exception: a single number about the whole time shown.
    windows = set(re.findall(r"\[([^\]]+)\]", target["expr"]))

    assert windows <= ({"$__range"} if target["instant"] else {"$__rate_interval"})


def test_a_name_that_does_not_exist_would_be_seen():
    used = metrics_in('rate(cdr_record_total{pbx=~"$pbx",trunc="a"}[5m])')

    assert used == {"cdr_record_total": {"pbx", "trunc"}}
    assert "cdr_record_total" not in SAMPLES
    assert "trunc" not in SAMPLES["cdr_records_total"]


def test_promtool_reads_every_query(tmp_path):
    rules = [
        {"record": f"query:{number}", "expr": filled_in(query["expr"])}
        for number, query in enumerate(
            query for dashboard in DASHBOARDS.values() for _, query in target(dashboard)
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


def test_outcomes_have_the_colours_of_their_meaning():
    (outcomes,) = (
        one
        for one in DASHBOARDS["calls-overview.json"]["panels"]
        if one["title"] == "Rows per hour by outcome"
    )
    colors = {
        override["matcher"]["options"]: override["properties"][0]["value"]["fixedColor"]
        for override in outcomes["fieldConfig"]["overrides"]
    }

    assert set(colors) == set(ALL_DISPOSITIONS)
    assert {name: color for name, color in colors.items() if name != "OTHER"} == {
        "ANSWERED": "green",
        "NO ANSWER": "red",
        "BUSY": "orange",
        "FAILED": "purple",
        "VOICEMAIL": "blue",
    }


def test_what_matters_most_is_top_left():
    (first,) = (
        one
        for one in DASHBOARDS["calls-overview.json"]["panels"]
        if (one["gridPos"]["x"], one["gridPos"]["y"]) == (0, 0)
    )

    assert first["title"] == "Answered"
