"""Writes to standard output, for commands whose result goes there.

Rule: a failed write is an error. A pipe may be closed or a disk full; Python by itself notices only
when it flushes its buffer, often not before it exits, and then prints a traceback.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from ..errors import ExporterError


class StdoutError(ExporterError):
    """Standard output cannot be written to: exit 1."""


def write_stdout(text: str) -> None:
    """Write *text* to standard output and flush it; raises `StdoutError`.

    What its encoding does not have, such as a letter in the name of a trunk, is spelt out.
    """
    if sys.stdout is None:  # closed by the program that started this one
        raise StdoutError("cannot write to standard output: it is closed")
    encoding = sys.stdout.encoding or "utf-8"
    try:
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except OSError as error:
        problem = (error.strerror or "input/output error").lower()
    else:
        return
    _discard_buffer()
    raise StdoutError(f"cannot write to standard output: {problem}")


def _discard_buffer() -> None:
    """Point standard output to /dev/null, or Python would write its buffer again at exit."""
    with suppress(OSError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
