"""What the tests of the simulated PBX share: a clock to set, requests to the API, its rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from pbx_simulator import SimulatedPBX
from pbx_simulator.http_messages import HTTPReply, HTTPRequest

NOW = 1_772_445_600
"""A Monday at ten in the morning, UTC."""

API_ROOT = "/openapi/v1.0"
USER_AGENT = {"user-agent": "OpenAPI"}
CREDENTIALS = {"username": "simulated", "password": "simulated-secret"}

Steer = Callable[..., Any]
"""Lets an event happen: its name and its arguments → what it returns."""


class SettableClock:
    """Returns the time that a test sets (UTC epoch seconds)."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class APIUser:
    """Asks the API of one PBX as its only user, and logs in when it has no token."""

    def __init__(self, pbx: SimulatedPBX) -> None:
        self._pbx = pbx
        self._token = ""

    def cdr_list(self, **parameters: object) -> HTTPReply:
        if not self._pbx.tokens.live:
            self._token = self._log_in()
        query = urlencode({"access_token": self._token, **parameters})
        return self._pbx.answer(
            HTTPRequest("GET", f"{API_ROOT}/cdr/list", query, headers=USER_AGENT)
        )

    def page(self, **parameters: object) -> Any:
        """Return the body of the answer; the newest ids first unless *parameters* say otherwise."""
        newest_first: dict[str, object] = {"sort_by": "id", "order_by": "desc"}
        return json.loads(self.cdr_list(**(newest_first | parameters)).body)

    def rows(self, **parameters: object) -> list[Any]:
        data: list[Any] = self.page(**parameters)["data"]
        return data

    def ids(self, **parameters: object) -> list[int]:
        return [row["id"] for row in self.rows(**parameters)]

    def _log_in(self) -> str:
        body = json.dumps(CREDENTIALS).encode()
        request = HTTPRequest("POST", f"{API_ROOT}/get_token", headers=USER_AGENT, body=body)
        token: str = json.loads(self._pbx.answer(request).body)["access_token"]
        return token
