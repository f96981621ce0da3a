"""Which page is the last one, where `total_number` is missing, or larger than the list. Pure.

A page that brings fewer rows than asked for *may* end the list, or be cut. It is the last one where
there was nothing right below it, and then a page ends at the same row, no higher up: else rows may
have been deleted above it in between. Until that is seen, what lies below stays unread.

Against a `total_number` the end is looked for only after a poll gave up on the rows that this
promises: mostly a list that seems to end too early is complete a moment later. And there must be
nothing where it has its last row, either: the list may only hide some rows, and go on below them.

Guessed: that a PBX which hides rows and sends no `total_number` does not hide the end of its list;
there is no way to notice. If that were wrong, rows below the end would be taken for rows that do
not exist. The same goes for a PBX that cuts its pages, if between three requests its newest rows
are deleted and as many are added.
"""

from __future__ import annotations

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
        self._total: int | None = None
        self._begin_anew()

    def _begin_anew(self, end_key: int = 0) -> None:
        self._end_key = end_key
        """The key of the row with which the list seems to end."""
        self._end_position = 0
        """The position below that row, when a page last ended with it."""
        self._times_seen = 0
        self._is_empty_below = self._is_empty_at_total = False

    @property
    def is_looked_for(self) -> bool:
        """Whether reading on ends at the same row again, and `total_number` does not explain it."""
        # A list of one or two rows can only be read from the top: once is enough.
        is_seen = self._times_seen > (1 if self._end_position > 2 else 0)
        return is_seen and (self.distrusts_total or self._total is None)

    def observe(self, page: Page) -> Page:
        """Note *page* and return it, marked as the last one where it is proved to be."""
        self.made_progress = False
        if page.is_last:
            return page
        self._total = page.total
        if not page.size:
            self._note_empty_page(page)
        elif page.is_partial:
            return self._note_short_page(page)
        elif page.offset + page.size > self._end_position or page.lowest < self._end_key:
            self._begin_anew()
        return page

    def next_query(self, position: int, order: Order) -> CDRQuery | None:
        """Return the query for the next step of the proof; None where no end is looked for.

        *position* is where the range begins that the caller is looking for.
        """
        if not self.is_looked_for:
            return None
        if not self._is_empty_below:
            return query(self._end_position + 1, 1, order)
        if self._total is not None and not self._is_empty_at_total:
            return query(self._total, 1, order)
        return self._query_across_end(position, order)

    def _query_across_end(self, position: int, order: Order) -> CDRQuery | None:
        """Return the smallest page that begins above *position* and reaches beyond the end."""
        above = max(0, position - 1)
        begins = ((size, above // size * size) for size in range(2, MAX_PAGE_SIZE + 1))
        size = next((size for size, at in begins if at + size > self._end_position), 0)
        return query(above // size + 1, size, order) if size else None

    def _note_empty_page(self, page: Page) -> None:
        if not self._times_seen or page.offset < self._end_position:
            return
        known = (self._is_empty_below, self._is_empty_at_total)
        self._is_empty_below |= page.offset == self._end_position
        self._is_empty_at_total |= page.total is not None and page.offset >= page.total - 1
        self.made_progress = known != (self._is_empty_below, self._is_empty_at_total)

    def _note_short_page(self, page: Page) -> Page:
        end = page.offset + page.size
        # Rejected rows without an id have no key: of a page of only such rows, the place tells.
        is_same = page.lowest == self._end_key or (not page.highest and end == self._end_position)
        if not is_same or end < self._end_position:
            self._begin_anew(page.lowest)
        self._end_position = end
        self._times_seen += 1
        return page.as_last() if self._is_proven else page

    @property
    def _is_proven(self) -> bool:
        if self._total is not None and not (self.distrusts_total and self._is_empty_at_total):
            return False
        return self._is_empty_below
