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
from ..ledger.gaps import Gap
from ..ledger.order import BY_ID, ORDERS
from ..ledger.watermark import Watermark

_PARTS = {"now": "recent", "before": "recent_before"}
"""The table of identities of each part."""


class _Facts(Struct, array_like=False):
    """A ledger but for its identities. gaps: [lowest, highest, since]."""

    order: str
    high: int
    floor: int
    holes: tuple[tuple[int, int], ...]
    gaps: tuple[tuple[int, int, int], ...]
    rejects: tuple[int, ...]
    newest_end: int
    broken_at: int
    ahead: tuple[int, ...]
    opening: str
    seen_to: int = 0


def read(db: sqlite3.Connection) -> Ledger | None:
    """Return the ledger of a file; ValueError or msgspec's errors where it makes no sense."""
    rows = dict(db.execute("SELECT part, facts FROM ledger"))
    if "now" not in rows:
        return None
    before = _ledger(db, "before", rows["before"], None) if "before" in rows else None
    return _ledger(db, "now", rows["now"], before)


def write(db: sqlite3.Connection, after: Ledger, known: Ledger | None) -> None:
    """Write *after*, of which the file has the identities of *known*."""
    _write_part(db, "now", after, known.recent if known is not None else {})
    if known is not None and known.before is after.before:
        return
    db.execute("DELETE FROM recent_before")
    db.execute("DELETE FROM ledger WHERE part = 'before'")
    if after.before is not None:
        _write_part(db, "before", after.before, {})


def read_version_1(db: sqlite3.Connection) -> Ledger | None:
    """Return the ledger of a file of the first version, which knew ids only.

    It did not note when calls ended: all that ended until now may have been counted.
    """
    row = db.execute("SELECT high, floor, holes, rejects, baseline FROM ledger").fetchone()
    if row is None:
        return None
    high, floor, holes, rejects, baseline = convert(row, tuple[int, int, Any, Any, int])
    known = convert(dict(db.execute("SELECT id, fingerprint FROM recent")), dict[int, int])
    return Ledger(
        high=high,
        floor=floor,
        recent={BY_ID.known(row_id, fp): row_id for row_id, fp in known.items()},
        holes=msgspec.json.decode(holes, type=tuple[tuple[int, int], ...]),
        rejects=msgspec.json.decode(rejects, type=tuple[int, ...]),
        mark=Watermark(newest=int(time.time())),
        opening="all" if baseline else "",
        lowest=min([floor, *known]),
    )


def _ledger(db: sqlite3.Connection, part: str, facts: str, before: Ledger | None) -> Ledger:
    said = msgspec.json.decode(facts, type=_Facts)
    rows = dict(db.execute(f"SELECT identity, key FROM {_PARTS[part]}"))  # noqa: S608 (ours)
    return Ledger(
        order=ORDERS[said.order],
        high=said.high,
        floor=said.floor,
        recent=convert(rows, dict[int, int]),
        holes=said.holes,
        gaps=tuple(Gap(*gap) for gap in said.gaps),
        rejects=said.rejects,
        mark=Watermark(said.newest_end, said.broken_at, said.ahead),
        opening=said.opening,
        seen_to=said.seen_to,
        before=before,
        lowest=min([said.floor, *rows.values()]),
    )


def _write_part(db: sqlite3.Connection, part: str, after: Ledger, known: Mapping[int, int]) -> None:
    facts = _Facts(
        order=after.order.sort_by,
        high=min(after.high, MAX_ID),
        floor=after.floor,
        holes=after.holes,
        gaps=tuple((gap.low, gap.high, gap.since) for gap in after.gaps),
        rejects=after.rejects,
        newest_end=after.mark.newest,
        broken_at=after.mark.broken_at,
        ahead=after.mark.ahead,
        opening=after.opening,
        seen_to=after.seen_to,
    )
    row = (part, msgspec.json.encode(facts).decode())
    db.execute("INSERT OR REPLACE INTO ledger VALUES (?, ?)", row)
    _write_identities(db, _PARTS[part], after.recent, known)


def _write_identities(
    db: sqlite3.Connection, table: str, after: Mapping[int, int], known: Mapping[int, int]
) -> None:
    if after is known:
        return
    gone: Iterable[tuple[int]] = [(each,) for each in known.keys() - after.keys()]
    come = after.items() - known.items()
    db.executemany(f"DELETE FROM {table} WHERE identity = ?", gone)  # noqa: S608 (ours)
    db.executemany(f"INSERT OR REPLACE INTO {table} VALUES (?, ?)", come)  # noqa: S608 (ours)
