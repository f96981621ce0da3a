"""What the simulated PBX holds, counted for whoever compares.

Rule: `totals` is counted anew from the rows each time, with a reading of its own of which trunk
a call belongs to; no running totals that could share a mistake with what they judge. Only what
ever came, and may be gone, is counted as it comes: `CDRTable.ever`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from .log import RequestLog
from .rows import Row, labels
from .table import CDRTable
from .tokens import Tokens

Totals = dict[tuple[str, str, str], int]
"""Rows by (disposition, call_type, trunk)."""

_NAMES = ("disposition", "call_type", "trunk", "count")


def totals(rows: Iterable[Row]) -> Totals:
    """Count *rows*; a field that is missing counts as the empty string."""
    return dict(Counter(map(labels, rows)))


def state(table: CDRTable, tokens: Tokens, log: RequestLog) -> dict[str, Any]:
    """Return the state of a PBX as JSON has it; `totals` and `ever` are lists of objects."""
    return {
        "total_number": len(table),
        "last_id": table.last_id,
        "totals": _listed(totals(table)),
        "ever": _listed(table.ever),
        "live_tokens": tokens.live,
        "blocked": tokens.blocked,
        "requests": log.total_requests,
        "rows_served": log.rows_served,
        "max_concurrent": log.max_concurrent,
    }


def _listed(counted: Totals) -> list[dict[str, Any]]:
    return [dict(zip(_NAMES, (*key, counted[key]), strict=True)) for key in sorted(counted)]
