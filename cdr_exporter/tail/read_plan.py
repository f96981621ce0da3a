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
from .page_size import LARGEST, elsewhere, next_size, whole, window

_DEEPEST = 2**40
"""No table is so long: a search that gets here was answered nonsense."""


class ReadPlan:
    """One PBX's reading position over polls; forgotten with the process."""

    def __init__(self, order: Order = BY_ID) -> None:
        self.order = order
        self._marks: dict[int, int] = {}
        """By key: at which position the rows at or below it begin."""
        self._search: _Search | None = None
        self._density = 1.0
        self._largest = LARGEST
        self._end_of_list = EndOfList()
        self._asked: CDRQuery | None = None
        self._wanted: Range | None = None
        """What was asked for."""
        self._crowds: dict[int, int] = {}
        """By second with more rows than one page held: how many rows to ask for."""
        self.made_progress = False
        """Whether the last page, if it read nothing, told how to read on."""
        self._total: int | None = None
        self._caught_up = True
        self._capped = False
        self._unread: int | None = None
        """How many new rows the growth of the total promises beyond those counted, if believed."""

    def mark_if_last(self, page: Page) -> Page:
        """Return *page*, marked as the last one where that can be told from several reads only."""
        return self._end_of_list.observe(page)

    def record_page(
        self, page: Page, new: int, unread: tuple[Range, ...], due: tuple[Range, ...] = ()
    ) -> None:
        """Note where *page* was, of which *new* rows were not known, and which *unread* are left.

        What is *due* to be read again is looked for, too.
        """
        if page.first:
            self._promised(page.total)
            self._marks = {row_id: at + new for row_id, at in self._marks.items()}
        if self._unread is not None:
            # A clean-up that deletes as many as are added hides them: then it is not believed.
            left = self._unread - new
            self._unread = left if left > 0 or (page.first and left == 0) else None
        if page.top and page.size:
            below = self.order.evidence_for(page.lowest, page.top)[0] - 1
            self._marks[below] = page.offset + page.rows_above(below)
            self._density = page.size / (page.top - page.lowest + 1)
        self.made_progress = self._is_crowded(page) or self._end_of_list.made_progress
        open_at = {high for _, high in (*unread, *due)}
        self._marks = {high: at for high, at in self._marks.items() if high in open_at}
        self._crowds = {high: rows for high, rows in self._crowds.items() if high in open_at}
        self._caught_up = not unread
        # Some send fewer rows than they were asked for, and leave out the end of each page.
        self._capped = page.short and not page.last and page.size > 0 and page.total is not None
        if self._capped and not self._end_of_list.seen_twice:
            self._largest = page.size
        if not unread and not due:
            self._end_of_list = EndOfList()

    def _is_crowded(self, page: Page) -> bool:
        """Ask for more where *page* came full, and ended in the second that it was to read."""
        wanted, self._wanted = self._wanted, None
        if wanted is None or not self.order.by_time or page.short or page.lowest != wanted[1]:
            return False
        rows = 2 * (page.size - page.rows_above(wanted[1]))
        known = self._crowds.get(wanted[1], 0)
        self._crowds[wanted[1]] = min(MAX_PAGE_SIZE, max(rows, self._largest, known))
        return self._crowds[wanted[1]] > known

    def _promised(self, total: int | None) -> None:
        # With older holes open, the growth since the last poll is not all that is unread.
        before, self._total = self._total, total
        if self._caught_up and total is not None and before is not None:
            self._unread = total - before
        else:
            self._unread = None

    def position(self, wanted: Range) -> int | None:
        """Return where *wanted* begins, or None: then `probe` says how to find out."""
        return self._marks.get(wanted[1])

    def mark(self, wanted: Range, position: int) -> None:
        """Note where *wanted* begins, for a reader who knows from elsewhere."""
        self._marks.setdefault(wanted[1], position)

    def new_rows(self, head: Page, high: int) -> int:
        """Guess how many rows are new when *high* was the newest key before *head*."""
        if self._caught_up and None not in (head.total, self._total):
            grown = (head.total or 0) - (self._total or 0)
            if grown > 0:
                return grown
        density = head.size / (head.top - head.lowest + 1)
        return max(head.size, head.size + ceil((head.lowest - 1 - high) * density))

    def probe(self, wanted: Range) -> int:
        """Return the position whose id would tell most about where *wanted* begins."""
        if self._search is None or self._search.high != wanted[1]:
            self._search = _Search(wanted[1], self._total)
        return self._search.next_position()

    def narrow_search(self, position: int, row_id: int) -> None:
        """Note that the row at *position* has *row_id*; 0 is older than any, past the end."""
        search = self._search
        if search is None:
            return
        search.narrow(position, row_id)
        if search.found is not None:
            self._marks[search.high], self._search = search.found, None

    def forget_positions(self) -> None:
        """Forget all positions: they led nowhere."""
        self._end_of_list.distrusts_total = True
        self._marks.clear()
        self._search = None

    def next_query(self, wanted: Range, position: int, *, again: bool = False) -> CDRQuery:
        """Return what to ask for to read *wanted*, which begins at *position*.

        *again* says that it was read before, so that the growth of the table tells nothing.
        """
        lowest, highest = wanted
        self._wanted = wanted
        known = self._end_of_list.next_query(position, self.order)
        if known is None and highest in self._crowds:
            known = whole(position, self._crowds[highest], self.order)
        self._asked = known or self._window(lowest, highest, position, again)
        return self._asked

    def _window(self, lowest: int, highest: int, position: int, again: bool) -> CDRQuery:
        rows = ceil((highest - lowest + 1) * self._density)
        if self._unread is not None and not again:
            rows = min(rows, self._unread)
        # One row more: the row below the hole proves that it is read to its end.
        wanted = window(position, rows + 1, self._largest, self.order)
        # A second time: what begins at another row may show why nothing came of it.
        return elsewhere(wanted, position, self._largest) if wanted == self._asked else wanted

    def adapt_size(self, seconds: float) -> None:
        """Ask for less where the PBX is slow, for more where it is not."""
        if self._asked is not None and self._asked.limit > self._largest:
            # What a crowded second takes tells nothing of an ordinary page.
            return
        asked = next_size(self._largest, seconds)
        self._largest = min(asked, self._largest) if self._capped else asked

    def timed_out(self, seconds: float) -> None:
        """Note that there was no answer within *seconds*."""
        self._crowds = {high: rows * 3 // 4 for high, rows in self._crowds.items()}
        self.adapt_size(seconds)


class _Search:
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

    def narrow(self, position: int, row_id: int) -> None:
        if row_id > self.high and position < _DEEPEST:
            self._low = position + 1
            # Rows may have been added since the total was told.
            self._end = None if self._end is None else max(self._end, self._low)
        else:
            self._end = max(position, self._low)
