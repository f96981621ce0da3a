"""`demo --prometheus`: a Prometheus with the past of the simulated PBXs, which scrapes the demo.

find       the program, or one line that says what is missing
write_past the past into its data directory, as the command `history` writes it
prepare    its configuration and the rules
running    the process, from when it answers until the demo ends

Rule: all its files are below one directory, which is the demo's and temporary. It listens on the
loopback interface only.
"""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

from .. import bundled, history, programs
from ..clock import SystemClock
from ..errors import ExporterError
from ..history.folder import FolderError
from ..history.grid import LONG_BLOCK_SECONDS
from ..programs import ProgramError
from ..settings import Settings
from .exporter import histogram_bounds
from .history import clients
from .shared import Shared, shared_in_files

DAYS = 8
"""How many days of the past Prometheus gets: with today, a week to compare today with."""

STEP_SECONDS = 300
"""The longest distance between samples at which every query still finds one."""

FREE_MEGABYTES = 700
"""What it takes at most while the past is written; promtool reserves 512 for a block, for a moment.
"""

BLOCK_SECONDS = LONG_BLOCK_SECONDS
"""One call of promtool makes one block, and costs a quarter of a second beside its samples."""

_JOB = "cdr-exporter"
_HOST = "127.0.0.1"
_MOST_WAIT_SECONDS = 30.0
_STOP_SECONDS = 3.0
_LOOK_AGAIN_SECONDS = 0.1

_CONFIG = """\
global:
  scrape_interval: 5s
  evaluation_interval: 5s
rule_files: [rules/*.yml]
scrape_configs:
  - job_name: {job}
    static_configs: [{{targets: ["{target}"]}}]
"""

_ANSWERED_BY_HOUR = (
    'sum by (pbx) (increase(cdr_calls_total{call_type="Inbound",outcome="answered"}[1h]))'
)


class NotInstalled(ExporterError):
    """A program that was asked for is not on the PATH: exit 1."""


class Scraped(NamedTuple):
    """What this Prometheus scrapes: the exporter at *target* with its *settings*.

    *directory* is where all that it writes goes.
    """

    target: str
    settings: Settings
    directory: Path


def find() -> str:
    """Return the path of Prometheus; raises `NotInstalled` where it or promtool is missing."""
    found = {name: programs.find(name) for name in ("prometheus", "promtool")}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        raise NotInstalled(
            f"demo --prometheus: not on the PATH: {', '.join(missing)}; install Prometheus, which "
            "brings both, or run the demo without it"
        )
    return str(found["prometheus"])


def scraped(exporter_url: str, settings: Settings, directory: Path) -> Scraped:
    """Return what is scraped where the exporter listens at *exporter_url*."""
    return Scraped(urlsplit(exporter_url).netloc, settings, directory)


def config_text(target: str) -> str:
    """Return the configuration; paths in it are relative to its file."""
    return _CONFIG.format(job=_JOB, target=target)


def command(program: str, directory: Path, port: int) -> Sequence[str]:
    """Return the command that starts *program* on what is in *directory*."""
    return [
        program,
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'data'}",
        "--storage.tsdb.retention.time=100d",
        f"--web.listen-address={_HOST}:{port}",
        f"--web.external-url={_url(port)}",
        "--log.level=warn",
    ]


def graph_url(base: str) -> str:
    """Return a page of the Prometheus at *base* that shows something: calls by hour."""
    shown = {"g0.expr": _ANSWERED_BY_HOUR, "g0.tab": 0, "g0.range_input": f"{DAYS}d"}
    return f"{base}graph?{urlencode(shown)}"


def prepare(it: Scraped) -> None:
    """Write the configuration and the rules; raises `ExporterError`."""
    files = {"prometheus.yml": config_text(it.target).encode()}
    files |= {f"rules/{name}": text for name, text in bundled.rules(f"http://{it.target}").items()}
    try:
        (it.directory / "rules").mkdir(parents=True)
        for name, text in files.items():
            (it.directory / name).write_bytes(text)
    except OSError as error:
        raise _no_room((error.strerror or "input/output error").lower()) from None


def write_past(it: Scraped, stop: threading.Event, noted: Callable[[str], None]) -> None:
    """Write the past up to the first sample of the exporter, or until *stop* is set.

    *noted* is called with a line about how far it is. Raises `ExporterError`.
    """
    asked = history.Asked(
        it.directory / "data",
        DAYS,
        STEP_SECONDS,
        None,
        {"job": _JOB, "instance": it.target},
        block_seconds=BLOCK_SECONDS,
        new_prometheus=True,
    )
    shared = shared_in_files(it.settings)
    lists = clients(shared.documents, stop)
    machine = history.Machine(SystemClock(stop), lists, noted, shared.publication)
    _wait_until_shown(it.settings, shared, stop)
    try:
        history.write_past(asked, it.settings, histogram_bounds(it.settings), machine)
    except (FolderError, ProgramError) as error:
        if not stop.is_set():
            raise _no_room(getattr(error, "problem", str(error))) from None
    except ExporterError:
        if not stop.is_set():
            raise


@contextmanager
def running(program: str, it: Scraped, stop: threading.Event) -> Iterator[str]:
    """Run *program* while the block runs, and yield its URL once it answers.

    If it ends by itself, *stop* is set, and `ProgramError` is raised once the block has ended.
    """
    port = _free_port()
    log = it.directory / "prometheus.log"
    process = programs.Running(command(program, it.directory, port), log)
    try:
        process.set_when_ended(stop)
        while not _ready(port) and not stop.wait(_LOOK_AGAIN_SECONDS):
            pass
        process.check()
        yield _url(port)
        process.check()
    finally:
        process.stop(_STOP_SECONDS)


def _wait_until_shown(settings: Settings, shared: Shared, stop: threading.Event) -> None:
    """Wait for the first samples, so that the past goes up to them; at most half a minute."""
    for _ in range(round(_MOST_WAIT_SECONDS / _LOOK_AGAIN_SECONDS)):
        publications = [shared.publication(pbx) for pbx in settings.pbxs]
        if all(each.first for each in publications) or stop.wait(_LOOK_AGAIN_SECONDS):
            return


def _no_room(problem: str) -> ExporterError:
    return ExporterError(
        f"the past for Prometheus cannot be written: {problem}; set TMPDIR to a directory "
        f"that can be written, with some {FREE_MEGABYTES} MB free"
    )


def _free_port() -> int:
    with socket.create_server((_HOST, 0)) as server:
        return int(server.getsockname()[1])


def _url(port: int) -> str:
    return f"http://{_HOST}:{port}/"


def _ready(port: int) -> bool:
    connection = http.client.HTTPConnection(_HOST, port, timeout=1.0)
    try:
        connection.request("GET", "/-/ready")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
