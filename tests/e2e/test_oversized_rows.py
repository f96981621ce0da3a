"""The real process, and a row of 17 MiB among the newest of the simulated PBX."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbx_simulator import APISettings, SimulatedPBX
from pbx_simulator.serving import serve

from ..support.exporter_and_simulator import SECRET, records_shown, write_config
from ..support.processes import Exporter, eventually

pytestmark = pytest.mark.e2e

WARNING = "a CDR row is too large to be read"


@pytest.mark.fault("C25")
def test_beside_a_row_of_17_mib_every_other_row_counts_once(tmp_path: Path) -> None:
    pbx = SimulatedPBX(api=APISettings(client_secret=SECRET))
    pbx.office.calls(100)
    pbx.faults.malform_row("giant")
    pbx.office.calls(7)
    with serve(pbx) as server:
        config = write_config(tmp_path, server.base_url)
        warnings = [_run_until_counted(config, pbx, more=(5, 4)) for _ in range(2)]

    assert warnings == [1, 1]


def _run_until_counted(config: Path, pbx: SimulatedPBX, more: tuple[int, ...]) -> int:
    """Run the exporter while *more* calls end; return how often its log speaks of the row."""
    with Exporter(config) as exporter:
        for calls in (*more, 0):
            eventually("the rows", lambda: _counted(exporter) == len(pbx.table) - 1)
            assert exporter.value("cdr_exporter_rejected_records_total", "pbx0", "shape") == 1
            assert exporter.value("cdr_up", "pbx0") == 1
            pbx.office.calls(calls)
        polls = _polls(exporter)
        eventually("two more polls", lambda: _polls(exporter) > polls + 1)
        assert not any(exporter.samples("cdr_exporter_poll_failures_total").values())
        assert _counted(exporter) == len(pbx.table) - 1
        exporter.stop()
    return sum(WARNING in line and "pbx=pbx0" in line for line in exporter.output)


def _counted(exporter: Exporter) -> float:
    return sum(records_shown(exporter).values())


def _polls(exporter: Exporter) -> float:
    return exporter.value("cdr_exporter_polls_total", "pbx0") or 0
