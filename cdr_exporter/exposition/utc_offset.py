"""How far the clocks of a time zone are ahead of UTC, and how long they stay so.

Rule: a zone is loaded elsewhere, since that reads files; what is asked of it is arithmetic.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import datetime, tzinfo
from math import floor

_AHEAD = 900
"""Seconds looked ahead, in which no zone changes twice.

Longer would cost less, but how long an offset stays is waited for by the steady clock: a wall clock
that was set meanwhile is noticed this late at most.
"""


def utc_offset(zone: tzinfo, wall: float) -> float:
    """Return by how many seconds *zone* is ahead of UTC at *wall*, in epoch seconds."""
    offset = datetime.fromtimestamp(wall, zone).utcoffset()
    return offset.total_seconds() if offset is not None else 0.0


def stays_for(zone: tzinfo, wall: float) -> float:
    """Return for how many seconds from *wall* that is certain to hold; it changes on the second."""
    is_now = utc_offset(zone, wall)
    first = floor(wall) + 1
    seconds = range(first, first + _AHEAD - 1)
    return first + bisect_left(seconds, True, key=lambda at: utc_offset(zone, at) != is_now) - wall
