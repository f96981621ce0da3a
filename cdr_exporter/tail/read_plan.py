"""Where to read on: which page of the list most likely holds a range of keys. Pure.

Positions (0 is the newest row) are guesses, and nothing depends on them being right: rows added
since move everything deeper, rows deleted move it up, and the ledger judges by ids. A wrong guess
costs a request.

A second in which more calls began than a page holds has to be in one answer, for who knows in
which order another answer lists them. So for it more is asked for, twice as much each time.
"""

from __future__ import annotations

from math import ceil

from ..cdr.contract import MAX_PAGE_SIZE, CDRQuery
from ..ledger import Range
from ..ledger.order import BY_ID, Order
from ..ledger.page import Page
from .end_of_list import EndOfList
from .page_size import LARGEST_PAGE, next_size, query_for_all, query_from, query_from_another_row

_LAST_POSITION = 2**40
"""No table is so long: a search that gets here was answered nonsense."""


class ReadPlan:
    """One PBX's reading position over polls; forgotten with the process."""

    def __init__(self, order: Order = BY_ID) -> None:
        self.order = order
        self._positions: dict[int, int] = {}
        """By key: at which position the rows at or below it begin."""
        self._search: _PositionSearch | None = None
        self._rows_per_key = 1.0
        self._max_rows = LARGEST_PAGE
        self._end_of_list = EndOfList()
        self._last_query: CDRQuery | None = None
        self._last_wanted: Range | None = None
        """What was asked for."""
        self._crowded_seconds: dict[int, int] = {}
        """By second with more rows than one page held: how many rows to ask for."""
        self.made_progress = False
        """Whether the last page, if it read nothing, told how to read on."""
        self._last_total: int | None = None
        self._caught_up = True
        self._pages_are_cut = False
        self._expected_new: int | None = None
        """How many new rows the growth of the total promises beyond those counted, if believed."""

    def mark_if_last(self, page: Page) -> Page:
        """Return *page*, marked as the last one where that can be told from several reads only."""
        return self._end_of_list.observe(page)

    def record_page(
        self, page: Page, counted: int, unread: tuple[Range, ...], due: tuple[Range, ...] = ()
    ) -> None:
        """Note where *page* was in the list, and that *counted* of its rows were new.

        *unread* and *due* are the ranges still to be read, and those to be read again: positions of
        other ranges are forgotten.
        """
        if page.is_first:
            self._note_total(page.total)
            self._positions = {key: at + counted for key, at in self._positions.items()}
        if self._expected_new is not None:
            # A clean-up that deletes as many as are added hides them: then it is not believed.
            left = self._expected_new - counted
            self._expected_new = left if left > 0 or (page.is_first and left == 0) else None
        if page.highest and page.size:
            below = self.order.evidence_for(page.lowest, page.highest)[0] - 1
            self._positions[below] = page.offset + page.rows_above(below)
            self._rows_per_key = page.size / (page.highest - page.lowest + 1)
        self.made_progress = self._note_crowded_second(page) or self._end_of_list.made_progress
        looked_for = {high for _, high in (*unread, *due)}
        self._positions = {high: at for high, at in self._positions.items() if high in looked_for}
        self._crowded_seconds = {
            high: rows for high, rows in self._crowded_seconds.items() if high in looked_for
        }
        self._caught_up = not unread
        # Some send fewer rows than they were asked for, and leave out the end of each page.
        self._pages_are_cut = (
            page.is_partial and not page.is_last and page.size > 0 and page.total is not None
        )
        if self._pages_are_cut and not self._end_of_list.seen_twice:
            self._max_rows = page.size
        if not unread and not due:
            self._end_of_list = EndOfList()

    def _note_crowded_second(self, page: Page) -> bool:
        """Ask for more where *page* came full, and ended in the second that it was to read."""
        wanted, self._last_wanted = self._last_wanted, None
        if wanted is None or not self.order.by_time or page.is_partial or page.lowest != wanted[1]:
            return False
        rows = 2 * (page.size - page.rows_above(wanted[1]))
        known = self._crowded_seconds.get(wanted[1], 0)
        self._crowded_seconds[wanted[1]] = min(MAX_PAGE_SIZE, max(rows, self._max_rows, known))
        return self._crowded_seconds[wanted[1]] > known

    def _note_total(self, total: int | None) -> None:
        # With older holes open, the growth since the last poll is not all that is unread.
        previous, self._last_total = self._last_total, total
        if self._caught_up and total is not None and previous is not None:
            self._expected_new = total - previous
        else:
            self._expected_new = None

    def position(self, wanted: Range) -> int | None:
        """Return where *wanted* begins, or None: then `next_probe` says how to find out."""
        return self._positions.get(wanted[1])

    def set_position(self, wanted: Range, position: int) -> None:
        """Note where *wanted* begins, for a reader who knows from elsewhere."""
        self._positions.setdefault(wanted[1], position)

    def guess_new_rows(self, first_page: Page, newest_key: int) -> int:
        """Guess how many rows are new when *newest_key* was the newest key before *first_page*."""
        if self._caught_up and None not in (first_page.total, self._last_total):
            grown = (first_page.total or 0) - (self._last_total or 0)
            if grown > 0:
                return grown
        density = first_page.size / (first_page.highest - first_page.lowest + 1)
        return max(
            first_page.size, first_page.size + ceil((first_page.lowest - 1 - newest_key) * density)
        )

    def next_probe(self, wanted: Range) -> int:
        """Return the position whose id would tell most about where *wanted* begins."""
        if self._search is None or self._search.high != wanted[1]:
            self._search = _PositionSearch(wanted[1], self._last_total)
        return self._search.next_position()

    def narrow_search(self, position: int, key: int) -> None:
        """Note that the row at *position* has *key*; 0 is older than any, past the end."""
        search = self._search
        if search is None:
            return
        search.narrow(position, key)
        if search.found is not None:
            self._positions[search.high], self._search = search.found, None

    def forget_positions(self) -> None:
        """Forget all positions: they led nowhere."""
        self._end_of_list.distrusts_total = True
        self._positions.clear()
        self._search = None

    def next_query(self, wanted: Range, position: int, *, rereading: bool = False) -> CDRQuery:
        """Return what to ask for to read *wanted*, which begins at *position*.

        *rereading* says that it was read before, so that the growth of the table tells nothing.
        """
        lowest, highest = wanted
        self._last_wanted = wanted
        special = self._end_of_list.next_query(position, self.order)
        if special is None and highest in self._crowded_seconds:
            special = query_for_all(position, self._crowded_seconds[highest], self.order)
        self._last_query = special or self._estimated_query(lowest, highest, position, rereading)
        return self._last_query

    def _estimated_query(
        self, lowest: int, highest: int, position: int, rereading: bool
    ) -> CDRQuery:
        rows = ceil((highest - lowest + 1) * self._rows_per_key)
        if self._expected_new is not None and not rereading:
            rows = min(rows, self._expected_new)
        # One row more: the row below the hole proves that it is read to its end.
        wanted = query_from(position, rows + 1, self._max_rows, self.order)
        # A second time: what begins at another row may show why nothing came of it.
        return (
            query_from_another_row(wanted, position, self._max_rows)
            if wanted == self._last_query
            else wanted
        )

    def adapt_size(self, seconds: float) -> None:
        """Ask for less where the PBX is slow, for more where it is not."""
        if self._last_query is not None and self._last_query.limit > self._max_rows:
            # What a crowded second takes tells nothing of an ordinary page.
            return
        size = next_size(self._max_rows, seconds)
        self._max_rows = min(size, self._max_rows) if self._pages_are_cut else size

    def timed_out(self, seconds: float) -> None:
        """Note that there was no answer within *seconds*."""
        self._crowded_seconds = {
            high: rows * 3 // 4 for high, rows in self._crowded_seconds.items()
        }
        self.adapt_size(seconds)


class _PositionSearch:
    """Looks for the first position with an id up to *high*; it goes on over several polls."""

    def __init__(self, high: int, total: int | None) -> None:
        self.high = high
        self._low = 0
        self._end = total

    @property
    def found(self) -> int | None:
        """The position, once there is only one left."""
        return self._low if self._low == self._end else None

    def next_position(self) -> int:
        if self._end is None:
            return 2 * self._low + 1
        return (self._low + self._end) // 2

    def narrow(self, position: int, key: int) -> None:
        if key > self.high and position < _LAST_POSITION:
            self._low = position + 1
            # Rows may have been added since the total was told.
            self._end = None if self._end is None else max(self._end, self._low)
        else:
            self._end = max(position, self._low)
