"""`check --connect` against a simulated PBX over HTTP."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdr_exporter import cli
from cdr_exporter.commands import check
from cdr_exporter.commands.preview_text import WIDTH
from cdr_exporter.commands.stdout import write_stdout
from cdr_exporter.errors import ConfigError
from pbx_simulator import APISettings, SimulatedPBX
from pbx_simulator.http_server import PBXServer
from pbx_simulator.serving import serve

from ..support.exporter_and_simulator import SECRET, write_config
from ..support.socket_server import closed_port, full_backlog


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


@pytest.mark.fault("A17")
def test_a_check_after_the_api_was_switched_on_asks_at_once(
    pbx: SimulatedPBX, server: PBXServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_config(tmp_path, server.base_url)
    pbx.faults.fail_next(path="get_token", errcode=70123)
    codes = [check.check_config(path, connect=True) for _ in range(2)]

    assert codes == [1, 0]
    assert "70123 API UNAVAILABLE: switch the API on" in capsys.readouterr().err


@pytest.mark.fault("A15")
def test_the_last_try_names_its_risk_and_works(
    pbx: SimulatedPBX, server: PBXServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, secret = write_config(tmp_path, server.base_url), tmp_path / "secret"
    for number in range(6):
        secret.write_text(f"wrong-{number}")
        assert check.check_config(path, connect=True) == 1
    refused = capsys.readouterr().err.splitlines()
    secret.write_text(SECRET)
    without = check.check_config(path, connect=True)
    held_up = capsys.readouterr().err
    code = check.check_config(path, connect=True, last_try=True)
    said = capsys.readouterr()

    port = server.base_url.rpartition(":")[2]
    assert pbx.tokens.blocked == []
    assert refused[0].startswith(f"pbx0: client_id or client secret refused by 127.0.0.1:{port}")
    assert refused[5] == held_up.strip()
    assert "`cdr-exporter check --connect --last-try` is run; it takes that risk" in held_up
    assert (without, code) == (1, 0)
    assert said.err.startswith("warning: --last-try sends a login also where it may be the fifth")
    assert "blocks this machine's address" in said.err
    assert "pbx0: answers, " in said.out


def test_a_last_try_without_a_connection_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--last-try needs --connect"):
        check.check_config(tmp_path / "exporter.yml", connect=False, last_try=True)


def test_the_help_of_the_last_try_names_its_risk(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["check", "--help"])
    said = " ".join(capsys.readouterr().out.split())

    assert "--last-try with --connect: log in once more" in said
    assert "after five in a row a PBX blocks this machine's address" in said


@pytest.mark.fault("B1", "B2")
def test_a_pbx_that_does_not_answer_is_said_with_host_and_port(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = closed_port()
    with full_backlog() as silent:
        path = write_config(
            tmp_path, f"http://127.0.0.1:{port}", silent, extra="request_timeout: 1s\n"
        )
        code = check.check_config(path, connect=True)
    lines = capsys.readouterr().err.splitlines()

    assert code == 1
    assert lines[0].startswith(f"pbx0: cannot connect to 127.0.0.1:{port}: connection refused; ")
    assert lines[1].startswith(
        f"pbx1: no answer from {silent.removeprefix('http://')} within 1 s: is the PBX switched on"
    )


def test_what_the_encoding_of_standard_output_lacks_is_spelt_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    write_stdout("trunk Käthe\n")

    assert raw.getvalue() == b"trunk K\\xe4the\n"
