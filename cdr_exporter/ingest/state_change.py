"""What a commit writes: all of it, or nothing.

Rule: a change says what differs from the state before it. A store needs nothing else to write it,
and need not know the state.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from ..calls import NO_CHANGE as NO_CALLS
from ..calls import CallChange
from ..ledger import Ledger
from ..metrics.quarters import QuarterChange
from ..metrics.totals import Series, Totals
from .visibility import FirstShown


class LedgerChange(NamedTuple):
    """The ledger *after*; of its identities, *remembered* are new, with their keys.

    *forgotten* are those that it has no more, or with another key, with the keys that they had.
    *id_ledger_changed* says that the ledger by id which came before it is another one, or is there
    no more.
    """

    after: Ledger
    remembered: Mapping[int, int] = {}
    forgotten: Mapping[int, int] = {}
    id_ledger_changed: bool = False


class TotalsChange(NamedTuple):
    """The totals *after*. Of their series, those in *changed* have other values, or are new.

    *reborn* are those that have another birth, and are not new.
    """

    after: Totals
    changed: Collection[Series] = ()
    reborn: Collection[Series] = ()


class StateChange(NamedTuple):
    """What one event changes about what is kept; None where it changes nothing of it."""

    ledger: LedgerChange | None = None
    totals: TotalsChange | None = None
    calls: CallChange = NO_CALLS
    quarters: QuarterChange | None = None
    first_shown: FirstShown | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not any((self.ledger, self.totals, *self.calls, self.quarters, self.first_shown))


NOTHING = StateChange()


def ledger_change(before: Ledger | None, after: Ledger, new: Mapping[int, int]) -> LedgerChange:
    """Return what changes from *before* to *after*; *new* are the identities that a page added."""
    known = before.remembered if before is not None else {}
    id_ledger_changed = after.id_ledger is not (before.id_ledger if before is not None else None)
    if len(after.remembered) == len(known) + len(new):
        # Nothing was forgotten, as mostly: then the others need not be looked at.
        return LedgerChange(after, new, {}, id_ledger_changed)
    known = dict(known.items())
    remembered = {each: key for each, key in after.remembered.items() if known.get(each) != key}
    gone = (known.keys() - after.remembered.keys()) | (known.keys() & remembered.keys())
    forgotten = {each: known[each] for each in gone}
    return LedgerChange(after, remembered, forgotten, id_ledger_changed)
