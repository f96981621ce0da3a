"""The calls by quarter of an hour in a state file, a row each, and of which time they are known."""

from __future__ import annotations

import sqlite3
from typing import Annotated

import msgspec

from ..metrics.quarters import KINDS, Cells, Coverage, QuarterChange, Quarters, quarters_of

_Kind = Annotated[int, msgspec.Meta(ge=0, lt=len(KINDS))]

_cells = msgspec.json.Decoder(dict[_Kind, tuple[int, int, int, int, int]])
_coverage = msgspec.json.Decoder(Coverage)
_json = msgspec.json.Encoder()


def read(db: sqlite3.Connection) -> Quarters:
    """Return the quarters in the file; raises msgspec's errors where a row makes no sense."""
    rows = db.execute("SELECT quarter, cells FROM quarter ORDER BY quarter").fetchall()
    texts = msgspec.convert(rows, list[tuple[int, str]])
    covered = db.execute("SELECT value FROM meta WHERE key = 'coverage'").fetchone()
    coverage = _coverage.decode(covered[0]) if covered else Coverage()
    quarters: list[tuple[int, Cells]] = [(n, _cells.decode(text)) for n, text in texts]
    return quarters_of(quarters, coverage)


def write(db: sqlite3.Connection, change: QuarterChange) -> None:
    """Write *change* to the file, within the transaction of a commit."""
    if change.dropped_before:
        db.execute("DELETE FROM quarter WHERE quarter < ?", (change.dropped_before,))
    rows = ((quarter, _json.encode(cells).decode()) for quarter, cells in change.written.items())
    db.executemany("INSERT OR REPLACE INTO quarter VALUES (?, ?)", rows)
    if change.covers_more:
        text = _json.encode(change.after.coverage).decode()
        db.execute("INSERT OR REPLACE INTO meta VALUES ('coverage', ?)", (text,))
