"""`python -m cdr_exporter` is `cdr-exporter`.

Rule: nothing that takes time is imported before `main` runs, so that Ctrl-C during the imports ends
the program as it would any other, without a traceback.
"""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """Run the program and exit with its code."""
    # One that is ignored, as a shell does for what it starts in the background, stays so.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from . import cli

    sys.exit(cli.main())


if __name__ == "__main__":
    main()
