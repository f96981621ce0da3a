"""The ledger in a state file: one JSON object of facts, and a table of identities."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct, convert

from ..cdr import MAX_ID
from ..ledger import Ledger
from ..ledger.order import BY_ID, ORDER_BY_FIELD
from ..ledger.recheck_ranges import RecheckRange
from ..ledger.watermark import Watermark

_PARTS = {"now": "recent", "before": "recent_before"}
"""The table of identities of each part."""


class _Facts(Struct, array_like=False):
    """A ledger but for its identities. gaps: [lowest, highest, since]."""

    order: str
    newest_key: int
    remembered_from: int
    unread: tuple[tuple[int, int], ...]
    recheck: tuple[tuple[int, int, int], ...]
    rejects: tuple[int, ...]
    newest_end: int
    broken_at: int
    ahead: tuple[int, ...]
    first_read: str
    newest_at_start: int = 0


def read(db: sqlite3.Connection) -> Ledger | None:
    """Return the ledger of a file; ValueError or msgspec's errors where it makes no sense."""
    rows = dict(db.execute("SELECT part, facts FROM ledger"))
    if "now" not in rows:
        return None
    before = _ledger(db, "before", rows["before"], None) if "before" in rows else None
    return _ledger(db, "now", rows["now"], before)


def write(db: sqlite3.Connection, after: Ledger, known: Ledger | None) -> None:
    """Write *after*, of which the file has the identities of *known*."""
    _write_part(db, "now", after, known.remembered if known is not None else {})
    if known is not None and known.id_ledger is after.id_ledger:
        return
    db.execute("DELETE FROM recent_before")
    db.execute("DELETE FROM ledger WHERE part = 'before'")
    if after.id_ledger is not None:
        _write_part(db, "before", after.id_ledger, {})


def read_version_1(db: sqlite3.Connection) -> Ledger | None:
    """Return the ledger of a file of the first version, which knew ids only.

    It did not note when calls ended: all that ended until now may have been counted.
    """
    row = db.execute("SELECT high, floor, holes, rejects, baseline FROM ledger").fetchone()
    if row is None:
        return None
    high, floor, unread, rejects, baseline = convert(row, tuple[int, int, Any, Any, int])
    known = convert(dict(db.execute("SELECT id, fingerprint FROM recent")), dict[int, int])
    return Ledger(
        newest_key=high,
        remembered_from=floor,
        remembered={BY_ID.known(row_id, fp): row_id for row_id, fp in known.items()},
        unread=msgspec.json.decode(unread, type=tuple[tuple[int, int], ...]),
        rejects=msgspec.json.decode(rejects, type=tuple[int, ...]),
        watermark=Watermark(newest=int(time.time())),
        first_read="all" if baseline else "",
        lowest=min([floor, *known]),
    )


def _ledger(db: sqlite3.Connection, part: str, facts: str, before: Ledger | None) -> Ledger:
    said = msgspec.json.decode(facts, type=_Facts)
    rows = dict(db.execute(f"SELECT identity, key FROM {_PARTS[part]}"))  # noqa: S608 (ours)
    return Ledger(
        order=ORDER_BY_FIELD[said.order],
        newest_key=said.newest_key,
        remembered_from=said.remembered_from,
        remembered=convert(rows, dict[int, int]),
        unread=said.unread,
        recheck=tuple(RecheckRange(*gap) for gap in said.recheck),
        rejects=said.rejects,
        watermark=Watermark(said.newest_end, said.broken_at, said.ahead),
        first_read=said.first_read,
        newest_at_start=said.newest_at_start,
        id_ledger=before,
        lowest=min([said.remembered_from, *rows.values()]),
    )


def _write_part(db: sqlite3.Connection, part: str, after: Ledger, known: Mapping[int, int]) -> None:
    facts = _Facts(
        order=after.order.sort_by,
        newest_key=min(after.newest_key, MAX_ID),
        remembered_from=after.remembered_from,
        unread=after.unread,
        recheck=tuple((gap.low, gap.high, gap.since) for gap in after.recheck),
        rejects=after.rejects,
        newest_end=after.watermark.newest,
        broken_at=after.watermark.broken_at,
        ahead=after.watermark.ahead,
        first_read=after.first_read,
        newest_at_start=after.newest_at_start,
    )
    row = (part, msgspec.json.encode(facts).decode())
    db.execute("INSERT OR REPLACE INTO ledger VALUES (?, ?)", row)
    _write_identities(db, _PARTS[part], after.remembered, known)


def _write_identities(
    db: sqlite3.Connection, table: str, after: Mapping[int, int], known: Mapping[int, int]
) -> None:
    if after is known:
        return
    gone: Iterable[tuple[int]] = [(each,) for each in known.keys() - after.keys()]
    come = after.items() - known.items()
    db.executemany(f"DELETE FROM {table} WHERE identity = ?", gone)  # noqa: S608 (ours)
    db.executemany(f"INSERT OR REPLACE INTO {table} VALUES (?, ?)", come)  # noqa: S608 (ours)
