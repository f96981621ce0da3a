"""The command `demo`: two simulated PBXs and an exporter that polls them, in one process.

They are those of a small company with an office in Berlin and a call centre in Boston, with other
hours, trunks, numbers and time zones.

Rule: it leaves nothing behind. All files are in a temporary directory, and everything listens on
the loopback interface only; but for the exporter where it is told to listen elsewhere, by the flag
or, in a container, by an environment variable.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from pbx_simulator import OfficeSettings, SimulatedPBX
from pbx_simulator.directory import BERLIN, BOSTON, Directory
from pbx_simulator.pbx import CLIENT_ID, CLIENT_SECRET
from pbx_simulator.serving import serve
from pbx_simulator.traffic import CALL_CENTRE_HOURS, OFFICE_HOURS, Habits

from .. import logs
from ..errors import ExporterError
from ..exposition.utc_offset import utc_offset
from ..secret import Secret
from ..settings import PBX, SecretSource, Settings
from ..web import ListenAddress, ListenError, parse_listen_address
from . import demo_prometheus, flags
from .exporter import Exporter
from .progress import Progress
from .stdout import write_stdout

DAYS, CALLS_PER_MINUTE = 30, 2.0
PREFERRED_ADDRESS = ListenAddress("127.0.0.1", 10088)
FREE_PORT_ADDRESS = ListenAddress("127.0.0.1", 0)

LISTEN_VARIABLE = "CDR_EXPORTER_DEMO_LISTEN_ADDRESS"
"""The environment variable with the default of `--web.listen-address`. The image sets it: nobody
outside of a container reaches what listens on its loopback interface."""

MANUAL = f"""\
Everybody and every number in it is made up. All its files are in a temporary directory (TMPDIR),
some 20 MB, 700 with --prometheus, and are removed at the end. Ctrl-C ends it.

Environment:
  {LISTEN_VARIABLE}   where to listen, unless a flag says it; in a container
                                     :10088, so that it is reached from outside

Exit codes:
  0  ended by SIGTERM or SIGINT
  1  an address cannot be listened on; no room for its files; --prometheus without Prometheus
  2  bad arguments

Examples:
  cdr-exporter demo
  cdr-exporter demo --web.listen-address 127.0.0.1:10099 --prometheus
"""

IN_MEMORY = ("/dev/shm", "/run/shm")  # noqa: S108 - a directory of our own is made in it
"""Directories in memory, for where no other can be written."""

_PAGES = """
{rows} CDRs of {days} days are on the two simulated PBXs, {names}, and new ones come.
Their exporter counts them; open

  {url}                 its PBXs, and their calls of the last month as charts
  {url}pbx/berlin       one of them: its calls by hour and by day, by outcome
"""

_PAST = """
Prometheus gets the last {days} days first, which takes about half a minute; the pages are open.
"""

_PROMETHEUS = """
  {url}                 Prometheus, with the rules; for a start, calls answered by hour:
  {graph_url}
"""

_REST = """\
  {url}dashboards/      for Grafana: import, with {whose} Prometheus as data source
  {url}metrics          what Prometheus scrapes

Ctrl-C ends it and leaves nothing behind.
"""


class Site(NamedTuple):
    """One of the company's PBXs: who is there, when they telephone, and how it is configured."""

    name: str
    timezone: str
    directory: Directory
    habits: Habits
    seed: int
    dids: dict[str, str]
    queues: dict[str, str]
    destinations: dict[str, tuple[str, ...]]


