"""What one PBX looks like from outside at one instant, frozen.

Rule: a poller puts a new snapshot in place of the old one by one reference, after the commit.
Whoever reads it holds whole pages and waits for nobody. What changes by the clock alone (births,
silence) is not in it; it is asked for with *now*.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count

from ..clock import Now
from .totals import NOT_SHOWN_YET, Series, Totals, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One PBX: *totals* are durable, *own* and *gauges* are about this process.

    *shown* says that the call families may be seen: holes of the start are read. They stay so
    until *fresh_until* (steady clock), *stale_after* seconds after the last valid page.
    *attempted* is set once a poll ended, whatever came of it. *trouble* is what the last poll
    failed with, in words that hold no secret. *number* tells the newer of two.
    """

    pbx: str
    totals: Totals = field(default_factory=Totals)
    own: Mapping[Series, Value] = field(default_factory=dict)
    gauges: Mapping[Series, float] = field(default_factory=dict)
    shown: bool = False
    fresh_until: float = 0.0
    birth_hold: float = 0.0
    attempted: bool = False
    trouble: str = ""
    number: int = field(default_factory=count(1).__next__, compare=False)

    def shows_calls(self, now: Now) -> bool:
        """Say whether the call families are to be seen at *now*."""
        return self.shown and now.steady < self.fresh_until

    def is_shown_at_zero(self, born: float, now: Now) -> bool:
        """Say whether a series born at *born* still stands at 0, for a scrape to see it so.

        A clock that was set back ends the hold rather than to prolong it.
        """
        return born == NOT_SHOWN_YET or 0 <= now.wall - born < self.birth_hold

    def next_change(self, now: Now) -> float:
        """Return in how many seconds from *now* this looks different though nothing happens."""
        births = set(self.totals.born.values())
        waits = [
            born + self.birth_hold - now.wall
            for born in births
            if born != NOT_SHOWN_YET and self.is_shown_at_zero(born, now)
        ]
        if self.shows_calls(now):
            waits.append(self.fresh_until - now.steady)
        return min(waits, default=float("inf"))
