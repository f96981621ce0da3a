"""The command `run`, the default: poll the PBXs and serve their metrics."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from .. import config, logs
from ..errors import ConfigError
from ..settings import Settings
from ..web import ListenAddress, check_advertised, parse_listen_address
from . import flags, preflight
from .exporter import VERSION, Exporter
from .reload import ReloadRequests
from .service_manager import ServiceManager

DEFAULT_LISTEN = ":10088"
ADVERTISE = "--web.advertise-address"
MOST_NAMED = 5
"""How many PBXs the line about the start names, so that it stays a line."""

MANUAL = """\
Files:
  exporter.yml        the configuration: the PBXs, and settings that all have a default;
                      `cdr-exporter dashboards` writes an example with all of them
  state_dir/NAME.db   what has been counted of the PBX NAME, so that nothing counts twice; beside
                      it its token and a lock. Default ./state, only for this user
  state_url_file      in its place, the URL of a database that several replicas share; each
                      polls some of the PBXs, and takes over those of another that ends
  web.yml             of --web.config.file: TLS and logins; read again when it changes

SIGTERM and SIGINT end it within 5 seconds. SIGHUP lets it read exporter.yml again.
Where to look at what it does: the log on standard error, and the pages at the address that its
first lines name.

Exit codes:
  0  ended by SIGTERM or SIGINT
  1  an address cannot be listened on
  2  bad configuration or arguments; unusable state_dir or CA file; psycopg missing
  3  the state is in use by another process

Examples:
  cdr-exporter --config.file /etc/cdr-exporter/exporter.yml
  cdr-exporter run --web.listen-address 127.0.0.1:10088 --log.format json
"""

_OLDEST_COLLECTED = 1_000
"""After so many collections of younger objects Python looks at all there are: with a thousand PBXs
they are two million, and nothing goes on for a second. By itself it does so after 10. What polls
leave behind is gone long before; only a PBX that is gone leaves more."""

_log = logging.getLogger(__name__)

_reloads = ReloadRequests()
"""Of this process: a signal handler can be given nothing."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `run`."""
    flags.add_config(parser)
    flags.add_listen_address(
        parser, f"address to listen on, [HOST]:PORT; may be repeated (default {DEFAULT_LISTEN})"
    )
    parser.add_argument(
        "--web.config.file",
        dest="web_config",
        type=Path,
        metavar="FILE",
        help="TLS, logins and headers, as in other exporters (default: none of these)",
    )
    parser.add_argument(
        "--web.external-url",
        dest="external_url",
        metavar="URL",
        help="URL at which Prometheus and browsers reach it, for /sd and the links of /rules/ "
        "(default: from the Host header, and none)",
    )
    parser.add_argument(
        ADVERTISE,
        dest="advertise_address",
        metavar="HOST:PORT",
        help="where Prometheus reaches this replica; with state_url_file only, and needed there",
    )
    parser.add_argument(
        "--web.enable-lifecycle",
        dest="enable_lifecycle",
        action="store_true",
        help="let POST /-/reload read the configuration again, as SIGHUP does",
    )
    flags.add_log(parser)
    flags.add_manual(parser, MANUAL)


def hang_up() -> None:
    """Ask to read the configuration again: what SIGHUP does."""
    _reloads.ask()


def run(args: argparse.Namespace, stop: threading.Event) -> int:
    """Run until *stop* is set; raises `ConfigError`, `StateInUse` or `ListenError`."""
    logs.setup(args.log_level, args.log_format, sys.stderr)
    gc.set_threshold(*gc.get_threshold()[:2], _OLDEST_COLLECTED)
    settings = _read(args.config_file)
    check_advertise_address(settings, args.advertise_address)
    listen = [parse_listen_address(text) for text in args.listen_address or [DEFAULT_LISTEN]]
    ask_to_reload = (lambda: _reloads.ask().wait()) if args.enable_lifecycle else None
    exporter = Exporter(
        *(settings, listen, stop, args.external_url, args.web_config),
        ask_to_reload=ask_to_reload,
        advertise_address=args.advertise_address or "",
    )
    manager = ServiceManager(os.environ, time.monotonic)
    exporter.start()
    started = what_starts(settings, exporter.addresses, args.external_url or exporter.url)
    _log.info("listening", extra={"fields": {**started, "config": args.config_file}})
    status = f"listens on {started['addresses']}"
    manager.ready(status)

    def each_second() -> None:
        manager.alive_if(exporter.works)
        if requests := _reloads.taken():
            manager.reloading()
            successful = exporter.reload(lambda: _read(args.config_file))
            manager.ready(status)
            for request in requests:
                request.finish(successful=successful)

    try:
        exporter.wait(each_second)
    finally:
        manager.stopping()
        exporter.stop()
    _log.info("stopped")
    return 0


def what_starts(
    settings: Settings, addresses: Sequence[ListenAddress], external_url: str | None
) -> Mapping[str, object]:
    """Return fields of a log line: where to look, what is polled, where state is kept.

    A `base_url` holds no secret: the configuration refuses user names and queries in it.
    """
    polled = [f"{pbx.name}={pbx.base_url}" for pbx in settings.pbxs[:MOST_NAMED]]
    more = len(settings.pbxs) - len(polled)
    kept = "state_url_file" if settings.state_url_file else "state_dir"
    return {
        "version": VERSION,
        "addresses": " ".join(map(str, addresses)),
        "open": external_url or addresses[0].url,
        "pbxs": len(settings.pbxs),
        "polled": " ".join(polled) + (f" and {more} more" if more else ""),
        kept: getattr(settings, kept),
    }


def check_advertise_address(settings: Settings, address: str | None) -> None:
    """Raise `ConfigError` where it is missing or of no use, given how state is kept."""
    if settings.state_url_file is None:
        if address is not None:
            raise ConfigError(f"{ADVERTISE}: is for replicas, with state_url_file; leave it out")
    elif address is None:
        raise ConfigError(
            f"{ADVERTISE}: is missing; with state_url_file write HOST:PORT, at which"
            " Prometheus reaches this replica"
        )
    else:
        check_advertised(address, ADVERTISE)


def _read(path: Path) -> Settings:
    """Return the settings at *path*, and log what in them is not safe; raises `ConfigError`."""
    settings = config.load(path)
    for warning in (*config.warnings(settings), *preflight.warnings(settings)):
        _log.warning(warning)
    return settings
