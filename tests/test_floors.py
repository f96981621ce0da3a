"""The house: who may import whom, and through which door the outside comes in."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import cdr_exporter

PACKAGE = Path(cdr_exporter.__file__).parent

FLOORS = """
contract secret errors durations logs
settings reactions record
catalogue order
labels tally paging backoff negotiation
calls counting ending ledger
call_counting walk
snapshot
settling showing vitals
config pbx store exposition clock bundled simulator output
landing
reader web books surroundings
joining orders
tail
poller
supervisor
program check
demo
cli
__main__
"""
"""Lowest first; modules on one line do not know each other."""

HEIGHT = {name: height for height, line in enumerate(FLOORS.split("\n")) for name in line.split()}

DOORS = {
    "requests": {"pbx"},
    "urllib3": {"pbx"},
    "yaml": {"config"},
    "prometheus_client": {"exposition"},
    "sqlite3": {"store"},
    "waitress": {"web"},
}

PURE = [name for name in HEIGHT if HEIGHT[name] <= HEIGHT["vitals"] and name != "logs"]
OUTSIDE = {"os", "io", "time", "datetime", "socket", "threading", "pathlib", "random", "subprocess"}
VALUES_ONLY = {"settings": {"pathlib"}}
"""`settings` holds paths and opens none."""


def modules() -> dict[str, list[Path]]:
    """Return the files of each module; a package is one."""
    found: dict[str, list[Path]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if name != "__init__":
            found.setdefault(name, []).append(path)
    return found


def ours(path: Path) -> set[str]:
    """Return the modules of ours that the file at *path* imports."""
    depth = len(path.relative_to(PACKAGE).parts)
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == depth:
            names |= {node.module.split(".")[0]} if node.module else {a.name for a in node.names}
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cdr_exporter"):
            names.add("an absolute import of ours")
    return names


def outside(path: Path) -> set[str]:
    """Return the top-level names of everything else it imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add((node.module or "").split(".")[0])
    return names


def test_every_module_has_a_floor() -> None:
    assert set(modules()) == set(HEIGHT)


@pytest.mark.parametrize("name", sorted(HEIGHT))
def test_a_module_imports_from_lower_floors_only(name: str) -> None:
    imported = {each for path in modules()[name] for each in ours(path)}

    assert {each for each in imported if HEIGHT.get(each, 99) >= HEIGHT[name]} == set()


@pytest.mark.parametrize("library", DOORS)
def test_an_outside_thing_has_one_door(library: str) -> None:
    users = {name for name, paths in modules().items() if any(library in outside(p) for p in paths)}

    assert users == DOORS[library]


@pytest.mark.parametrize("name", sorted(PURE))
def test_the_lower_floors_do_no_io_and_read_no_clock(name: str) -> None:
    used = {each for path in modules()[name] for each in outside(path)}

    assert used & OUTSIDE == VALUES_ONLY.get(name, set())


def test_the_simulator_imports_nothing_of_ours() -> None:
    assert {each for path in modules()["simulator"] for each in ours(path)} == set()


def test_the_house_is_drawn_as_it_is() -> None:
    drawn = (cdr_exporter.__doc__ or "").split("floors;")[1].split("Each outside thing")[0]

    assert set(modules()) - {"__main__"} <= set(drawn.split())
