"""Arguments, signals, exit codes.

    0  done; also after SIGTERM and SIGINT
    1  failed: port taken, `check --connect` refused, files or standard output not writable
    2  bad configuration or arguments, unusable state_dir, CA file or secret
    3  the state is in use by another process
  130  interrupted while there was nothing to put in order

Rule: whatever is wrong with what the user gave is one line on standard error, never a traceback.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from . import bundled, check, config, demo, logs, surroundings
from .errors import ConfigError, ExporterError, StateInUse
from .output import say
from .program import VERSION, Program
from .simulator import main as simulator
from .web import parse

DEFAULT_CONFIG = "exporter.yml"
DEFAULT_LISTEN = ":10088"

log = logging.getLogger(__name__)

Command = Callable[[argparse.Namespace, threading.Event], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    try:
        return _obeyed(_parsed(sys.argv[1:] if arguments is None else arguments))
    except KeyboardInterrupt:
        return 130
    except ConfigError as error:
        return _failed(error, 2)
    except StateInUse as error:
        return _failed(error, 3)
    except ExporterError as error:
        return _failed(error, 1)


def _obeyed(args: argparse.Namespace) -> int:
    stop = threading.Event()
    command: Command = args.command
    # The others have nothing to put in order, so a signal simply ends them.
    if command in (_run, _simulate, _demo):
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
    return command(args, stop)


def _failed(error: ExporterError, code: int) -> int:
    # Closed or full like the other: then the exit code has to do.
    with suppress(OSError, AttributeError):
        sys.stderr.write(f"cdr-exporter: {error}\n")
    return code


def _run(args: argparse.Namespace, stop: threading.Event) -> int:
    logs.setup(args.log_level, args.log_format, sys.stderr)
    settings = config.load(args.config_file)
    for warning in (*config.warnings(settings), *surroundings.warnings(settings)):
        log.warning(warning)
    listen = [parse(text) for text in args.listen_address or [DEFAULT_LISTEN]]
    program = Program(settings, listen, stop, args.external_url)
    program.start()
    addresses = " ".join(map(str, program.addresses))
    log.info("listening", extra={"fields": {"version": VERSION, "addresses": addresses}})
    try:
        program.wait()
    finally:
        program.stop()
    log.info("stopped")
    return 0


def _check(args: argparse.Namespace, _stop: threading.Event) -> int:
    logs.setup("warn", "logfmt", sys.stderr)
    return check.run(args.config_file, connect=args.connect)


def _simulate(args: argparse.Namespace, stop: threading.Event) -> int:
    return simulator.run(args, stop)


def _demo(args: argparse.Namespace, stop: threading.Event) -> int:
    logs.setup(args.log_level, args.log_format, sys.stderr)
    return demo.run([parse(text) for text in args.listen_address or ()], stop)


def _dashboards(args: argparse.Namespace, _stop: threading.Event) -> int:
    for path in bundled.write(args.output):
        say(f"{path}\n")
    return 0


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = _parser()
    if not arguments or (
        arguments[0].startswith("-") and arguments[0] not in ("-h", "--help", "--version")
    ):
        arguments = ["run", *arguments]
    return parser.parse_args(arguments)


class _Parser(argparse.ArgumentParser):
    """A parser for the commands too: no abbreviated flags, and what cannot be shown is an error."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def _print_message(self, message: str, file: Any = None) -> None:
        # It has no file where standard output is closed, and swallows errors where it is not.
        if message and (file is None or file is not sys.stderr):
            say(message)
        else:
            super()._print_message(message, file)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="cdr-exporter",
        description="Prometheus exporter for the call detail records of Yeastar P-Series PBXs.",
        epilog="Without a command it runs: cdr-exporter --config.file exporter.yml",
    )
    parser.add_argument("--version", action="version", version=f"cdr-exporter {VERSION}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, command: Command, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        sub.set_defaults(command=command)
        return sub

    run = add("run", _run, "poll the PBXs and serve metrics (the default)")
    _add_config(run)
    _add_web(run, f"where to listen, [HOST]:PORT; repeatable (default {DEFAULT_LISTEN})")
    run.add_argument(
        "--web.external-url",
        dest="external_url",
        metavar="URL",
        help="under which Prometheus reaches us, for /sd (default: as /sd was asked)",
    )
    _add_log(run)

    checked = add("check", _check, "validate the configuration, and see if the PBXs answer")
    _add_config(checked)
    checked.add_argument(
        "--connect", action="store_true", help="log in to every PBX and read one row"
    )

    simulator.add_arguments(add("simulate", _simulate, "run the simulated PBX alone"))

    shown = add("demo", _demo, "run a simulated PBX and the exporter of it")
    _add_web(shown, f"where to listen (default {demo.PREFERRED}, or a free port)")
    _add_log(shown, level="warn")

    written = add("dashboards", _dashboards, "write the bundled dashboards and rules")
    written.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="where to; made where it is missing, files of the same names are replaced",
    )
    return parser


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config.file",
        dest="config_file",
        type=Path,
        default=Path(DEFAULT_CONFIG),
        metavar="FILE",
        help="the configuration (%(default)s)",
    )


def _add_web(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument(
        "--web.listen-address", dest="listen_address", action="append", metavar="ADDR", help=text
    )


def _add_log(parser: argparse.ArgumentParser, level: str = "info") -> None:
    parser.add_argument(
        "--log.level",
        dest="log_level",
        choices=sorted(logs.LEVELS),
        default=level,
        help="log what is at least this grave (%(default)s)",
    )
    parser.add_argument(
        "--log.format",
        dest="log_format",
        choices=sorted(logs.FORMATS),
        default="logfmt",
        help="how each log line is written (%(default)s)",
    )
