"""Whether there are rows that the list we follow does not show, and which list shows them.

Newer firmware gives rows no integer id. Where `sort_by=id` puts such rows is unknown: first, last,
or nowhere. It keeps them in a table of their own, too, and whether the list shows that table
without `from=new` is unknown as well. So now and then the newest rows by time are looked at, and
those of the new table.

| when | how many rows | why |
|---|---|---|
| at the start | a first page | the PBX may have been upgraded since the last run |
| every hour | a first page | a single row may be broken, and a long call stands further down |
| after 10 minutes without a new row | one | new rows may be where we do not look |
| when the first page holds rows without id | a first page | they are to be counted |

| seen | so the list is followed |
|---|---|
| the list by time has rows without id | by time |
| it does not have the newest row of the new table | by time with `from=new`: `NEW_BY_TIME` |

Older firmware ignores `from`: then the newest row of the "new table" stands in the list. A PBX
that answers `from=new` with an error code is taken for one that has no new table, until the next
look. The new table is looked for while the list is followed by time, too.

Taken for granted: from an upgrade on, all new rows are without id. So however late that is noticed,
none is missed: the list is then read by time back to `all_had_ids_at`, less the longest call.
Not promised: that a PBX which goes on writing rows of both kinds has its rows without id noticed
before one is among those looked at, and those counted that ended before `all_had_ids_at`.
"""

from __future__ import annotations

import logging

from ..cdr import Record
from ..clock import Clock
from ..errors import PBXError, TryAgain
from ..ledger import Ledger
from ..ledger.order import BY_ID, BY_TIME, NEW_BY_TIME, Order
from ..ledger.page import FIRST_PAGE_ROWS, Page, query
from ..ledger.watermark import is_possible
from ..logs import for_pbx
from ..settings import PBX
from .page_reader import PageReader
from .page_size import LARGEST_PAGE

_LOOK_INTERVAL = 3600.0
"""Seconds between two looks at a whole page by time."""

_IDLE = 600.0
"""Seconds without a new row after which one may be where we do not look."""

_LOG = logging.getLogger(__name__)


