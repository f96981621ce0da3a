"""The simulated PBX can be compared with the exporter, because it shares no code with it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from sys import stdlib_module_names

import pytest

import pbx_simulator

SOURCES = {path.stem: path for path in Path(pbx_simulator.__file__).parent.glob("*.py")}
FLOORS = {
    name: int(floor)
    for floor, name in re.findall(r"^    (\d+) +(\w+)  ", pbx_simulator.__doc__ or "", re.MULTILINE)
}
"""Where the package's docstring draws each module."""


def imports(module: str) -> Iterator[tuple[int, str]]:
    """Yield (level, module) of every import in *module*."""
    for node in ast.walk(ast.parse(SOURCES[module].read_text())):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.level, node.module
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.level, alias.name) for alias in node.names)


@pytest.mark.parametrize("module", SOURCES)
def test_a_module_imports_the_standard_library_and_its_own_package_only(module: str) -> None:
    found = list(imports(module))

    assert {name.partition(".")[0] for level, name in found if not level} <= (
        stdlib_module_names | {"__future__"}
    )
    assert [name for level, name in found if level > 1] == []


def test_the_docstring_draws_every_module() -> None:
    assert set(FLOORS) == set(SOURCES) - {"__init__", "__main__"}


@pytest.mark.parametrize("module", FLOORS)
def test_a_module_imports_from_lower_floors_only(module: str) -> None:
    own = {name for level, name in imports(module) if level == 1}

    assert {name for name in own if FLOORS[name] >= FLOORS[module]} == set()
