"""Texts for developers and CI agree with what is here: versions, rights, commands, files."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import cdr_exporter

from ..support.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
TEXTS = ("CONTRIBUTING.md", "SECURITY.md", ".github/PULL_REQUEST_TEMPLATE.md")
WORKFLOWS = {
    path.name: yaml.safe_load(path.read_text("utf-8"))
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))
}

PUBLISHING = {
    ("release.yml", "attest"): {"id-token", "attestations"},
    ("release.yml", "pypi"): {"id-token"},
    ("release.yml", "image"): {"packages"},
}
"""The jobs that may write, and what."""

UNPINNED = {"pypa/gh-action-pypi-publish"}
"""Actions by their tag; all others by a digest, which nobody can move."""

PATH = re.compile(r"`(?!/)([\w.*-]+(?:/[\w.*-]+)*/?)`")
SUFFIXES = (".md", ".py", ".toml", ".yml", ".json")


def jobs() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the file, name and content of every job."""
    for file, workflow in WORKFLOWS.items():
        for name, job in workflow["jobs"].items():
            yield file, name, job


every_job = pytest.mark.parametrize(
    ("file", "name", "job"), [pytest.param(*job, id=f"{job[0]}: {job[1]}") for job in jobs()]
)


def files_named(text: str) -> set[str]:
    """Return what stands in backticks and looks like a file or folder of this project."""
    return {word for word in PATH.findall(text) if "/" in word or word.endswith(SUFFIXES)}


def test_the_names_of_code_that_contributing_gives_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    named = {word for word in re.findall(r"`(\w+)`", text) if "_" in word or word != word.lower()}
    folders = ("cdr_exporter", "pbx_simulator", "grafana/generator", "tests")
    code = "\n".join(
        path.read_text("utf-8") for folder in folders for path in (ROOT / folder).rglob("*.py")
    )

    assert "Overridable" in named
    assert sorted(named - set(re.findall(r"\w+", code))) == []


def test_each_python_that_is_promised_is_tested_and_no_other() -> None:
    classifier = re.compile(r"Programming Language :: Python :: (3\.\d+)")
    promised = [
        match[1] for each in PROJECT["classifiers"] if (match := classifier.fullmatch(each))
    ]
    matrix = WORKFLOWS["ci.yml"]["jobs"]["tests"]["strategy"]["matrix"]["python-version"]

    assert matrix == promised
    assert PROJECT["requires-python"] == f">={promised[0]}"


@pytest.mark.parametrize("file", WORKFLOWS)
def test_a_workflow_has_no_rights_but_those_of_its_jobs(file: str) -> None:
    assert WORKFLOWS[file]["permissions"] == {}


@every_job
def test_a_job_has_the_least_rights(file: str, name: str, job: dict[str, Any]) -> None:
    rights = job["permissions"]

    assert set(rights.values()) <= {"read", "write"}
    assert {right for right, may in rights.items() if may == "write"} == PUBLISHING.get(
        (file, name), set()
    )


@every_job
def test_a_job_leaves_no_credentials_and_ends(file: str, name: str, job: dict[str, Any]) -> None:
    checkouts = [
        step
        for step in job.get("steps", ())
        if step.get("uses", "").startswith("actions/checkout@")
    ]

    assert all(step["with"]["persist-credentials"] is False for step in checkouts)
    assert "uses" in job or job["timeout-minutes"] <= 30


@every_job
def test_an_action_is_named_by_its_digest(file: str, name: str, job: dict[str, Any]) -> None:
    used = [step["uses"].split("@") for step in job.get("steps", ()) if "uses" in step]

    assert [
        action
        for action, version in used
        if not re.fullmatch(r"[0-9a-f]{40}", version) and action not in UNPINNED
    ] == []


def test_a_release_publishes_the_files_that_were_tested() -> None:
    release = WORKFLOWS["release.yml"]["jobs"]

    assert release["ci"]["uses"] == "./.github/workflows/ci.yml"
    assert (release["attest"]["needs"], release["pypi"]["needs"]) == ("ci", "attest")
    assert "python -m build" not in (ROOT / ".github/workflows/release.yml").read_text("utf-8")


@pytest.mark.parametrize("text", TEXTS)
def test_the_make_targets_that_a_text_names_exist(text: str) -> None:
    named = set(re.findall(r"`make ([a-z-]+)`", (ROOT / text).read_text("utf-8")))
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)

    assert named - set(targets) == set()


@pytest.mark.parametrize("text", TEXTS)
def test_the_files_that_a_text_names_exist(text: str) -> None:
    named = files_named((ROOT / text).read_text("utf-8"))

    assert {name for name in named if not any(ROOT.glob(name))} == set()


def test_a_file_is_known_from_a_command_a_label_and_a_page() -> None:
    text = "`a/b.py` `c/` `d.yml` `make test` `hq.token` `/metrics` `known` `--x` `e/*.py` a/f.py"

    assert files_named(text) == {"a/b.py", "c/", "d.yml", "e/*.py"}


@pytest.mark.skipif(
    os.environ.get("CDR_EXPORTER_TEST_INSTALLED") != "1",
    reason="CDR_EXPORTER_TEST_INSTALLED=1 is set where the wheel is tested",
)
def test_where_the_wheel_is_tested_the_checkouts_package_is_not() -> None:
    code = "import cdr_exporter; print(cdr_exporter.__file__)"
    started = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    for path in (cdr_exporter.__file__, started.stdout.strip()):
        assert not Path(path).is_relative_to(ROOT)
        assert "site-packages" in Path(path).parts
