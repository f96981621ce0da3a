"""Which rows were counted before, told by when their calls ended: for after a lineage break.

Where ids begin anew, or a backup was put back, no id and no place tells an old row from a new
one. But calls that ended before the newest one counted were counted, or lay before the start.
So from a break on, what ended up to `break_end` is left out. An undercount that shows is
preferred to counting twice.

By time, a start at now is such a break too, for as long as its first read goes on: what ended
before it is there already, wherever it stands.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..cdr import Record

NO_BREAK = -1
_MAX_LEAD = 86_400
"""Seconds: ends so far beyond our clock are of a wrong one, and would hide all that come after."""

_MAX_FUTURE_ROWS = 64
"""Rows with a wrong clock known one by one; if there are more, the PBX's clock is just so."""


@dataclass(frozen=True, slots=True)
class Watermark:
    """Which ends of calls were processed already, in epoch seconds by the PBX's clock.

    *newest_end* is the newest end that was counted or left out; *break_end* is what it was at the
    last break, `NO_BREAK` where there was none. *future_rows* are the fingerprints of rows that
    ended too far in the future to move *newest_end*.
    """

    newest_end: int = 0
    break_end: int = NO_BREAK
    future_rows: tuple[int, ...] = ()

    @property
    def has_break(self) -> bool:
        """Whether there ever was a break."""
        return self.break_end != NO_BREAK

    def may_predate_break(self, row: Record) -> bool:
        """Say whether *row* may have been counted before the last break."""
        return self.has_break and self._ended_by_break(row)

    def is_after_break(self, row: Record, now: float) -> bool:
        """Say whether *row* ended after what is left out, by a clock that may be right at *now*."""
        return self.has_break and not self._ended_by_break(row) and not is_in_future(row, now)

    def _ended_by_break(self, row: Record) -> bool:
        return row.ended_at <= self.break_end or row.fingerprint in self.future_rows

    def may_be_processed(self, row: Record) -> bool:
        """Say whether *row* may have been done with: none was that ended later."""
        return row.ended_at <= self.newest_end or row.fingerprint in self.future_rows

    def after(self, rows: Iterable[Record], now: float) -> Watermark:
        """Return the watermark once *rows* are done with, at *now*."""
        # Not `ended_at`, of which a million calls are felt; without a start both are long ago.
        newest_end = max([row.started_at + row.duration for row in rows], default=0)
        if newest_end <= self.newest_end:
            return self
        if newest_end <= now + _MAX_LEAD:
            return replace(self, newest_end=newest_end)
        return self._with_future_rows(rows, now + _MAX_LEAD)

    def with_break(self, end: int | None = None) -> Watermark:
        """Return the watermark after a break, *end* what end if not at the newest."""
        return replace(self, break_end=self.newest_end if end is None else end)

    def without_break(self) -> Watermark:
        """Return the watermark as if there never was a break."""
        return replace(self, break_end=NO_BREAK)

    def _with_future_rows(self, rows: Iterable[Record], latest: float) -> Watermark:
        newest_end, future_rows = self.newest_end, list(self.future_rows)
        for row in rows:
            if row.ended_at <= latest or len(future_rows) >= _MAX_FUTURE_ROWS:
                newest_end = max(newest_end, row.ended_at)
            elif row.fingerprint not in future_rows:
                future_rows.append(row.fingerprint)
        return replace(self, newest_end=newest_end, future_rows=tuple(future_rows))


def is_in_future(row: Record, now: float) -> bool:
    """Say whether *row* ended so far beyond *now* that it was written by a wrong clock."""
    return row.ended_at > now + _MAX_LEAD
