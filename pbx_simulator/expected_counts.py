"""What a correct reader of this PBX must have counted.

Rule: `totals` is counted anew from the rows each time, and the simulator decides by itself which
trunk a row belongs to, so that it shares no mistake with the reader that is compared with it.
Rows and calls that may be deleted by now were counted when they appeared: rows in `CDRTable.ever`,
calls in `CallTracker.ever`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from .locking import Lock
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


class ExpectedCounts:
    """The counts of one *table*."""

    def __init__(self, table: CDRTable, lock: Lock) -> None:
        self._table = table
        self._lock = lock

    def totals(self) -> Totals:
        """Count all rows that are in the table now, by (disposition, call_type, trunk)."""
        with self._lock:
            return totals(self._table)

    def ever(self) -> Totals:
        """Count the rows that were ever visible, by (disposition, call_type, trunk).

        Each counts once, as it was when it appeared, whether a request saw it or not. Rows
        restored from a backup and rows of another PBX do not count.
        """
        with self._lock:
            return dict(self._table.ever)

    def outcomes(self) -> Outcomes:
        """Count the calls of which every leg was ever visible, by (outcome, call_type, trunk).

        Each counts once, by its `CallTruth`. Rows of `Office.call` are of no call.
        """
        with self._lock:
            return outcomes(self._table.calls.ever)


def totals(rows: Iterable[Row]) -> Totals:
    """Count *rows*; a missing field counts as the empty string."""
    return dict(Counter(map(labels, rows)))


def outcomes(calls: Truths) -> Outcomes:
    """Count *calls* by their outcome."""
    return _counted(calls, lambda truth: [(truth.outcome, truth.call_type, truth.trunk)])


def state(table: CDRTable, tokens: TokenIssuer, request_log: RequestLog) -> dict[str, Any]:
    """Return the state of a PBX as JSON objects; counts are lists of objects.

    `totals` counts the rows there are, `ever` those that were ever visible. `calls` counts the
    calls of which every leg has appeared; `open_calls` have shown some legs and not all.
    Deletions and restores change neither. Of the same calls, `did_calls` counts the inbound ones
    by the DID number called, `queue_calls` those that entered a queue, once for each queue by what
    became of them in that queue, and `destination_calls` those with a leg to the outside.

    Rows written by hand (`Office.call`) are in `totals` and `ever` only: nobody declared what
    their calls are.
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
        "requests": request_log.total_requests,
        "rows_served": request_log.rows_served,
        "max_concurrent": request_log.max_concurrent,
    }


def _dids(truth: CallTruth) -> list[tuple[str, str]]:
    return [(truth.did, truth.outcome)] if truth.did else []


def _queues(truth: CallTruth) -> list[tuple[str, str]]:
    return list(truth.queues)


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
