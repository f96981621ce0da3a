"""What the simulated PBX holds, counted for whoever compares.

Rule: `totals` is counted anew from the rows each time, with a reading of its own of which trunk
a call belongs to; no running totals that could share a mistake with what they judge. Only what
ever came, and may be gone, is counted as it comes: rows in `CDRTable.ever`, calls in
`CallTracker.ever`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from .request_log import RequestLog
from .rows import Row, labels
from .table import CDRTable
from .token_issuer import TokenIssuer
from .truth import CallTruth

Totals = dict[tuple[str, str, str], int]
"""Rows by (disposition, call_type, trunk)."""

Outcomes = dict[tuple[str, str, str], int]
"""Calls by (outcome, call_type, trunk)."""

_ROWS = ("disposition", "call_type", "trunk")
_CALLS = ("outcome", "call_type", "trunk")

Truths = Mapping[CallTruth, int]

_Labels = TypeVar("_Labels", bound=tuple[str, ...])


def totals(rows: Iterable[Row]) -> Totals:
    """Count *rows*; a field that is missing counts as the empty string."""
    return dict(Counter(map(labels, rows)))


def outcomes(calls: Truths) -> Outcomes:
    """Count *calls* by what came of them."""
    return _counted(calls, lambda truth: [(truth.outcome, truth.call_type, truth.trunk)])


def state(table: CDRTable, tokens: TokenIssuer, log: RequestLog) -> dict[str, Any]:
    """Return the state of a PBX as JSON has it; what is counted is a list of objects.

    `totals` are the rows there are, `ever` those that ever came, by labels. `calls` are those
    of which every leg has appeared, by what truly came of them; `open_calls` have shown some
    legs and not all. Deletions and restores change neither. Of the same calls, `did_calls` counts
    the inbound ones by the own number called, `queue_calls` those that came to a queue, once for
    each queue, and `destination_calls` the outbound ones.

    Nobody declared what calls written by hand (`Events.call`) are, so that they are rows only.
    """
    calls = table.calls.ever
    return {
        "total_number": len(table),
        "last_id": table.last_id,
        "totals": _listed(_ROWS, totals(table)),
        "ever": _listed(_ROWS, table.ever),
        "calls": _listed(_CALLS, outcomes(calls)),
        "open_calls": table.calls.open_calls,
        "did_calls": _listed(("did", "outcome"), _counted(calls, _dids)),
        "queue_calls": _listed(("queue", "outcome"), _counted(calls, _queues)),
        "destination_calls": _listed(("destination", "outcome"), _counted(calls, _destinations)),
        "live_tokens": tokens.live,
        "blocked": tokens.blocked,
        "requests": log.total_requests,
        "rows_served": log.rows_served,
        "max_concurrent": log.max_concurrent,
    }


def _dids(truth: CallTruth) -> list[tuple[str, str]]:
    return [(truth.did, truth.outcome)] if truth.did else []


def _queues(truth: CallTruth) -> list[tuple[str, str]]:
    return [(queue, truth.outcome) for queue in truth.queues]


def _destinations(truth: CallTruth) -> list[tuple[str, str]]:
    return [(truth.destination, truth.outcome)] if truth.destination else []


def _counted(calls: Truths, labels_of: Callable[[CallTruth], list[_Labels]]) -> dict[_Labels, int]:
    counted: Counter[_Labels] = Counter()
    for truth, count in calls.items():
        for each in labels_of(truth):
            counted[each] += count
    return dict(counted)


def _listed(names: Sequence[str], counted: Mapping[_Labels, int]) -> list[dict[str, Any]]:
    listed = sorted(counted)
    return [dict(zip((*names, "count"), (*key, counted[key]), strict=True)) for key in listed]
