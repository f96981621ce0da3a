"""Which rows were counted before a break of the lineage, judged by when their calls ended.

Where ids begin again at 1, or an old backup was restored, an old row cannot be told from a new one
by its id or its place in the list. But a call that ended before the newest call counted was counted
itself, or was there before the start. So from a break on, rows that ended up to `break_end` are
left out.
That may leave out rows that were never counted, and is preferred to counting rows twice:
`cdr_exporter_pre_break_records_total` shows how many were left out.

By time, a start with `start: now` is treated as such a break while its first read goes on: what
ended before it is there already, wherever it stands in the list.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..cdr import Record

NO_BREAK = -1
_EARLIEST = 946_684_800
"""The start of the year 2000, in epoch seconds: a clock that is not set begins before it."""

_MAX_LEAD = 86_400
"""Seconds. An end that is further ahead of our clock is taken for a wrong clock's. It does not move
`newest_end`, which after a break would leave out everything that follows."""

_MAX_FUTURE_ROWS = 64
"""How many rows with such an end are remembered one by one. If there are more, the PBX's clock is
taken to run ahead, and their ends count."""


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
        """Say whether *row* certainly ended after the break: no clock that runs ahead at *now*."""
        return self.has_break and not self._ended_by_break(row) and not is_in_future(row, now)

    def _ended_by_break(self, row: Record) -> bool:
        return row.ended_at <= self.break_end or row.fingerprint in self.future_rows

    def may_be_processed(self, row: Record) -> bool:
        """Say whether *row* may be processed: no row that ended later was."""
        return row.ended_at <= self.newest_end or row.fingerprint in self.future_rows

    def after(self, rows: Iterable[Record], now: float) -> Watermark:
        """Return the watermark once *rows* are processed, at *now* (epoch seconds)."""
        # `ended_at` inlined: over a million rows the property call is measurable. It differs only
        # for rows without a start, where both lie far in the past.
        newest_end = max([row.started_at + row.duration for row in rows], default=0)
        if newest_end <= self.newest_end:
            return self
        if newest_end <= now + _MAX_LEAD:
            return replace(self, newest_end=newest_end)
        return self._with_future_rows(rows, now + _MAX_LEAD)

    def with_break(self, end: int | None = None) -> Watermark:
        """Return the watermark after a break at *end* (epoch seconds), else at the newest end."""
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


def is_possible(time: int, now: float) -> bool:
    """Say whether a PBX's clock that is right, or off by a day at most, can show *time* at *now*.

    Both are in epoch seconds; what is before 2000 is no time of a call either.
    """
    return _EARLIEST <= time <= now + _MAX_LEAD


def is_in_future(row: Record, now: float) -> bool:
    """Say whether *row* ended so far after *now* that a wrong clock must have written it."""
    return row.ended_at > now + _MAX_LEAD
