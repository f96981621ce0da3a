"""The bytes of a connection, plain or through TLS, on a socket of the event loop.

Rule: nothing is read or written ahead. What a client does not take stays where it is and is not
copied; what it sends is read when it is wanted. Who waits for a client sets the deadline.

TLS runs over memory rather than over asyncio's transport, which reserves 256 KiB for each
connection before its handshake; here one that sends nothing costs no more than without TLS.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, TypeVar

from .server_tls import HandshakePolicy

T = TypeVar("T")

RECEIVE_BYTES = 16 * 1024
_HANDSHAKE_RECORD = 0x16
"""The first byte of TLS: RFC 8446, 5.1."""


class PlainHTTPOnTLSPort(Exception):
    """The first byte is not one of TLS."""


class Stream(Protocol):
    """The bytes of one connection; `OSError` where it is broken."""

    async def open(self) -> None:
        """Do what comes before the first byte."""

    async def receive(self) -> bytes:
        """Return what has arrived, at least one byte; none at the end."""

    async def send(self, data: bytes | memoryview) -> None:
        """Return once the system has taken all of it."""

    async def close(self) -> None:
        """Say that nothing follows."""


class PlainStream:
    """The bytes as they are."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()

    async def open(self) -> None:
        """Do nothing."""

    async def receive(self) -> bytes:
        """Return what has arrived."""
        return await self._loop.sock_recv(self._sock, RECEIVE_BYTES)

    async def send(self, data: bytes | memoryview) -> None:
        """Return once the system has taken all of it."""
        await self._loop.sock_sendall(self._sock, data)

    async def close(self) -> None:
        """Do nothing."""


class TLSStream:
    """The bytes within TLS; `ssl.SSLError`, which is an `OSError`, where the client breaks it.

    *policy* says how to shake hands.
    """

    def __init__(self, sock: socket.socket, policy: HandshakePolicy) -> None:
        self._plain = PlainStream(sock)
        self._policy = policy
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject

    async def open(self) -> None:
        """Shake hands; raises `PlainHTTPOnTLSPort` where the client does not speak TLS."""
        first = await self._plain.receive()
        if first and first[0] != _HANDSHAKE_RECORD:
            raise PlainHTTPOnTLSPort
        self._incoming.write(first)
        self._tls = self._policy.context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        await self._do(self._tls.do_handshake)
        self._policy.check(self._tls)

    async def receive(self) -> bytes:
        """Return what has arrived."""
        try:
            return await self._do(lambda: self._tls.read(RECEIVE_BYTES))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    async def send(self, data: bytes | memoryview) -> None:
        """Return once the system has taken all of it."""
        rest = memoryview(data)
        while rest:
            part = rest
            written = await self._do(lambda: self._tls.write(part))  # noqa: B023 - called at once
            rest = rest[written:]

    async def close(self) -> None:
        """Tell the client that nothing follows, so that it knows the answer is whole."""
        with suppress(OSError):
            self._tls.unwrap()
        await self._flush()

    async def _do(self, step: Callable[[], T]) -> T:
        """Return what *step* returns once the client has sent what it needs."""
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            except ssl.SSLError:
                await self._flush()  # the alert that tells the client what is wrong
                raise
            else:
                await self._flush()
                return result

    async def _flush(self) -> None:
        if self._outgoing.pending:
            await self._plain.send(self._outgoing.read())

    async def _fill(self) -> None:
        if received := await self._plain.receive():
            self._incoming.write(received)
        else:
            self._incoming.write_eof()
