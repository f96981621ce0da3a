"""The wheel: what it holds, and that it runs where nothing else of the project is."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from ..support.paths import ROOT


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    subprocess.run([*command, str(ROOT)], check=True, capture_output=True, timeout=120)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def names(wheel: Path) -> list[str]:
    """Return the names of the files in the wheel."""
    with zipfile.ZipFile(wheel) as opened:
        return opened.namelist()


def test_the_wheel_has_our_packages_and_nothing_else(names: list[str]) -> None:
    tops = {name.split("/")[0] for name in names}

    ours = {top for top in tops if not top.endswith(".dist-info")}

    assert ours == {"cdr_exporter", "pbx_simulator"}


def test_each_dashboard_and_rule_is_in_the_wheel_once(names: list[str]) -> None:
    edited = [*ROOT.glob("grafana/dashboards/*.json"), *ROOT.glob("prometheus/rules/*.yml")]
    expected = Counter(path.name for path in edited)

    assert len(expected) == 9
    assert Counter(n.split("/")[-1] for n in names if n.split("/")[-1] in expected) == expected


def test_runbook_and_examples_are_in_the_wheel(names: list[str]) -> None:
    folder = "cdr_exporter/bundled/"

    assert {name.removeprefix(folder) for name in names if name.startswith(folder)} >= {
        "RUNBOOK.md",
        "examples/exporter.yml",
        "examples/prometheus-replicas.yml",
        "examples/prometheus.yml",
        "examples/alertmanager.yml",
        "examples/web.yml",
    }


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is no checkout, so has no commit")
def test_the_wheel_knows_the_commit_that_it_was_built_from(wheel: Path) -> None:
    command = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    commit = subprocess.run(command, check=True, capture_output=True, text=True).stdout

    with zipfile.ZipFile(wheel) as opened:
        assert opened.read("cdr_exporter/bundled/REVISION").decode() == commit


def test_the_program_finds_its_files_in_the_wheel(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(tmp_path / "installed")
    command = [sys.executable, "-m", "cdr_exporter", "dashboards", "--output", "written"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "installed")},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )

    written = {line.split("/", 1)[1] for line in done.stdout.splitlines()}
    assert {name.split("/")[0] for name in written} == {
        "dashboards",
        "rules",
        "RUNBOOK.md",
        "examples",
    }
    assert len(written) == 9 + 6
