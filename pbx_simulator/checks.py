"""Checks of arguments that come from outside, over the control path."""

from __future__ import annotations

from typing import Any


def checked_count(count: Any) -> int:
    """Return *count*. ValueError: it is not a whole number from 0."""
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise ValueError(f"{count!r} is no whole number from 0")
    return count
