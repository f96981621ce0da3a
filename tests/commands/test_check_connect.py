"""`check --connect` against a simulated PBX over HTTP."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdr_exporter.commands import check
from cdr_exporter.commands.preview_text import WIDTH
from cdr_exporter.commands.stdout import write_stdout
from pbx_simulator import APISettings, SimulatedPBX
from pbx_simulator.http_server import PBXServer
from pbx_simulator.serving import serve

from ..support.exporter_and_simulator import SECRET, write_config


@pytest.fixture
def pbx() -> SimulatedPBX:
    return SimulatedPBX(api=APISettings(client_secret=SECRET))


@pytest.fixture
def server(pbx: SimulatedPBX) -> Iterator[PBXServer]:
    with serve(pbx) as server:
        yield server


def test_it_says_what_a_pbx_answers_and_how_its_rows_would_be_counted(
    pbx: SimulatedPBX, server: PBXServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pbx.office.whole_calls(3, "queue-abandoned")
    path = write_config(tmp_path, server.base_url)
    path.write_text(path.read_text().replace("}\n", ", queues: {'6409': support}}\n"))
    code = check.check_config(path, connect=True)
    said = capsys.readouterr()

    assert (code, said.err) == (0, "")
    assert "pbx0: answers, 6 CDRs\n  rows " in said.out
    assert "  legs to      queues 3, menus 3\n" in said.out
    assert "  calls        no_answer\n    Inbound            3\n" in said.out
    assert "  queues       other 3; never met: support\n" in said.out
    assert max(map(len, said.out.splitlines()[1:])) <= WIDTH
    assert pbx.request_log.rows_served == 24


def test_machine_callees_of_the_configuration_count(
    pbx: SimulatedPBX, server: PBXServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pbx.office.call(call_to="Doorbell", call_from="1001", call_type="Internal")
    check.check_config(
        write_config(tmp_path, server.base_url, extra="machine_callees: [Doorbell]\n"), connect=True
    )

    assert "  legs to      machines 1\n" in capsys.readouterr().out


def test_a_clock_that_is_behind_is_said_though_no_row_is_in_the_future(
    pbx: SimulatedPBX, server: PBXServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pbx.maintenance.set_clock(-7200)
    pbx.office.calls(2)
    check.check_config(write_config(tmp_path, server.base_url), connect=True)
    said = " ".join(capsys.readouterr().out.split())

    assert "! by its answers the PBX's clock is 2 h behind this machine's" in said


def test_a_list_that_nothing_could_be_counted_of_fails_the_check(
    pbx: SimulatedPBX, server: PBXServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pbx.office.calls(5)
    pbx.faults.malform_pages("reversed", times=None)
    code = check.check_config(write_config(tmp_path, server.base_url), connect=True)

    assert code == 1
    assert "pbx0: the rows are not sorted by id, newest first" in capsys.readouterr().err


def test_what_the_encoding_of_standard_output_lacks_is_spelt_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    write_stdout("trunk Käthe\n")

    assert raw.getvalue() == b"trunk K\\xe4the\n"
