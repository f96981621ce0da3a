"""FAULTS.md is true: every fault on it is held by a test with a mark that names its row."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import NamedTuple

from cdr_exporter.metrics.catalogue import FAMILIES

from ..support.paths import ROOT

TESTS = ROOT / "tests"
PAGE = TESTS / "FAULTS.md"
HEADER = ["#", "fault", "what we do", "metric"]
MATRIX = {"A": 17, "B": 15, "C": 27, "D": 14, "E": 27, "F": 15, "G": 6, "H": 10}
NOT_YET = " not yet: "


def numbers(*ranges: str) -> set[str]:
    """Return the numbers of ranges like `A1-8`, or of single ones like `C16`."""
    found = set()
    for each in ranges:
        [(group, first, last)] = re.findall(r"^([A-H])(\d+)(?:-(\d+))?$", each)
        found |= {f"{group}{number}" for number in range(int(first), int(last or first) + 1)}
    return found


MUST_BE_HELD = numbers(
    *("A1-8", "B1-8", "C1-8", "C11-14", "C16", "E1-10", "E13", "F1-14", "G1-4", "H1-10")
)


class Row(NamedTuple):
    """A row of the page. *not_yet* says why no test holds it, and is empty where one does."""

    number: str
    fault: str
    behaviour: str
    metric: str
    not_yet: str


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
        behaviour, _, not_yet = cells[2].partition(NOT_YET)
        found.append(Row(cells[0], cells[1], behaviour, cells[3], not_yet))
    return found


class Mark(NamedTuple):
    """A mark in a file. *test* is the name it stands at, or empty if that is no test."""

    place: str
    test: str
    rows: tuple[str, ...]


def marks(source: str, file: str) -> list[Mark]:
    """Read the marks in *source*, wherever one stands.

    On a test, on a class of tests or in a module's or class's `pytestmark`, it holds its rows;
    anywhere else (on a helper, in a variable) it holds none, and its `test` is empty.
    """
    if "mark.fault" not in source:
        return []
    module = ast.parse(source)
    owners = {id(call): name for call, name in marked(module, file)}
    return [
        Mark(f"{file}:{node.lineno}", owners.get(id(node), ""), arguments(node))
        for node in ast.walk(module)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "fault"
        and ast.unparse(node.func) == "pytest.mark.fault"
    ]


def marked(node: ast.Module | ast.ClassDef, name: str) -> Iterator[tuple[ast.AST, str]]:
    """Yield what marks the tests in a module or class of the name *name*, each with their name."""
    for each in node.body:
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if each.name.lower().startswith("test"):
                yield from ((decorator, each.name) for decorator in each.decorator_list)
                if isinstance(each, ast.ClassDef):
                    yield from marked(each, each.name)
        elif isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == "pytestmark":
            listed = each.value.elts if isinstance(each.value, ast.List) else [each.value]
            yield from ((mark, name) for mark in listed)


def arguments(call: ast.Call) -> tuple[str, ...]:
    """Return the rows that a mark names; what is no text in quotes is shown as it is written."""
    return tuple(
        each.value
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
        else ast.unparse(each)
        for each in [*call.args, *(keyword.value for keyword in call.keywords)]
    )


ROWS = rows(PAGE.read_text("utf-8"))


@cache
def marks_of_all() -> list[Mark]:
    """Return the marks in all files: read when they are asked for, not by each worker."""
    return [
        mark
        for path in sorted(TESTS.rglob("*.py"))
        for mark in marks(path.read_text("utf-8"), path.relative_to(TESTS).as_posix())
    ]


def unheld(rows: Iterable[Row], marks: Iterable[Mark]) -> list[str]:
    """Return all that is wrong between the rows of a page and the marks of tests."""
    marks = list(marks)
    held = {number for mark in marks if mark.test for number in mark.rows}
    wrong = []
    for mark in marks:
        if not mark.test:
            wrong.append(f"{mark.place}: the mark is on no test")
        if not mark.rows or len(set(mark.rows)) != len(mark.rows):
            wrong.append(f"{mark.place}: the mark names no row, or one twice: {mark.rows}")
    known = {row.number: row for row in rows}
    wrong += [
        f"{mark.place}: there is no row {number}"
        for mark in marks
        for number in mark.rows
        if number not in known
    ]
    for number, row in known.items():
        if number in held and row.not_yet:
            wrong.append(f"{number}: a test holds it, and the page says: not yet")
        elif number not in held and len(row.not_yet) < 10:
            wrong.append(f"{number}: no test has its mark, and the page does not say why")
    return wrong


def test_every_row_is_held_by_a_test_and_every_mark_names_a_row() -> None:
    assert unheld(ROWS, marks_of_all()) == []


def test_what_must_be_held_is_held() -> None:
    held = {number for mark in marks_of_all() if mark.test for number in mark.rows}

    assert sorted(MUST_BE_HELD - held) == []


def test_every_fault_of_the_matrix_has_one_row_in_its_order() -> None:
    assert [row.number for row in ROWS] == [
        f"{group}{number}" for group, last in MATRIX.items() for number in range(1, last + 1)
    ]


def test_each_row_says_what_we_do_in_a_sentence() -> None:
    assert [
        row for row in ROWS if not row.fault or not re.fullmatch(r"\S.{3,}\.", row.behaviour)
    ] == []


def test_each_metric_is_exposed_with_such_a_label() -> None:
    exposed = {f"`{family.name}`" for family in FAMILIES if not family.labels} | {
        f'`{family.name}{{{family.labels[0]}="{value}"}}`'
        for family in FAMILIES
        if len(family.labels) == 1
        for value in family.known
    }

    assert [
        (row.number, metric)
        for row in ROWS
        for metric in row.metric.split(", ")
        if metric not in exposed | {"-"}
    ] == []


def test_the_tests_of_faults_all_have_a_mark() -> None:
    """A test in a file of faults that holds no row of the page is missing there."""
    marked = {(mark.place.partition(":")[0], mark.test) for mark in marks_of_all()}
    wanted = {
        (path.relative_to(TESTS).as_posix(), node.name)
        for path in (TESTS / "faults").glob("test_*.py")
        if path.name != "test_page.py"
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name.lower().startswith("test")
    }

    assert wanted
    assert sorted(wanted - marked) == []


def test_a_row_out_of_form_is_noticed() -> None:
    complaints = []
    for text in ("| A1 | a | b |", "## B.\n| A1 | a | b | - |"):
        try:
            complaints.append(str(rows(text)))
        except AssertionError as error:
            complaints.append(str(error).splitlines()[0])

    assert complaints == ["| A1 | a | b |", "A1 stands under B"]


SOURCE = """
pytestmark = [pytest.mark.e2e, pytest.mark.fault("A1")]
@pytest.mark.e2e
@pytest.mark.fault("A2", "A3")
def test_one(): ...
@pytest.mark.fault("B1")
class TestSome:
    pytestmark = pytest.mark.fault("B2")
    @pytest.mark.fault("B3")
    def test_two(self): ...
