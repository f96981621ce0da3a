"""Reads the ranges of a list that are unread, or to be rechecked, page by page.

Every page that is read is judged and handed on as an event; the next step is taken once its caller
has committed what follows from it.

    every page:  PageReader.read → Ledger.judge → JudgedPage → ReadPlan.record_page
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from typing import Protocol, TypeVar

from ..cdr import Record
from ..clock import Clock
from ..errors import TryAgain
from ..ingest import JudgedPage, PBXState
from ..ledger import KnownTable, PageVerdict, Range, from_now
from ..ledger.page import Page, query
from ..logs import for_pbx
from ..settings import PBX
from .followed_list import order_of
from .page_reader import PageReader
from .read_plan import ReadPlan

_MAX_TRIES = 2
"""How often a range is read in vain before its position is forgotten and searched for anew."""

_MAX_NEIGHBOURS = 5
"""How many rows in a row are read, one by one, until one has a usable key."""

_LOG = logging.getLogger(__name__)

_T = TypeVar("_T")

Pages = Generator[JudgedPage, None, _T]
"""Pages that were read, in turn; in the end what came of it."""


class Following(Protocol):
    """Who follows a PBX: *state* is what was committed last, so it is another one after a page."""

    @property
    def state(self) -> PBXState:
        """The state of now."""


class RangeReader:
    """Reads ranges of one PBX's list for *following*; *plan* says where they may be."""

    def __init__(self, pbx: PBX, reader: PageReader, following: Following, clock: Clock) -> None:
        self.plan = ReadPlan()
        self._logger = for_pbx(_LOG, pbx.name)
        self._reader = reader
        self._following = following
        self._clock = clock
        self._sweep: tuple[int, float] | None = None
        """While a sweep goes on: down to which key it reads what was not read since when."""

    @property
    def _state(self) -> PBXState:
        return self._following.state

    @property
    def _steady(self) -> float:
        return self._clock.now().steady

    def note_order(self, first_page: Page) -> None:
        """Note the order of *first_page*: all that is known of positions in another one is void."""
        if self.plan.order is not first_page.order:
            self.plan = ReadPlan(first_page.order)

    def count(self, page: Page, table: KnownTable) -> Pages[None]:
        """Judge *page* by *table*, and hand it on."""
        page = self._mark_if_last(page)
        verdict = table.judge(page, self._clock.now().wall, self._state.rules.limits)
        yield JudgedPage(page, verdict, self._reader.clock_offset)
        self.plan.record_page(page, len(verdict.counted), self._state.unread, self._due)
        self.plan.unseen.record_page(page, verdict.new_rows)

    def remember(
        self, first_page: Page, old: Sequence[Record], new: Sequence[Record]
    ) -> Pages[None]:
        """Begin with *first_page*, whose *old* rows were there before; the *new* ones count."""
        first_page = first_page.with_missing_ids_rejected()
        ledger = from_now(first_page, self._clock.now().wall)
        verdict = PageVerdict(ledger, new, left_out=old, remembered=ledger.remembered)
        yield JudgedPage(first_page, verdict, self._reader.clock_offset)
        self.plan.record_page(first_page, 0, ())

    def _mark_if_last(self, page: Page) -> Page:
        marked = self.plan.mark_if_last(page)
        if marked.is_last and not page.is_last and page.total is not None:
            end = page.offset + page.size
            self._logger.warning(
                "the CDR list is shorter than its total_number", rows=end, total_number=page.total
            )
        # By id, `MissingIdDetector` has looked by then, and the order by time shows no more.
        return marked.with_missing_ids_rejected()

    # --- unread ranges ---------------------------------------------------------------------------

    def read_unread(self, deadline: float) -> Pages[bool]:
        """Read the unread ranges, newest first; return True where only time was missing."""
        self.plan.forget_misplaced({*self._state.unread, *self._due})
        tries = 0
        while self._state.unread:
            wanted = self._state.unread[0]
            position = self._find_position(wanted, deadline)
            if position is None or (not tries and self._steady >= deadline):
                return True
            before = self._state.unread
            yield from self._read_at(wanted, position)
            brought_something = self._state.unread != before or self.plan.made_progress
            tries = 0 if brought_something else tries + 1
            if tries == _MAX_TRIES:
                self._leave_to_next_poll(wanted)
                return False
        return False

    def _leave_to_next_poll(self, wanted: Range) -> None:
        """Leave *wanted* to the next poll; raise `TryAgain` where this range was left before."""
        if not self.plan.give_up(wanted):
            raise TryAgain(
                f"no page shows the {order_of(self._state.ledger).sort_by}s {wanted[0]} to "
                f"{wanted[1]}, though the list goes on below them; reading them will be tried "
                "again",
                reason="garbled",
            )

    # --- ranges to be rechecked ------------------------------------------------------------------

    def recheck_due(self, deadline: float) -> Pages[bool]:
        """Read the ranges to be rechecked that are due; return True where time was missing."""
        given_up: set[Range] = set()
        tries = 0
        open_ranges = self._due
        while open_ranges:
            wanted = open_ranges[0]
            position = self._find_position(wanted, deadline)
            if position is None or self._steady >= deadline:
                return True
            yield from self._read_at(wanted, position, rereading=True)
            due = self._due
            tries = 0 if wanted not in due or self.plan.made_progress else tries + 1
            if tries == _MAX_TRIES:
                # There are rows above it that we do not remember, so the position was wrong. It is
                # searched for anew once a poll; the second time it is left to the next poll.
                if wanted in self.plan.misplaced:
                    given_up.add(wanted)
                    if self.plan.order.by_time:
                        # Calls may have turned up in a second of which no page holds all.
                        self._leave_to_next_poll(wanted)
                self.plan.search_anew(wanted)
                tries = 0
            elif wanted not in due:
                self.plan.misplaced.discard(wanted)
            open_ranges = tuple(span for span in due if span not in given_up)
        return False

    def reread(self, lowest: int, since: float, deadline: float) -> Pages[bool]:
        """Read again what was not read *since* (epoch seconds), from the key *lowest* up.

        Newest first; returns whether all of it was read. The whole window (*lowest* 0) is read only
        while rows are unseen.
        """
        self._sweep = (lowest, since)
        try:
            yield from self.recheck_due(deadline)
            return not self._due
        finally:
            self._sweep = None

    @property
    def _due(self) -> tuple[Range, ...]:
        """The ranges that are to be read again now, newest first."""
        ledger, now = self._state.ledger, self._clock.now()
        if self._sweep is None or ledger is None:
            return self._state.due(now)
        lowest, since = self._sweep
        if not lowest and not self.plan.unseen.are_there(now.steady):
            return ()
        return ledger.not_read_since(lowest, since, now.wall)

    # --- one page --------------------------------------------------------------------------------

    def _read_at(self, wanted: Range, position: int, *, rereading: bool = False) -> Pages[None]:
        page = self._reader.read(self.plan.next_query(wanted, position, rereading=rereading))
        self.plan.adapt_size(self._reader.last_duration)
        if self._state.ledger is not None:
            yield from self.count(page, KnownTable(self._state.ledger))

    def _find_position(self, wanted: Range, deadline: float) -> int | None:
        """Return the position where *wanted* begins, None where time was missing.

        Keys fall as positions rise, so a binary search takes about 30 single rows at most.
        """
        ledger = self._state.ledger
        if ledger is not None and wanted not in self.plan.misplaced:
            known_above = ledger.known_rows_above(wanted[1])
            if known_above is not None:
                self.plan.set_position(wanted, known_above)
        while (position := self.plan.position(wanted)) is None:
            if self._steady >= deadline:
                return None
            probe = self.plan.next_probe(wanted)
            self.plan.narrow_search(probe, self._key_near(probe))
        return position

    def _key_near(self, position: int) -> int:
        """Return the key at *position*, or of the next row with a usable one; 0 past the end."""
        for at in range(position, position + _MAX_NEIGHBOURS):
            page = self._reader.read(query(at + 1, 1, order_of(self._state.ledger)))
            if page.highest or not page.size:
                return page.highest
        return 0
