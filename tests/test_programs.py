"""Other programs: what is said when one fails, and that none outlives us."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cdr_exporter import programs
from cdr_exporter.programs import ProgramError, Running

from .support.processes import eventually, running

SLEEP = ("sleep", "1000")


def test_a_program_that_takes_too_long_is_ended_and_said_in_one_line() -> None:
    with pytest.raises(ProgramError, match=r"sleep: no end after 0 s"):
        programs.run(SLEEP, timeout_seconds=0.01)


def test_what_a_program_said_last_is_told_when_it_has_ended_by_itself(tmp_path: Path) -> None:
    ended = threading.Event()
    it = Running(["sh", "-c", "echo first; echo 'no space left' >&2; exit 3"], tmp_path / "log")
    it.set_when_ended(ended)
    assert ended.wait(30)

    with pytest.raises(ProgramError) as failed:
        it.check()
    assert str(failed.value) == "sh has ended by itself (exit code 3): no space left"
    it.stop(1.0)


def test_a_program_that_said_nothing_is_said_to(tmp_path: Path) -> None:
    it = Running(["sh", "-c", "exit 1"], tmp_path / "log")
    it.stop(30.0)

    with pytest.raises(ProgramError, match="it said nothing"):
        it.check()


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(SLEEP, id="at SIGTERM"),
        pytest.param(("sh", "-c", "trap '' TERM; echo; sleep 1000"), id="deaf to SIGTERM"),
    ],
)
def test_it_is_ended_whether_it_wants_or_not(tmp_path: Path, command: tuple[str, ...]) -> None:
    log, ended = tmp_path / "log", threading.Event()
    it = Running(command, log)
    it.set_when_ended(ended)
    eventually("it has begun", lambda: command is SLEEP or log.read_bytes())
    it.check()

    it.stop(0.05)

    assert ended.wait(30)


def test_a_program_that_cannot_be_started_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="/nowhere: No such file or directory"):
        Running(["/nowhere"], tmp_path / "log")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_it_ends_when_we_are_killed(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from cdr_exporter.programs import Running\n"
        "Running(['sh', '-c', 'echo $$; exec sleep 1000'], Path(sys.argv[1]))\n"
        "sys.stdin.read()"
    )
    log = tmp_path / "log"
    parent = subprocess.Popen([sys.executable, "-c", code, str(log)], stdin=subprocess.PIPE)
    assert parent.stdin is not None
    with parent.stdin:
        child = int(eventually("it has begun", lambda: log.exists() and log.read_text()))
        assert running(child)
        parent.kill()
        parent.wait()

    eventually("it has ended", lambda: not running(child))


def test_ctrl_c_in_the_terminal_does_not_reach_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    it = Running(["sh", "-c", "echo $$; exec sleep 1000"], log)
    try:
        pid = int(eventually("it has begun", log.read_bytes))
        groups = os.getpgid(pid), os.getpgid(os.getpid())
    finally:
        it.stop(30.0)

    assert groups[0] != groups[1]
