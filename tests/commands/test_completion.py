"""The command `completion`: what bash offers, and that each shell's script has every flag."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdr_exporter import cli
from cdr_exporter.commands import completion

COMMANDS = {"run", "check", "history", "simulate", "demo", "dashboards", "completion"}

ASK = """
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_shtab_cdr_exporter
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def bash(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script for bash, as a file."""
    path = tmp_path_factory.mktemp("completion") / "script"
    path.write_text(completion.script(cli._parser(), "bash"))
    return path


def offered(script: Path, *words: str) -> set[str]:
    """Return what bash offers for the last word of a line."""
    done = subprocess.run(
        ["bash", "-c", ASK, "bash", script, "cdr-exporter", *words],
        cwd=script.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_bash_offers_the_commands(bash: Path) -> None:
    assert offered(bash, "") >= COMMANDS
    assert offered(bash, "da") == {"dashboards"}


def test_bash_offers_the_flags_of_a_command_and_what_they_may_be(bash: Path) -> None:
    assert offered(bash, "run", "--log") == {"--log.level", "--log.format"}
    assert offered(bash, "run", "--log.level", "") == {"debug", "info", "warn", "error"}
    assert offered(bash, "completion", "") >= set(completion.SHELLS)


def test_bash_offers_files_where_one_is_asked_for(bash: Path) -> None:
    assert offered(bash, "check", "--config.file", "scr") == {"script"}
    assert offered(bash, "dashboards", "--output", "scr") == set(), "only directories"


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_a_script_has_every_flag_and_is_understood(shell: str, tmp_path: Path) -> None:
    text = completion.script(cli._parser(), shell)
    path = tmp_path / "script"
    path.write_text(text)

    for command in COMMANDS:
        assert command in text
    for flag in flags(cli._parser()):
        assert flag.removeprefix("--") in text
    if shutil.which(shell):  # only bash is on every machine
        subprocess.run([shell, "-n", path], check=True)


def flags(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in completion._actions(parser):
        yield from (each for each in action.option_strings if each.startswith("--"))


def test_the_command_writes_the_script(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", "fish"]) == 0
    assert capsys.readouterr().out == completion.script(cli._parser(), "fish")


def test_without_shtab_it_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)

    assert cli.main(["completion", "bash"]) == 1
    assert capsys.readouterr().err == (
        "cdr-exporter: completion: shtab is not installed: pip install 'cdr-exporter[completion]'\n"
    )
