"""Standard output, for commands whose result it is.

Rule: what was not written is said. A pipe may be closed, a disk full, and Python notices only when
it empties its buffer, often as late as at its end, with a traceback.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from ..errors import ExporterError


class NotShown(ExporterError):
    """Standard output takes nothing: exit 1."""


def say(text: str) -> None:
    """Write *text* to standard output and out of the buffer; raises `NotShown`."""
    if sys.stdout is None:  # closed by who started us
        raise NotShown("cannot write to standard output: it is closed")
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        problem = (error.strerror or "input/output error").lower()
    else:
        return
    _give_up()
    raise NotShown(f"cannot write to standard output: {problem}")


def _give_up() -> None:
    """Send what is still in the buffer nowhere, or Python tries once more when it ends."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
