"""The command line as a process: what it prints where, and how it ends."""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import redirect_stderr
from pathlib import Path

import pytest

from cdr_exporter import cli

from .support.each import for_each
from .support.paths import ROOT

PROGRAM = (sys.executable, "-m", "cdr_exporter")
SCRIPT = (sys.executable, "-c", "from cdr_exporter.__main__ import main; main()")


IN_TURN = """
import json, os, sys
from cdr_exporter.__main__ import main
for arguments in json.loads(sys.argv[1]):
    process = os.fork()
    if not process:
        sys.argv[1:] = arguments
        sys.exit(main())
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    os.write(2, f"exit code {code}\\n".encode())
"""
"""Runs the program with each of several lists of arguments, having imported it once."""


def run(*arguments: str, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    return _completed([*PROGRAM, *arguments], stdout)


def run_in_turn(
    commands: Collection[tuple[str, ...]], stdout: int, *, prefix: tuple[str, ...] = ()
) -> str:
    """Run the program in turn with each of *commands*; return what stood on standard error."""
    command = (*prefix, sys.executable, "-c", IN_TURN, json.dumps(list(commands)))
    done = _completed(command, stdout)
    assert done.returncode == 0
    return done.stderr


def _completed(command: Sequence[str], stdout: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=60, check=False
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


def failed(times: int, why: str) -> str:
    """Return what *times* commands say that cannot write, and nothing else."""
    line = f"cdr-exporter: cannot write to standard output: {why}\n"
    return f"{line}exit code 1\n" * times


def test_a_full_standard_output_is_one_line_and_exit_1(tmp_path: Path) -> None:
    typed = commands(tmp_path).values()
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        said = run_in_turn(typed, full)
        one = run("--version", stdout=full)
    finally:
        os.close(full)

    assert said == failed(len(typed), "no space left on device")
    assert one.stderr + f"exit code {one.returncode}\n" == failed(1, "no space left on device")


def test_a_standard_output_nobody_reads_is_one_line_and_exit_1(tmp_path: Path) -> None:
    typed = [commands(tmp_path)[name] for name in ("version", "help", "check", "dashboards")]
    reading, writing = os.pipe()
    os.close(reading)
    try:
        said = run_in_turn(typed, writing)
    finally:
        os.close(writing)

    assert said == failed(len(typed), "broken pipe")


def test_a_closed_standard_output_is_one_line_and_exit_1(tmp_path: Path) -> None:
    typed = [commands(tmp_path)[name] for name in ("version", "check", "dashboards")]
    closing = ("sh", "-c", 'exec "$@" >&-', "sh")
    said = run_in_turn(typed, subprocess.PIPE, prefix=closing)

    assert said == failed(len(typed), "it is closed")


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


ABBREVIATED = (
    ("--vers",),
    ("run", "--config", "x.yml"),
    ("check", "--conn"),
    ("simulate", "--token-li", "0"),
    ("demo", "--log.lev", "info"),
    ("dashboards", "--out", "x"),
)


@for_each(pytest.param(each, id=" ".join(each)) for each in ABBREVIATED)
def test_an_abbreviated_flag_is_unknown(arguments: tuple[str, ...]) -> None:
    said = io.StringIO()
    with pytest.raises(SystemExit) as ended, redirect_stderr(said):
        cli.main(arguments)

    assert ended.value.code == 2
    assert "unrecognized arguments" in said.getvalue() or "are required" in said.getvalue()


def help_of(*arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what the program prints, which has to end well."""
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", ["", *cli.COMMANDS])
def test_help_says_how_it_ends_and_has_examples_that_are_understood(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = help_of(*name.split(), "--help", capsys=capsys)
    _, _, codes = text.partition("\nExit codes:\n")
    _, _, examples = text.partition("\nExamples:\n")
    lines = re.findall(r"^  cdr-exporter (.*)$", examples, re.MULTILINE)

    assert re.match(r"  0 +\S.*\n  1 +\S", codes)
    assert len(lines) >= 2
    for line in lines:
        command = cli._parse(line.partition(" > ")[0].split()).command
        assert not name or command is cli.COMMANDS[name]


@pytest.mark.parametrize("name", ["", *cli.COMMANDS])
def test_help_is_a_command_too(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = help_of("help", *name.split(), capsys=capsys)

    assert asked == help_of(*name.split(), "--help", capsys=capsys)


def test_help_about_what_there_is_not_is_a_mistake() -> None:
    said = io.StringIO()
    with pytest.raises(SystemExit) as ended, redirect_stderr(said):
        cli.main(["help", "nonsense"])

    assert ended.value.code == 2
    assert "invalid choice: 'nonsense'" in said.getvalue()


def test_of_a_misspelt_flag_the_nearest_is_named() -> None:
    said = io.StringIO()
    with pytest.raises(SystemExit), redirect_stderr(said):
        cli.main(["check", "--config-file", "x.yml"])

    assert said.getvalue().endswith(
        "unrecognized arguments: --config-file x.yml; did you mean --config.file?\n"
    )


@pytest.mark.fault("G2")
def test_each_mistake_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "exporter.yml"
    path.write_text("polling: 1s\npbxs: []\n")
    said = io.StringIO()
    with redirect_stderr(said):
        code = cli.main(["check", "--config.file", str(path)])

    assert code == 2
    assert said.getvalue().splitlines() == [
        f"cdr-exporter: {path}: polling: is an unknown key; did you mean poll_interval?",
        f"cdr-exporter: {path}: pbxs: has no PBX; add a list with at least one PBX",
    ]


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


WITH_A_STATE = """
import os
from cdr_exporter import __main__, cli

class State:
    def __del__(self):
        os.write(2, b"taken apart")

kept = State()
cli.main = lambda: print("last words") or 3
__main__.main()
"""


def test_the_end_writes_out_what_was_printed_and_takes_no_state_apart() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", WITH_A_STATE], capture_output=True, text=True, check=False
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "last words\n", "")
