"""The command line as a process: what it prints where, and how it ends."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdr_exporter import cli

from .support.paths import ROOT

PROGRAM = (sys.executable, "-m", "cdr_exporter")
SCRIPT = (sys.executable, "-c", "from cdr_exporter.__main__ import main; main()")


def run(*arguments: str, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )


def valid(directory: Path) -> Path:
    path = directory / "exporter.yml"
    path.write_text(
        "pbxs:\n  - {name: hq, base_url: 'http://127.0.0.1:1', client_id: x, client_secret: y}\n"
    )
    return path


def commands(directory: Path) -> dict[str, tuple[str, ...]]:
    return {
        "version": ("--version",),
        "help": ("--help",),
        "check": ("check", "--config.file", str(valid(directory))),
        "dashboards": ("dashboards", "--output", str(directory / "out")),
        "demo": ("demo", "--web.listen-address", "127.0.0.1:0"),
    }


COMMANDS = ("version", "help", "check", "dashboards", "demo")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_standard_output_is_one_line_and_exit_1(name: str, tmp_path: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        done = run(*commands(tmp_path)[name], stdout=full)
    finally:
        os.close(full)

    assert (done.returncode, done.stderr) == (
        1,
        "cdr-exporter: cannot write to standard output: no space left on device\n",
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_a_standard_output_nobody_reads_is_one_line_and_exit_1(name: str, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = run(*commands(tmp_path)[name], stdout=writing)
    finally:
        os.close(writing)

    assert (done.returncode, done.stderr) == (
        1,
        "cdr-exporter: cannot write to standard output: broken pipe\n",
    )


@pytest.mark.parametrize("name", ["version", "check", "dashboards"])
def test_a_closed_standard_output_is_one_line_and_exit_1(name: str, tmp_path: Path) -> None:
    closing = ("sh", "-c", 'exec "$@" >&-', "sh")
    done = subprocess.run(
        [*closing, *PROGRAM, *commands(tmp_path)[name]],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (
        1,
        "cdr-exporter: cannot write to standard output: it is closed\n",
    )


@pytest.mark.parametrize("command", [PROGRAM, SCRIPT], ids=["module", "script"])
def test_ctrl_c_during_the_imports_is_no_traceback(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    # Imported by `config`, long before the program could have put a handler in place.
    (tmp_path / "yaml.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    done = subprocess.run(
        [*command, "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))},
    )

    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("--vers",), id="top"),
        pytest.param(("run", "--config", "x.yml"), id="run"),
        pytest.param(("check", "--conn"), id="check"),
        pytest.param(("simulate", "--token-li", "0"), id="simulate"),
        pytest.param(("demo", "--log.lev", "info"), id="demo"),
        pytest.param(("dashboards", "--out", "x"), id="dashboards"),
    ],
)
def test_an_abbreviated_flag_is_unknown(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)

    assert done.returncode == 2
    assert "unrecognized arguments" in done.stderr or "are required" in done.stderr


def options(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from options(command)
        else:
            yield action


def test_every_flag_is_explained() -> None:
    assert [each.option_strings for each in options(cli._parser()) if not each.help] == []


def test_a_run_warns_once_of_a_state_dir_open_to_others(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run("--config.file", str(valid(tmp_path)), "--web.listen-address", address)

    assert done.returncode == 1
    assert done.stderr.count("is open to other users (mode 755); chmod 700 it") == 1
