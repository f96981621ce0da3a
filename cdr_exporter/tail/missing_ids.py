"""When a table has to be followed by time: rows without an id, which the order by id may not show.

Newer firmware gives rows no integer id. Where `sort_by=id` puts such rows is unknown: first,
last, or nowhere. So now and then the newest rows by time are looked at.

| a look is taken | since |
|---|---|
| at the start | the PBX may have been upgraded meanwhile |
| every hour | it may be mixing both kinds |
| after 10 minutes without a new row | the new ones may be where we do not look |
| when the first page holds rows without id | they are to be counted |

A PBX that mixes both kinds may have none among its newest rows at any look. But `total_number`
counts both kinds, and so one row tells: that which has the last place by `total_number` is there,
and has an id, only if all rows have one. No clean-up hides that. Rows that are known to have none
(one may be broken, or the total too large for ever) are allowed for.

| it is looked at | since |
|---|---|
| at the start | there may be such rows from before |
| after 5 minutes, with the next new row | some may have come |
| when the total grew and the first page is the old one; after a minute | one must have |
| after 10 minutes without a new row, if any came since the last look | it is cheap then |

If it is missing, rows without id are searched for by time, among all that may have ended since
all had ids, in `_SEARCH_PAGES` pages at most; where that is too few, again in an hour. However
late one
is found, it is read from there on that all rows had ids (`all_had_ids_at`).

Without `total_number`, and while the PBX takes 5 s to answer, rows without id that are not shown
are found by the looks by time only.
"""

from __future__ import annotations

import logging

from ..cdr import Record
from ..clock import Clock
from ..errors import TryAgain
from ..ledger import Ledger
from ..ledger.order import BY_ID, BY_TIME
from ..ledger.page import FIRST_PAGE_ROWS, Page, query
from ..settings import PBX
from .page_reader import PageReader
from .page_size import LARGEST_PAGE

_LOOK_INTERVAL = 3600.0
_IDLE = 600.0
_TOTAL_CHECK_INTERVAL = 300.0
_GROWTH_CHECK_INTERVAL = 60.0
_SEARCH_RETRY = 3600.0

_SLOW_ANSWER = 5.0
"""Seconds of an answer of a PBX that is not asked for one row more."""

_SEARCH_PAGES = 10
"""Pages of `LARGEST_PAGE` rows that are searched for a row without id."""

log = logging.getLogger(__name__)


