"""`deploy/systemd/cdr-exporter.service`, as text and by systemd's own judge."""

from __future__ import annotations

import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

from cdr_exporter import cli, errors

from ..support.paths import ROOT

UNIT = ROOT / "deploy/systemd/cdr-exporter.service"
README = (ROOT / "README.md").read_text()


def service() -> dict[str, str]:
    parser = ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT)
    return dict(parser["Service"])


def test_its_command_is_understood_and_the_one_that_readme_installs() -> None:
    program, *arguments = service()["ExecStart"].split()

    parsed = cli._parser().parse_args(arguments)
    assert parsed.config_file == Path("/etc/cdr-exporter/exporter.yml")
    assert f"venv {Path(program).parents[1]} " in README
    assert f"sudo cp exporter.yml {parsed.config_file.parent}/" in README


def test_it_is_not_started_again_where_that_cannot_help(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = {
        str(exit_code_of(each, monkeypatch)) for each in (errors.ConfigError, errors.StateInUse)
    }

    assert set(service()["RestartPreventExitStatus"].split()) == codes


def exit_code_of(error: type[errors.ExporterError], monkeypatch: pytest.MonkeyPatch) -> int:
    def fail(_: object) -> int:
        raise error("wrong")

    monkeypatch.setattr(cli, "_run", fail)
    return cli.main(["check", "--config.file", "x"])


def test_its_state_and_its_secret_are_those_of_readme() -> None:
    unit = service()
    name, file = unit["LoadCredential"].split(":")

    assert f"/var/lib/{unit['StateDirectory']}\n" in README
    assert f"client_secret_file: $CREDENTIALS_DIRECTORY/{name} " in README
    assert f" hq.secret {file}\n" in README
    assert f"CREDENTIALS_DIRECTORY={Path(file).parent}`" in README


def test_it_is_reloaded_by_the_signal_that_reads_the_configuration_again() -> None:
    assert service()["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert service()["Type"] == "notify"


def systemd_analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed, so the unit is judged as text only")
    return subprocess.run(
        [program, *arguments, str(UNIT)], capture_output=True, text=True, timeout=60, check=False
    )


def test_systemd_calls_what_it_may_do_little() -> None:
    done = systemd_analyze("security", "--offline=true", "--threshold=15", "--no-pager")

    assert done.returncode == 0, done.stdout[-200:]


def test_systemd_understands_all_of_it() -> None:
    done = systemd_analyze("verify")

    said = [line for line in done.stderr.splitlines() if UNIT.name in line]
    # The program is not installed where the tests run.
    assert [line for line in said if "is not executable" not in line] == []
