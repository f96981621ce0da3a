"""The command `state`: what is kept of each PBX, whether it is whole, and a copy of it.

Rule: it asks no PBX. What only looks does so beside a running exporter, and changes nothing that is
kept; what moves a state lets no exporter use it meanwhile.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from .. import config, logs
from ..errors import DatabaseError, PBXError, StateInUse, StateUnusable
from ..ledger import Ledger
from ..metrics.catalogue import CALLS, RECORDS
from ..metrics.quarters import QUARTER
from ..metrics.totals import Totals
from ..settings import PBX, Settings
from ..store import BackupRefused, InspectedState, MoveRefused
from . import flags
from .progress import Progress
from .state_moving import (
    export_logins,
    export_state,
    import_logins,
    import_state,
    opened_database,
)
from .state_places import Place, place_of
from .stdout import write_stdout

MANUAL = """\
show, check and backup may be used beside a running exporter, as the exporter's user. Tokens and
secrets are neither shown nor copied. import and export move states, with tokens, between a
directory and the database of state_url_file; no exporter may run on them meanwhile. Who is stopped
in between runs it again. docs/state.md says how a copy is put back, and how to move.

Exit codes:
  0  done: each state could be shown, is whole, or was copied or moved
  1  a state is not whole, cannot be read, copied or moved; all but show: there is none yet
  2  bad configuration or arguments
  3  import, export: an exporter runs on a state

Examples:
  cdr-exporter state show --config.file exporter.yml
  cdr-exporter state check --config.file exporter.yml --pbx hq
  cdr-exporter state backup --config.file exporter.yml --output /var/backups/cdr-exporter
  cdr-exporter state import --config.file exporter.yml --from /var/lib/cdr-exporter
  cdr-exporter state export --config.file exporter.yml --to /var/lib/cdr-exporter
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
        if name == "backup":
            action.add_argument(
                "--output",
                type=Path,
                required=True,
                metavar="DIR",
                help="directory for the copies; created if missing, no file in it is replaced",
            )
        if name in _MOVES:
            flag, help_ = _MOVES[name]
            action.add_argument(
                flag, dest="directory", type=Path, required=True, metavar="DIR", help=help_
            )


_MOVES = {
    "import": ("--from", "the state_dir until now; its files are renamed to NAME.moved-TIME"),
    "export": ("--to", "the state_dir from now on; created if missing, no state is replaced"),
}


def run(args: argparse.Namespace, _stop: threading.Event) -> int:
    """Do what was asked for each PBX; return 1 where that failed for one of them, 3 where in use.

    Raises `ConfigError` and `StdoutError`.
    """
    logs.setup("warn", "logfmt", sys.stderr)
    settings = flags.chosen_pbxs(config.load(args.config_file), args.pbx)
    try:
        codes: list[int] = [*args.action(settings, args)]
    except (DatabaseError, PBXError) as error:
        # It concerns all PBXs alike.
        place = "state_url_file: " if isinstance(error, DatabaseError) else ""
        sys.stderr.write(f"cdr-exporter: {place}{error}\n")
        return _FAILED
    return max(codes)


_DONE, _FAILED, _IN_USE = 0, 1, 3

_Said = tuple[str, bool]
"""What to say about a PBX, and whether it is as it should be."""


def _done(pbx: PBX, action: Callable[[], _Said]) -> int:
    """Do *action* for *pbx*, say in one line why it failed, and return the exit code."""
    try:
        text, done = action()
    except _FAILURES as error:
        sys.stderr.write(f"{pbx.name}: {error}\n")
        return _IN_USE if isinstance(error, StateInUse) else _FAILED
    write_stdout(f"{pbx.name}: {text}\n")
    return _DONE if done else _FAILED


_FAILURES = (StateUnusable, StateInUse, BackupRefused, MoveRefused, PBXError)


def _with_place(
    action: Callable[[PBX, Place, argparse.Namespace], _Said],
) -> Callable[[Settings, argparse.Namespace], Iterator[int]]:
    """Return what does *action* for each PBX where its state is."""

    def do(settings: Settings, args: argparse.Namespace) -> Iterator[int]:
        with place_of(settings) as place:
            for pbx in settings.pbxs:
                yield _done(pbx, partial(action, pbx, place, args))

    return do


# --- import and export ---------------------------------------------------------------------------


def _import(settings: Settings, args: argparse.Namespace) -> Iterator[int]:
    with opened_database(settings) as database:
        import_logins(args.directory, database)
        for pbx, note in _noted(settings):
            yield _done(pbx, partial(import_state, pbx, args.directory, database, note))


def _export(settings: Settings, args: argparse.Namespace) -> Iterator[int]:
    with opened_database(settings) as database:
        for pbx, note in _noted(settings):
            yield _done(pbx, partial(export_state, pbx, database, args.directory, note))
        export_logins(database, args.directory)


def _noted(settings: Settings) -> Iterator[tuple[PBX, Callable[[str], None]]]:
    """Yield each PBX with what tells how far it is."""
    progress = Progress()
    for number, pbx in enumerate(settings.pbxs, 1):
        place = f"{number} of {len(settings.pbxs)}, {pbx.name}"
        yield pbx, lambda text, place=place: progress.note(f"{place}: {text}")  # type: ignore[misc]
        progress.end()


# --- check and backup ----------------------------------------------------------------------------


def _check(pbx: PBX, place: Place, _args: argparse.Namespace) -> _Said:
    found = place.inspect(pbx)
    return (_NO_STATE, False) if found is None else (f"whole, {_size(found.size)}", True)


def _back_up(pbx: PBX, place: Place, args: argparse.Namespace) -> _Said:
    progress = Progress()
    try:
        copy = place.back_up(
            pbx, args.output, lambda share: progress.note(f"{pbx.name}: {share:.0%} copied")
        )
    finally:
        progress.end()
    return (_NO_STATE, False) if copy is None else (f"{copy}, whole", True)


# --- show ----------------------------------------------------------------------------------------


def _show(pbx: PBX, place: Place, _args: argparse.Namespace) -> _Said:
    found = place.inspect(pbx)
    facts = {} if found is None else _facts(found)
    facts |= _beside(pbx, place)
    first = _NO_STATE if found is None else f"{found.place}, {_size(found.size)}"
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


def _beside(pbx: PBX, place: Place) -> Mapping[str, str]:
    """Return what lies beside the state: the token, of which only its end is told, and copies."""
    expiry = place.token_expiry(pbx)
    return {
        "token": "none" if expiry is None else f"expires {_utc(expiry)}",
        "set aside": ", ".join(place.set_aside(pbx)),
    }


def _utc(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size / 1e3:,.0f} kB"


_Action = Callable[[Settings, argparse.Namespace], Iterator[int]]
"""Does what was asked; yields the exit code for each PBX."""

_ACTIONS: Mapping[str, tuple[str, _Action]] = {
    "show": ("say what is kept of each PBX", _with_place(_show)),
    "check": (
        "say whether it is whole: checksums, sums, names and the file itself",
        _with_place(_check),
    ),
    "backup": ("copy it, one commit and whole, also while it is in use", _with_place(_back_up)),
    "import": ("move it from the files of a state_dir into the database", _import),
    "export": ("move it from the database into the files of a state_dir", _export),
}
