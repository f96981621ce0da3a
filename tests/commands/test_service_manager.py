"""What systemd is told, by a socket that stands in its place."""

from __future__ import annotations

import os
import re
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdr_exporter.commands.service_manager import ServiceManager

from ..support.fake_clock import FakeClock
from ..support.processes import Exporter


class Systemd:
    """The socket of a service manager at *address*, as the environment names it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address.replace("@", "\0", 1))
        self._socket.setblocking(False)

    def heard(self, patience: float = 0.0) -> list[str]:
        """Return what was said since the last call; waits for a first message, in seconds."""
        self._socket.settimeout(patience)
        messages = []
        try:
            while True:
                messages.append(self._socket.recv(4096).decode())
                self._socket.settimeout(0.0)
        except (BlockingIOError, TimeoutError):
            return messages

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["in a directory", "in none"])
def systemd(request: pytest.FixtureRequest) -> Iterator[Systemd]:
    # The name of a socket is at most some 100 bytes long, and that of a test's directory may be.
    with tempfile.TemporaryDirectory() as folder:
        in_none = request.param == "in none"
        made = Systemd(f"@cdr-exporter-test-{os.getpid()}" if in_none else f"{folder}/notify")
        yield made
        made.close()


def manager_of(clock: FakeClock, **environ: str) -> ServiceManager:
    return ServiceManager(environ, lambda: clock.now().steady)


def test_it_hears_of_the_start_and_of_the_end(systemd: Systemd) -> None:
    manager = manager_of(FakeClock(), NOTIFY_SOCKET=systemd.address)

    manager.ready("polls 3 PBXs")
    manager.stopping()

    assert systemd.heard() == ["READY=1\nSTATUS=polls 3 PBXs", "STOPPING=1"]


def test_it_hears_twice_within_its_limit_that_the_service_works(systemd: Systemd) -> None:
    clock = FakeClock()
    manager = manager_of(clock, NOTIFY_SOCKET=systemd.address, WATCHDOG_USEC="20000000")

    heard = []
    for _ in range(60):
        clock.pass_(1)
        manager.alive_if(lambda: True)
        heard.append(len(systemd.heard()))

    assert sum(heard) == 6
    assert heard[9] == heard[19] == 1


def test_it_does_not_hear_of_a_service_that_does_not_work_until_it_does(systemd: Systemd) -> None:
    clock = FakeClock()
    manager = manager_of(clock, NOTIFY_SOCKET=systemd.address, WATCHDOG_USEC="20000000")

    clock.pass_(15)
    manager.alive_if(lambda: False)
    assert systemd.heard() == []

    manager.alive_if(lambda: True)
    assert systemd.heard() == ["WATCHDOG=1"]


@pytest.mark.parametrize(
    "watchdog",
    [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}],
    ids=["no limit", "a limit of 0", "the limit of another process"],
)
def test_without_a_limit_of_its_own_it_is_not_asked_whether_it_works(
    systemd: Systemd, watchdog: dict[str, str]
) -> None:
    clock = FakeClock()
    manager = manager_of(clock, NOTIFY_SOCKET=systemd.address, **watchdog)

    clock.pass_(100)
    manager.alive_if(lambda: True)

    assert systemd.heard() == []


@pytest.mark.parametrize(
    "address", ["", "/nowhere/notify", "vsock:2:1234"], ids=["none", "gone", "of another kind"]
)
def test_where_nobody_listens_nothing_happens(address: str) -> None:
    manager_of(FakeClock(), NOTIFY_SOCKET=address).ready("polls 1 PBXs")


def test_programs_that_it_starts_are_not_the_service() -> None:
    environ = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1", "A": "b"}

    ServiceManager(environ, lambda: 0.0)

    assert environ == {"A": "b"}


@pytest.mark.e2e
def test_the_program_tells_systemd_when_it_listens_works_and_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, systemd: Systemd
) -> None:
    config = tmp_path / "exporter.yml"
    config.write_text(
        f"state_dir: {tmp_path}\n"
        "pbxs:\n  - {name: hq, base_url: 'http://127.0.0.1:1', client_id: x, client_secret: y}\n"
    )
    monkeypatch.setenv("NOTIFY_SOCKET", systemd.address)
    monkeypatch.setenv("WATCHDOG_USEC", "2000000")
    with Exporter(config) as exporter:
        (started,) = systemd.heard(patience=30)
        assert re.fullmatch(rf"READY=1\nSTATUS=listens on .*:{exporter.port}", started)
        assert systemd.heard(patience=30) == ["WATCHDOG=1"]

        exporter.signal(signal.SIGTERM)
        assert exporter.ended() == 0

    assert systemd.heard()[-1] == "STOPPING=1"
