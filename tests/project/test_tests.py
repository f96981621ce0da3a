"""Tests share helpers through `tests/support/`, and nothing that is shipped needs them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..support.paths import ROOT

PROGRAM = re.compile(
    r"^\s*(?:from|import)\s+(tests\.[\w.]+)(?:\s+import\s+([\w, ]+))?", re.MULTILINE
)
"""An import in a text: some tests start a program that is written in them."""

FOLDERS = ("benchmarks", "cdr_exporter", "grafana", "pbx_simulator", "tests")


def imported_by(path: Path, root: Path) -> Iterator[str]:
    """Yield the full names of what a file imports, and of what a program in it does."""
    package = path.relative_to(root).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = [*above, *filter(None, [node.module])]
            yield from (".".join([*module, alias.name]) for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            for module, names in PROGRAM.findall(node.value):
                yield from (f"{module}.{name.strip()}" for name in names.split(","))


def mistakes(root: Path) -> list[str]:
    """Return each import of a test module, and each of `tests` where it may not be used."""
    return [
        f"{path.relative_to(root)} imports {name}"
        for folder in FOLDERS
        for path in sorted((root / folder).rglob("*.py"))
        for name in imported_by(path, root)
        if name.split(".")[0] == "tests" and not _is_allowed(folder, name)
    ]


def _is_allowed(folder: str, name: str) -> bool:
    """Say whether a file of *folder* may import *name*, which is of `tests`."""
    if any(word.startswith("test_") for word in name.split(".")):
        return False
    return folder == "tests" or (folder == "benchmarks" and name.startswith("tests.support."))


def test_no_test_module_is_imported_and_only_tests_and_benchmarks_use_helpers() -> None:
    assert mistakes(ROOT) == []


@pytest.mark.parametrize(
    ("file", "text"),
    [
        pytest.param("tests/a/test_b.py", "from ..c.test_d import e", id="of another folder"),
        pytest.param("tests/a/test_b.py", "from .test_d import e", id="of the same folder"),
        pytest.param("tests/a/test_b.py", "from ..c import test_d", id="as a whole"),
        pytest.param("tests/a/test_b.py", "import {tests}.c.test_d", id="by its full name"),
        pytest.param("tests/support/a.py", "from ..c.test_d import e", id="by a helper"),
        pytest.param(
            "tests/a/test_b.py",
            "PROGRAM = 'import os\\nfrom {tests}.c.test_d import e'",
            id="by a program in a text",
        ),
        pytest.param("benchmarks/a.py", "from {tests}.c.test_d import e", id="by a benchmark"),
        pytest.param("benchmarks/a.py", "from {tests}.mutants import e", id="no helper"),
        pytest.param("cdr_exporter/a.py", "from {tests}.support.b import c", id="by the product"),
    ],
)
def test_an_import_that_may_not_be_is_found(tmp_path: Path, file: str, text: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(text.format(tests="tests"))

    assert len(mistakes(tmp_path)) == 1


@pytest.mark.parametrize(
    ("file", "text"),
    [
        pytest.param("tests/a/test_b.py", "from ..support.c import d", id="a helper"),
        pytest.param("tests/support/a.py", "from .b import c", id="a helper by a helper"),
        pytest.param("benchmarks/a.py", "from {tests}.support.b import c", id="by a benchmark"),
        pytest.param("cdr_exporter/a.py", "from .tests import b", id="another module so named"),
    ],
)
def test_an_import_of_helpers_is_no_mistake(tmp_path: Path, file: str, text: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(text.format(tests="tests"))

    assert mistakes(tmp_path) == []
