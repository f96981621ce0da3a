"""One HTTP request to a PBX, and the body of its answer.

Rule: one deadline for the whole request; no redirect, proxy, netrc, cookie, retry or
decompression; and an error shows nothing of the request.

How it works
------------
`send` makes one `DeadlineConnection`, whose deadline starts then and covers the name lookup, the
TCP connect, the TLS handshake, the request, the headers and the body. The request goes through
`requests`, by an adapter that uses that connection:

    Transport.send → PreparedRequest → DeadlineAdapter, urllib3 → DeadlineConnection

`cancel` may come from any thread, at any moment: it sets an event that the connection looks at
before each step, and shuts the socket down, so that a read that blocks returns at once.

The token is a parameter of the query string, and `requests` and `urllib3` put URLs into
exceptions and debug logs. So the URL has a placeholder, which is replaced by the token while the
request line is written (see `http_adapter`).

An exception of `requests`, `urllib3` or `http.client` holds the request, its body and parts of
the answer, and an exception raised inside its `except`, even with `from None`, keeps it as
context. So `send` keeps only what the failure means, leaves the `except`, and then raises a
`PBXError` without context and traceback.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException

import requests
from urllib3.exceptions import HTTPError

from ..cdr import GarbledAnswer, errcode_of, largest_answer, read_object
from ..cdr.contract import SUCCESS
from ..errors import PBXError, TryAgain
from ..secret import Secret
from ..settings import TLS
from ..settings.values import is_plaintext, server_of
from . import failures
from .connection import Address, Cancelled, DeadlineConnection, always, host_and_port
from .http_adapter import AccessToken, DeadlineAdapter
from .http_date import clock_offset
from .tls import tls_policy_of

_BLOCK_BYTES = 1 << 16
_BAD_REQUEST = 400
_HTTP_HINT = "; is it http that base_url's port speaks, and not https?"

_HEADERS = {
    "User-Agent": "OpenAPI",  # the PBX asks for one; this is its guide's
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "Cache-Control": "no-cache",
    "Connection": "close",  # the PBX closes after each answer anyway
}


@dataclass(frozen=True, slots=True)
class APIRequest:
    """A request: *path* is below `api_path`, *fields* is the query string, *body* is JSON text.

    *token* becomes the field `access_token`; it is None for logins and refreshes. *most_bytes* is
    how long the body of the answer may be. With *addresses* it goes to one of these. *may_send* is
    asked before anything of it is sent.
    """

    method: str
    path: str
    fields: Mapping[str, str] = field(default_factory=dict)
    token: Secret | None = None
    body: Secret | None = None
    most_bytes: int = largest_answer(0)
    addresses: Sequence[Address] = ()
    may_send: Callable[[], bool] = always


class Transport:
    """Sends requests to one PBX, one at a time.

    *requests* counts the requests of which a byte was sent; *last_was_sent* says whether the last
    one was among them. *errcodes* counts answers by error code; the callers, who decode the
    answers, report them through `count_errcode`. *clock_offset* is by how many seconds the PBX's
    clock is ahead of ours, from the `Date` of its last answer with HTTP status 200; None where
    that has none. It is exact to half a second and half of the time that the answer took.
    *root_url* is base_url and api_path, *host* and *port* are from it, and *server* is both for
    messages. Raises `ConfigError` for an unusable *tls.ca_file*.
    """

    def __init__(
        self,
        root_url: str,
        tls: TLS,
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.requests = 0
        self.errcodes: Counter[int] = Counter()
        self.last_was_sent = False
        self.clock_offset: float | None = None
        self.cancelled = threading.Event()
        self._root_url = root_url
        self.host, self.port = server_of(root_url)
        self.server = host_and_port(self.host, self.port)
        is_https = not is_plaintext(root_url)
        self._adapter = DeadlineAdapter(tls_policy_of(tls) if is_https else None)
        self._scheme_hint = "" if is_https else _HTTP_HINT
        self._wall = wall
        self._monotonic = monotonic
        self._cancellable: DeadlineConnection | None = None

    def addresses(self, timeout_seconds: float) -> Sequence[Address]:
        """Return the addresses that the host in *root_url* has now.

        Raises `TryAgain` where it has none, or they are not known within *timeout_seconds*.
        """
        connection = DeadlineConnection(
            timeout_seconds, self.cancelled, self._monotonic, server=self.server
        )
        return connection.resolve(self.host, self.port)

    def send(
        self, request: APIRequest, timeout_seconds: float, *, even_if_cancelled: bool = False
    ) -> bytes:
        """Return the body of an answer with HTTP status 200.

        Everything else raises a `PBXError` that shows nothing of the request. With
        *even_if_cancelled* the request is sent after `cancel`, too.
        """
        cancelled = threading.Event() if even_if_cancelled else self.cancelled
        connection = DeadlineConnection(
            timeout_seconds,
            cancelled,
            self._monotonic,
            server=self.server,
            addresses=request.addresses,
            may_send=request.may_send,
        )
        self._cancellable = None if even_if_cancelled else connection
        failure: PBXError
        try:
            return self._exchange(request, connection)
        except PBXError as error:
            failure = error
        except (OSError, HTTPError, HTTPException, ValueError):
            failure = _library_error(connection, cancelled, self._scheme_hint)
        finally:
            connection.close()
            self.last_was_sent = connection.sent
            self.requests += connection.sent
        # The frames of a traceback hold the body and the token in their variables, and so may the
        # error that was handled above.
        failure.__context__ = None
        raise failure.with_traceback(None)

    def count_errcode(self, errcode: int) -> None:
        """Count the errcode of an answer, unless it is 0."""
        if errcode != SUCCESS:
            self.errcodes[errcode] += 1

    def cancel(self) -> None:
        """End the running request and refuse later ones, unless sent with *even_if_cancelled*."""
        self.cancelled.set()
        connection = self._cancellable
        if connection is not None:
            connection.abort()

    def _exchange(self, request: APIRequest, connection: DeadlineConnection) -> bytes:
        connection.seconds_left()
        connection.check_may_send()
        began = self._wall()
        response = self._request(request, connection)
        middle = (began + self._wall()) / 2
        failure = failures.http_status_error(
            response.status_code, response.headers, self._wall(), self.server
        )
        if failure is not None:
            if self._scheme_hint and response.status_code == _BAD_REQUEST:
                # Web servers answer 400 to plain HTTP on a port for HTTPS, and our requests are
                # well-formed, so this is the likely cause.
                failure.args = (f"{failure}{self._scheme_hint}",)
            if isinstance(failure, failures.AccessRefused):
                failure = failures.AccessRefused(failure.status, _errcode_in(response), self.server)
            raise failure
        self.clock_offset = clock_offset(response.headers.get("Date", ""), middle)
        if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise TryAgain("the answer is compressed, which was not asked for", reason="garbled")
        return _read_body(response, request.most_bytes)

    def _request(self, request: APIRequest, connection: DeadlineConnection) -> requests.Response:
        self._adapter.connection = connection
        body, token = request.body, request.token
        prepared = requests.PreparedRequest()
        prepared.prepare(
            method=request.method,
            url=f"{self._root_url}/{request.path}",
            params=request.fields,
            data=body.reveal().encode() if body is not None else None,
            headers=_HEADERS if body is None else {**_HEADERS, "Content-Type": "application/json"},
            auth=AccessToken(token) if token is not None else None,
        )
        response = self._adapter.send(prepared, stream=True)
        connection.sent = True  # It was answered, so it was sent, whatever it went over.
        return response


def _read_body(response: requests.Response, most_bytes: int) -> bytes:
    announced = response.headers.get("Content-Length", "")
    if announced.isdecimal() and (len(announced) > 18 or int(announced) > most_bytes):
        raise _too_large(most_bytes)
    blocks, size = [], 0
    while block := response.raw.read(_BLOCK_BYTES, decode_content=False):
        blocks.append(block)
        size += len(block)
        if size > most_bytes:
            raise _too_large(most_bytes)
    if not size:
        # An answer that was cut within its headers looks like this, too.
        raise TryAgain("the answer is empty", reason="garbled")
    return b"".join(blocks)


def _too_large(most_bytes: int) -> TryAgain:
    return TryAgain(f"the answer is longer than {most_bytes} bytes", reason="too_large")


def _errcode_in(response: requests.Response) -> int | None:
    """Return the errcode in the body of an answer of whatever HTTP status; None without one."""
    # Whatever is wrong with the body: the status says enough.
    with suppress(PBXError, OSError, HTTPError, HTTPException, GarbledAnswer):
        body = _read_body(response, largest_answer(0))
        return errcode_of(read_object(body, ["errcode"]).get("errcode")) or None
    return None


def _library_error(
    connection: DeadlineConnection, cancelled: threading.Event, scheme_hint: str
) -> PBXError:
    """Return what an exception of the libraries means, by how much of an answer has arrived."""
    if cancelled.is_set():
        return Cancelled("stopped", reason="connect")
    server = connection.server
    if connection.received == 0:
        return TryAgain(
            f"{server} closed the connection without an answer{scheme_hint}", reason="connect"
        )
    return TryAgain(f"the answer of {server} is cut off or not HTTP{scheme_hint}", reason="garbled")
