"""`python -m cdr_exporter`, the same as the command `cdr-exporter`.

Rule: slow imports happen inside `main`, after it has set what Ctrl-C does. Otherwise Ctrl-C during
these imports would print a traceback.
"""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    """Run the program and exit with its exit code."""
    # If SIGINT is ignored, as in a shell's background job, it stays ignored.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from . import cli

    _exit(cli.main())


def _exit(code: int) -> None:
    """Exit with *code*, and let the operating system take the memory back.

    Python would take the state of each PBX apart before, which is seconds with a thousand of them.
    """
    try:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    except (AttributeError, OSError, ValueError):  # closed or full: Python knows what to do then
        sys.exit(code)
    os._exit(code)


if __name__ == "__main__":
    main()
