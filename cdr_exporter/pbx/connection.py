"""One connection to a PBX, for one request, under one deadline.

Rule: every step that may block (name lookup, TCP connect, TLS handshake, each write, each read)
calls `seconds_left()` first and waits no longer than that. So the whole request ends at the
deadline however slowly the server sends. The timeouts of `requests` would not do: they bound each
read by itself, so a server that sends one header byte every few seconds would block it for ever.

Cancelling has to end whatever the connection is waiting for, in one of two ways:

- TLS handshake, write, read: `abort` shuts the socket down from another thread, and the blocked
  call returns at once.
- Name lookup, TCP connect: no call from outside ends these, so they wait in slices of
  `_CANCEL_CHECK_SECONDS` and look at the `cancelled` event in between.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from urllib3.util import wait_for_write

from ..errors import PBXError, TryAgain
from .tls import HTTPS_HINT, TLSPolicy

_CANCEL_CHECK_SECONDS = 0.1

_SWITCHED_ON = "is the PBX switched on, are host and port in base_url right, is the way open?"
_CONNECT_HINTS = {
    errno.ECONNREFUSED: "nothing listens there; check the port in base_url",
    errno.EHOSTUNREACH: _SWITCHED_ON,
    errno.ENETUNREACH: "check this machine's network and the host in base_url",
}
_UNKNOWN_NAME = (socket.EAI_NONAME, socket.EAI_NODATA)

Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]
"""What `socket.getaddrinfo` returns for one address."""


def host_and_port(host: str, port: int) -> str:
    """Return an address as URLs write it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Cancelled(TryAgain):
    """The request was cancelled: the program stops, or may not ask this PBX any more.

    Nothing is wrong with the PBX.
    """


def always() -> bool:
    """Say that a request may be sent: to a PBX that this process has for itself."""
    return True


def not_allowed() -> Cancelled:
    """Return the error for what was not sent or written since it may not be any more."""
    return Cancelled(
        "nothing is sent: another process may have taken over this PBX", reason="state"
    )


