"""An adapter of `requests` that sends over a `DeadlineConnection`, and the token out of sight.

Rule: no URL that `requests` or `urllib3` gets to see holds the token, since both put URLs into
exceptions and debug logs. `AccessToken` writes a placeholder into the URL, which
`_TokenWritingConnection` replaces by the token while it writes the request line.

How it works: `DeadlineAdapter` is an `HTTPAdapter` but for the pool and the connection that it
hands to `urllib3`:

    HTTPAdapter.send → urllib3's pool → _TokenWritingConnection, which is http.client's, on a
    DeadlineConnection as its socket

There is no `requests.Session`: it would add proxies and netrc from the environment, cookies and
redirects, none of which is wanted, and a third of the processor time of a poll.

TLS happens inside the `DeadlineConnection`, so that above it everything looks like plain HTTP, and
neither library loads a CA store or checks a certificate.
"""

from __future__ import annotations

import io
import logging
from typing import Any, cast
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection

from ..secret import Secret
from .connection import DeadlineConnection
from .tls import TLSPolicy
from .token_rules import is_token

_PLACEHOLDER = "access_token=-redacted-"
_ATTRIBUTE = "access_token"
_COOKIE_HEADERS = ("Set-Cookie", "Set-Cookie2")
_BUFFER_BYTES = 1 << 16

# Its only message quotes headers that it could not parse, and a proxy may echo the request line,
# token included, in one of them.
logging.getLogger("urllib3.connection").addFilter(lambda _: False)


class AccessToken(AuthBase):
    """Adds the token to a request: a placeholder to its URL, the token itself as an attribute.

    Raises `ValueError` for a token that could change the request line.
    """

    def __init__(self, token: Secret) -> None:
        if not is_token(token.reveal()):
            raise ValueError("the token has an unexpected form; nothing is sent")
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the token; `requests` calls this when the request is otherwise complete."""
        url = request.url or ""
        request.url = f"{url}{'&' if '?' in url else '?'}{_PLACEHOLDER}"
        vars(request)[_ATTRIBUTE] = self._token
        return request


def token_of(request: requests.PreparedRequest) -> Secret | None:
    """Return the token that `AccessToken` has added to the request; None where it has not."""
    return vars(request).get(_ATTRIBUTE)


class DeadlineAdapter(HTTPAdapter):
    """Sends each request over *connection*, which its user sets anew before each request.

    Without environment (proxies, netrc), redirects and retries, and without cookies.
    """

    connection: DeadlineConnection

    def __init__(self, tls_policy: TLSPolicy | None) -> None:
        super().__init__()
        self._tls_policy = tls_policy

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, *_: object, **__: object
    ) -> HTTPConnectionPool:
        """Return a new pool for the request: no connection is used twice."""
        url = urlsplit(request.url or "")
        port = url.port or (443 if url.scheme == "https" else 80)
        return _OneConnectionPool(
            url.hostname or "",
            port,
            connection=self.connection,
            tls_policy=self._tls_policy,
            token=token_of(request),
        )

    def add_headers(self, request: requests.PreparedRequest, **_: object) -> None:
        """Add `Host`: urllib3, to which all is plain HTTP, leaves out the wrong default port."""
        request.headers["Host"] = urlsplit(request.url or "").netloc

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """Drop cookies unparsed: Python's cookie parser warns about malformed ones."""
        headers = resp._original_response.msg
        for name in _COOKIE_HEADERS:
            if name in headers:
                del headers[name]
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
            if _PLACEHOLDER not in url:
                raise ValueError("no place for the token in the URL; nothing is sent")
            url = url.replace(_PLACEHOLDER, f"access_token={self._token.reveal()}", 1)
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
