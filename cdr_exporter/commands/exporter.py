"""The running exporter: one supervisor per PBX, the board of snapshots, one web server.

Rule: what can be wrong with the machine (state in use, port taken, bad CA file, no secret) is
found before the first request to a PBX, and ends the program with a message.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from importlib.metadata import version
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
from ..web import App, ListenAddress, ListenError, Server
from . import preflight

VERSION = version("cdr-exporter")

STOP_SECONDS = 4.0
"""The most that stopping takes, given that a token is revoked within 3 s or not at all."""


_APART = 0.02
"""Seconds between the first polls of two PBXs: a hundred handshakes at once take turns."""


class Exporter:
    """The exporter; `start` begins to poll and to answer, `stop` ends both.

    Raises `ConfigError`, `StateInUse` or `ListenError` when made.
    """

    def __init__(
        self,
        settings: Settings,
        listen: Sequence[ListenAddress],
        stop: threading.Event,
        external_url: str | None = None,
    ) -> None:
        preflight.check_environment(settings, secrets=False)
        self._stopping = stop
        clock = SystemClock(stop)
        bounds = bounds_of(settings)
        board = SnapshotBoard()
        self._supervisors = [
            Supervisor(
                pbx,
                Client(pbx, settings.state_dir / f"{pbx.name}.token"),
                settings.state_dir,
                machines=settings.machine_callees,
                bounds=bounds,
                clock=clock,
                board=board,
                delay=number * _APART,
            )
            for number, pbx in enumerate(settings.pbxs)
        ]
        app = App(
            snapshots=board.snapshots,
            exposition=Exposition(bounds, VERSION, zones_of(settings)),
            now=clock.now,
            alive=lambda: all(supervisor.alive for supervisor in self._supervisors),
            version=VERSION,
            dashboards=bundled.dashboards(),
            rules=bundled.rules(),
            external_url=external_url,
        )
        # First, so that a taken port leaves no state open.
        self._server = Server(app, listen)
        try:
            self._open_states(settings)
        except BaseException:
            self._server.stop()
            raise

    @property
    def addresses(self) -> Sequence[ListenAddress]:
        """Where it listens, free ports resolved."""
        return self._server.addresses

    def start(self) -> None:
        """Begin to answer and to poll."""
        self._server.start()
        for supervisor in self._supervisors:
            supervisor.start()

    def wait(self) -> None:
        """Wait until told to stop; raises `ListenError` should the web server ever die."""
        while not self._stopping.wait(1.0):
            if not self._server.running:
                raise ListenError("the web server died, so nobody could scrape; see the log")

    def stop(self) -> None:
        """End within 5 s: cut requests short, close the states, give tokens back."""
        self._stopping.set()
        end = time.monotonic() + STOP_SECONDS
        for supervisor in self._supervisors:
            supervisor.stop()
        self._server.stop()
        for supervisor in self._supervisors:
            supervisor.join(max(0.0, end - time.monotonic()))

    def _open_states(self, settings: Settings) -> None:
        try:
            for supervisor in self._supervisors:
                supervisor.open_state()
        except OSError as error:
            problem = error.strerror or "input/output error"
            raise preflight.unusable_state_dir(settings.state_dir, problem) from None


def zones_of(settings: Settings) -> dict[str, ZoneInfo]:
    """Return the time zone of every PBX by its name."""
    return {pbx.name: ZoneInfo(pbx.timezone) for pbx in settings.pbxs}


def bounds_of(settings: Settings) -> Bounds:
    """Return the bounds of every histogram by the name of its setting."""
    buckets = settings.buckets
    return {
        "duration": buckets.duration,
        "ring": buckets.ring,
        "wait": buckets.wait,
        "legs": LEGS_BUCKETS,
        "delay": DELAY_BUCKETS,
    }
