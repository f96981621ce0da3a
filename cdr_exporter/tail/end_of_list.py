"""Which page is the last one, where `total_number` is missing, or larger than the list. Pure.

Known: a page that brings fewer rows than asked for *may* end the list. Each of these observations
rules out one other explanation:

| observed | so it is not a list that |
|---|---|
| two pages of different size end early, at the same row | cuts each page after some rows |
| an empty page at the position below that row | leaves out the end of a page |
| an empty page where `total_number` has its last row | hides some rows and goes on below them |
| the same end once more, no higher up than before | had rows deleted above it in between |

The list is believed to end only when all of it was observed. Against a `total_number` it is looked
for only after a poll gave up: mostly a list that seems to end too early is complete a moment later.

Guessed: that a PBX which hides rows and sends no `total_number` does not hide the end of its list;
there is no way to notice. If that were wrong, rows below the end would be taken for rows that do
not exist.
Everything else that turns out wrong, as by rows added or deleted, only starts the proof again.
"""

from __future__ import annotations

from collections.abc import Collection

from ..cdr.contract import MAX_PAGE_SIZE, CDRQuery
from ..ledger.order import Order
from ..ledger.page import Page, query


class EndOfList:
    """What was observed of the end of one list.

    *distrusts_total* is set by the caller once a poll gave up on rows that `total_number` promises.
    """

    def __init__(self) -> None:
        self.distrusts_total = False
        self.made_progress = False
        """Whether the last page was empty where rows would be, which is a step of the proof."""
        self._end_key: int | None = None
        """The key of the row with which the list seemed to end."""
        self._end_position = 0
        """The position below that row, when a page last ended with it."""
        self._total: int | None = None
        self._page_sizes: set[int] = set()
        """How many rows the pages had that ended with it."""
        self._times_seen = 0
        self._empty_position: int | None = None
        """Where an empty page was seen, below the end."""
        self._is_empty_at_total = False
        """Whether an empty page was seen where `total_number` has its last row."""

    @property
    def seen_twice(self) -> bool:
        """Whether two pages ended early at the same row."""
        return self._times_seen > 1

    def observe(self, page: Page) -> Page:
        """Note *page* and return it, marked as the last one where it is proved to be."""
        self.made_progress = False
        if page.is_last:
            return page
        self._total = page.total
        if not page.size:
            self._note_empty_page(page)
        elif page.is_partial:
            return self._note_partial_page(page)
        elif self._end_key is not None and page.lowest < self._end_key:
            self._forget()
        elif page.offset + page.size > self._end_position:
            # Rows were added above it: an ordinary page has to show where the end is now.
            self._times_seen = min(self._times_seen, 1)
        return page

    def next_query(self, position: int, order: Order) -> CDRQuery | None:
        """Return the query for the next step of the proof; None where no end was seen twice.

        *position* is where the range begins that the caller is looking for.
        """
        if not self.seen_twice or not (self.distrusts_total or self._total is None):
            return None
        if not self._sizes_differ:
            return self._query_across_end(self._end_position, order, self._page_sizes)
        if self._empty_position is None:
            return query(self._end_position + 1, 1, order)
        if self._total is not None and not self._is_empty_at_total:
            return query(self._total, 1, order)
        return self._query_across_end(position, order)

    def _query_across_end(
        self, position: int, order: Order, other_than: Collection[int] = ()
    ) -> CDRQuery | None:
        """Return the smallest page that begins above *position* and reaches beyond the end.

        None where there is none. As far as the list goes, its rows are in number none of
        *other_than*, so that it is no page of the same size as those before.
        """
        above, end = max(0, position - 1), self._end_position
        begins = ((size, above // size * size) for size in range(2, MAX_PAGE_SIZE + 1))
        fitting = (size for size, at in begins if at + size > end and end - at not in other_than)
        size = next(fitting, 0)
        return query(above // size + 1, size, order) if size else None

    def _note_empty_page(self, page: Page) -> None:
        if self._end_key is None or page.offset < self._end_position:
            return
        if page.offset == self._end_position:
            self.made_progress = self._empty_position is None
            self._empty_position = page.offset
        if page.total is not None and page.offset >= page.total - 1:
            self.made_progress = self.made_progress or not self._is_empty_at_total
            self._is_empty_at_total = True

    def _note_partial_page(self, page: Page) -> Page:
        end = page.offset + page.size
        # Rejected rows without an id have no key: of a page of only such rows, the place tells.
        if page.lowest != self._end_key and (page.highest or end != self._end_position):
            self._forget()
            self._end_key = page.lowest
        if self._empty_position is not None and end < self._empty_position:
            self._empty_position = None
        self._end_position = end
        self._times_seen += 1
        self._page_sizes.add(page.size)
        return page.as_last() if self._is_proven else page

    @property
    def _is_proven(self) -> bool:
        if self._total is not None and not (self.distrusts_total and self._is_empty_at_total):
            return False
        return self._empty_position is not None and self._sizes_differ

    @property
    def _sizes_differ(self) -> bool:
        # A list of one or two rows can only be read from the top, in one size.
        return len(self._page_sizes) > 1 or self._end_position <= 2

    def _forget(self) -> None:
        self._end_key, self._times_seen, self._page_sizes = None, 0, set()
        self._empty_position, self._is_empty_at_total = None, False
