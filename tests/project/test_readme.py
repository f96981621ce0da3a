"""What README says is what the program does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from cdr_exporter import config
from cdr_exporter.cli import _parser
from cdr_exporter.metrics.catalogue import FAMILIES, Family

from ..support.each import for_each
from ..support.paths import ROOT

README = (ROOT / "README.md").read_text()
ROW = re.compile(r"^\| `(cdr_[a-z_]+)`( D)? \| (\w+) \| ([^|]*) \| (.*) \|$", re.MULTILINE)


def found(pattern: str) -> list[Any]:
    """Return each of what *pattern* finds in README as a case."""
    return [pytest.param(each, id=each) for each in re.findall(pattern, README, re.MULTILINE)]


def row(family: Family) -> str:
    """Return the line of README's table for *family*."""
    labels = [*([] if family.process_wide else ["pbx"]), *family.labels]
    durable = " D" if family.durable else ""
    return f"| `{family.name}`{durable} | {family.kind} | {', '.join(labels)} | {family.help} |"


def test_the_metrics_table_is_the_catalogue() -> None:
    table = [match[0] for match in ROW.finditer(README)]

    assert table == [row(family) for family in FAMILIES]


def test_every_metric_named_anywhere_in_it_exists() -> None:
    named = set(re.findall(r"`(cdr_[a-z_]+[a-z])", README))

    assert named <= {family.name for family in FAMILIES} | {"cdr_exporter"}


def test_the_example_configuration_is_valid(tmp_path: Path) -> None:
    yaml = README.split("```yaml\n")[1].split("```")[0]

    assert [pbx.name for pbx in config.parse(yaml, "README.md", tmp_path).pbxs] == ["hq"]


def test_the_numbers_of_a_pbx_that_it_shows_are_valid(tmp_path: Path) -> None:
    whole, numbers = (part.split("```")[0] for part in README.split("```yaml\n")[1:])
    [pbx] = config.parse(whole + numbers, "README.md", tmp_path).pbxs

    assert pbx.timezone == "Europe/Berlin"
    assert all((pbx.dids, pbx.queues, pbx.destinations))


@for_each(found(r"^\$ cdr-exporter (.*)$"))
def test_the_commands_it_shows_are_understood(line: str) -> None:
    arguments = line.split()
    command = arguments if not arguments[0].startswith("-") else ["run", *arguments]

    assert _parser().parse_args(command).command


@for_each(found(r"`make ([a-z-]+)`"))
def test_the_make_targets_it_names_exist(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@for_each(found(r"\]\((?!https?:)([^)#]+)"))
def test_the_files_it_links_exist(link: str) -> None:
    assert (ROOT / link).exists()
