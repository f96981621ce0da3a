"""Pages of the CDR list, newest first: what one response proves, and which to ask for next.

The PBX knows neither "after this id" nor a cursor, only `page` and `page_size`. Rows that are
added or deleted between two requests shift what a page number means, so nothing here trusts a
position further than to read near it: what was read is judged by ids alone.

An answer that contradicts itself is void as a whole, for half a page taken for a whole one would
lose rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import le, lt

from ..cdr import MAX_ID, CDRAnswer, GarbledAnswer, Record, Rejected
from ..cdr.contract import CDRQuery
from .order import BY_ID, ORDER_BY_FIELD, Order

FIRST_PAGE_ROWS = 20
"""Rows of an idle poll."""


@dataclass(frozen=True, slots=True)
class Page:
    """One valid response to a query of `order_by=desc`.

    *highest* and *lowest* are the keys it spans, 0 and 0 when it holds none. *is_first* and
    *is_last* say
    whether it is known to begin and to end the list. *without_id* are rows without an id where the
    list is followed by id: they stand anywhere, and prove nothing.
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

    @property
    def size(self) -> int:
        """How many rows the PBX sent."""
        return len(self.rows) + len(self.rejected) + len(self.without_id)

    @property
    def evidence(self) -> tuple[int, int]:
        """The lowest and the highest key that this page leaves no doubt about."""
        lowest, highest = self.order.evidence_for(self.lowest, self.highest)
        # Above a first page there is nothing, nor below a last one.
        return (0 if self.is_last else lowest, MAX_ID if self.is_first else highest)

    def rows_above(self, key: int) -> int:
        """Count the rows, good and bad, that stand before those with *key* or a lower one."""
        return self.size - sum(self.order.key(row) <= key for row in self.rows)

    @property
    def is_partial(self) -> bool:
        """Fewer rows than were asked for."""
        return self.size < self.limit

    def as_last(self) -> Page:
        """Return this page as the end of the list, for a reader who has other proof of it."""
        return replace(self, is_last=True)


def page_of(query: CDRQuery, answer: CDRAnswer) -> Page:
    """Check *answer* against *query* and the contract; raises `GarbledAnswer`."""
    order = ORDER_BY_FIELD[query.sort_by or BY_ID.sort_by]
    rows, without_id = _split_by_id(answer.rows) if order is BY_ID else (answer.rows, ())
    size = len(answer.rows) + len(answer.rejected)
    _check_size(query, answer, size)
    _check_order(order, rows)
    span = [order.key(row) for row in (*rows[:1], *rows[-1:])]
    if order is BY_ID:
        # Rejected rows widen the range too: what is wrong with them does not make them unseen.
        span += [row.id for row in answer.rejected if row.id is not None]
    return Page(
        rows=rows,
        rejected=answer.rejected,
        without_id=without_id,
        order=order,
        offset=query.offset,
        limit=query.limit,
        total=answer.total,
        highest=max(span, default=0),
        lowest=min(span, default=0),
        is_first=query.offset == 0,
        is_last=answer.total is not None and query.offset + size >= answer.total,
    )


def _check_size(query: CDRQuery, answer: CDRAnswer, size: int) -> None:
    if size > query.limit:
        raise GarbledAnswer(f"{size} rows came where {query.limit} were asked for")
    if answer.total is not None and size and query.offset + size > answer.total:
        raise GarbledAnswer(f"row {query.offset + size} came where total_number is {answer.total}")


def _check_order(order: Order, rows: Sequence[Record]) -> None:
    if order is BY_ID:
        ids = [row.id for row in rows]
        if any(map(le, ids, ids[1:])):
            raise GarbledAnswer("the rows are not sorted by id, newest first, each id once")
        return
    starts = [row.started_at for row in rows]
    if any(map(lt, starts, starts[1:])):
        raise GarbledAnswer("the rows are not sorted by time, newest first")


def _split_by_id(rows: Sequence[Record]) -> tuple[Sequence[Record], Sequence[Record]]:
    """Part rows with an id from those without."""
    if 0 not in [row.id for row in rows]:
        return rows, ()
    return [row for row in rows if row.id], [row for row in rows if not row.id]


def query(number: int, page_size: int, order: Order = BY_ID) -> CDRQuery:
    """Return the query of the tail: in its order, newest first."""
    return CDRQuery(page=number, page_size=page_size, sort_by=order.sort_by, order_by="desc")
