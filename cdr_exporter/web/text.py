"""Numbers and times as people read them. Pure."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from ..clock import Now

_UNITS = (
    ("s", 1, 90),
    ("min", 60, 5400),
    ("h", 3600, 172_800),
    ("days", 86_400, math.inf),
)
"""Units of time: name, seconds, and the number of seconds below which it is used."""

UNKNOWN = "\u2013"


def number(value: float | None) -> str:
    """Return a count with separators, a dash where it is unknown."""
    return f"{value:,.0f}" if value is not None and math.isfinite(value) else UNKNOWN


def percent(share: float | None) -> str:
    """Return a share as whole per cent; what is not all is never shown as 100 %."""
    if share is None:
        return UNKNOWN
    shown = math.floor(share * 100) if share > 0.995 else round(share * 100)
    return f"{shown}\u00a0%"


def seconds(value: float | None) -> str:
    """Return a duration as a length of time, a dash where it is unknown."""
    return UNKNOWN if value is None else duration(value)


def duration(value: float) -> str:
    """Return *value* (seconds) as a whole number of the unit that `_UNITS` gives for it."""
    unit, size = next((u, size) for u, size, limit in _UNITS if value < limit)
    return f"{value / size:.0f} {unit}"


def quarters(count: int) -> str:
    """Return how long *count* quarters of an hour are, exactly."""
    hours, minutes = divmod(count * 15, 60)
    parts = [f"{hours} h"] * (hours > 0) + [f"{minutes} min"] * (minutes > 0)
    return " ".join(parts)


def utc_text(epoch: float) -> str:
    """Return *epoch* as a date and time in UTC, or nothing if it is outside the calendar."""
    try:
        return f"{datetime.fromtimestamp(epoch, UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError, OSError):
        return ""


def time_html(epoch: float | None, now: Now) -> str:
    """Return how long ago *epoch* was and its date, as HTML."""
    if epoch == 0:
        return "never"
    if epoch is None or not (date := utc_text(epoch)):
        return UNKNOWN
    ago = now.wall - epoch
    relative = f"{duration(ago)} ago" if ago >= 0 else f"in {duration(-ago)}"
    machine = f"{datetime.fromtimestamp(epoch, UTC):%Y-%m-%dT%H:%M:%SZ}"
    return f'<time datetime="{machine}">{relative}</time><small>{date}</small>'
