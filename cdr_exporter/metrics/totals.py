"""The durable values of one PBX, by series.

Rule: values are whole numbers, so that pages added in any order, or several at once, give the same
totals. A page is counted on its own (`row_metrics`, `call_metrics`) and merged into new totals.
The old ones are not changed, so they are still right when the commit fails.

A series is a family's name with its label values (after `pbx`). Its value is a tuple:

    counter     (count,)
    histogram   (observations in bucket 1, in bucket 2, …, above the last bound, sum of seconds)

Buckets are not cumulative here, unlike on `/metrics`.
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
from .large_map import with_changes

Bounds = Mapping[str, tuple[int, ...]]
"""The upper bounds of buckets in whole seconds (of legs: in legs), by the name of the setting."""

Value = tuple[int, ...]


SHOWN_FROM_START, NOT_SHOWN_YET = 0.0, -1.0
"""Special births: of a series that is shown at its value from the start, and of one that is new
while the series are hidden, so that it is born when they are shown."""


class Series(NamedTuple):
    """The name of a family, and label values without `pbx`."""

    family: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Totals:
    """All that was counted for one PBX.

    *born* says for each series when it was first shown, in epoch seconds, or is `SHOWN_FROM_START`
    or `NOT_SHOWN_YET`. *trunks* are the trunk labels that have series of their own.
    """

    series: Mapping[Series, Value] = field(default_factory=dict)
    born: Mapping[Series, float] = field(default_factory=dict)
    trunks: frozenset[str] = frozenset()

    def merged(
        self, counted: Mapping[Series, Value], trunks: frozenset[str], born_at: float
    ) -> Totals:
        """Return these totals with *counted* added, and with series at 0 for new *trunks*.

        All series that are new are born at *born_at*.
        """
        values = {
            key: tuple(map(add, self.series[key], value)) if key in self.series else value
            for key, value in counted.items()
        }
        return self.with_values(values, trunks, born_at)

    def with_values(
        self, values: Mapping[Series, Value], trunks: frozenset[str], born_at: float
    ) -> Totals:
        """Return these totals with *values* instead of those of before; see `merged`."""
        if trunks != self.trunks:
            zeros = trunk_zeros(trunks - self.trunks)
            values = {**{key: self.series.get(key, zeros[key]) for key in zeros}, **values}
        new = [key for key in values if key not in self.series]
        series = with_changes(self.series, values)
        if not new:
            return Totals(series, self.born, trunks)
        return Totals(series, with_changes(self.born, dict.fromkeys(new, born_at)), trunks)

    def with_births_replaced(self, births: Mapping[float, float]) -> Totals:
        """Return these totals with each birth that is a key of *births* replaced by its value.

        Returns the same object where there is no such birth.
        """
        if births.keys().isdisjoint(self.born.values()):
            return self
        born = {key: births.get(at, at) for key, at in self.born.items()}
        return Totals(self.series, born, self.trunks)


def initial_totals(
    trunks: Iterable[str] = (), number_zeros: Mapping[Series, Value] | None = None
) -> Totals:
    """Return totals in which nothing was counted: the series that always exist, at 0.

    *trunks* are trunk labels that were seen already; `none` always exists. *number_zeros* are the
    series at 0 of the numbers that the user named, see `call_metrics.number_zeros`.
    """
    known = frozenset({NO_TRUNK, *trunks})
    events = (f for f in FAMILIES if f.durable and f.kind == COUNTER)
    series = {**trunk_zeros(known), **(number_zeros or {}), **zeros(events)}
    return Totals(series, dict.fromkeys(series, SHOWN_FROM_START), known)


def trunk_zeros(trunks: Iterable[str]) -> dict[Series, Value]:
    """Return, at 0, the counters of rows and calls of each trunk, for all known label values."""
    ends = ((RECORDS, DISPOSITIONS), (CALLS, OUTCOMES))
    return {
        Series(family.name, (end, call_type, trunk)): (0,)
        for trunk in trunks
        for family, known in ends
        for end in known
        for call_type in CALL_TYPES
    }


def zeros(families: Iterable[Family], bounds: Bounds | None = None) -> dict[Series, Value]:
    """Return, at 0, every series of *families* that exists before anything is counted."""
    return {
        Series(family.name, values): (0,) * value_length(family, bounds or {})
        for family in families
        for values in family.known_labels
    }


def value_length(family: Family, bounds: Bounds) -> int:
    """Return how many numbers the value of a series of *family* has."""
    return len(bounds[family.buckets]) + 2 if family.kind == HISTOGRAM else 1
