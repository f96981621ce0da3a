"""Which page of the list most likely holds a range of keys, and how many rows to ask for. Pure.

Known: the keys of the pages read so far, and where these pages were. Guessed: where a range begins
now (rows added since then move it down, rows deleted move it up), how many rows it has, how many
new rows the growth of `total_number` promises, and how many rows the PBX sends at a time. Nothing
depends on these guesses: the ledger judges a page by its keys. A wrong guess costs a request, and
after two in vain the positions are forgotten and searched for anew.

By time, all calls that began in one second have to be read in one answer, since the next answer may
list them in another order. So where a page ends within a second, the largest page is asked for.
Where that does not hold all of it either, the second stays unread.
"""

from __future__ import annotations

from collections.abc import Collection
from math import ceil

from ..cdr.contract import CDRQuery
from ..ledger import Range
from ..ledger.order import BY_ID, Order
from ..ledger.page import HALF_A_FIRST_PAGE, Page
from .end_of_list import EndOfList
from .page_size import (
    LARGEST_PAGE,
    largest_query_from,
    next_size,
    query_from,
    query_from_another_row,
)
from .unseen_rows import UnseenRows

_SPARE_ROWS = 4
"""How many rows more than estimated are asked for, by time, where a range is read again."""

_APART = 86_400
"""Seconds between a page and what is unread below it, from which on the page stands apart."""

_LAST_POSITION = 2**40
"""No table is so long: a search that gets here was given wrong answers, and ends."""


