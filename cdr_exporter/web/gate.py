"""What is asked before a request is answered: whether the name is ours, how many come, and who."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from http import HTTPStatus

from .counted_log import CountedLog
from .hosts import Hosts
from .logins import Logins, Verdict
from .messages import HTTPRequest, HTTPResponse, text_response
from .web_config_file import Access

_log = logging.getLogger(__name__)

_FOREIGN_NAME = text_response(
    "this is not the host of that name; if it should be, name it by --web.external-url",
    HTTPStatus.MISDIRECTED_REQUEST,
)
_TOO_MANY = text_response(
    "too many requests", HTTPStatus.TOO_MANY_REQUESTS, (("Retry-After", "1"),)
)
_NO_LOGIN = text_response(
    "a login is needed", HTTPStatus.UNAUTHORIZED, (("WWW-Authenticate", "Basic"),)
)


class Gate:
    """Refuses requests; *access* returns what the file of `--web.config.file` says now."""

    def __init__(self, hosts: Hosts, access: Callable[[], Access], logins: Logins) -> None:
        self._hosts = hosts
        self._access = access
        self._logins = logins
        self._wrong_logins = CountedLog(_log, "logins refused", "logins")

    async def refusal(self, request: HTTPRequest, client: str) -> HTTPResponse | None:
        """Return why *client* gets no other response to *request*, or None."""
        access = self._access()
        if not self._hosts.has(request.host):
            return _FOREIGN_NAME
        if not access.limiter.allows(time.monotonic()):
            return _TOO_MANY
        return await self._login_refusal(request, client, access) if access.users else None

    async def _login_refusal(
        self, request: HTTPRequest, client: str, access: Access
    ) -> HTTPResponse | None:
        if not request.authorization:
            return _NO_LOGIN
        verdict = await self._logins.check(request.authorization, access.users, client)
        if verdict is Verdict.RIGHT:
            return None
        self._wrong_logins.note("wrong" if verdict is Verdict.WRONG else "too many at once")
        return _NO_LOGIN if verdict is Verdict.WRONG else _TOO_MANY
