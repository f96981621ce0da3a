"""The simulated PBX can judge the exporter, because it shares no code with it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from sys import stdlib_module_names

import pbx_simulator

SOURCES = sorted(Path(pbx_simulator.__file__).parent.rglob("*.py"))


def imported(source: str) -> Iterator[tuple[int, str]]:
    """Yield (level, module) of every import in *source*."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.level, node.module or ""


def imports() -> list[tuple[int, str]]:
    return [found for path in SOURCES for found in imported(path.read_text())]


def test_it_imports_the_standard_library_and_itself_only() -> None:
    outside = {name.partition(".")[0] for level, name in imports() if not level}

    assert len(SOURCES) > 5
    assert outside <= stdlib_module_names | {"__future__"}


def test_no_relative_import_leaves_the_package() -> None:
    assert [name for level, name in imports() if level > 1] == []
