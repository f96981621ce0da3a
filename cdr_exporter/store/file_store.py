"""The store of one PBX in one SQLite file. The package says what a store promises.

- No file means a first start. A file that cannot be used is renamed to `NAME.corrupt-TIME`, never
  deleted, and counting begins again from now. Not from the beginning: a second baseline would
  raise the same series again and look like calls.
- A file of a newer version, or of another client_id, is not touched: `StateUnusable`.
- A commit is on the disk when it returns, also after `kill -9` or a power failure (WAL with
  synchronous=FULL: one more sync per page, so that no counter goes back).

Not promised: anything about a file that was put back from an older copy while its PBX has deleted
the rows in between.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import msgspec

from ..errors import StateNotWritten
from ..ingest import KeptState, StateChange
from ..metrics.catalogue import FAMILIES, HISTOGRAM, NUMBER_FAMILIES
from ..metrics.totals import Bounds, Series, Totals, Value, initial_totals
from . import call_rows, ledger_rows, quarter_rows
from .checked_rows import CheckedRows, read_whole
from .load import BOUNDS, CLIENT, FIRST_SHOWN, SavedState, read_state, reset_key
from .open_file import client_hash, connect, create, reason_to_set_aside, take_lock, unusable_error
from .schema import META
from .series_rows import SeriesRows

_json = msgspec.json.encode

_NUMBER_NAMES = frozenset(family.name for family in NUMBER_FAMILIES)


class FileStore:
    """The state file of the PBX *name* in *directory*, which is made where it is not there.

    *bounds* are the bounds of histograms in the configuration. *number_zeros* are the series at 0
    of the numbers that the user named; series of other numbers are dropped.

    Opens or creates the file. Raises `StateInUse`, `StateUnusable`, or OSError where the directory
    cannot be used; then nothing is left open or locked.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        client_id: str,
        bounds: Bounds,
        number_zeros: Mapping[Series, Value] | None = None,
    ) -> None:
        self.path = directory / f"{name}.db"
        self._client = client_hash(client_id)
        self._bounds = bounds
        self._number_zeros = number_zeros or {}
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with ExitStack() as opened:
            opened.callback(os.close, take_lock(directory / f"{name}.lock"))
            with self._unusable():
                reason = reason_to_set_aside(self.path, self._client)
                if reason or not self.path.exists():
                    self._create(reason)
                self._db = opened.enter_context(closing(connect(self.path)))
                self._rows = CheckedRows(self._db, read_whole(self._db))
            self._series = SeriesRows(self._rows)
            self._resources = opened.pop_all()

    def load(self) -> KeptState:
        """Return what the file holds; histograms whose bounds have changed begin again at 0.

        Raises `StateUnusable`.
        """
        with self._unusable():
            saved = read_state(self._db)
            dropped = _histograms_with_new_bounds(saved, self._bounds)
            in_file = self._without(dropped, saved.totals)
            self._series = SeriesRows(self._rows, saved.totals.series)
            if saved.bounds != self._bounds or len(in_file.series) < len(self._series):
                with self._rows.transaction():
                    self._write_meta(BOUNDS, self._bounds)
                    self._series.rewrite(in_file)
        # Series that an older version of the program did not know begin at 0.
        new = initial_totals(in_file.trunks, self._number_zeros)
        series, born = {**new.series, **in_file.series}, {**new.born, **in_file.born}
        return KeptState(
            ledger=saved.ledger,
            totals=Totals(series, born, new.trunks),
            calls=saved.calls,
            quarters=saved.quarters,
            first_shown=saved.first_shown,
            resets=saved.resets,
            dropped_histograms=dropped,
        )

    def commit(self, change: StateChange) -> None:
        """Write *change* to the disk, all of it. Raises `StateNotWritten`."""
        known = len(self._series)
        try:
            with self._not_written(), self._rows.transaction():
                self._write(change)
        except BaseException:
            self._series.forget_from(known)
            raise

    def close(self) -> None:
        """Close the file and end the lock; may be called twice."""
        self._resources.close()

    def _create(self, reset_reason: str | None) -> None:
        """Create an empty file; *reset_reason* is why one that was there cannot be used."""
        meta = {CLIENT: _json(self._client)}
        if reset_reason is not None:
            meta[reset_key(reset_reason)] = _json(time.time())
        create(self.path, lambda rows: rows.put(META, meta.items()), aside="corrupt")

    def _write(self, change: StateChange) -> None:
        if change.ledger is not None:
            ledger_rows.write(self._rows, change.ledger)
        if change.totals is not None:
            self._series.write(change.totals)
        if change.quarters is not None:
            quarter_rows.write(self._rows, change.quarters)
        if change.first_shown is not None:
            self._write_meta(FIRST_SHOWN, change.first_shown)
        call_rows.write(self._rows, change.calls)

    def _write_meta(self, key: str, value: object) -> None:
        self._rows.put(META, [(key, _json(value))])

    # --- changed settings ------------------------------------------------------------------------

    def _without(self, dropped: Collection[str], totals: Totals) -> Totals:
        """Return *totals* without the families *dropped* and without numbers no longer named."""
        kept = {
            key: value
            for key, value in totals.series.items()
            if key.family not in dropped
            and (key.family not in _NUMBER_NAMES or key in self._number_zeros)
        }
        return Totals(kept, {key: totals.born[key] for key in kept}, totals.trunks)

    # --- the database ----------------------------------------------------------------------------

    @contextmanager
    def _unusable(self) -> Iterator[None]:
        """Turn SQLite's errors into `StateUnusable`."""
        try:
            yield
        except sqlite3.Error as error:
            raise unusable_error(self.path, error) from None

    @contextmanager
    def _not_written(self) -> Iterator[None]:
        """Turn SQLite's errors into `StateNotWritten`."""
        try:
            yield
        except sqlite3.Error as error:
            raise StateNotWritten(
                f"{self.path}: {error}; free space on the disk and make the file writable"
            ) from None


def _histograms_with_new_bounds(saved: SavedState, after: Bounds) -> tuple[str, ...]:
    """Return the names of the histograms in the file that were counted with other bounds."""
    in_file = {key.family for key in saved.totals.series}
    durable = (f for f in FAMILIES if f.durable and f.kind == HISTOGRAM and f.name in in_file)
    return tuple(f.name for f in durable if saved.bounds.get(f.buckets) != tuple(after[f.buckets]))
