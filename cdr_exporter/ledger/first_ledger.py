"""First ledgers: of a PBX never seen before, and by time after one by id."""

from __future__ import annotations

from collections.abc import Iterable

from ..cdr import Record
from .gaps import Gap, missing
from .ledger import Ledger, Terms
from .order import BY_ID, BY_TIME
from .page import Page
from .watermark import Watermark


def from_now(page: Page, now: float) -> Ledger:
    """Begin after the first *page*, by id: its rows are remembered and not counted."""
    bad = (row for row in page.rejected if row.id)
    done = {BY_ID.identity(row): row.id for row in page.rows}
    done |= {BY_ID.identity(row): row.id or 0 for row in bad}
    span = [(page.lowest, page.top)] if page.top else []
    holes = missing(span, sorted(done.values(), reverse=True))
    return Ledger(
        high=page.top,
        floor=page.lowest or 1,
        recent=done,
        gaps=tuple(Gap(low, high, int(now), now) for low, high in holes),
        rejects=tuple(row.fingerprint for row in page.rejected if row.id is None),
        mark=Watermark().after(page.rows, now),
    )


def from_the_beginning() -> Ledger:
    """Begin before the first row: what is on the PBX becomes the baseline."""
    return Ledger(opening="all")


def by_time(
    before: Ledger | None,
    newest: Iterable[Record],
    now: float,
    terms: Terms,
    start: str,
    clean_at: int | None,
    empty_at: int | None = None,
) -> Ledger:
    """Begin to follow a table by time, of which *newest* are the newest rows.

    After a ledger by id, what it counted stays counted, and rows without id are looked for as far
    back as a call can last, from *clean_at*: the newest end when all rows had ids. Without one,
    *start* is what the user wants with what is there; the table was seen empty *empty_at*, if so.
    """
    if before is not None:
        mark, opening = before.mark, before.opening
    else:
        mark, opening = Watermark().after(tuple(newest), now), start
        mark = mark.broken(empty_at) if start == "now" else mark
    whole = opening == "all" or (before is not None and before.holes)
    last = mark.newest if clean_at is None or before is None else min(mark.newest, clean_at)
    # A row of a clock that is ahead must not end the time in which others are looked for.
    floor = 0 if whole else max(0, min(last, int(now)) - int(terms.longest_call))
    rejects = before.rejects if before is not None else ()
    return Ledger(
        order=BY_TIME, floor=floor, rejects=rejects, mark=mark, opening=opening, before=before
    )
