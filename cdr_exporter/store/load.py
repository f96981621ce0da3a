"""Everything that a state file says, checked.

Rule: what makes no sense raises ValueError, LookupError or msgspec's errors; SQLite's errors pass
through.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Annotated, NamedTuple

import msgspec

from ..calls import TrackedCalls
from ..ingest import FirstShown
from ..ledger import Ledger
from ..metrics.catalogue import STATE_RESETS
from ..metrics.quarters import Quarters
from ..metrics.totals import Bounds, Totals
from . import call_rows, ledger_rows, quarter_rows, series_rows
from .checked_rows import Damaged, read_all_rows
from .schema import CALLS, META, QUARTER, SCHEMA

CLIENT, BOUNDS, FIRST_SHOWN = "client", "bounds", "first_shown"

_Time = Annotated[float, msgspec.Meta(ge=0)]


class SavedState(NamedTuple):
    """Everything that a state file says.

    *client* stands for the client_id that it counts for. *bounds* are the bounds of histograms
    that its values were counted with. *resets* maps each reason to when a file was last set aside
    for it (epoch seconds, 0 for never). *totals* mean something only where there is a *ledger*.
    *first_shown* is None before it was noted.
    """

    client: str
    bounds: Bounds
    resets: Mapping[str, float]
    ledger: Ledger | None
    totals: Totals
    calls: TrackedCalls
    quarters: Quarters
    first_shown: FirstShown | None


def verify(db: sqlite3.Connection) -> SavedState:
    """Read the whole file, and check how it is built too; see the rule above."""
    [[verdict], *_] = db.execute("PRAGMA quick_check(1)")
    if verdict != "ok":
        raise Damaged(verdict)
    built = db.execute("SELECT name, type, tbl_name, sql FROM sqlite_master").fetchall()
    # Not sorted: what should be text may be anything.
    if set(built) != {(name, "table", name, sql) for name, sql in SCHEMA.items()}:
        raise Damaged("it has other tables")
    return read_state(db)


def read_state(db: sqlite3.Connection) -> SavedState:
    """Read the whole file, as of one commit."""
    tables = read_all_rows(db)
    meta = tables[META]
    bounds = msgspec.json.decode(meta.get(BOUNDS, b"{}"), type=dict[str, tuple[int, ...]])
    return SavedState(
        client=msgspec.json.decode(meta[CLIENT], type=str),
        bounds=bounds,
        resets={
            reason: msgspec.json.decode(meta.get(reset_key(reason), b"0"), type=_Time)
            for reason in STATE_RESETS
        },
        ledger=ledger_rows.read(tables),
        totals=series_rows.read(tables, bounds),
        calls=call_rows.read(tables[CALLS]),
        quarters=quarter_rows.read(tables[QUARTER], meta),
        first_shown=msgspec.json.decode(meta.get(FIRST_SHOWN, b"null"), type=FirstShown | None),
    )


def reset_key(reason: str) -> str:
    """Return the key in the table `meta` of when a file was last set aside for *reason*."""
    return f"reset_{reason}"
