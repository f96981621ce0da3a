"""The rules, judged by promtool; and what promtool does not judge."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from cdr_exporter.catalogue import FAMILIES

from .judges import require

FOLDER = Path(__file__).parent.parent / "prometheus"
RULE_FILES = sorted((FOLDER / "rules").glob("*.yml"))
TEST_FILES = sorted((FOLDER / "tests").glob("*.yml"))

RULES = [
    rule
    for path in RULE_FILES
    for group in yaml.safe_load(path.read_text())["groups"]
    for rule in group["rules"]
]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDED = {rule["record"]: rule for rule in RULES if "record" in rule}

SAMPLES = {
    name: {*family.labels, *(() if family.process_wide else ("pbx",)), *extra}
    for family in FAMILIES
    for name, extra in (
        {
            f"{family.name}_bucket": ("le",),
            f"{family.name}_count": (),
            f"{family.name}_sum": (),
        }
        if family.kind == "histogram"
        else {family.name: ()}
    ).items()
}
"""The labels of every sample name we expose."""

TARGET = {"job", "instance"}

alert = pytest.mark.parametrize("name", ALERTS)


def promtool(*arguments, cwd=FOLDER):
    done = subprocess.run(
        [require("promtool"), *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_finds_nothing_wrong_with_the_rules():
    promtool("check", "rules", "--lint=all", "--lint-fatal", *map(str, RULE_FILES))


def test_the_example_configuration_is_valid_and_loads_the_rules():
    promtool("check", "config", "prometheus.yml")

    patterns = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["rule_files"]
    assert [path for pattern in patterns for path in FOLDER.glob(pattern)] == RULE_FILES


def test_the_rules_do_what_their_tests_say():
    promtool("test", "rules", *(path.name for path in TEST_FILES), cwd=FOLDER / "tests")


def cases():
    return [
        (case["alertname"], bool(case.get("exp_alerts")))
        for path in TEST_FILES
        for test in yaml.safe_load(path.read_text())["tests"]
        for case in test.get("alert_rule_test", ())
    ]


@alert
def test_each_alert_is_seen_to_fire_and_to_keep_quiet(name):
    assert {fires for tested, fires in cases() if tested == name} == {True, False}


def test_each_recorded_metric_has_a_test():
    tested = " ".join(path.read_text() for path in TEST_FILES)

    assert [name for name in RECORDED if f"expr: {name}" not in tested] == []


def test_only_alerts_that_exist_are_tested():
    assert {name for name, _ in cases()} == set(ALERTS)


@alert
def test_each_alert_says_how_bad_what_and_where_to_look(name):
    rule = ALERTS[name]

    assert re.fullmatch(r"CDR[A-Z][A-Za-z]+", name)
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert "{{" not in rule["annotations"]["summary"], "the summary names the kind of trouble"
    assert re.search(r"\{\{|\d", rule["annotations"]["description"]), "the description has numbers"


def test_the_runbook_has_one_heading_per_alert_in_the_order_of_the_rules():
    headings = re.findall(r"^## (.+)$", (FOLDER / "RUNBOOK.md").read_text(), re.MULTILINE)

    assert headings == list(ALERTS)


@alert
def test_each_alert_links_to_its_heading(name):
    assert ALERTS[name]["annotations"]["runbook_url"] == f"prometheus/RUNBOOK.md#{name.lower()}"


def test_the_runbook_says_what_it_means_what_to_look_at_and_what_to_do():
    sections = re.split(r"^## ", (FOLDER / "RUNBOOK.md").read_text(), flags=re.MULTILINE)[1:]

    for section in sections:
        parts = re.findall(r"^\*\*(.+?):\*\*", section, re.MULTILINE)
        assert parts == ["Means", "Look at", "Do"], section.partition("\n")[0]


@alert
def test_alerts_are_about_the_exporter_and_its_pbxs_only(name):
    used = set(metrics_in(ALERTS[name]["expr"]))

    assert used
    assert all(metric in ("up", "cdr_up") or "cdr_exporter_" in metric for metric in used)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_rules_use_metrics_and_labels_that_exist(rule):
    for metric, labels in metrics_in(rule["expr"]).items():
        assert metric == "up" or metric in SAMPLES, metric
        assert labels <= TARGET | SAMPLES.get(metric, set()), (metric, labels)


@alert
def test_descriptions_use_labels_that_the_alert_has(name):
    rule = ALERTS[name]
    used = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["description"]))
    metric = next(iter(metrics_in(rule["expr"])))
    dropped = set(re.findall(r"without \((\w+)\)", rule["expr"]))

    assert used <= (TARGET | SAMPLES.get(metric, set())) - dropped


def test_a_reason_in_the_runbook_is_a_reason_in_the_catalogue():
    text = (FOLDER / "RUNBOOK.md").read_text()
    for name, alert_name in (
        ("cdr_exporter_poll_failures_total", "CDRPBXDown"),
        ("cdr_exporter_auth_blocked", "CDRAuthBlocked"),
    ):
        (family,) = (family for family in FAMILIES if family.name == name)
        section = text.partition(f"## {alert_name}\n")[2].partition("\n## ")[0]
        rows = re.findall(r"^\| (`[^|]+`) \|", section, re.MULTILINE)
        named = {reason for row in rows for reason in re.findall(r"`(\w+)`", row)}

        assert named == set(family.known)


def metrics_in(expression):
    """Return the label names matched on, by metric: good for the selectors used here."""
    found = {}
    for metric, matchers in re.findall(
        r"\b((?:cdr_\w+)|(?:up\b))(?:\{([^}]*)\})?", re.sub(r'"[^"]*"', '""', expression)
    ):
        found.setdefault(metric, set()).update(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
    return found
