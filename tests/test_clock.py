"""The clocks of the machine: which is steady, and how long waiting takes."""

from __future__ import annotations

import errno
import os
import sys
import threading
import time

import pytest

from cdr_exporter.clock import Now, SystemClock, steady_clock

BOOT, RAW = 7, 4


class FakeSystem:
    """The module `time` of a machine that was suspended for an hour."""

    CLOCK_BOOTTIME, CLOCK_MONOTONIC_RAW = BOOT, RAW

    def __init__(self, *, refuses: bool = False) -> None:
        self._refuses = refuses

    def monotonic(self) -> float:
        return 1_000.0

    def clock_gettime(self, number: int) -> float:
        if self._refuses:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return {BOOT: 4_600.0, RAW: 4_601.0}[number]


class SystemWithoutClocks:
    """The module `time` where the operating system has one steady clock only."""

    def monotonic(self) -> float:
        return 1_000.0


@pytest.mark.fault("E17")
@pytest.mark.parametrize(
    ("platform", "system", "seconds"),
    [
        pytest.param("linux", FakeSystem(), 4_600.0, id="linux"),
        pytest.param("darwin", FakeSystem(), 4_601.0, id="macos"),
        pytest.param("freebsd14", FakeSystem(), 1_000.0, id="another"),
        pytest.param("linux", FakeSystem(refuses=True), 1_000.0, id="refused"),
        pytest.param("linux", SystemWithoutClocks(), 1_000.0, id="not there"),
    ],
)
def test_the_steady_clock_goes_on_in_suspend_where_the_system_has_such_a_clock(
    platform: str, system: object, seconds: float
) -> None:
    assert steady_clock(platform, system)() == seconds


@pytest.mark.skipif(sys.platform != "linux", reason="the clock is Linux's")
def test_the_steady_clock_of_the_program_is_that_of_this_system() -> None:
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    now = SystemClock(threading.Event()).now()

    assert before <= now.steady <= time.clock_gettime(time.CLOCK_BOOTTIME)


class Suspended(threading.Event):
    """An event that nobody sets; the machine is suspended for an hour in the wait *number*."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.waits: list[float] = []
        self.steady = 0.0
        self._number = number

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waits.append(timeout)
        self.steady += timeout + (3600 if len(self.waits) == self._number else 0)
        return False


@pytest.mark.fault("E17")
@pytest.mark.parametrize(
    ("suspended_in", "waits"),
    [
        pytest.param(0, [10.0, 10.0, 10.0, 5.0], id="never"),
        pytest.param(2, [10.0, 10.0], id="in the second"),
    ],
)
def test_a_wait_that_ends_while_the_machine_is_suspended_is_soon_over_when_it_goes_on(
    suspended_in: int, waits: list[float]
) -> None:
    stop = Suspended(suspended_in)
    SystemClock(stop, lambda: stop.steady).wait(35)

    assert stop.waits == waits


def test_a_wait_ends_when_the_program_is_to_end() -> None:
    stop = threading.Event()
    stop.set()
    clock = SystemClock(stop)
    clock.wait(3600)

    assert clock.stopping


@pytest.mark.parametrize(
    ("later", "seconds"),
    [
        pytest.param(Now(5_030.0, 130.0), 0.0, id="not"),
        pytest.param(Now(1_430.0, 130.0), -3_600.0, id="back"),
        pytest.param(Now(8_600.0, 100.0), 3_600.0, id="ahead"),
    ],
)
def test_both_clocks_tell_by_how_much_the_wall_clock_was_set(later: Now, seconds: float) -> None:
    assert later.set_by_since(Now(5_000.0, 100.0)) == seconds
