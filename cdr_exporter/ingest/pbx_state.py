"""The state of one PBX, and how a judged page changes it: counted, committed, published.

Rule: one commit a page, of ledger, totals, calls and quarters together, so that the process may be
killed between any two statements.

`tail` judges a page and calls `apply_page`. In there

1. the page is counted into new totals; the old ones are not touched;
2. the store commits the new ledger, the new totals and the changes of calls and quarters. A commit
   that fails raises `StateNotWritten`; all of them are as they were before the page;
3. only then `on_commit` lets the poller publish.

A page whose ledger equals the one known is not committed: it brought no row. Only the times at
which ranges were read again are taken over, in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from ..calls import NO_CHANGE, CallChange, CallRules, CallVerdict
from ..cdr import Record
from ..clock import Clock
from ..ledger import Ledger, LedgerLimits, PageVerdict, Range
from ..ledger.page import Page
from ..ledger.watermark import is_possible
from ..metrics.call_metrics import count_calls, number_zeros
from ..metrics.catalogue import (
    CUT_CALLS,
    DUPLICATE_IDS,
    INGEST_DELAY,
    LAST_RECORD,
    LATE_LEGS,
    LATE_RECORDS,
    LINEAGE_BREAKS,
    OPEN_CALLS,
    PRE_BREAK_RECORDS,
    REUSED_IDS,
    STATE_WRITE_OK,
    UNRECOGNISED_CALLEES,
)
from ..metrics.quarters import QuarterChange, Quarters
from ..metrics.row_metrics import LabelledRows, PageCount, group_by_labels
from ..metrics.self_metrics import SelfMetrics
from ..metrics.totals import SHOWN_FROM_START, Bounds, Totals, initial_totals
from ..settings import PBX
from ..store import FirstShown, Store
from .call_assembly import CallAssembler
from .visibility import Visibility


class PBXState:
    """The ledger, totals, calls and visibility of one PBX. One thread uses it, that of the poller.

    *on_commit* is called after each page that was committed.
    """

    def __init__(
        self,
        pbx: PBX,
        store: Store,
        *,
        call_rules: CallRules,
        self_metrics: SelfMetrics,
        bounds: Bounds,
        clock: Clock,
        on_commit: Callable[[], None],
    ) -> None:
        self.visibility = Visibility(pbx.stale_after, pbx.birth_hold)
        self.limits = LedgerLimits(pbx.late_window, pbx.longest_call)
        self.assembler = CallAssembler(pbx, call_rules, store.calls.last_seen)
        self._call_rules = call_rules
        self._max_trunks = pbx.max_trunks
        self._stale_after = pbx.stale_after
        self._start = pbx.start
        self._store = store
        self._self_metrics = self_metrics
        self._bounds = bounds
        self._clock = clock
        self._on_commit = on_commit
        self._newest_start = 0
        self._in_baseline = False
        """Set from the first page of a baseline until it is shown; see `ingest`."""
        self_metrics.set(OPEN_CALLS, len(store.calls.open))

    @property
    def ledger(self) -> Ledger | None:
        """What is known of the table; None until the first row is seen."""
        return self._store.ledger

    @property
    def totals(self) -> Totals:
        """What was counted, as it was committed last."""
        return self._store.totals

    @property
    def quarters(self) -> Quarters:
        """The calls by their start, as they were committed last."""
        return self._store.quarters

    @property
    def in_first_read(self) -> bool:
        """Whether the whole table is being read for the first time."""
        return self.ledger is not None and self.ledger.in_baseline

    @property
    def unread(self) -> tuple[Range, ...]:
        """The ranges that nobody has read yet, newest first."""
        return self.ledger.unread if self.ledger is not None else ()

    @property
    def due(self) -> tuple[Range, ...]:
        """The ranges whose next recheck is due, newest first."""
        if self.ledger is None:
            return ()
        return self.ledger.due(self._clock.now().wall, self.limits)

    @property
    def all_rechecked(self) -> bool:
        """Whether this process has read every range once that may bring late rows."""
        return self.ledger is None or all(each.last_read for each in self.ledger.recheck)

    @property
    def state_was_lost(self) -> bool:
        """Whether an unusable state file of this PBX was ever set aside."""
        return any(self._store.resets.values())

    @property
    def starts_to_read(self) -> list[int]:
        """When the calls began that are over once all rows since then were read again.

        Epoch seconds, earliest first; none by id, where nothing is read again for that.
        """
        if self.ledger is None or not self.ledger.order.by_time:
            return []
        now, shown = self._clock.now(), self.visibility.shown
        return self.assembler.starts_to_read(self._store.calls, self.ledger, now, shown=shown)

    def apply_page(
        self, verdict: PageVerdict, page: Page, totals: Totals, *, baseline: bool
    ) -> None:
        """Add the rows of *page* that *verdict* counts to *totals*; commit, then publish.

        With *baseline*, new series appear at their full value; otherwise they are first shown at 0.
        Raises `StateNotWritten`; then the page may be applied again.
        """
        now = self._clock.now()
        self.visibility.hide_if_stale(now)
        self.assembler.saw_page(page)
        if verdict.ledger.differs_by_reads_only(self.ledger):
            self._store.keep_read_times(verdict.ledger)
            self.saw_page(page.rows)
            return
        self._in_baseline = baseline or self._in_baseline
        groups = group_by_labels(verdict.counted)
        calls, doubts = self.assembler.judge_page(
            self._store.calls,
            verdict,
            groups,
            page,
            now,
            newest_key=self.ledger.new_rows_above if self.ledger is not None else 0,
            shown=self.visibility.shown,
        )
        count = self._count_page(verdict, groups, totals)
        for doubt, times in doubts.items():
            count.add_event(UNRECOGNISED_CALLEES, times, doubt)
        after, change, quarters = self._add_calls(calls, totals, count)
        self._commit(verdict.ledger, after, change, quarters)
        self.saw_page(page.rows)
        if not baseline:
            self._observe_delays(verdict.counted)
        self._on_commit()

    def count_finished_calls(self) -> None:
        """Count the calls that are over, after a poll that read every new row.

        Raises `StateNotWritten`.
        """
        if self.ledger is None:
            return
        shown, now = self.visibility.shown, self._clock.now()
        calls = self.assembler.judge_end_of_poll(self._store.calls, self.ledger, now, shown=shown)
        if calls.finished:
            count = PageCount(self._bounds, self.totals.trunks, self._max_trunks)
            self._commit(self.ledger, *self._add_calls(calls, self.totals, count))

    def show(self) -> None:
        """Let the series of rows and calls be shown; the state keeps when that was first.

        Raises `StateNotWritten`; then they stay hidden.
        """
        if not self.visibility.shown:
            self._store.note_first_shown(self._first_shown())
            self.visibility.shown = True

    def commit_births(self) -> None:
        """Commit the births that the time alone has changed, at the end of a poll.

        A baseline that is shown by now is complete. Raises `StateNotWritten`.
        """
        self._in_baseline &= not self.visibility.shown
        updated = self.visibility.with_births(self.totals, self._clock.now())
        if self.ledger is not None and updated is not self.totals:
            self._commit(self.ledger, updated)

    def note_reached(self) -> None:
        """Note that a poll succeeded; commit it where none had in this quarter of an hour.

        Raises `StateNotWritten`.
        """
        change = self.quarters.reached_at(self._clock.now().wall, self._stale_after)
        if change.after is not self.quarters:
            with self._write_noted():
                self._store.commit_quarters(change)

    def saw_page(self, rows: Iterable[Record]) -> None:
        """Note that the PBX sent a valid page with *rows*."""
        self.visibility.saw_page(self._clock.now())
        now = self._clock.now().wall
        starts = (row.started_at for row in rows if is_possible(row.started_at, now))
        newest = max(starts, default=0)
        if newest > self._newest_start:
            self._newest_start = newest
            self._self_metrics.set(LAST_RECORD, newest)

    def initial_totals(self, trunks: Iterable[str]) -> Totals:
        """Return totals in which nothing was counted, with series at 0 for *trunks* too."""
        return initial_totals(trunks, number_zeros(self._call_rules))

    def _first_shown(self) -> FirstShown:
        now = self._clock.now().wall
        baseline = self._start == "all" and not self.state_was_lost
        if self.ledger is None:
            return FirstShown(now, baseline, now)
        if not baseline:
            return FirstShown(now, baseline, self.ledger.watermark.newest_end + 1)
        # A row may be written late, and then be missing from the first values.
        settled_until = self.assembler.settled_until(self.ledger) - self.limits.late_window
        return FirstShown(now, baseline, settled_until)

    def _count_page(
        self, verdict: PageVerdict, groups: Sequence[LabelledRows], totals: Totals
    ) -> PageCount:
        count = PageCount(self._bounds, totals.trunks, self._max_trunks)
        count.add_rows(groups)
        count.add_rejected(verdict.rejected)
        count.add_event(LATE_RECORDS, verdict.late)
        count.add_event(REUSED_IDS, verdict.reused)
        count.add_event(DUPLICATE_IDS, verdict.duplicates)
        count.add_event(PRE_BREAK_RECORDS, verdict.pre_break)
        count.add_event(LINEAGE_BREAKS, int(verdict.lineage_broke))
        return count

    def _add_calls(
        self, calls: CallVerdict, totals: Totals, count: PageCount
    ) -> tuple[Totals, CallChange, QuarterChange]:
        """Return what to commit once *calls* and what *count* holds are added to *totals*."""
        count.add_event(LATE_LEGS, calls.late)
        count.add_event(CUT_CALLS, calls.cut)
        series = count_calls(calls.finished, self._bounds, count.trunks)
        born_at = (
            SHOWN_FROM_START if self._in_baseline else self.visibility.born_at(self._clock.now())
        )
        after = totals.merged({**count.series(), **series}, count.trunks, born_at)
        now = self._clock.now().wall
        quarters = self.quarters.after(calls.finished, now, baseline=self._in_baseline)
        return after, calls.change, quarters

    def _commit(
        self,
        ledger: Ledger,
        totals: Totals,
        calls: CallChange = NO_CHANGE,
        quarters: QuarterChange | None = None,
    ) -> None:
        with self._write_noted():
            self._store.commit(ledger, totals, calls, quarters or QuarterChange(self.quarters))
        self._self_metrics.set(OPEN_CALLS, len(self._store.calls.open))

    @contextmanager
    def _write_noted(self) -> Iterator[None]:
        """Note that the state cannot be written, unless what is done meanwhile succeeds."""
        self._self_metrics.set(STATE_WRITE_OK, 0)
        yield
        self._self_metrics.set(STATE_WRITE_OK, 1)

    def _observe_delays(self, counted: Iterable[Record]) -> None:
        now = int(self._clock.now().wall)
        ended = (row.ended_at for row in counted if is_possible(row.ended_at, now))
        self._self_metrics.observe(INGEST_DELAY, (max(0, now - at) for at in ended))
