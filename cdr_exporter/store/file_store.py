"""The store of one PBX in one SQLite file. The package says what a store promises.

Series are numbered in the file in the order in which they first came. The table `series` says
which series a number means; it is written once per series. The values are in `chunk`, by number,
so that a commit writes only the chunks in which a value has changed.

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
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import msgspec

from ..errors import StateNotWritten
from ..ingest import KeptState, StateChange, TotalsChange
from ..metrics.catalogue import FAMILIES, HISTOGRAM, NUMBER_FAMILIES
from ..metrics.totals import Bounds, Series, Totals, Value, initial_totals
from . import call_rows, ledger_rows, quarter_rows
from .load import SavedState, read_state
from .open_file import client_hash, connect, create, reason_to_set_aside, take_lock, unusable_error
from .schema import CHUNK

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
        self._bounds = bounds
        self._number_zeros = number_zeros or {}
        self._by_number: list[Series] = []
        """The series in the file, each at its number."""
        self._numbers: dict[Series, int] = {}
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with ExitStack() as opened:
            opened.callback(os.close, take_lock(directory / f"{name}.lock"))
            with self._unusable():
                reason = reason_to_set_aside(self.path, client_hash(client_id))
                if reason or not self.path.exists():
                    create(self.path, client_hash(client_id), reason)
                self._db = opened.enter_context(closing(connect(self.path)))
            self._resources = opened.pop_all()

    def load(self) -> KeptState:
        """Return what the file holds; histograms whose bounds have changed begin again at 0.

        Raises `StateUnusable`.
        """
        with self._unusable():
            saved = read_state(self._db)
            dropped = _histograms_with_new_bounds(saved, self._bounds)
            in_file = self._without(dropped, saved.totals)
            self._forget_numbers_from(0)
            self._number(saved.totals.series)
            if saved.bounds != self._bounds or len(in_file.series) < len(self._by_number):
                self._rewrite(in_file)
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
        known = len(self._by_number)
        try:
            with self._transaction():
                self._write(change)
        except BaseException:
            self._forget_numbers_from(known)
            raise

    def close(self) -> None:
        """Close the file and end the lock; may be called twice."""
        self._resources.close()

    def _write(self, change: StateChange) -> None:
        if change.ledger is not None:
            ledger_rows.write(self._db, change.ledger)
        if change.totals is not None:
            self._write_totals(change.totals)
        if change.quarters is not None:
            quarter_rows.write(self._db, change.quarters)
        if change.first_shown is not None:
            self._write_meta("first_shown", change.first_shown)
        call_rows.write(self._db, change.calls)

    # --- series ----------------------------------------------------------------------------------

    def _number(self, series: Iterable[Series]) -> None:
        for key in series:
            self._numbers[key] = len(self._by_number)
            self._by_number.append(key)

    def _forget_numbers_from(self, first: int) -> None:
        for key in self._by_number[first:]:
            del self._numbers[key]
        del self._by_number[first:]

    def _write_totals(self, change: TotalsChange) -> None:
        after = change.after
        new = [key for key in change.changed if key not in self._numbers]
        # Those that were never written need no other birth: they are not in the file.
        reborn = [
            (after.born[key], self._numbers[key]) for key in change.reborn if key in self._numbers
        ]
        self._number(new)
        rows = [(self._numbers[key], key.family, _json(key.labels), after.born[key]) for key in new]
        self._db.executemany("INSERT INTO series VALUES (?, ?, ?, ?)", rows)
        self._db.executemany("UPDATE series SET born = ? WHERE number = ?", reborn)
        chunks = {self._numbers[key] // CHUNK for key in change.changed}
        self._db.executemany(
            "INSERT OR REPLACE INTO chunk VALUES (?, ?)",
            [(chunk, self._values(chunk, after)) for chunk in chunks],
        )

    def _values(self, chunk: int, after: Totals) -> bytes:
        series = self._by_number[CHUNK * chunk : CHUNK * (chunk + 1)]
        return _json([after.series[key] for key in series])

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

    def _rewrite(self, totals: Totals) -> None:
        """Let the file hold the series of *totals* alone, counted with the bounds of now."""
        with self._rolled_back_if_it_fails():
            self._write_meta("bounds", self._bounds)
            self._db.execute("DELETE FROM series")
            self._db.execute("DELETE FROM chunk")
            self._forget_numbers_from(0)
            self._write_totals(TotalsChange(totals, totals.series))

    def _write_meta(self, key: str, value: object) -> None:
        row = (key, _json(value).decode())
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", row)

    # --- the database ----------------------------------------------------------------------------

    @contextmanager
    def _unusable(self) -> Iterator[None]:
        """Turn SQLite's errors into `StateUnusable`."""
        try:
            yield
        except sqlite3.Error as error:
            raise unusable_error(self.path, error) from None

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


def _histograms_with_new_bounds(saved: SavedState, after: Bounds) -> tuple[str, ...]:
    """Return the names of the histograms in the file that were counted with other bounds."""
    in_file = {key.family for key in saved.totals.series}
    durable = (f for f in FAMILIES if f.durable and f.kind == HISTOGRAM and f.name in in_file)
    return tuple(f.name for f in durable if saved.bounds.get(f.buckets) != tuple(after[f.buckets]))
