"""A running server over loopback, and what a client does with it byte by byte."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from cdr_exporter.web import (
    App,
    ConnectionLimits,
    Deadlines,
    Hosts,
    ListenAddress,
    Server,
    WebConfigFile,
)
from cdr_exporter.web.file_numbers import DEFAULT_LIMITS

from .web import app, snapshot

FREE_PORT = ListenAddress("127.0.0.1", 0)
PATIENCE = 10.0


@contextlib.contextmanager
def serving(
    application: App | None = None,
    limits: ConnectionLimits = DEFAULT_LIMITS,
    *,
    hosts: Hosts | None = None,
    web_config: Path | None = None,
    **deadlines: float,
) -> Iterator[Server]:
    """Serve *application*, or one with a PBX; *deadlines* are fields of `Deadlines`."""
    server = Server(
        application or app(snapshot()),
        [FREE_PORT],
        deadlines=Deadlines(**deadlines),
        limits=limits,
        hosts=hosts,
        web_config=WebConfigFile(web_config) if web_config else None,
    )
    server.start()
    try:
        yield server
    finally:
        server.stop()


def connect(server: Server) -> socket.socket:
    return socket.create_connection(server.addresses[0], timeout=PATIENCE)


def exchange(server: Server, sent: bytes) -> bytes:
    """Send bytes and return all that comes back until the server closes."""
    with connect(server) as client:
        client.sendall(sent)
        return drain(client)


def drain(client: socket.socket) -> bytes:
    received = []
    # A server that closes before it has read everything resets the connection: also an end.
    with contextlib.suppress(ConnectionResetError):
        while chunk := client.recv(65536):
            received.append(chunk)
    return b"".join(received)


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE} s"
        time.sleep(0.01)
