"""The table of deliberate bugs fits the tree: `make mutants` tries them, which takes minutes."""

from __future__ import annotations

import ast
from functools import cache

import pytest

from .mutants import MUTANTS, ROOT, Mutant

NAMES = [mutant.name for mutant in MUTANTS]


@cache
def names_in(file: str) -> frozenset[str]:
    """Return the names of the tests in *file*."""
    return frozenset(
        node.name
        for node in ast.parse((ROOT / file).read_text()).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        if node.name.startswith(("test_", "Test"))
    )


@pytest.mark.parametrize("mutant", MUTANTS, ids=NAMES)
def test_the_place_of_a_mutant_is_there_exactly_once(mutant: Mutant) -> None:
    text = (ROOT / mutant.file).read_text()
    mutated = mutant.applied(text)

    assert mutated != text
    ast.parse(mutated)


@pytest.mark.parametrize("mutant", MUTANTS, ids=NAMES)
def test_the_tests_of_a_mutant_are_there(mutant: Mutant) -> None:
    named = [test.partition("::") for test in mutant.tests]

    assert named
    assert [test for file, _, test in named if test and test not in names_in(file)] == []
    assert all(names_in(file) for file, _, _ in named)


def test_no_two_mutants_have_the_same_name() -> None:
    assert len(set(NAMES)) == len(NAMES)


def test_a_place_that_is_not_there_just_once_is_an_error() -> None:
    mutant = Mutant("", "a.py", "old", "new", ())

    assert mutant.applied("an old tree") == "an new tree"
    for text in ("a tree", "an old, old tree"):
        with pytest.raises(LookupError, match=r"a\.py"):
            mutant.applied(text)
