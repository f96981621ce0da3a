"""How many rows to ask for at which position, so that the PBX serves as few as possible. Pure.

Known: a page begins at a multiple of its size, so to read on at a position the size has to be
chosen so that a page begins at it or a little above. Guessed: what a request costs the PBX, and how
many rows follow. Where that is wrong, more rows are read again, or more requests are needed.

Positions count from 0, the newest row. Sizes are in rows.
"""

from __future__ import annotations

from ..cdr.contract import CDRQuery
from ..ledger.order import BY_ID, Order, order_of
from ..ledger.page import query

LARGEST_PAGE, SMALLEST_PAGE = 500, 50
"""The most rows of a page while catching up, and the fewest that a slow PBX is asked for. A PBX
serves about 400 rows a second."""

OVERLAP, SMALL_OVERLAP = 10, 2
"""How many rows above the position are read again: so many may be deleted between two requests,
which moves the rest up, without a row being missed. The second is for small pages."""

_REQUEST_COST = 5
"""What a request costs the PBX beside its rows, as a number of rows."""

_SLOW_ANSWER, _QUICK_ANSWER, _STEP_ROWS = 5.0, 1.0, 100
"""An answer that took more seconds than the first halves the page; one that took fewer than the
second adds so many rows."""


def query_from(
    position: int, rows: int, largest: int = LARGEST_PAGE, order: Order = BY_ID
) -> CDRQuery:
    """Return the query that brings the most new rows from *position* on for what it costs the PBX.

    *rows* is how many are thought to follow; at most *largest* are asked for. The page begins a few
    rows above *position*, which are read again: see `OVERLAP`.
    """
    overlap = min(position, OVERLAP if min(rows, largest) > 10 * OVERLAP else SMALL_OVERLAP)

    def worth(size: int) -> float:
        reread = position % size
        return min(rows, size - reread) / (size + _REQUEST_COST) if reread >= overlap else 0

    size = max(range(1, min(largest, 2 * rows + 3 * OVERLAP) + 1), key=worth)
    return query(position // size + 1, size, order)


def largest_query_from(position: int, order: Order) -> CDRQuery:
    """Return the query with the most rows from *position* on, and a few above it."""
    overlap = min(position, SMALL_OVERLAP)
    sizes = (size for size in range(1, LARGEST_PAGE + 1) if position % size >= overlap)
    size = max(sizes, key=lambda size: size - position % size)
    return query(position // size + 1, size, order)


def query_from_another_row(
    previous: CDRQuery, position: int, largest: int = LARGEST_PAGE
) -> CDRQuery:
    """Return a query for *position* that begins at another row than *previous* does.

    It begins as little above *position* as possible, so that a PBX that cuts its pages short sends
    the row at *position*, too. Returns *previous* where there is no other.
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
    return query(position // size + 1, size, order_of(previous))


def next_size(size: int, seconds: float) -> int:
    """Return how many rows to ask for after a page of up to *size* rows took *seconds*."""
    if seconds > _SLOW_ANSWER:
        return max(min(size, SMALLEST_PAGE), size // 2)
    return min(LARGEST_PAGE, size + _STEP_ROWS) if seconds < _QUICK_ANSWER else size