class MissingIdDetector:
    """Watches one PBX for rows that the list we follow does not show.

    *all_had_ids_at* is the newest end of a call (epoch seconds, the PBX's clock) at the last look
    that showed rows with ids only; None where there was none. *all_shown_at* is the same for the
    last look at which the new table held nothing that the list does not show.
    """

    def __init__(self, pbx: PBX, reader: PageReader, clock: Clock) -> None:
        self.all_had_ids_at: int | None = None
        self.all_shown_at: int | None = None
        self._pbx = pbx
        self._logger = for_pbx(_LOG, pbx.name)
        self._reader = reader
        self._clock = clock
        self._last_look = self._last_full_look = float("-inf")
        self._newest_id: int | None = None
        self._newest_id_since = 0.0
        """When the newest id was first seen; like all times here by the steady clock."""
        self._found: Order | None = None
        """The order that shows rows that the one we follow does not."""

    def order_to_follow(self, first_page: Page, ledger: Ledger | None) -> Order:
        """Return the order that shows every row: mostly that of *first_page*.

        *first_page* is that of this poll, by id or by time without `from`; *ledger* the one so
        far, None at a first start. Reads further pages at times. Raises `PBXError`, `Stopped`.
        """
        if self._found is first_page.order:
            self._found = None
        # Once found it stays found: only a committed page makes the change of order last, and this
        # poll may still fail.
        if self._found is None:
            rows = self._look_size(first_page)
            self._found = self._look(rows, first_page, ledger) if rows else None
        if self._found is not None and ledger is not None:
            shown_until = int(ledger.watermark.newest_end - _IDLE)
            self.all_had_ids_at = _or_else(self.all_had_ids_at, shown_until)
            self.all_shown_at = _or_else(self.all_shown_at, shown_until)
        return self._found or first_page.order

    @property
    def new_table_waits(self) -> bool:
        """Whether the new table is to be followed as soon as nothing else is unread."""
        return self._found is NEW_BY_TIME

    def forget(self) -> None:
        """Forget what was found: the PBX shows it no more. A next look may find it again."""
        self._found = None

    # --- by time ---------------------------------------------------------------------------------

    def _look_size(self, first_page: Page) -> int:
        """Return how many of the newest rows to look at by time now; mostly 0."""
        now = self._clock.now().steady
        if first_page.highest != self._newest_id:
            self._newest_id, self._newest_id_since = first_page.highest, now
        if first_page.without_id or now - self._last_full_look >= _LOOK_INTERVAL:
            return FIRST_PAGE_ROWS
        return 1 if min(now - self._last_look, now - self._newest_id_since) >= _IDLE else 0

    def _look(self, rows: int, first_page: Page, ledger: Ledger | None) -> Order | None:
        """Return the order that the *rows* newest rows, by time and of the new table, ask for."""
        newest_page = first_page if first_page.order.by_time else self._page_by_time(rows)
        found = None
        if newest_page is not None:
            found = self._order_by_look(rows, first_page, newest_page, ledger)
        self._last_look = self._clock.now().steady
        if rows > 1:
            self._last_full_look = self._last_look
        return found

    def _order_by_look(
        self, rows: int, first_page: Page, newest_page: Page, ledger: Ledger | None
    ) -> Order | None:
        if first_page.order is BY_ID:
            if self._shows_missing_ids(newest_page, first_page):
                return BY_TIME
            self.all_had_ids_at = self._newest_end(first_page, ledger)
        return self._look_at_new_table(rows, newest_page, ledger)

    def _newest_end(self, first_page: Page, ledger: Ledger | None) -> int | None:
        now = self._clock.now().wall
        if ledger is not None:
            return min(ledger.watermark.newest_end, int(now))
        return max((row.ended_at for row in first_page.rows if row.ended_at <= now), default=None)

    def _page_by_time(self, rows: int) -> Page | None:
        """Return the *rows* newest rows by time; None where the PBX does not sort by time."""
        try:
            return self._reader.read(query(1, rows, BY_TIME))
        except TryAgain as error:
            if error.reason != "garbled":
                raise
            return None

    def _shows_missing_ids(self, newest_page: Page, first_page: Page) -> bool:
        without_id = [row for row in newest_page.rows if not row.id]
        if any(row.new_id for row in (*without_id, *first_page.without_id)):
            return True
        first = newest_page.rows[0] if newest_page.rows else None
        # A single row without id may just be broken: it is rejected, and the order stays.
        is_only_row = newest_page.size == 1 and newest_page.total == 1
        if first is not None and not first.id and (len(without_id) > 1 or is_only_row):
            return True
        if first is not None and first_page.rows and first.id > first_page.highest:
            # The order by id should have shown this one first.
            latest = max(row.started_at for row in first_page.rows) + self._pbx.longest_call
            return first.started_at > latest
        return False

    # --- the new table ---------------------------------------------------------------------------

    def _look_at_new_table(
        self, rows: int, newest_page: Page, ledger: Ledger | None
    ) -> Order | None:
        """Return the order that the *rows* newest rows of the new table ask for.

        *newest_page* shows rows of the list without `from`; mostly some of these are among them.
        """
        page = self._page_of_new_table(rows, ledger)
        if page is None:
            return None
        if page.rows and not _have_rows_in_common(page, newest_page):
            now = self._clock.now().wall
            possible = (row for row in page.rows if is_possible(row.started_at, now))
            newest = next(possible, page.rows[0])
            is_shown = self._list_shows(newest)
            if not is_shown:
                return None if is_shown is None else NEW_BY_TIME
            if newest.new_id and not newest.id:
                return BY_TIME
        self.all_shown_at = self._newest_end(newest_page, ledger)
        return None

    def _page_of_new_table(self, rows: int, ledger: Ledger | None) -> Page | None:
        """Return the *rows* newest rows of the new table; None where the PBX refuses `from`.

        Raises `PBXError`, `Stopped`.
        """
        try:
            return self._reader.read(query(1, rows, NEW_BY_TIME), is_look=True)
        except PBXError as error:
            # At a first start only a clear answer tells what lies before the start.
            if not is_refusal(error, certain=ledger is None):
                raise
            self._logger.info("the PBX refuses to show its new table: %s", error)
            return None

    def _list_shows(self, row: Record) -> bool | None:
        """Say whether the list by time without `from` shows *row*; None where that is unclear."""
        # Mostly the first few rows tell: where new rows are hidden, those shown are all older.
        for rows in (FIRST_PAGE_ROWS, LARGEST_PAGE):
            page = self._page_by_time(rows)
            if page is None:
                return None
            if any(each.fingerprint == row.fingerprint for each in page.rows):
                return True
            if page.is_last or not page.size or page.lowest < row.started_at:
                return False
        return None


def is_refusal(error: PBXError, *, certain: bool = False) -> bool:
    """Say whether the PBX refuses a query that is as the contract says, by an answer of its own.

    With *certain*, HTTP errors do not count, which may come from a PBX that is busy or starting.
    """
    if error.blocked or error.reason == "auth":
        return False
    by_http = error.reason == "http" and not certain
    return error.errcode is not None or error.reason == "garbled" or by_http


def _have_rows_in_common(one: Page, other: Page) -> bool:
    fingerprints = {row.fingerprint for row in one.rows}
    return any(row.fingerprint in fingerprints for row in other.rows)


def _or_else(known: int | None, otherwise: int) -> int:
    return otherwise if known is None else known
