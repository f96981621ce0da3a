"""What is made of a page once it is judged: counted, committed with its ledger, told of.

Rule: one commit a page, of ledger and totals together, so the process may be killed between any
two statements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .catalogue import (
    INGEST_DELAY,
    LAST_RECORD,
    LATE_RECORDS,
    LINEAGE_BREAKS,
    PRE_BREAK_RECORDS,
    REUSED_IDS,
    STATE_WRITE_OK,
)
from .clock import Clock
from .counting import PageCount
from .ledger import Ledger, Range, Terms, Verdict
from .paging import Page
from .record import Record
from .settings import PBX
from .showing import Showing
from .store import Store
from .tally import THERE_ALWAYS, Bounds, Totals
from .vitals import Vitals


class Books:
    """The ledger and the totals of one PBX. *committed* is called after each page."""

    def __init__(
        self,
        pbx: PBX,
        store: Store,
        *,
        vitals: Vitals,
        bounds: Bounds,
        clock: Clock,
        committed: Callable[[], None],
    ) -> None:
        self.showing = Showing(pbx.stale_after, pbx.birth_hold)
        self.terms = Terms(pbx.late_window, pbx.longest_call)
        self._max_trunks = pbx.max_trunks
        self._store = store
        self._vitals = vitals
        self._bounds = bounds
        self._clock = clock
        self._committed = committed
        self._newest = 0

    @property
    def ledger(self) -> Ledger | None:
        """What is known of the table; None before the first row was seen."""
        return self._store.ledger

    @property
    def totals(self) -> Totals:
        """What was counted."""
        return self._store.totals

    @property
    def holes(self) -> tuple[Range, ...]:
        """What is still to be read, newest first."""
        return self.ledger.holes if self.ledger is not None else ()

    @property
    def due(self) -> tuple[Range, ...]:
        """What is to be read again by now, newest first."""
        if self.ledger is None:
            return ()
        return self.ledger.due(self._clock.now().wall, self.terms)

    @property
    def all_read(self) -> bool:
        """Whether all that may bring late rows was read once since the process began."""
        return self.ledger is None or all(gap.read for gap in self.ledger.gaps)

    @property
    def state_was_lost(self) -> bool:
        """Whether an unusable state was set aside here, ever."""
        return any(self._store.resets.values())

    def keep(self, verdict: Verdict, page: Page, totals: Totals, *, baseline: bool) -> None:
        """Add what *verdict* says is new of *page* to *totals*, and commit it with the ledger.

        A *baseline* is shown as it stands; whatever comes later is first shown at 0.
        """
        self.showing.mind_silence(self._clock.now())
        if verdict.ledger == self.ledger:
            self._store.note(verdict.ledger)
            self.note_page(page.rows)
            return
        born_at = THERE_ALWAYS if baseline else self.showing.birth(self._clock.now())
        self._commit(verdict.ledger, self._added(verdict, totals, born_at))
        self.note_page(page.rows)
        if not baseline:
            self._note_delays(verdict.counted)
        self._committed()

    def settle_births(self) -> None:
        """Commit what the clock alone has changed."""
        settled = self.showing.settled(self.totals, self._clock.now())
        if self.ledger is not None and settled is not self.totals:
            self._commit(self.ledger, settled)

    def note_page(self, rows: Iterable[Record]) -> None:
        """Note that a valid page came."""
        self.showing.note_page(self._clock.now())
        newest = max((row.started_at for row in rows), default=0)
        if newest > self._newest:
            self._newest = newest
            self._vitals.set(LAST_RECORD, newest)

    def _added(self, verdict: Verdict, totals: Totals, born_at: float) -> Totals:
        count = PageCount(self._bounds, totals.trunks, self._max_trunks)
        count.add(verdict.counted)
        count.reject(verdict.rejected)
        count.event(LATE_RECORDS, verdict.late)
        count.event(REUSED_IDS, verdict.reused)
        count.event(PRE_BREAK_RECORDS, verdict.pre_break)
        count.event(LINEAGE_BREAKS, int(verdict.broke))
        return totals.merged(count.series(), count.trunks, born_at)

    def _commit(self, ledger: Ledger, totals: Totals) -> None:
        self._vitals.set(STATE_WRITE_OK, 0)
        self._store.commit(ledger, totals)
        self._vitals.set(STATE_WRITE_OK, 1)

    def _note_delays(self, counted: Iterable[Record]) -> None:
        now = int(self._clock.now().wall)
        ended = (row.ended_at for row in counted if row.started_at)
        self._vitals.observe(INGEST_DELAY, (max(0, now - at) for at in ended))
