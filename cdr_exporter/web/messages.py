"""The parts of a request that are used, and a response with all its headers.

Rule: the path is the request target exactly as the client sent it, up to the first `?`; nothing is
decoded, merged or cut off. Otherwise `//metrics` and `/%6detrics` would count as `/metrics`, and a
check of a file name could be bypassed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import NamedTuple, TypeAlias
from urllib.parse import parse_qsl

TEXT = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"
JSON = "application/json"

HeaderFields: TypeAlias = tuple[tuple[str, str], ...]

_COMMON_HEADERS: HeaderFields = (
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "deny"),
)

_PIECE_BYTES = 64 * 1024
"""How much of a body is sent at a time: what other connections wait for, and what is copied."""


@dataclass(frozen=True, slots=True)
class HTTPRequest:
    """A request: *path* and *query* are as sent, the headers empty if missing."""

    method: str
    path: str
    query: str = ""
    accept: str = ""
    accept_encoding: str = ""
    host: str = ""
    origin: str = ""
    authorization: str = field(default="", repr=False)

    def values(self, key: str) -> list[str]:
        """Return all values of *key* in the query, decoded, empty ones included."""
        pairs = parse_qsl(self.query, keep_blank_values=True)
        return [value for name, value in pairs if name == key]


class Parts(NamedTuple):
    """A body of *length* bytes that is made part by part, as the client takes it.

    It may have hundreds of megabytes, of which many clients at once take their time.
    """

    length: int
    parts: Iterable[bytes]


@dataclass(frozen=True, slots=True)
class HTTPResponse:
    """A response; *headers* are sent in addition to those that every response has.

    *replacements* are headers of the user, in place of ours of the same name.
    """

    body: bytes | Parts
    content_type: str = TEXT
    status: HTTPStatus = HTTPStatus.OK
    headers: HeaderFields = ()
    replacements: HeaderFields = ()

    @property
    def all_headers(self) -> HeaderFields:
        """The headers to send; `Date` and `Connection` are those of the connection."""
        replaced = {name for name, _ in self.replacements}
        ours = (
            ("Content-Type", self.content_type),
            ("Content-Length", str(self._length)),
            *_COMMON_HEADERS,
            *self.headers,
        )
        kept = (field for field in ours if field[0] not in replaced)
        return (*kept, *self.replacements)

    @property
    def _length(self) -> int:
        return len(self.body) if isinstance(self.body, bytes) else self.body.length

    def pieces(self) -> Iterator[bytes | memoryview]:
        """Yield the body, once, in pieces of bounded size: small parts joined, large ones cut."""
        small: list[bytes] = []
        gathered = 0
        for part in (self.body,) if isinstance(self.body, bytes) else self.body.parts:
            if gathered and gathered + len(part) > _PIECE_BYTES:
                yield b"".join(small)
                small, gathered = [], 0
            if len(part) > _PIECE_BYTES:
                yield from _cut(part)
            else:
                small.append(part)
                gathered += len(part)
        if gathered:
            yield b"".join(small)


def text_response(
    line: str, status: HTTPStatus = HTTPStatus.OK, headers: HeaderFields = ()
) -> HTTPResponse:
    """Return a response of one line of text."""
    return HTTPResponse(f"{line}\n".encode(), status=status, headers=headers)


def _cut(part: bytes) -> Iterator[memoryview]:
    view = memoryview(part)
    for start in range(0, len(view), _PIECE_BYTES):
        yield view[start : start + _PIECE_BYTES]
