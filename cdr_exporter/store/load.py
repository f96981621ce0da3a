"""Everything that the rows of a state say, checked. Pure.

Rule: what makes no sense raises ValueError, LookupError or msgspec's errors.
"""

from __future__ import annotations

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
from .checked_rows import Rows
from .schema import CALLS, META, QUARTER

CLIENT, BOUNDS, FIRST_SHOWN = "client", "bounds", "first_shown"

_Time = Annotated[float, msgspec.Meta(ge=0)]


class SavedState(NamedTuple):
    """Everything that the rows of a state say.

    *client* stands for the client_id that it counts for. *bounds* are the bounds of histograms
    that its values were counted with. *resets* maps each reason to when a state was last set aside
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


def saved_state(tables: Mapping[str, Rows]) -> SavedState:
    """Return what the rows of each table say, all as of one commit."""
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
    """Return the key in the table `meta` of when a state was last set aside for *reason*."""
    return f"reset_{reason}"
