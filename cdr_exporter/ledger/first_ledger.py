"""First ledgers: of a PBX never seen before, and by time after one by id."""

from __future__ import annotations

from collections.abc import Iterable

from ..cdr import Record
from .ledger import Ledger, LedgerLimits
from .order import BY_ID, BY_TIME
from .page import Page
from .recheck_ranges import RecheckRange, missing
from .watermark import Watermark


def from_now(page: Page, now: float) -> Ledger:
    """Begin after the first *page*, by id: its rows are remembered and not counted."""
    bad = (row for row in page.rejected if row.id)
    done = {BY_ID.identity(row): row.id for row in page.rows}
    done |= {BY_ID.identity(row): row.id or 0 for row in bad}
    span = [(page.lowest, page.top)] if page.top else []
    unread = missing(span, sorted(done.values(), reverse=True))
    return Ledger(
        newest_key=page.top,
        remembered_from=page.lowest or 1,
        remembered=done,
        recheck=tuple(RecheckRange(low, high, int(now), now) for low, high in unread),
        rejects=tuple(row.fingerprint for row in page.rejected if row.id is None),
        watermark=Watermark().after(page.rows, now),
    )


def from_the_beginning() -> Ledger:
    """Begin before the first row: what is on the PBX becomes the baseline."""
    return Ledger(first_read="all")


def by_time(
    before: Ledger | None,
    newest: Iterable[Record],
    now: float,
    terms: LedgerLimits,
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
        mark, opening = before.watermark, before.first_read
    else:
        mark, opening = Watermark().after(tuple(newest), now), start
        mark = mark.broken(empty_at) if start == "now" else mark
    whole = opening == "all" or (before is not None and before.unread)
    last = mark.newest if clean_at is None or before is None else min(mark.newest, clean_at)
    # A row of a clock that is ahead must not end the time in which others are looked for.
    floor = 0 if whole else max(0, min(last, int(now)) - int(terms.longest_call))
    rejects = before.rejects if before is not None else ()
    return Ledger(
        order=BY_TIME,
        remembered_from=floor,
        rejects=rejects,
        watermark=mark,
        first_read=opening,
        id_ledger=before,
    )
