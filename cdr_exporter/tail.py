"""One PBX's table, followed: which page to read next, and whether it is of our table.

    page    reader.read → ledger.judge → books.keep

Rule: what can be decided without a PBX and a clock is decided in `ledger` and `walk`. A poll reads
the first page and then holes, newest first, until its time is over; what is left is for the next.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from . import labels
from .books import Books
from .catalogue import LINEAGE_SUSPECT
from .clock import Clock
from .errors import TryAgain
from .ledger import Hole, Ledger, Verdict, from_now, from_the_beginning
from .paging import HEAD_ROWS, Page, query
from .reader import Reader
from .record import Record
from .settings import PBX
from .tally import Totals, first_totals
from .vitals import Vitals
from .walk import Walk

FIRST_ROWS = 200
"""Rows remembered at the very first start, so that deletions do not hide where we began."""

_CLOCKS_DIFFER = 300
"""Seconds by which the PBX's clock and ours may differ where the first calls of a PBX are told
from old ones."""

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
        self._vitals = vitals
        self._clock = clock
        self._walk = Walk()
        self._empty_since: float | None = None
        self._stuck_at: Hole | None = None
        self._suspect = False

    def follow(self, until: float) -> bool:
        """Read the first page, then holes until *until* (steady clock).

        Say whether there is more to be had at once. Raises `PBXError`, `StateNotWritten`,
        `Stopped`.
        """
        ledger = self._books.ledger
        head = self._reader.read(query(1, HEAD_ROWS if ledger is not None else FIRST_ROWS))
        if not head.size:
            self._note_empty()
            return False
        if ledger is None:
            self._begin(head)
        elif not self._count(head, ledger):
            return False
        moving = self._read_holes(until)
        if not self._books.holes:
            self._books.showing.shown = True
        self._books.settle_births()
        return moving

    def timed_out(self) -> None:
        """Note that a request took too long: ask for less."""
        self._walk.took(self._pbx.request_timeout)

    # --- reading ---------------------------------------------------------------------------------

    def _read_holes(self, until: float) -> bool:
        """Read holes, newest first; say whether it ended for want of time only."""
        while self._books.holes:
            hole = self._books.holes[0]
            position = self._find(hole, until)
            if position is None or self._clock.now().steady >= until:
                return True
            # A second time: two equal ends tell the last page of a PBX that tells no total.
            if not (self._read_hole(hole, position) or self._read_hole(hole, position)):
                self._give_up(hole)
                return False
        return False

    def _read_hole(self, hole: Hole, position: int) -> bool:
        """Read one page of *hole*, the newest; say whether anything came of it."""
        before = self._books.holes
        page = self._reader.read(self._walk.next_query(hole, position))
        self._walk.took(self._reader.took)
        if self._books.ledger is not None:
            self._count(page, self._books.ledger)
        return self._books.holes != before

    def _give_up(self, hole: Hole) -> None:
        """Leave *hole* to the next poll, and let that fail if nothing has changed by then."""
        self._walk.lose()
        if self._stuck_at == hole:
            raise TryAgain(
                f"ids {hole[0]} to {hole[1]} are on no page, but total_number says that there are "
                "more rows; they are asked for again",
                reason="garbled",
            )
        self._stuck_at = hole

    def _find(self, hole: Hole, until: float) -> int | None:
        """Return where *hole* begins: ids fall with the position, so some 30 single rows tell."""
        while (position := self._walk.position(hole)) is None:
            if self._clock.now().steady >= until:
                return None
            at = self._walk.probe(hole)
            self._walk.probed(at, self._id_near(at))
        return position

    def _id_near(self, position: int) -> int:
        """Return the id at *position*, or below where that is unusable; 0 past the end."""
        for at in range(position, position + _NEARBY):
            page = self._reader.read(query(at + 1, 1))
            if page.top or not page.size:
                return page.top
        return 0

    # --- the first page --------------------------------------------------------------------------

    def _note_empty(self) -> None:
        """Begin nothing on an empty list: it may be that of a PBX that is still starting."""
        self._books.showing.mind_silence(self._clock.now())
        if self._books.ledger is None:
            self._empty_since = self._empty_since or self._clock.now().wall
            self._books.showing.shown = True
        self._books.note_page(())

    def _begin(self, head: Page) -> None:
        """Begin with the first rows ever seen: those that are old lie before the start."""
        new = [row for row in head.rows if self._ended_while_watching(row)]
        if new and len(new) == head.size:
            # The table was empty, and no PBX starts with so many calls at once.
            self._count(head, Ledger())
        # After a state was lost, a second baseline under the same series would look like calls.
        elif self._pbx.start == "now" or self._books.state_was_lost:
            old = [row for row in head.rows if not self._ended_while_watching(row)]
            self._books.keep(
                Verdict(from_now(head), new), head, self._totals_of(old), baseline=False
            )
            self._walk.passed(head, 0, ())
        else:
            self._books.showing.shown = False
            self._count(head, from_the_beginning())

    def _ended_while_watching(self, row: Record) -> bool:
        since = self._empty_since
        return since is not None and row.ended_at >= since - _CLOCKS_DIFFER

    def _totals_of(self, old: Iterable[Record]) -> Totals:
        """Return totals at 0 for the trunks of *old* rows, the newest as far as there is room."""
        trunks = dict.fromkeys(labels.of(row).trunk for row in old)
        return first_totals(list(trunks)[: self._pbx.max_trunks])

    # --- any page --------------------------------------------------------------------------------

    def _count(self, page: Page, ledger: Ledger) -> bool:
        """Judge *page* and keep what it brings; False if it is of another table."""
        page = self._walk.completed(page)
        verdict = ledger.judge(page)
        if page.first:
            self._note_suspicion(page, verdict)
        if verdict.suspect:
            return False
        self._books.keep(verdict, page, self._books.totals, baseline=ledger.baseline)
        self._walk.passed(page, len(verdict.counted), self._books.holes)
        return True

    def _note_suspicion(self, page: Page, verdict: Verdict) -> None:
        self._vitals.set(LINEAGE_SUSPECT, verdict.suspect)
        if verdict.suspect and not self._suspect:
            fields = {"pbx": self._pbx.name, "top_id": page.top}
            log.warning(
                "unknown rows where known ones should be; not counting", extra={"fields": fields}
            )
        self._suspect = verdict.suspect
