"""How far a time zone is ahead of UTC, and for how long this stays the same.

Rule: nothing here reads a file. Loading a zone does, so the caller passes one that is loaded.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import datetime, tzinfo
from math import floor

_LOOK_AHEAD_SECONDS = 900
"""How far ahead a change is searched for; no zone changes twice within that time.

A longer time would cost less. But the result is measured by the steady clock, so that a wall clock
which is set in the meantime is noticed after this many seconds at the latest.
"""


def utc_offset(zone: tzinfo, wall: float) -> float:
    """Return by how many seconds *zone* is ahead of UTC at *wall*, in epoch seconds."""
    offset = datetime.fromtimestamp(wall, zone).utcoffset()
    return offset.total_seconds() if offset is not None else 0.0


def seconds_until_change(zone: tzinfo, wall: float) -> float:
    """Return for how many seconds from *wall* (epoch seconds) the offset is certain to stay.

    At most `_LOOK_AHEAD_SECONDS`. Offsets change on whole seconds.
    """
    current = utc_offset(zone, wall)
    first = floor(wall) + 1
    seconds = range(first, first + _LOOK_AHEAD_SECONDS - 1)
    if utc_offset(zone, seconds[-1]) == current:  # nearly always, and then nothing is searched for
        return first + len(seconds) - wall
    change = bisect_left(seconds, True, key=lambda second: utc_offset(zone, second) != current)
    return first + change - wall
