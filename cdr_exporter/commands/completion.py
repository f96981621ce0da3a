"""The command `completion`: a script that completes commands and flags in a shell.

shtab makes it from the parser that reads the command line, so that no flag is missing in it. It is
not installed with the exporter, which does without it: `pip install 'cdr-exporter[completion]'`.
"""

from __future__ import annotations

import argparse
import threading
from collections.abc import Iterator

from ..errors import ExporterError
from . import flags
from .stdout import write_stdout

SHELLS = ("bash", "zsh", "fish")

MANUAL = """\
It needs shtab: pip install 'cdr-exporter[completion]', in the same environment.

Exit codes:
  0  written
  1  shtab is not installed; standard output cannot be written
  2  bad arguments

Examples:
  cdr-exporter completion bash > ~/.local/share/bash-completion/completions/cdr-exporter
  cdr-exporter completion zsh > ~/.zfunc/_cdr-exporter
  cdr-exporter completion fish > ~/.config/fish/completions/cdr-exporter.fish

For zsh, ~/.zshrc has `fpath+=(~/.zfunc); autoload -Uz compinit; compinit`.
"""


class NotInstalled(ExporterError):
    """shtab is missing: exit 1."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the argument of `completion`."""
    parser.add_argument("shell", choices=SHELLS, help="the shell that reads the script")
    flags.add_manual(parser, MANUAL)


def run(args: argparse.Namespace, _stop: threading.Event) -> int:
    """Write the script; raises `NotInstalled` and `StdoutError`. *args* has the whole parser."""
    write_stdout(script(args.parser, args.shell))
    return 0


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return the script for *shell*, one of SHELLS; raises `NotInstalled`."""
    try:
        import shtab
    except ImportError:
        raise NotInstalled(
            "completion: shtab is not installed: pip install 'cdr-exporter[completion]'"
        ) from None
    kinds = {"FILE": shtab.FILE, "DIR": shtab.DIRECTORY}
    for action in _actions(parser):
        if action.metavar in kinds:
            # Where shtab looks for what to offer.
            action.complete = kinds[action.metavar]  # type: ignore[attr-defined]
    return f"{shtab.complete(parser, shell).rstrip()}\n"


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the flags and arguments of *parser* and of its commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
