"""`python -m pbx_simulator`: the simulated PBX alone, as `cdr-exporter simulate` runs it."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence

from . import command_line


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m pbx_simulator", allow_abbrev=False)
    command_line.add_arguments(parser)
    args = parser.parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return command_line.run(args, stop, program=parser.prog)


if __name__ == "__main__":
    sys.exit(main())
