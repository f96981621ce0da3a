"""The HTTP server: one event loop in a thread of its own.

Rule: the loop only waits, reads and writes. What takes time, rendering and compressing, is done by
a few other threads. A client that sends slowly, never reads or opens many connections occupies a
place in the table of connections until its deadline, but no thread, and it delays no other client.

    listening sockets → ConnectionTable → Connection → a worker thread: App → Connection
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from .connection import Connection, Deadlines, Events
from .connection_table import ConnectionTable, Seat, client_of
from .file_numbers import DEFAULT_LIMITS, ConnectionLimits
from .listen import ListenAddress, address_of, bind
from .messages import HTTPRequest, HTTPResponse
from .streams import PlainStream
from .workers import Workers

_log = logging.getLogger(__name__)

_THREADS = 4

_GRACE_SECONDS = 0.5
"""How long `stop` waits for responses under way."""

_ACCEPT_PAUSE_SECONDS = 0.1
"""After a connection could not be accepted, as when the system has no file number left."""

_LOG_INTERVAL = 60.0

_REFUSED = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: 21\r\nRetry-After: 5\r\nConnection: close\r\n\r\ntoo many connections\n"
)

Application = Callable[[HTTPRequest], HTTPResponse]


class Server:
    """Listens as soon as it is created; responds between `start` and `stop`.

    *app* is called in several threads. Creating it raises `ListenError`.
    """

    def __init__(
        self,
        app: Application,
        listen: Sequence[ListenAddress],
        *,
        deadlines: Deadlines | None = None,
        limits: ConnectionLimits = DEFAULT_LIMITS,
    ) -> None:
        self._sockets = bind(listen)
        self.addresses: tuple[ListenAddress, ...] = tuple(map(address_of, self._sockets))
        self._app = app
        self._deadlines = deadlines or Deadlines()
        self._table = ConnectionTable(*limits)
        self._refusals = _RefusalLog()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(_log_loop_error)
        self._closing = asyncio.Event()
        self._workers = Workers(self._loop, _THREADS, "web")
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)

    @property
    def running(self) -> bool:
        """Whether requests are being served."""
        return self._thread.is_alive()

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return len(self._table)

    def start(self) -> None:
        """Serve requests, in threads of the server."""
        self._workers.start()
        self._thread.start()

    def stop(self) -> None:
        """Accept no more requests, let those under way finish, and close all sockets.

        Takes little more than `_GRACE_SECONDS`.
        """
        if self.running:
            with suppress(RuntimeError):  # the loop has just ended by itself
                self._loop.call_soon_threadsafe(self._closing.set)
            self._thread.join()
            self._workers.stop()
            return
        self._close()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._close()

    def _close(self) -> None:
        for each in self._sockets:
            each.close()
        self._loop.close()

    async def _serve(self) -> None:
        accepting = [self._loop.create_task(self._accept(each)) for each in self._sockets]
        closing = self._loop.create_task(self._closing.wait())
        done, _ = await asyncio.wait((closing, *accepting), return_when=asyncio.FIRST_COMPLETED)
        for task in done - {closing}:
            _log.error("the web server has ended", extra=_failure(task.exception()))
        await _cancel(closing, *accepting)
        for each in self._sockets:
            each.close()
        self._table.close_waiting()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_GRACE_SECONDS)
        await _cancel(*self._tasks)

    async def _accept(self, listening: socket.socket) -> None:
        listening.setblocking(False)
        while True:
            try:
                sock, address = await self._loop.sock_accept(listening)
            except OSError as error:
                self._refusals.note(error.strerror or "not accepted")
                await asyncio.sleep(_ACCEPT_PAUSE_SECONDS)
                continue
            self._admit(sock, client_of(address[0]))
            # So that a connection which was closed for this one gives its file number back first.
            await asyncio.sleep(0)

    def _admit(self, sock: socket.socket, client: str) -> None:
        task: asyncio.Task[None]
        seat = self._table.admit(client, lambda: task.cancel())
        if seat is None:
            self._refusals.note("too many connections")
            self._refuse(sock)
            return
        task = self._loop.create_task(self._connection(sock, seat))
        self._tasks.add(task)
        task.add_done_callback(partial(self._end, sock, seat))

    def _refuse(self, sock: socket.socket) -> None:
        with sock, suppress(OSError):
            sock.send(_REFUSED)

    async def _connection(self, sock: socket.socket, seat: Seat) -> None:
        table = self._table
        connection = Connection(
            sock,
            PlainStream(sock),
            self._respond,
            self._deadlines,
            Events(busy=partial(table.set_busy, seat), waiting=partial(table.set_waiting, seat)),
            self._closing,
        )
        with suppress(OSError, TimeoutError):
            await connection.serve()

    def _end(self, sock: socket.socket, seat: Seat, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._table.remove(seat)
        sock.close()
        if not task.cancelled() and task.exception() is not None:
            _log.error("connection failed", extra=_failure(task.exception()))

    async def _respond(self, request: HTTPRequest) -> HTTPResponse:
        return await self._workers.call(partial(self._app, request))


class _RefusalLog:
    """Logs that connections are refused, once a minute at most."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._next = float("-inf")

    def note(self, reason: str) -> None:
        self._counts[reason] = self._counts.get(reason, 0) + 1
        if (now := time.monotonic()) < self._next:
            return
        self._next = now + _LOG_INTERVAL
        for each, count in self._counts.items():
            fields = {"reason": each, "connections": count}
            _log.warning("connections refused", extra={"fields": fields})
        self._counts.clear()


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _failure(error: BaseException | None) -> dict[str, dict[str, str]]:
    """Return the fields of a log line: the kind of *error*, whose message may quote a client."""
    return {"fields": {"error": type(error).__name__}}


def _log_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    error = context.get("exception")
    _log.error("event loop", extra=_failure(error if isinstance(error, BaseException) else None))
