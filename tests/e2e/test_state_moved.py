"""docs/state.md, "Move to a database, and back": its commands, with real processes and a server."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from pbx_simulator import APISettings, SimulatedPBX
from pbx_simulator.serving import serve

from ..support.exporter_and_simulator import SECRET, records_shown, write_config
from ..support.paths import ROOT
from ..support.postgres import TestDatabase
from ..support.processes import Exporter, eventually
from ..support.replica_processes import Replica

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

Counts = Mapping[tuple[str, str, str], float]

CONFIG, STATE_DIR = "/etc/cdr-exporter/exporter.yml", "/var/lib/cdr-exporter"


def documented(word: str) -> list[str]:
    """Return the arguments of the command in the docs that has *word* in it."""
    text = (ROOT / "docs" / "state.md").read_text()
    [line] = re.findall(rf"^\$ cdr-exporter (state {word} .*)$", text, re.MULTILINE)
    return str(line).split()


def run(arguments: list[str], directory: Path) -> subprocess.CompletedProcess[str]:
    """Run the program with *arguments* as they are in the docs, on what is in *directory*."""
    places = {CONFIG: directory / "exporter.yml", STATE_DIR: directory / "state"}
    return subprocess.run(
        [sys.executable, "-m", "cdr_exporter", *(str(places.get(x, x)) for x in arguments)],
        capture_output=True,
        text=True,
        timeout=60,
    )


def none_fell(before: Counts, after: Counts) -> bool:
    return all(after[key] >= number for key, number in before.items())


def test_a_state_moves_to_a_database_and_back_and_no_counter_falls(
    tmp_path: Path, postgres: TestDatabase
) -> None:
    pbx = SimulatedPBX(api=APISettings(client_secret=SECRET))
    pbx.office.calls(200)
    (tmp_path / "postgres").write_text(postgres.url().reveal())
    (tmp_path / "postgres").chmod(0o600)
    with serve(pbx) as server:
        in_files = f"state_dir: {tmp_path / 'state'}\n"
        in_database = "state_url_file: postgres\nlease: 2s\n"

        def configure(place: str) -> Path:
            return write_config(tmp_path, server.base_url, extra=place)

        def all_is_counted(exporter: Exporter) -> dict[tuple[str, str, str], float]:
            eventually("all rows", lambda: records_shown(exporter) == pbx.expected.totals())
            return records_shown(exporter)

        with Exporter(configure(in_files)) as exporter:
            first = all_is_counted(exporter)
            # So its token is kept, and a log lies beside the file.
            exporter.kill()
        configure(in_database)
        moved = run(documented("import"), tmp_path)
        pbx.office.calls(50)
        with Replica(configure(in_database)) as replica:
            second = all_is_counted(replica)
            assert replica.stop() == 0
        back = run(documented("export"), tmp_path)
        pbx.office.calls(50)
        with Exporter(configure(in_files)) as exporter:
            third = all_is_counted(exporter)

    assert (moved.returncode, moved.stderr) == (0, "")
    assert moved.stdout.startswith("pbx0: moved to the database, ")
    assert (back.returncode, back.stderr) == (0, "")
    assert none_fell(first, second)
    assert none_fell(second, third)
    assert pbx.request_log.count("get_token") == 1
