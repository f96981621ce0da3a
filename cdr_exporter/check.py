"""The command `check`: says if the configuration is right, and if each PBX answers.

Rule: it shares tokens and the login budget with a running exporter, so that looking does not
cost one of eight tokens, nor one of five failures.
"""

from __future__ import annotations

import sys
from pathlib import Path

from . import config, surroundings
from .errors import PBXError
from .ledger.page import query
from .output import say
from .pbx import Client
from .settings import PBX, Settings


def run(path: Path, *, connect: bool) -> int:
    """Check *path* and return the exit code; raises `ConfigError` and `NotShown`.

    Nothing is made or changed without *connect*.
    """
    settings = config.load(path)
    surroundings.examine(settings, secrets=True)
    for warning in (*config.warnings(settings), *surroundings.warnings(settings)):
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
        raise surroundings.unusable_state_dir(settings.state_dir, problem) from None


def _counted(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"
