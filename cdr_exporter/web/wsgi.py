"""A request as far as we look at it, and an answer with all its headers.

Rule: the path is the request target as it was sent, up to the first `?`. Servers decode it, fold
slashes and drop fragments before they hand it on; then `//metrics` and `/%6detrics` would pass
for `/metrics`, and a name check could be walked around.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl
from wsgiref.types import StartResponse, WSGIEnvironment

TEXT = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"
JSON = "application/json"

_ALWAYS = (
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "deny"),
)


@dataclass(frozen=True, slots=True)
class HTTPRequest:
    """The parts of a request that matter to us."""

    method: str
    path: str
    query: str
    accept: str = ""
    accept_encoding: str = ""
    host: str = ""

    @classmethod
    def read(cls, environ: WSGIEnvironment) -> HTTPRequest:
        """Read a request out of what waitress hands over."""
        path, _, query = environ["REQUEST_URI"].partition("?")
        return cls(
            method=environ["REQUEST_METHOD"],
            path=path,
            query=query,
            accept=environ.get("HTTP_ACCEPT", ""),
            accept_encoding=environ.get("HTTP_ACCEPT_ENCODING", ""),
            host=environ.get("HTTP_HOST", ""),
        )

    def values(self, key: str) -> list[str]:
        """Return the values of *key* in the query, empty ones too."""
        pairs = parse_qsl(self.query, keep_blank_values=True)
        return [value for name, value in pairs if name == key]


@dataclass(frozen=True, slots=True)
class HTTPResponse:
    """Status, body and the headers that are not on every answer."""

    body: bytes
    content_type: str = TEXT
    status: HTTPStatus = HTTPStatus.OK
    headers: tuple[tuple[str, str], ...] = ()

    def send(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer; HEAD gets the length and no body."""
        start_response(
            f"{self.status.value} {self.status.phrase}",
            [
                ("Content-Type", self.content_type),
                ("Content-Length", str(len(self.body))),
                *_ALWAYS,
                *self.headers,
            ],
        )
        if environ["REQUEST_METHOD"] == "HEAD":
            return []
        return _chunks(environ, self.body)


def text(words: str, status: HTTPStatus = HTTPStatus.OK) -> HTTPResponse:
    """Return one line of text for people and probes."""
    return HTTPResponse(f"{words}\n".encode(), status=status)


def _chunks(environ: WSGIEnvironment, body: bytes) -> Iterable[bytes]:
    # A list would be copied into the server's buffer, and from 1 MB on into a temporary file:
    # a scrape must not need a disk. A file is sent from where it lies.
    wrapper: Any = environ.get("wsgi.file_wrapper")
    wrapped: Iterable[bytes] = wrapper(io.BytesIO(body)) if wrapper else [body]
    return wrapped
