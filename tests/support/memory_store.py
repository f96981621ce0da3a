"""A store in memory, for tests that start the poller again thousands of times.

It keeps what a change says, row by row as a database does, and not the state that the change came
from: so a change that leaves something out is noticed.
"""

from __future__ import annotations

from dataclasses import replace

from cdr_exporter.calls import TrackedCalls
from cdr_exporter.errors import StateInDoubt, StateNotWritten, StateReplaced
from cdr_exporter.ingest import FirstShown, KeptState, LedgerChange, StateChange, TotalsChange
from cdr_exporter.ledger import Ledger
from cdr_exporter.metrics.catalogue import RECORDS, STATE_RESETS
from cdr_exporter.metrics.quarters import Cells, Coverage, QuarterChange, quarters_of
from cdr_exporter.metrics.totals import Series, Totals, Value, initial_totals


class MemoryStore:
    """What a store keeps, over restarts, without a disk; *full* lets the next commits fail.

    *replaced* says that somebody has taken it away: what was kept is there no more. *in_doubt* lets
    the answer to the next commit be lost: True where the commit lands all the same.
    """

    def __init__(self) -> None:
        self.full = False
        self.replaced = False
        self.in_doubt: bool | None = None
        self._landed: bool | None = None
        self._forget_all()

    def _forget_all(self) -> None:
        self._facts: Ledger | None = None
        self._identities: dict[int, int] = {}
        self._series: dict[Series, Value] = {}
        self._born: dict[Series, float] = {}
        self._calls = TrackedCalls()
        self._quarters: dict[int, Cells] = {}
        self._coverage = Coverage()
        self._first_shown: FirstShown | None = None

    def load(self) -> KeptState:
        """Return what a new process finds."""
        self._landed = None
        return KeptState(
            ledger=self._ledger(),
            totals=self._totals(),
            calls=self._calls,
            quarters=quarters_of(sorted(self._quarters.items()), self._coverage),
            first_shown=self._first_shown,
            resets=dict.fromkeys(STATE_RESETS, 0.0),
        )

    def commit(self, change: StateChange) -> None:
        """Keep *change*, or nothing of it where the store is full."""
        if self._landed is not None:
            raise StateInDoubt("nobody asked whether the commit before is kept")
        if self.replaced:
            raise StateReplaced("taken away")
        if self.full:
            raise StateNotWritten("full")
        self._landed, self.in_doubt = self.in_doubt, None
        if self._landed is not False:
            self._keep(change)
        if self._landed is not None:
            raise StateInDoubt("the answer was lost")

    def landed(self) -> bool:
        """Say whether the commit in doubt was kept."""
        if self.replaced:
            raise StateReplaced("taken away")
        if self.full:
            raise StateNotWritten("full")
        landed, self._landed = self._landed, None
        return bool(landed)

    def _keep(self, change: StateChange) -> None:
        if change.ledger is not None:
            self._keep_ledger(change.ledger)
        if change.totals is not None:
            self._keep_totals(change.totals)
        if change.quarters is not None:
            self._keep_quarters(change.quarters)
        self._calls = self._calls.after(change.calls)
        self._first_shown = self._first_shown or change.first_shown

    def rewrite(self, kept: KeptState) -> None:
        """Keep *kept* alone, or nothing where the store is full."""
        if self.full:
            raise StateNotWritten("full")
        self.replaced, self._landed = False, None
        self._forget_all()
        self._keep(kept.as_change)

    def close(self) -> None:
        """Nothing is open."""

    def _keep_ledger(self, change: LedgerChange) -> None:
        for each in change.forgotten:
            del self._identities[each]
        self._identities.update(change.remembered)
        id_ledger = change.after.id_ledger
        if not change.id_ledger_changed and self._facts is not None:
            id_ledger = self._facts.id_ledger
        self._facts = replace(change.after, remembered={}, id_ledger=id_ledger)

    def _ledger(self) -> Ledger | None:
        if self._facts is None:
            return None
        recheck = tuple(replace(each, last_read=0.0) for each in self._facts.recheck)
        return replace(self._facts, recheck=recheck, remembered=dict(self._identities))

    def _keep_totals(self, change: TotalsChange) -> None:
        for key in change.changed:
            self._series[key] = change.after.series[key]
            self._born.setdefault(key, change.after.born[key])
        for key in change.reborn:
            self._born[key] = change.after.born[key]

    def _totals(self) -> Totals:
        trunks = {key.labels[2] for key in self._series if key.family == RECORDS.name} - {"other"}
        at_zero = initial_totals(trunks)
        series, born = {**at_zero.series, **self._series}, {**at_zero.born, **self._born}
        return Totals(series, born, at_zero.trunks)

    def _keep_quarters(self, change: QuarterChange) -> None:
        for quarter in [q for q in self._quarters if q < change.dropped_before]:
            del self._quarters[quarter]
        self._quarters.update(change.written)
        self._coverage = change.after.coverage
