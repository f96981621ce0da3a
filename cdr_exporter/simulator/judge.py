"""What the simulated PBX holds, counted for whoever compares.

Rule: counted anew from the rows each time, with a reading of its own of which trunk a call
belongs to; no running totals that could share a mistake with what they judge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from .log import RequestLog
from .rows import Row, trunk_label
from .table import CDRTable
from .tokens import Tokens

Totals = dict[tuple[str, str, str], int]
"""Rows by (disposition, call_type, trunk)."""

_NAMES = ("disposition", "call_type", "trunk", "count")


def totals(rows: Iterable[Row]) -> Totals:
    """Count *rows*; a field that is missing counts as the empty string."""
    return dict(
        Counter(
            (row.get("disposition", ""), row.get("call_type", ""), trunk_label(row)) for row in rows
        )
    )


def state(table: CDRTable, tokens: Tokens, log: RequestLog) -> dict[str, Any]:
    """Return the state of a PBX as JSON has it; `totals` is a list of objects."""
    counted = sorted((*labels, count) for labels, count in totals(table).items())
    return {
        "total_number": len(table),
        "last_id": table.ids[-1] if len(table) else None,
        "totals": [dict(zip(_NAMES, total, strict=True)) for total in counted],
        "live_tokens": tokens.live,
        "blocked": tokens.blocked,
        "requests": log.total_requests,
        "rows_served": log.rows_served,
        "max_concurrent": log.max_concurrent,
    }
