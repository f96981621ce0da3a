"""The series of a state as rows, and their values.

Series are numbered in the order in which they first came. The table `series` says
which series a number means; it is written once per series. The values are in `chunk`, by number,
so that a commit writes only the chunks in which a value has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from sys import intern
from typing import Annotated

import msgspec
from msgspec import Meta

from ..cdr.labels import OTHER_TRUNK
from ..ingest import TotalsChange
from ..metrics.catalogue import FAMILIES, RECORDS
from ..metrics.totals import (
    NOT_SHOWN_YET,
    SHOWN_FROM_START,
    Bounds,
    Series,
    Totals,
    Value,
    value_length,
)
from .checked_rows import ChangedRows, Damaged, Rows
from .schema import CHUNK, CHUNK_SERIES, SERIES

_FAMILIES = {family.name: family for family in FAMILIES if family.durable}

_Birth = Annotated[float, Meta(ge=NOT_SHOWN_YET)]

_series = msgspec.json.Decoder(tuple[str, tuple[str, ...], _Birth])
_values = msgspec.json.Decoder(list[tuple[Annotated[int, Meta(ge=0)], ...]])
_json = msgspec.json.encode


def read(tables: Mapping[str, Rows], bounds: Bounds) -> Totals:
    """Return the totals in *tables*, which were counted with *bounds*.

    Raises ValueError, LookupError or msgspec's errors where they make no sense.
    """
    born: dict[Series, float] = {}
    for content in _in_a_row(tables[SERIES]):
        family, labels, born_at = _series.decode(content)
        born[_named(family, labels)] = born_at or SHOWN_FROM_START  # one object, as nearly all are
    values = [each for content in _in_a_row(tables[CHUNK]) for each in _values.decode(content)]
    # Most counters are at 0: they share one value.
    known: dict[Value, Value] = {}
    series = dict(zip(born, (known.setdefault(each, each) for each in values), strict=True))
    for key, value in series.items():
        _check(key, value, bounds)
    trunks = frozenset(key.labels[2] for key in series if key.family == RECORDS.name)
    return Totals(series, born, trunks - {OTHER_TRUNK})


def _named(family: str, labels: tuple[str, ...]) -> Series:
    """Return the series with texts that all PBXs share: each would have its own hundred kB."""
    return Series(_FAMILIES[family].name, tuple(map(intern, labels)))


def _in_a_row(rows: Rows) -> Iterable[bytes]:
    if list(rows) != list(range(len(rows))):
        raise Damaged("a number is missing")
    return rows.values()


def _check(key: Series, value: Value, bounds: Bounds) -> None:
    """Raise where the catalogue knows no such series, or *value* is too short or too long."""
    family = _FAMILIES[key.family]
    if len(key.labels) != len(family.labels) or len(value) != value_length(family, bounds):
        raise Damaged(f"a series of {family.name} has another width")


class SeriesRows:
    """The numbers of the series of one state; *known* are those that are kept, by their numbers."""

    def __init__(self, known: Iterable[Series] = ()) -> None:
        self._by_number: list[Series] = []
        """The series that are kept, each at its number."""
        self._numbers: dict[Series, int] = {}
        self._number(known)

    def __len__(self) -> int:
        return len(self._by_number)

    def forget_from(self, first: int) -> None:
        """Forget the series from the number *first* on, which are not kept after all."""
        for key in self._by_number[first:]:
            del self._numbers[key]
        del self._by_number[first:]

    def write(self, rows: ChangedRows, change: TotalsChange) -> None:
        """Write *change* to *rows*, and number the series that are new."""
        # Those that were never written need no other birth: they are not kept.
        reborn = [key for key in change.reborn if key in self._numbers]
        new = [key for key in change.changed if key not in self._numbers]
        self._number(new)
        rows.put(SERIES, [self._named(key, change.after) for key in (*reborn, *new)])
        chunks = {self._numbers[key] // CHUNK_SERIES for key in change.changed}
        rows.put(CHUNK, [(chunk, self._values(chunk, change.after)) for chunk in chunks])

    def rewrite(self, rows: ChangedRows, totals: Totals) -> None:
        """Let *rows* keep the series of *totals* alone."""
        rows.delete_all(SERIES)
        rows.delete_all(CHUNK)
        self.forget_from(0)
        self.write(rows, TotalsChange(totals, totals.series))

    def _number(self, series: Iterable[Series]) -> None:
        for key in series:
            self._numbers[key] = len(self._by_number)
            self._by_number.append(key)

    def _named(self, key: Series, after: Totals) -> tuple[int, bytes]:
        return self._numbers[key], _json((key.family, key.labels, after.born[key]))

    def _values(self, chunk: int, after: Totals) -> bytes:
        first = CHUNK_SERIES * chunk
        return _json([after.series[key] for key in self._by_number[first : first + CHUNK_SERIES]])
