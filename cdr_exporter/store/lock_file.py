"""The lock file of a PBX, `NAME.lock`: it keeps a second process out, and knows the last commit.

SQLite cuts its log off where it is damaged. What is left is a state that was whole, of an earlier
commit, and nothing in the file tells. So the number of the last commit is noted here, too. It is
not synced: after a power failure an older number may stand here, which says nothing, and never a
newer one.
"""

from __future__ import annotations

import os
from pathlib import Path

from .in_place import OpenFiles
from .open_file import take_lock

_DIGITS = 20


class LockFile:
    """The lock file at *path*, created if need be, locked until `close`.

    Raises `StateInUse` where another process has it, and OSError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.fdopen(take_lock(path), "r+b", buffering=0)
        self._here = OpenFiles([path])

    def taken_again(self) -> LockFile:
        """Return the lock file at the path: this one, or a new one where that is gone.

        Raises as when it is made; then this one stays locked.
        """
        if self._here.moved() is None:
            return self
        again = LockFile(self.path)
        self.close()
        return again

    @property
    def noted(self) -> int:
        """The number of the last commit, as far as it is known, or 0."""
        text = os.pread(self._file.fileno(), _DIGITS, 0)
        return int(text) if len(text) == _DIGITS and text.isdigit() else 0

    def note(self, commits: int) -> None:
        """Note that *commits* is the number of the last commit; raises OSError."""
        os.pwrite(self._file.fileno(), f"{commits:0{_DIGITS}}\n".encode(), 0)

    def close(self) -> None:
        """End the lock; may be called twice."""
        self._file.close()
