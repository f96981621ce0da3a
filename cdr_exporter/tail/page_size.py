"""How many rows to ask for at which position, so that the PBX serves as few as can be. Pure."""

from __future__ import annotations

from ..cdr.contract import MAX_PAGE_SIZE, CDRQuery
from ..ledger.order import BY_ID, ORDER_BY_FIELD, Order
from ..ledger.page import query

LARGEST, SMALLEST = 500, 50
"""Rows per page while catching up. The PBX serves about 400 rows a second."""

OVERLAP, SMALL_OVERLAP = 10, 2
"""Rows read again at each seam: so many deletions between two requests leave no hole."""

_REQUEST_COST = 5
"""What a request costs the PBX besides its rows, in rows."""

_SLOW, _QUICK, _STEP = 5.0, 1.0, 100


def window(end: int, rows: int, largest: int = LARGEST, order: Order = BY_ID) -> CDRQuery:
    """Return the query that best reads on at position *end* (counted from 0, newest first).

    *rows* is how many are thought to follow; at most *largest* are asked for. A page can only
    begin at a multiple of its size, so the size is chosen that brings the most new rows for what
    it costs, with a few rows above *end* read again.
    """
    overlap = min(end, OVERLAP if min(rows, largest) > 10 * OVERLAP else SMALL_OVERLAP)

    def worth(size: int) -> float:
        again = end % size
        return min(rows, size - again) / (size + _REQUEST_COST) if again >= overlap else 0

    size = max(range(1, min(largest, 2 * rows + 3 * OVERLAP) + 1), key=worth)
    return query(end // size + 1, size, order)


def whole(end: int, rows: int, order: Order) -> CDRQuery:
    """Return the smallest query that holds *rows* rows from position *end* on, and one above.

    Where the contract has none, return the one that holds most of them.
    """
    overlap = min(end, SMALL_OVERLAP)
    sizes = [z for z in range(1, MAX_PAGE_SIZE + 1) if end % z >= overlap]
    fitting = (z for z in sizes if z - end % z >= rows)
    size = next(fitting, 0) or max(sizes, key=lambda z: z - end % z)
    return query(end // size + 1, size, order)


def elsewhere(asked: CDRQuery, end: int, largest: int = LARGEST) -> CDRQuery:
    """Return a query that reads on at *end* too, but begins at another row than *asked* did.

    It begins as near above *end* as can be: a PBX that cuts its pages short gets there, too.
    """
    sizes = (z for z in range(min(largest, end), 1, -1) if end // z * z != asked.offset)
    size = min((z for z in sizes if end % z), key=lambda z: end % z, default=0)
    if not size:
        return asked
    return query(end // size + 1, size, ORDER_BY_FIELD[asked.sort_by or BY_ID.sort_by])


def next_size(size: int, took: float) -> int:
    """Return how many rows to ask for after a page of *size* rows took *took* seconds."""
    if took > _SLOW:
        return max(min(size, SMALLEST), size // 2)
    return min(LARGEST, size + _STEP) if took < _QUICK else size
