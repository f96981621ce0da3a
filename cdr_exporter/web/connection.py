"""One connection: its requests in, its responses out, one after the other.

Rule: whatever a client sends gets one response for each request, or is cut off. It has a deadline
for its handshake, one for each request and one for taking the response, so none stays for ever.
A connection on which something was wrong, or a request had a body, is not used again: what follows
on it could be taken for a request by us and for a body by a proxy.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import TypeAlias

import h11

from .messages import HTTPRequest, HTTPResponse, text_response
from .streams import PlainHTTPOnTLSPort, PlainStream, Stream

Respond: TypeAlias = Callable[[HTTPRequest], Awaitable[HTTPResponse]]

_KIB = 1024
_MAX_HEAD_BYTES = 16 * _KIB
_MAX_TARGET_BYTES = 8 * _KIB
_MAX_BODY_BYTES = 4 * _KIB

_LINGER_SECONDS = 1.0
_LINGER_RECEIVES = 16
"""How long, and how often at most, something is still received at the end."""

_BOTH_DONE = {h11.SERVER: h11.DONE, h11.CLIENT: h11.DONE}

_USED_HEADERS = {
    b"accept": "accept",
    b"accept-encoding": "accept_encoding",
    b"authorization": "authorization",
    b"host": "host",
    b"origin": "origin",
}
"""The headers that are used, and their names in `HTTPRequest`."""

_REFUSALS = {
    HTTPStatus.BAD_REQUEST: "bad request",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "no request here has a body",
    HTTPStatus.REQUEST_URI_TOO_LONG: "the request target is too long",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "the header fields are too long",
    HTTPStatus.NOT_IMPLEMENTED: "no such transfer coding",
}
_NOT_TLS = (
    b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Connection: close\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
)


@dataclass(frozen=True, slots=True)
class Deadlines:
    """In seconds: for a handshake, for a request, until the next one begins, for a response."""

    handshake: float = 10.0
    request: float = 10.0
    idle: float = 120.0
    response: float = 60.0
    """From the end of the request to the last byte; longer than any scrape timeout."""


@dataclass(frozen=True, slots=True)
class Events:
    """What is told of a connection: a whole request has arrived, its response is sent."""

    busy: Callable[[], None]
    waiting: Callable[[], None]


class _Refused(Exception):
    """The request gets this status, and its connection ends."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


