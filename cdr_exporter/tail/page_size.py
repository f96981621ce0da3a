"""How many rows to ask for at which position, so that the PBX serves as few as can be. Pure."""

from __future__ import annotations

from ..cdr.contract import MAX_PAGE_SIZE, CDRQuery
from ..ledger.order import BY_ID, ORDER_BY_FIELD, Order
from ..ledger.page import query

LARGEST_PAGE, SMALLEST_PAGE = 500, 50
"""Rows per page while catching up. The PBX serves about 400 rows a second."""

OVERLAP, SMALL_OVERLAP = 10, 2
"""Rows read again at each seam: so many deletions between two requests leave no hole."""

_REQUEST_COST = 5
"""What a request costs the PBX besides its rows, in rows."""

_SLOW_ANSWER, _QUICK_ANSWER, _STEP_ROWS = 5.0, 1.0, 100


def query_from(
    position: int, rows: int, largest: int = LARGEST_PAGE, order: Order = BY_ID
) -> CDRQuery:
    """Return the query that best reads on at position *position* (counted from 0, newest first).

    *rows* is how many are thought to follow; at most *largest* are asked for. A page can only
    begin at a multiple of its size, so the size is chosen that brings the most new rows for what
    it costs, with a few rows above *position* read again.
    """
    overlap = min(position, OVERLAP if min(rows, largest) > 10 * OVERLAP else SMALL_OVERLAP)

    def worth(size: int) -> float:
        reread = position % size
        return min(rows, size - reread) / (size + _REQUEST_COST) if reread >= overlap else 0

    size = max(range(1, min(largest, 2 * rows + 3 * OVERLAP) + 1), key=worth)
    return query(position // size + 1, size, order)


def query_for_all(position: int, rows: int, order: Order) -> CDRQuery:
    """Return the smallest query that holds *rows* rows from position *position* on, and one above.

    Where the contract has none, return the one that holds most of them.
    """
    overlap = min(position, SMALL_OVERLAP)
    sizes = [size for size in range(1, MAX_PAGE_SIZE + 1) if position % size >= overlap]
    fitting = (size for size in sizes if size - position % size >= rows)
    size = next(fitting, 0) or max(sizes, key=lambda size: size - position % size)
    return query(position // size + 1, size, order)


def query_from_another_row(
    previous: CDRQuery, position: int, largest: int = LARGEST_PAGE
) -> CDRQuery:
    """Return a query for *position* too that begins at another row than *previous* did.

    It begins as near above *position* as possible, so that a PBX that cuts its pages short gets to
    *position*, too. Returns *previous* where there is no other.
    """
    sizes = (
        size
        for size in range(min(largest, position), 1, -1)
        if position // size * size != previous.offset
    )
    size = min(
        (size for size in sizes if position % size), key=lambda size: position % size, default=0
    )
    if not size:
        return previous
    return query(position // size + 1, size, ORDER_BY_FIELD[previous.sort_by or BY_ID.sort_by])


def next_size(size: int, took: float) -> int:
    """Return how many rows to ask for after a page of *size* rows took *last_duration* seconds."""
    if took > _SLOW_ANSWER:
        return max(min(size, SMALLEST_PAGE), size // 2)
    return min(LARGEST_PAGE, size + _STEP_ROWS) if took < _QUICK_ANSWER else size
