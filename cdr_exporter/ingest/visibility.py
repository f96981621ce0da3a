"""Whether the series of a PBX are shown, and when each was born. Pure: the time is an argument.

After a start, and after the PBX was silent for `stale_after`, the totals lack the rows that ended
meanwhile. Shown while they catch up, they would rise by all of these within a few scrapes: a false
spike. So the series of rows and calls are hidden until a poll has read all there is.

A new series is first shown at 0, for `birth_hold` seconds, so that Prometheus sees its first
rise. A series that is new while hidden is born when it is first shown. The birth is saved, and so
is the end of those seconds: otherwise a series that was shown at its value could fall back to 0
after a restart, with a clock that was set back.

The series of a baseline appear at their full value, once it is complete.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ..clock import Now
from ..metrics.totals import NOT_SHOWN_YET, SHOWN_FROM_START, Totals


class FirstShown(NamedTuple):
    """When the series of rows and calls were first shown: *at*, in epoch seconds.

    With *baseline* they held every row that the PBX had then (`start: all`). Whatever ended before
    *settled_until* (epoch seconds, the PBX's clock) was read by then: it is in the baseline, or
    lies before the start.
    """

    at: float
    baseline: bool
    settled_until: float


@dataclass(frozen=True, slots=True)
class Visibility:
    """Whether the series of one PBX are *shown*, until *fresh_until* (steady clock, seconds).

    That is when the PBX counts as silent unless another page comes. *in_baseline* is set from the
    first page of a baseline until it is shown.
    """

    shown: bool = False
    fresh_until: float = 0.0
    in_baseline: bool = False

    def after_page(
        self, now: Now, stale_after: float, *, starts_reading: bool, in_baseline: bool
    ) -> Visibility:
        """Return it after a valid page; *stale_after* is in seconds.

        *starts_reading* says that it is the first page of a first read of the table, *in_baseline*
        that it is of a baseline.
        """
        return Visibility(
            self.shown and now.steady < self.fresh_until and not starts_reading,
            now.steady + stale_after,
            self.in_baseline or in_baseline,
        )

    def after_all_was_read(self) -> Visibility:
        """Return it after a poll that has left nothing unread."""
        return Visibility(shown=True, fresh_until=self.fresh_until)

    def born_at(self, now: Now) -> float:
        """Return the birth of a series that is new at *now*: epoch seconds, or as in `totals`."""
        if self.in_baseline:
            return SHOWN_FROM_START
        return now.wall if self.shown else NOT_SHOWN_YET

    def with_births(self, totals: Totals, now: Now, birth_hold: float) -> Totals:
        """Return *totals* with the births of *now*: the same object where none has changed.

        A series is born when it is shown; one whose *birth_hold* (seconds) is over counts as always
        shown.
        """
        over = {
            born: SHOWN_FROM_START
            for born in set(totals.born.values())
            if born > 0 and not 0 <= now.wall - born < birth_hold
        }
        return totals.with_births_replaced(over | ({NOT_SHOWN_YET: now.wall} if self.shown else {}))
