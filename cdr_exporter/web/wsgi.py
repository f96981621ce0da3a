"""The parts of a request that are used, and a response with all its headers.

Rule: the path is the request target exactly as the client sent it, up to the first `?`. The path
that WSGI servers provide is decoded, with slashes merged and fragments removed. With it
`//metrics` and `/%6detrics` would count as `/metrics`, and a check of a file name could be
bypassed.
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

_COMMON_HEADERS = (
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "deny"),
)


@dataclass(frozen=True, slots=True)
class HTTPRequest:
    """A request: *path* and *query* are as sent, the headers empty if missing."""

    method: str
    path: str
    query: str
    accept: str = ""
    accept_encoding: str = ""
    host: str = ""

    @classmethod
    def from_environ(cls, environ: WSGIEnvironment) -> HTTPRequest:
        """Return the request in a WSGI environment; waitress adds `REQUEST_URI` to it."""
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
        """Return all values of *key* in the query, decoded, empty ones included."""
        pairs = parse_qsl(self.query, keep_blank_values=True)
        return [value for name, value in pairs if name == key]


@dataclass(frozen=True, slots=True)
class HTTPResponse:
    """A response; *headers* are sent in addition to those that every response has."""

    body: bytes
    content_type: str = TEXT
    status: HTTPStatus = HTTPStatus.OK
    headers: tuple[tuple[str, str], ...] = ()

    def send(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Start the response and return its body (WSGI); the response to HEAD has no body."""
        start_response(
            f"{self.status.value} {self.status.phrase}",
            [
                ("Content-Type", self.content_type),
                ("Content-Length", str(len(self.body))),
                *_COMMON_HEADERS,
                *self.headers,
            ],
        )
        if environ["REQUEST_METHOD"] == "HEAD":
            return []
        return _body_iterable(environ, self.body)


def text_response(line: str, status: HTTPStatus = HTTPStatus.OK) -> HTTPResponse:
    """Return a response of one line of text."""
    return HTTPResponse(f"{line}\n".encode(), status=status)


def _body_iterable(environ: WSGIEnvironment, body: bytes) -> Iterable[bytes]:
    # waitress copies a list into its buffer, which is a temporary file from 1 MB on, and a scrape
    # must not depend on a disk. It sends a file object without a copy.
    wrapper: Any = environ.get("wsgi.file_wrapper")
    wrapped: Iterable[bytes] = wrapper(io.BytesIO(body)) if wrapper else [body]
    return wrapped
