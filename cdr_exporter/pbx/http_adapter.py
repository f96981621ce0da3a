"""`requests` over a `DeadlineConnection`; the token is put into the request line as it is sent.

Rule: no URL that `requests` or `urllib3` gets to see holds the token, since both put URLs into
exceptions and debug logs. The URL holds a placeholder, and `_TokenWritingConnection` replaces it
by the token while it writes the request line.

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

# Its only message quotes headers that it could not parse, and a proxy may echo the request line,
# token included, in one of them.
logging.getLogger("urllib3.connection").addFilter(lambda _: False)


class DeadlineAdapter(HTTPAdapter):
    """Sends one request over one `DeadlineConnection`.

    Used without a `requests.Session`, which would add netrc, proxies and cookies.
    """

    def __init__(
        self, connection: DeadlineConnection, tls_policy: TLSPolicy | None, token: Secret | None
    ) -> None:
        super().__init__(pool_connections=1, pool_maxsize=1)
        self._connection, self._tls_policy, self._token = connection, tls_policy, token

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, *_: object, **__: object
    ) -> HTTPConnectionPool:
        """Return a new pool for the request: no connection is used twice."""
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
        """Drop cookies unparsed: Python's cookie parser warns about malformed ones."""
        original = getattr(resp, "_original_response", None)
        if original is not None:
            del original.msg["Set-Cookie"], original.msg["Set-Cookie2"]
        return super().build_response(req, resp)

    def cert_verify(self, *_: object, **__: object) -> None:
        """Do nothing: `DeadlineConnection.start_tls` checks the certificate."""


class _TokenWritingConnection(HTTPConnection):
    debuglevel = 0  # else `http.client.HTTPConnection.debuglevel = 1` would print the token

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
                raise ValueError("the token or the URL has an unexpected form; nothing is sent")
            url = url.replace(_PLACEHOLDER_FIELD, f"access_token={token}", 1)
        super().putrequest(method, url, *args, **settings)


class _OneConnectionPool(HTTPConnectionPool):
    ConnectionCls = _TokenWritingConnection


class _SocketFacade:
    """The methods of a socket that `http.client` calls. `Transport` closes the connection."""

    def __init__(self, connection: DeadlineConnection) -> None:
        self._connection = connection

    def sendall(self, data: bytes) -> None:
        self._connection.send(data)

    def makefile(self, *_: object, **__: object) -> io.BufferedReader:
        return io.BufferedReader(_ReceivedBytes(self._connection), _BUFFER_BYTES)

    def settimeout(self, _: float | None) -> None:
        """Do nothing: the connection's deadline applies."""

    def close(self) -> None:
        """Do nothing: `http.client` closes the socket before the body has been read."""


class _ReceivedBytes(io.RawIOBase):
    """The bytes of the answer as a stream."""

    def __init__(self, connection: DeadlineConnection) -> None:
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._connection.receive_into(buffer)
