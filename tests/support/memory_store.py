"""A store in memory, for tests that start the poller again thousands of times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from cdr_exporter.calls import CallChange, TrackedCalls
from cdr_exporter.ledger import Ledger
from cdr_exporter.metrics.quarters import QuarterChange, Quarters
from cdr_exporter.metrics.totals import Totals, initial_totals
from cdr_exporter.store import FirstShown, Store


class MemoryStore:
    """What a store holds, over restarts, without a disk. A load forgets what no commit kept."""

    def __init__(self) -> None:
        self.ledger: Ledger | None = None
        self.totals: Totals = initial_totals()
        self.resets: Mapping[str, float] = {}
        self.calls = TrackedCalls()
        self.quarters = Quarters()
        self._kept: Ledger | None = None

    def commit(
        self, ledger: Ledger, totals: Totals, calls: CallChange, quarters: QuarterChange
    ) -> None:
        """Keep what is given."""
        self._kept, self.ledger, self.totals = ledger, ledger, totals
        self.calls.apply(calls)
        self.commit_quarters(quarters)

    def commit_quarters(self, change: QuarterChange) -> None:
        """Keep what is given."""
        self.quarters = change.after

    def note_first_shown(self, first_shown: FirstShown) -> None:
        """Forget it: nobody asks."""

    def keep_read_times(self, ledger: Ledger) -> None:
        """Use this ledger until the next load."""
        self.ledger = ledger

    def loaded(self) -> Store:
        """Return this, as a new process finds it. A poller takes it for the real one."""
        kept = self._kept
        if kept is not None:
            recheck = tuple(type(gap)(gap.low, gap.high, gap.missing_since) for gap in kept.recheck)
            kept = type(kept)(
                **{name: getattr(kept, name) for name in kept.__slots__} | {"recheck": recheck}
            )
        self.ledger = self._kept = kept
        return cast(Store, self)

    def close(self) -> None:
        """Nothing is open."""
