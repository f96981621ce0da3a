"""The date that an HTTP answer holds, and what it says about the clock that wrote it."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime

_HALF_A_SECOND = 0.5
"""A date names whole seconds: the clock shows half a second more, on average."""


def parse_http_date(value: str) -> float | None:
    """Return the epoch seconds of an HTTP date (RFC 9110, 5.6.7); None where it is none."""
    try:
        date = parsedate_to_datetime(value)
        # Without a time zone it is in UTC, as every HTTP date.
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def clock_offset(date: str, at: float) -> float | None:
    """Return by how many seconds the clock is ahead that wrote *date*; None where it is none.

    *at* is when it was written, in epoch seconds by our clock. Right to half a second.
    """
    written = parse_http_date(date)
    return None if written is None else written + _HALF_A_SECOND - at
