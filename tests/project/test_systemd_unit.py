"""`deploy/systemd/cdr-exporter.service`, judged as text."""

from __future__ import annotations

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


def test_its_user_and_state_are_those_of_readme() -> None:
    unit = service()

    assert f"/var/lib/{unit['StateDirectory']}\n" in README
    assert f"--home-dir /var/lib/{unit['StateDirectory']} " in README
    assert f"-o {unit['User']} hq.secret" in README
