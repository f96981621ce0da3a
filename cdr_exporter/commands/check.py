"""The command `check`: says whether the configuration is valid, and what each PBX answers.

With `--connect` it shows how the newest rows of each PBX would be counted, so that a wrong number
plan or clock is seen before anything is counted.

Rule: it shares tokens and the record of logins with running exporters. So a check neither
takes one of the few tokens that a PBX issues, nor makes one of the failed logins after which a PBX
blocks an address. Where the PBX counts no tries, somebody who asks is not held up.
"""

from __future__ import annotations

import argparse
import sys
import threading
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from .. import config, logs
from ..clock import Clock, SystemClock
from ..errors import ConfigError, PBXError
from ..metrics.self_metrics import SelfMetrics
from ..pbx import Client, Documents, Person
from ..settings import PBX, Settings
from ..tail.page_reader import PageReader
from . import flags, preflight
from .exporter import histogram_bounds
from .newest_rows import NewestRows, read_newest_rows
from .preview import preview_of
from .preview_text import preview_text
from .shared import shared_by
from .stdout import write_stdout

MANUAL = """\
Without --connect nothing is changed, and no PBX is asked; a database of state_url_file is, whether
it can be used. With --connect, run it as the exporter's user, also while the exporter runs: both
keep token and refused logins of a PBX in state_dir, or in the database. Names of people and their
numbers are not shown.

Exit codes:
  0  valid; with --connect, each PBX answered
  1  a PBX did not answer, or refused; standard output cannot be written
  2  bad configuration or arguments; a secret, a CA file, state_dir or database that cannot be used

Examples:
  cdr-exporter check --config.file exporter.yml
  cdr-exporter check --config.file exporter.yml --connect
"""

_RISK = (
    "warning: --last-try sends a login also where it may be the fifth in a row that is refused; "
    "then the PBX blocks this machine's address, until an administrator removes it from its "
    "Blocked IPs\n"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `check`."""
    flags.add_config(parser)
    parser.add_argument(
        "--connect",
        action="store_true",
        help="log in to each PBX and say how its newest 200 rows would be counted",
    )
    parser.add_argument(
        "--last-try",
        action="store_true",
        help="with --connect: log in once more where so many logins were refused that nobody tries "
        "any more. The risk: after five in a row a PBX blocks this machine's address, until an "
        "administrator removes it from the PBX's Blocked IPs",
    )
    flags.add_manual(parser, MANUAL)


def run(args: argparse.Namespace, _stop: threading.Event) -> int:
    """Check the configuration and return the exit code; raises `ConfigError` and `StdoutError`."""
    logs.setup("warn", "logfmt", sys.stderr)
    return check_config(args.config_file, connect=args.connect, last_try=args.last_try)


def check_config(path: Path, *, connect: bool, last_try: bool = False) -> int:
    """Check the file *path* and return the exit code; raises `ConfigError` and `StdoutError`.

    Without *connect* nothing is created or changed, and no PBX is contacted. A database of
    state_url_file is asked whether it can be used. With *last_try* one
    login is sent to each PBX even where it may be the one that gets us blocked.
    """
    if last_try and not connect:
        raise ConfigError("--last-try needs --connect")
    settings = config.load(path)
    preflight.check_environment(settings, secrets=True)
    risks = preflight.check_database(settings)
    for warning in (*config.warnings(settings), *preflight.warnings(settings), *risks):
        sys.stderr.write(f"warning: {warning}\n")
    noun = "PBX" if len(settings.pbxs) == 1 else "PBXs"
    write_stdout(f"{path}: valid, {len(settings.pbxs)} {noun}\n")
    if not connect:
        return 0
    clock = SystemClock(threading.Event())
    person = Person(clock.now().wall if last_try else None)
    if last_try:
        sys.stderr.write(_RISK)
    with shared_by(settings) as shared:
        connects = partial(_connects, settings, shared.documents, person, clock)
        results = [connects(pbx) for pbx in settings.pbxs]
    return 0 if all(results) else 1


def _connects(
    settings: Settings, documents: Documents, person: Person, clock: Clock, pbx: PBX
) -> bool:
    """Log in to one PBX, say how its newest rows would be counted; return whether it worked."""
    client = Client(pbx, documents, person=person)
    bounds = histogram_bounds(settings)
    try:
        reader = PageReader(client, SelfMetrics(bounds), clock, pbx.name)
        found = read_newest_rows(pbx, reader, clock)
        found = found._replace(clock_offset=client.clock_offset)
    except PBXError as error:
        sys.stderr.write(f"{pbx.name}: {error}\n")
        return False
    finally:
        client.close()
    preview = preview_of(found, pbx, settings.machine_callees, bounds, clock.now().wall)
    write_stdout(_answer(pbx, found) + preview_text(preview, ZoneInfo(pbx.timezone)))
    return True


def _answer(pbx: PBX, found: NewestRows) -> str:
    total = "an unknown number of" if found.page.total is None else found.page.total
    return f"{pbx.name}: answers, {total} CDRs\n"
