"""The metrics of one PBX at one instant, frozen: what a scrape sees.

Rule: after a commit the poller makes a new snapshot and replaces the older one by assigning one
reference. So a reader sees whole pages only, and needs no lock. What changes with time alone (the
end of a birth hold, silence of the PBX) is computed when it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count

from ..clock import Now
from .quarters import Quarters
from .totals import NOT_SHOWN_YET, Series, Totals, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The metrics of one PBX. *totals* are durable; *own* and *gauges* start with the process.

    *shown* says that nothing is left unread, so that the series of rows and calls may be shown.
    They are until *fresh_until* (steady clock), which is `stale_after` after the last valid page.
    *birth_hold* is in seconds. *attempted* is set once a poll has ended, well or not. *failure*
    says why the last poll failed, without secrets, and *failure_reason* as a label value, empty
    where it has none; both are empty after a success. *quarters* are the calls by their start.
    *in_first_read* is set while the whole table is read for the first time. *number* is higher in a
    newer snapshot.
    """

    pbx: str
    totals: Totals = field(default_factory=Totals)
    own: Mapping[Series, Value] = field(default_factory=dict)
    gauges: Mapping[Series, float] = field(default_factory=dict)
    shown: bool = False
    fresh_until: float = 0.0
    birth_hold: float = 0.0
    attempted: bool = False
    failure: str = ""
    failure_reason: str = ""
    quarters: Quarters = field(default_factory=Quarters)
    in_first_read: bool = False
    number: int = field(default_factory=count(1).__next__, compare=False)

    def shows_calls(self, now: Now) -> bool:
        """Say whether the series of rows and calls are shown at *now*."""
        return self.shown and now.steady < self.fresh_until

    def is_shown_at_zero(self, born: float, now: Now) -> bool:
        """Say whether a series that was born at *born* is shown at 0 at *now*.

        A clock that was set back ends the birth hold early instead of making it longer.
        """
        return born == NOT_SHOWN_YET or 0 <= now.wall - born < self.birth_hold

    def next_change(self, now: Now) -> float:
        """Return in how many seconds from *now* time alone changes what is shown, or infinity."""
        births = set(self.totals.born.values())
        waits = [
            born + self.birth_hold - now.wall
            for born in births
            if born != NOT_SHOWN_YET and self.is_shown_at_zero(born, now)
        ]
        if self.shows_calls(now):
            waits.append(self.fresh_until - now.steady)
        return min(waits, default=float("inf"))
