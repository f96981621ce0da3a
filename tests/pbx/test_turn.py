"""One request at a time to a PBX, from all processes that share its token."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cdr_exporter.pbx.turn import turn

from ..support.paths import ROOT

HOLDER = """
import sys, threading, time
from pathlib import Path
from cdr_exporter.pbx.turn import turn
with turn(Path(sys.argv[1]), 5.0, threading.Event()):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "hq.requests")]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


class Steps:
    """A steady clock of which a second passes at each look."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self) -> float:
        self.looks += 1
        return float(self.looks)


@pytest.mark.fault("A10")
def test_it_waits_for_its_turn_until_the_other_process_has_ended(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    release = threading.Timer(0.3, lambda: holder.communicate(""))
    release.start()
    began = time.monotonic()
    with turn(tmp_path / "hq.requests", 60.0, threading.Event()):
        waited = time.monotonic() - began
    release.join()

    assert 0.2 < waited < 30


def test_it_goes_on_where_the_other_process_was_stopped_in_the_middle(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    clock = Steps()
    with turn(tmp_path / "hq.requests", 3.0, threading.Event(), clock):
        assert clock.looks >= 3
    holder.communicate("")


def test_waiting_ends_when_the_program_does(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    cancelled = threading.Event()
    cancelled.set()
    with turn(tmp_path / "hq.requests", 60.0, cancelled, lambda: 0.0):
        pass
    holder.communicate("")


def test_where_there_can_be_no_file_nobody_waits(tmp_path: Path) -> None:
    with turn(tmp_path / "nowhere" / "hq.requests", 60.0, threading.Event()):
        assert not (tmp_path / "nowhere").exists()
