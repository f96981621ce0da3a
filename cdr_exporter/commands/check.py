"""The command `check`: says if the configuration is right, and if each PBX answers.

Rule: it shares tokens and the login budget with a running exporter, so that looking does not
cost one of eight tokens, nor one of five failures.
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
from .stdout import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `check`."""
    flags.add_config(parser)
    parser.add_argument(
        "--connect", action="store_true", help="log in to every PBX and read one row"
    )


def run(args: argparse.Namespace, _stop: threading.Event) -> int:
    """Check the configuration and return the exit code; raises `ConfigError` and `NotShown`."""
    logs.setup("warn", "logfmt", sys.stderr)
    return check(args.config_file, connect=args.connect)


def check(path: Path, *, connect: bool) -> int:
    """Check *path* and return the exit code; raises `ConfigError` and `NotShown`.

    Nothing is made or changed without *connect*.
    """
    settings = config.load(path)
    preflight.check_environment(settings, secrets=True)
    for warning in (*config.warnings(settings), *preflight.warnings(settings)):
        sys.stderr.write(f"warning: {warning}\n")
    say(f"{path}: valid, {_counted(len(settings.pbxs), 'PBX', 'PBXs')}\n")
    if not connect:
        return 0
    _make_state_dir(settings)
    answers = [_answers(pbx, settings.state_dir) for pbx in settings.pbxs]
    return 0 if all(answers) else 1


def _answers(pbx: PBX, state_dir: Path) -> bool:
    """Log in to one PBX, read one row, and say what came of it."""
    client = Client(pbx, state_dir / f"{pbx.name}.token")
    try:
        answer = client.fetch(query(1, 1))
    except PBXError as error:
        sys.stderr.write(f"{pbx.name}: {error}\n")
        return False
    finally:
        client.close()
    total = "an untold number of" if answer.total is None else answer.total
    say(f"{pbx.name}: answers, {total} CDRs\n")
    return True


def _make_state_dir(settings: Settings) -> None:
    try:
        settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        problem = error.strerror or "input/output error"
        raise preflight.unusable_state_dir(settings.state_dir, problem) from None


def _counted(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"
