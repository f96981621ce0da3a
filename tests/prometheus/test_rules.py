"""The rules, judged by promtool; and what promtool does not judge.

promtool is the first one in PATH. The rules and their tests are meant for Prometheus 2.42 and later
and for Prometheus 3; another version is tried by putting its folder in front:

    PATH=/opt/prometheus-3.5/bin:$PATH pytest tests/prometheus
"""

import json
import re
import subprocess
from functools import cache

import pytest
import yaml

from cdr_exporter.calls import OTHER_NUMBER
from cdr_exporter.cdr.contract import CALL_TYPES
from cdr_exporter.cdr.error_codes import BLOCKED_REASONS
from cdr_exporter.cdr.labels import NO_TRUNK
from cdr_exporter.metrics.catalogue import ALL_DISPOSITIONS, FAMILIES, HISTOGRAM

from ..support import alert_scenarios
from ..support.each import for_each
from ..support.paths import ROOT
from ..support.programs import require

FOLDER = ROOT / "prometheus"
RULE_FILES = sorted((FOLDER / "rules").glob("*.yml"))
TEST_FILES = sorted((FOLDER / "tests").glob("*.yml"))


def rules_of(path):
    return [rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


def alerts_of(name):
    """Return the names of the alerts of one rule file, or several."""
    return [rule["alert"] for rule in rules_of(FOLDER / "rules" / name) if "alert" in rule]


RULES = [rule for path in RULE_FILES for rule in rules_of(path)]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
THRESHOLDS = {rule["record"]: rule for rule in rules_of(FOLDER / "rules/cdr-thresholds.yml")}
RECORDED = {
    rule["record"]: rule for rule in RULES if "record" in rule and rule["record"] not in THRESHOLDS
}

DASHBOARDS = {
    json.loads(path.read_text())["uid"]
    for path in (FOLDER.parent / "grafana" / "dashboards").glob("*.json")
}
"""The uids that an alert may link to."""


def samples(families):
    """Return the labels of every sample name of *families*."""
    return {
        name: {*family.labels, *(() if family.process_wide else ("pbx",)), *extra}
        for family in families
        for name, extra in (
            {
                f"{family.name}_bucket": ("le",),
                f"{family.name}_count": (),
                f"{family.name}_sum": (),
            }
            if family.kind == HISTOGRAM
            else {family.name: ()}
        ).items()
    }


SAMPLES = samples(FAMILIES)
"""The labels of every sample name we expose."""

LEVELS = ("pbx", "disposition", "outcome", "call_type", "trunk", "did", "queue", "destination")


def level(name):
    """Return the labels that the name of a recorded metric, `level:metric:operation`, says."""
    words, *_ = name.split(":")
    labels = re.findall("|".join(LEVELS), words)
    assert "_".join(labels) == words, f"{name}: a level is made of {LEVELS}"
    return set(labels)


KNOWN = {
    "up": set(),
    **SAMPLES,
    **{name: level(name) for name in RECORDED},
    **{name: {"pbx"} for name in THRESHOLDS},
}
"""The labels of all that a rule may use, but for those of a target."""

COUNTS = [name for name in RECORDED if re.search(r":increase1[hd]$", name)]
QUOTIENTS = [name for name in RECORDED if re.search(r":(ratio|mean)\w*$", name)]

TARGET = {"job", "instance"}


def every(names):
    """Return what makes one test of a check of each of *names*."""
    return for_each(pytest.param(name, id=name) for name in names)


alert = every(ALERTS)


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
    assert sorted(path for pattern in patterns for path in FOLDER.glob(pattern)) == RULE_FILES


def test_the_example_of_alertmanager_is_valid():
    done = subprocess.run(
        [require("amtool"), "check-config", str(FOLDER / "alertmanager.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_alertmanager_knows_the_labels_and_names_of_the_alerts():
    text = (FOLDER / "alertmanager.yml").read_text()
    labels = {
        label: {rule["labels"].get(label) for rule in ALERTS.values()}
        for label in ("severity", "about")
    } | {"alertname": set(ALERTS)}
    asked = re.findall(r'(\w+)=~?"([\w|]+)"', text)

    assert asked
    for label, values in asked:
        assert set(values.split("|")) <= labels[label], (label, values)


def test_what_is_about_calls_says_so_and_nothing_else_does():
    for name, about in (("calls", "cdr-telephony.yml"), ("fraud", "cdr-fraud.yml")):
        assert {ALERTS[each]["labels"]["about"] for each in alerts_of(about)} == {name}
    assert all("about" not in ALERTS[each]["labels"] for each in alerts_of("cdr-exporter.yml"))


@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: path.name)
def test_the_rules_do_what_their_tests_say(path):
    promtool("test", "rules", path.name, cwd=FOLDER / "tests")


@cache
def rule_tests():
    """Return the tests of the files, and those that `test_alerts` runs."""
    documents = (
        *(yaml.safe_load(path.read_text()) for path in TEST_FILES),
        *alert_scenarios.documents(ALERTS).values(),
    )
    return [test for document in documents for test in document["tests"]]


def alert_cases():
    return [case for test in rule_tests() for case in test.get("alert_rule_test", ())]


def cases():
    return [(case["alertname"], bool(case.get("exp_alerts"))) for case in alert_cases()]


def test_what_is_told_says_all_that_it_means_to_say():
    for case in alert_cases():
        for told in case.get("exp_alerts", ()):
            assert told["exp_annotations"].keys() == ALERTS[case["alertname"]]["annotations"].keys()
            assert not re.search(r"no value|NaN|Inf\b|\{\{|  ", str(told["exp_annotations"]))


@alert
def test_each_alert_is_seen_to_fire_and_to_keep_quiet(name):
    assert {fires for tested, fires in cases() if tested == name} == {True, False}


def expected():
    """Yield the recorded metric that a test looks at, and the samples it should have."""
    for test in rule_tests():
        for case in test.get("promql_expr_test", ()):
            (name,) = metrics_in(case["expr"])
            yield name, case["exp_samples"]


def test_each_recorded_metric_is_seen_to_have_values_other_than_0():
    seen = {name for name, found in expected() if any(sample["value"] for sample in found)}

    assert RECORDED.keys() - seen == set()


def test_each_ratio_and_mean_is_seen_to_be_absent():
    absent = {name for name, found in expected() if not found}

    assert set(QUOTIENTS) - absent == set()


def test_recorded_metrics_have_the_labels_that_their_names_say():
    for name, found in expected():
        for sample in found:
            labels = set(re.findall(r'(\w+)="', sample["labels"]))
            assert labels - TARGET == level(name), (name, sample["labels"])


def test_only_alerts_that_exist_are_tested():
    assert {name for name, _ in cases()} == set(ALERTS)


@alert
def test_each_alert_says_how_bad_what_and_where_to_look(name):
    rule = ALERTS[name]

    assert re.fullmatch(r"CDR[A-Z][A-Za-z]+", name)
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url", "dashboard"}
    assert "{{" not in rule["annotations"]["summary"], "the summary names the kind of trouble"
    assert re.search(r"\{\{|\d", rule["annotations"]["description"]), "the description has numbers"


def test_the_runbook_has_one_heading_per_alert_in_the_order_of_the_rules():
    headings = re.findall(r"^## (.+)$", (FOLDER / "RUNBOOK.md").read_text(), re.MULTILINE)

    assert headings == list(ALERTS)


@alert
def test_each_alert_links_to_its_heading(name):
    assert ALERTS[name]["annotations"]["runbook_url"] == f"prometheus/RUNBOOK.md#{name.lower()}"


@alert
def test_each_alert_links_to_its_dashboard(name):
    assert ALERTS[name]["annotations"]["dashboard"].removeprefix("/d/") in DASHBOARDS


def test_the_runbook_says_what_it_means_what_to_look_at_and_what_to_do():
    sections = re.split(r"^## ", (FOLDER / "RUNBOOK.md").read_text(), flags=re.MULTILINE)[1:]

    for section in sections:
        parts = re.findall(r"^\*\*(.+?):\*\*", section, re.MULTILINE)
        assert parts == ["Means", "Look at", "Do"], section.partition("\n")[0]


ALWAYS_THERE = ("up", "cdr_up", "cdr_pbx_records", "cdr_utc_offset_seconds")
"""What is shown while a PBX is silent, beside the families about the exporter itself."""


@every(alerts_of("cdr-exporter.yml"))
def test_alerts_about_the_exporter_use_nothing_that_is_hidden_while_a_pbx_is_silent(name):
    used = metrics_in(ALERTS[name]["expr"]).keys() - THRESHOLDS.keys()

    assert used
    assert all(metric in ALWAYS_THERE or "cdr_exporter_" in metric for metric in used)


@every(THRESHOLDS)
def test_a_threshold_is_one_number_for_every_pbx_and_some_alert_reads_it(name):
    readers = [each for each, rule in ALERTS.items() if name in metrics_in(rule["expr"])]
    above, _, _ = (FOLDER / "rules/cdr-thresholds.yml").read_text().partition(f"- record: {name}\n")

    assert re.fullmatch(r"-?\d+(\.\d+)? \+ 0 \* cdr_up", THRESHOLDS[name]["expr"])
    assert readers
    comment = re.findall(r"(?:^ +#.*\n)+", above, re.MULTILINE)[-1]
    assert set(readers) <= set(re.findall(r"CDR\w+", comment)), "the comment says what it is for"


def test_missing_thresholds_are_counted_from_as_many_as_there_are():
    rule = ALERTS["CDRThresholdsMissing"]

    assert re.match(r"\s*(\d+) - ", rule["expr"])[1] == str(len(THRESHOLDS))
    assert f"of the {len(THRESHOLDS)} series" in rule["annotations"]["description"]


every_rule = for_each(pytest.param(rule, id=rule.get("alert") or rule["record"]) for rule in RULES)


@every_rule
def test_rules_use_metrics_and_labels_that_exist(rule):
    used = metrics_in(rule["expr"])
    assert used
    for metric, labels in used.items():
        assert metric in KNOWN, metric
        assert labels <= TARGET | KNOWN[metric], (metric, labels)
    for clause in re.findall(r"\b(?:by|without|ignoring|on) \(([^)]*)\)", rule["expr"]):
        words = set(filter(None, clause.split(", ")))
        assert words <= set().union(*(KNOWN[metric] for metric in used)), clause


VALUES = {
    "disposition": ALL_DISPOSITIONS,
    "call_type": CALL_TYPES,
    "trunk": (NO_TRUNK,),
    "outcome": ("answered", "voicemail", "no_answer", "busy", "failed", "machine", "unknown"),
    "le": ("5.0", "20.0", "+Inf"),
    "reason": BLOCKED_REASONS,
    "destination": (OTHER_NUMBER,),
}
"""What rules may ask for by name. Of the bounds, those that no setting takes away."""


@every_rule
def test_rules_ask_for_label_values_that_exist(rule):
    for label, value in re.findall(r'(\w+)!?="([^"]*)"', rule["expr"]):
        assert label in TARGET or value in VALUES[label], (label, value)


KPI_FILE = FOLDER / "rules/cdr-kpis.yml"
KPI_GROUPS = {group["name"]: group for group in yaml.safe_load(KPI_FILE.read_text())["groups"]}
KPIS = [rule["record"] for group in KPI_GROUPS.values() for rule in group["rules"]]


@every([name for name in KPIS if name in QUOTIENTS])
def test_a_ratio_or_mean_divides_by_a_recorded_count_above_0_and_of_the_same_window(name):
    divisors = re.findall(r"/.*\n\s+\((\S+) > 0\)\n$", RECORDED[name]["expr"])

    assert len(divisors) == 1
    assert divisors[0] in COUNTS
    assert divisors[0][-2:] == name[-2:]


@every(KPIS)
def test_kpis_keep_the_labels_of_the_target(name):
    assert not re.search(r"\b(by|on) ?\(", RECORDED[name]["expr"])


@every(KPIS)
def test_a_kpi_uses_only_what_is_recorded_above_it_in_its_group(name):
    (group,) = (g for g in KPI_GROUPS.values() if name in [rule["record"] for rule in g["rules"]])
    records = [rule["record"] for rule in group["rules"]]

    used = RECORDED.keys() & metrics_in(RECORDED[name]["expr"]).keys()
    assert used <= set(records[: records.index(name)])


def test_the_day_has_the_formulas_of_the_hour():
    def of_a_day(rule):
        return {key: text.replace("1h", "1d") for key, text in rule.items()}

    hour, day = (KPI_GROUPS[f"cdr-kpis.{window}"]["rules"] for window in ("hour", "day"))

    assert [of_a_day(rule) for rule in hour] == day


@every(name for name in KPIS if name not in COUNTS and not name.endswith(("ratio1d", "mean1d")))
def test_a_kpi_says_its_formula_and_its_source(name):
    above, _, _ = KPI_FILE.read_text().partition(f"- record: {name}\n")
    comment = above.rpartition("\n\n")[2]

    assert re.search(r"# .+ = .+", comment)
    assert "# Source: " in comment


def test_no_group_is_evaluated_so_rarely_that_its_series_have_gaps():
    # Prometheus looks back 5 minutes for the newest sample.
    assert {group["interval"] for group in KPI_GROUPS.values()} <= {"1m", "2m"}


@alert
def test_descriptions_use_labels_that_the_alert_has(name):
    rule = ALERTS[name]
    used = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["description"]))
    metric = next(iter(metrics_in(rule["expr"])))
    dropped = set(re.findall(r"without \((\w+)\)", rule["expr"]))

    assert used <= (TARGET | KNOWN[metric]) - dropped


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
        r"(?<![\w:])((?:\w+:)?cdr_\w+(?::\w+)?|up\b)(?:\{([^}]*)\})?",
        re.sub(r'"[^"]*"', '""', expression),
    ):
        found.setdefault(metric, set()).update(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
    return found
