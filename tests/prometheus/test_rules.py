"""The rules, judged by promtool; and what promtool does not judge.

promtool is the first one in PATH. The rules and their tests are meant for Prometheus 2.42 and later
and for Prometheus 3; another version is tried by putting its folder in front:

    PATH=/opt/prometheus-3.5/bin:$PATH pytest tests/prometheus
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from cdr_exporter.calls import OTHER_NUMBER, OUTCOMES
from cdr_exporter.cdr.contract import CALL_TYPES
from cdr_exporter.cdr.error_codes import BLOCKED_REASONS
from cdr_exporter.cdr.labels import NO_TRUNK
from cdr_exporter.metrics.catalogue import ALL_DISPOSITIONS, FAMILIES, LEASE_CHANGES_BY

from ..support import alert_scenarios, promtool_tests
from ..support.each import for_each
from ..support.processes import Alertmanager
from ..support.programs import require
from ..support.prometheus_rules import (
    ALERTS,
    FOLDER,
    RULE_FILES,
    RULES,
    SAMPLES,
    Rule,
    alerts_of,
    metrics_in,
    rules_of,
)

TEST_FILES = sorted((FOLDER / "tests").glob("*.yml"))

THRESHOLDS = {rule["record"]: rule for rule in rules_of(FOLDER / "rules/cdr-thresholds.yml")}
RECORDED = {
    rule["record"]: rule for rule in RULES if "record" in rule and rule["record"] not in THRESHOLDS
}

DASHBOARDS = {
    json.loads(path.read_text())["uid"]
    for path in (FOLDER.parent / "grafana" / "dashboards").glob("*.json")
}
"""The uids that an alert may link to."""


LEVELS = (
    *("pbx", "disposition", "outcome", "call_type", "trunk", "did", "queue", "destination"),
    *("window", "le"),
)


def level(name: str) -> set[str]:
    """Return the labels that the name of a recorded metric, `level:metric:operation`, says."""
    words, *_ = name.split(":")
    labels = re.findall("|".join(LEVELS), words)
    assert "_".join(labels) == words, f"{name}: a level is made of {LEVELS}"
    return set(labels)


KNOWN: dict[str, set[str]] = {
    "up": set(),
    **SAMPLES,
    **{name: level(name) for name in RECORDED},
    **{name: {"pbx"} for name in THRESHOLDS},
}
"""The labels of all that a rule may use, but for those of a target."""

COUNTS = [name for name in RECORDED if re.search(r":increase1[hd]$", name)]
QUOTIENTS = [name for name in RECORDED if re.search(r":(ratio|mean)\w*$", name)]

TARGET = {"job", "instance"}


def every(names: Iterable[str]) -> Callable[[Callable[[str], None]], Callable[[], None]]:
    """Return what makes one test of a check of each of *names*."""
    return for_each(pytest.param(name, id=name) for name in names)


alert = every(ALERTS)


def promtool(*arguments: str, cwd: Path = FOLDER) -> None:
    done = subprocess.run(
        [require("promtool"), *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_finds_nothing_wrong_with_the_rules() -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", *map(str, RULE_FILES))


@every(["prometheus.yml", "prometheus-replicas.yml"])
def test_an_example_configuration_is_valid_and_loads_the_rules(name: str) -> None:
    promtool("check", "config", name)

    patterns = yaml.safe_load((FOLDER / name).read_text())["rule_files"]
    assert sorted(path for pattern in patterns for path in FOLDER.glob(pattern)) == RULE_FILES


def test_the_example_of_alertmanager_is_valid() -> None:
    done = subprocess.run(
        [require("amtool"), "check-config", str(FOLDER / "alertmanager.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.e2e
def test_alertmanager_starts_with_its_example_and_without_a_warning(tmp_path: Path) -> None:
    with Alertmanager(tmp_path, (FOLDER / "alertmanager.yml").read_text()) as alertmanager:
        alertmanager.stop()

    assert any("Completed loading of configuration file" in line for line in alertmanager.output)
    assert [line for line in alertmanager.output if re.search("level=(warn|error)", line)] == []


def test_alertmanager_knows_the_labels_and_names_of_the_alerts() -> None:
    text = (FOLDER / "alertmanager.yml").read_text()
    labels = {
        label: {rule["labels"].get(label) for rule in ALERTS.values()}
        for label in ("severity", "about")
    } | {"alertname": set(ALERTS)}
    asked = re.findall(r'(\w+)=~?"([\w|]+)"', text)

    assert asked
    for label, values in asked:
        assert set(values.split("|")) <= labels[label], (label, values)


def test_what_is_about_calls_says_so_and_nothing_else_does() -> None:
    for name, about in (("calls", "cdr-telephony.yml"), ("fraud", "cdr-fraud.yml")):
        assert {ALERTS[each]["labels"]["about"] for each in alerts_of(about)} == {name}
    assert all("about" not in ALERTS[each]["labels"] for each in alerts_of("cdr-exporter.yml"))


@pytest.mark.slow
@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: path.name)
def test_the_rules_do_what_their_tests_say(path: Path, tmp_path: Path) -> None:
    promtool_tests.run(*promtool_tests.write_trimmed(tmp_path, promtool_tests.read(path)))


@pytest.mark.long
def test_the_files_can_be_run_as_they_stand() -> None:
    promtool("test", "rules", *(path.name for path in TEST_FILES), cwd=FOLDER / "tests")


@cache
def rule_tests() -> list[dict[str, Any]]:
    """Return the tests of the files, and those that `test_alerts` runs."""
    documents = (
        *(promtool_tests.read(path) for path in TEST_FILES),
        *alert_scenarios.documents(ALERTS).values(),
    )
    return [test for document in documents for test in document["tests"]]


def alert_cases() -> list[dict[str, Any]]:
    return [case for test in rule_tests() for case in test.get("alert_rule_test", ())]


def cases() -> list[tuple[str, bool]]:
    return [(case["alertname"], bool(case.get("exp_alerts"))) for case in alert_cases()]


def test_an_alert_says_all_that_it_means_to_say() -> None:
    for case in alert_cases():
        for alert in case.get("exp_alerts", ()):
            assert (
                alert["exp_annotations"].keys() == ALERTS[case["alertname"]]["annotations"].keys()
            )
            assert not re.search(r"no value|NaN|Inf\b|\{\{|  ", str(alert["exp_annotations"]))


@alert
def test_each_alert_is_seen_to_fire_and_to_keep_quiet(name: str) -> None:
    assert {fires for tested, fires in cases() if tested == name} == {True, False}


def expected() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield the recorded metric that a test looks at, and the samples it should have."""
    for test in rule_tests():
        for case in test.get("promql_expr_test", ()):
            (name,) = metrics_in(case["expr"])
            yield name, case["exp_samples"]


