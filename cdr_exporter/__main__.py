"""`python -m cdr_exporter`, the same as the command `cdr-exporter`.

Rule: slow imports happen inside `main`, after it has set what Ctrl-C does. Otherwise Ctrl-C during
these imports would print a traceback.
"""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """Run the program and exit with its exit code."""
    # If SIGINT is ignored, as in a shell's background job, it stays ignored.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from . import cli

    sys.exit(cli.main())


if __name__ == "__main__":
    main()
