"""The command `demo`: a simulated PBX and an exporter that polls it, in one process.

Rule: it leaves nothing behind. The state is in a temporary directory, and both listen on the
loopback interface only.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from pbx_simulator import OfficeSettings, SimulatedPBX
from pbx_simulator.pbx import CLIENT_SECRET
from pbx_simulator.serving import serve

from .. import logs
from ..secret import Secret
from ..settings import PBX, SecretSource, Settings
from ..web import ListenAddress, ListenError, parse_listen_address
from . import flags
from .exporter import Exporter
from .stdout import write_stdout

DAYS, CALLS_PER_MINUTE = 30, 20.0
PREFERRED_ADDRESS = ListenAddress("127.0.0.1", 10088)
FREE_PORT_ADDRESS = ListenAddress("127.0.0.1", 0)

_TEXT = """
The simulated PBX {base_url} has {rows} CDRs of {days} days and gets new ones.
Its exporter counts them; open

  {url}                 what it is doing
  {url}metrics          what Prometheus scrapes
  {url}dashboards/      for Grafana: import, with your Prometheus as data source

Ctrl-C ends it and leaves nothing behind.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `demo`."""
    flags.add_listen_address(
        parser, f"address to listen on (default {PREFERRED_ADDRESS}, or a free port)"
    )
    flags.add_log(parser, level="warn")


def run(args: argparse.Namespace, stop: threading.Event) -> int:
    """Run the demo until *stop* is set; raises `ListenError` and `StdoutError`."""
    logs.setup(args.log_level, args.log_format, sys.stderr)
    return run_demo([parse_listen_address(text) for text in args.listen_address or ()], stop)


def run_demo(listen: Sequence[ListenAddress], stop: threading.Event) -> int:
    """Run both until *stop* is set, then return 0; raises `ListenError` and `StdoutError`.

    Without addresses in *listen* the exporter listens on `PREFERRED_ADDRESS` or, if that is in use,
    on a free port.
    """
    pbx = SimulatedPBX(OfficeSettings(min_calls_per_minute=CALLS_PER_MINUTE), days=DAYS)
    with (
        tempfile.TemporaryDirectory(prefix="cdr-exporter-") as state,
        serve(pbx, live=True) as server,
    ):
        settings = _settings(pbx, server.base_url, Path(state))
        exporter = _exporter(settings, listen, stop)
        exporter.start()
        url = exporter.addresses[0].url
        text = _TEXT.format(base_url=server.base_url, rows=len(pbx.table), days=DAYS, url=url)
        try:
            write_stdout(text)
            exporter.wait()
        finally:
            exporter.stop()
    return 0


def _exporter(
    settings: Settings, listen: Sequence[ListenAddress], stop: threading.Event
) -> Exporter:
    if listen:
        return Exporter(settings, listen, stop)
    try:
        return Exporter(settings, [PREFERRED_ADDRESS], stop)
    except ListenError:
        return Exporter(settings, [FREE_PORT_ADDRESS], stop)


def _settings(pbx: SimulatedPBX, base_url: str, state_dir: Path) -> Settings:
    demo = PBX(
        name="demo",
        base_url=base_url,
        client_id=pbx.client_id,
        secret=SecretSource(value=Secret(CLIENT_SECRET)),
        start="all",
        poll_interval=5.0,
    )
    return Settings(pbxs=(demo,), state_dir=state_dir)
