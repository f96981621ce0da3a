"""The installed Prometheus, and a Prometheus 3 beside it: both judge the rules and scrape us.

The second is looked for in the folder that CDR_EXPORTER_PROMETHEUS_3 names; without it its tests
are skipped. Any other test is run with another version by putting its folder first in PATH.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cdr_exporter.metrics.catalogue import FAMILIES, HISTOGRAM
from pbx_simulator import APISettings, OfficeSettings, SimulatedPBX
from pbx_simulator.directory import BERLIN
from pbx_simulator.serving import serve

from ..support import promtool_tests
from ..support.exporter_and_simulator import SECRET, calls_shown, records_shown, write_config
from ..support.paths import ROOT
from ..support.processes import Exporter, Prometheus, eventually
from ..support.programs import of_prometheus_3, require
from ..support.prometheus_rules import ALERTS, FOLDER, RULE_FILES, RULES, Rule, metrics_in

pytestmark = pytest.mark.e2e

Find = Callable[[str], str]
VERSIONS: Mapping[str, Find] = {"installed": require, "3": of_prometheus_3}
both = pytest.mark.parametrize("find", VERSIONS.values(), ids=VERSIONS)

TRUNKS = {"Übersee-Süd": 40, "中继线": 25, "☎️ 0800": 15, "PSTN": 10, 'back\\slash "quoted"': 10}

JOB = "  - {{job_name: {name}, static_configs: [{{targets: ['{target}']}}]{more}}}\n"
CONFIG = "global: {scrape_interval: 1s}\nscrape_configs:\n"

ONLY_3 = {
    "text": "scrape_protocols: [PrometheusText0.0.4]",
    "text1": "scrape_protocols: [PrometheusText1.0.0]",
    "native": "convert_classic_histograms_to_nhcb: true",
    "all": "convert_classic_histograms_to_nhcb: true, always_scrape_classic_histograms: true",
}
"""Scrape jobs that need a newer version than 2.42; `plain`, which both have, asks for OpenMetrics.
"""

HISTOGRAMS = {each.name for each in FAMILIES if each.kind == HISTOGRAM}

Values = dict[tuple[str, frozenset[tuple[str, str]]], float]
"""Values by name and labels."""


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    """An exporter of a PBX with such trunks, that has counted all there is."""
    addresses = {trunk: f"198.51.100.{number}" for number, trunk in enumerate(TRUNKS, 10)}
    office = OfficeSettings(
        seed=3, directory=replace(BERLIN, trunks=TRUNKS, trunk_addresses=addresses)
    )
    pbx = SimulatedPBX(office, api=APISettings(client_secret=SECRET))
    with serve(pbx) as server:
        path = write_config(tmp_path_factory.mktemp("exporter"), server.base_url)
        # So that a page is final once the last call is on it.
        path.write_text(path.read_text().replace("birth_hold: 2s", "birth_hold: 0s"))
        with Exporter(path) as running:
            eventually("an answer", lambda: running.value("cdr_up", "pbx0"))
            pbx.office.calls(400)
            eventually("the rows", lambda: records_shown(running) == pbx.expected.totals())
            eventually("the calls", lambda: calls_shown(running) == pbx.expected.outcomes())
            yield running


def page_of(exporter: Exporter) -> Values:
    """Return what the page says of calls and rows."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(exporter.get("/metrics"))
        for sample in family.samples
        if of_calls_or_rows(sample.name)
    }


def of_calls_or_rows(name: str) -> bool:
    return name.startswith("cdr_") and not name.startswith("cdr_exporter_")


def held_by(prometheus: Prometheus, job: str) -> Values:
    """Return what Prometheus has of the same."""
    found = prometheus.query(f'{{job="{job}", __name__=~"cdr_.*"}}')
    return {
        (each["metric"]["__name__"], labels_of(each["metric"])): float(each["value"][1])
        for each in found
        if "value" in each and of_calls_or_rows(each["metric"]["__name__"])
    }


