"""A way to a server that a test can break: answers swallowed, bytes held back, connections cut."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress


class Proxy:
    """Forwards what comes to `port` on loopback to the port of a server; `with` ends it.

    It breaks for good, for each connection, at the first bytes of a client for which *breaks_at* is
    true. *then* says how.
    """

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.breaks_at: Callable[[bytes], bool] = lambda _: False
        self.then: Callable[[Way], bool] = hold
        self._ways: list[Way] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Proxy:
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        # `shutdown` wakes the thread that accepts.
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._accepting.join(30)
        for way in self._ways:
            way.close()

    def hold_all(self) -> None:
        """Forward nothing any more, on connections that are open and on new ones."""
        self.breaks_at, self.then = lambda _: True, hold
        for way in self._ways:
            way.is_held.set()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                self._connect(self._listening.accept()[0])

    def _connect(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self._server_port))
        except OSError:
            client.close()
            return
        way = Way(client, server)
        self._ways.append(way)
        threading.Thread(target=self._to_server, args=[way], daemon=True).start()
        threading.Thread(target=way.to_client, daemon=True).start()

    def _to_server(self, way: Way) -> None:
        with suppress(OSError):
            while data := way.client.recv(65536):
                if self.breaks_at(data) and not way.is_held.is_set() and not self.then(way):
                    continue
                way.forward(data)
        if not way.is_held.is_set():
            way.close()


class Way:
    """One connection: *client* is who connected, *server* the connection that was made for it."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server
        self.is_held = threading.Event()
        self.is_deaf = threading.Event()

    def forward(self, data: bytes) -> None:
        if not self.is_held.is_set():
            self.server.sendall(data)

    def to_client(self) -> None:
        with suppress(OSError):
            while data := self.server.recv(65536):
                if self.is_deaf.is_set():
                    break
                if not self.is_held.is_set():
                    self.client.sendall(data)
        if not self.is_held.is_set():
            self.close()

    def close(self) -> None:
        for each in (self.client, self.server):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def hold(way: Way) -> bool:
    """Forward nothing from now on, and keep both connections open."""
    way.is_held.set()
    return False


def cut(way: Way) -> bool:
    """Close both connections; what was to be forwarded is lost."""
    way.close()
    return False


def swallow_answer(way: Way) -> bool:
    """Forward it, and close the client's connection in place of the answer."""
    way.is_deaf.set()
    return True
