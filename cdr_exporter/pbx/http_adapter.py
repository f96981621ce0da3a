"""`requests` over a `DeadlineConnection`, with the token put in on the wire.

Rule: the token never stands in a URL that Python sees. URLs end up in exceptions and debug logs of
`requests` and `urllib3`, so they carry a placeholder, and the connection puts the token in its
place while it writes the request line.

How it works: the adapter gives each request a `urllib3` pool of one connection, and that
connection a socket that is our `DeadlineConnection`. TLS happens inside it, so that above it
everything looks like plain HTTP, and neither library loads a CA store or checks a certificate.
"""

from __future__ import annotations

import io
import logging
from typing import Any, cast
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection

from ..secret import Secret
from .connection import DeadlineConnection
from .tls import TLSPolicy
from .token_rules import is_token

PLACEHOLDER = "-redacted-"

_PLACEHOLDER_FIELD = f"access_token={PLACEHOLDER}"
_BUFFER_BYTES = 1 << 16

# Its one message shows headers it could not read, and a proxy may echo the request line in one.
logging.getLogger("urllib3.connection").addFilter(lambda _: False)


class DeadlineAdapter(HTTPAdapter):
    """`requests` over one line. A `Session` is left out: netrc, proxies and cookies are its."""

    def __init__(
        self, connection: DeadlineConnection, tls_policy: TLSPolicy | None, token: Secret | None
    ) -> None:
        super().__init__(pool_connections=1, pool_maxsize=1)
        self._connection, self._tls_policy, self._token = connection, tls_policy, token

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, *_: object, **__: object
    ) -> HTTPConnectionPool:
        """Give the request a pool of its own: no connection is ever used twice."""
        url = urlsplit(request.url or "")
        port = url.port or (443 if url.scheme == "https" else 80)
        return _OneConnectionPool(
            url.hostname or "",
            port,
            connection=self._connection,
            tls_policy=self._tls_policy,
            token=self._token,
        )

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """Drop cookies unread: Python's reader of them stumbles over some, with a warning."""
        original = getattr(resp, "_original_response", None)
        if original is not None:
            del original.msg["Set-Cookie"], original.msg["Set-Cookie2"]
        return super().build_response(req, resp)

    def cert_verify(self, *_: object, **__: object) -> None:
        """Leave it to the line."""


class _TokenWritingConnection(HTTPConnection):
    debuglevel = 0  # a debugger's `http.client.HTTPConnection.debuglevel = 1` prints requests

    def __init__(
        self,
        *args: Any,
        connection: DeadlineConnection,
        tls_policy: TLSPolicy | None,
        token: Secret | None,
        **settings: Any,
    ) -> None:
        super().__init__(*args, **settings)
        self._connection, self._tls_policy, self._token = connection, tls_policy, token

    def connect(self) -> None:
        self._connection.connect(self.host, self.port)
        if self._tls_policy is not None:
            self._connection.start_tls(self.host, self._tls_policy)
        self.sock = cast(Any, _SocketFacade(self._connection))

    def putrequest(self, method: str, url: str, *args: Any, **settings: Any) -> None:
        if self._token is not None:
            token = self._token.reveal()
            if not is_token(token) or _PLACEHOLDER_FIELD not in url:
                raise ValueError("this request must not be sent")
            url = url.replace(_PLACEHOLDER_FIELD, f"access_token={token}", 1)
        super().putrequest(method, url, *args, **settings)


class _OneConnectionPool(HTTPConnectionPool):
    ConnectionCls = _TokenWritingConnection


class _SocketFacade:
    """What `http.client` wants of a socket. The line is closed by who opened it."""

    def __init__(self, connection: DeadlineConnection) -> None:
        self._connection = connection

    def sendall(self, data: bytes) -> None:
        self._connection.send(data)

    def makefile(self, *_: object, **__: object) -> io.BufferedReader:
        return io.BufferedReader(_ReceivedBytes(self._connection), _BUFFER_BYTES)

    def settimeout(self, _: float | None) -> None:
        """Keep the line's own."""

    def close(self) -> None:
        """Leave it open: the answer's body is still to be read."""


class _ReceivedBytes(io.RawIOBase):
    def __init__(self, connection: DeadlineConnection) -> None:
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._connection.receive_into(buffer)
