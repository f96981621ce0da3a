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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import StateNotWritten, StateReplaced
from ..ingest import KeptState, StateChange
from ..metrics.totals import Bounds, Series, Value
from ..state_files import file_of
from .file_rows import FileRows, read_whole
from .in_place import OpenFiles
from .load import SavedState
from .lock_file import LockFile
from .open_file import (
    Verified,
    client_hash,
    connect,
    create,
    read_state,
    unusable_error,
    verified,
)
from .state_rows import StateRows


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
        self._state = StateRows(self._client, bounds, number_zeros)
        self._verified: Verified | None = None
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
            loaded = self._state.loaded(self._read(), self._lost_commits)
            if loaded.changed.tables:
                with self._rows.transaction():
                    self._rows.write(loaded.changed)
        return loaded.kept

    def commit(self, change: StateChange) -> None:
        """Write *change* to the disk, all of it. Raises `StateNotWritten` or `StateReplaced`."""
        numbered = self._state.numbered
        try:
            changed = self._state.of_change(change)
            with self._rows.transaction():
                self._rows.write(changed)
                self._check_in_place()
        except BaseException as error:
            self._state.forget_from(numbered)
            if not isinstance(error, sqlite3.Error):
                raise
            # The error may come of it.
            self._check_in_place()
            raise self._not_written(error) from None
        self._note_commit()

    def landed(self) -> bool:
        """Return False: no commit of a file is ever in doubt."""
        return False

    def rewrite(self, kept: KeptState) -> None:
        """Write *kept* into a new file. Raises `StateInUse` or `StateNotWritten`."""
        before = self._db
        try:
            self._make_directory()
            self._lock = self._lock.taken_again()
            create(self.path, self._state.of_all(kept), aside="replaced")
            self._open()
        except (sqlite3.Error, OSError) as error:
            raise self._not_written(error) from None
        # Not earlier: SQLite deletes the log at the path where the file there is still its own.
        before.close()
        self._state.go_on_from(kept)
        self._note_commit()

    def close(self) -> None:
        """Close the file and end the lock; may be called twice."""
        self._db.close()
        self._lock.close()

    def _read(self) -> SavedState:
        """Return what the file says; it is not read twice, since that takes long with many PBXs."""
        found, self._verified = self._verified, None
        # Nobody else writes it, but whoever copies a file over it while we start.
        if found is not None and found.whole == self._rows.whole:
            return found.state
        return read_state(self._db)

    def _make_directory(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _create_if_needed(self) -> None:
        """Let there be a file that can be used; one that cannot be is set aside."""
        found = verified(self.path, self._client)
        if isinstance(found, Verified):
            self._verified = found
            return
        reset = None if found is None else (found, time.time())
        create(self.path, self._state.of_new_state(reset), aside="corrupt")
        self._lock.note(0)

    def _open(self) -> None:
        db = connect(self.path)
        try:
            rows = FileRows(db, read_whole(db))
        except BaseException:
            db.close()
            raise
        self._db, self._rows = db, rows
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
