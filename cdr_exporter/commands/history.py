"""The command `history`: what the PBXs still hold of their past, as blocks for Prometheus.

Rule: it shares the tokens with running exporters, as `check` does, and asks a PBX only while an
exporter on this machine does not. Interrupted, it can be started again, and goes on.
"""

from __future__ import annotations

import argparse
import re
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from .. import config, history, logs
from ..clock import SystemClock
from ..errors import ConfigError
from ..history.grid import BLOCK_SECONDS, LONG_BLOCK_SECONDS, OLDER_STEP, RECENT_DAYS, STEPS
from ..metrics.catalogue import FAMILIES
from ..pbx import Client, Documents
from ..settings import PBX, Settings
from ..settings.durations import format_duration, parse_duration
from . import flags, preflight
from .exporter import histogram_bounds
from .progress import Progress
from .shared import shared_by
from .stdout import write_stdout

DEFAULT_DAYS, MOST_DAYS = 31, 3_650
DEFAULT_LABELS = {"job": "cdr-exporter", "instance": "localhost:10088"}

_LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")
_OURS = frozenset({"pbx", "le", *(label for family in FAMILIES for label in family.labels)})
_STEPS = ", ".join(format_duration(each) for each in STEPS)

_NO_BLOCKS = """\
promtool is not installed, or --text was given: these are text files. Make blocks of them with

  for file in {output}/*.om; do promtool tsdb create-blocks-from openmetrics \\
    --max-block-duration=18h "$file" BLOCKS; done
"""


MANUAL = """\
A sample a minute of what the exporter would have shown. It ends before the first sample that the
exporter showed, so that no series has two sources. docs/history.md of the project says how the
blocks get into Prometheus, and how out of it again: raise its retention time first.

Files:
  DIR                 the blocks; what is kept to go on with after an interruption is removed
                      at the end
  state_dir/NAME.db   of the exporter: when its first sample was. Only read; with state_url_file
                      it is in the database
  promtool            on the PATH, makes the blocks; without it text files are written

Exit codes:
  0  written
  1  a PBX did not answer, promtool failed, or DIR cannot be written; also ended by SIGTERM or
     SIGINT: the same command goes on
  2  bad configuration or arguments; DIR holds blocks
  3  another process writes to DIR

Examples:
  cdr-exporter history --config.file exporter.yml --output /var/tmp/past
  cdr-exporter history --output /var/tmp/past --days 7 --label instance=pbx.example.org:10088
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `history`."""
    flags.add_config(parser)
    add = parser.add_argument
    add(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="directory for the blocks; created if missing, refused if it holds blocks",
    )
    add(
        "--days",
        type=_days,
        default=DEFAULT_DAYS,
        metavar="N",
        help="how many days before the end (%(default)s)",
    )
    add(
        "--step",
        type=_step,
        metavar="DURATION",
        help=f"time between two samples, one of {_STEPS} (1m in the last {RECENT_DAYS} days, 5m "
        "before)",
    )
    add(
        "--end",
        type=_time,
        metavar="TIME",
        help="write only what is before it: 2026-11-27T08:00:00Z, or epoch seconds (before the "
        "first sample of the exporter, and three hours ago)",
    )
    add(
        "--label",
        type=_label,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a label of the scrape target; may be repeated (job=cdr-exporter, "
        "instance=localhost:10088)",
    )
    add("--sd", action="store_true", help="instance is the name of the PBX, as with /sd")
    flags.add_pbx(parser)
    add(
        "--new-prometheus",
        action="store_true",
        help="the blocks are for a Prometheus without data, which starts afterwards: write up to "
        "the first sample of the exporter, however young",
    )
    add("--text", action="store_true", help="write text, also where promtool is installed")
    flags.add_log(parser, level="warn")
    flags.add_manual(parser, MANUAL)


def run(args: argparse.Namespace, stop: threading.Event) -> int:
    """Write the past and return 0; raises `ExporterError`s, each with one clear line."""
    logs.setup(args.log_level, args.log_format, sys.stderr)
    settings = flags.chosen_pbxs(config.load(args.config_file), args.pbx)
    asked = _asked(args)
    preflight.check_environment(settings, secrets=True)
    progress = Progress()
    with shared_by(settings) as shared:
        lists = clients(shared.documents, stop)
        machine = history.Machine(SystemClock(stop), lists, progress.note, shared.publication)
        try:
            result = history.write_past(asked, settings, histogram_bounds(settings), machine)
        finally:
            progress.end()
    _report(result, asked.output, settings)
    return 0


def _asked(args: argparse.Namespace) -> history.Asked:
    labels = dict(args.label)
    if args.sd and "instance" in labels:
        raise ConfigError("--label instance=…: with --sd the instance is the name of the PBX")
    return history.Asked(
        args.output,
        args.days,
        args.step,
        args.end,
        {**DEFAULT_LABELS, **labels},
        by_pbx=args.sd,
        text=args.text,
        block_seconds=LONG_BLOCK_SECONDS if args.step == OLDER_STEP else BLOCK_SECONDS,
        new_prometheus=args.new_prometheus,
    )


def clients(documents: Documents, stop: threading.Event) -> Callable[[PBX], Client]:
    """Return what makes the client of a PBX, with its token in *documents*.

    *stop* ends a request of any of them.
    """

    def make(pbx: PBX) -> Client:
        client = Client(pbx, documents)

        def cancel() -> None:
            stop.wait()
            client.cancel()

        threading.Thread(target=cancel, name=f"cancel-{pbx.name}", daemon=True).start()
        return client

    return make


def _report(result: history.Result, output: Path, settings: Settings) -> None:
    for pbx in settings.pbxs:
        span = result.spans.get(pbx.name)
        found = "no records before that" if span is None else f"{_utc(span[0])} to {_utc(span[1])}"
        write_stdout(f"{pbx.name}: {found}\n")
    write_stdout(f"{output}: {result.blocks} blocks\n")
    if result.blocks and result.tool is None:
        write_stdout(_NO_BLOCKS.format(output=output))


def _utc(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _days(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST_DAYS:
        raise argparse.ArgumentTypeError(f"write a whole number from 1 to {MOST_DAYS}")
    return int(text)


def _step(text: str) -> int:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"it {error}") from None
    if seconds not in STEPS:
        raise argparse.ArgumentTypeError(f"write one of {_STEPS}")
    return int(seconds)


def _time(text: str) -> float:
    if re.fullmatch(r"[0-9]{1,11}", text):
        return float(text)
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise argparse.ArgumentTypeError("write it as 2026-11-27T08:00:00Z, or as epoch seconds")
    return time.timestamp()


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not value or not _LABEL.fullmatch(name):
        raise argparse.ArgumentTypeError("write it as NAME=VALUE")
    if name in _OURS:
        raise argparse.ArgumentTypeError(f"{name} is a label of the metrics themselves")
    return name, value
