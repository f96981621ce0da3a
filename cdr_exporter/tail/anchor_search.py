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

BLOCK = 8
"""Rows of one look."""

_EXACT_ENOUGH = 16
"""The part of the new rows that may be read again is one in so many."""

_DEEPEST = 2**37


class AnchorSearch:
    """One search in *ledger*'s table below the first page *head*; *guess* is how many are new."""

    def __init__(self, ledger: Ledger, head: Page, guess: int) -> None:
        self.anchor: int | None = None
        self.page: Page | None = None
        """The page with the anchor."""
        self._ledger = ledger
        self._low = head.size // BLOCK
        self._end = head.total // BLOCK + 1 if head.total is not None else None
        self._guess: int | None = max(self._low, guess // BLOCK)
        self._border = False
        self._hit = False
        """Whether the border was passed."""

    @property
    def done(self) -> bool:
        """Whether there is nothing left to ask; *anchor* is None if there is none."""
        if self._border or self._low == self._end or self._low > _DEEPEST:
            return True
        if self.anchor is None or self._end is None:
            return False
        return self._end - self._low <= self._end // _EXACT_ENOUGH

    def next_query(self) -> CDRQuery:
        """Return the look that tells most."""
        return query(self._next_block() + 1, BLOCK, self._ledger.order)

    def observe(self, page: Page) -> None:
        """Note what the last query brought."""
        block = page.offset // BLOCK
        known = [row for row in page.rows if self._ledger.recognises(row)]
        if known:
            self.anchor, self.page = self._ledger.order.key(known[0]), page
            self._border = known[0] is not page.rows[0] or self.anchor >= self._ledger.newest_key
            self._end, self._hit = block, True
        elif not page.size or (page.top and page.top < self._ledger.remembered_from):
            self._end, self._hit = max(block, self._low), True
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
        return middle if self._hit else min(2 * self._low + 1, middle)
