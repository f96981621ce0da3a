"""What a mutant is."""

from __future__ import annotations

from typing import NamedTuple


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
