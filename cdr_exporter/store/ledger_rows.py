"""The ledger of a state as rows: an object of facts, and the remembered identities by their keys.

A row of identities has those of `IDENTITY_KEYS` keys that follow each other: a page brings rows of
neighbouring keys, and forgotten are the lowest.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec
from msgspec import Struct

from ..cdr import MAX_ID
from ..ingest import LedgerChange
from ..ledger import Ledger
from ..ledger.identities import packed
from ..ledger.order import ORDER_BY_NAME
from ..ledger.recheck_ranges import RecheckRange
from ..ledger.watermark import Watermark
from .checked_rows import ChangedRows, Rows
from .schema import IDENTITY_KEYS, LEDGER, REMEMBERED, REMEMBERED_BY_ID

_NOW, _ID_LEDGER = "now", "id_ledger"

_IDENTITY_TABLES = {_NOW: REMEMBERED, _ID_LEDGER: REMEMBERED_BY_ID}
"""The table with the identities of each part: the ledger, and the one by id that came before it."""

_identities = msgspec.json.Decoder(dict[int, int])
_json = msgspec.json.encode


class _Facts(Struct, array_like=False):
    """A ledger without its identities, as it is saved: the names are part of the file format.

    A range of *recheck* is [lowest key, highest key, since]; see `Ledger` for the rest.
    """

    order: str
    newest_key: int
    remembered_from: int
    unread: tuple[tuple[int, int], ...]
    recheck: tuple[tuple[int, int, int], ...]
    rejects: tuple[int, ...]
    newest_end: int
    broken_at: int
    impossible_ends: tuple[tuple[int, int], ...]
    first_read: str
    newest_at_start: int = 0
    new_rows_above: int = 0
    newest_possible: int = 0


def read(tables: Mapping[str, Rows]) -> Ledger | None:
    """Return the ledger in the file, None where there is none yet.

    Raises ValueError, LookupError or msgspec's errors where it makes no sense.
    """
    parts = tables[LEDGER]
    if _NOW not in parts:
        return None
    return _ledger(tables, _NOW, _ledger(tables, _ID_LEDGER) if _ID_LEDGER in parts else None)


def write(rows: ChangedRows, change: LedgerChange) -> None:
    """Write *change* to *rows*."""
    _write_facts(rows, _NOW, change.after)
    changed = (*change.remembered.values(), *change.forgotten.values())
    _write_identities(rows, _NOW, change.after, changed)
    if change.id_ledger_changed:
        rows.delete_all(REMEMBERED_BY_ID)
        rows.delete(LEDGER, [_ID_LEDGER])
        if change.after.id_ledger is not None:
            _write_facts(rows, _ID_LEDGER, change.after.id_ledger)
            by_id = change.after.id_ledger
            _write_identities(rows, _ID_LEDGER, by_id, by_id.remembered.values())


def _ledger(tables: Mapping[str, Rows], part: str, before: Ledger | None = None) -> Ledger:
    facts = msgspec.json.decode(tables[LEDGER][part], type=_Facts)
    remembered: dict[int, int] = {}
    for content in tables[_IDENTITY_TABLES[part]].values():
        remembered |= _identities.decode(content)
    return Ledger(
        order=ORDER_BY_NAME[facts.order],
        newest_key=facts.newest_key,
        remembered_from=facts.remembered_from,
        remembered=packed(remembered),
        unread=facts.unread,
        recheck=tuple(RecheckRange(*each) for each in facts.recheck),
        rejects=facts.rejects,
        watermark=Watermark(facts.newest_end, facts.broken_at, facts.impossible_ends),
        first_read=facts.first_read,
        newest_at_start=facts.newest_at_start,
        new_rows_above=facts.new_rows_above,
        newest_possible=facts.newest_possible,
        id_ledger=before,
        lowest_remembered=min([facts.remembered_from, *remembered.values()]),
    )


def _write_facts(rows: ChangedRows, part: str, after: Ledger) -> None:
    facts = _Facts(
        order=after.order.name,
        newest_key=min(after.newest_key, MAX_ID),
        remembered_from=after.remembered_from,
        unread=after.unread,
        recheck=tuple((each.low, each.high, each.missing_since) for each in after.recheck),
        rejects=after.rejects,
        newest_end=after.watermark.newest_end,
        broken_at=after.watermark.break_end,
        impossible_ends=after.watermark.impossible_ends,
        first_read=after.first_read,
        newest_at_start=after.newest_at_start,
        new_rows_above=after.new_rows_above,
        newest_possible=after.newest_possible,
    )
    rows.put(LEDGER, [(part, _json(facts))])


def _write_identities(
    rows: ChangedRows, part: str, after: Ledger, changed: Collection[int]
) -> None:
    """Write the rows of the keys that have *changed*, made of all that *after* remembers there."""
    if not changed:
        return
    table = _IDENTITY_TABLES[part]
    blocks: dict[int, dict[int, int]] = {key // IDENTITY_KEYS: {} for key in changed}
    # Most changes are of neighbouring keys, and then this is quicker than to look up each.
    low, high = IDENTITY_KEYS * min(blocks), IDENTITY_KEYS * (max(blocks) + 1)
    near = [each for each in after.remembered.items() if low <= each[1] < high]
    for identity, key in near:
        block = blocks.get(key // IDENTITY_KEYS)
        if block is not None:
            block[identity] = key
    rows.delete(table, [block for block, left in blocks.items() if not left])
    rows.put(table, [(block, _json(left)) for block, left in blocks.items() if left])
