"""The command `dashboards`: write the bundled dashboards, rules, runbook and examples."""

from __future__ import annotations

import argparse
import threading
from pathlib import Path

from .. import bundled
from .stdout import write_stdout


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flag of `dashboards`."""
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="directory to write to; created if missing, files of the same name are replaced",
    )


def run(args: argparse.Namespace, _stop: threading.Event) -> int:
    """Write the files and print the path of each; raises `FileWriteError` and `StdoutError`."""
    for path in bundled.write_files(args.output):
        write_stdout(f"{path}\n")
    return 0
