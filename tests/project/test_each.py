from __future__ import annotations

import sys

import pytest

from ..support.each import for_each

CASES = [pytest.param(number, number % 2, id=f"case {number}") for number in range(4)]


def test_every_case_that_fails_is_named_with_what_is_wrong() -> None:
    @for_each(CASES)
    def test(number: int, odd: int) -> None:
        if number == 0:
            raise KeyError("gone")
        if number == 1:
            pytest.fail("no error was raised")
        if number == 2:
            sys.exit(2)
        assert odd == 0

    with pytest.raises(pytest.fail.Exception) as failed:
        test()

    lines = str(failed.value).splitlines()
    assert lines[:4] == [
        "4 of 4 cases fail",
        "case 0: KeyError: 'gone'",
        "case 1: Failed: no error was raised",
        "case 2: SystemExit: 2",
    ]
    assert lines[4].startswith("case 3: AssertionError: assert 1 == 0")


def test_cases_that_hold_pass_and_the_test_keeps_its_name() -> None:
    seen = []

    @for_each(CASES)
    def test_a_sentence(number: int, odd: int) -> None:
        seen.append((number, odd))

    test_a_sentence()

    assert seen == [(0, 0), (1, 1), (2, 0), (3, 1)]
    assert test_a_sentence.__name__ == "test_a_sentence"


def test_no_cases_or_cases_that_would_not_be_named_are_refused() -> None:
    for cases in ([], [pytest.param(1)], [pytest.param(1, id="a", marks=pytest.mark.e2e)]):
        with pytest.raises(AssertionError):
            for_each(cases)
