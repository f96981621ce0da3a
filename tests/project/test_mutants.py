"""The table of deliberate bugs fits the tree: `make mutants` tries them, which takes minutes."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from ..mutants import MUTANTS, ROOT, Mutant


@cache
def names_in(file: Path) -> frozenset[str]:
    """Return the names of the tests in *file*."""
    return frozenset(
        node.name
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        if node.name.startswith(("test_", "Test"))
    )


def wrong_with(mutant: Mutant, root: Path) -> Iterator[str]:
    """Yield why *mutant* cannot be tried in the tree at *root*, or not by its tests."""
    try:
        text = (root / mutant.file).read_text()
        mutated = mutant.applied(text)
        if mutant.file.endswith(".py"):
            ast.parse(mutated)
    except (OSError, LookupError, SyntaxError) as error:
        yield str(error)
    else:
        if mutated == text:
            yield "it changes nothing"
    if not mutant.tests:
        yield "it names no test"
    for test in mutant.tests:
        file, _, name = test.partition("::")
        names = names_in(root / file) if (root / file).is_file() else ()
        if not names or (name and name.partition("[")[0] not in names):
            yield f"there is no {test}"


def test_every_mutant_can_be_put_into_the_tree_and_names_tests_that_exist() -> None:
    wrong = [f"{each.name}: {what}" for each in MUTANTS for what in wrong_with(each, ROOT)]

    assert wrong == []


def test_no_two_mutants_have_the_same_name() -> None:
    assert [
        name for name, times in Counter(each.name for each in MUTANTS).items() if times > 1
    ] == []


def test_all_that_is_wrong_with_a_mutant_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("old = [1, 1]\n")
    (tmp_path / "test_a.py").write_text("def test_a(): ...\n")
    mutants = {
        "sound": Mutant("", "a.py", "old", "new", ("test_a.py", "test_a.py::test_a")),
        "not there": Mutant("", "a.py", "2", "3", ("test_a.py",)),
        "there twice": Mutant("", "a.py", "1", "3", ("test_a.py",)),
        "no change": Mutant("", "a.py", "old", "old", ("test_a.py",)),
        "no Python": Mutant("", "a.py", "old", "(", ("test_a.py",)),
        "no file": Mutant("", "b.py", "old", "new", ("test_a.py",)),
        "no tests": Mutant("", "a.py", "old", "new", ()),
        "unknown tests": Mutant("", "a.py", "old", "new", ("test_b.py", "test_a.py::test_b")),
    }

    found = {name: list(wrong_with(each, tmp_path)) for name, each in mutants.items()}

    assert found.pop("no Python")
    assert found.pop("no file")
    assert found == {
        "sound": [],
        "not there": ["a.py: the text to replace is there 0 times"],
        "there twice": ["a.py: the text to replace is there 2 times"],
        "no change": ["it changes nothing"],
        "no tests": ["it names no test"],
        "unknown tests": ["there is no test_b.py", "there is no test_a.py::test_b"],
    }
