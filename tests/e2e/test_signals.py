"""What does not end a running exporter: SIGHUP, and log lines that nobody takes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ..support.exporter_and_simulator import write_config
from ..support.processes import Exporter, eventually, free_port, get

pytestmark = pytest.mark.e2e

NOBODY = "http://127.0.0.1:1"


@pytest.mark.fault("E18")
def test_sighup_reads_the_configuration_again_and_ends_nothing(tmp_path: Path) -> None:
    with Exporter(write_config(tmp_path, NOBODY)) as exporter:
        exporter.signal(signal.SIGHUP)
        told = "the configuration was read again"
        eventually("a line", lambda: any(told in line for line in exporter.output))
        healthy = exporter.get("/-/healthy")
        code = exporter.stop()

    assert "ok" in healthy.lower()
    assert code == 0


def _without_reader() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@pytest.mark.fault("E18")
@pytest.mark.parametrize(
    "redirection",
    [pytest.param("2>&0", id="nobody reads"), pytest.param("0>&- 1>&- 2>&-", id="closed")],
)
def test_log_lines_that_nobody_takes_end_nothing(tmp_path: Path, redirection: str) -> None:
    port, descriptor = free_port(), _without_reader()
    config = write_config(tmp_path, NOBODY)
    listen = f"--web.listen-address=127.0.0.1:{port}"
    program = (sys.executable, "-m", "cdr_exporter", f"--config.file={config}", listen)
    running = subprocess.Popen(
        ("sh", "-c", f'exec "$@" {redirection}', "-", *program), stdin=descriptor
    )
    os.close(descriptor)
    try:
        failed = re.compile(r'cdr_exporter_poll_failures_total{pbx="pbx0",reason="connect"} [1-9]')
        metrics = f"http://127.0.0.1:{port}/metrics"
        eventually("a poll has failed", lambda: failed.search(get(metrics)))
        running.terminate()
        code = running.wait(15)
    finally:
        running.kill()
        running.wait()

    assert code == 0
