"""The HTTP server: waitress, with the limits that a scrape endpoint needs.

Rule: a connection serves one request and has two deadlines, one for the request and one for the
response. A client that sends slowly, never reads or sends many requests at once occupies a
connection and a buffer until its deadline, but no thread, and it delays no other client.

waitress alone does not limit these clients (seen in 3.0.2), so this module does:

- One that pipelines requests for large responses and reads none blocks a worker thread forever.
- One whose TCP window is full is never closed: the timeout waits until the socket is writable.
- One that sends a byte now and then is never idle and so never times out.
"""

from __future__ import annotations

import logging
import resource
import threading
import time
from collections.abc import Sequence
from typing import Any
from wsgiref.types import WSGIApplication

# waitress has no annotations, so all that comes from it has the type Any; no other module uses it.
from waitress import wasyncore  # type: ignore[import-untyped]
from waitress.channel import HTTPChannel  # type: ignore[import-untyped]
from waitress.parser import HTTPRequestParser, ParsingError  # type: ignore[import-untyped]
from waitress.server import TcpWSGIServer, create_server  # type: ignore[import-untyped]

from .listen import BACKLOG, ListenAddress, address_of, bind

REQUEST_SECONDS = 10.0
"""Time from the connection to the end of the request."""

RESPONSE_SECONDS = 60.0
"""Time from the connection to the last byte of the response; longer than any scrape timeout."""

_LOOP_SECONDS = 1.0
"""How often deadlines are checked, at least."""

_GRACE_SECONDS = 0.5
"""How long `stop` waits for responses under way, and again for worker threads."""

_KIB = 1024
_MAX_CONNECTIONS = 1000

_SETTINGS = {
    "asyncore_use_poll": True,
    "backlog": BACKLOG,
    "channel_timeout": int(RESPONSE_SECONDS),
    "clear_untrusted_proxy_headers": True,
    "expose_tracebacks": False,
    "ident": None,
    "log_socket_errors": False,
    "max_request_body_size": 4 * _KIB,
    "max_request_header_size": 16 * _KIB,
    "threads": 4,
}


class Server:
    """Listens as soon as it is created; responds between `start` and `stop`.

    *request_seconds* and *response_seconds* are the deadlines of a connection, both counted from
    its beginning. Creating it raises `ListenError`.
    """

    def __init__(
        self,
        app: WSGIApplication,
        listen: Sequence[ListenAddress],
        *,
        request_seconds: float = REQUEST_SECONDS,
        response_seconds: float = RESPONSE_SECONDS,
    ) -> None:
        # waitress warns whenever a request waits ("Task queue depth"), and logs paths at INFO.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        logging.getLogger("waitress").setLevel(logging.WARNING)
        sockets = bind(listen)
        self.addresses: tuple[ListenAddress, ...] = tuple(map(address_of, sockets))
        self._deadlines = request_seconds, response_seconds
        self._socket_map: dict[int, Any] = {}
        """waitress' map: file descriptor → listener, trigger or connection.

        Only the thread of the loop may change it.
        """
        self._waitress = create_server(
            app,
            map=self._socket_map,
            sockets=sockets,
            connection_limit=_connection_limit(),
            **_SETTINGS,
        )
        self._listeners = [s for s in self._socket_map.values() if isinstance(s, TcpWSGIServer)]
        for listener in self._listeners:
            listener.channel_class = _Channel
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)

    @property
    def running(self) -> bool:
        """Whether requests are being served."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Serve requests, in threads of the server."""
        self._thread.start()

    def stop(self) -> None:
        """Accept no more requests, let those under way finish, and close all sockets.

        Takes at most about 2 `_GRACE_SECONDS`.
        """
        self._stopping.set()
        if self.running:
            self._listeners[0].pull_trigger()
            self._thread.join()
        dispatcher = self._waitress.task_dispatcher
        dispatcher.shutdown(timeout=_GRACE_SECONDS)
        # A worker that is still busy will write to its listener's trigger. If that were closed, the
        # write could reach another file that has got the same descriptor since.
        if not dispatcher.threads:
            wasyncore.close_all(self._socket_map)

    def _run(self) -> None:
        while not self._stopping.is_set():
            wasyncore.poll2(_LOOP_SECONDS, self._socket_map)
            self._close_overdue(time.monotonic())
        for listener in self._listeners:
            listener.accepting = False
        end = time.monotonic() + _GRACE_SECONDS
        while any(c.is_busy for c in self._channels()) and (left := end - time.monotonic()) > 0:
            wasyncore.poll2(left, self._socket_map)

    def _close_overdue(self, now: float) -> None:
        for channel in self._channels():
            request, response = self._deadlines
            if now - channel.opened_at > (response if channel.is_busy else request):
                channel.handle_close()

    def _channels(self) -> list[_Channel]:
        return [each for each in self._socket_map.values() if isinstance(each, _Channel)]


class _Parser(HTTPRequestParser):  # type: ignore[misc]  # its base is untyped
    """Parses a request, and makes it the last one of its connection."""

    def parse_header(self, header_plus: bytes) -> None:
        try:
            super().parse_header(header_plus)
        except ValueError:
            # For example a target `http://[`, or a Content-Length of 5,000 digits.
            raise ParsingError("Bad target or header") from None
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise ParsingError("Both Content-Length and Transfer-Encoding")
        self.headers["CONNECTION"] = "close"


class _Channel(HTTPChannel):  # type: ignore[misc]  # its base is untyped
    """One connection; *opened_at* is a time on the steady clock."""

    parser_class = _Parser

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.opened_at = time.monotonic()
        super().__init__(*arguments, **named)

    @property
    def is_busy(self) -> bool:
        """Whether a whole request has arrived and its response is not completely sent."""
        return bool(self.requests or self.total_outbufs_len)


def _connection_limit() -> int:
    """Return how many connections to accept: at most half of the file descriptors allowed."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(_MAX_CONNECTIONS, files // 2) if files > 0 else _MAX_CONNECTIONS
