"""Whether this is our table, and which of its lists shows every row and is to be followed.

A PBX has one list by id, one by time, and perhaps a new table that only `from=new` shows. The
ledger says which was followed until now. `MissingIdDetector` says when another one shows more, and
`LineageCheck` whether its first page is of the table we know.

Leaving the new table
---------------------
Where the new table is empty or refused in two polls in a row, as after a downgrade, the list
without `from` is followed by time, with the same ledger: what was counted by id is known from its
`id_ledger`. If the new table comes back, it is found as at first, and the time since is read again.
While something of it is unread, it is not left: the poll fails as `garbled`.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import NamedTuple

from ..clock import Clock
from ..errors import PBXError, TryAgain
from ..ingest import PBXState
from ..ledger import (
    Ledger,
    from_now,
    from_the_beginning,
    new_table,
    start_by_time,
    without_from,
    without_new_table,
)
from ..ledger.order import BY_ID, BY_TIME, NEW_BY_TIME, Order
from ..ledger.page import FIRST_PAGE_ROWS, Page, query
from ..logs import for_pbx
from ..metrics.self_metrics import SelfMetrics
from ..settings import PBX
from .lineage import Identified, LineageCheck
from .missing_ids import MissingIdDetector, is_refusal
from .page_reader import PageReader
from .read_plan import ReadPlan

START_PAGE_ROWS = 200
"""How many rows are remembered at the very first start: more than a first page has, so that some
are still there when others were deleted."""

_CLOCK_TOLERANCE = 300
"""Seconds by which the PBX's clock may be behind what it tells, or behind ours where it tells none,
where it is decided whether the first calls of a PBX ended before we watched it."""

_LOG = logging.getLogger(__name__)


class FirstPage(NamedTuple):
    """The first page of the list to follow, and the *ledger* for it: None at a first start."""

    page: Page
    ledger: Ledger | None


class FollowedList:
    """Finds the list of one PBX that shows every row; remembers from poll to poll what it saw."""

    def __init__(
        self, pbx: PBX, reader: PageReader, self_metrics: SelfMetrics, clock: Clock
    ) -> None:
        self._logger = for_pbx(_LOG, pbx.name)
        self._reader = reader
        self._clock = clock
        self._missing_ids = MissingIdDetector(pbx, reader, clock)
        self._lineage = LineageCheck(pbx, reader, self_metrics)
        self._empty_since: float | None = None
        """When the list was first seen empty (epoch seconds), before any row was seen."""
        self._new_table_is_gone = False
        """Whether the last poll found no row of the new table, which is followed."""

    def first_page(self, state: PBXState) -> FirstPage:
        """Return the first page, in the order that shows every row.

        The new table comes later where another list is to be read to its end before. Raises
        `PBXError`, `Stopped`.
        """
        ledger = state.ledger
        if ledger is not None and ledger.order is NEW_BY_TIME:
            return self._first_page_of_new_table(ledger)
        rows = START_PAGE_ROWS if ledger is None else FIRST_PAGE_ROWS
        first_page = self._reader.read(query(1, rows, order_of(ledger)))
        order = self._missing_ids.order_to_follow(first_page, ledger)
        if ledger is not None and order is not NEW_BY_TIME:
            ledger = without_new_table(ledger)
        comes_later = order is NEW_BY_TIME and self._is_second(first_page, state)
        if order is order_of(ledger) or comes_later:
            return FirstPage(first_page, ledger)
        page = self._reader.read(query(1, rows, order))
        started = self._started_by_time(page, state, ledger)
        if order is NEW_BY_TIME and first_page.size:
            # So that rows of the other list are known, should the PBX show them one day.
            other = from_now(first_page.with_missing_ids_rejected(), self._clock.now().wall)
            started = replace(started, id_ledger=other)
        return FirstPage(page, started)

    def identify(self, page: Page, ledger: Ledger, plan: ReadPlan) -> Identified | None:
        """Return what to judge the first *page* by; None while it may be of another table.

        Reads more pages where that is in doubt. Raises `PBXError`, `Stopped`.
        """
        return self._lineage.identify(page, ledger, plan)

    def note_empty(self, state: PBXState) -> None:
        """Note that the list is empty: it is of no other table. And since when, before any row."""
        self._lineage.forget()
        if state.ledger is None:
            self._empty_since = self._empty_since or self._clock.now().wall

    @property
    def empty_at(self) -> int | None:
        """When the table was empty (epoch seconds), by the slowest clock that the PBX may have."""
        if self._empty_since is None:
            return None
        return int(self._empty_since + (self._reader.clock_offset or 0.0)) - _CLOCK_TOLERANCE

    def baseline_ledger(self) -> Ledger:
        """Return the ledger that begins a baseline with the list by id."""
        return from_the_beginning(both_tables=self._missing_ids.new_table_waits)

    # --- the new table ---------------------------------------------------------------------------

    def new_table_waits(self, first_page: Page, state: PBXState) -> bool:
        """Say whether to change over to the new table now: nothing else is to be read.

        Raises `TryAgain` where the list so far is empty, so that what is unread of it cannot be.
        """
        if state.ledger is None or state.ledger.order is NEW_BY_TIME:
            return False
        if not self._missing_ids.new_table_waits:
            return False
        if not first_page.size and state.unread:
            raise TryAgain(
                "the list without from=new is empty, though rows of it are still to be read",
                reason="garbled",
            )
        return not state.unread and (state.all_rechecked or not first_page.size)

    def change_to_new_table(self, state: PBXState) -> FirstPage | None:
        """Return the first page of the new table, to be followed from here on; None if it is empty.

        What was followed so far was read to its end in this poll. Raises `PBXError`, `Stopped`.
        """
        page = self._reader.read(query(1, FIRST_PAGE_ROWS, NEW_BY_TIME))
        if not page.size or state.ledger is None:
            self._missing_ids.forget()
            return None
        return FirstPage(page, self._started_by_time(page, state, state.ledger))

    def _first_page_of_new_table(self, ledger: Ledger) -> FirstPage:
        """Return the first page of the new table; or that of the list without `from`.

        That is read where the new table is gone for the second poll in a row: empty, or refused.
        Raises `PBXError`, `Stopped`.
        """
        was_gone, self._new_table_is_gone = self._new_table_is_gone, True
        try:
            page = self._reader.read(query(1, FIRST_PAGE_ROWS, NEW_BY_TIME))
        except PBXError as error:
            if not was_gone or not is_refusal(error):
                self._new_table_is_gone = is_refusal(error)
                raise
            page = None
        if page is not None and (page.size or not was_gone):
            self._new_table_is_gone = not page.size
            return FirstPage(page, ledger)
        other = self._reader.read(query(1, FIRST_PAGE_ROWS, BY_TIME))
        return FirstPage(other, self._leave_new_table(ledger) if other.size else ledger)

    def _leave_new_table(self, ledger: Ledger) -> Ledger:
        """Return the ledger for the list without `from`. Raises `TryAgain`."""
        if ledger.unread:
            raise TryAgain(
                "the PBX shows its new table (from=new) no more, though rows of it are still to be "
                "read",
                reason="garbled",
            )
        self._logger.warning(
            "the PBX shows its new table (from=new) no more; reading the list without it by start "
            "time from here on"
        )
        self._new_table_is_gone = False
        self._missing_ids.forget()
        return without_from(ledger)

    def _is_second(self, first_page: Page, state: PBXState) -> bool:
        """Say whether the new table comes after the list of *first_page*, whose rows count, too."""
        counts = state.start == "all" or self._empty_since is not None
        return state.ledger is not None or (counts and first_page.size > 0)

    def _started_by_time(self, first_page: Page, state: PBXState, ledger: Ledger | None) -> Ledger:
        """Return the ledger to go on with by time. It holds once a page is committed with it."""
        if first_page.order is NEW_BY_TIME:
            self._logger.warning(
                "the PBX shows new CDR rows only when asked for them (from=new); reading its new "
                "table by start time from here on"
            )
            shown_at = self._missing_ids.all_shown_at
        else:
            self._logger.warning(
                "some CDR rows have no id; reading the list by start time from here on"
            )
            shown_at = self._missing_ids.all_had_ids_at
        if ledger is not None and ledger.order.by_time:
            return new_table(ledger)
        return start_by_time(
            ledger,
            first_page.rows,
            self._clock.now().wall,
            state.rules.limits,
            state.start,
            shown_at,
            self.empty_at,
            order=first_page.order,
        )


def order_of(ledger: Ledger | None) -> Order:
    """Return the order in which the list is followed: by id at a first start."""
    return BY_ID if ledger is None else ledger.order
