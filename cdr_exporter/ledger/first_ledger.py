"""First ledgers: for a PBX never seen before, and for each change of the order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..cdr import Record
from .ledger import ALL_OF_BOTH, Ledger, LedgerLimits
from .order import BY_ID, BY_TIME, NEW_BY_TIME, Order
from .page import Page
from .ranges import merge
from .recheck_ranges import RecheckRange, missing_ranges
from .watermark import Watermark


def from_now(page: Page, now: float) -> Ledger:
    """Return a ledger by id that counts only what comes after *page*, at *now* (epoch seconds).

    *page* is the first page; its rows are remembered and not counted.
    """
    rejected = (row for row in page.rejected if row.id)
    processed = {BY_ID.identity(row): row.id for row in page.rows}
    processed |= {BY_ID.identity(row): row.id or 0 for row in rejected}
    span = [(page.lowest, page.highest)] if page.highest else []
    missing = missing_ranges(span, sorted(processed.values(), reverse=True))
    return Ledger(
        newest_key=page.highest,
        # Where all rows of the list may be outliers, the ids of new ones may be anywhere.
        remembered_from=page.lowest if page.new_rows_above else 1,
        new_rows_above=page.new_rows_above,
        remembered=processed,
        recheck=tuple(RecheckRange(low, high, int(now), now) for low, high in missing),
        rejects=tuple(row.fingerprint for row in page.rejected if row.id is None),
        watermark=Watermark().after(page.rows, now),
    )


def from_the_beginning(*, both_tables: bool = False) -> Ledger:
    """Return a ledger by id that counts every row on the PBX: they become the baseline.

    With *both_tables*, there is a new table to be read after the list by id: the baseline is whole
    once that was read, too.
    """
    return Ledger(first_read=ALL_OF_BOTH if both_tables else "all")


def without_new_table(ledger: Ledger) -> Ledger:
    """Return *ledger*, of which the PBX shows no new table any more that would be read after it."""
    if ledger.first_read != ALL_OF_BOTH:
        return ledger
    return replace(ledger, first_read="all" if ledger.unread else "")


def new_table(ledger: Ledger) -> Ledger:
    """Return *ledger* by time, with which nothing is unread, to follow the new table with.

    That holds rows that the list so far did not show. They count if no call that ended before was
    longer than `longest_call`: everything since then is read again, and what was counted is
    remembered.
    """
    lost = (ledger.remembered_from, ledger.newest_key)
    return replace(ledger, order=NEW_BY_TIME, unread=merge([*ledger.unread, lost]))


def without_from(ledger: Ledger) -> Ledger:
    """Return *ledger* of the new table to follow the list without `from` with, by time."""
    return replace(ledger, order=BY_TIME)


def start_by_time(
    id_ledger: Ledger | None,
    newest: Iterable[Record],
    now: float,
    limits: LedgerLimits,
    start: str,
    all_had_ids_at: int | None,
    empty_at: int | None = None,
    *,
    order: Order = BY_TIME,
) -> Ledger:
    """Return the ledger to follow a table by time with, from *now* (epoch seconds) on.

    *order* is `BY_TIME`, or `NEW_BY_TIME` where only the new table shows all rows.

    *id_ledger* is the ledger by id so far, None at a first start. What it counted stays counted.
    Rows without id are looked for as far back as a call can last before *all_had_ids_at*: the
    newest end (epoch seconds) when every row was known to have an id, or to be shown by id; None
    where that is unknown.

    Without *id_ledger*, *start* is the user's choice, `now` or `all`; *newest* are the newest rows
    by time, and mark where `now` begins, or *empty_at* does: when the table was seen to be empty.
    """
    if id_ledger is not None:
        watermark = id_ledger.watermark
        first_read = "all" if id_ledger.first_read == ALL_OF_BOTH else id_ledger.first_read
    else:
        watermark, first_read = Watermark().after(tuple(newest), now), start
        watermark = watermark.with_break(empty_at) if start == "now" else watermark
    reads_everything = first_read == "all" or (id_ledger is not None and id_ledger.unread)
    last_end = (
        watermark.newest_end
        if all_had_ids_at is None or id_ledger is None
        else min(watermark.newest_end, all_had_ids_at)
    )
    # Bounded by our own clock: a row that ended in the future, by a wrong clock, would otherwise
    # keep the rows of the last hours from being looked for.
    remembered_from = (
        0 if reads_everything else max(0, min(last_end, int(now)) - int(limits.longest_call))
    )
    rejects = id_ledger.rejects if id_ledger is not None else ()
    return Ledger(
        order=order,
        remembered_from=remembered_from,
        rejects=rejects,
        watermark=watermark,
        first_read=first_read,
        id_ledger=id_ledger,
    )
