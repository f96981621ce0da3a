"""Everything that a state file says, checked.

Rule: what makes no sense raises ValueError, LookupError or msgspec's errors; SQLite's errors pass
through.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec import convert

from ..calls import TrackedCalls
from ..cdr.labels import OTHER_TRUNK
from ..ingest import FirstShown
from ..ledger import Ledger
from ..metrics.catalogue import RECORDS, STATE_RESETS
from ..metrics.quarters import Quarters
from ..metrics.totals import Bounds, Series, Totals
from . import call_rows, ledger_rows, quarter_rows


class SavedState(NamedTuple):
    """Everything that a state file says.

    *bounds* are the bounds of histograms that its values were counted with. *resets* maps each
    reason to when a file was last set aside for it (epoch seconds, 0 for never). *totals* mean
    something only where there is a *ledger*. *first_shown* is None before it was noted.
    """

    bounds: Bounds
    resets: Mapping[str, float]
    ledger: Ledger | None
    totals: Totals
    calls: TrackedCalls
    quarters: Quarters
    first_shown: FirstShown | None


def read_state(db: sqlite3.Connection) -> SavedState:
    """Read the whole file."""
    meta = read_meta(db)
    bounds = msgspec.json.decode(meta.get("bounds", "{}"), type=dict[str, tuple[int, ...]])
    resets = {reason: float(meta.get(f"reset_{reason}", 0)) for reason in STATE_RESETS}
    ledger, totals, calls = ledger_rows.read(db), _totals(db), call_rows.read(db)
    quarters, first_shown = quarter_rows.read(db), first_shown_of(meta)
    return SavedState(bounds, resets, ledger, totals, calls, quarters, first_shown)


def read_meta(db: sqlite3.Connection) -> dict[str, Any]:
    """Read the table `meta`: whose file it is, bounds, and when others were set aside."""
    return dict(db.execute("SELECT key, value FROM meta"))


def first_shown_of(meta: Mapping[str, Any]) -> FirstShown | None:
    """Return when the series were first shown, None where the file does not say."""
    text = meta.get("first_shown")
    return None if text is None else msgspec.json.decode(text, type=FirstShown)


def _totals(db: sqlite3.Connection) -> Totals:
    names = db.execute("SELECT family, labels, born FROM series ORDER BY number").fetchall()
    born = {
        Series(family, msgspec.json.decode(labels, type=tuple[str, ...])): born_at
        for family, labels, born_at in convert(names, list[tuple[str, Any, float]])
    }
    chunks = db.execute("SELECT series_values FROM chunk ORDER BY chunk")
    values = [value for (text,) in chunks for value in _values.decode(text)]
    series = dict(zip(born, values, strict=True))
    trunks = frozenset(key.labels[2] for key in series if key.family == RECORDS.name)
    return Totals(series, born, trunks - {OTHER_TRUNK})


_values = msgspec.json.Decoder(list[tuple[int, ...]])
