"""One HTTP request to a PBX and its answer's body.

Rule: one deadline for all of it, no redirect, no proxy, no netrc, no cookie, no retry, no
decompression, and an error shows nothing of the request. A `requests.Session` would bring most of
these along, so the request goes to our adapter directly.

What `requests`, `urllib3` and `http.client` raise holds the request, its body and pieces of the
answer, and `raise ... from None` keeps them within reach. So `send` raises errors of our own,
after it has let go of theirs.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError

from ..cdr.contract import SUCCESS
from ..errors import PBXError, TryAgain
from ..secret import Secret
from ..settings import TLS
from . import failures
from .connection import Cancelled, DeadlineConnection
from .http_adapter import PLACEHOLDER, DeadlineAdapter
from .tls import tls_policy_of

MAX_BODY = 16 << 20
"""Bytes; 10,000 rows take about 5 MiB."""

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
    """What to ask for: *path* is below `api_path`, *body* is JSON text."""

    method: str
    path: str
    fields: Mapping[str, str] = field(default_factory=dict)
    token: Secret | None = None
    body: Secret | None = None


class Transport:
    """Sends requests to one PBX, one at a time.

    *errcodes* counts refusals by error code, for who decodes the answers to add to.
    *requests* counts those of which a byte was sent. *last_was_sent* tells it of the last one.
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
        self.cancelled = threading.Event()
        self._root_url = root_url
        self._tls_policy = tls_policy_of(tls) if root_url.startswith("https:") else None
        self._scheme_hint = "" if self._tls_policy else _HTTP_HINT
        self._wall = wall
        self._monotonic = monotonic
        self._connection: DeadlineConnection | None = None

    def send(
        self, request: APIRequest, timeout_seconds: float, *, even_if_cancelled: bool = False
    ) -> bytes:
        """Return the body of a 200; raises a `PBXError` that shows nothing of the request."""
        cancelled = threading.Event() if even_if_cancelled else self.cancelled
        connection = self._connection = DeadlineConnection(
            timeout_seconds, cancelled, self._monotonic
        )
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
        # The frames below hold the request's body and the token; so may an error on the way.
        failure.__context__ = None
        raise failure.with_traceback(None)

    def count_errcode(self, errcode: int) -> None:
        """Note the error code of an answer, if it is one."""
        if errcode != SUCCESS:
            self.errcodes[errcode] += 1

    def cancel(self) -> None:
        """Abort the request under way and refuse later ones, but for those excepted."""
        self.cancelled.set()
        connection = self._connection
        if connection is not None:
            connection.abort()

    def _exchange(self, request: APIRequest, connection: DeadlineConnection) -> bytes:
        connection.seconds_left()
        adapter = DeadlineAdapter(connection, self._tls_policy, request.token)
        response = adapter.send(self._prepared(request), stream=True)
        failure = failures.http_status_error(response.status_code, response.headers, self._wall())
        if failure is not None:
            if self._scheme_hint and response.status_code == _BAD_REQUEST:
                # What web servers say to plain HTTP on a port for HTTPS; ours are well-formed.
                failure.args = (f"{failure}{self._scheme_hint}",)
            raise failure
        if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise TryAgain("the answer is compressed, unasked", reason="garbled")
        return _read_body(response.raw)

    def _prepared(self, request: APIRequest) -> requests.PreparedRequest:
        fields = dict(request.fields)
        if request.token is not None:
            fields = {"access_token": PLACEHOLDER, **fields}
        headers, data = dict(_HEADERS), None
        if request.body is not None:
            headers["Content-Type"] = "application/json"
            data = request.body.reveal().encode()
        url = f"{self._root_url}/{request.path}"
        prepared = requests.Request(
            request.method, url, params=fields, headers=headers, data=data
        ).prepare()
        # The connection below cannot tell http from https, so neither a default port.
        prepared.headers["Host"] = urlsplit(str(prepared.url)).netloc
        return prepared


def _read_body(raw: Any) -> bytes:
    blocks, size = [], 0
    while block := raw.read(_BLOCK_BYTES, decode_content=False):
        blocks.append(block)
        size += len(block)
        if size > MAX_BODY:
            raise TryAgain(f"the answer is longer than {MAX_BODY} bytes", reason="too_large")
    if not size:
        # Also what is left of an answer that was cut within its headers.
        raise TryAgain("the answer is empty", reason="garbled")
    return b"".join(blocks)


def _library_error(
    connection: DeadlineConnection, cancelled: threading.Event, scheme_hint: str
) -> PBXError:
    """Say what an error of the libraries means, by how far the line got."""
    if cancelled.is_set():
        return Cancelled("stopped", reason="connect")
    if connection.received == 0:
        return TryAgain(
            f"the connection was closed without an answer{scheme_hint}", reason="connect"
        )
    return TryAgain(f"the answer is cut off or not HTTP{scheme_hint}", reason="garbled")