SITES = (
    Site(
        name="berlin",
        timezone="Europe/Berlin",
        directory=BERLIN,
        habits=OFFICE_HOURS._replace(failing_trunk="Backup"),
        seed=1,
        dids={"+493023125100": "main", "+493023125200": "sales"},
        queues={"6400": "support", "6401": "sales"},
        destinations={"international": ("00",)},
    ),
    Site(
        name="boston",
        timezone="America/New_York",
        directory=BOSTON,
        habits=CALL_CENTRE_HOURS,
        seed=2,
        dids={"+16175550100": "orders", "+16175550101": "returns"},
        queues={"6400": "orders", "6401": "returns"},
        destinations={"international": ("011",)},
    ),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `demo`."""
    flags.add_listen_address(
        parser,
        f"address to listen on (default ${LISTEN_VARIABLE}; without it {PREFERRED_ADDRESS}, or a "
        "free port)",
    )
    parser.add_argument(
        "--prometheus",
        action="store_true",
        help="run a Prometheus too, with the past and the rules; needs prometheus and promtool",
    )
    flags.add_log(parser, level="warn")
    flags.add_manual(parser, MANUAL)


def run(args: argparse.Namespace, stop: threading.Event) -> int:
    """Run the demo until *stop* is set; raises `ExporterError`."""
    logs.setup(args.log_level, args.log_format, sys.stderr)
    listen = listen_addresses(args.listen_address or (), os.environ)
    return run_demo(listen, stop, demo_prometheus.find() if args.prometheus else None)


def listen_addresses(
    asked: Sequence[str], environment: Mapping[str, str]
) -> Sequence[ListenAddress]:
    """Return the addresses *asked* for, else those of the environment, else none.

    Raises `ConfigError` for what is no address.
    """
    return [
        parse_listen_address(each) for each in asked or environment.get(LISTEN_VARIABLE, "").split()
    ]


def run_demo(
    listen: Sequence[ListenAddress], stop: threading.Event, prometheus: str | None = None
) -> int:
    """Run all of it until *stop* is set, then return 0; raises `ExporterError`.

    Without addresses in *listen* the exporter listens on `PREFERRED_ADDRESS` or, if that is in use,
    on a free port. *prometheus* is the path of the program, None to do without.
    """
    with _directory() as directory, ExitStack() as servers:
        pbxs = [_simulated(site) for site in SITES]
        urls = [servers.enter_context(serve(pbx, live=True)).base_url for pbx in pbxs]
        entries = [_entry(site, url) for site, url in zip(SITES, urls, strict=True)]
        settings = Settings(pbxs=tuple(entries), state_dir=directory / "state")
        exporter = _exporter(settings, listen, stop)
        exporter.start()
        try:
            url = exporter.addresses[0].url
            write_stdout(_pages(url, sum(len(pbx.table) for pbx in pbxs)))
            if prometheus is None:
                write_stdout(_REST.format(url=url, whose="your"))
                exporter.wait()
            else:
                it = demo_prometheus.scraped(url, settings, directory / "prometheus")
                _show_in_prometheus(prometheus, it, exporter, stop)
        finally:
            exporter.stop()
    return 0


def _show_in_prometheus(
    program: str, it: demo_prometheus.Scraped, exporter: Exporter, stop: threading.Event
) -> None:
    """Let *program* show the past and the present until *stop* is set; raises `ExporterError`."""
    write_stdout(_PAST.format(days=demo_prometheus.DAYS))
    progress = Progress()
    try:
        demo_prometheus.prepare(it)
        demo_prometheus.write_past(it, stop, progress.note)
    finally:
        progress.end()
    if stop.is_set():
        return
    with demo_prometheus.running(program, it, stop) as url:
        graph_url = demo_prometheus.graph_url(url)
        write_stdout(_PROMETHEUS.format(url=url, graph_url=graph_url))
        write_stdout(_REST.format(url=exporter.addresses[0].url, whose="this"))
        exporter.wait()


@contextmanager
def _directory() -> Iterator[Path]:
    with temporary_directory() as path:
        yield Path(path)


def temporary_directory() -> tempfile.TemporaryDirectory[str]:
    """Return a new directory, in memory where no disk can be written; raises `ExporterError`."""
    for parent in (None, *IN_MEMORY):
        try:
            return tempfile.TemporaryDirectory(prefix="cdr-exporter-", dir=parent)
        except OSError as error:
            problem = error.strerror or "input/output error"
    raise ExporterError(
        f"no directory for what the demo keeps while it runs: {problem}; "
        "set TMPDIR to a directory that can be written, with some 20 MB free"
    )


def _pages(url: str, rows: int) -> str:
    names = " and ".join(site.name for site in SITES)
    return _PAGES.format(rows=f"{rows:,}", days=DAYS, names=names, url=url)


def _simulated(site: Site) -> SimulatedPBX:
    office = OfficeSettings(
        seed=site.seed,
        min_calls_per_minute=CALLS_PER_MINUTE,
        utc_offset_seconds=round(utc_offset(ZoneInfo(site.timezone), time.time())),
        directory=site.directory,
        habits=site.habits,
    )
    return SimulatedPBX(office, days=DAYS)


def _entry(site: Site, base_url: str) -> PBX:
    """Return what `exporter.yml` would say about the PBX at *base_url*."""
    return PBX(
        name=site.name,
        base_url=base_url,
        client_id=CLIENT_ID,
        secret=SecretSource(value=Secret(CLIENT_SECRET)),
        start="all",
        poll_interval=5.0,
        timezone=site.timezone,
        dids=site.dids,
        queues=site.queues,
        destinations=site.destinations,
    )


def _exporter(
    settings: Settings, listen: Sequence[ListenAddress], stop: threading.Event
) -> Exporter:
    if listen:
        return Exporter(settings, listen, stop)
    try:
        return Exporter(settings, [PREFERRED_ADDRESS], stop)
    except ListenError:
        return Exporter(settings, [FREE_PORT_ADDRESS], stop)
