"""HTTP requests and replies, and how the PBX words a reply.

Rule: an error of the API is HTTP 200 with `errcode` and `errmsg`. The message belongs to the
code and is given here once, as the vendor's page "Error Code and Error Message" has it.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

JSON_TYPE = "application/json; charset=utf-8"

ERROR_MESSAGES = {
    -2: "INTERNAL SERVER ERROR",
    -1: "FAILURE",
    0: "SUCCESS",
    2: "PROCESSING",
    10001: "INTERFACE NOT EXISTED",
    10002: "API VERSION OUT OF MAINTENANCE",
    10003: "API VERSION UNSUPPORTED",
    10004: "TOKEN EXPIRED",
    10005: "ACCESS DENIED",
    10009: "OPERATION FAILED",
    40001: "PARAMETER SYNTAX ERROR",
    40002: "PARAMETER ERROR",
    60001: "DATA NOT FOUND",
    60002: "MAX LIMITATION EXCEEDED",
    70004: "ACCOUNT IP BLOCKED",
    70082: "OVERLOAD_TASK_RUNNING",
    70087: "IP FORBIDDEN",
    70123: "API UNAVAILABLE",
}


@dataclass(frozen=True, slots=True)
class HTTPRequest:
    """One HTTP request.

    *path* is without the query, *query* is the raw text after `?`; *headers* have lower-case
    names; *client* is the peer's address.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    client: str = "127.0.0.1"

    @property
    def parameters(self) -> dict[str, str]:
        """The fields of the query; of a repeated one the last."""
        return dict(parse_qsl(self.query, keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class HTTPReply:
    """One HTTP reply, and how the server is to disturb the sending of it.

    *delay_seconds* passes before the first byte and *drip_seconds* after every byte, headers
    included; *cut_after* is the number of body bytes after which the connection closes;
    *dropped* closes it before the first byte. *rows* and *errcode* are for the log only.
    """

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    rows: int = 0
    errcode: int | None = None
    delay_seconds: float = 0.0
    drip_seconds: float = 0.0
    cut_after: int | None = None
    dropped: bool = False

    @property
    def head(self) -> bytes:
        """The status line and the headers as they go over the wire."""
        phrase = HTTPStatus(self.status).phrase if self.status in _STATUSES else "Unknown"
        headers = {
            "Content-Type": JSON_TYPE,
            **self.headers,
            "Content-Length": str(len(self.body)),
            "Connection": "close",
        }
        lines = [f"HTTP/1.1 {self.status} {phrase}", *(f"{k}: {v}" for k, v in headers.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


_STATUSES = frozenset(HTTPStatus)


class APIRefusal(Exception):
    """The API refuses: *errcode*, and the invalid parameters with their values."""

    def __init__(self, errcode: int, invalid: Mapping[str, str] | None = None) -> None:
        super().__init__(errcode)
        self.errcode = errcode
        self.invalid = invalid or {}


def success_reply(fields: Mapping[str, Any], rows: int = 0) -> HTTPReply:
    """Return the API's answer to a request that it fulfilled."""
    body = {"errcode": 0, "errmsg": ERROR_MESSAGES[0], **fields}
    return HTTPReply(HTTPStatus.OK, json_bytes(body), rows=rows, errcode=0)


def refusal_reply(refused: APIRefusal) -> HTTPReply:
    """Return the API's answer to a request that it refused."""
    errmsg = ERROR_MESSAGES.get(refused.errcode, "UNKNOWN ERROR")
    body: dict[str, Any] = {"errcode": refused.errcode, "errmsg": errmsg}
    if refused.invalid:
        body["invalid_param_list"] = [
            {"field": name, "value": value} for name, value in refused.invalid.items()
        ]
    return HTTPReply(HTTPStatus.OK, json_bytes(body), errcode=refused.errcode)


@dataclass(frozen=True, slots=True)
class RawJSON:
    """A value sent as the JSON text that it is, valid or not."""

    text: str


def json_bytes(body: object) -> bytes:
    """Return *body* as UTF-8 JSON; a lone surrogate in it is sent as its escape."""
    raw: dict[str, str] = {}

    def mark(value: object) -> str:
        if not isinstance(value, RawJSON):
            raise TypeError(f"{type(value).__name__} is no JSON")
        raw[name := f"raw-{uuid4().hex}"] = value.text
        return name

    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), default=mark)
    for name, value in raw.items():
        text = text.replace(f'"{name}"', value, 1)
    return text.encode("utf-8", _LONE_ESCAPED)


_LONE_ESCAPED = "simulator-lone-surrogate"


def _escaped(error: UnicodeError) -> tuple[bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lone = error.object[error.start : error.end]
    return "".join(f"\\u{ord(each):04x}" for each in lone).encode(), error.end


codecs.register_error(_LONE_ESCAPED, _escaped)
