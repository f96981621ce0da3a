"""Which rows were counted before a break of the lineage, judged by when their calls ended.

Where ids begin again at 1, or an old backup was restored, an old row cannot be told from a new one
by its id or its place in the list. But a call that ended before the newest call counted was counted
itself, or was there before the start. So from a break on, rows that ended up to `break_end` are
left out.
That may leave out rows that were never counted, and is preferred to counting rows twice:
`cdr_exporter_pre_break_records_total` shows how many were left out.

By time, a start with `start: now` is treated as such a break while its first read goes on: what
ended before it is there already, wherever it stands in the list.

All this goes by the PBX's clock alone, which may be hours or a day away from ours. Only an end that
is impossible, before 2000 or more than a day ahead of us, does not move the watermark: after a
break, it would leave out everything that follows. Such ends are noted beside it, and a row whose
end is one of them may have been counted, too. They are kept as ranges: one row, or the rows of a
bad hour, cost nobody else anything. The rows of a PBX whose whole clock is days ahead make ranges
that grow at their upper end, so that after a break its new rows count as they do with a right one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from ..cdr import Record
from ..cdr.record import EARLIEST
from .ranges import Range, merge

NO_BREAK = -1

_MAX_LEAD = 86_400
"""Seconds. An end that is further ahead of our clock is taken for a wrong clock's."""

_MAX_IMPOSSIBLE_ENDS = 64
"""How many ranges of impossible ends are kept. Of more, those become one that are nearest to each
other: what ended between them may be left out after a break, though it was never counted."""


@dataclass(frozen=True, slots=True)
class Watermark:
    """Which ends of calls were processed already, in epoch seconds by the PBX's clock.

    *newest_end* is the newest end that was counted or left out; *break_end* is what it was at the
    last break, `NO_BREAK` where there was none. *impossible_ends* are ranges of ends later than
    *newest_end* that were impossible when they were counted or left out, newest first.
    """

    newest_end: int = 0
    break_end: int = NO_BREAK
    impossible_ends: tuple[Range, ...] = ()

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
        return row.ended_at <= self.break_end or self._is_impossible_end(row.ended_at)

    def may_be_processed(self, row: Record) -> bool:
        """Say whether *row* may be processed: no row that ended later was."""
        return row.ended_at <= self.newest_end or self._is_impossible_end(row.ended_at)

    def _is_impossible_end(self, end: int) -> bool:
        return any(low <= end <= high for low, high in self.impossible_ends)

    def after(self, rows: Iterable[Record], now: float) -> Watermark:
        """Return the watermark once *rows* are processed, at *now* (epoch seconds)."""
        # `ended_at` inlined: over a million rows the property call is measurable. It differs only
        # for rows without a start, where both lie far in the past.
        newest_end = max([row.started_at + row.duration for row in rows], default=0)
        if newest_end <= self.newest_end:
            return self
        if is_possible(newest_end, now) and not self.impossible_ends:
            return replace(self, newest_end=newest_end)
        return self._after_ends({row.ended_at for row in rows}, now)

    def with_break(self, end: int | None = None) -> Watermark:
        """Return the watermark after a break at *end* (epoch seconds), else at the newest end."""
        return replace(self, break_end=self.newest_end if end is None else end)

    def without_break(self) -> Watermark:
        """Return the watermark as if there never was a break."""
        return replace(self, break_end=NO_BREAK)

    def _after_ends(self, ends: Collection[int], now: float) -> Watermark:
        possible = {end for end in ends if is_possible(end, now)}
        newest_end = max([self.newest_end, *possible])
        impossible = [(end, end) for end in ends if end > newest_end and end not in possible]
        later = [each for each in self.impossible_ends if each[1] > newest_end]
        impossible_ends = _at_most(_MAX_IMPOSSIBLE_ENDS, merge([*later, *impossible]))
        return replace(self, newest_end=newest_end, impossible_ends=impossible_ends)


def is_possible(time: int, now: float) -> bool:
    """Say whether a PBX's clock that is right, or off by a day at most, can show *time* at *now*.

    Both are in epoch seconds; what is before 2000 is no time of a call either.
    """
    return EARLIEST <= time <= now + _MAX_LEAD


def is_in_future(row: Record, now: float) -> bool:
    """Say whether *row* ended so far after *now* that a wrong clock must have written it."""
    return row.ended_at > now + _MAX_LEAD


def _at_most(most: int, ranges: Sequence[Range]) -> tuple[Range, ...]:
    """Return *ranges*, newest first, the nearest joined where there are more than *most*."""
    surplus = len(ranges) - most
    if surplus <= 0:
        return tuple(ranges)
    distances = sorted(above[0] - below[1] for above, below in pairwise(ranges))
    return merge(ranges, distances[surplus - 1])
