"""FAULTS.md says for each fault which test holds it: that page is held true here."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from cdr_exporter.metrics.catalogue import FAMILIES

TESTS = Path(__file__).parent
PAGE = TESTS / "FAULTS.md"
HEADER = ["#", "fault", "what we do", "metric", "tests"]
MATRIX = {"A": 13, "B": 15, "C": 18, "D": 11, "E": 15, "F": 10, "G": 6, "H": 10}
NOT_YET = "not yet: "


def numbers(*ranges: str) -> set[str]:
    """Return the numbers of ranges like `A1-8`, or of single ones like `C16`."""
    found = set()
    for each in ranges:
        group, first, last = re.fullmatch(r"([A-H])(\d+)(?:-(\d+))?", each).groups()  # type: ignore[union-attr]
        found |= {f"{group}{number}" for number in range(int(first), int(last or first) + 1)}
    return found


ALL = numbers(*(f"{group}1-{last}" for group, last in MATRIX.items()))
MUST_BE_HELD = numbers(
    *("A1-8", "B1-8", "C1-8", "C11-14", "C16", "E1-10", "E13", "F1-5", "F7", "G1-4", "H1-10")
)


class Row(NamedTuple):
    number: str
    fault: str
    behaviour: str
    metric: str
    tests: str

    @property
    def held(self) -> bool:
        return not self.tests.startswith(NOT_YET)


def rows(text: str) -> list[Row]:
    """Read the rows of all tables; a table under the heading of another group is an error."""
    found, group = [], ""
    for line in text.splitlines():
        if line.startswith("## "):
            group = line[3]
        if not line.startswith("|") or set(line) <= set("|-"):
            continue
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if cells == HEADER:
            continue
        assert len(cells) == len(HEADER), line
        assert cells[0].startswith(group), f"{cells[0]} stands under {group}"
        found.append(Row(*cells))
    return found


ROWS = rows(PAGE.read_text("utf-8"))
BY_NUMBER = pytest.mark.parametrize("row", ROWS, ids=[row.number for row in ROWS])


@cache
def named_in(path: str) -> frozenset[str]:
    """Return the names of the tests at the top of a file, functions and state machines."""
    module = ast.parse((TESTS.parent / path).read_text("utf-8"))
    return frozenset(
        each.name
        for each in module.body
        if isinstance(each, ast.FunctionDef | ast.ClassDef) and each.name.lower().startswith("test")
    )


def test_every_fault_of_the_matrix_has_one_row_in_its_order() -> None:
    assert [row.number for row in ROWS] == [
        f"{group}{number}" for group, last in MATRIX.items() for number in range(1, last + 1)
    ]
    assert set(Counter(row.number for row in ROWS).values()) == {1}
    assert {row.number for row in ROWS} == ALL


@BY_NUMBER
def test_each_row_says_what_we_do_in_a_sentence(row: Row) -> None:
    assert row.fault
    assert re.fullmatch(r"\S.{3,}\.", row.behaviour)


@BY_NUMBER
def test_each_row_names_tests_that_exist_or_says_why_there_are_none(row: Row) -> None:
    if not row.held:
        assert len(row.tests) > len(NOT_YET) + 10
        return
    named = row.tests.split(", ")

    assert len(set(named)) == len(named)
    for each in named:
        path, name = re.fullmatch(r"`(tests/test_\w+\.py)::(\w+)`", each).groups()  # type: ignore[union-attr]
        assert name in named_in(path), f"{row.number}: {each}"


@BY_NUMBER
def test_each_metric_is_exposed_with_such_a_label(row: Row) -> None:
    families = {family.name: family for family in FAMILIES}
    for each in row.metric.split(", "):
        if each == "-":
            continue
        name, label, value = re.fullmatch(r'`(cdr_\w+)(?:\{(\w+)="(.+)"\})?`', each).groups()  # type: ignore[union-attr]
        family = families[name]
        assert family.labels == ((label,) if label else ())
        assert not label or value in family.known


def test_what_must_be_held_is_held() -> None:
    assert {row.number for row in ROWS if not row.held} & MUST_BE_HELD == set()


def test_the_tests_of_faults_are_all_on_the_page() -> None:
    """A test that holds a fault and is named nowhere would be lost without a word."""
    text = PAGE.read_text("utf-8")
    for path in sorted(TESTS.glob("test_faults_*.py")):
        for name in named_in(f"tests/{path.name}"):
            assert f"`tests/{path.name}::{name}`" in text


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        pytest.param("| A1 | a | b | - |", "a | b", id="a cell too few"),
        pytest.param("## B.\n| A1 | a | b | - | c |", "stands under", id="another group"),
    ],
)
def test_a_row_out_of_form_is_noticed(line: str, complaint: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(complaint)):
        rows(line)