def labels_of(metric: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    known = ("__name__", "job", "instance")
    return frozenset((name, value) for name, value in metric.items() if name not in known)


def config(target: str, jobs: Mapping[str, str]) -> str:
    each = (
        JOB.format(name=name, target=target, more=f", {more}" if more else "")
        for name, more in jobs.items()
    )
    return CONFIG + "".join(each)


@both
@pytest.mark.slow
def test_the_rules_are_valid_and_do_what_their_tests_say(find: Find, tmp_path: Path) -> None:
    promtool = find("promtool")
    lint = ("check", "rules", "--lint=all", "--lint-fatal")
    done = subprocess.run(
        [promtool, *lint, *RULE_FILES], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr

    if find is not require:  # which tests/prometheus/test_rules.py does
        for path in sorted((FOLDER / "tests").glob("*.yml")):
            documents = promtool_tests.write_trimmed(
                made(tmp_path / path.stem), promtool_tests.read(path)
            )
            promtool_tests.run(*documents, program=promtool)


def made(directory: Path) -> Path:
    directory.mkdir()
    return directory


@both
def test_promtool_finds_nothing_wrong_with_the_page(find: Find, exporter: Exporter) -> None:
    done = subprocess.run(
        [find("promtool"), "check", "metrics"],
        input=exporter.get("/metrics"),
        text=True,
        capture_output=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@both
def test_prometheus_holds_what_the_page_says_whatever_a_trunk_is_called(
    find: Find, exporter: Exporter, tmp_path: Path
) -> None:
    target = exporter.address
    with Prometheus(
        tmp_path, target, text=config(target, {"plain": ""}), program=find("prometheus")
    ) as it:
        held = held_by(it, "plain")
        total = number(it, 'sum(cdr_calls_total{trunk="Übersee-Süd"})')

    assert held == page_of(exporter)
    assert {dict(labels).get("trunk") for _, labels in held} >= set(TRUNKS)
    assert total > 0


@pytest.fixture(scope="module")
def third(exporter: Exporter, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus 3 that scrapes the exporter in all ways that are new since version 2.42."""
    target = exporter.address
    with Prometheus(
        tmp_path_factory.mktemp("third"),
        target,
        "--enable-feature=native-histograms",
        text=config(target, {"plain": "", **ONLY_3}),
        program=of_prometheus_3("prometheus"),
    ) as it:
        eventually("all jobs", lambda: len(it.query("up == 1")) == 1 + len(ONLY_3))
        yield it


@pytest.mark.parametrize("job", ["plain", "text", "text1", "all"])
def test_prometheus_3_holds_the_same_in_each_format(
    third: Prometheus, exporter: Exporter, job: str
) -> None:
    assert held_by(third, job) == page_of(exporter)


def test_histograms_that_prometheus_3_converts_are_a_series_each(
    third: Prometheus, exporter: Exporter
) -> None:
    classic = {f"{name}_{part}" for name in HISTOGRAMS for part in ("bucket", "sum", "count")}
    page = page_of(exporter)

    assert held_by(third, "native") == {
        (name, labels): value for (name, labels), value in page.items() if name not in classic
    }
    assert counted(third, "native", "") == counted(third, "plain", "_count")


def counted(prometheus: Prometheus, job: str, ending: str) -> dict[str, str]:
    """Return how many series each histogram has, by its name."""
    names = "|".join(f"{name}{ending}" for name in HISTOGRAMS)
    found = prometheus.query(f'count by (__name__) ({{job="{job}", __name__=~"{names}"}})')
    assert found
    return {each["metric"]["__name__"].removesuffix(ending): each["value"][1] for each in found}


SAME = {
    "histogram_count(sum(cdr_call_wait_seconds))": "sum(cdr_call_wait_seconds_count)",
    "histogram_sum(sum(cdr_call_wait_seconds))": "sum(cdr_call_wait_seconds_sum)",
    "histogram_avg(sum(cdr_call_wait_seconds))": (
        "sum(cdr_call_wait_seconds_sum) / sum(cdr_call_wait_seconds_count)"
    ),
    "histogram_quantile(0.9, sum(cdr_call_wait_seconds))": (
        "histogram_quantile(0.9, sum by (le) (cdr_call_wait_seconds_bucket))"
    ),
    "histogram_fraction(0, 20, sum(cdr_call_wait_seconds))": (
        'sum(cdr_call_wait_seconds_bucket{le="20.0"}) / sum(cdr_call_wait_seconds_count)'
    ),
}
"""What is asked of a converted histogram, and of a classic one."""


@pytest.mark.parametrize("native", SAME)
def test_a_converted_histogram_answers_as_the_docs_say(third: Prometheus, native: str) -> None:
    asked, classic = of_job("native", native), of_job("plain", SAME[native])

    assert number(third, asked) == pytest.approx(number(third, classic))
    assert number(third, asked) > 0


def of_job(job: str, expression: str) -> str:
    """Return *expression* with one job in each selector."""

    def only(found: re.Match[str]) -> str:
        return f'{found[1]}{{job="{job}"' + (", " if found[2] else "}")

    return re.sub(r"(cdr_\w+)(\{)?", only, expression)


def number(prometheus: Prometheus, expression: str) -> float:
    [found] = prometheus.query(expression)
    return float(found["value"][1])


def test_the_docs_have_these_queries_and_name_the_alerts_that_read_histograms() -> None:
    text = (ROOT / "docs/prometheus-versions.md").read_text()

    for pair in SAME.items():
        assert all(f"`{each}`" in text for each in pair)
    assert set(re.findall(r"`(CDR\w+)`", text)) == alerts_of_histograms()


def alerts_of_histograms() -> set[str]:
    """Return the alerts that read series of a classic histogram, or what is recorded of them."""
    names = {f"{each}_{part}" for each in HISTOGRAMS for part in ("bucket", "sum", "count")}
    alerts: set[str] = set()
    while found := {name for rule in RULES for name in reads(rule, names)} - names - alerts:
        alerts |= found & ALERTS.keys()
        names |= found - ALERTS.keys()
    return alerts


def reads(rule: Rule, names: set[str]) -> set[str]:
    """Return the name of *rule* if it reads one of *names*."""
    return (
        {rule.get("record") or rule["alert"]} if metrics_in(rule["expr"]).keys() & names else set()
    )
