"""What the totals hold, added up over labels."""

from __future__ import annotations

from cdr_exporter.metrics.catalogue import RECORDS
from cdr_exporter.metrics.quarters import CallSums, Quarters
from cdr_exporter.metrics.totals import Totals


def counted(totals: Totals, family: str) -> int:
    """Return the sum of all series of a counter."""
    return sum(value[0] for key, value in totals.series.items() if key.family == family)


def records(totals: Totals) -> int:
    """Return how many rows were counted."""
    return counted(totals, RECORDS.name)


def observed(totals: Totals, family: str) -> tuple[int, int]:
    """Return how often a histogram was observed, and the sum of what was."""
    values = [value for key, value in totals.series.items() if key.family == family]
    return sum(sum(each[:-1]) for each in values), sum(each[-1] for each in values)


def calls_in_charts(quarters: Quarters) -> int:
    """Return how many calls are in any quarter of an hour."""
    return all_quarters(quarters).calls


def all_quarters(quarters: Quarters) -> CallSums:
    """Return the calls of all quarters together."""
    [everything] = quarters.sums([0, 10_000_000])
    return everything
