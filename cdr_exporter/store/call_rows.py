"""The calls in a state file: open ones with their legs, and closed ones."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import msgspec
from msgspec import convert

from ..calls import CallChange, ClosedCall, Leg, OpenCall, TrackedCalls

_COUNTED, _PASSED = "counted", "passed"

_Row = tuple[str, str, float]

_legs = msgspec.json.Decoder(tuple[Leg, ...])
_json = msgspec.json.Encoder()


def read(db: sqlite3.Connection) -> TrackedCalls:
    """Return the calls in the file; raises msgspec's errors where a row makes no sense."""
    opened: dict[str, OpenCall] = {}
    closed: dict[str, ClosedCall] = {}
    # By rowid, since closed calls are forgotten in the order in which they were closed.
    rows = db.execute("SELECT uid, legs, since FROM calls ORDER BY rowid")
    for uid, legs, since in convert(rows.fetchall(), list[_Row]):
        if legs in (_COUNTED, _PASSED):
            closed[uid] = ClosedCall(since, counted=legs == _COUNTED)
        else:
            opened[uid] = OpenCall.of(_legs.decode(legs), since)
    return TrackedCalls(opened, closed)


def write(db: sqlite3.Connection, change: CallChange) -> None:
    """Write *change* to the file, within the transaction of a commit."""
    gone = [(uid,) for uid in change.forgotten]
    db.executemany("DELETE FROM calls WHERE uid = ?", gone)
    db.executemany("INSERT OR REPLACE INTO calls VALUES (?, ?, ?)", _rows(change))


def _rows(change: CallChange) -> Iterator[_Row]:
    for uid, call in change.opened.items():
        yield uid, _json.encode(call.legs).decode(), call.last_seen
    for uid, closed in change.closed.items():
        yield uid, _COUNTED if closed.counted else _PASSED, closed.closed_at
