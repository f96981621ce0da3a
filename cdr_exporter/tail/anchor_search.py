"""The search for the anchor: the nearest row we remember, below a first page that shows none.

From the top, rows are unknown as far down as the table grew, or was replaced; then come rows we
remember, then older ones. So some twenty small blocks find the border in any table. The first
guess is mostly right: ids, or the growth of the total, tell how many rows are new.

Nothing depends on the border being exact: with a deeper anchor, rows that are remembered are read
again, and stay remembered until they are.
"""

from __future__ import annotations

from ..cdr.contract import CDRQuery
from ..ledger.ledger import Ledger
from ..ledger.page import Page, query

BLOCK_ROWS = 8
"""Rows of one look."""

_REREAD_DIVISOR = 16
"""The part of the new rows that may be read again is one in so many."""

_LAST_BLOCK = 2**37


class AnchorSearch:
    """One search in the table of *ledger*, below *first_page*.

    *new_rows* is a guess of how many rows were added since the last poll.
    """

    def __init__(self, ledger: Ledger, first_page: Page, new_rows: int) -> None:
        self.anchor: int | None = None
        self.anchor_page: Page | None = None
        """The page with the anchor."""
        self._ledger = ledger
        self._low = first_page.size // BLOCK_ROWS
        self._end = first_page.total // BLOCK_ROWS + 1 if first_page.total is not None else None
        self._guess: int | None = max(self._low, new_rows // BLOCK_ROWS)
        self._is_exact = False
        self._saw_below = False
        """Whether the border was passed."""

    @property
    def done(self) -> bool:
        """Whether there is nothing left to ask; *anchor* is None if there is none."""
        if self._is_exact or self._low == self._end or self._low > _LAST_BLOCK:
            return True
        if self.anchor is None or self._end is None:
            return False
        return self._end - self._low <= self._end // _REREAD_DIVISOR

    def next_query(self) -> CDRQuery:
        """Return the look that tells most."""
        return query(self._next_block() + 1, BLOCK_ROWS, self._ledger.order)

    def observe(self, page: Page) -> None:
        """Note what the last query brought."""
        block = page.offset // BLOCK_ROWS
        anchors = [row for row in page.rows if self._ledger.is_anchor(row)]
        if anchors:
            self.anchor, self.anchor_page = self._ledger.order.key(anchors[0]), page
            self._is_exact = (
                anchors[0] is not page.rows[0] or self.anchor >= self._ledger.newest_key
            )
            self._end, self._saw_below = block, True
        elif not page.size or (page.highest and page.highest < self._ledger.remembered_from):
            self._end, self._saw_below = max(block, self._low), True
        else:
            self._low = block + 1
            self._end = None if self._end is None else max(self._end, self._low)

    def _next_block(self) -> int:
        guess, self._guess = self._guess, None
        if guess is not None and (self._end is None or guess < self._end):
            return guess
        if self._end is None:
            return 2 * self._low + 1
        # Further down in leaps first: the table may be long, and the border is mostly near.
        middle = (self._low + self._end) // 2
        return middle if self._saw_below else min(2 * self._low + 1, middle)
