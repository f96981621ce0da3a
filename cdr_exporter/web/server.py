"""Sockets in front of the application: waitress, held to what a scrape endpoint needs.

Rule: one connection carries one request and has a deadline for asking and one for taking the
answer. So a client that sends slowly, never reads, or asks for much at once holds a place and a
buffer for a while, but no thread, and never the others up.

What waitress alone would allow, and is closed here (seen in 3.0.2):

- A client that pipelines large answers and reads none blocks a worker thread, without limit.
- A client whose window is full is never closed: the timeout waits for it to become writable.
- One that sends a byte now and then is never idle, so never timed out.
"""

from __future__ import annotations

import logging
import resource
import threading
import time
from collections.abc import Sequence
from typing import Any
from wsgiref.types import WSGIApplication

# waitress has neither stubs nor annotations: what comes from it is Any, and stays in this module.
from waitress import wasyncore  # type: ignore[import-untyped]
from waitress.channel import HTTPChannel  # type: ignore[import-untyped]
from waitress.parser import HTTPRequestParser, ParsingError  # type: ignore[import-untyped]
from waitress.server import TcpWSGIServer, create_server  # type: ignore[import-untyped]

from .listen import BACKLOG, ListenAddress, bind, bound_to

ASK_SECONDS = 10.0
"""From connecting to a whole request."""

TAKE_SECONDS = 60.0
"""From connecting to the last byte of the answer; longer than any sensible scrape timeout."""

_TICK_SECONDS = 1.0
_LAST_SECONDS = 0.5
_KIB = 1024
_MOST_CONNECTIONS = 1000

_SETTINGS = {
    "asyncore_use_poll": True,
    "backlog": BACKLOG,
    "channel_timeout": int(TAKE_SECONDS),
    "clear_untrusted_proxy_headers": True,
    "expose_tracebacks": False,
    "ident": None,
    "log_socket_errors": False,
    "max_request_body_size": 4 * _KIB,
    "max_request_header_size": 16 * _KIB,
    "threads": 4,
}


class Server:
    """Listens from the moment it is made; answers between `start` and `stop`."""

    def __init__(
        self,
        app: WSGIApplication,
        listen: Sequence[ListenAddress],
        *,
        ask_seconds: float = ASK_SECONDS,
        take_seconds: float = TAKE_SECONDS,
    ) -> None:
        # A busy moment is no warning ("Task queue depth"); what waitress says at INFO names paths.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        logging.getLogger("waitress").setLevel(logging.WARNING)
        sockets = bind(listen)
        self.addresses: tuple[ListenAddress, ...] = tuple(map(bound_to, sockets))
        self._deadlines = ask_seconds, take_seconds
        self._places: dict[int, Any] = {}
        """waitress' map: file number → listener, trigger or channel. The loop's thread owns it."""
        self._waitress = create_server(
            app,
            map=self._places,
            sockets=sockets,
            connection_limit=_connection_limit(),
            **_SETTINGS,
        )
        self._listeners = [s for s in self._places.values() if isinstance(s, TcpWSGIServer)]
        for listener in self._listeners:
            listener.channel_class = _Channel
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)

    @property
    def running(self) -> bool:
        """Say whether requests are being answered."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Answer requests, in threads of the server's own."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more requests, let those under way end for a moment, and close everything."""
        self._stopping.set()
        if self.running:
            self._listeners[0].pull_trigger()
            self._thread.join()
        dispatcher = self._waitress.task_dispatcher
        dispatcher.shutdown(timeout=_LAST_SECONDS)
        # A worker that is still busy writes to its listener's trigger in the end: were that
        # closed, it would write to whatever file has the number by then.
        if not dispatcher.threads:
            wasyncore.close_all(self._places)

    def _run(self) -> None:
        while not self._stopping.is_set():
            wasyncore.poll2(_TICK_SECONDS, self._places)
            self._sweep(time.monotonic())
        for listener in self._listeners:
            listener.accepting = False
        end = time.monotonic() + _LAST_SECONDS
        while any(c.is_served for c in self._channels()) and (left := end - time.monotonic()) > 0:
            wasyncore.poll2(left, self._places)

    def _sweep(self, now: float) -> None:
        for channel in self._channels():
            ask, take = self._deadlines
            if now - channel.opened_at > (take if channel.is_served else ask):
                channel.handle_close()

    def _channels(self) -> list[_Channel]:
        return [place for place in self._places.values() if isinstance(place, _Channel)]


class _Parser(HTTPRequestParser):  # type: ignore[misc]  # its base is untyped
    """Reads a request; whatever the client says, it is the connection's last."""

    def parse_header(self, header_plus: bytes) -> None:
        try:
            super().parse_header(header_plus)
        except ValueError:
            # `http://[` as the target, or a Content-Length of 5,000 digits.
            raise ParsingError("Bad target or header") from None
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise ParsingError("Both Content-Length and Transfer-Encoding")
        self.headers["CONNECTION"] = "close"


class _Channel(HTTPChannel):  # type: ignore[misc]  # its base is untyped
    """One connection."""

    parser_class = _Parser

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.opened_at = time.monotonic()
        super().__init__(*arguments, **named)

    @property
    def is_served(self) -> bool:
        """Say whether a whole request came in and its answer is not gone yet."""
        return bool(self.requests or self.total_outbufs_len)


def _connection_limit() -> int:
    """Return how many clients to take, leaving half of the file numbers to the rest of us."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(_MOST_CONNECTIONS, files // 2) if files > 0 else _MOST_CONNECTIONS
