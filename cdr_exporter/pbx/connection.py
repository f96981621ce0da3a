"""One connection to a PBX, for one request, under one deadline.

Rule: whatever may block (finding the address, connecting, the TLS handshake, each read, each
write) asks `seconds_left()` first and waits no longer. So the sum stays within the deadline however
slowly a server drips; the timeouts of `requests` bound single reads only, and a byte of header
every few seconds holds it for ever.

`cancel` reaches a line in two ways: its socket is shut down, which ends a read at once, and
the waits that cannot be ended from outside look up every `_CANCEL_CHECK_SECONDS` seconds.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from urllib3.util import wait_for_write

from ..errors import PBXError, TryAgain
from .tls import HTTPS_HINT, TLSPolicy

_CANCEL_CHECK_SECONDS = 0.1

_Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]


class Cancelled(TryAgain):
    """The client was told to stop; nothing is wrong with the PBX."""


class DeadlineConnection:
    """A socket that keeps a deadline: `connect`, `start_tls`, then send and receive.

    *timeout_seconds* runs from the making of the object. *sent* tells whether a byte of the
    request left us, *received* how many bytes came back (TLS's own do not count). Errors are
    `TryAgain`, each with its reason; those of the operating system come through where the reader
    above has to decide what they mean.
    """

    def __init__(
        self,
        timeout_seconds: float,
        cancelled: threading.Event,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sent = False
        self.received = 0
        self._monotonic = monotonic
        self._deadline = monotonic() + timeout_seconds
        self._cancelled = cancelled
        self._socket_lock = threading.Lock()
        self._socket: socket.socket | None = None

    def seconds_left(self) -> float:
        """Return the seconds that remain, more than 0; raises once there are none."""
        if self._cancelled.is_set():
            raise Cancelled("stopped", reason="connect")
        seconds_left = self._deadline - self._monotonic()
        if seconds_left <= 0:
            raise TryAgain("no whole answer within request_timeout", reason="timeout")
        return seconds_left

    def connect(self, host: str, port: int) -> None:
        """Connect to the first of the host's addresses that answers."""
        addresses = self._resolve(host, port)
        code = errno.EHOSTUNREACH
        for position, address in enumerate(addresses):
            # A dead first address (IPv6, often) must leave time for the next one.
            code = self._try_address(address, self.seconds_left() / (len(addresses) - position))
            if code == 0:
                return
        self.seconds_left()
        reason = "timeout" if code == errno.ETIMEDOUT else "connect"
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        problem = os.strerror(code).lower()
        raise TryAgain(f"cannot connect to {where}: {problem}", reason=reason)

    def start_tls(self, host: str, policy: TLSPolicy) -> None:
        """Do the TLS handshake and check the certificate, before any byte of a request."""
        failure = self._handshake(host, policy)
        if failure is not None:
            self.seconds_left()
            raise failure

    def send(self, data: bytes) -> None:
        """Send it all."""
        view = memoryview(data)
        while view:
            sock = self._socket_until_deadline()
            self.sent = True
            view = view[self._run_before_deadline(sock.send, view) :]

    def receive_into(self, buffer: memoryview) -> int:
        """Wait for some bytes; 0 is the end."""
        count = self._run_before_deadline(self._socket_until_deadline().recv_into, buffer)
        self.seconds_left()
        self.received += count
        return count

    def abort(self) -> None:
        """End what is being waited for, from another thread."""
        # Of `socket` itself: that of an SSL socket would take away the layer the reader uses.
        with self._socket_lock, suppress(OSError):
            if self._socket is not None:
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket, which is the only thing that stays open until here."""
        with self._socket_lock:
            if self._socket is not None:
                self._socket.close()

    def _resolve(self, host: str, port: int) -> list[_Address]:
        """Resolve *host* in a thread of its own: the C library's resolver knows no deadline."""
        found: list[_Address] = []

        def resolve(flags: int = 0) -> None:
            # UnicodeError: a label that is too long, or empty.
            with suppress(OSError, UnicodeError):
                found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags))

        resolve(socket.AI_NUMERICHOST)
        if not found:
            thread = threading.Thread(target=resolve, name="look-up", daemon=True)
            thread.start()
            while thread.is_alive():
                thread.join(min(self.seconds_left(), _CANCEL_CHECK_SECONDS))
        if not found:
            raise TryAgain(
                f"the host of base_url, {host}, is not known to the resolver", reason="connect"
            )
        return found

    def _try_address(self, address: _Address, seconds: float) -> int:
        """Return 0, or the `errno` that says why not."""
        family, kind, protocol, _, socket_address = address
        gives_up_at = self._monotonic() + seconds
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:
            return error.errno or errno.EAFNOSUPPORT
        self._replace_socket(sock)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = sock.connect_ex(socket_address)
        while code == errno.EINPROGRESS:
            if self._monotonic() >= gives_up_at:
                return errno.ETIMEDOUT
            if wait_for_write(sock, min(self.seconds_left(), _CANCEL_CHECK_SECONDS)):
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return code

    def _handshake(self, host: str, policy: TLSPolicy) -> PBXError | None:
        """Return what went wrong: raised in here, it would carry the other error along."""
        try:
            secured = policy.context.wrap_socket(
                self._socket_until_deadline(), server_hostname=host, do_handshake_on_connect=False
            )
            self._replace_socket(secured)
            secured.settimeout(self.seconds_left())
            secured.do_handshake()
        except TimeoutError:
            return _timed_out()
        except ssl.SSLError as error:
            return policy.handshake_error(error)
        except (OSError, ValueError):
            return TryAgain(
                f"the connection broke off in the TLS handshake; {HTTPS_HINT}", reason="connect"
            )
        return policy.pin_error(secured.getpeercert(binary_form=True))

    def _run_before_deadline(self, operation: Callable[[Any], int], buffer: memoryview) -> int:
        failure: PBXError
        try:
            return operation(buffer)
        except TimeoutError:
            failure = _timed_out()
        except ssl.SSLError:
            failure = TryAgain("the TLS connection broke off", reason="tls")
        self.seconds_left()
        raise failure

    def _socket_until_deadline(self) -> socket.socket:
        """Return the socket, set to wait as long as there is time and no longer."""
        if self._socket is None:
            raise OSError(errno.ENOTCONN, "dial first")
        self._socket.settimeout(self.seconds_left())
        return self._socket

    def _replace_socket(self, new: socket.socket) -> None:
        self.close()
        with self._socket_lock:
            self._socket = new


def _timed_out() -> TryAgain:
    return TryAgain("no whole answer within request_timeout", reason="timeout")
