"""When the calls of a PBX are shown, and when a label set is born. Pure: *now* is an argument.

After a start, and after a silence of `stale_after`, the totals are behind the PBX by as many rows
as ended meanwhile. Shown while it catches up, they would rise by all of these within a few
scrapes: a false spike. So they are hidden until no hole is left.

A label set that comes to be is first shown at 0, for `birth_hold`, so that Prometheus sees its
first rise. One that comes to be while hidden is born when it is first shown. Both the birth and
the end of that time are kept: after a restart, by a clock that was set back, nothing that stood
at its value may stand at 0 again.
"""

from __future__ import annotations

from ..clock import Now
from ..metrics.totals import NOT_SHOWN_YET, SHOWN_FROM_START, Totals


class Visibility:
    """Of one PBX. *shown* and *fresh_until* (steady clock) are what a snapshot says."""

    def __init__(self, stale_after: float, birth_hold: float) -> None:
        self.shown = False
        self.fresh_until = 0.0
        self._stale_after = stale_after
        self._birth_hold = birth_hold

    def hide_if_stale(self, now: Now) -> None:
        """Keep hidden what was hidden by the clock, until it is caught up with."""
        if now.steady >= self.fresh_until:
            self.shown = False

    def saw_page(self, now: Now) -> None:
        """Note that a valid page came, and was committed."""
        self.fresh_until = now.steady + self._stale_after

    def born_at(self, now: Now) -> float:
        """Return when a label set is born that comes to be at *now*."""
        return now.wall if self.shown else NOT_SHOWN_YET

    def with_births(self, totals: Totals, now: Now) -> Totals:
        """Return *totals* with births as they are now, the same object where none changed."""
        over = {
            born: SHOWN_FROM_START
            for born in set(totals.born.values())
            if born > 0 and not 0 <= now.wall - born < self._birth_hold
        }
        return totals.with_births_replaced(over | ({NOT_SHOWN_YET: now.wall} if self.shown else {}))