def test_each_recorded_metric_is_seen_to_have_values_other_than_0() -> None:
    seen = {name for name, found in expected() if any(sample["value"] for sample in found)}

    assert RECORDED.keys() - seen == set()


def test_each_ratio_and_mean_is_seen_to_be_absent() -> None:
    absent = {name for name, found in expected() if not found}

    assert set(QUOTIENTS) - absent == set()


def test_recorded_metrics_have_the_labels_that_their_names_say() -> None:
    for name, found in expected():
        for sample in found:
            labels = set(re.findall(r'(\w+)="', sample["labels"]))
            assert labels - TARGET == level(name), (name, sample["labels"])


def test_only_alerts_that_exist_are_tested() -> None:
    assert {name for name, _ in cases()} == set(ALERTS)


@alert
def test_each_alert_says_how_bad_what_and_where_to_look(name: str) -> None:
    rule = ALERTS[name]

    assert re.fullmatch(r"CDR[A-Z][A-Za-z]+", name)
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url", "dashboard"}
    assert "{{" not in rule["annotations"]["summary"], "the summary names the kind of trouble"
    assert re.search(r"\{\{|\d", rule["annotations"]["description"]), "the description has numbers"


def test_the_runbook_has_one_heading_per_alert_in_the_order_of_the_rules() -> None:
    headings = re.findall(r"^## (.+)$", (FOLDER / "RUNBOOK.md").read_text(), re.MULTILINE)

    assert headings == list(ALERTS)


