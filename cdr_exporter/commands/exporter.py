"""The exporter with all its parts: a supervisor for each PBX, the snapshot board, the web server.

Rule: problems with the machine (state in use, port in use, unusable CA file) are found before the
first request to a PBX, and end the program with a message.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from zoneinfo import ZoneInfo

from .. import bundled
from ..clock import SystemClock
from ..errors import ConfigError
from ..exposition import Exposition, ProcessValues
from ..metrics.catalogue import (
    DELAY_BUCKETS,
    LEGS_BUCKETS,
    RELOAD_SUCCESS_TIMESTAMP,
    RELOAD_SUCCESSFUL,
)
from ..metrics.totals import Bounds
from ..settings import Settings
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
from .fleet import FINISH_SECONDS, FileFleet, Fleet, change_between
from .reload import other_meanings, refuse_what_needs_a_restart
from .replica import Replica

_log = logging.getLogger(__name__)

VERSION = version("cdr-exporter")

_RENDER_SECONDS = 0.5
"""Of each second, for what was published in it: enough for the first text of 150 PBXs."""


class Exporter:
    """Polls the PBXs and serves their metrics between `start` and `stop`.

    *stop* is the event that ends `wait`; *external_url* is `--web.external-url`, *web_config* the
    path in `--web.config.file`. *ask_to_reload* is what POST /-/reload does, None where it does
    nothing: it returns whether that worked. *advertise_address* is where Prometheus reaches this
    replica, where several share a database. Creating it binds the addresses in *listen* and opens
    the state files. Raises `ConfigError`, `StateInUse` or `ListenError`.
    """

    def __init__(
        self,
        settings: Settings,
        listen: Sequence[ListenAddress],
        stop: threading.Event,
        external_url: str | None = None,
        web_config: Path | None = None,
        ask_to_reload: Callable[[], bool] | None = None,
        advertise_address: str = "",
    ) -> None:
        preflight.check_environment(settings, secrets=False)
        self._settings = settings
        self._stopping = stop
        self._external_url = external_url
        self._ask_to_reload = ask_to_reload
        self._now = SystemClock(stop).now
        self._bounds = histogram_bounds(settings)
        self._reloads = {RELOAD_SUCCESSFUL: 1.0, RELOAD_SUCCESS_TIMESTAMP: self._now().wall}
        self._web_config = WebConfigFile(web_config) if web_config else None
        self._replica: Replica | None = None
        if settings.state_url_file is not None:
            self._replica = Replica(
                settings, settings.state_url_file, advertise_address, self._bounds
            )
        self._fleet: Fleet = (
            self._replica.fleet if self._replica else FileFleet(settings, self._bounds)
        )
        self._app = self._new_app(settings)
        # Before the state files, so that none stays open if a port is in use.
        limits = connection_limits(_file_limit(len(settings.pbxs)), len(settings.pbxs))
        self._server = Server(
            lambda request: self._app(request),
            listen,
            limits=limits,
            hosts=Hosts(listen, external_url, advertise_address),
            web_config=self._web_config,
        )
        try:
            self._open_states(settings)
        except BaseException:
            self._server.stop()
            raise

    def _new_app(self, settings: Settings) -> App:
        exposition = Exposition(
            self._bounds,
            VERSION,
            time_zones(settings),
            settings.hide_families,
            bundled.revision(),
            process=self._of_the_process,
        )
        return App(
            snapshots=self._fleet.snapshots,
            waits_for=self._fleet.waits_for,
            exposition=exposition,
            now=self._now,
            alive=lambda: self._fleet.alive,
            version=VERSION,
            dashboards=bundled.dashboards(),
            rules=bundled.rules(self._external_url),
            runbook=bundled.runbook(),
            zones=time_zones(settings),
            external_url=self._external_url,
            ask_to_reload=self._ask_to_reload,
            has_tls=lambda: self._server.has_tls,
            replicas=self._replica.all(settings) if self._replica else None,
        )

    def _of_the_process(self) -> ProcessValues:
        """Return what is told of both configurations, exporter.yml and the web server's, and more.

        The rest is what the PBXs polled here have to do with other replicas.
        """
        values = {**self._reloads, **self._fleet.process_values()}
        if self._web_config is None or self._web_config.is_good:
            return values
        return {**values, RELOAD_SUCCESSFUL: 0.0}

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
        self._fleet.start()

    def wait(self, each_second: Callable[[], None] = lambda: None) -> None:
        """Wait until *stop* is set, and call *each_second* meanwhile.

        Raises `ListenError` if the web server ends before.
        """
        while not self._stopping.wait(1.0):
            if not self._server.running:
                raise ListenError("the web server has ended unexpectedly, see the log")
            self._app.render_ahead(_RENDER_SECONDS)
            each_second()

    def works(self) -> bool:
        """Say whether every poller and the web server run."""
        return self._server.running and self._fleet.alive

    def reload(self, read: Callable[[], Settings]) -> bool:
        """Go on with the settings that *read* returns, and return whether that was possible.

        Where *read* raises `ConfigError`, or only a restart could do it, nothing changes but what
        the metrics about it say.
        """
        try:
            after = read()
            refuse_what_needs_a_restart(self._settings, after)
            preflight.check_environment(after, secrets=False)
        except ConfigError as error:
            for line in str(error).split("\n"):
                _log.error("the configuration stays as it was: %s", line)
            self._reloads = {**self._reloads, RELOAD_SUCCESSFUL: 0.0}
            return False
        self._change_to(after)
        self._reloads = {RELOAD_SUCCESSFUL: 1.0, RELOAD_SUCCESS_TIMESTAMP: self._now().wall}
        return True

    def _change_to(self, after: Settings) -> None:
        change = change_between(self._settings, after)
        for pbx, name in other_meanings(self._settings, after):
            _log.warning(
                "from now on rows and calls are counted by another setting",
                extra={"fields": {"pbx": pbx, "setting": name}},
            )
        self._fleet.end(change)
        self._app = self._new_app(after)
        self._fleet.begin(after, change)
        self._settings = after
        _file_limit(len(after.pbxs))
        counts = {what: len(getattr(change, what)) for what in ("gone", "changed", "new")}
        _log.info("the configuration was read again", extra={"fields": counts})

    def stop(self) -> None:
        """End or abort requests, close the states, revoke the tokens; takes at most 5 s.

        Where replicas share a database, the tokens are kept and the leases given back.
        """
        self._stopping.set()
        began = time.monotonic()
        self._fleet.stop()
        self._fleet.join(FINISH_SECONDS)
        self._fleet.cancel()
        self._server.stop()
        self._fleet.join(began + self._fleet.stop_seconds - time.monotonic())
        # Thousands of requests that nobody waits for would hold up the end of the process.
        self._fleet.keep_tokens()
        if self._replica is not None:
            self._replica.close()

    def _open_states(self, settings: Settings) -> None:
        try:
            self._fleet.open_states()
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
