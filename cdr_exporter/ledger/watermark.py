"""Which rows were counted before, told by when their calls ended: for after a lineage break.

Where ids begin anew, or a backup was put back, no id and no place tells an old row from a new
one. But calls that ended before the newest one counted were counted, or lay before the start.
So from a break on, what ended up to `broken_at` is left out. An undercount that shows is
preferred to counting twice.

By time, a start at now is such a break too, for as long as its first read goes on: what ended
before it is there already, wherever it stands.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..cdr import Record

NEVER = -1
_FUTURE = 86_400
"""Seconds: ends so far beyond our clock are of a wrong one, and would hide all that come after."""

_KNOWN_AHEAD = 64
"""Rows with a wrong clock known one by one; if there are more, the PBX's clock is just so."""


@dataclass(frozen=True, slots=True)
class Watermark:
    """*newest* is the newest end counted or left out, *broken_at* what it was at the last break.

    *ahead* are fingerprints of rows that ended in the future.
    """

    newest: int = 0
    broken_at: int = NEVER
    ahead: tuple[int, ...] = ()

    @property
    def is_set(self) -> bool:
        """Whether there ever was a break."""
        return self.broken_at != NEVER

    def hides(self, row: Record) -> bool:
        """Say whether *row* may have been counted before the last break."""
        return self.is_set and self._covers(row)

    def passed_by(self, row: Record, now: float) -> bool:
        """Say whether *row* ended after what is left out, by a clock that may be right at *now*."""
        return self.is_set and not self._covers(row) and not is_ahead(row, now)

    def _covers(self, row: Record) -> bool:
        return row.ended_at <= self.broken_at or row.fingerprint in self.ahead

    def reaches(self, row: Record) -> bool:
        """Say whether *row* may have been done with: none was that ended later."""
        return row.ended_at <= self.newest or row.fingerprint in self.ahead

    def after(self, rows: Iterable[Record], now: float) -> Watermark:
        """Return the watermark once *rows* are done with, at *now*."""
        # Not `ended_at`, of which a million calls are felt; without a start both are long ago.
        newest = max([row.started_at + row.duration for row in rows], default=0)
        if newest <= self.newest:
            return self
        if newest <= now + _FUTURE:
            return replace(self, newest=newest)
        return self._with_ahead(rows, now + _FUTURE)

    def broken(self, at: int | None = None) -> Watermark:
        """Return the watermark after a break, *at* what end if not at the newest."""
        return replace(self, broken_at=self.newest if at is None else at)

    def whole(self) -> Watermark:
        """Return the watermark as if there never was a break."""
        return replace(self, broken_at=NEVER)

    def _with_ahead(self, rows: Iterable[Record], latest: float) -> Watermark:
        newest, ahead = self.newest, list(self.ahead)
        for row in rows:
            if row.ended_at <= latest or len(ahead) >= _KNOWN_AHEAD:
                newest = max(newest, row.ended_at)
            elif row.fingerprint not in ahead:
                ahead.append(row.fingerprint)
        return replace(self, newest=newest, ahead=tuple(ahead))


def is_ahead(row: Record, now: float) -> bool:
    """Say whether *row* ended so far beyond *now* that it was written by a wrong clock."""
    return row.ended_at > now + _FUTURE