class ReadPlan:
    """What is known of where to read on in one PBX's list, from poll to poll; never stored."""

    def __init__(self, order: Order = BY_ID) -> None:
        self.order = order
        self._positions: dict[int, int] = {}
        """By the highest key of a range: the position of the first row in it, or below it."""
        self._search: _PositionSearch | None = None
        self._rows_per_key = 1.0
        """In the last page; guesses how many rows a range has."""
        self._max_rows = LARGEST_PAGE
        """The most rows to ask for, by how quickly and completely the PBX answers."""
        self.unseen = UnseenRows()
        self._end_of_list = EndOfList()
        self._tops: dict[int, int] = {}
        """By the key right below a range: its position, where a page began with it."""
        self._last_query: CDRQuery | None = None
        self._last_wanted: Range | None = None
        """The range for which the last query was made, until its page is recorded."""
        self._split_second: int | None = None
        """By time: the second at which the last page was to begin reading, and ended."""
        self.made_progress = False
        """Whether the last page, though it read no range, told how to read on."""
        self._last_total: int | None = None
        self._caught_up = True
        """Whether nothing was unread after the last page."""
        self._pages_are_cut = False
        """Whether the last page had fewer rows than asked for, though the list goes on."""
        self._expected_new: int | None = None
        """How many new rows the growth of the total still promises; None where it says nothing."""
        self.misplaced: set[Range] = set()
        """Ranges that are not at the position that the remembered rows above them suggest."""
        self._given_up: set[Range] = set()
        """Ranges that were left to the next poll."""

    def mark_if_last(self, page: Page) -> Page:
        """Return *page*, marked as the last one where several reads together have proved it."""
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
            # A PBX that deletes as many old rows as are added has a total that does not grow. So
            # once more rows came than it promised, it is not believed.
            left = self._expected_new - counted
            came = left == 0 and (page.is_first or not counted)
            self._expected_new = left if left > 0 or came else None
        self._tops[page.highest] = page.offset
        if page.highest and page.size:
            below = self.order.evidence_for(page.lowest, page.highest)[0] - 1
            if page.highest > below or page.is_first:
                # Else, by time, the second may begin above the page.
                self._positions[below] = page.offset + page.rows_above(below)
            if not self._stands_apart(page, unread):
                self._rows_per_key = page.rows_per_key
        if page.is_first and self._last_wanted is None:
            # A new poll: what its first query brings is not known yet.
            self._last_query = None
            self._tops.clear()
        self.made_progress = self._end_of_list.made_progress
        self._note_split_second(page)
        looked_for = {high for _, high in (*unread, *due)}
        looked_for_above = {low - 1 for low, _ in unread}
        self._tops = {key: at for key, at in self._tops.items() if key in looked_for_above}
        self._positions = {high: at for high, at in self._positions.items() if high in looked_for}
        self._caught_up = not unread
        # Some PBXs send fewer rows than asked for, and leave out the end of each page.
        self._pages_are_cut = (
            page.is_partial and not page.is_last and page.size > 0 and page.total is not None
        )
        if self._pages_are_cut and not self._end_of_list.is_looked_for:
            self._max_rows = page.size
        if not unread and not due:
            self._end_of_list = EndOfList()

    def _stands_apart(self, page: Page, unread: tuple[Range, ...]) -> bool:
        """Say whether *page* is far ahead of what is unread, so that it tells nothing of that."""
        return self.order.by_time and bool(unread) and page.lowest - unread[0][1] > _APART

    def _note_split_second(self, page: Page) -> None:
        """Note to ask for more where *page* is full and ends in the second that it was to read."""
        wanted, self._last_wanted, self._split_second = self._last_wanted, None, None
        if wanted and self.order.by_time and not page.is_partial and page.lowest == wanted[1]:
            self._split_second = wanted[1]

    def _note_total(self, total: int | None) -> None:
        # While older ranges are unread, the growth since the last poll is not all there is to read.
        previous, self._last_total = self._last_total, total
        if self._caught_up and total is not None and previous is not None:
            self._expected_new = total - previous
        else:
            self._expected_new = None

    def position(self, wanted: Range) -> int | None:
        """Return the position where *wanted* begins; where None, `next_probe` is how to find it."""
        return self._positions.get(wanted[1])

    def set_position(self, wanted: Range, position: int) -> None:
        """Note the *position* where *wanted* should begin, unless a better one is known."""
        self._positions.setdefault(wanted[1], position)

    def guess_rows_above(self, first_page: Page, new_rows_above: int) -> int:
        """Guess how many rows are above the key *new_rows_above* of the last first page."""
        if self._caught_up and None not in (first_page.total, self._last_total):
            grown = (first_page.total or 0) - (self._last_total or 0)
            if grown > 0:
                return grown + self._rows_read_again
        density = first_page.rows_per_key
        return max(
            first_page.size,
            first_page.size + ceil((first_page.lowest - 1 - new_rows_above) * density),
        )

    def next_probe(self, wanted: Range) -> int:
        """Return the position of the row whose key is needed next to find where *wanted* begins."""
        if self._search is None or self._search.high != wanted[1]:
            self._search = _PositionSearch(wanted[1], self._last_total)
        return self._search.next_position()

    def narrow_search(self, position: int, key: int) -> None:
        """Note that the row at *position* has *key*: 0 where that is past the end of the list."""
        search = self._search
        if search is None:
            return
        search.narrow(position, key)
        if search.found is not None:
            self._positions[search.high], self._search = search.found, None

    def forget_positions(self) -> None:
        """Forget all positions, which led nowhere, and doubt `total_number` from now on."""
        self._end_of_list.distrusts_total = True
        self._positions.clear()
        self._tops.clear()
        self._search = None

    def search_anew(self, wanted: Range) -> None:
        """Note that *wanted* was not where it should be: its position is to be searched for."""
        self.forget_positions()
        self.misplaced.add(wanted)

    def give_up(self, wanted: Range) -> bool:
        """Leave the range *wanted* to the next poll; say whether it is the first time."""
        self.search_anew(wanted)
        is_first = wanted not in self._given_up
        self._given_up.add(wanted)
        return is_first

    def forget_misplaced(self, looked_for: Collection[Range]) -> None:
        """Forget that ranges are misplaced, or given up, which are not *looked_for* any more."""
        self.misplaced &= set(looked_for)
        self._given_up &= set(looked_for)

    def next_query(self, wanted: Range, position: int, *, rereading: bool = False) -> CDRQuery:
        """Return the query to read *wanted* with, which begins at *position*.

        *rereading* says that *wanted* is to be rechecked: then the growth of the table does not
        tell how many rows it has.
        """
        lowest, highest = wanted
        self._last_wanted = wanted
        special = self._end_of_list.next_query(position, self.order)
        if special is None and highest == self._split_second:
            special = largest_query_from(position, self.order)
        self._last_query = special or self._estimated_query(lowest, highest, position, rereading)
        return self._last_query

    def _estimated_query(
        self, lowest: int, highest: int, position: int, rereading: bool
    ) -> CDRQuery:
        known = None if rereading else self._rows_down_to_known(lowest, position)
        rows = ceil((highest - lowest + 1) * self._rows_per_key) if known is None else known
        if rereading and self.order.by_time:
            # A few too many cost less than another request for the rest, which is hard to hit.
            rows += rows // 4 + _SPARE_ROWS
        elif known is None and self._expected_new is not None and not rereading:
            rows = min(rows, self._expected_new + self._rows_read_again)
        # One row more: only a row below the range proves that it was read to its end.
        wanted = query_from(position, rows + 1, self._max_rows, self.order)
        # The same query again would bring the same: a page that begins elsewhere may bring more.
        return (
            query_from_another_row(wanted, position, self._max_rows)
            if wanted == self._last_query
            else wanted
        )

    @property
    def _rows_read_again(self) -> int:
        """How many known rows each poll reads again below new ones: see `Page.new_rows_above`."""
        return 0 if self.order.by_time else HALF_A_FIRST_PAGE - 1

    def _rows_down_to_known(self, lowest: int, position: int) -> int | None:
        """Return how many rows there are from *position* down to the next page that was read.

        None where no page is known that begins right below the key *lowest*.
        """
        below = self._tops.get(lowest - 1, 0)
        return below - position + 1 if below > position else None

    def adapt_size(self, seconds: float) -> None:
        """Adapt how many rows are asked for to the *seconds* that the last page took."""
        if self._last_query is not None and self._last_query.limit > self._max_rows:
            # An unusually large page, for all of a second: its time says nothing about others.
            return
        size = next_size(self._max_rows, seconds)
        self._max_rows = min(size, self._max_rows) if self._pages_are_cut else size

    def timed_out(self, seconds: float) -> None:
        """Note that there was no answer within *seconds*, so that less is asked for."""
        self.adapt_size(seconds)


class _PositionSearch:
    """A binary search for the first row with the key *high* or a lower one, over several polls."""

    def __init__(self, high: int, total: int | None) -> None:
        self.high = high
        # The row is at a position from *_low* to *_end*; None: nothing is known of the end.
        self._low = 0
        self._end = total

    @property
    def found(self) -> int | None:
        """The position, once only one is left; None until then."""
        return self._low if self._low == self._end else None

    def next_position(self) -> int:
        if self._end is None:
            return 2 * self._low + 1
        return (self._low + self._end) // 2

    def narrow(self, position: int, key: int) -> None:
        if key > self.high and position < _LAST_POSITION:
            self._low = position + 1
            # Rows may have been added since the total was read.
            self._end = None if self._end is None else max(self._end, self._low)
        else:
            self._end = max(position, self._low)