@alert
def test_each_alert_links_to_its_heading(name: str) -> None:
    assert ALERTS[name]["annotations"]["runbook_url"] == f"prometheus/RUNBOOK.md#{name.lower()}"


@alert
def test_each_alert_links_to_its_dashboard(name: str) -> None:
    assert ALERTS[name]["annotations"]["dashboard"].removeprefix("/d/") in DASHBOARDS


def test_the_runbook_says_what_it_means_what_to_look_at_and_what_to_do() -> None:
    sections = re.split(r"^## ", (FOLDER / "RUNBOOK.md").read_text(), flags=re.MULTILINE)[1:]

    for section in sections:
        parts = re.findall(r"^\*\*(.+?):\*\*", section, re.MULTILINE)
        assert parts == ["Means", "Look at", "Do"], section.partition("\n")[0]


ALWAYS_THERE = ("up", "cdr_up", "cdr_pbx_records", "cdr_utc_offset_seconds")
"""What is shown while a PBX is silent, beside the families about the exporter itself."""


READS_WHAT_IS_HIDDEN = {"CDRTwoSources"}
"""It looks for falls of the calls themselves; where they are hidden, nothing falls."""


@every(name for name in alerts_of("cdr-exporter.yml") if name not in READS_WHAT_IS_HIDDEN)
def test_alerts_about_the_exporter_use_nothing_that_is_hidden_while_a_pbx_is_silent(
    name: str,
) -> None:
    used = metrics_in(ALERTS[name]["expr"]).keys() - THRESHOLDS.keys()

    assert used
    assert all(metric in ALWAYS_THERE or "cdr_exporter_" in metric for metric in used)


def read_by(rule: Rule) -> set[str]:
    """Return the metrics that *rule* reads, itself or by what is recorded."""
    metrics = set(metrics_in(rule["expr"]))
    return metrics.union(*(read_by(RECORDED[each]) for each in metrics & RECORDED.keys()))


@every(THRESHOLDS)
def test_a_threshold_is_one_number_for_every_pbx_and_some_alert_reads_it(name: str) -> None:
    readers = [each for each, rule in ALERTS.items() if name in read_by(rule)]
    above, _, _ = (FOLDER / "rules/cdr-thresholds.yml").read_text().partition(f"- record: {name}\n")

    assert re.fullmatch(r"-?\d+(\.\d+)? \+ 0 \* cdr_up", THRESHOLDS[name]["expr"])
    assert readers
    comment = re.findall(r"(?:^ +#.*\n)+", above, re.MULTILINE)[-1]
    assert set(readers) <= set(re.findall(r"CDR\w+", comment)), "the comment says what it is for"


def test_missing_thresholds_are_counted_from_as_many_as_there_are() -> None:
    rule = ALERTS["CDRThresholdsMissing"]

    assert re.match(rf"\s*{len(THRESHOLDS)} - ", rule["expr"])
    assert f"of the {len(THRESHOLDS)} series" in rule["annotations"]["description"]


every_rule = for_each(pytest.param(rule, id=rule.get("alert") or rule["record"]) for rule in RULES)


@every_rule
def test_rules_use_metrics_and_labels_that_exist(rule: Rule) -> None:
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
    "outcome": OUTCOMES,
    "le": ("5.0", "20.0", "300.0", "600.0", "1200.0", "+Inf"),
    "reason": (*BLOCKED_REASONS, *LEASE_CHANGES_BY),
    "destination": (OTHER_NUMBER,),
    "window": ("30m", "45m", "1h", "2h", "4h", "8h"),
}
"""What rules may ask for by name. Of the bounds, those that no setting takes away."""


