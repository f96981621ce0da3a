"""The store: one object per state file, from opening to closing. The package says what it promises.

Series are numbered in the file in the order in which they first came. The table `series` says
which series a number means; it is written once per series. The values are in `chunk`, by number,
so that a commit writes only the chunks in which a value has changed.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from ..calls import NO_CHANGE, CallChange, TrackedCalls
from ..errors import StateNotWritten
from ..ledger import Ledger
from ..metrics.catalogue import FAMILIES, HISTOGRAM, NUMBER_FAMILIES
from ..metrics.quarters import QuarterChange, Quarters
from ..metrics.totals import Bounds, Series, Totals, Value, initial_totals
from . import call_rows, ledger_rows, quarter_rows
from .load import FirstShown, read_state
from .open_file import client_hash, connect, create, reason_to_set_aside, take_lock, unusable_error
from .schema import CHUNK

_json = msgspec.json.encode


class _SavedSeries(NamedTuple):
    """What the file holds: *by_number* are the series by their numbers, *values* their values."""

    by_number: list[Series]
    values: list[Value]


class Store:
    """The state file of one PBX, and what was committed to it last.

    *ledger* is None until the first page is committed. *calls* are the open calls, and the closed
    ones that are remembered. *quarters* are the calls that were counted, by their start.
    *first_shown* is when the series of rows and calls were first shown, None before that, and
    where an earlier file was set aside.

    *resets* maps each reason to when (epoch seconds, 0 for never) an unusable file was last set
    aside. *dropped_histograms* are the families that were dropped at opening and begin again at 0,
    because their buckets in the configuration differ from those in the file.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        client_id: str,
        bounds: Bounds,
        number_zeros: Mapping[Series, Value] | None = None,
    ) -> None:
        """Open or create the state of the PBX *name* in *directory*.

        *bounds* are the bounds of histograms in the configuration. *number_zeros* are the series
        at 0 of the numbers that the user named; series of other numbers are dropped.

        Raises `StateInUse`, `StateUnusable`, or OSError where the directory cannot be used.
        """
        self.path = directory / f"{name}.db"
        self.ledger: Ledger | None = None
        self._ledger_in_file: Ledger | None = None
        self.calls = TrackedCalls()
        self.quarters = Quarters()
        self.first_shown: FirstShown | None = None
        self._number_zeros = number_zeros or {}
        self.totals = initial_totals(number_zeros=self._number_zeros)
        self._saved_series = _SavedSeries([], [])
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with ExitStack() as opened:
                opened.callback(os.close, take_lock(directory / f"{name}.lock"))
                reason = reason_to_set_aside(self.path, client_hash(client_id))
                if reason or not self.path.exists():
                    create(self.path, client_hash(client_id), reason)
                self._db = opened.enter_context(closing(connect(self.path)))
                self._load(bounds)
                self._resources = opened.pop_all()
        except sqlite3.Error as error:
            raise unusable_error(self.path, error) from None

    def commit(
        self,
        ledger: Ledger,
        totals: Totals,
        calls: CallChange = NO_CHANGE,
        quarters: QuarterChange | None = None,
    ) -> None:
        """Write *ledger*, *totals* and the changes *calls* and *quarters* to the disk, together.

        Raises `StateNotWritten`; then neither the file nor this object has changed.
        """
        with self._transaction():
            ledger_rows.write(self._db, ledger, self._ledger_in_file)
            call_rows.write(self._db, calls)
            written = self._write_series(totals)
            if quarters is not None:
                quarter_rows.write(self._db, quarters, self.quarters)
        self._saved_series = written
        self._ledger_in_file = self.ledger = ledger
        self.totals = totals
        self.calls.apply(calls)
        if quarters is not None:
            self.quarters = quarters.after

    def commit_quarters(self, change: QuarterChange) -> None:
        """Write *change* alone to the disk. Raises `StateNotWritten`, as `commit` does."""
        with self._transaction():
            quarter_rows.write(self._db, change, self.quarters)
        self.quarters = change.after

    def note_first_shown(self, first_shown: FirstShown) -> None:
        """Write since when the series are shown, unless they were before.

        Nothing is written where an earlier file was set aside: they were shown before it.
        Raises `StateNotWritten`.
        """
        if self.first_shown is not None or any(self.resets.values()):
            return
        with self._transaction():
            row = ("first_shown", _json(first_shown).decode())
            self._db.execute("INSERT INTO meta VALUES (?, ?)", row)
        self.first_shown = first_shown

    def keep_read_times(self, ledger: Ledger) -> None:
        """Take *ledger*, which differs only by when ranges were rechecked; write nothing."""
        self.ledger = ledger

    def close(self) -> None:
        """Close the file and end the lock; may be called twice."""
        self._resources.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Commit at the end; raises `StateNotWritten`, then nothing in the file has changed."""
        try:
            with self._rolled_back_if_it_fails():
                yield
        except sqlite3.Error as error:
            raise StateNotWritten(
                f"{self.path}: {error}; free space on the disk and make the file writable"
            ) from None

    @contextmanager
    def _rolled_back_if_it_fails(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            # A full disk has rolled back already; then there is nothing to roll back.
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise

    def _write_series(self, after: Totals) -> _SavedSeries:
        """Write what differs from what is in the file; return what the file then holds."""
        by_number, before = self._saved_series
        if len(after.series) > len(by_number):
            known = frozenset(by_number)
            by_number = [*by_number, *(key for key in after.series if key not in known)]
            self._insert_series(by_number, len(before), after)
        if after.born is not self.totals.born:
            self._write_births(by_number[: len(before)], after)
        values = list(map(after.series.__getitem__, by_number))
        for first in range(0, len(values), CHUNK):
            part = values[first : first + CHUNK]
            if part != before[first : first + CHUNK]:
                row = (first // CHUNK, _json(part))
                self._db.execute("INSERT OR REPLACE INTO chunk VALUES (?, ?)", row)
        return _SavedSeries(by_number, values)

    def _insert_series(self, by_number: list[Series], first: int, totals: Totals) -> None:
        """Write which series the numbers from *first* on mean."""
        rows = (
            (number, key.family, _json(key.labels), totals.born[key])
            for number, key in enumerate(by_number[first:], start=first)
        )
        self._db.executemany("INSERT INTO series VALUES (?, ?, ?, ?)", rows)

    def _write_births(self, known: list[Series], after: Totals) -> None:
        before = self.totals.born
        moved = (
            (after.born[key], number)
            for number, key in enumerate(known)
            if after.born[key] != before.get(key)
        )
        self._db.executemany("UPDATE series SET born = ? WHERE number = ?", moved)

    def _load(self, bounds: Bounds) -> None:
        saved = read_state(self._db)
        before, self.resets, self.ledger, totals, self.calls = saved[:5]
        self.quarters, self.first_shown = saved.quarters, saved.first_shown
        self._ledger_in_file = self.ledger
        if self.ledger is not None:
            # Series that an older version of the program did not know begin at 0.
            known = initial_totals(totals.trunks, self._number_zeros)
            series = {**known.series, **totals.series}
            self.totals = Totals(series, {**known.born, **totals.born}, totals.trunks)
            self._saved_series = _SavedSeries(list(totals.series), list(totals.series.values()))
        changed = _histograms_with_new_bounds(before, bounds) if before else ()
        self.dropped_histograms = tuple(name for name in changed if self._has_series_of(name))
        if before != bounds or self._has_unnamed_numbers():
            self._rewrite(bounds)

    def _has_series_of(self, family: str) -> bool:
        return any(key.family == family for key in self.totals.series)

    def _has_unnamed_numbers(self) -> bool:
        return any(_is_number(key) and key not in self._number_zeros for key in self.totals.series)

    def _rewrite(self, bounds: Bounds) -> None:
        """Drop what cannot go on: histograms with other bounds, and numbers no longer named."""
        kept = {
            key: value
            for key, value in self.totals.series.items()
            if key.family not in self.dropped_histograms
            and (not _is_number(key) or key in self._number_zeros)
        }
        born = {key: self.totals.born[key] for key in kept}
        totals = Totals(kept, born, self.totals.trunks)
        with self._rolled_back_if_it_fails():
            self._db.execute("INSERT OR REPLACE INTO meta VALUES ('bounds', ?)", (_json(bounds),))
            if self.ledger is not None:
                self._db.execute("DELETE FROM series")
                self._db.execute("DELETE FROM chunk")
                self._saved_series = _SavedSeries([], [])
                self._saved_series = self._write_series(totals)
        self.totals = totals


def _is_number(series: Series) -> bool:
    return series.family in _NUMBER_NAMES


_NUMBER_NAMES = frozenset(family.name for family in NUMBER_FAMILIES)


def _histograms_with_new_bounds(before: Bounds, after: Bounds) -> tuple[str, ...]:
    """Return the names of the durable histograms whose bounds differ."""
    durable = (f for f in FAMILIES if f.durable and f.kind == HISTOGRAM)
    return tuple(f.name for f in durable if before.get(f.buckets) != tuple(after[f.buckets]))
