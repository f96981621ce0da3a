"""The command `run`, the default: poll the PBXs and serve their metrics."""

from __future__ import annotations

import argparse
import logging
import sys
import threading

from .. import config, logs
from ..web import parse_listen_address
from . import flags, preflight
from .exporter import VERSION, Exporter

DEFAULT_LISTEN = ":10088"

_log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `run`."""
    flags.add_config(parser)
    flags.add_listen_address(
        parser, f"address to listen on, [HOST]:PORT; may be repeated (default {DEFAULT_LISTEN})"
    )
    parser.add_argument(
        "--web.external-url",
        dest="external_url",
        metavar="URL",
        help="URL at which Prometheus and browsers reach it, for /sd and the links of /rules/ "
        "(default: from the Host header, and none)",
    )
    flags.add_log(parser)


def run(args: argparse.Namespace, stop: threading.Event) -> int:
    """Run until *stop* is set; raises `ConfigError`, `StateInUse` or `ListenError`."""
    logs.setup(args.log_level, args.log_format, sys.stderr)
    settings = config.load(args.config_file)
    for warning in (*config.warnings(settings), *preflight.warnings(settings)):
        _log.warning(warning)
    listen = [parse_listen_address(text) for text in args.listen_address or [DEFAULT_LISTEN]]
    exporter = Exporter(settings, listen, stop, args.external_url)
    exporter.start()
    addresses = " ".join(map(str, exporter.addresses))
    _log.info("listening", extra={"fields": {"version": VERSION, "addresses": addresses}})
    try:
        exporter.wait()
    finally:
        exporter.stop()
    _log.info("stopped")
    return 0
