"""The command `state`: what is kept of each PBX, whether it is whole, and a copy of it.

Rule: it reads beside a running exporter, asks no PBX, and changes nothing that is kept.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from .. import config, logs
from ..errors import StateUnusable
from ..ledger import Ledger
from ..metrics.catalogue import CALLS, RECORDS
from ..metrics.quarters import QUARTER
from ..metrics.totals import Totals
from ..pbx import read_expiry
from ..settings import PBX, Settings
from ..state_files import file_of
from ..store import BackupRefused, InspectedState, back_up, inspect, set_aside
from . import flags
from .progress import Progress
from .stdout import write_stdout

MANUAL = """\
It may be used beside a running exporter, as the exporter's user. Tokens and secrets are neither
shown nor copied. docs/state.md says how a copy is put back.

Exit codes:
  0  done: each state could be shown, is whole, or was copied
  1  a state is not whole, cannot be read or copied; check and backup: there is none yet
  2  bad configuration or arguments

Examples:
  cdr-exporter state show --config.file exporter.yml
  cdr-exporter state check --config.file exporter.yml --pbx hq
  cdr-exporter state backup --config.file exporter.yml --output /var/backups/cdr-exporter
"""

_NO_STATE = "no state yet"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `state` does, and the flags of each."""
    flags.add_manual(parser, MANUAL)
    actions = parser.add_subparsers(title="what to do", metavar="ACTION", required=True)
    for name, (text, do) in _ACTIONS.items():
        action = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        action.set_defaults(action=do)
        flags.add_config(action)
        flags.add_pbx(action)
        flags.add_manual(action, MANUAL)
        if do is _back_up:
            action.add_argument(
                "--output",
                type=Path,
                required=True,
                metavar="DIR",
                help="directory for the copies; created if missing, no file in it is replaced",
            )


def run(args: argparse.Namespace, _stop: threading.Event) -> int:
    """Do what was asked for each PBX; return 1 where that failed for one of them.

    Raises `ConfigError` and `StdoutError`.
    """
    logs.setup("warn", "logfmt", sys.stderr)
    settings = flags.chosen_pbxs(config.load(args.config_file), args.pbx)
    done = [_done(args.action, pbx, settings, args) for pbx in settings.pbxs]
    return 0 if all(done) else 1


def _done(action: _Action, pbx: PBX, settings: Settings, args: argparse.Namespace) -> bool:
    """Do *action* for *pbx*, say in one line why it failed, and return whether it was done."""
    try:
        text, done = action(pbx, settings.state_dir, args)
    except (StateUnusable, BackupRefused) as error:
        sys.stderr.write(f"{pbx.name}: {error}\n")
        return False
    write_stdout(f"{pbx.name}: {text}\n")
    return done


_Action = Callable[[PBX, Path, argparse.Namespace], tuple[str, bool]]
"""What is done for one PBX: returns what to say, and whether it is as it should be."""


# --- check and backup ----------------------------------------------------------------------------


def _check(pbx: PBX, directory: Path, _args: argparse.Namespace) -> tuple[str, bool]:
    found = inspect(directory, pbx.name, pbx.client_id)
    return (_NO_STATE, False) if found is None else (f"whole, {_size(found.size)}", True)


def _back_up(pbx: PBX, directory: Path, args: argparse.Namespace) -> tuple[str, bool]:
    progress = Progress()
    try:
        copy = back_up(
            directory,
            pbx.name,
            pbx.client_id,
            args.output,
            lambda share: progress.note(f"{pbx.name}: {share:.0%} copied"),
        )
    finally:
        progress.end()
    return (_NO_STATE, False) if copy is None else (f"{copy}, whole", True)


# --- show ----------------------------------------------------------------------------------------


def _show(pbx: PBX, directory: Path, _args: argparse.Namespace) -> tuple[str, bool]:
    found = inspect(directory, pbx.name, pbx.client_id)
    facts = {} if found is None else _facts(found)
    facts |= _beside(pbx, directory)
    first = _NO_STATE if found is None else f"{found.path}, {_size(found.size)}"
    lines = (f"  {name:<17}{text}" for name, text in facts.items() if text)
    return "\n".join((first, *lines)), True


def _facts(found: InspectedState) -> dict[str, str]:
    """Return what the state says: names and values, without anything personal."""
    saved = found.saved
    first_shown = saved.first_shown
    coverage = saved.quarters.coverage
    quarters = sorted(quarter for quarter, _ in saved.quarters.cells())
    resets = ((reason, at) for reason, at in saved.resets.items() if at)
    return {
        "commits": f"{found.commits:,}",
        "counted since": "" if coverage.counted_from is None else _utc(coverage.counted_from),
        "shown since": "" if first_shown is None else _utc(first_shown.at),
        **(_nothing_read() if saved.ledger is None else _read(saved.ledger)),
        "records": _by_first_label(saved.totals, RECORDS.name),
        "calls": _by_first_label(saved.totals, CALLS.name),
        "open calls": f"{len(saved.calls.open):,}",
        "series": f"{len(saved.totals.series):,}",
        "charts": _charts(quarters),
        "began anew": ", ".join(f"{reason} at {_utc(at)}" for reason, at in resets) or "never",
    }


def _nothing_read() -> dict[str, str]:
    return {"read": "nothing yet"}


def _read(ledger: Ledger) -> dict[str, str]:
    shown: Callable[[int], str] = _utc if ledger.order.by_time else str
    unit = "seconds" if ledger.order.by_time else "ids"
    return {
        "order": "by time" if ledger.order.by_time else "by id",
        "newest": shown(ledger.newest_key),
        "unread": f"{len(ledger.unread):,} ranges, {ledger.backlog:,} {unit} at most",
        "to be rechecked": f"{len(ledger.recheck):,} ranges",
        "first read": "goes on" if ledger.first_read else "",
    }


def _by_first_label(totals: Totals, family: str) -> str:
    """Return the sum of a counter, and of what it is made by its first label, most first."""
    sums: Counter[str] = Counter()
    for key, value in totals.series.items():
        if key.family == family:
            sums[key.labels[0]] += value[0]
    parts = ", ".join(f"{label} {count:,}" for label, count in sums.most_common() if count)
    return f"{sums.total():,}" + (f" ({parts})" if parts else "")


def _charts(quarters: list[int]) -> str:
    if not quarters:
        return "no calls"
    first, last = (_utc(quarter * QUARTER) for quarter in (quarters[0], quarters[-1]))
    return f"{len(quarters):,} quarters of an hour with calls, {first} to {last}"


def _beside(pbx: PBX, directory: Path) -> Mapping[str, str]:
    """Return what lies beside the state: the token, of which only its end is told, and copies."""
    expiry = None
    with suppress(OSError):
        expiry = read_expiry(file_of(directory, pbx.name, "token"))
    return {
        "token": "none" if expiry is None else f"expires {_utc(expiry)}",
        "set aside": ", ".join(set_aside(directory, pbx.name)),
    }


def _utc(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size / 1e3:,.0f} kB"


_ACTIONS: Mapping[str, tuple[str, _Action]] = {
    "show": ("say what is kept of each PBX", _show),
    "check": ("say whether it is whole: checksums, sums, names and the file itself", _check),
    "backup": ("copy it, one commit and whole, also while the exporter runs", _back_up),
}
