"""The simulated PBX on a socket, plain or TLS.

Rule: one request per connection, closed after the answer, as the vendor documents it. What to
answer is decided elsewhere; here it is only sent, slowly or cut off where the reply asks for it.

Bodies of requests may be chunked. Assumed: one whose chunks are broken counts as empty.
"""

from __future__ import annotations

import re
import socket
import socketserver
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler
from io import BufferedIOBase
from types import TracebackType
from typing import Any, Self

from .http_messages import HTTPReply, HTTPRequest
from .request_log import RequestLog

Answering = Callable[[HTTPRequest], HTTPReply]

_IDLE_SECONDS = 60  # a peer that connects and says nothing
_MAX_BODY_BYTES = 64 * 2**20
_MAX_LINE_BYTES = 1024  # of a chunk's size and extension, and of a line after the last chunk
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;.*)?\r\n")
_STOP_SECONDS = 0.05  # how long stop() waits for the accepting loop to notice


class PBXServer:
    """Answers on *host*:*port* until it is stopped; port 0 takes a free one.

    It listens, and `base_url` is known, from the moment it is made. *request_log* counts the
    requests under way for which *is_counted*. OSError: the address is taken or not of this machine.
    """

    def __init__(
        self,
        answer: Answering,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        ssl_context: ssl.SSLContext | None = None,
        request_log: RequestLog | None = None,
        is_counted: Callable[[HTTPRequest], bool] = lambda _: True,
    ) -> None:
        self._scheme = "https" if ssl_context else "http"
        self._tcp = _TCPServer(host, port, ssl_context)
        self._tcp.answer = answer
        self._tcp.request_log = request_log or RequestLog()
        self._tcp.is_counted = is_counted
        self._thread = threading.Thread(
            target=self._tcp.serve_forever, args=(_STOP_SECONDS,), name="simulated-pbx", daemon=True
        )

    @property
    def address(self) -> tuple[str, int]:
        """The host and the port it listens on."""
        host, port = self._tcp.server_address[:2]
        return str(host), int(port)

    @property
    def base_url(self) -> str:
        """Where it is to be found, without a path: `http://127.0.0.1:8088`."""
        host, port = self.address
        return f"{self._scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    def start(self) -> None:
        """Begin to answer, in the background."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listening; answers under way are cut off where they wait on purpose."""
        self._tcp.stopping.set()
        if self._thread.is_alive():
            self._tcp.shutdown()
            self._thread.join()
        self._tcp.server_close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS
    disable_nagle_algorithm = True  # the last byte goes out alone, see do_GET
    server: _TCPServer

    def do_GET(self) -> None:
        self.close_connection = True
        request = self._request()
        counted = self.server.is_counted(request)
        with self.server.request_log.under_way() if counted else nullcontext():
            last = self._send(self.server.answer(request))
        # Outside: a client that has the whole answer may ask again at once.
        self.wfile.write(last)

    do_POST = do_GET  # noqa: N815 (the base class calls it so)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the line would contain the token."""

    def _request(self) -> HTTPRequest:
        path, _, query = self.path.partition("?")
        return HTTPRequest(
            method=self.command,
            path=path,
            query=query,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self._body(),
            client=self.client_address[0],
        )

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            try:
                return b"".join(_chunks(self.rfile))
            except ValueError:
                return b""
        length = self.headers.get("Content-Length", "")
        size = int(length) if length.isdigit() else 0
        return self.rfile.read(min(size, _MAX_BODY_BYTES))

    def _send(self, response: HTTPReply) -> bytes:
        """Send *response* but for its last byte and return that."""
        if self.server.stopping.wait(response.delay_seconds) or response.dropped:
            return b""
        raw = response.head + response.body[: response.cut_after]
        self._write(raw[:-1], response.drip_seconds)
        return raw[-1:]

    def _write(self, raw: bytes, drip_seconds: float) -> None:
        if not drip_seconds:
            self.wfile.write(raw)
            return
        for position in range(len(raw)):
            self.wfile.write(raw[position : position + 1])
            if self.server.stopping.wait(drip_seconds):
                return


def _chunks(stream: BufferedIOBase) -> Iterator[bytes]:
    """Yield what *stream* holds in chunks, up to the last. ValueError: they are broken.

    RFC 9112, section 7.1: each is its size in hexadecimal digits, perhaps an extension, and the
    bytes; the last is of size 0, with lines after it that say nothing here, up to an empty one.
    """
    left = _MAX_BODY_BYTES
    while size := _chunk_size(stream.readline(_MAX_LINE_BYTES)):
        if size > left:
            raise ValueError("the chunks are too large")
        left -= size
        yield stream.read(size)
        if stream.readline(_MAX_LINE_BYTES) != b"\r\n":
            raise ValueError("a chunk is longer or shorter than its size")
    while stream.readline(_MAX_LINE_BYTES).strip():
        pass


def _chunk_size(line: bytes) -> int:
    found = _CHUNK_SIZE.match(line)
    if not found:
        raise ValueError("a chunk has no size")
    return int(found[1], 16)


class _TCPServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128
    answer: Answering
    request_log: RequestLog
    is_counted: Callable[[HTTPRequest], bool]

    def __init__(self, host: str, port: int, ssl_context: ssl.SSLContext | None) -> None:
        self.stopping = threading.Event()
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)
        if ssl_context:
            # The handshake is left to the connection's own thread: one peer that never
            # finishes it must not keep the others out.
            self.socket = ssl_context.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore that a client went away; show any other error, which is a bug of the simulator."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)
