"""The command `dashboards`: write the dashboards, rules, runbook and examples as files."""

from __future__ import annotations

import argparse
import threading
from pathlib import Path

from .. import bundled
from .stdout import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flag of `dashboards`."""
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder to write to; made where it is missing, files of the same names are replaced",
    )


def run(args: argparse.Namespace, _stop: threading.Event) -> int:
    """Write the files and name each; raises `NotWritten` and `NotShown`."""
    for path in bundled.write(args.output):
        say(f"{path}\n")
    return 0
