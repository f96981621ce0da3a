"""A copy of the state is made while the exporter runs, and put back as the docs say."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from pbx_simulator import APISettings, SimulatedPBX
from pbx_simulator.serving import serve

from ..support.exporter_and_simulator import SECRET, records_shown, write_config
from ..support.processes import Exporter, eventually

pytestmark = pytest.mark.e2e

Counts = Mapping[tuple[str, str, str], float]

KEEPS, FORGETS = "pbx0", "pbx1"
"""A PBX that still has the rows since the copy when it is put back, and one that does not."""


@pytest.fixture
def served() -> Iterator[tuple[dict[str, SimulatedPBX], list[str]]]:
    pbxs = {each: SimulatedPBX(api=APISettings(client_secret=SECRET)) for each in (KEEPS, FORGETS)}
    with ExitStack() as servers:
        yield pbxs, [servers.enter_context(serve(pbx)).base_url for pbx in pbxs.values()]


def state(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "cdr_exporter", "state", *arguments)
    return subprocess.run(
        (*command, f"--config.file={config}"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def counted(exporter: Exporter, name: str, truth: Counts) -> Counts:
    """Wait until *truth* is shown of the PBX *name*, and return what is shown."""
    eventually(f"all rows of {name}", lambda: records_shown(exporter, name) == truth)
    return records_shown(exporter, name)


def first_shown(exporter: Exporter, name: str) -> Counts:
    """Wait until anything is shown of the PBX *name*, and return it."""
    shown: Counts = eventually(f"rows of {name}", lambda: records_shown(exporter, name))
    return shown


def put_back(state_dir: Path, copy: Path) -> None:
    """Do as the docs say, with the exporter stopped."""
    for each in state_dir.glob(f"{copy.name}-*"):
        each.unlink()
    shutil.copy2(copy, state_dir / copy.name)


@pytest.mark.fault("E10")
def test_a_copy_that_is_put_back_counts_again_what_the_pbx_still_has(
    tmp_path: Path, served: tuple[dict[str, SimulatedPBX], list[str]]
) -> None:
    pbxs, urls = served
    for pbx in pbxs.values():
        pbx.office.calls(300)
    path, copies = write_config(tmp_path, *urls), tmp_path / "copies"
    with Exporter(path) as exporter:
        at_copy = {n: counted(exporter, n, pbx.expected.totals()) for n, pbx in pbxs.items()}
        verdicts = [state(path, "check"), state(path, "backup", f"--output={copies}")]
        rows = len(pbxs[FORGETS].table)
        for pbx in pbxs.values():
            pbx.office.calls(60)
        before = {n: counted(exporter, n, pbx.expected.totals()) for n, pbx in pbxs.items()}
        exporter.stop()
    pbxs[FORGETS].maintenance.delete_newest(len(pbxs[FORGETS].table) - rows)
    for name in pbxs:
        put_back(tmp_path / "state", copies / f"{name}.db")
    with Exporter(path) as exporter:
        first = {name: first_shown(exporter, name) for name in pbxs}
        last = counted(exporter, KEEPS, before[KEEPS])
        whole = state(path, "check")

    assert [(each.returncode, each.stderr) for each in verdicts] == [(0, ""), (0, "")]
    # Nothing lower is shown where the PBX has the rows; where not, a counter reset.
    assert {key: first[KEEPS][key] for key in at_copy[KEEPS]} == {
        key: before[KEEPS][key] for key in at_copy[KEEPS]
    }
    assert last == before[KEEPS]
    assert first[FORGETS] == at_copy[FORGETS]
    assert sum(at_copy[FORGETS].values()) < sum(before[FORGETS].values())
    assert (whole.returncode, whole.stderr) == (0, "")
