"""The command line: arguments, signals and exit codes.

    0  success; also a stop by SIGTERM or SIGINT
    1  failure: port in use, a PBX failed `check --connect`, files or standard output not writable
    2  bad configuration or arguments; unusable state_dir, CA file or secret
    3  the state is in use by another process
  130  interrupted by SIGINT in a command that has nothing to clean up

Rule: each mistake of the user gives one line on standard error, never a traceback.
"""

from __future__ import annotations

import argparse
import re
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from difflib import get_close_matches
from typing import Any, NamedTuple, NoReturn

from .commands import check, completion, dashboards, demo, flags, history, run, simulate, state
from .commands.exporter import VERSION
from .commands.stdout import write_stdout
from .errors import ConfigError, ExporterError, StateInUse


class Command(NamedTuple):
    """A command; *text* is its help. One with *cleans_up* ends by itself after SIGTERM or SIGINT.

    The other commands are ended by these signals at once. *hang_up* is what SIGHUP does instead of
    ending the command.
    """

    text: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, threading.Event], int]
    cleans_up: bool = False
    hang_up: Callable[[], None] | None = None


COMMANDS = {
    "run": Command(
        "poll the PBXs and serve their metrics (the default)",
        run.add_arguments,
        run.run,
        cleans_up=True,
        hang_up=run.hang_up,
    ),
    "check": Command(
        "validate the configuration, and say what the PBXs answer",
        check.add_arguments,
        check.run,
    ),
    "history": Command(
        "write the past that the PBXs still hold, for Prometheus",
        history.add_arguments,
        history.run,
        cleans_up=True,
    ),
    "state": Command(
        "say what is kept of the PBXs and whether it is whole, or copy it",
        state.add_arguments,
        state.run,
    ),
    "simulate": Command(
        "run the simulated PBX alone", simulate.add_arguments, simulate.run, cleans_up=True
    ),
    "demo": Command(
        "run two simulated PBXs and an exporter that polls them",
        demo.add_arguments,
        demo.run,
        cleans_up=True,
    ),
    "dashboards": Command(
        "write the bundled dashboards, rules, runbook and examples",
        dashboards.add_arguments,
        dashboards.run,
    ),
    "completion": Command(
        "write a script that completes commands and flags in a shell",
        completion.add_arguments,
        completion.run,
    ),
}
_DEFAULT = "run"
_HELP = "help"
_MANUAL = """\
Without a command it is `run`. `cdr-exporter help COMMAND` says all about one.

Exit codes:
  0    done; also ended by SIGTERM or SIGINT
  1    failed: an address is taken, a PBX did not answer, something cannot be written
  2    bad configuration or arguments; unusable state_dir, CA file or secret
  3    the state is in use by another process
  130  interrupted by SIGINT where there is nothing to clean up

Examples:
  cdr-exporter demo
  cdr-exporter check --config.file exporter.yml --connect
  cdr-exporter --config.file exporter.yml
"""
_WITHOUT_COMMAND = ("-h", "--help", "--version")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    try:
        return _run(_parse(sys.argv[1:] if arguments is None else arguments))
    except KeyboardInterrupt:
        return 130
    except ConfigError as error:
        return _report(error, 2)
    except StateInUse as error:
        return _report(error, 3)
    except ExporterError as error:
        return _report(error, 1)


def _run(args: argparse.Namespace) -> int:
    stop = threading.Event()
    command: Command = args.command
    if command.cleans_up:
        _handle_signals(stop, command.hang_up or stop.set)
    return command.run(args, stop)


def _handle_signals(stop: threading.Event, hang_up: Callable[[], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    # `nohup` asks that it is ignored.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: hang_up())


def _report(error: ExporterError, code: int) -> int:
    # Standard error may be closed or full as well; then the exit code must suffice.
    with suppress(OSError, AttributeError):
        sys.stderr.writelines(f"cdr-exporter: {line}\n" for line in str(error).split("\n"))
    return code


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    if arguments and arguments[0] == _HELP:
        arguments = [*arguments[1:], "--help"]
    first = arguments[0] if arguments else ""
    if not first or (first.startswith("-") and first not in _WITHOUT_COMMAND):
        arguments = [_DEFAULT, *arguments]
    return _parser().parse_args(arguments)


class _Parser(argparse.ArgumentParser):
    """The parser of the program and of each command; flags cannot be abbreviated.

    It fails if help cannot be written to standard output; argparse would ignore that. *flags* are
    those of all commands, for hints.
    """

    flags: frozenset[str] = frozenset()

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the arguments, and perhaps which flag was meant, and exit."""
        unknown = re.findall(r"--[\w.-]+", message) if message.startswith("unrecognized") else ()
        meant = {near for flag in unknown for near in get_close_matches(flag, self.flags, n=1)}
        super().error(f"{message}; did you mean {', '.join(sorted(meant))}?" if meant else message)

    def _print_message(self, message: str, file: Any = None) -> None:
        if message and (file is None or file is not sys.stderr):
            write_stdout(message)
        else:
            super()._print_message(message, file)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="cdr-exporter",
        description="Prometheus exporter for the call detail records of Yeastar P-Series PBXs.",
    )
    flags.add_manual(parser, _MANUAL)
    parser.set_defaults(parser=parser)
    parser.add_argument("--version", action="version", version=f"cdr-exporter {VERSION}")
    parsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        text = command.text
        sub = parsers.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        sub.set_defaults(command=command)
        command.add_arguments(sub)
        parser.flags |= {flag for flag in sub._option_string_actions if flag.startswith("--")}
    return parser