@pytest.mark.fault("C1")
def helper(): ...
later = pytest.mark.fault("C2")
"""


def test_a_mark_is_read_wherever_it_stands() -> None:
    assert [(mark.test, *mark.rows) for mark in sorted(marks(SOURCE, "a.py"))] == [
        ("", "C1"),
        ("", "C2"),
        ("a.py", "A1"),
        ("test_one", "A2", "A3"),
        ("TestSome", "B1"),
        ("TestSome", "B2"),
        ("test_two", "B3"),
    ]


def test_all_that_is_wrong_between_page_and_marks_is_named_at_once() -> None:
    page = rows(
        "| A1 | a | Held. | - |\n"
        "| A2 | a | Not held. | - |\n"
        "| A3 | a | Not held. not yet: nobody can do that | - |\n"
        "| A4 | a | Held. not yet: nobody can do that | - |\n"
    )
    found = marks(
        '@pytest.mark.fault("A1", "A4")\ndef test_a(): ...\n'
        '@pytest.mark.fault("A9", A1)\ndef test_b(): ...\n'
        '@pytest.mark.fault("A2")\ndef helper(): ...\n'
        "@pytest.mark.fault()\ndef test_c(): ...\n",
        "a.py",
    )

    assert unheld(page, found) == [
        "a.py:5: the mark is on no test",
        "a.py:7: the mark names no row, or one twice: ()",
        "a.py:3: there is no row A9",
        "A2: no test has its mark, and the page does not say why",
        "A4: a test holds it, and the page says: not yet",
    ]