@every_rule
def test_rules_ask_for_label_values_that_exist(rule: Rule) -> None:
    for label, values in re.findall(r'(\w+)(?:!?=|=~)"([^"]*)"', rule["expr"]):
        for value in values.split("|"):
            assert label in {*TARGET, "__name__"} or value in VALUES[label], (label, value)


KPI_FILE = FOLDER / "rules/cdr-kpis.yml"
KPI_GROUPS = {group["name"]: group for group in yaml.safe_load(KPI_FILE.read_text())["groups"]}
KPIS = [rule["record"] for group in KPI_GROUPS.values() for rule in group["rules"]]


@every([name for name in KPIS if name in QUOTIENTS])
def test_a_ratio_or_mean_divides_by_a_recorded_count_above_0_and_of_the_same_window(
    name: str,
) -> None:
    divisors = re.findall(r"/.*\n\s+\((\S+) > 0\)\n$", RECORDED[name]["expr"])

    assert len(divisors) == 1
    assert divisors[0] in COUNTS
    assert divisors[0][-2:] == name[-2:]


@every(KPIS)
def test_kpis_keep_the_labels_of_the_target(name: str) -> None:
    assert not re.search(r"\b(by|on) ?\(", RECORDED[name]["expr"])


@every(KPIS)
def test_a_kpi_uses_only_what_is_recorded_above_it_in_its_group(name: str) -> None:
    (group,) = (g for g in KPI_GROUPS.values() if name in [rule["record"] for rule in g["rules"]])
    records = [rule["record"] for rule in group["rules"]]

    used = RECORDED.keys() & metrics_in(RECORDED[name]["expr"]).keys()
    assert used <= set(records[: records.index(name)])


def test_the_day_has_the_formulas_of_the_hour() -> None:
    def unbroken(text: str) -> str:
        return re.sub(r"\s", "", text)

    def of_a_day(text: str) -> str:
        """An hour before the window is looked at for the last sample, and for a fall, in both."""
        newest = re.sub(r"(last_over_time\([^\[]*)\[1h\]", r"\1[an hour]", text)
        return newest.replace("[2h]", "[25h]").replace("1h", "1d").replace("[an hour]", "[1h]")

    hour, day = (KPI_GROUPS[f"cdr-kpis.{window}"]["rules"] for window in ("hour", "day"))

    assert [{key: of_a_day(unbroken(text)) for key, text in rule.items()} for rule in hour] == [
        {key: unbroken(text) for key, text in rule.items()} for rule in day
    ]


@every(name for name in KPIS if name not in COUNTS and not name.endswith(("ratio1d", "mean1d")))
def test_a_kpi_says_its_formula_and_its_source(name: str) -> None:
    above, _, _ = KPI_FILE.read_text().partition(f"- record: {name}\n")
    comment = above.rpartition("\n\n")[2]

    assert re.search(r"# .+ = .+", comment)
    assert "# Source: " in comment


def test_no_group_is_evaluated_so_rarely_that_its_series_have_gaps() -> None:
    # Prometheus looks back 5 minutes for the newest sample.
    assert {group["interval"] for group in KPI_GROUPS.values()} <= {"1m", "2m"}


@alert
def test_descriptions_use_labels_that_the_alert_has(name: str) -> None:
    rule = ALERTS[name]
    used = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["description"]))
    metric = next(iter(metrics_in(rule["expr"])))
    dropped = set(re.findall(r"without \((\w+)\)", rule["expr"]))

    assert used <= (TARGET | KNOWN[metric]) - dropped


def test_a_reason_in_the_runbook_is_a_reason_in_the_catalogue() -> None:
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
