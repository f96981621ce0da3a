"""The store of one PBX in one SQLite file. The package says what a store promises.

- No file means a first start. A file that cannot be used is renamed to `NAME.corrupt-TIME`, never
  deleted, and counting begins again from now. Not from the beginning: a second baseline would
  raise the same series again and look like calls.
- A file of a newer version, or of another client_id, is not touched: `StateUnusable`.
- A file that is deleted, replaced or moved while it is open is noticed at the next commit, which
  raises `StateReplaced`. `rewrite` then takes the lock again where that is gone too, sets aside
  what stands there as `NAME.replaced-TIME`, and writes a new file.
- What SQLite cuts off a damaged log is missed: `KeptState.lost_commits`.
- A commit is on the disk when it returns, also after `kill -9` or a power failure (WAL with
  synchronous=FULL: one more sync per page, so that no counter goes back).

Not promised: anything about a file that was put back from an older copy while its PBX has deleted
the rows in between.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from ..errors import StateNotWritten, StateReplaced
from ..ingest import KeptState, StateChange
from ..metrics.catalogue import FAMILIES, HISTOGRAM, NUMBER_FAMILIES
from ..metrics.totals import Bounds, Series, Totals, Value, initial_totals
from ..state_files import file_of
from . import call_rows, ledger_rows, quarter_rows
from .checked_rows import CheckedRows, read_whole
from .in_place import OpenFiles
from .load import BOUNDS, CLIENT, FIRST_SHOWN, SavedState, read_state, reset_key
from .lock_file import LockFile
from .open_file import client_hash, connect, create, reason_to_set_aside, unusable_error
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
        self.path = file_of(directory, name, "db")
        self._client = client_hash(client_id)
        self._bounds = bounds
        self._number_zeros = number_zeros or {}
        self._make_directory()
        self._lock = LockFile(self.path.with_suffix(".lock"))
        try:
            with self._unusable():
                self._create_if_needed()
                self._open()
        except BaseException:
            self._lock.close()
            raise
        self._lost_commits = max(0, self._lock.noted - self._rows.whole.commits)
        self._note_commit()

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
                    self._rows.put(META, [(BOUNDS, _json(self._bounds))])
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
            lost_commits=self._lost_commits,
            dropped_histograms=dropped,
        )

    def commit(self, change: StateChange) -> None:
        """Write *change* to the disk, all of it. Raises `StateNotWritten` or `StateReplaced`."""
        known = len(self._series)
        try:
            with self._rows.transaction():
                _write(self._rows, self._series, change)
                self._check_in_place()
        except BaseException as error:
            self._series.forget_from(known)
            if not isinstance(error, sqlite3.Error):
                raise
            # The error may come of it.
            self._check_in_place()
            raise self._not_written(error) from None
        self._note_commit()

    def rewrite(self, kept: KeptState) -> None:
        """Write *kept* into a new file. Raises `StateInUse` or `StateNotWritten`."""
        before = self._db
        try:
            self._make_directory()
            self._lock = self._lock.taken_again()
            create(self.path, lambda rows: self._fill(rows, kept), aside="replaced")
            self._open()
        except (sqlite3.Error, OSError) as error:
            raise self._not_written(error) from None
        # Not earlier: SQLite deletes the log at the path where the file there is still its own.
        before.close()
        self._series = SeriesRows(self._rows, kept.totals.series if kept.ledger else ())
        self._note_commit()

    def close(self) -> None:
        """Close the file and end the lock; may be called twice."""
        self._db.close()
        self._lock.close()

    def _make_directory(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _create_if_needed(self) -> None:
        """Let there be a file that can be used; one that cannot be is set aside."""
        reason = reason_to_set_aside(self.path, self._client)
        if reason is None and self.path.exists():
            return
        meta = {CLIENT: _json(self._client)}
        if reason is not None:
            meta[reset_key(reason)] = _json(time.time())
        create(self.path, lambda rows: rows.put(META, meta.items()), aside="corrupt")
        self._lock.note(0)

    def _fill(self, rows: CheckedRows, kept: KeptState) -> None:
        """Write all of *kept* into a new file; the order of the series is that of its totals."""
        resets = {reset_key(reason): when for reason, when in kept.resets.items() if when}
        meta = {CLIENT: self._client, BOUNDS: self._bounds, **resets}
        rows.put(META, [(key, _json(value)) for key, value in meta.items()])
        _write(rows, SeriesRows(rows), kept.as_change)

    def _open(self) -> None:
        db = connect(self.path)
        try:
            rows = CheckedRows(db, read_whole(db))
        except BaseException:
            db.close()
            raise
        self._db, self._rows, self._series = db, rows, SeriesRows(rows)
        log = self.path.with_name(f"{self.path.name}-wal")
        self._files = OpenFiles([self.path, log, self._lock.path])

    def _check_in_place(self) -> None:
        moved = self._files.moved()
        if moved is not None:
            raise StateReplaced(f"{moved}: the file that was opened is not there any more")

    def _note_commit(self) -> None:
        # What is on the disk is there, whether or not this can be noted.
        with suppress(OSError):
            self._lock.note(self._rows.whole.commits)

    def _without(self, dropped: Collection[str], totals: Totals) -> Totals:
        """Return *totals* without the families *dropped* and without numbers no longer named."""
        kept = {
            key: value
            for key, value in totals.series.items()
            if key.family not in dropped
            and (key.family not in _NUMBER_NAMES or key in self._number_zeros)
        }
        return Totals(kept, {key: totals.born[key] for key in kept}, totals.trunks)

    @contextmanager
    def _unusable(self) -> Iterator[None]:
        """Turn SQLite's errors into `StateUnusable`."""
        try:
            yield
        except sqlite3.Error as error:
            raise unusable_error(self.path, error) from None

    def _not_written(self, error: sqlite3.Error | OSError) -> StateNotWritten:
        return StateNotWritten(
            f"{self.path}: {error}; free space on the disk and make the file writable"
        )


def _write(rows: CheckedRows, series: SeriesRows, change: StateChange) -> None:
    """Write *change* within a transaction."""
    if change.ledger is not None:
        ledger_rows.write(rows, change.ledger)
    if change.totals is not None:
        series.write(change.totals)
    if change.quarters is not None:
        quarter_rows.write(rows, change.quarters)
    if change.first_shown is not None:
        rows.put(META, [(FIRST_SHOWN, _json(change.first_shown))])
    call_rows.write(rows, change.calls)


def _histograms_with_new_bounds(saved: SavedState, after: Bounds) -> tuple[str, ...]:
    """Return the names of the histograms in the file that were counted with other bounds."""
    in_file = {key.family for key in saved.totals.series}
    durable = (f for f in FAMILIES if f.durable and f.kind == HISTOGRAM and f.name in in_file)
    return tuple(f.name for f in durable if saved.bounds.get(f.buckets) != tuple(after[f.buckets]))
