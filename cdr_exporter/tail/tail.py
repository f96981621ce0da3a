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
from ..ledger import Ledger, PageVerdict, Range, by_time, from_now, from_the_beginning
from ..ledger.order import BY_ID, BY_TIME, Order
from ..ledger.page import HEAD_ROWS, Page, query
from ..metrics.self_metrics import SelfMetrics
from ..metrics.totals import Totals
from ..settings import PBX
from .lineage import KnownTable, LineageCheck
from .missing_ids import MissingIdDetector
from .page_reader import PageReader
from .read_plan import ReadPlan

FIRST_ROWS = 200
"""Rows remembered at the very first start, so that deletions do not hide where we began."""

_CLOCKS_DIFFER = 300
"""Seconds by which the PBX's clock and ours may differ where the first calls of a PBX are told
from old ones."""

_TRIES = 2
"""Reads of one range in vain until it is looked for from scratch, or left to the next poll."""

_NEARBY = 5
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
        self._check = MissingIdDetector(pbx, reader, clock)
        self._plan = ReadPlan(self._order)
        self._empty_since: float | None = None
        self._stuck_at: Range | None = None
        self._lost: set[Range] = set()
        """Ranges that are not where the rows we remember say."""

    def follow(self, until: float) -> bool:
        """Read the first page, then holes until *until* (steady clock).

        Say whether there is more to be had at once. Raises `PBXError`, `StateNotWritten`,
        `Stopped`.
        """
        self._state.assembler.begin_poll(self._clock.now())
        head, ledger = self._head()
        if not head.size:
            self._note_empty()
            return False
        if ledger is None:
            self._begin(head)
        elif not self._count_head(head, ledger):
            return False
        self._lost &= {*self._state.unread, *self._state.due}
        # However slow the PBX is, each poll gets somewhere.
        until = max(until, self._clock.now().steady + 0.001)
        moving = self._read_unread(until) or (self._reread(until) and not self._state.all_read)
        if not moving and not self._state.unread:
            self._state.count_finished_calls()
            self._state.visibility.shown = True
        self._state.assembler.end_poll()
        self._state.commit_births()
        if self._order is BY_ID and self._state.ledger is not None and not moving:
            self._check.count(head, self._state.ledger)
        return moving

    def timed_out(self) -> None:
        """Note that a request took too long: ask for less."""
        self._plan.timed_out(self._pbx.request_timeout)

    # --- the order -------------------------------------------------------------------------------

    @property
    def _order(self) -> Order:
        return self._state.ledger.order if self._state.ledger is not None else BY_ID

    def _head(self) -> tuple[Page, Ledger | None]:
        """Read the first page in the order that shows every row, and say what to judge it by."""
        ledger, rows = self._state.ledger, HEAD_ROWS
        if ledger is None:
            rows = FIRST_ROWS
        if self._plan.order is not self._order:
            self._plan = ReadPlan(self._order)
        head = self._reader.read(query(1, rows, self._order))
        if self._order is BY_TIME or not self._check.needs_time(head, ledger):
            return head, ledger
        self._plan = ReadPlan(BY_TIME)
        head = self._reader.read(query(1, rows, BY_TIME))
        return head, self._by_time(head, ledger)

    def _by_time(self, head: Page, ledger: Ledger | None) -> Ledger:
        """Return the ledger to begin with by time; it holds once a page was kept with it."""
        log.warning(
            "rows without id; following the table by time",
            extra={"fields": {"pbx": self._pbx.name}},
        )
        if ledger is None:
            self._state.visibility.shown = False
        start = "now" if self._state.state_was_lost else self._pbx.start
        now = self._clock.now().wall
        clean_at, empty_at = self._check.clean_at, self._empty_at
        return by_time(ledger, head.rows, now, self._state.terms, start, clean_at, empty_at)

    # --- reading ---------------------------------------------------------------------------------

    def _read_unread(self, until: float) -> bool:
        """Read holes, newest first; say whether it ended for want of time only."""
        tries = 0
        while self._state.unread:
            wanted = self._state.unread[0]
            position = self._find(wanted, until)
            if position is None or (not tries and self._clock.now().steady >= until):
                return True
            tries = 0 if self._read_page_of(wanted, position) else tries + 1
            if tries == _TRIES:
                self._give_up(wanted)
                return False
        return False

    def _read_page_of(self, wanted: Range, position: int) -> bool:
        """Read one page of *wanted*, the newest; say whether anything came of it."""
        before = self._state.unread
        self._read_at(wanted, position)
        return self._state.unread != before or self._plan.made_progress

    def _read_at(self, wanted: Range, position: int, *, again: bool = False) -> None:
        page = self._reader.read(self._plan.next_query(wanted, position, again=again))
        self._plan.adapt_size(self._reader.took)
        if self._state.ledger is not None:
            self._keep(page, KnownTable(self._state.ledger))

    def _reread(self, until: float) -> bool:
        """Read again what may still bring rows, where it is due; say whether time was up."""
        given_up: set[Range] = set()
        tries = 0
        left = self._state.due
        while left:
            position = self._find(left[0], until)
            if position is None or self._clock.now().steady >= until:
                return True
            self._read_at(left[0], position, again=True)
            due = self._state.due
            tries = 0 if left[0] not in due or self._plan.made_progress else tries + 1
            if tries == _TRIES:
                # Rows we do not know stand above it: it is looked for from scratch, once a poll.
                given_up |= {left[0]} & self._lost
                self._lost.add(left[0])
                self._plan.forget_positions()
                tries = 0
            elif left[0] not in due:
                self._lost.discard(left[0])
            left = tuple(span for span in due if span not in given_up)
        return False

    def _give_up(self, wanted: Range) -> None:
        """Leave *wanted* to the next poll, and let that fail if nothing has changed by then."""
        self._plan.forget_positions()
        self._lost.add(wanted)
        if self._stuck_at == wanted:
            raise TryAgain(
                f"{self._order.sort_by}s {wanted[0]} to {wanted[1]} are on no page, though the "
                "list goes on below them; they are asked for again",
                reason="garbled",
            )
        self._stuck_at = wanted

    def _find(self, wanted: Range, until: float) -> int | None:
        """Return where *wanted* begins: keys fall with the position, so 30 single rows tell."""
        ledger = self._state.ledger
        if ledger is not None and wanted not in self._lost:
            rank = ledger.rank(wanted[1])
            if rank is not None:
                self._plan.mark(wanted, rank)
        while (position := self._plan.position(wanted)) is None:
            if self._clock.now().steady >= until:
                return None
            at = self._plan.probe(wanted)
            self._plan.narrow_search(at, self._id_near(at))
        return position

    def _id_near(self, position: int) -> int:
        """Return the id at *position*, or below where that is unusable; 0 past the end."""
        for at in range(position, position + _NEARBY):
            page = self._reader.read(query(at + 1, 1, self._order))
            if page.top or not page.size:
                return page.top
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

    def _begin(self, head: Page) -> None:
        """Begin with the first rows ever seen: those that are old lie before the start."""
        new = [row for row in head.rows if self._ended_while_watching(row)]
        if new and len(new) == head.size:
            # The table was empty, and no PBX starts with so many calls at once.
            self._keep(head, KnownTable(Ledger()))
        # After a state was lost, a second baseline under the same series would look like calls.
        elif self._pbx.start == "now" or self._state.state_was_lost:
            old = [row for row in head.rows if not self._ended_while_watching(row)]
            begun = PageVerdict(from_now(_named(head), self._clock.now().wall), new, passed=old)
            self._state.keep(begun, head, self._totals_of(old), baseline=False)
            self._plan.record_page(head, 0, ())
        else:
            self._state.visibility.shown = False
            self._keep(head, KnownTable(from_the_beginning()))

    @property
    def _empty_at(self) -> int | None:
        """When the table was certainly empty, by any clock that the PBX may have."""
        return None if self._empty_since is None else int(self._empty_since) - _CLOCKS_DIFFER

    def _ended_while_watching(self, row: Record) -> bool:
        return self._empty_at is not None and row.ended_at > self._empty_at

    def _totals_of(self, old: Iterable[Record]) -> Totals:
        """Return totals at 0 for the trunks of *old* rows, the newest as far as there is room."""
        trunks = dict.fromkeys(labels_of(row).trunk for row in old)
        return self._state.first_totals(list(trunks)[: self._pbx.max_trunks])

    # --- any page --------------------------------------------------------------------------------

    def _count_head(self, head: Page, ledger: Ledger) -> bool:
        """Join *head* on, judge it and keep what it brings; False if it is of another table."""
        joined = self._lineage.identify(head, ledger, self._plan)
        if joined is None:
            return False
        self._keep(head, joined)
        if joined.beyond is not None and self._state.ledger is not None:
            self._keep(joined.beyond, KnownTable(self._state.ledger))
        return True

    def _keep(self, page: Page, joined: KnownTable) -> None:
        page = self._mark_if_last(page)
        ledger, now = joined.ledger, self._clock.now().wall
        verdict = ledger.judge(page, now, self._state.terms, anchor=joined.anchor)
        totals = self._state.totals
        if ledger.first_read == "now" and ledger.is_blank:
            totals = self._totals_of(row for row in page.rows if ledger.watermark.hides(row))
        baseline = ledger.baseline
        self._state.keep(verdict._replace(broke=joined.broke), page, totals, baseline=baseline)
        self._plan.record_page(page, len(verdict.counted), self._state.unread, self._state.due)

    def _mark_if_last(self, page: Page) -> Page:
        mark_if_last = self._plan.mark_if_last(page)
        if mark_if_last.last and not page.last and page.total is not None:
            end = page.offset + page.size
            fields = {"pbx": self._pbx.name, "rows": end, "total_number": page.total}
            log.warning("the list is shorter than total_number", extra={"fields": fields})
        return _named(mark_if_last)


def _named(page: Page) -> Page:
    """Return *page*, by id, with its rows without id rejected: no order by time shows more."""
    bad = [Rejected("id", BY_ID.identity(row)) for row in page.without_id]
    return replace(page, rejected=[*page.rejected, *bad], without_id=()) if bad else page
