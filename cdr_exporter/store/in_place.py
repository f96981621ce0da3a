"""Whether the files that a process has open are still those at their paths.

Who deletes, replaces or moves a file does not disturb the process that has it open: it goes on
writing, into a file that nobody will find.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

_Identity = tuple[int, int]
"""Device and number of a file. No other file has them as long as this one is open."""


class OpenFiles:
    """The files at *paths*, which were opened just now and stay open."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._found = {str(path): _identity(str(path)) for path in paths}

    def moved(self) -> str | None:
        """Return a path at which there is no file any more, or another one; None where all is well.

        What cannot be looked at counts as not there.
        """
        moved = (path for path, found in self._found.items() if _identity(path) != found)
        return next(moved, None)


def _identity(path: str) -> _Identity | None:
    try:
        # Not by Path: this is done some times in each commit.
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
