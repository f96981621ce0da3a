"""The real process, and three PBXs that answer with whatever costs the most, all at once."""

from __future__ import annotations

import re
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from ..support.exporter_and_simulator import SECRET, write_config
from ..support.hostile_pbx import HOSTILE, HostilePBX
from ..support.processes import Exporter, eventually
from ..support.socket_server import Wire

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc"),
]

MOST_MB, MOST_STATE_MB = 200, 100


@pytest.mark.slow
@pytest.mark.fault("B6", "C23", "C24", "E13", "E15")
@pytest.mark.parametrize(
    ("kinds", "queries"),
    [
        pytest.param(["16 MiB of empty rows", "quotes", "a gzip bomb"], 2, id="junk"),
        pytest.param(
            ["16 MiB of headers", "16 MiB of trailers", "16 MiB of 100 Continue"],
            2,
            id="without-an-end",
        ),
        pytest.param(
            ["empty rows, behind rows", "lists not closed, behind rows", "many keys, behind rows"],
            4,
            id="junk-behind-rows",
        ),
        pytest.param(["long uids", "long texts", "trunks"], 8, id="rows-without-an-end"),
    ],
)
def test_three_pbxs_that_answer_junk_take_no_more_than_200_mb(
    kinds: list[str], queries: int, tmp_path: Path
) -> None:
    servers = [HostilePBX(HOSTILE[kind], SECRET) for kind in kinds]
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(server)) for server in servers]
        config = write_config(tmp_path, *(wire.url for wire in wires))
        exporter = stack.enter_context(Exporter(config))
        eventually("the answers", lambda: all(each.queries >= queries for each in servers))
        page = exporter.get("/metrics") + exporter.get("/")
        used = peak_mb(exporter.pid)
        exporter.signal(signal.SIGTERM)

        assert exporter.ended(patience=60) == 0

    state = sum(each.stat().st_size for each in (tmp_path / "state").iterdir()) / 1e6
    lines = exporter.output
    assert used < MOST_MB
    assert state < MOST_STATE_MB
    assert 'cdr_up{pbx="pbx2"}' in page
    assert [line for line in lines if len(line) > 6_000 or "level=error" in line] == []
    assert len(lines) < 400
    assert SECRET not in page + "\n".join(lines)


def peak_mb(pid: int) -> float:
    """Return the most memory that a process had so far (its resident set), in MB."""
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) / 1024
