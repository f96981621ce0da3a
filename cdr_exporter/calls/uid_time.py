"""When a call began, from its uid: its first leg may not have been seen yet. Pure.

Where rows turn up at their start, the first leg of a long call stands far below its last one. Known
(seen in the field): a uid begins with the start of the call, `YYYYMMDDHHMMSS`, by the local clock
of the PBX. Guessed: that clock's offset from UTC, from the first legs of other calls. Where a uid
begins otherwise, the earliest leg that was seen says when the call began.
"""

from __future__ import annotations

from calendar import timegm
from collections.abc import Iterable
from dataclasses import dataclass

from ..cdr import Record

_DIGITS = 14
_QUARTER = 900
"""Seconds: offsets from UTC differ by quarters of an hour."""

_MOST_OFFSET = 14 * 3600
"""Seconds: no clock is further from UTC."""

_KEPT = 200
"""From how many first legs the offset is taken: after a clock change it is right again soon."""


@dataclass(frozen=True, slots=True)
class UIDTime:
    """Tells when calls began, by the *offsets* of the PBX's clock that first legs have told."""

    offsets: tuple[int, ...] = ()

    def learnt_from(self, rows: Iterable[Record]) -> UIDTime:
        """Return it with what *rows* tell, of which some are the first legs of their calls."""
        found = [offset for row in rows if (offset := _offset_of(row)) is not None]
        return UIDTime((*self.offsets, *found)[-_KEPT:]) if found else self

    def started_at(self, uid: str, earliest: int) -> int:
        """Return when the call *uid* began, whose *earliest* known leg is given; epoch seconds."""
        local = _local_time(uid)
        # A leg that is not the first tells an offset that is too small, and so a start too late.
        if local is None or not self.offsets:
            return earliest
        return min(earliest, local - max(self.offsets))


def _offset_of(row: Record) -> int | None:
    """Return the offset from UTC that *row* tells if it is the first leg of its call."""
    local = _local_time(row.uid)
    offset = None if local is None else local - row.started_at
    if offset is None or offset % _QUARTER or abs(offset) > _MOST_OFFSET:
        return None
    return offset


def _local_time(uid: str) -> int | None:
    """Return the time that *uid* begins with, in seconds as if it were UTC; None without any."""
    digits = uid[:_DIGITS]
    if len(digits) < _DIGITS or not digits.isascii() or not digits.isdigit():
        return None
    year, month, day = int(digits[:4]), int(digits[4:6]), int(digits[6:8])
    if not (1 <= month <= 12 and 1 <= day <= 31 and year >= 1970):
        return None
    clock = (int(digits[8:10]), int(digits[10:12]), int(digits[12:14]))
    return timegm((year, month, day, *clock))
