"""A state as rows, and what is loaded from rows as a state: what all stores share. Pure.

A store adds where the rows are kept, and what can go wrong there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import msgspec

from ..ingest import KeptState, StateChange
from ..metrics.catalogue import FAMILIES, HISTOGRAM, NUMBER_FAMILIES
from ..metrics.totals import Bounds, Series, Totals, Value, initial_totals
from . import call_rows, ledger_rows, quarter_rows
from .checked_rows import ChangedRows
from .load import BOUNDS, CLIENT, FIRST_SHOWN, SavedState, reset_key
from .schema import META
from .series_rows import SeriesRows

_json = msgspec.json.encode

_NUMBER_NAMES = frozenset(family.name for family in NUMBER_FAMILIES)


class Loaded(NamedTuple):
    """What a process goes on from: *kept*; the store has to write *changed* before, if anything."""

    kept: KeptState
    changed: ChangedRows


class StateRows:
    """Says which rows a commit writes, of the state that was loaded last.

    *client* stands for the client_id, *bounds* are those of histograms in the configuration.
    *number_zeros* are the series at 0 of the numbers that the user named.
    """

    def __init__(
        self, client: str, bounds: Bounds, number_zeros: Mapping[Series, Value] | None
    ) -> None:
        self._client = client
        self._bounds = bounds
        self._number_zeros = number_zeros or {}
        self._series = SeriesRows()

    def of_new_state(self, reset: tuple[str, float] | None = None) -> ChangedRows:
        """Return the rows of a state that knows nothing yet.

        *reset* is why, and when (epoch seconds), another was set aside for it.
        """
        meta: dict[str, object] = {CLIENT: self._client}
        if reset is not None:
            meta[reset_key(reset[0])] = reset[1]
        return _with_meta(meta)

    def loaded(self, saved: SavedState, lost_commits: int = 0) -> Loaded:
        """Return what *saved* is in this configuration.

        Histograms whose bounds have changed begin again at 0, and series of numbers that are no
        longer named are dropped; both are to be changed in the store, too. Series that an older
        version of the program did not know begin at 0.
        """
        dropped = _histograms_with_new_bounds(saved, self._bounds)
        kept = self._without(dropped, saved.totals)
        self._series = SeriesRows(saved.totals.series)
        changed = ChangedRows()
        if saved.bounds != self._bounds or len(kept.series) < len(self._series):
            changed.put(META, [(BOUNDS, _json(self._bounds))])
            self._series.rewrite(changed, kept)
        new = initial_totals(kept.trunks, self._number_zeros)
        missing = [key for key in new.series if key not in kept.series]
        series = {**kept.series, **{key: new.series[key] for key in missing}}
        born = {**kept.born, **{key: new.born[key] for key in missing}}
        state = KeptState(
            ledger=saved.ledger,
            totals=Totals(series, born, new.trunks),
            calls=saved.calls,
            quarters=saved.quarters,
            first_shown=saved.first_shown,
            resets=saved.resets,
            lost_commits=lost_commits,
            dropped_histograms=dropped,
        )
        return Loaded(state, changed)

    @property
    def numbered(self) -> int:
        """How many series have a number."""
        return len(self._series)

    def forget_from(self, first: int) -> None:
        """Forget the series from the number *first* on, which were not committed after all."""
        self._series.forget_from(first)

    def of_change(self, change: StateChange) -> ChangedRows:
        """Return the rows of *change*, and number its new series."""
        changed = ChangedRows()
        _write(changed, self._series, change)
        return changed

    def of_all(self, kept: KeptState) -> ChangedRows:
        """Return all rows of *kept*; the order of the series is that of its totals."""
        resets = {reset_key(reason): when for reason, when in kept.resets.items() if when}
        changed = _with_meta({CLIENT: self._client, BOUNDS: self._bounds, **resets})
        _write(changed, SeriesRows(), kept.as_change)
        return changed

    def go_on_from(self, kept: KeptState) -> None:
        """Take the numbers of the series from *kept*, all of which was written as `of_all`."""
        self._series = SeriesRows(kept.totals.series if kept.ledger else ())

    def _without(self, dropped: Collection[str], totals: Totals) -> Totals:
        """Return *totals* without the families *dropped* and without numbers no longer named."""
        kept = {
            key: value
            for key, value in totals.series.items()
            if key.family not in dropped
            and (key.family not in _NUMBER_NAMES or key in self._number_zeros)
        }
        return Totals(kept, {key: totals.born[key] for key in kept}, totals.trunks)


def _with_meta(meta: Mapping[str, object]) -> ChangedRows:
    changed = ChangedRows()
    changed.put(META, [(key, _json(value)) for key, value in meta.items()])
    return changed


def _write(rows: ChangedRows, series: SeriesRows, change: StateChange) -> None:
    if change.ledger is not None:
        ledger_rows.write(rows, change.ledger)
    if change.totals is not None:
        series.write(rows, change.totals)
    if change.quarters is not None:
        quarter_rows.write(rows, change.quarters)
    if change.first_shown is not None:
        rows.put(META, [(FIRST_SHOWN, _json(change.first_shown))])
    call_rows.write(rows, change.calls)


def _histograms_with_new_bounds(saved: SavedState, after: Bounds) -> tuple[str, ...]:
    """Return the names of the kept histograms that were counted with other bounds."""
    kept = {key.family for key in saved.totals.series}
    durable = (f for f in FAMILIES if f.durable and f.kind == HISTOGRAM and f.name in kept)
    return tuple(f.name for f in durable if saved.bounds.get(f.buckets) != tuple(after[f.buckets]))
