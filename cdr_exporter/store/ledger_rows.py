"""The ledger in a state file: a JSON object of facts, and a table of remembered identities."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

import msgspec
from msgspec import Struct, convert

from ..cdr import MAX_ID
from ..ingest import LedgerChange
from ..ledger import Ledger
from ..ledger.order import ORDER_BY_NAME
from ..ledger.recheck_ranges import RecheckRange
from ..ledger.watermark import Watermark

_IDENTITY_TABLES = {"now": "remembered", "id_ledger": "remembered_by_id"}
"""The table with the identities of each part: the ledger, and the one by id that came before it."""


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


def read(db: sqlite3.Connection) -> Ledger | None:
    """Return the ledger in the file, None where there is none yet.

    Raises ValueError, LookupError or msgspec's errors where it makes no sense.
    """
    rows = dict(db.execute("SELECT part, facts FROM ledger"))
    if "now" not in rows:
        return None
    before = _ledger(db, "id_ledger", rows["id_ledger"], None) if "id_ledger" in rows else None
    return _ledger(db, "now", rows["now"], before)


def write(db: sqlite3.Connection, change: LedgerChange) -> None:
    """Write *change*, within the transaction of a commit."""
    _write_facts(db, "now", change.after)
    _write_identities(db, "now", change.remembered, change.forgotten)
    if change.id_ledger_changed:
        db.execute("DELETE FROM remembered_by_id")
        db.execute("DELETE FROM ledger WHERE part = 'id_ledger'")
        if change.after.id_ledger is not None:
            _write_facts(db, "id_ledger", change.after.id_ledger)
            _write_identities(db, "id_ledger", change.after.id_ledger.remembered)


def _ledger(db: sqlite3.Connection, part: str, text: str, before: Ledger | None) -> Ledger:
    facts = msgspec.json.decode(text, type=_Facts)
    rows = dict(db.execute(f"SELECT identity, key FROM {_IDENTITY_TABLES[part]}"))  # noqa: S608 (ours)
    return Ledger(
        order=ORDER_BY_NAME[facts.order],
        newest_key=facts.newest_key,
        remembered_from=facts.remembered_from,
        remembered=convert(rows, dict[int, int]),
        unread=facts.unread,
        recheck=tuple(RecheckRange(*each) for each in facts.recheck),
        rejects=facts.rejects,
        watermark=Watermark(facts.newest_end, facts.broken_at, facts.impossible_ends),
        first_read=facts.first_read,
        newest_at_start=facts.newest_at_start,
        new_rows_above=facts.new_rows_above,
        newest_possible=facts.newest_possible,
        id_ledger=before,
        lowest_remembered=min([facts.remembered_from, *rows.values()]),
    )


def _write_facts(db: sqlite3.Connection, part: str, after: Ledger) -> None:
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
    row = (part, msgspec.json.encode(facts).decode())
    db.execute("INSERT OR REPLACE INTO ledger VALUES (?, ?)", row)


def _write_identities(
    db: sqlite3.Connection, part: str, new: Mapping[int, int], gone: Iterable[int] = ()
) -> None:
    table = _IDENTITY_TABLES[part]
    each_gone = ((each,) for each in gone)
    db.executemany(f"DELETE FROM {table} WHERE identity = ?", each_gone)  # noqa: S608 (ours)
    db.executemany(f"INSERT OR REPLACE INTO {table} VALUES (?, ?)", new.items())  # noqa: S608 (ours)
