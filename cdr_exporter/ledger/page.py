"""A page: one checked response of the CDR list, newest first, and what it is evidence for.

The PBX offers no "after this id" and no cursor, only `page` and `page_size`. Rows that are added
or deleted between two requests shift what a page number means. So a position is only ever used to
choose what to ask for; what was read is judged by keys alone.

A response that contradicts its query or itself is refused as a whole: if half a page were taken
for a whole one, rows would be lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from operator import lt

from ..cdr import MAX_ID, CDRAnswer, GarbledAnswer, Record, Rejected
from ..cdr.contract import CDRQuery
from .order import BY_ID, Order, order_of
from .watermark import is_possible

FIRST_PAGE_ROWS = 20
"""How many rows the first page of a poll has; an idle poll reads no more than these."""

HALF_A_FIRST_PAGE = FIRST_PAGE_ROWS // 2
"""How many known rows show together down to where the table is known. Fewer may be outliers: rows
that stand far above those which were written with them."""


@dataclass(frozen=True, slots=True)
class Page:
    """One valid response to a query with `order_by=desc`.

    *rows* are its records, newest first, of which some may share an id or be the same;
    *rejected* those that cannot be counted; *without_id* those without an id where the list is
    followed by id, which may stand anywhere in that order and so are evidence for nothing.
    *offset* and *limit* are the query's, in rows; *total* is `total_number`, None where it was not
    sent or is behind the rows.

    *shared_ids* are the ids that more than one row has. Where there are any, *left_to_next* is how
    many rows of the lowest id were left out of *rows*: the next page may have others of it, and
    shows all of them.

    *highest* and *lowest* are the keys that it spans, 0 and 0 when it spans none. *is_first* and
    *is_last* say that it is known to begin and to end the list.
    """

    rows: Sequence[Record]
    rejected: Sequence[Rejected]
    without_id: Sequence[Record]
    order: Order
    offset: int
    limit: int
    total: int | None
    highest: int
    lowest: int
    is_first: bool
    is_last: bool
    shared_ids: Collection[int] = ()
    left_to_next: int = 0

    @property
    def size(self) -> int:
        """How many rows the PBX sent."""
        usable = len(self.rows) + len(self.rejected) + len(self.without_id)
        return usable + self.left_to_next

    @property
    def evidence(self) -> tuple[int, int]:
        """The lowest and highest key for which this page shows every row that exists."""
        lowest, highest = self.order.evidence_for(self.lowest, self.highest)
        # There is no row above a first page, nor below a last one.
        return (0 if self.is_last else lowest, MAX_ID if self.is_first else highest)

    def rows_above(self, key: int) -> int:
        """Count the rows, rejected ones too, before the first with *key* or a lower one."""
        usable = self.size - self.left_to_next
        return usable - sum(self.order.key(row) <= key for row in self.rows)

    def newest_possible(self, now: float) -> int:
        """Return the highest key; by time, of those possible at *now*, 0 where none is."""
        if not self.order.by_time or is_possible(self.highest, now):
            return self.highest
        starts = (row.started_at for row in self.rows)
        return next((each for each in starts if is_possible(each, now)), 0)

    @property
    def keys(self) -> Sequence[int]:
        """The keys of its rows, highest first, of rejected ones too where they have any."""
        keys = [self.order.key(row) for row in self.rows]
        if self.order is BY_ID:
            keys += [row.id for row in self.rejected if row.id]
        return sorted(keys, reverse=True)

    @property
    def new_rows_above(self) -> int:
        """The key above which new rows may turn up, once this first page was read.

        Half a page below the top, since the rows above it may all be outliers. 0 where the list is
        known to have no more rows than that.
        """
        keys = self.keys
        if len(keys) < HALF_A_FIRST_PAGE:
            return 0 if self.size == self.total else self.lowest
        return keys[HALF_A_FIRST_PAGE - 1]

    @property
    def rows_per_key(self) -> float:
        """How many rows there are for each key, a guess for keys further down.

        Made of the lower half of the page: the rows above it may be outliers.
        """
        lower = self.keys[len(self.keys) // 2 :]
        return len(lower) / (lower[0] - lower[-1] + 1) if lower else 1.0

    @property
    def may_be_last(self) -> bool:
        """Whether the list may end with this page."""
        return self.is_last or self.is_partial

    @property
    def is_partial(self) -> bool:
        """Whether there are fewer rows than were asked for, as at the end of a list."""
        return self.size < self.limit

    def as_last(self) -> Page:
        """Return this page as the last one, for a caller that knows so without `total_number`."""
        return replace(self, is_last=True)

    def with_missing_ids_rejected(self) -> Page:
        """Return this page with its rows without id rejected; by time they are rows like others."""
        if not self.without_id:
            return self
        rejected = [Rejected("id", BY_ID.identity(row)) for row in self.without_id]
        return replace(self, rejected=[*self.rejected, *rejected], without_id=())


def page_of(query: CDRQuery, answer: CDRAnswer) -> Page:
    """Return *answer* as a page.

    Raises `GarbledAnswer` where it contradicts *query*, its own `total_number`, or the order.
    """
    order = order_of(query)
    rows, without_id = _split_by_id(answer.rows) if order is BY_ID else (answer.rows, ())
    size = len(answer.rows) + len(answer.rejected)
    if size > query.limit:
        raise GarbledAnswer(f"{query.limit} rows were asked for, and {size} came")
    keys = [order.key(row) for row in rows]
    _check_order(order, keys)
    shared_ids = () if order.by_time else _shared(keys)
    is_end = size < query.limit or query.offset + size == answer.total
    left_to_next = 0 if is_end or answer.rejected else _rows_of_split_id(shared_ids, keys)
    rows = rows[: len(rows) - left_to_next]
    # A total behind its rows, as while the PBX is still counting, says nothing; the rows are there.
    is_behind = answer.total is not None and size > 0 and query.offset + size > answer.total
    total = None if is_behind else answer.total
    keys = keys[: len(rows)]
    span = [*keys[:1], *keys[-1:]]
    if order is BY_ID:
        # Rejected rows count for the span too: whatever is wrong with them, they were seen.
        span += [row.id for row in answer.rejected if row.id is not None]
    return Page(
        rows=rows,
        rejected=answer.rejected,
        without_id=without_id,
        order=order,
        offset=query.offset,
        limit=query.limit,
        total=total,
        highest=max(span, default=0),
        lowest=min(span, default=0),
        is_first=query.offset == 0,
        is_last=total is not None and query.offset + size >= total,
        shared_ids=shared_ids,
        left_to_next=left_to_next,
    )


def _shared(ids: Sequence[int]) -> Collection[int]:
    """Return those of *ids* that are there more than once."""
    if len(set(ids)) == len(ids):
        return ()
    return {each for each, times in Counter(ids).items() if times > 1}


def _rows_of_split_id(shared: Collection[int], ids: Sequence[int]) -> int:
    """Return how many rows have the lowest of *ids*, where any is *shared*: there may be more.

    0 where it is the only one.
    """
    return ids.count(ids[-1]) if shared and ids[0] != ids[-1] else 0


def _check_order(order: Order, keys: Sequence[int]) -> None:
    if any(map(lt, keys, keys[1:])):
        raise GarbledAnswer(f"the rows are not sorted by {order.sort_by}, newest first")


def _split_by_id(rows: Sequence[Record]) -> tuple[Sequence[Record], Sequence[Record]]:
    """Return the rows with an id, and those without."""
    if 0 not in [row.id for row in rows]:
        return rows, ()
    return [row for row in rows if row.id], [row for row in rows if not row.id]


def query(number: int, page_size: int, order: Order = BY_ID) -> CDRQuery:
    """Return the query for page *number* (from 1) of *page_size* rows, in *order*, newest first."""
    return CDRQuery(
        page=number,
        page_size=page_size,
        sort_by=order.sort_by,
        order_by="desc",
        from_=order.table,
    )