class MissingIdDetector:
    """Watches one PBX for rows without id.

    *all_had_ids_at* is the newest end of a call (epoch seconds, the PBX's clock) at the last moment
    at which every row was known to have an id; None where that was never known.
    """

    def __init__(self, pbx: PBX, reader: PageReader, clock: Clock) -> None:
        self.all_had_ids_at: int | None = None
        self._pbx = pbx
        self._reader = reader
        self._clock = clock
        self._last_look = self._last_full_look = self._last_total_check = float("-inf")
        self._newest_id_since = 0.0
        self._has_new_id = self._looked_this_poll = False
        self._newest_id: int | None = None
        self._total_at_newest_id: int | None = None
        """What the total was when the newest id was new."""
        self._total_checked_for: tuple[int, int] | None = None
        """The newest id, and the total, when rows were counted last."""
        self._unshown = 0
        """How many rows of the total are known not to be shown, or to have no id."""
        self._found = False

    def needs_order_by_time(self, first_page: Page, ledger: Ledger | None) -> bool:
        """Say whether there are rows that the order by id, with the first page *first_page*, hides.

        Raises `PBXError`, `Stopped`.
        """
        # What was found holds only once a page is kept with it; until then it stays found.
        if not self._found:
            self._has_new_id = first_page.highest != self._newest_id
            if self._has_new_id:
                self._newest_id, self._total_at_newest_id = first_page.highest, first_page.total
                self._newest_id_since = self._clock.now().steady
            rows = self._look_size(first_page)
            self._looked_this_poll = bool(rows)
            self._found = self._looked_this_poll and self._look_finds_rows(rows, first_page, ledger)
            # Before anything is begun with: what is there lies before the start.
            if ledger is None and not self._found:
                self._found = self._total_shows_missing_ids(first_page, ledger)
        if self._found and self.all_had_ids_at is None and ledger is not None:
            self.all_had_ids_at = int(ledger.watermark.newest_end - _IDLE)
        return self._found

    def check_total(self, first_page: Page, ledger: Ledger) -> None:
        """Ask `total_number` whether rows without id are missing from what we see.

        To be called once all rows up to *first_page* are read; the result is what
        `needs_order_by_time` returns at the next poll. Raises `PBXError`, `Stopped`.
        """
        if self._reader.last_duration > _SLOW_ANSWER:
            return
        # Not in a poll that has looked by time, but at the start.
        if self._total_checked_for is None or (
            not self._looked_this_poll and self._total_check_is_due(first_page)
        ):
            self._found = self._found or self._total_shows_missing_ids(first_page, ledger)

    def _note_all_have_ids(self, first_page: Page, ledger: Ledger | None) -> None:
        now = self._clock.now().wall
        ends = [row.ended_at for row in first_page.rows if row.ended_at <= now]
        self.all_had_ids_at = (
            ledger.watermark.newest_end if ledger is not None else max(ends, default=None)
        )

    # --- by time ---------------------------------------------------------------------------------

    def _look_finds_rows(self, rows: int, first_page: Page, ledger: Ledger | None) -> bool:
        """Say whether the newest *rows* by time show that ids do not tell all."""
        newest_page = self._page_by_time(rows)
        if newest_page is None:
            return False
        found = self._shows_missing_ids(newest_page, first_page)
        if first_page.total is None and not found:
            self._note_all_have_ids(first_page, ledger)
        return found

    def _look_size(self, first_page: Page) -> int:
        """Return how many rows to look at by time; mostly 0."""
        now = self._clock.now().steady
        if first_page.without_id or now - self._last_full_look >= _LOOK_INTERVAL:
            return FIRST_PAGE_ROWS
        return 1 if min(now - self._last_look, now - self._newest_id_since) >= _IDLE else 0

    def _page_by_time(self, rows: int, number: int = 1) -> Page | None:
        """Return page *number* of so many *rows* by time; None where they are not sorted so."""
        try:
            page = self._reader.read(query(number, rows, BY_TIME))
        except TryAgain as error:
            if error.reason != "garbled":
                raise
            page = None
        self._last_look = self._clock.now().steady
        if rows > 1:
            self._last_full_look = self._last_look
        return page

    def _shows_missing_ids(self, newest_page: Page, first_page: Page) -> bool:
        without_id = [row for row in newest_page.rows if not row.id]
        if any(row.new_id for row in (*without_id, *first_page.without_id)):
            return True
        first = newest_page.rows[0] if newest_page.rows else None
        # One row may just be broken; then it is rejected.
        is_only_row = newest_page.size == 1 and newest_page.total == 1
        if first is not None and not first.id and (len(without_id) > 1 or is_only_row):
            return True
        if first is not None and first_page.rows and first.id > first_page.highest:
            latest = max(row.started_at for row in first_page.rows) + self._pbx.longest_call
            return first.started_at > latest
        return False

    # --- by count --------------------------------------------------------------------------------

    def _total_shows_missing_ids(self, first_page: Page, ledger: Ledger | None) -> bool:
        """Say whether a row without id is there that no look has shown."""
        if first_page.total is None:
            return False
        grown = self._has_more_unshown(first_page, first_page.total)
        if grown is None:
            return False
        self._last_total_check, self._total_checked_for = (
            self._clock.now().steady,
            (first_page.highest, first_page.total),
        )
        found = self._search_by_time(ledger) if grown else False
        if found is None:
            self._last_total_check += _SEARCH_RETRY
            return False
        if grown and not found:
            self._unshown = self._count_unshown(first_page)
        if not found:
            self._note_all_have_ids(first_page, ledger)
        return found

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
        """Say whether more rows than known are not shown with an id; None where that is not told.

        *first_page* tells by itself where it is the whole list.
        """
        if first_page.is_last:
            before, self._unshown = self._unshown, min(self._unshown, len(first_page.without_id))
            return len(first_page.without_id) > before
        shown = self._has_id_at(total - 1 - self._unshown, total)
        if shown and self._unshown and self._has_id_at(total - self._unshown, total):
            self._unshown = self._count_unshown(first_page)
        return None if shown is None else not shown

    def _has_id_at(self, position: int, total: int | None = None) -> bool | None:
        """Say whether a row with an id has that *position*; None if the total is another by now."""
        if position < 0:
            return True
        page = self._reader.read(query(position + 1, 1, BY_ID))
        if total is not None and page.total != total:
            return None
        return bool(page.rows or page.rejected)

    def _count_unshown(self, first_page: Page) -> int:
        """Return how many rows of the total are not shown with an id."""
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
        """Say whether a row without id may have ended since all had ids; None where untold."""
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
                # A page cut short, but for the last one, has left rows out.
                return None if cut_pages > (not page.size) else False
            cut_pages += page.is_partial
        return None

    def _search_reach(self) -> float:
        return self._pbx.longest_call + _IDLE
