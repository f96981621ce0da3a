"""The command `check`: reports whether the configuration is valid and whether each PBX answers.

Rule: it shares the token files with a running exporter. So a check neither takes one of the few
tokens that a PBX issues, nor adds to the failed logins after which a PBX blocks an address.
"""

from __future__ import annotations

import argparse
import sys
import threading
from pathlib import Path

from .. import config, logs
from ..errors import PBXError
from ..ledger.page import query
from ..pbx import Client
from ..settings import PBX, Settings
from . import flags, preflight
from .stdout import write_stdout


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `check`."""
    flags.add_config(parser)
    parser.add_argument(
        "--connect", action="store_true", help="log in to each PBX and read one row"
    )


def run(args: argparse.Namespace, _stop: threading.Event) -> int:
    """Check the configuration and return the exit code; raises `ConfigError` and `StdoutError`."""
    logs.setup("warn", "logfmt", sys.stderr)
    return check_config(args.config_file, connect=args.connect)


def check_config(path: Path, *, connect: bool) -> int:
    """Check the file *path* and return the exit code; raises `ConfigError` and `StdoutError`.

    Without *connect* nothing is created or changed, and no PBX is contacted.
    """
    settings = config.load(path)
    preflight.check_environment(settings, secrets=True)
    for warning in (*config.warnings(settings), *preflight.warnings(settings)):
        sys.stderr.write(f"warning: {warning}\n")
    noun = "PBX" if len(settings.pbxs) == 1 else "PBXs"
    write_stdout(f"{path}: valid, {len(settings.pbxs)} {noun}\n")
    if not connect:
        return 0
    _make_state_dir(settings)
    results = [_connects(pbx, settings.state_dir) for pbx in settings.pbxs]
    return 0 if all(results) else 1


def _connects(pbx: PBX, state_dir: Path) -> bool:
    """Log in to one PBX, read one row, report the result, and return whether it worked."""
    client = Client(pbx, state_dir / f"{pbx.name}.token")
    try:
        answer = client.fetch(query(1, 1))
    except PBXError as error:
        sys.stderr.write(f"{pbx.name}: {error}\n")
        return False
    finally:
        client.close()
    total = "an unknown number of" if answer.total is None else answer.total
    write_stdout(f"{pbx.name}: answers, {total} CDRs\n")
    return True


def _make_state_dir(settings: Settings) -> None:
    try:
        settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        problem = error.strerror or "input/output error"
        raise preflight.unusable_state_dir(settings.state_dir, problem) from None
