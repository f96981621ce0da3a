"""What README and the pages in `docs/` say is what the program does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from cdr_exporter import config
from cdr_exporter.calls import OUTCOMES, QUEUE_OUTCOMES
from cdr_exporter.cli import _parser
from cdr_exporter.commands.exporter import histogram_bounds
from cdr_exporter.metrics.catalogue import COUNTER, FAMILIES, TRAFFIC_FAMILIES, Family
from cdr_exporter.metrics.totals import initial_totals
from cdr_exporter.settings import Settings
from docs.write_settings import EXAMPLE, PAGE, example, page

from ..support.dashboards import DASHBOARDS, panels, targets
from ..support.each import for_each
from ..support.paths import ROOT
from ..support.prometheus_rules import ALERTS, RULES, metrics_in, samples

PAGES = {path: path.read_text() for path in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")))}
README = PAGES[ROOT / "README.md"]
METRICS = PAGES[ROOT / "docs/metrics.md"]
ROW = re.compile(r"^\| `(cdr_[a-z_]+)`( D)? \| (\w+) \| ([^|]*) \| (.*) \|$", re.MULTILINE)
RECORDED: dict[str, list[str]] = {}
for rule in RULES:
    RECORDED.setdefault(rule.get("record", ""), []).append(rule["expr"])
BOUNDS = histogram_bounds(Settings(pbxs=()))
LONGEST_README_LINE, MOST_README_LINES = 160, 150


def found(pattern: str) -> list[Any]:
    """Return each page and what *pattern* finds in it as a case."""
    return [
        pytest.param(page, each, id=f"{page.name}: {each}")
        for page, text in PAGES.items()
        for each in dict.fromkeys(re.findall(pattern, text, re.MULTILINE))
    ]


def row(family: Family) -> str:
    """Return the line of the metrics table for *family*."""
    labels = [*([] if family.process_wide else ["pbx"]), *family.labels]
    durable = " D" if family.durable else ""
    return f"| `{family.name}`{durable} | {family.kind} | {', '.join(labels)} | {family.help} |"


def test_readme_is_read_in_five_minutes() -> None:
    lines = README.splitlines()

    assert len(lines) <= MOST_README_LINES
    assert not [line for line in lines if len(line) > LONGEST_README_LINE]


def test_the_metrics_table_is_the_catalogue() -> None:
    table = [match[0] for match in ROW.finditer(METRICS)]

    assert table == [row(family) for family in FAMILIES]


def test_the_example_and_the_table_of_settings_are_what_is_declared() -> None:
    for path, written in ((EXAMPLE, example), (PAGE, page)):
        text = path.read_text("utf-8")

        assert text == written(text), f"{path.name} is not what `make settings` writes"


def test_every_metric_named_anywhere_exists() -> None:
    named = {name for text in PAGES.values() for name in re.findall(r"`(cdr_[a-z_]+[a-z])", text)}

    assert named <= {family.name for family in FAMILIES} | {"cdr_exporter"}


def test_the_series_that_the_metrics_page_counts_are_those_of_the_catalogue() -> None:
    new_trunk = len(initial_totals(["new"]).series) - len(initial_totals([]).series)
    with_trunk = ("disposition", "call_type", "trunk"), ("call_type", "trunk")
    counted = [
        new_trunk,
        *(sum(series_of(f) for f in FAMILIES if f.labels == labels) for labels in with_trunk),
        len(OUTCOMES) + sum(series_of(f) for f in FAMILIES if f.labels == ("did",)),
        len(QUEUE_OUTCOMES) + sum(series_of(f) for f in FAMILIES if f.labels == ("queue",)),
        sum(f.labels == ("destination",) for f in FAMILIES),
    ]

    table = METRICS.split("| for each | series |")[1].split("\n\n")[0]
    assert [int(each) for each in re.findall(r"\| (\d+)", table)] == counted


def families_behind(expression: str) -> set[str]:
    """Return the families that an expression reads, also by the rules that it reads."""
    found: set[str] = set()
    unread = list(metrics_in(expression))
    while unread:
        name = unread.pop()
        if name not in found:
            found.add(name)
            unread += [each for text in RECORDED.get(name, ()) for each in metrics_in(text)]
    return {family.name for family in FAMILIES if found & samples([family]).keys()}


def row_of_needs(family: Family) -> str:
    """Return the line of what shows nothing without *family*."""
    alerts = [
        f"`{name}`" for name, rule in ALERTS.items() if family.name in families_behind(rule["expr"])
    ]
    dashboards = [
        dashboard["title"]
        for dashboard in DASHBOARDS.values()
        if any(
            family.name in families_behind(target["expr"])
            for panel in panels(dashboard)
            for target in targets(panel)
        )
    ]
    words = [", ".join(each) or "none" for each in (dashboards, alerts)]
    return f"| `{family.name}` | {' | '.join(words)} |"


def test_the_metrics_page_says_what_needs_each_family_that_may_be_hidden() -> None:
    table = METRICS.split(
        "| hidden | dashboards with empty panels | alerts that do not work |\n|---|---|---|\n"
    )[1]

    assert table.split("\n\n")[0].splitlines() == [row_of_needs(f) for f in TRAFFIC_FAMILIES]


def series_of(family: Family) -> int:
    """Return how many series a histogram has for one set of label values; 0 for other kinds."""
    return 0 if family.kind == COUNTER else len(BOUNDS[family.buckets]) + 3


@pytest.fixture
def of_a_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this be a service to which systemd has handed secrets."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/cdr-exporter.service")


@pytest.mark.usefixtures("of_a_service")
def test_the_example_configuration_is_valid(tmp_path: Path) -> None:
    yaml = README.split("```yaml\n")[1].split("```")[0]

    assert [pbx.name for pbx in config.parse(yaml, "README.md", tmp_path).pbxs] == ["hq"]


@pytest.mark.usefixtures("of_a_service")
def test_the_numbers_of_a_pbx_that_the_docs_show_are_valid(tmp_path: Path) -> None:
    whole = README.split("```yaml\n")[1].split("```")[0]
    numbers = PAGES[ROOT / "docs/configuration.md"].split("```yaml\n")[1].split("```")[0]
    [pbx] = config.parse(whole + numbers, "README.md", tmp_path).pbxs

    assert pbx.timezone == "Europe/Berlin"
    assert all((pbx.dids, pbx.queues, pbx.destinations))


@for_each(found(r"^\$ cdr-exporter (.*)$") + found(r"`cdr-exporter ([a-z][^`]*)`"))
def test_the_commands_they_show_are_understood(page: Path, line: str) -> None:
    command, _, _ = line.partition(" > ")
    arguments = [each for each in command.split() if each != "--help"]

    assert _parser().parse_args(arguments).command, page


@for_each(found(r"`make ([a-z-]+)`"))
def test_the_make_targets_they_name_exist(page: Path, target: str) -> None:
    makefile = (ROOT / "Makefile").read_text()

    assert re.search(rf"^{target}:", makefile, re.MULTILINE), page


@for_each(found(r"(?:\]\(|src=\"|srcset=\")(?!https?:)([^)\"]+)"))
def test_the_files_and_headings_they_link_exist(page: Path, link: str) -> None:
    path, _, heading = link.partition("#")
    linked = page.parent / path if path else page

    assert linked.exists()
    assert not heading or heading in anchors(linked.read_text())


def anchors(text: str) -> list[str]:
    """Return the anchors of the headings of a page in Markdown."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return [re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings]
