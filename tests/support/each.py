"""One test for many cases: for texts that are held against texts, cheap and alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import update_wrapper
from typing import Any

import pytest


def for_each(cases: Iterable[Any]) -> Callable[[Callable[..., None]], Callable[[], None]]:
    """Return a decorator that makes one test of a check of each of *cases*.

    A case is a `pytest.param` with an id and without marks. The test fails once every case was
    checked, and names each that fails, with what is wrong. Fixtures are not supported.
    """
    listed = list(cases)
    assert listed, "a test without cases cannot fail"
    assert all(case.id and not case.marks for case in listed)

    def decorate(check: Callable[..., None]) -> Callable[[], None]:
        def test() -> None:
            wrong = [f"{case.id}: {what}" for case in listed if (what := _failure(check, case))]
            if wrong:
                pytest.fail(
                    f"{len(wrong)} of {len(listed)} cases fail\n" + "\n".join(wrong), pytrace=False
                )

        update_wrapper(test, check)
        del vars(test)["__wrapped__"]  # pytest would look for its arguments
        return test

    return decorate


def _failure(check: Callable[..., None], case: Any) -> str:
    """Return what is wrong in *case*, empty if nothing is."""
    try:
        check(*case.values)
    except (Exception, SystemExit, pytest.fail.Exception) as error:  # noqa: BLE001 - it is reported
        return f"{type(error).__name__}: {error}"
    return ""
