"""When the series of a PBX are shown, and when each was born. Pure: the time is an argument.

After a start, and after the PBX was silent for `stale_after`, the totals lack the rows that ended
meanwhile. Shown while they catch up, they would rise by all of these within a few scrapes: a false
spike. So the series of rows and calls are hidden until no range is left unread.

A new series is first shown at 0, for `birth_hold` seconds, so that Prometheus sees its first
rise. A series that is new while hidden is born when it is first shown. The birth is saved, and so
is the end of those seconds: otherwise a series that was shown at its value could fall back to 0
after a restart, with a clock that was set back.
"""

from __future__ import annotations

from ..clock import Now
from ..metrics.totals import NOT_SHOWN_YET, SHOWN_FROM_START, Totals


class Visibility:
    """Whether the series of one PBX are shown; *stale_after* and *birth_hold* are in seconds.

    *shown* is set once nothing is left unread. *fresh_until* is when the PBX counts as silent
    unless another page comes, by the steady clock. Both go into every snapshot.
    """

    def __init__(self, stale_after: float, birth_hold: float) -> None:
        self.shown = False
        self.fresh_until = 0.0
        self._stale_after = stale_after
        self._birth_hold = birth_hold

    def hide_if_stale(self, now: Now) -> None:
        """Clear *shown* once the PBX was silent for too long, until it is caught up with again."""
        if now.steady >= self.fresh_until:
            self.shown = False

    def saw_page(self, now: Now) -> None:
        """Note that a valid page came: the PBX is not silent."""
        self.fresh_until = now.steady + self._stale_after

    def born_at(self, now: Now) -> float:
        """Return the birth of a series that is new at *now*: epoch seconds, or `NOT_SHOWN_YET`."""
        return now.wall if self.shown else NOT_SHOWN_YET

    def with_births(self, totals: Totals, now: Now) -> Totals:
        """Return *totals* with the births of *now*: the same object where none has changed.

        A series is born when it is shown; one whose `birth_hold` is over counts as always shown.
        """
        over = {
            born: SHOWN_FROM_START
            for born in set(totals.born.values())
            if born > 0 and not 0 <= now.wall - born < self._birth_hold
        }
        return totals.with_births_replaced(over | ({NOT_SHOWN_YET: now.wall} if self.shown else {}))
