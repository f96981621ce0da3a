"""What an administrator or the PBX itself does to the table besides calls.

Rows are changed and deleted, old ones cleaned up, backups put back, ids reset, the firmware
upgraded, the clock set.

Rule: every public method holds the PBX's lock and takes and returns plain data, as in `office`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .checks import checked_count
from .firmware import FIRST, Upgrade
from .locking import Lock
from .pbx_clock import PBXClock
from .rows import Row
from .table import CDRTable, Key, Snapshot


class Maintenance:
    """Changes to one *table* and one *clock*; *snapshots* are the backups that have a name."""

    def __init__(self, table: CDRTable, clock: PBXClock, lock: Lock) -> None:
        self.snapshots: dict[str, Snapshot] = {}
        self._table = table
        self._clock = clock
        self._lock = lock

    def change(self, row_id: Key, **fields: Any) -> Row:
        """Overwrite fields of one row word for word, odd values included; None removes one."""
        with self._lock:
            return self._table.change(row_id, fields)

    def delete(self, ids: Iterable[Key]) -> int:
        """Delete the rows of *ids* (keys) and return how many there were."""
        with self._lock:
            return self._table.delete(ids)

    def delete_oldest(self, count: int) -> int:
        """Delete the *count* rows written first, as the PBX's clean-up does."""
        with self._lock:
            return self._table.delete(self._table.oldest(count))

    def delete_newest(self, count: int, *, reuse_ids: bool = False) -> int:
        """Delete the *count* rows written last; with *reuse_ids* later rows get their ids."""
        with self._lock:
            deleted = self._table.delete(self._table.newest(count))
            if reuse_ids:
                self._table.reuse_ids()
            return deleted

    def delete_middle(self, count: int) -> int:
        """Delete *count* rows in the middle between the oldest and the newest."""
        with self._lock:
            return self._table.delete(self._table.middle(count))

    def limit(self, rows: int | None) -> int:
        """Keep at most *rows* rows from now on, deleting the oldest at each insert; None: all.

        Returns how many rows that deletes at once.
        """
        with self._lock:
            self._table.limit = None if rows is None else checked_count(rows)
            return self._table.trim()

    def clear(self, first_id: int = 1) -> None:
        """Delete every row and begin ids again at *first_id*."""
        with self._lock:
            self._table.clear(checked_count(first_id))

    def factory_reset(self) -> None:
        """Begin anew: no rows, none held back, ids from 1."""
        self.clear()

    def snapshot(self, name: str | None = None) -> Snapshot:
        """Take a backup of the rows, also kept in `snapshots` under *name*."""
        with self._lock:
            taken = self._table.snapshot()
            if name is not None:
                self.snapshots[name] = taken
            return taken

    def restore(self, snapshot: Snapshot | str) -> None:
        """Put a backup, or the one of that name, in place of all rows.

        Rows written since are lost, and later rows get their ids again. KeyError: no such name.
        """
        with self._lock:
            taken = self.snapshots[snapshot] if isinstance(snapshot, str) else snapshot
            self._table.restore(taken)

    def upgrade(self, order: str = FIRST, **options: Any) -> None:
        """Write rows as newer firmware does from now on: `new_id`, no `id`, no `reason`.

        For *order* and *options* see `Upgrade`. Rows that are there stay as they are, in the
        legacy table. A second call changes the options. ValueError: a value is unknown.
        TypeError: an option is.
        """
        with self._lock:
            self._table.upgrade = Upgrade(order, **options)

    def set_clock(self, ahead: int) -> None:
        """Let the PBX's clock be *ahead* seconds of the true time (negative: behind).

        New rows and the `Date` of answers show it, tokens do not; a second call is a jump of the
        clock.
        """
        with self._lock:
            self._clock.ahead = int(ahead)
