"""The packages that the image and CI install: all that are wanted, each by version and hash."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from ..support.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BUILD = (ROOT / "deploy/requirements-build.in").read_text()
WANTED = {
    # One image, for state in files and in a database.
    "deploy/requirements.txt": (
        PROJECT["dependencies"] + PROJECT["optional-dependencies"]["postgres"]
    ),
    "deploy/requirements-build.txt": [
        line for line in BUILD.splitlines() if not line.startswith("#")
    ],
    ".ci/requirements.txt": PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"],
}
each_file = pytest.mark.parametrize("file", WANTED)


def entries(file: str) -> Iterator[tuple[Requirement, list[str]]]:
    """Yield each requirement of a file, and its hashes."""
    text = re.sub(r"\s*#.*", "", (ROOT / file).read_text())
    for entry in text.replace("\\\n", " ").strip().splitlines():
        requirement, *hashes = re.split(r"\s+--hash=", entry)
        yield Requirement(requirement), hashes


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@each_file
def test_every_package_has_one_version_and_hashes(file: str) -> None:
    found = list(entries(file))

    assert found
    for requirement, hashes in found:
        assert re.fullmatch(r"==[0-9][0-9A-Za-z.]*", str(requirement.specifier)), requirement
        assert requirement.url is None
        assert hashes
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in hashes)


@each_file
def test_whatever_is_wanted_is_there_in_a_version_that_is_allowed(file: str) -> None:
    versions: dict[str, list[Version]] = {}
    for requirement, _ in entries(file):
        (specifier,) = requirement.specifier
        versions.setdefault(canonical(requirement.name), []).append(Version(specifier.version))
    wanted = [Requirement(each) for each in WANTED[file]]

    missing = [each.name for each in wanted if canonical(each.name) not in versions]
    assert missing == [], "run make requirements"
    for each in wanted:
        for version in versions[canonical(each.name)]:
            assert version in each.specifier, f"{each.name} {version}: run make requirements"


@each_file
def test_no_place_to_install_from_is_written_down(file: str) -> None:
    lines = (ROOT / file).read_text().splitlines()

    assert [line for line in lines if "://" in line or re.match(r"\s*-(?!-hash=)", line)] == []


def test_the_build_wants_what_the_project_is_built_with() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())

    assert set(project["build-system"]["requires"]) <= set(BUILD.splitlines())


@pytest.mark.parametrize(
    ("file", "where"),
    [
        ("deploy/requirements.txt", "Dockerfile"),
        ("deploy/requirements-build.txt", "Dockerfile"),
        (".ci/requirements.txt", ".ci/run"),
    ],
)
def test_each_file_is_installed_from(file: str, where: str) -> None:
    text = (ROOT / where).read_text()

    assert f"-r {file}" in text or f"REQUIREMENTS={file}" in text


# --- known vulnerabilities ---


def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", ROOT / "deploy/audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def package(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "version": "1.0", **more}


@pytest.mark.parametrize(
    ("packages", "code", "said"),
    [
        pytest.param([package("a", vulns=[])], 0, "no vulnerability is known of 1", id="none"),
        pytest.param([], 2, "could not ask about 0 of 0 packages", id="nothing"),
        pytest.param(
            [package("a", vulns=[]), {"name": "b", "skip_reason": "not found"}],
            2,
            "could not ask about 1 of 2 packages: b",
            id="one-skipped",
        ),
        pytest.param(
            [package("a", vulns=[{"id": "PYSEC-1"}]), {"name": "b", "skip_reason": "x"}],
            1,
            "a 1.0: PYSEC-1",
            id="one-known",
        ),
    ],
)
def test_an_audit_that_could_not_ask_says_so(
    packages: list[dict[str, Any]], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit().judged(packages) == code
    assert said in capsys.readouterr().out


def test_an_audit_without_its_program_says_so(tmp_path: Path) -> None:
    (tmp_path / "pip_audit.py").write_text("raise SystemExit('no way out')\n")
    done = subprocess.run(
        [sys.executable, str(ROOT / "deploy/audit.py")],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert done.stdout.startswith("could not ask for vulnerabilities")
