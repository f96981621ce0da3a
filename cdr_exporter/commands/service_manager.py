"""What systemd is told by a service of the type `notify`: that it runs, still works, and ends.

Source: sd_notify(3) and sd_watchdog_enabled(3). A message is a datagram to the socket that the
environment names. Where nothing listens there nothing is said, and the exporter runs on.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, MutableMapping
from contextlib import suppress

_MICROSECONDS = 1_000_000


class ServiceManager:
    """The service manager that started this process, or none.

    *environ* loses the variables that say so, since no program that we start is the service.
    *monotonic* returns seconds.
    """

    def __init__(self, environ: MutableMapping[str, str], monotonic: Callable[[], float]) -> None:
        self._address = environ.pop("NOTIFY_SOCKET", "")
        self._monotonic = monotonic
        self._interval = _watchdog_interval(environ)
        self._said_alive_at = monotonic()

    def ready(self, status: str) -> None:
        """Say that the service has started; *status* is what it does, in words."""
        self._say(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """Say that the configuration is read again; `ready` follows."""
        self._say(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Say that the service is about to end."""
        self._say("STOPPING=1")

    def alive_if(self, works: Callable[[], bool]) -> None:
        """Say that the service still works, if it *works*; asked for only as often as is needed.

        Without it systemd ends the service after `WatchdogSec=`, and starts it again.
        """
        if self._interval is None or self._monotonic() - self._said_alive_at < self._interval:
            return
        if works():
            self._said_alive_at = self._monotonic()
            self._say("WATCHDOG=1")

    def _say(self, message: str) -> None:
        if not self._address.startswith(("/", "@")):
            return
        # An address that begins with @ is in no directory; the kernel's name begins with a zero.
        address = self._address.replace("@", "\0", 1)
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to_manager:
            to_manager.connect(address)
            to_manager.send(message.encode())


def _watchdog_interval(environ: MutableMapping[str, str]) -> float | None:
    """Return after how many seconds to say again that the service works: half of the time limit."""
    limit, pid = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
    if not limit.isdigit() or int(limit) == 0 or pid not in ("", str(os.getpid())):
        return None
    return int(limit) / _MICROSECONDS / 2
