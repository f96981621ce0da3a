"""Running totals by label set: add, merge, nothing else.

Rule: a total is whole numbers only, so that adding pages in any order, or one by one, gives the
same. A page is counted on its own (`counting`) and merged into new totals; the old ones stay as
they were until the commit succeeded.

A series is a family's name with its label values (after `pbx`). Its value is a tuple:

    counter     (count,)
    histogram   (rows up to bound 1, up to 2 but not 1, …, beyond the last, sum of seconds)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import add
from typing import NamedTuple

from ..calls import OUTCOMES
from ..cdr.contract import CALL_TYPES, DISPOSITIONS
from ..cdr.labels import NO_TRUNK
from .catalogue import CALLS, COUNTER, FAMILIES, HISTOGRAM, RECORDS, Family

Bounds = Mapping[str, tuple[int, ...]]
"""Upper bounds in whole seconds, by the name of the buckets setting."""

Value = tuple[int, ...]


SHOWN_FROM_START, NOT_SHOWN_YET = 0.0, -1.0
"""Births of series that stand as they are from the beginning, and that nobody saw so far."""


class Series(NamedTuple):
    """One line (counter) or block of lines (histogram) of `/metrics`."""

    family: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Totals:
    """All that was counted for one PBX.

    *born* is when a series was first shown, in epoch seconds, or one of the two above.
    *trunks* are the trunk labels that have series of their own.
    """

    series: Mapping[Series, Value] = field(default_factory=dict)
    born: Mapping[Series, float] = field(default_factory=dict)
    trunks: frozenset[str] = frozenset()

    def merged(
        self, counted: Mapping[Series, Value], trunks: frozenset[str], born_at: float
    ) -> Totals:
        """Return these totals with *counted* added and *trunks* known.

        Series that did not exist are born at *born_at*, and so are the zeros of a new trunk.
        """
        series = dict(self.series)
        if trunks != self.trunks:
            counted = {**trunk_zeros(trunks - self.trunks), **counted}
        for key, value in counted.items():
            known = series.get(key)
            series[key] = value if known is None else tuple(map(add, known, value))
        if len(series) == len(self.series):
            return Totals(series, self.born, trunks)
        births = dict.fromkeys((key for key in series if key not in self.series), born_at)
        return Totals(series, {**self.born, **births}, trunks)

    def with_births_replaced(self, births: Mapping[float, float]) -> Totals:
        """Return these totals with births replaced: those of series born at a key of *births*."""
        if births.keys().isdisjoint(self.born.values()):
            return self
        born = {key: births.get(at, at) for key, at in self.born.items()}
        return Totals(self.series, born, self.trunks)


def initial_totals(
    trunks: Iterable[str] = (), number_zeros: Mapping[Series, Value] | None = None
) -> Totals:
    """Return totals of which nothing was counted yet: what is known stands at 0.

    *trunks* are trunk labels already seen, beside that of rows without a trunk. *number_zeros* are
    the series at 0 of the numbers that the user named.
    """
    known = frozenset({NO_TRUNK, *trunks})
    events = (f for f in FAMILIES if f.durable and f.kind == COUNTER)
    series = {**trunk_zeros(known), **(number_zeros or {}), **zeros(events)}
    return Totals(series, dict.fromkeys(series, SHOWN_FROM_START), known)


def trunk_zeros(trunks: Iterable[str]) -> dict[Series, Value]:
    """Return the counters of rows and calls of what the contract knows, for each trunk, at 0."""
    ends = ((RECORDS, DISPOSITIONS), (CALLS, OUTCOMES))
    return {
        Series(family.name, (end, call_type, trunk)): (0,)
        for trunk in trunks
        for family, known in ends
        for end in known
        for call_type in CALL_TYPES
    }


def zeros(families: Iterable[Family], bounds: Bounds | None = None) -> dict[Series, Value]:
    """Return every series of *families* that exists before anything happened, at 0."""
    return {
        Series(family.name, values): (0,) * value_length(family, bounds or {})
        for family in families
        for values in family.known_labels
    }


def value_length(family: Family, bounds: Bounds) -> int:
    """Return how many numbers a series of *family* has."""
    return len(bounds[family.buckets]) + 2 if family.kind == HISTOGRAM else 1
