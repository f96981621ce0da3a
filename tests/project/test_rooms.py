"""The table of rooms in `cdr_exporter/__init__.py`: who may import whom, and through which door."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple

import pytest

import cdr_exporter

PACKAGE = Path(cdr_exporter.__file__).parent

OUTSIDE = {"os", "io", "time", "datetime", "socket", "threading", "pathlib", "random", "subprocess"}
"""Modules of the standard library that reach the machine, or its clock."""

LIBRARIES = {
    "requests",
    "urllib3",
    "yaml",
    "prometheus_client",
    "shtab",
    "sqlite3",
    "subprocess",
    "bcrypt",
    "h11",
    "psycopg",
    "psycopg_pool",
}
"""What has one door each."""


class Room(NamedTuple):
    """A line of the table."""

    floor: int
    doors: frozenset[str]
    pure: bool


def table(text: str) -> dict[str, Room]:
    """Read the lines `floor  room  what it is for; door to LIBRARY, LIBRARY; pure`."""
    found: dict[str, Room] = {}
    for floor, name, rest in re.findall(r"^ +(\d+)  (\S+) +(\S.*)$", text, re.MULTILINE):
        assert name not in found, f"{name} stands twice in the table"
        door = re.search(r"; door to ([\w, ]+)$", rest)
        doors = frozenset(door[1].split(", ")) if door else frozenset()
        found[name] = Room(int(floor), doors, rest.endswith("; pure"))
    return found


def files(package: Path) -> dict[str, list[Path]]:
    """Return the files of each room; one that stands alone is a room too."""
    found: dict[str, list[Path]] = {}
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).parts[0].removesuffix(".py")
        if name != "__init__":
            found.setdefault(name, []).append(path)
    return found


def ours(path: Path, package: Path) -> set[str]:
    """Return the rooms that the file at *path* imports, its own left out."""
    parts = path.relative_to(package).parts
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == len(parts):
            names |= {node.module.split(".")[0]} if node.module else {a.name for a in node.names}
    return names - {parts[0].removesuffix(".py")}


def outside(path: Path) -> set[str]:
    """Return the top-level names of everything that the file at *path* imports absolutely."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add((node.module or "").split(".")[0])
    return names


def mistakes(package: Path, text: str) -> list[str]:
    """Return every way in which the package is not as the table *text* says."""
    rooms, there = table(text), files(package)
    found = [f"{name} is not in the table" for name in there.keys() - rooms.keys()]
    found += [f"{name} is in the table and nowhere else" for name in rooms.keys() - there.keys()]
    for name in there.keys() & rooms.keys():
        for path in there[name]:
            found += _mistakes_of(path, package, name, rooms)
    for library in LIBRARIES:
        doors = {name for name, room in rooms.items() if library in room.doors}
        if len(doors) != 1:
            found.append(f"{library} has {len(doors)} doors")
    return sorted(found)


def _mistakes_of(path: Path, package: Path, name: str, rooms: dict[str, Room]) -> list[str]:
    where, room = path.relative_to(package), rooms[name]
    used, absolute = ours(path, package), outside(path)
    found = [
        f"{where} imports {other}, which is no lower"
        for other in used
        if other in rooms and rooms[other].floor >= room.floor
    ]
    found += [f"{where} is no door to {each}" for each in (absolute & LIBRARIES) - room.doors]
    if "cdr_exporter" in absolute:
        found.append(f"{where} imports a room by its absolute name")
    if room.pure:
        found += [f"{where} is not pure: it imports {each}" for each in absolute & OUTSIDE]
    return found


def test_the_house_is_as_its_table_says() -> None:
    assert mistakes(PACKAGE, cdr_exporter.__doc__ or "") == []


@pytest.mark.parametrize(
    ("change", "mistake"),
    [
        pytest.param(("low.py", "from . import high"), "which is no lower", id="upward"),
        pytest.param(("same.py", "from .low import x"), "which is no lower", id="sideways"),
        pytest.param(("new.py", ""), "new is not in the table", id="missing room"),
        pytest.param(("low.py", "import yaml"), "is no door to yaml", id="second door"),
        pytest.param(("low.py", "import time"), "is not pure: it imports time", id="clock"),
        pytest.param(("low.py", "import cdr_exporter.high"), "absolute name", id="absolute"),
    ],
)
def test_what_breaks_the_table_is_noticed(
    tmp_path: Path, change: tuple[str, str], mistake: str
) -> None:
    text = "    2  high  above; door to yaml\n    1  low  below; pure\n    1  same  beside\n"
    for name in ("__init__", "high", "low", "same"):
        (tmp_path / f"{name}.py").write_text("")
    whole = mistakes(tmp_path, text)
    (tmp_path / change[0]).write_text(change[1])

    (new,) = set(mistakes(tmp_path, text)) - set(whole)
    assert mistake in new


def test_a_room_that_is_gone_is_noticed(tmp_path: Path) -> None:
    assert "gone is in the table and nowhere else" in mistakes(tmp_path, "    1  gone  away\n")