class Connection:
    """One connection on *stream*, over the non-blocking socket *sock*.

    *respond* makes the responses. No request follows once *closing* is set.
    """

    def __init__(
        self,
        sock: socket.socket,
        stream: Stream,
        respond: Respond,
        deadlines: Deadlines,
        events: Events,
        closing: asyncio.Event,
    ) -> None:
        self._sock = sock
        self._stream = stream
        self._respond = respond
        self._deadlines = deadlines
        self._events = events
        self._closing = closing
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD_BYTES)
        self._is_head = self._is_last = False

    async def serve(self) -> None:
        """Serve requests until the connection ends; raises `OSError` or `TimeoutError`."""
        try:
            async with asyncio.timeout(self._deadlines.handshake):
                await self._stream.open()
        except PlainHTTPOnTLSPort:
            self._stream = PlainStream(self._sock)
            async with asyncio.timeout(self._deadlines.response):
                await self._stream.send(_NOT_TLS)
            await self._linger()
            return
        more = await self._serve_one(self._deadlines.request)
        while more:
            more = await self._serve_one(self._deadlines.idle)

    async def _serve_one(self, patience: float) -> bool:
        """Serve a request that begins within *patience*; return whether another may follow."""
        try:
            request = await self._next_request(patience)
            if request is None:
                return False
            self._events.busy()
            async with asyncio.timeout(self._deadlines.response):
                await self._answer(await self._respond(_parsed(request)))
        except _Refused as refused:
            self._is_last = True
            async with asyncio.timeout(self._deadlines.response):
                await self._answer(text_response(_REFUSALS[refused.status], refused.status))
        if self._is_last or self._http.states != _BOTH_DONE:
            await self._linger()
            return False
        self._http.start_next_cycle()
        self._events.waiting()
        return True

    async def _next_request(self, patience: float) -> h11.Request | None:
        """Return the next request, its body left out; None where the client sends none."""
        self._is_head = False
        async with asyncio.timeout(patience) as deadline:
            if not self._http.trailing_data[0]:
                await self._receive()
            deadline.reschedule(asyncio.get_running_loop().time() + self._deadlines.request)
            request = await self._next_event()
            if not isinstance(request, h11.Request):
                return None
            self._is_head = request.method == b"HEAD"
            _refuse_bad_head(request)
            await self._drop_body()
            return request

    async def _drop_body(self) -> None:
        """Read the body of a request, if it has one; it is the last of its connection then."""
        if self._http.they_are_waiting_for_100_continue:
            raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        size = 0
        while isinstance(event := await self._next_event(), h11.Data):
            self._is_last = True
            size += len(event.data)
            if size > _MAX_BODY_BYTES:
                raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)

    async def _next_event(self) -> object:
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                raise _Refused(self._status_of(error)) from None
            if event is not h11.NEED_DATA:
                return event
            await self._receive()

    async def _receive(self) -> None:
        self._http.receive_data(await self._stream.receive())

    def _status_of(self, error: h11.RemoteProtocolError) -> HTTPStatus:
        status = HTTPStatus(error.error_status_hint)
        is_long = status is HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        # Without a line break all of it is the request line.
        if is_long and b"\n" not in self._http.trailing_data[0]:
            return HTTPStatus.REQUEST_URI_TOO_LONG
        return status if status in _REFUSALS else HTTPStatus.BAD_REQUEST

    async def _answer(self, response: HTTPResponse) -> None:
        waiting = self._head(response)
        for piece in () if self._is_head else response.pieces():
            self._http.send_with_data_passthrough(h11.Data(data=piece))  # type: ignore[arg-type]
            await self._stream.send(b"".join((waiting, piece)) if waiting else piece)
            waiting = b""
            # A client that takes all at once must not keep the loop from the others.
            await asyncio.sleep(0)
        self._http.send(h11.EndOfMessage())
        if waiting:
            await self._stream.send(waiting)

    def _head(self, response: HTTPResponse) -> bytes:
        self._is_last |= self._closing.is_set()
        headers = [("Date", formatdate(usegmt=True)), *response.all_headers]
        if self._is_last:
            headers.append(("Connection", "close"))
        status = response.status
        head = h11.Response(
            status_code=status.value, headers=headers, reason=status.phrase.encode()
        )
        return self._http.send(head) or b""

    async def _linger(self) -> None:
        """Say that nothing follows, and take what still arrives, within bounds.

        A socket that is closed with something unread takes the response from its client.
        """
        self._events.waiting()
        async with asyncio.timeout(_LINGER_SECONDS):
            await self._stream.close()
            self._sock.shutdown(socket.SHUT_WR)
            plain = PlainStream(self._sock)
            for _ in range(_LINGER_RECEIVES):
                if not await plain.receive():
                    return


def _refuse_bad_head(request: h11.Request) -> None:
    names = {name for name, _ in request.headers}
    # RFC 9112, 6.1: who sends both may want us and a proxy to see different requests.
    if {b"content-length", b"transfer-encoding"} <= names:
        raise _Refused(HTTPStatus.BAD_REQUEST)
    if len(request.target) > _MAX_TARGET_BYTES:
        raise _Refused(HTTPStatus.REQUEST_URI_TOO_LONG)


def _parsed(request: h11.Request) -> HTTPRequest:
    path, _, query = request.target.decode("latin-1").partition("?")
    fields: dict[str, str] = {}
    for name, value in request.headers:
        if used := _USED_HEADERS.get(name):
            text = value.decode("latin-1")
            fields[used] = f"{fields[used]}, {text}" if used in fields else text
    return HTTPRequest(request.method.decode("latin-1"), path, query, **fields)
