"""What a mutant is."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
"""The top of the tree that this file is in."""


class Mutant(NamedTuple):
    """One bug: in *file* (below the top of the tree) *old* becomes *new*.

    *name* says what the program does wrong then. *tests* are files or `file::test`, quick ones;
    at least one of them has to fail.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def applied(self, text: str) -> str:
        """Return the file's *text* with the bug. LookupError: its place is not there just once."""
        times = text.count(self.old)
        if times != 1:
            raise LookupError(f"{self.file}: the text to replace is there {times} times")
        return text.replace(self.old, self.new)
