"""The exporter with all its parts: a supervisor for each PBX, the snapshot board, the web server.

Rule: problems with the machine (state in use, port in use, unusable CA file) are found before the
first request to a PBX, and end the program with a message.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from zoneinfo import ZoneInfo

from .. import bundled
from ..clock import SystemClock
from ..exposition import Exposition
from ..metrics.catalogue import DELAY_BUCKETS, LEGS_BUCKETS
from ..metrics.totals import Bounds
from ..pbx import Client
from ..poller.board import SnapshotBoard
from ..poller.supervisor import Supervisor
from ..settings import Settings
from ..state_files import file_of
from ..web import (
    App,
    Hosts,
    ListenAddress,
    ListenError,
    Server,
    WebConfigFile,
    connection_limits,
    files_needed,
    raise_file_limit,
)
from . import preflight

_log = logging.getLogger(__name__)

VERSION = version("cdr-exporter")

FINISH_SECONDS = 0.8
"""How long `stop` lets a request under way go on. Most end within it: then a page that the PBX has
sent is not lost, and the request that revokes the token does not come beside another."""

STOP_SECONDS = 4.0
"""The most time that `stop` waits for the pollers; each gives up revoking a token after 3 s."""

_START_INTERVAL = 0.02
"""Seconds between the first polls of two PBXs, so that not all TLS handshakes coincide."""


class Exporter:
    """Polls the PBXs and serves their metrics between `start` and `stop`.

    *stop* is the event that ends `wait`; *external_url* is `--web.external-url`, *web_config* the
    path in `--web.config.file`. Creating it binds the addresses in *listen* and opens the state
    files. Raises `ConfigError`, `StateInUse` or `ListenError`.
    """

    def __init__(
        self,
        settings: Settings,
        listen: Sequence[ListenAddress],
        stop: threading.Event,
        external_url: str | None = None,
        web_config: Path | None = None,
    ) -> None:
        preflight.check_environment(settings, secrets=False)
        self._stopping = stop
        clock = SystemClock(stop)
        bounds = histogram_bounds(settings)
        board = SnapshotBoard()
        self._supervisors = [
            Supervisor(
                pbx,
                Client(pbx, file_of(settings.state_dir, pbx.name, "token")),
                settings.state_dir,
                machines=settings.machine_callees,
                bounds=bounds,
                clock=clock,
                board=board,
                delay=number * _START_INTERVAL,
            )
            for number, pbx in enumerate(settings.pbxs)
        ]
        app = App(
            snapshots=board.snapshots,
            exposition=Exposition(
                bounds,
                VERSION,
                time_zones(settings),
                settings.hide_families,
                bundled.revision(),
            ),
            now=clock.now,
            alive=lambda: all(supervisor.alive for supervisor in self._supervisors),
            version=VERSION,
            dashboards=bundled.dashboards(),
            rules=bundled.rules(external_url),
            runbook=bundled.runbook(),
            zones=time_zones(settings),
            external_url=external_url,
        )
        # Before the state files, so that none stays open if a port is in use.
        limits = connection_limits(_file_limit(len(settings.pbxs)), len(settings.pbxs))
        self._server = Server(
            app,
            listen,
            limits=limits,
            hosts=Hosts(listen, external_url),
            web_config=WebConfigFile(web_config) if web_config else None,
        )
        try:
            self._open_states(settings)
        except BaseException:
            self._server.stop()
            raise

    @property
    def addresses(self) -> Sequence[ListenAddress]:
        """The addresses it listens on, with the real number where port 0 was asked for."""
        return self._server.addresses

    @property
    def url(self) -> str:
        """A URL that a browser on this machine can open."""
        url = self.addresses[0].url
        return url.replace("http:", "https:", 1) if self._server.has_tls else url

    def start(self) -> None:
        """Begin to serve requests and to poll."""
        self._server.start()
        for supervisor in self._supervisors:
            supervisor.start()

    def wait(self) -> None:
        """Wait until *stop* is set; raises `ListenError` if the web server ends before."""
        while not self._stopping.wait(1.0):
            if not self._server.running:
                raise ListenError("the web server has ended unexpectedly, see the log")

    def stop(self) -> None:
        """End or abort requests, close the state files, revoke the tokens; takes at most 5 s."""
        self._stopping.set()
        began = time.monotonic()
        self._join(began + FINISH_SECONDS)
        for supervisor in self._supervisors:
            supervisor.stop()
        self._server.stop()
        self._join(began + STOP_SECONDS)

    def _join(self, end: float) -> None:
        for supervisor in self._supervisors:
            supervisor.join(max(0.0, end - time.monotonic()))

    def _open_states(self, settings: Settings) -> None:
        try:
            for supervisor in self._supervisors:
                supervisor.open_state()
        except OSError as error:
            raise preflight.unusable_state_dir(settings.state_dir, error) from None


def _file_limit(pbxs: int) -> int:
    """Raise the limit of file numbers, and return it; log where it is too low for *pbxs* PBXs."""
    files, needed = raise_file_limit(), files_needed(pbxs)
    if files < needed:
        _log.warning(
            "not enough file numbers: raise the limit (LimitNOFILE of systemd, ulimit -n)",
            extra={"fields": {"files": files, "needed": needed}},
        )
    return files


def time_zones(settings: Settings) -> dict[str, ZoneInfo]:
    """Return the time zone of each PBX, by the name of the PBX."""
    return {pbx.name: ZoneInfo(pbx.timezone) for pbx in settings.pbxs}


def histogram_bounds(settings: Settings) -> Bounds:
    """Return the bucket bounds of all histograms, by the name of their setting, in its unit."""
    buckets = settings.buckets
    return {
        "duration": buckets.duration,
        "ring": buckets.ring,
        "wait": buckets.wait,
        "legs": LEGS_BUCKETS,
        "delay": DELAY_BUCKETS,
    }
