"""One PBX's table, followed: which page to read next, and what to do with it.

    page    reader.read → joiner.join → ledger.judge → books.keep

Rule: what can be decided without a PBX and a clock is decided in `ledger` and `walk`. A poll reads
the first page and then holes, newest first, until its time is over; what is left is for the next.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace

from ..cdr import Record, Rejected, labels
from ..clock import Clock
from ..errors import TryAgain
from ..ingest.pbx_state import Books
from ..ledger import Ledger, Range, Verdict, by_time, from_now, from_the_beginning
from ..ledger.order import BY_ID, BY_TIME, Order
from ..ledger.page import HEAD_ROWS, Page, query
from ..metrics.self_metrics import Vitals
from ..metrics.totals import Totals
from ..settings import PBX
from .lineage import Joined, Joiner
from .missing_ids import OrderCheck
from .page_reader import Reader
from .read_plan import Walk

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
    """Follows one PBX from page to page, and has it put in the *books*."""

    def __init__(
        self, pbx: PBX, reader: Reader, books: Books, *, vitals: Vitals, clock: Clock
    ) -> None:
        self._pbx = pbx
        self._reader = reader
        self._books = books
        self._clock = clock
        self._joiner = Joiner(pbx, reader, books, vitals)
        self._check = OrderCheck(pbx, reader, clock)
        self._walk = Walk(self._order)
        self._empty_since: float | None = None
        self._stuck_at: Range | None = None
        self._lost: set[Range] = set()
        """Ranges that are not where the rows we remember say."""

    def follow(self, until: float) -> bool:
        """Read the first page, then holes until *until* (steady clock).

        Say whether there is more to be had at once. Raises `PBXError`, `StateNotWritten`,
        `Stopped`.
        """
        self._books.settling.begin_poll(self._clock.now())
        head, ledger = self._head()
        if not head.size:
            self._note_empty()
            return False
        if ledger is None:
            self._begin(head)
        elif not self._count_head(head, ledger):
            return False
        self._lost &= {*self._books.holes, *self._books.due}
        # However slow the PBX is, each poll gets somewhere.
        until = max(until, self._clock.now().steady + 0.001)
        moving = self._read_holes(until) or (self._read_gaps(until) and not self._books.all_read)
        if not moving and not self._books.holes:
            self._books.settle_calls()
            self._books.showing.shown = True
        self._books.settling.end_poll()
        self._books.settle_births()
        if self._order is BY_ID and self._books.ledger is not None and not moving:
            self._check.count(head, self._books.ledger)
        return moving

    def timed_out(self) -> None:
        """Note that a request took too long: ask for less."""
        self._walk.timed_out(self._pbx.request_timeout)

    # --- the order -------------------------------------------------------------------------------

    @property
    def _order(self) -> Order:
        return self._books.ledger.order if self._books.ledger is not None else BY_ID

    def _head(self) -> tuple[Page, Ledger | None]:
        """Read the first page in the order that shows every row, and say what to judge it by."""
        ledger, rows = self._books.ledger, HEAD_ROWS
        if ledger is None:
            rows = FIRST_ROWS
        if self._walk.order is not self._order:
            self._walk = Walk(self._order)
        head = self._reader.read(query(1, rows, self._order))
        if self._order is BY_TIME or not self._check.needs_time(head, ledger):
            return head, ledger
        self._walk = Walk(BY_TIME)
        head = self._reader.read(query(1, rows, BY_TIME))
        return head, self._by_time(head, ledger)

    def _by_time(self, head: Page, ledger: Ledger | None) -> Ledger:
        """Return the ledger to begin with by time; it holds once a page was kept with it."""
        log.warning(
            "rows without id; following the table by time",
            extra={"fields": {"pbx": self._pbx.name}},
        )
        if ledger is None:
            self._books.showing.shown = False
        start = "now" if self._books.state_was_lost else self._pbx.start
        now = self._clock.now().wall
        clean_at, empty_at = self._check.clean_at, self._empty_at
        return by_time(ledger, head.rows, now, self._books.terms, start, clean_at, empty_at)

    # --- reading ---------------------------------------------------------------------------------

    def _read_holes(self, until: float) -> bool:
        """Read holes, newest first; say whether it ended for want of time only."""
        tries = 0
        while self._books.holes:
            hole = self._books.holes[0]
            position = self._find(hole, until)
            if position is None or (not tries and self._clock.now().steady >= until):
                return True
            tries = 0 if self._read_hole(hole, position) else tries + 1
            if tries == _TRIES:
                self._give_up(hole)
                return False
        return False

    def _read_hole(self, hole: Range, position: int) -> bool:
        """Read one page of *hole*, the newest; say whether anything came of it."""
        before = self._books.holes
        self._read_at(hole, position)
        return self._books.holes != before or self._walk.learned

    def _read_at(self, wanted: Range, position: int, *, again: bool = False) -> None:
        page = self._reader.read(self._walk.next_query(wanted, position, again=again))
        self._walk.took(self._reader.took)
        if self._books.ledger is not None:
            self._keep(page, Joined(self._books.ledger))

    def _read_gaps(self, until: float) -> bool:
        """Read again what may still bring rows, where it is due; say whether time was up."""
        given_up: set[Range] = set()
        tries = 0
        left = self._books.due
        while left:
            position = self._find(left[0], until)
            if position is None or self._clock.now().steady >= until:
                return True
            self._read_at(left[0], position, again=True)
            due = self._books.due
            tries = 0 if left[0] not in due or self._walk.learned else tries + 1
            if tries == _TRIES:
                # Rows we do not know stand above it: it is looked for from scratch, once a poll.
                given_up |= {left[0]} & self._lost
                self._lost.add(left[0])
                self._walk.lose()
                tries = 0
            elif left[0] not in due:
                self._lost.discard(left[0])
            left = tuple(span for span in due if span not in given_up)
        return False

    def _give_up(self, hole: Range) -> None:
        """Leave *hole* to the next poll, and let that fail if nothing has changed by then."""
        self._walk.lose()
        self._lost.add(hole)
        if self._stuck_at == hole:
            raise TryAgain(
                f"{self._order.sort_by}s {hole[0]} to {hole[1]} are on no page, though the list "
                "goes on below them; they are asked for again",
                reason="garbled",
            )
        self._stuck_at = hole

    def _find(self, hole: Range, until: float) -> int | None:
        """Return where *hole* begins: keys fall with the position, so 30 single rows tell."""
        ledger = self._books.ledger
        if ledger is not None and hole not in self._lost:
            rank = ledger.rank(hole[1])
            if rank is not None:
                self._walk.mark(hole, rank)
        while (position := self._walk.position(hole)) is None:
            if self._clock.now().steady >= until:
                return None
            at = self._walk.probe(hole)
            self._walk.probed(at, self._id_near(at))
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
        self._books.showing.mind_silence(self._clock.now())
        self._joiner.forget()
        if self._books.ledger is None:
            self._empty_since = self._empty_since or self._clock.now().wall
            self._books.showing.shown = True
        self._books.note_page(())

    def _begin(self, head: Page) -> None:
        """Begin with the first rows ever seen: those that are old lie before the start."""
        new = [row for row in head.rows if self._ended_while_watching(row)]
        if new and len(new) == head.size:
            # The table was empty, and no PBX starts with so many calls at once.
            self._keep(head, Joined(Ledger()))
        # After a state was lost, a second baseline under the same series would look like calls.
        elif self._pbx.start == "now" or self._books.state_was_lost:
            old = [row for row in head.rows if not self._ended_while_watching(row)]
            begun = Verdict(from_now(_named(head), self._clock.now().wall), new, passed=old)
            self._books.keep(begun, head, self._totals_of(old), baseline=False)
            self._walk.passed(head, 0, ())
        else:
            self._books.showing.shown = False
            self._keep(head, Joined(from_the_beginning()))

    @property
    def _empty_at(self) -> int | None:
        """When the table was certainly empty, by any clock that the PBX may have."""
        return None if self._empty_since is None else int(self._empty_since) - _CLOCKS_DIFFER

    def _ended_while_watching(self, row: Record) -> bool:
        return self._empty_at is not None and row.ended_at > self._empty_at

    def _totals_of(self, old: Iterable[Record]) -> Totals:
        """Return totals at 0 for the trunks of *old* rows, the newest as far as there is room."""
        trunks = dict.fromkeys(labels.of(row).trunk for row in old)
        return self._books.first_totals(list(trunks)[: self._pbx.max_trunks])

    # --- any page --------------------------------------------------------------------------------

    def _count_head(self, head: Page, ledger: Ledger) -> bool:
        """Join *head* on, judge it and keep what it brings; False if it is of another table."""
        joined = self._joiner.join(head, ledger, self._walk)
        if joined is None:
            return False
        self._keep(head, joined)
        if joined.beyond is not None and self._books.ledger is not None:
            self._keep(joined.beyond, Joined(self._books.ledger))
        return True

    def _keep(self, page: Page, joined: Joined) -> None:
        page = self._completed(page)
        ledger, now = joined.ledger, self._clock.now().wall
        verdict = ledger.judge(page, now, self._books.terms, anchor=joined.anchor)
        totals = self._books.totals
        if ledger.opening == "now" and ledger.is_blank:
            totals = self._totals_of(row for row in page.rows if ledger.mark.hides(row))
        baseline = ledger.baseline
        self._books.keep(verdict._replace(broke=joined.broke), page, totals, baseline=baseline)
        self._walk.passed(page, len(verdict.counted), self._books.holes, self._books.due)

    def _completed(self, page: Page) -> Page:
        completed = self._walk.completed(page)
        if completed.last and not page.last and page.total is not None:
            end = page.offset + page.size
            fields = {"pbx": self._pbx.name, "rows": end, "total_number": page.total}
            log.warning("the list is shorter than total_number", extra={"fields": fields})
        return _named(completed)


def _named(page: Page) -> Page:
    """Return *page*, by id, with its rows without id rejected: no order by time shows more."""
    bad = [Rejected("id", BY_ID.identity(row)) for row in page.nameless]
    return replace(page, rejected=[*page.rejected, *bad], nameless=()) if bad else page
