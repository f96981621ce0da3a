"""The search for the anchor: the nearest rows that we remember, below a first page of others.

From the top, rows are unknown as far down as the table grew or was replaced; then come rows that
we remember; then older ones, which are forgotten. So a binary search finds the border between
unknown and remembered rows with some twenty small blocks, whatever the size of the table. The
search begins at a guess of how many rows are new, which is mostly right.

Taken for granted: a block of which half of the rows are remembered, or with rows below
`remembered_from` only, lies at or below the border, and any other block above it. Single rows that
are remembered say nothing: they may be outliers. Guessed: how many rows are new, and that no rows
are added or deleted during the search. Where that was wrong, a deeper anchor may be found, below
where the list ended at first, too, as far as the PBX tells how long it is by now; then
rows that are remembered are read again, and skipped. Where no anchor is found though there is one,
the table is taken for another one, which the next poll has to confirm.
"""

from __future__ import annotations

from ..cdr.contract import CDRQuery
from ..ledger.ledger import Ledger
from ..ledger.page import Page, query

BLOCK_ROWS = 8
"""How many rows one request of the search asks for."""

_REREAD_DIVISOR = 16
"""The search ends when at most one in so many of the new rows would be read again for nothing."""

_LAST_BLOCK = 2**37
"""No table is so long: a search that gets here was given wrong answers, and finds nothing."""


class AnchorSearch:
    """One search in the table of *ledger*, below *first_page*.

    *new_rows* is a guess of how many rows were added since the last poll.
    """

    def __init__(self, ledger: Ledger, first_page: Page, new_rows: int) -> None:
        self.anchor: int | None = None
        self.anchor_page: Page | None = None
        """The page on which *anchor* was found."""
        self._ledger = ledger
        # The border is in a block from *_low* to before *_end*; None: its end is not known.
        self._low = first_page.size // BLOCK_ROWS
        self._end = first_page.total // BLOCK_ROWS + 1 if first_page.total is not None else None
        self._guess: int | None = max(self._low, new_rows // BLOCK_ROWS)
        self._is_exact = False
        """Whether the anchor is known to be the nearest one."""
        self._saw_below = False
        """Whether *_end* is a block that was read, and not just where the list should end."""

    @property
    def done(self) -> bool:
        """Whether the search is over; *anchor* is None where no remembered row was found."""
        if self._is_exact or self._low == self._end or self._low > _LAST_BLOCK:
            return True
        if self.anchor is None or self._end is None:
            return False
        return self._end - self._low <= self._end // _REREAD_DIVISOR

    def next_query(self) -> CDRQuery:
        """Return the query for the next block."""
        return query(self._next_block() + 1, BLOCK_ROWS, self._ledger.order)

    def observe(self, page: Page) -> None:
        """Note *page*, the answer to the last query."""
        block = page.offset // BLOCK_ROWS
        if self._end is not None and page.total is not None and not self._saw_below:
            # Rows that were added meanwhile have moved the remembered ones down.
            self._end = max(self._end, page.total // BLOCK_ROWS + 1)
        known = self._ledger.known_keys(page)
        if known:
            self.anchor = max(known) if self._ledger.order.by_time else min(known)
            self.anchor_page = page
            self._is_exact = max(known) < page.highest or (
                max(known) >= self._ledger.new_rows_above
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
        # Until a block below the border was seen, go down by doubling: the table may be long, and
        # the border is mostly near.
        middle = (self._low + self._end) // 2
        return middle if self._saw_below else min(2 * self._low + 1, middle)
