"""How far a long work is: one line on a terminal that is written over; nothing elsewhere."""

from __future__ import annotations

import sys


class Progress:
    """The line on standard error; `end` leaves it standing, and begins the next one."""

    def __init__(self) -> None:
        self._shown = sys.stderr is not None and sys.stderr.isatty()
        self._width = 0

    def note(self, text: str) -> None:
        """Write *text* over what stood in the line."""
        if self._shown:
            sys.stderr.write(f"\r{text:<{self._width}}")
            sys.stderr.flush()
            self._width = len(text)

    def end(self) -> None:
        """End the line, if there is one."""
        if self._width:
            sys.stderr.write("\n")
            self._width = 0
