"""The PBX's rules for tokens; it has no table of CDRs to page through."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from requests import PreparedRequest
from responses import RequestsMock

from cdr_exporter.pbx.http_adapter import token_of

from .socket_server import Call, ok


@dataclass
class TokenServer:
    """Keeps the token rules: who has logged in, which tokens live.

    It is a step of a `Wire`, and `answer_requests` lets it answer without a socket. *says* holds
    answers to give first, by endpoint: an error code, or the bytes of an answer. With a token that
    lives, the CDR list is *rows*, whichever page is asked for. *calls* holds the endpoints that
    were called; *before_answer* is called with each of them.
    """

    secret: str = "right-secret"
    serial: int = 0
    alive: set[str] = field(default_factory=set)
    refreshable: set[str] = field(default_factory=set)
    life: Any = 1800
    rows: list[dict[str, Any]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    says: dict[str, list[int | bytes]] = field(default_factory=dict)
    before_answer: Callable[[str], object] = lambda _: None

    def __call__(self, call: Call) -> None:
        head, _, body = call.request().partition(b"\r\n\r\n")
        target = urlsplit(head.split(b" ")[1].decode())
        token = parse_qs(target.query).get("access_token", [""])[0]
        call.write(self.say(target.path, token, body))

    def answer_requests(self, answers: RequestsMock, base_url: str) -> None:
        """Answer what `requests` is asked for below *base_url*, perhaps nothing."""
        answers.assert_all_requests_are_fired = False
        for method in ("GET", "POST"):
            answers.add_callback(method, re.compile(re.escape(f"{base_url}/")), self._respond)

    def _respond(self, request: PreparedRequest) -> tuple[int, dict[str, str], bytes]:
        token, body = token_of(request), request.body
        assert body is None or isinstance(body, bytes)
        path = urlsplit(request.url or "").path
        whole = self.say(str(path), token.reveal() if token else "", body or b"")
        head, _, content = whole.partition(b"\r\n\r\n")
        status, *headers = head.decode("latin-1").split("\r\n")
        named = dict(header.split(": ", 1) for header in headers)
        return int(status.split()[1]), named, content

    def say(self, path: str, token: str, body: bytes) -> bytes:
        """Return the bytes of the answer to a request."""
        endpoint = path.removeprefix("/openapi/v1.0/")
        self.calls.append(endpoint)
        self.before_answer(endpoint)
        scripted = self.says.get(endpoint)
        said = scripted.pop(0) if scripted else None
        if isinstance(said, int):
            return self.error(said)
        fields = json.loads(body) if body else {}
        return said or ok(json.dumps(self.answer(endpoint, token, fields)).encode())

    def answer(self, endpoint: str, token: str, fields: dict[str, str]) -> dict[str, Any]:
        if endpoint == "get_token":
            right = fields["password"] == self.secret
            return self.pair() if right else {"errcode": -1, "errmsg": "FAILURE"}
        if endpoint == "refresh_token":
            known = fields["refresh_token"] in self.refreshable
            return self.pair() if known else {"errcode": 10004, "errmsg": "TOKEN EXPIRED"}
        if token not in self.alive:
            return {"errcode": 10004, "errmsg": "TOKEN EXPIRED"}
        if endpoint == "del_token":
            self.alive.remove(token)
            return {"errcode": 0, "errmsg": "SUCCESS"}
        return {"errcode": 0, "total_number": len(self.rows), "data": self.rows}

    def pair(self) -> dict[str, Any]:
        """Issue a pair; the older ones live on, as they do on the PBX."""
        self.serial += 1
        access, refresh = f"access-token-{self.serial:04}", f"refresh-token-{self.serial:04}"
        self.alive.add(access)
        self.refreshable.add(refresh)
        return {
            "errcode": 0,
            "errmsg": "SUCCESS",
            "access_token": access,
            "access_token_expire_time": self.life,
            "refresh_token": refresh,
            "refresh_token_expire_time": 86400,
        }

    def error(self, errcode: int) -> bytes:
        return ok(json.dumps({"errcode": errcode, "errmsg": "FAILURE"}).encode())

    def counted(self) -> dict[str, int]:
        """How often each endpoint was called."""
        return dict(Counter(self.calls))
