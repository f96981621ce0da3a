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
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from .connection import Connection, Deadlines, Events
from .connection_table import ConnectionTable, Seat, client_of
from .counted_log import CountedLog
from .file_numbers import DEFAULT_LIMITS, ConnectionLimits
from .gate import Gate
from .hosts import Hosts
from .listen import ListenAddress, address_of, bind
from .logins import Logins
from .messages import HTTPRequest, HTTPResponse
from .streams import PlainStream, TLSStream
from .web_config_file import ANYBODY, Access, WebConfigFile
from .workers import Workers

_log = logging.getLogger(__name__)

_THREADS = 4

_GRACE_SECONDS = 0.5
"""How long `stop` waits for responses under way."""

_ACCEPT_PAUSE_SECONDS = 0.1
"""After a connection could not be accepted, as when the system has no file number left."""

_REREAD_SECONDS = 2.0
"""How often it is looked whether the file of `--web.config.file` or a certificate has changed."""

_SEND_BUFFER_BYTES = 256 * 1024
"""What the system keeps of a response for a client that takes none of it; else it may be 4 MB for
each of thousands, and as much work."""

_REFUSED = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: 21\r\nRetry-After: 5\r\nConnection: close\r\n\r\ntoo many connections\n"
)

Application = Callable[[HTTPRequest], HTTPResponse]


class Server:
    """Listens as soon as it is created; responds between `start` and `stop`.

    *app* is called in several threads. *hosts* are the names it answers to, any if missing; without
    *web_config* there are neither TLS nor logins. Creating it raises `ListenError`.
    """

    def __init__(
        self,
        app: Application,
        listen: Sequence[ListenAddress],
        *,
        deadlines: Deadlines | None = None,
        limits: ConnectionLimits = DEFAULT_LIMITS,
        hosts: Hosts | None = None,
        web_config: WebConfigFile | None = None,
    ) -> None:
        self._sockets = bind(listen)
        self.addresses: tuple[ListenAddress, ...] = tuple(map(address_of, self._sockets))
        self._app = app
        self._deadlines = deadlines or Deadlines()
        self._table = ConnectionTable(*limits)
        self._web_config = web_config
        self._refusals = CountedLog(_log, "connections refused", "connections")
        self._failures = CountedLog(_log, "connections failed", "connections")
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(_log_loop_error)
        self._closing = asyncio.Event()
        self._workers = Workers(self._loop, _THREADS, "web")
        self._login_worker = Workers(self._loop, 1, "login")
        self._gate = Gate(hosts or Hosts(), self._access, Logins(self._login_worker.call))
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)

    @property
    def running(self) -> bool:
        """Whether requests are being served."""
        return self._thread.is_alive()

    @property
    def has_tls(self) -> bool:
        """Whether requests come through TLS."""
        return self._access().tls is not None

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return len(self._table)

    def start(self) -> None:
        """Serve requests, in threads of the server."""
        self._workers.start()
        self._login_worker.start()
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
            self._login_worker.stop()
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
        rereading = self._loop.create_task(self._reread())
        closing = self._loop.create_task(self._closing.wait())
        needed = (closing, rereading, *accepting)
        done, _ = await asyncio.wait(needed, return_when=asyncio.FIRST_COMPLETED)
        for task in done - {closing}:
            _log.error("the web server has ended", extra=_failure(task.exception()))
        await _cancel(*needed)
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
            with suppress(OSError):
                _set_options(sock)
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
            if not self._access().tls:
                sock.send(_REFUSED)

    async def _connection(self, sock: socket.socket, seat: Seat) -> None:
        table, tls = self._table, self._access().tls
        connection = Connection(
            sock,
            TLSStream(sock, tls) if tls else PlainStream(sock),
            partial(self._respond, seat.client),
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
            # Its message may quote the client.
            self._failures.note(type(task.exception()).__name__)

    async def _respond(self, client: str, request: HTTPRequest) -> HTTPResponse:
        headers = self._access().headers
        response = await self._gate.refusal(request, client)
        if response is None:
            response = await self._workers.call(partial(self._app, request))
        return replace(response, replacements=headers) if headers else response

    def _access(self) -> Access:
        return self._web_config.access if self._web_config else ANYBODY

    async def _reread(self) -> None:
        while True:
            await asyncio.sleep(_REREAD_SECONDS)
            if self._web_config:
                await self._workers.call(self._web_config.reread)


def _set_options(sock: socket.socket) -> None:
    # What is sent is whole: the system need not wait for more to send with it.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)


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
