"""One PBX's table, followed: the steps of one poll, and the first start.

    follow
      _read_first_page     in the order that shows every row        MissingIdDetector, ReadPlan
      _start               where there is no ledger yet
      _count_first_page    if it is of the table we know            LineageCheck
      _read_unread         newest range first                       ReadPlan
      _recheck_due         ranges that may bring late rows          ReadPlan
      count_finished_calls, end_poll, commit_births                 PBXState
      check_total          are rows missing from the order by id?   MissingIdDetector

    every page:  PageReader.read → Ledger.judge → PBXState.apply_page → ReadPlan.record_page

Rule: what can be decided without a PBX and a clock is decided in `ledger`, `read_plan`,
`end_of_list` and `page_size`. The theory of a poll is in the docstring of the package.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from ..cdr import Record
from ..cdr.labels import labels_of
from ..clock import Clock
from ..errors import TryAgain
from ..ingest.pbx_state import PBXState
from ..ledger import Ledger, PageVerdict, Range, from_now, from_the_beginning, start_by_time
from ..ledger.order import BY_ID, BY_TIME, Order
from ..ledger.page import FIRST_PAGE_ROWS, Page, query
from ..logs import for_pbx
from ..metrics.self_metrics import SelfMetrics
from ..metrics.totals import Totals
from ..settings import PBX
from .lineage import KnownTable, LineageCheck
from .missing_ids import MissingIdDetector
from .page_reader import PageReader
from .read_plan import ReadPlan

START_PAGE_ROWS = 200
"""How many rows are remembered at the very first start: more than a first page has, so that some
are still there when others were deleted."""

_CLOCK_TOLERANCE = 300
"""Seconds by which the PBX's clock may be behind what it tells, or behind ours where it tells none,
where it is decided whether the first calls of a PBX ended before we watched it."""

_MAX_TRIES = 2
"""How often a range is read in vain before its position is forgotten and searched for anew."""

_MAX_NEIGHBOURS = 5
"""How many rows in a row are read, one by one, until one has a usable key."""

_LOG = logging.getLogger(__name__)


class Tail:
    """Follows one PBX from page to page, and gives what it brings to *state*."""

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
        self._logger = for_pbx(_LOG, pbx.name)
        self._reader = reader
        self._state = state
        self._clock = clock
        self._lineage = LineageCheck(pbx, reader, state, self_metrics)
        self._missing_ids = MissingIdDetector(pbx, reader, clock)
        self._plan = ReadPlan(self._order)
        self._empty_since: float | None = None
        """When the list was first seen empty (epoch seconds), before any row was seen."""
        self._range_given_up: Range | None = None
        """The unread range that was last left to the next poll."""
        self._misplaced: set[Range] = set()
        """Ranges that are not at the position that the remembered rows above them suggest."""

    def follow(self, deadline: float) -> bool:
        """Poll once, until *deadline* (seconds, steady clock); the first page is read in any case.

        Returns whether there is more to be read at once, without waiting for the next poll.
        Raises `PBXError` or `StateNotWritten` where the poll failed, and `Stopped` where the
        program is to end; what was committed until then holds.
        """
        self._state.assembler.begin_poll(self._clock.now())
        first_page, ledger = self._read_first_page()
        self._state.assembler.clock_offset = self._reader.clock_offset
        if not first_page.size:
            self._note_empty()
            return False
        if ledger is None:
            self._start(first_page)
        elif not self._count_first_page(first_page, ledger):
            return False
        self._misplaced &= {*self._state.unread, *self._state.due}
        # Where the first page took all the time, one more request is made: each poll gets further.
        deadline = max(deadline, self._clock.now().steady + 0.001)
        more = self._read_unread(deadline) or (
            self._recheck_due(deadline) and not self._state.all_rechecked
        )
        if not more and not self._state.unread:
            self._state.count_finished_calls()
            self._state.show()
        self._state.assembler.end_poll()
        self._state.commit_births()
        if self._order is BY_ID and self._state.ledger is not None and not more:
            self._missing_ids.check_total(first_page, self._state.ledger)
        return more

    def timed_out(self) -> None:
        """Note that a request timed out, so that less is asked for from now on."""
        self._plan.timed_out(self._pbx.request_timeout)

    # --- the order -------------------------------------------------------------------------------

    @property
    def _order(self) -> Order:
        return self._state.ledger.order if self._state.ledger is not None else BY_ID

    def _read_first_page(self) -> tuple[Page, Ledger | None]:
        """Return the first page, in the order that shows every row, and the ledger for it."""
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
        """Return the ledger to go on with by time. It holds once a page is committed with it."""
        self._logger.warning(
            "some CDR rows have no id; reading the list by start time from here on"
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
        """Read the unread ranges, newest first; return True where only time was missing."""
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
        """Read one page for *wanted*; say whether keys were read, or how to read on was learnt."""
        before = self._state.unread
        self._read_at(wanted, position)
        return self._state.unread != before or self._plan.made_progress

    def _read_at(self, wanted: Range, position: int, *, rereading: bool = False) -> None:
        page = self._reader.read(self._plan.next_query(wanted, position, rereading=rereading))
        self._plan.adapt_size(self._reader.last_duration)
        if self._state.ledger is not None:
            self._count_page(page, KnownTable(self._state.ledger))

    def _recheck_due(self, deadline: float) -> bool:
        """Read the ranges to be rechecked that are due; return True where time was missing."""
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
                # There are rows above it that we do not remember, so the position was wrong. It is
                # searched for anew once a poll; the second time it is left to the next poll.
                given_up |= {wanted} & self._misplaced
                self._misplaced.add(wanted)
                self._plan.forget_positions()
                tries = 0
            elif wanted not in due:
                self._misplaced.discard(wanted)
            open_ranges = tuple(span for span in due if span not in given_up)
        return False

    def _leave_to_next_poll(self, wanted: Range) -> None:
        """Leave *wanted* to the next poll; raise `TryAgain` where this range was left before."""
        self._plan.forget_positions()
        self._misplaced.add(wanted)
        if self._range_given_up == wanted:
            raise TryAgain(
                f"no page shows the {self._order.sort_by}s {wanted[0]} to {wanted[1]}, though the "
                "list goes on below them; reading them will be tried again",
                reason="garbled",
            )
        self._range_given_up = wanted

    def _find_position(self, wanted: Range, deadline: float) -> int | None:
        """Return the position where *wanted* begins, None where time was missing.

        Keys fall as positions rise, so a binary search takes about 30 single rows at most.
        """
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
        """Return the key at *position*, or of the next row with a usable one; 0 past the end."""
        for at in range(position, position + _MAX_NEIGHBOURS):
            page = self._reader.read(query(at + 1, 1, self._order))
            if page.highest or not page.size:
                return page.highest
        return 0

    # --- the first page --------------------------------------------------------------------------

    def _note_empty(self) -> None:
        """Note an empty list and begin nothing: the PBX may still be starting."""
        self._state.visibility.hide_if_stale(self._clock.now())
        self._lineage.forget()
        if self._state.ledger is None:
            self._empty_since = self._empty_since or self._clock.now().wall
            self._state.show()
        self._state.saw_page(())

    def _start(self, first_page: Page) -> None:
        """Begin a ledger with the first rows ever seen.

        With `start: now`, only rows count that ended since the list was seen empty, if it was.
        """
        new = [row for row in first_page.rows if self._ended_since_empty(row)]
        if new and len(new) == first_page.size:
            # All of them ended after the list was seen empty, so what lies below is new, too.
            self._count_page(first_page, KnownTable(Ledger()))
        # After a state was lost, the series exist: a second baseline would look like calls.
        elif self._pbx.start == "now" or self._state.state_was_lost:
            old = [row for row in first_page.rows if not self._ended_since_empty(row)]
            verdict = PageVerdict(
                from_now(_reject_without_id(first_page), self._clock.now().wall), new, left_out=old
            )
            self._state.apply_page(verdict, first_page, self._totals_at_zero(old), baseline=False)
            self._plan.record_page(first_page, 0, ())
        else:
            self._state.visibility.shown = False
            self._count_page(first_page, KnownTable(from_the_beginning()))

    @property
    def _empty_at(self) -> int | None:
        """When the table was empty (epoch seconds), by the slowest clock that the PBX may have."""
        if self._empty_since is None:
            return None
        return int(self._empty_since + (self._reader.clock_offset or 0.0)) - _CLOCK_TOLERANCE

    def _ended_since_empty(self, row: Record) -> bool:
        return self._empty_at is not None and row.ended_at > self._empty_at

    def _totals_at_zero(self, old: Iterable[Record]) -> Totals:
        """Return totals at 0 for the trunks of *old* rows, newest first, up to `max_trunks`."""
        trunks = dict.fromkeys(labels_of(row).trunk for row in old)
        return self._state.initial_totals(list(trunks)[: self._pbx.max_trunks])

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
        self._state.apply_page(
            verdict._replace(lineage_broke=table.lineage_broke), page, totals, baseline=baseline
        )
        self._plan.record_page(page, len(verdict.counted), self._state.unread, self._state.due)

    def _mark_if_last(self, page: Page) -> Page:
        marked = self._plan.mark_if_last(page)
        if marked.is_last and not page.is_last and page.total is not None:
            end = page.offset + page.size
            self._logger.warning(
                "the CDR list is shorter than its total_number", rows=end, total_number=page.total
            )
        return _reject_without_id(marked)


def _reject_without_id(page: Page) -> Page:
    """Return *page* with its rows without id rejected.

    By id only: `MissingIdDetector` has looked by then, and the order by time shows no more.
    """
    return page.with_missing_ids_rejected()
