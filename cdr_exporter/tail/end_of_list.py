"""Where a list ends that does not tell: `total_number` is not sent, or too large. Pure.

| seen | so it is no list that |
|---|---|
| two reads of different length that ended short at the same row | is cut after some rows a page |
| nothing at the place below that row | leaves out the end of a page |
| nothing where `total_number` has its last row | hides some rows and goes on below them |
| the same end once more, no higher up than it was | had rows deleted above it meanwhile |

All of it is believed together. Against a `total_number` it is looked for only once a poll has
given up, for most lists that seem to end too early are whole a moment later.
"""

from __future__ import annotations

from collections.abc import Collection

from ..cdr.contract import MAX_PAGE_SIZE, CDRQuery
from ..ledger.order import Order
from ..ledger.page import Page, query


class EndOfList:
    """What was seen of the end of one list. *distrusts_total*: a poll has given up before."""

    def __init__(self) -> None:
        self.distrusts_total = False
        self.made_progress = False
        """Whether the last page showed that nothing is where more would be."""
        self._end_key: int | None = None
        self._end_position = 0
        """The place below the row with the key *lowest*, where the list seemed to end."""
        self._total: int | None = None
        self._page_sizes: set[int] = set()
        self._times_seen = 0
        self._empty_position: int | None = None
        self._is_empty_at_total = False

    @property
    def seen_twice(self) -> bool:
        """Whether the list ended at the same row twice."""
        return self._times_seen > 1

    def observe(self, page: Page) -> Page:
        """Note *page*, and return it, as the last one where the list is believed to end with it."""
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
            # Rows were added above: where the end is now, an ordinary page has to show.
            self._times_seen = min(self._times_seen, 1)
        return page

    def next_query(self, position: int, order: Order) -> CDRQuery | None:
        """Return what is to be asked for to make sure of the end; None where none was seen twice.

        *position* is where the rows begin that are looked for.
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
        """Return the smallest page from above *position* that would go on below the end.

        It has no length of those that it is to be *other_than*.
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
        if page.lowest != self._end_key:
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
        # One or two rows can only be read from the top.
        return len(self._page_sizes) > 1 or self._end_position <= 2

    def _forget(self) -> None:
        self._end_key, self._times_seen, self._page_sizes = None, 0, set()
        self._empty_position, self._is_empty_at_total = None, False