class DeadlineConnection:
    """A TCP or TLS connection with a deadline: `connect`, perhaps `start_tls`, then send, receive.

    *timeout_seconds* runs from the creation of the object. *server* is host and port for messages.
    With *addresses* it connects to one of these, and looks up no name. *may_send* is asked before
    anything is sent: this process may stand still for long between any two steps, and the PBX be
    another's when it goes on. *sent* is True once the
    first byte of the request was given to the operating system, or tried to; *received* counts the
    bytes of the answer, without TLS's own.

    Raises `TryAgain` with reason `timeout`, `connect` or `tls`, and `Cancelled`. An `OSError` while
    sending or receiving is passed on, since what it means depends on how much has arrived.
    """

    def __init__(
        self,
        timeout_seconds: float,
        cancelled: threading.Event,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        server: str = "the PBX",
        addresses: Sequence[Address] = (),
        may_send: Callable[[], bool] = always,
    ) -> None:
        self.sent = False
        self.received = 0
        self.server = server
        self._addresses = addresses
        self._may_send = may_send
        self._timeout_seconds = timeout_seconds
        self._silence = f"no way to {server} known", "the resolver does not answer; check DNS"
        self._monotonic = monotonic
        self._deadline = monotonic() + timeout_seconds
        self._cancelled = cancelled
        self._socket_lock = threading.Lock()
        self._socket: socket.socket | None = None

    def seconds_left(self) -> float:
        """Return the seconds until the deadline, more than 0.

        Raises `TryAgain` with reason `timeout` after the deadline, `Cancelled` when cancelled.
        """
        if self._cancelled.is_set():
            raise Cancelled("stopped", reason="connect")
        seconds = self._deadline - self._monotonic()
        if seconds <= 0:
            raise self._timed_out()
        return seconds

    def check_may_send(self) -> None:
        """Raise `Cancelled` where nothing may be sent any more."""
        if not self._may_send():
            raise not_allowed()

    def connect(self, host: str, port: int) -> None:
        """Connect to the first of the host's addresses that accepts a connection."""
        addresses = self._addresses or self.resolve(host, port)
        self._silence = f"no answer from {self.server}", _SWITCHED_ON
        code = errno.EHOSTUNREACH
        for position, address in enumerate(addresses):
            self.check_may_send()
            # An equal share each: a first address that never answers (often an IPv6 one) must
            # leave time for the others.
            code = self._try_address(address, self.seconds_left() / (len(addresses) - position))
            if code == 0:
                self._silence = (
                    f"no whole answer from {self.server}",
                    "it took the connection; is it overloaded?",
                )
                return
        self.seconds_left()
        if code == errno.ETIMEDOUT:
            raise self._timed_out()
        problem, hint = os.strerror(code).lower(), _CONNECT_HINTS.get(code, _SWITCHED_ON)
        raise TryAgain(f"cannot connect to {self.server}: {problem}; {hint}", reason="connect")

    def start_tls(self, host: str, policy: TLSPolicy) -> None:
        """Do the TLS handshake and check the certificate, before any byte of a request is sent."""
        self.check_may_send()
        failure = self._handshake(host, policy)
        if failure is not None:
            self.seconds_left()
            raise failure

    def send(self, data: bytes) -> None:
        """Send all of *data*."""
        view = memoryview(data)
        while view:
            sock = self._socket_until_deadline()
            self.check_may_send()
            self.sent = True
            view = view[self._run_before_deadline(sock.send, view) :]

    def receive_into(self, buffer: memoryview) -> int:
        """Wait for bytes, write them to *buffer*, return how many; 0 is the end of the stream."""
        count = self._run_before_deadline(self._socket_until_deadline().recv_into, buffer)
        self.seconds_left()
        self.received += count
        return count

    def abort(self) -> None:
        """Shut the socket down, so that a call that blocks on it in another thread returns."""
        # `socket.socket`'s own method: SSLSocket.shutdown would remove the TLS layer that the
        # other thread is using.
        with self._socket_lock, suppress(OSError):
            if self._socket is not None:
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket; nothing else is open."""
        with self._socket_lock:
            if self._socket is not None:
                self._socket.close()

    def resolve(self, host: str, port: int) -> list[Address]:
        """Return the addresses of *host*; raises `TryAgain` when there are none.

        A name is looked up in a thread of its own, since the C library's resolver takes no
        timeout. A lookup that is given up goes on in that thread and its result is dropped.
        """
        found: list[Address] = []
        codes: list[int | None] = []

        def resolve(flags: int = 0) -> None:
            try:
                found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags))
            except OSError as error:
                codes.append(error.errno)
            except UnicodeError:  # a part of the host name is empty or longer than 63 characters
                codes.append(socket.EAI_NONAME)

        resolve(socket.AI_NUMERICHOST)
        if not found:
            thread = threading.Thread(target=resolve, name="look-up", daemon=True)
            thread.start()
            while thread.is_alive():
                thread.join(min(self.seconds_left(), _CANCEL_CHECK_SECONDS))
        if not found:
            problem = "cannot be looked up; check this machine's resolver"
            if codes and codes[-1] in _UNKNOWN_NAME:
                problem = "is not known to the resolver; check how it is written"
            raise TryAgain(
                f"no way to {self.server}: the host in base_url, {host}, {problem}",
                reason="connect",
            )
        return found

    def _try_address(self, address: Address, seconds: float) -> int:
        """Connect to *address* within *seconds*; return 0, or the `errno` of the failure."""
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
        """Return what went wrong, or None.

        The error is returned, not raised: raised inside `except`, it would keep the ssl module's
        error as its context.
        """
        try:
            secured = policy.context.wrap_socket(
                self._socket_until_deadline(), server_hostname=host, do_handshake_on_connect=False
            )
            self._replace_socket(secured)
            secured.settimeout(self.seconds_left())
            secured.do_handshake()
        except TimeoutError:
            return self._timed_out()
        except ssl.SSLError as error:
            return policy.handshake_error(error, self.server)
        except (OSError, ValueError):
            return TryAgain(
                f"the connection to {self.server} broke off in the TLS handshake; {HTTPS_HINT}",
                reason="connect",
            )
        return policy.pin_error(secured.getpeercert(binary_form=True), self.server)

    def _run_before_deadline(self, operation: Callable[[Any], int], buffer: memoryview) -> int:
        """Call *operation*; a timeout or a TLS error becomes a `TryAgain` without a context."""
        failure: PBXError
        try:
            return operation(buffer)
        except TimeoutError:
            failure = self._timed_out()
        except ssl.SSLError:
            failure = TryAgain(f"the TLS connection to {self.server} broke off", reason="tls")
        self.seconds_left()
        raise failure

    def _socket_until_deadline(self) -> socket.socket:
        """Return the socket, its timeout set to the seconds left."""
        if self._socket is None:
            raise OSError(errno.ENOTCONN, "not connected")
        self._socket.settimeout(self.seconds_left())
        return self._socket

    def _replace_socket(self, new: socket.socket) -> None:
        self.close()
        with self._socket_lock:
            self._socket = new

    def _timed_out(self) -> TryAgain:
        problem, hint = self._silence
        return TryAgain(f"{problem} within {self._timeout_seconds:.3g} s: {hint}", reason="timeout")
