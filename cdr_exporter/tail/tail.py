"""One PBX's table, followed: which page to read next, and what to do with it.

    page    reader.read → joiner.join → ledger.judge → books.keep

Rule: what can be decided without a PBX and a clock is decided in `ledger` and `plan`. A poll reads
the first page and then holes, newest first, until its time is over; what is left is for the next.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace

from ..cdr import Record, Rejected
from ..cdr.labels import labels_of
from ..clock import Clock
from ..errors import TryAgain
from ..ingest.pbx_state import PBXState
from ..ledger import Ledger, PageVerdict, Range, from_now, from_the_beginning, start_by_time
from ..ledger.order import BY_ID, BY_TIME, Order
from ..ledger.page import FIRST_PAGE_ROWS, Page, query
from ..metrics.self_metrics import SelfMetrics
from ..metrics.totals import Totals
from ..settings import PBX
from .lineage import KnownTable, LineageCheck
from .missing_ids import MissingIdDetector
from .page_reader import PageReader
from .read_plan import ReadPlan

START_PAGE_ROWS = 200
"""Rows remembered at the very first start, so that deletions do not hide where we began."""

_CLOCK_TOLERANCE = 300
"""Seconds by which the PBX's clock and ours may differ where the first calls of a PBX are told
from old ones."""

_MAX_TRIES = 2
"""Reads of one range in vain until it is looked for from scratch, or left to the next poll."""

_MAX_NEIGHBOURS = 5
"""Rows to look at, one by one, until one has an id that can be used."""


log = logging.getLogger(__name__)


class Tail:
    """Follows one PBX from page to page, and has it put in the *state*."""

    def __init__(
        self,
        pbx: PBX,
        reader: PageReader,
        state: PBXState,
        *,
        self_metrics: SelfMetrics,
        clock: Clock,
    ) -> None:
        self._pbx = pbx
        self._reader = reader
        self._state = state
        self._clock = clock
        self._lineage = LineageCheck(pbx, reader, state, self_metrics)
        self._missing_ids = MissingIdDetector(pbx, reader, clock)
        self._plan = ReadPlan(self._order)
        self._empty_since: float | None = None
        self._range_given_up: Range | None = None
        self._misplaced: set[Range] = set()
        """Ranges that are not where the rows we remember say."""

    def follow(self, deadline: float) -> bool:
        """Read the first page, then holes until *deadline* (steady clock).

        Say whether there is more to be had at once. Raises `PBXError`, `StateNotWritten`,
        `Stopped`.
        """
        self._state.assembler.begin_poll(self._clock.now())
        first_page, ledger = self._read_first_page()
        if not first_page.size:
            self._note_empty()
            return False
        if ledger is None:
            self._start(first_page)
        elif not self._count_first_page(first_page, ledger):
            return False
        self._misplaced &= {*self._state.unread, *self._state.due}
        # However slow the PBX is, each poll gets somewhere.
        deadline = max(deadline, self._clock.now().steady + 0.001)
        more = self._read_unread(deadline) or (
            self._recheck_due(deadline) and not self._state.all_read
        )
        if not more and not self._state.unread:
            self._state.count_finished_calls()
            self._state.visibility.shown = True
        self._state.assembler.end_poll()
        self._state.commit_births()
        if self._order is BY_ID and self._state.ledger is not None and not more:
            self._missing_ids.check_total(first_page, self._state.ledger)
        return more

    def timed_out(self) -> None:
        """Note that a request took too long: ask for less."""
        self._plan.timed_out(self._pbx.request_timeout)

    # --- the order -------------------------------------------------------------------------------

    @property
    def _order(self) -> Order:
        return self._state.ledger.order if self._state.ledger is not None else BY_ID

    def _read_first_page(self) -> tuple[Page, Ledger | None]:
        """Read the first page in the order that shows every row, and say what to judge it by."""
        ledger, rows = self._state.ledger, FIRST_PAGE_ROWS
        if ledger is None:
            rows = START_PAGE_ROWS
        if self._plan.order is not self._order:
            self._plan = ReadPlan(self._order)
        first_page = self._reader.read(query(1, rows, self._order))
        if self._order is BY_TIME or not self._missing_ids.needs_order_by_time(first_page, ledger):
            return first_page, ledger
        self._plan = ReadPlan(BY_TIME)
        first_page = self._reader.read(query(1, rows, BY_TIME))
        return first_page, self._start_by_time(first_page, ledger)

    def _start_by_time(self, first_page: Page, ledger: Ledger | None) -> Ledger:
        """Return the ledger to begin with by time; it holds once a page was kept with it."""
        log.warning(
            "rows without id; following the table by time",
            extra={"fields": {"pbx": self._pbx.name}},
        )
        if ledger is None:
            self._state.visibility.shown = False
        start = "now" if self._state.state_was_lost else self._pbx.start
        now = self._clock.now().wall
        all_had_ids_at, empty_at = self._missing_ids.all_had_ids_at, self._empty_at
        return start_by_time(
            ledger, first_page.rows, now, self._state.limits, start, all_had_ids_at, empty_at
        )

    # --- reading ---------------------------------------------------------------------------------

    def _read_unread(self, deadline: float) -> bool:
        """Read holes, newest first; say whether it ended for want of time only."""
        tries = 0
        while self._state.unread:
            wanted = self._state.unread[0]
            position = self._find_position(wanted, deadline)
            if position is None or (not tries and self._clock.now().steady >= deadline):
                return True
            tries = 0 if self._read_page_of(wanted, position) else tries + 1
            if tries == _MAX_TRIES:
                self._leave_to_next_poll(wanted)
                return False
        return False

    def _read_page_of(self, wanted: Range, position: int) -> bool:
        """Read one page of *wanted*, the newest; say whether anything came of it."""
        before = self._state.unread
        self._read_at(wanted, position)
        return self._state.unread != before or self._plan.made_progress

    def _read_at(self, wanted: Range, position: int, *, rereading: bool = False) -> None:
        page = self._reader.read(self._plan.next_query(wanted, position, rereading=rereading))
        self._plan.adapt_size(self._reader.last_duration)
        if self._state.ledger is not None:
            self._count_page(page, KnownTable(self._state.ledger))

    def _recheck_due(self, deadline: float) -> bool:
        """Read again what may still bring rows, where it is due; say whether time was up."""
        given_up: set[Range] = set()
        tries = 0
        open_ranges = self._state.due
        while open_ranges:
            wanted = open_ranges[0]
            position = self._find_position(wanted, deadline)
            if position is None or self._clock.now().steady >= deadline:
                return True
            self._read_at(wanted, position, rereading=True)
            due = self._state.due
            tries = 0 if wanted not in due or self._plan.made_progress else tries + 1
            if tries == _MAX_TRIES:
                # Rows we do not know stand above it: it is looked for from scratch, once a poll.
                given_up |= {wanted} & self._misplaced
                self._misplaced.add(wanted)
                self._plan.forget_positions()
                tries = 0
            elif wanted not in due:
                self._misplaced.discard(wanted)
            open_ranges = tuple(span for span in due if span not in given_up)
        return False

    def _leave_to_next_poll(self, wanted: Range) -> None:
        """Leave *wanted* to the next poll, and let that fail if nothing has changed by then."""
        self._plan.forget_positions()
        self._misplaced.add(wanted)
        if self._range_given_up == wanted:
            raise TryAgain(
                f"{self._order.sort_by}s {wanted[0]} to {wanted[1]} are on no page, though the "
                "list goes on below them; they are asked for again",
                reason="garbled",
            )
        self._range_given_up = wanted

    def _find_position(self, wanted: Range, deadline: float) -> int | None:
        """Return where *wanted* begins: keys fall with the position, so 30 single rows tell."""
        ledger = self._state.ledger
        if ledger is not None and wanted not in self._misplaced:
            known_above = ledger.known_rows_above(wanted[1])
            if known_above is not None:
                self._plan.set_position(wanted, known_above)
        while (position := self._plan.position(wanted)) is None:
            if self._clock.now().steady >= deadline:
                return None
            probe = self._plan.next_probe(wanted)
            self._plan.narrow_search(probe, self._key_near(probe))
        return position

    def _key_near(self, position: int) -> int:
        """Return the id at *position*, or below where that is unusable; 0 past the end."""
        for at in range(position, position + _MAX_NEIGHBOURS):
            page = self._reader.read(query(at + 1, 1, self._order))
            if page.highest or not page.size:
                return page.highest
        return 0

    # --- the first page --------------------------------------------------------------------------

    def _note_empty(self) -> None:
        """Begin nothing on an empty list: it may be that of a PBX that is still starting."""
        self._state.visibility.hide_if_stale(self._clock.now())
        self._lineage.forget()
        if self._state.ledger is None:
            self._empty_since = self._empty_since or self._clock.now().wall
            self._state.visibility.shown = True
        self._state.note_page(())

    def _start(self, first_page: Page) -> None:
        """Begin with the first rows ever seen: those that are old lie before the start."""
        new = [row for row in first_page.rows if self._ended_since_empty(row)]
        if new and len(new) == first_page.size:
            # The table was empty, and no PBX starts with so many calls at once.
            self._count_page(first_page, KnownTable(Ledger()))
        # After a state was lost, a second baseline under the same series would look like calls.
        elif self._pbx.start == "now" or self._state.state_was_lost:
            old = [row for row in first_page.rows if not self._ended_since_empty(row)]
            verdict = PageVerdict(
                from_now(_reject_without_id(first_page), self._clock.now().wall), new, left_out=old
            )
            self._state.keep(verdict, first_page, self._totals_at_zero(old), baseline=False)
            self._plan.record_page(first_page, 0, ())
        else:
            self._state.visibility.shown = False
            self._count_page(first_page, KnownTable(from_the_beginning()))

    @property
    def _empty_at(self) -> int | None:
        """When the table was certainly empty, by any clock that the PBX may have."""
        return None if self._empty_since is None else int(self._empty_since) - _CLOCK_TOLERANCE

    def _ended_since_empty(self, row: Record) -> bool:
        return self._empty_at is not None and row.ended_at > self._empty_at

    def _totals_at_zero(self, old: Iterable[Record]) -> Totals:
        """Return totals at 0 for the trunks of *old* rows, the newest as far as there is room."""
        trunks = dict.fromkeys(labels_of(row).trunk for row in old)
        return self._state.first_totals(list(trunks)[: self._pbx.max_trunks])

    # --- any page --------------------------------------------------------------------------------

    def _count_first_page(self, first_page: Page, ledger: Ledger) -> bool:
        """Count *first_page* where it is of the table we know; say whether it is.

        Reads more pages where that is in doubt. Raises `PBXError`, `StateNotWritten`, `Stopped`.
        """
        table = self._lineage.identify(first_page, ledger, self._plan)
        if table is None:
            return False
        self._count_page(first_page, table)
        if table.anchor_page is not None and self._state.ledger is not None:
            self._count_page(table.anchor_page, KnownTable(self._state.ledger))
        return True

    def _count_page(self, page: Page, table: KnownTable) -> None:
        page = self._mark_if_last(page)
        ledger, now = table.ledger, self._clock.now().wall
        verdict = ledger.judge(page, now, self._state.limits, anchor=table.anchor)
        totals = self._state.totals
        if ledger.first_read == "now" and ledger.is_empty:
            totals = self._totals_at_zero(
                row for row in page.rows if ledger.watermark.may_predate_break(row)
            )
        baseline = ledger.in_baseline
        self._state.keep(
            verdict._replace(lineage_broke=table.lineage_broke), page, totals, baseline=baseline
        )
        self._plan.record_page(page, len(verdict.counted), self._state.unread, self._state.due)

    def _mark_if_last(self, page: Page) -> Page:
        marked = self._plan.mark_if_last(page)
        if marked.is_last and not page.is_last and page.total is not None:
            end = page.offset + page.size
            fields = {"pbx": self._pbx.name, "rows": end, "total_number": page.total}
            log.warning("the list is shorter than total_number", extra={"fields": fields})
        return _reject_without_id(marked)


def _reject_without_id(page: Page) -> Page:
    """Return *page*, by id, with its rows without id rejected: no order by time shows more."""
    rejected = [Rejected("id", BY_ID.identity(row)) for row in page.without_id]
    return replace(page, rejected=[*page.rejected, *rejected], without_id=()) if rejected else page
