"""Whether there are rows that the list we follow does not show, and which list shows them.

Newer firmware gives rows no integer id. Where `sort_by=id` puts such rows is unknown: first, last,
or nowhere. It keeps them in a table of their own, too, and whether the list shows that table
without `from=new` is unknown as well. So now and then the newest rows by time are looked at, and
those of the new table.

| when | why |
|---|---|
| at the start | the PBX may have been upgraded since the last run |
| every hour | it may write rows of both kinds |
| after 10 minutes without a new row | new rows may be where we do not look |
| when the first page holds rows without id | they are to be counted |
| when `total_number` says that rows are missing (see below) | the new table may have them |

| seen | so the list is followed |
|---|---|
| the list by time has rows without id | by time |
| it does not have the newest row of the new table | by time with `from=new`: `NEW_BY_TIME` |

Older firmware ignores `from`: then the newest row of the "new table" stands in the list. A PBX
that answers `from=new` with an error code is taken for one that has no new table, until the next
look. The new table is looked for while the list is followed by time, too.

A PBX that writes both kinds may have no row without id among its newest ones whenever we look. But
`total_number` counts both kinds. So one row of the order by id tells: there is a row with an id at
the last position by `total_number` only if all rows have one. Rows that the PBX deletes do not
change that. Rows known to be missing from the order are allowed for: one may be broken, or
`total_number` too large for ever.

| when this row is asked for | why |
|---|---|
| at the start | there may be rows without id from before |
| with a new row, 5 minutes after the last time | some may have come |
| when the total grew and no new id came, a minute after the last time | one must have come |
| after 10 minutes without a new row, if any came since the last time | it costs little then |

If it is missing, the new table is looked at; then rows without id are searched for by time, among
all that may have ended since every row had an id, in `_SEARCH_PAGES` pages at most; where these are
too few, again an hour later. Each search that finds nothing doubles the time until the next, up to
an hour: a PBX may count rows that it shows nowhere.
However late such a row is found, the list is then read by time back to `all_had_ids_at`, the last
moment at which every row was known to have an id.

Known: a row that was seen without id, with a `new_id` beside it or with another such row. Guessed:
that there are none where none was seen. Where that is wrong, rows without id are counted later,
once one is seen, unless they ended longer before `all_had_ids_at` than a call can last. Without
`total_number`, and while the PBX takes more than 5 s to answer, only the looks by time find them.
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

_TOTAL_CHECK_INTERVAL = 300.0
"""Seconds between two checks of the total while new rows come."""

_GROWTH_CHECK_INTERVAL = 60.0
"""Seconds between two checks of a total that grew without a new id."""

_SEARCH_RETRY = 3600.0
"""Seconds until a search by time that did not get far enough is tried again."""

_MAX_DOUBLINGS = 6
"""How often the wait after a search in vain is doubled: until it is about `_SEARCH_RETRY`."""

_SLOW_ANSWER = 5.0
"""Seconds of an answer. A PBX that takes longer is spared the checks of the total."""

_SEARCH_PAGES = 10
"""How many pages of `LARGEST_PAGE` rows are searched for a row without id."""

_LOG = logging.getLogger(__name__)


class MissingIdDetector:
    """Watches one PBX for rows that the list we follow does not show.

    *all_had_ids_at* is the newest end of a call (epoch seconds, the PBX's clock) at the last moment
    at which every row was known to have an id; None where that was never known. *all_shown_at* is
    the same for the last moment at which the new table was known to hold nothing unseen.
    """

    def __init__(self, pbx: PBX, reader: PageReader, clock: Clock) -> None:
        self.all_had_ids_at: int | None = None
        self.all_shown_at: int | None = None
        self._pbx = pbx
        self._logger = for_pbx(_LOG, pbx.name)
        self._reader = reader
        self._clock = clock
        self._last_look = self._last_full_look = self._last_total_check = float("-inf")
        self._newest_id_since = 0.0
        """When the newest id was first seen; like all times here by the steady clock."""
        self._has_new_id = self._looked_this_poll = False
        self._newest_id: int | None = None
        self._total_at_newest_id: int | None = None
        """What `total_number` was when the newest id was first seen."""
        self._total_checked_for: tuple[int, int] | None = None
        """The newest id and the total at the last check of the total."""
        self._unshown = 0
        """How many rows of the total are known to be missing from the order by id."""
        self._searches_in_vain = 0
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
            self._note_newest(first_page)
            rows = self._look_size(first_page)
            self._looked_this_poll = bool(rows)
            if rows:
                self._found = self._look(rows, first_page, ledger)
            # At a first start this cannot wait until the poll is over: it decides whether what is
            # there now is remembered by id or by time.
            if ledger is None and self._found is None:
                self._found = self._order_of_missing_rows(first_page, ledger)
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

    def _note_newest(self, first_page: Page) -> None:
        self._has_new_id = first_page.highest != self._newest_id
        if self._has_new_id:
            self._newest_id, self._total_at_newest_id = first_page.highest, first_page.total
            self._newest_id_since = self._clock.now().steady

    def check_total(self, first_page: Page, ledger: Ledger) -> None:
        """Ask `total_number` whether rows without id are missing from what we see.

        To be called once all rows up to *first_page* are read; the result is what
        `order_to_follow` returns at the next poll. Raises `PBXError`, `Stopped`.
        """
        if self._reader.last_duration > _SLOW_ANSWER:
            return
        # At the start in any case; later not in a poll that has looked by time already.
        if self._total_checked_for is None or (
            not self._looked_this_poll and self._total_check_is_due(first_page)
        ):
            self._found = self._found or self._order_of_missing_rows(first_page, ledger)

    def _newest_end(self, first_page: Page, ledger: Ledger | None) -> int | None:
        now = self._clock.now().wall
        if ledger is not None:
            return min(ledger.watermark.newest_end, int(now))
        return max((row.ended_at for row in first_page.rows if row.ended_at <= now), default=None)

    # --- by time ---------------------------------------------------------------------------------

    def _look(self, rows: int, first_page: Page, ledger: Ledger | None) -> Order | None:
        """Return the order that the *rows* newest rows, by time and of the new table, ask for."""
        newest_page = first_page if first_page.order.by_time else self._page_by_time(rows)
        found = self._order_by_look(rows, first_page, newest_page, ledger)
        self._last_look = self._clock.now().steady
        if rows > 1:
            self._last_full_look = self._last_look
        return found

    def _order_by_look(
        self, rows: int, first_page: Page, newest_page: Page | None, ledger: Ledger | None
    ) -> Order | None:
        if newest_page is None:
            return None
        if first_page.order is BY_ID and self._shows_missing_ids(newest_page, first_page):
            return BY_TIME
        if first_page.total is None:
            self.all_had_ids_at = self._newest_end(first_page, ledger)
        return self._look_at_new_table(rows, newest_page, ledger)

    def _look_size(self, first_page: Page) -> int:
        """Return how many of the newest rows to look at by time now; mostly 0."""
        now = self._clock.now().steady
        if first_page.without_id or now - self._last_full_look >= _LOOK_INTERVAL:
            return FIRST_PAGE_ROWS
        return 1 if min(now - self._last_look, now - self._newest_id_since) >= _IDLE else 0

    def _page_by_time(self, rows: int, number: int = 1) -> Page | None:
        """Return page *number* of *rows* rows by time; None where the PBX does not sort by time."""
        try:
            return self._reader.read(query(number, rows, BY_TIME))
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
        shown = {row.fingerprint for row in newest_page.rows}
        if page.rows and not any(row.fingerprint in shown for row in page.rows):
            now = self._clock.now().wall
            possible = (row for row in page.rows if is_possible(row.started_at, now))
            newest = next(possible, page.rows[0])
            is_shown = self._list_shows(newest)
            if is_shown is False:
                return NEW_BY_TIME
            if is_shown and newest.new_id and not newest.id:
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
        cut = False
        # Mostly the first few rows tell: where new rows are hidden, those shown are all older.
        pages = ((LARGEST_PAGE, number) for number in range(1, _SEARCH_PAGES + 1))
        for rows, number in ((FIRST_PAGE_ROWS, 1), *pages):
            page = self._page_by_time(rows, number)
            if page is None:
                return None
            if any(each.fingerprint == row.fingerprint for each in page.rows):
                return True
            if page.is_last or not page.size or page.lowest < row.started_at:
                return None if cut else False
            cut = cut or (page.is_partial and rows == LARGEST_PAGE)
        return None

    # --- by total_number -------------------------------------------------------------------------

    def _order_of_missing_rows(self, first_page: Page, ledger: Ledger | None) -> Order | None:
        """Return the order that shows rows which `total_number` counts, but no look has shown."""
        if first_page.total is None:
            return None
        grown = self._has_more_unshown(first_page, first_page.total)
        if grown is None:
            return None
        self._last_total_check, self._total_checked_for = (
            self._clock.now().steady,
            (first_page.highest, first_page.total),
        )
        if not grown:
            self.all_had_ids_at = self._newest_end(first_page, ledger)
            return None
        found = self._look_at_new_table(FIRST_PAGE_ROWS, first_page, ledger)
        return found or self._search_missing_rows(first_page, ledger)

    def _search_missing_rows(self, first_page: Page, ledger: Ledger | None) -> Order | None:
        found = self._search_by_time(ledger)
        if found:
            return BY_TIME
        if found is None:
            self._last_total_check += _SEARCH_RETRY
            return None
        # The next check waits for its own interval, too.
        wait = _GROWTH_CHECK_INTERVAL * (2**self._searches_in_vain - 1)
        self._last_total_check += min(wait, _SEARCH_RETRY)
        self._searches_in_vain = min(self._searches_in_vain + 1, _MAX_DOUBLINGS)
        self._unshown = self._count_unshown(first_page)
        self.all_had_ids_at = self._newest_end(first_page, ledger)
        return None

    def _total_check_is_due(self, first_page: Page) -> bool:
        if self._total_checked_for == (first_page.highest, first_page.total):
            return False
        now = self._clock.now().steady
        ago = now - self._last_total_check
        if self._has_new_id:
            return ago >= _TOTAL_CHECK_INTERVAL
        if (
            self._total_at_newest_id is not None
            and first_page.total is not None
            and first_page.total > self._total_at_newest_id
        ):
            return ago >= _GROWTH_CHECK_INTERVAL
        return min(ago, now - self._newest_id_since) >= _IDLE

    def _has_more_unshown(self, first_page: Page, total: int) -> bool | None:
        """Say whether more rows than before are missing from the order by id; None if unclear.

        Where *first_page* is the whole list, no further request is needed.
        """
        if first_page.is_last:
            before, self._unshown = self._unshown, min(self._unshown, len(first_page.without_id))
            return len(first_page.without_id) > before
        shown = self._has_id_at(total - 1 - self._unshown, total)
        if shown and self._unshown and self._has_id_at(total - self._unshown, total):
            self._unshown = self._count_unshown(first_page)
        return None if shown is None else not shown

    def _has_id_at(self, position: int, total: int | None = None) -> bool | None:
        """Say whether a row with an id is at *position*; None where the total is not *total*."""
        if position < 0:
            return True
        page = self._reader.read(query(position + 1, 1, BY_ID))
        if total is not None and page.total != total:
            return None
        return bool(page.rows or page.rejected)

    def _count_unshown(self, first_page: Page) -> int:
        """Return how many rows of the total are missing from the order by id, by binary search."""
        total = first_page.total or 0
        if first_page.is_last:
            return len(first_page.without_id)
        if self._has_id_at(total - 1):
            return 0
        step = 1
        while step < total and not self._has_id_at(total - 1 - step):
            step *= 2
        shown_after, unshown = step // 2, min(step, total)
        while shown_after + 1 < unshown:
            middle = (shown_after + unshown) // 2
            shown_after, unshown = (
                (shown_after, middle) if self._has_id_at(total - 1 - middle) else (middle, unshown)
            )
        return unshown

    def _search_by_time(self, ledger: Ledger | None) -> bool | None:
        """Search by time for rows without id that ended since all had ids; None where unclear."""
        now = self._clock.now().wall
        last = min(now, ledger.watermark.newest_end) if ledger is not None else now
        since = (
            last if self.all_had_ids_at is None else min(last, self.all_had_ids_at)
        ) - self._search_reach()
        without_id: list[Record] = []
        cut_pages = 0
        for number in range(1, _SEARCH_PAGES + 1):
            page = self._page_by_time(LARGEST_PAGE, number)
            if page is None:
                return False
            without_id += [row for row in page.rows if not row.id and row.started_at >= since]
            if len(without_id) > 1 or any(row.new_id for row in without_id):
                return True
            if page.is_last or not page.size or page.lowest < since:
                # A page that came short, but for the last one with rows, has left rows out.
                return None if cut_pages > (not page.size) else False
            cut_pages += page.is_partial
        return None

    def _search_reach(self) -> float:
        return self._pbx.longest_call + _IDLE


def is_refusal(error: PBXError, *, certain: bool = False) -> bool:
    """Say whether the PBX refuses a query that is as the contract says, by an answer of its own.

    With *certain*, HTTP errors do not count, which may come from a PBX that is busy or starting.
    """
    if error.blocked or error.reason == "auth":
        return False
    by_http = error.reason == "http" and not certain
    return error.errcode is not None or error.reason == "garbled" or by_http


def _or_else(known: int | None, otherwise: int) -> int:
    return otherwise if known is None else known
