"""The simulated PBX as a whole: who may ask, what time does, how it is reached.

Rule: one lock around table, tokens and faults. Whatever steers the PBX (a test in the same
process, the control path, live traffic) comes through the methods here and in `Events`, between
two requests and never during one; only a `Shift` comes within one, before its answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from ssl import SSLContext
from typing import Any

from . import control
from .api import API
from .background import repeating
from .events import Events
from .expected_counts import state
from .http_messages import HTTPReply, HTTPRequest
from .http_server import PBXServer
from .leg_visibility import AT_CALL_END
from .request_log import RequestLog
from .table import Key
from .token_issuer import TokenIssuer
from .traffic import Traffic

CLIENT_ID = "simulated"
CLIENT_SECRET = "simulated-secret"  # noqa: S105 (public: it guards nothing)
API_PATH = "openapi/v1.0"

_DAY_SECONDS = 86_400
_PART_SECONDS = 3600
_TICK_SECONDS = 0.25


class SimulatedPBX(Events):
    """A PBX with *days* of history up to now, made from *seed*.

    *clock* tells UTC epoch seconds and is the only time there is. *rate* multiplies the
    office's calls, *min_calls_per_minute* is a floor under its live traffic and leaves the
    history alone. *first_id* is the id of the oldest row. Times are displayed, and the office
    opens, at *utc_offset_seconds* from UTC. *limit* is the most rows it keeps. *watch* is called
    again and again while the history is made up, and may raise to end it.

    *legs_appear* is when the legs of a call become rows: `at_call_end`, all of them, or
    `one_by_one`, each when it ends. Without *multi_leg* the calls of the office, past and live,
    have one leg each. ValueError: *legs_appear* is something else.

    What can happen to it is in `Events`.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        clock: Callable[[], float] = time.time,
        client_id: str = CLIENT_ID,
        client_secret: str = CLIENT_SECRET,
        first_id: int = 1,
        days: float = 0,
        rate: float = 1.0,
        min_calls_per_minute: float = 0.0,
        utc_offset_seconds: int = 0,
        token_seconds: int = 1800,
        refresh_seconds: int = 86_400,
        api_path: str = API_PATH,
        limit: int | None = None,
        multi_leg: bool = True,
        legs_appear: str = AT_CALL_END,
        watch: Callable[[], None] = lambda: None,
    ) -> None:
        past = Traffic(
            seed,
            rate=rate,
            utc_offset_seconds=utc_offset_seconds,
            multi_leg=multi_leg,
            watch=watch,
        )
        super().__init__(seed, clock, first_id, past, utc_offset_seconds, legs_appear)
        self.client_id = client_id
        self.tokens = TokenIssuer(client_id, client_secret, clock, token_seconds, refresh_seconds)
        self.log = RequestLog()
        self._api = API(self._listing, self.tokens, self._faults, api_path)
        self._live = Traffic(
            seed,
            rate=rate,
            min_calls_per_minute=min_calls_per_minute,
            utc_offset_seconds=utc_offset_seconds,
            multi_leg=multi_leg,
        )
        self._told_until = clock()
        self.limit(limit)
        self._tell_history(days * _DAY_SECONDS)

    def answer(self, request: HTTPRequest) -> HTTPReply:
        """Answer one request to the Open API."""
        with self._lock:
            response = self._api.answer(request)
        self.log.add(request, response, self._api.endpoint(request))
        return response

    @contextmanager
    def serve(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        ssl_context: SSLContext | None = None,
        live: bool = False,
        control: bool = False,
    ) -> Iterator[PBXServer]:
        """Answer over HTTP, or HTTPS with *ssl_context*; *live* lets the office telephone.

        *control* serves the control path as well. OSError where the address is taken.
        """
        answer = self.answer_or_obey if control else self.answer
        uncounted = _is_control if control else _never
        server = PBXServer(
            answer, host, port, ssl_context=ssl_context, log=self.log, uncounted=uncounted
        )
        with server, repeating(self.tick, _TICK_SECONDS) if live else nullcontext():
            yield server

    def answer_or_obey(self, request: HTTPRequest) -> HTTPReply:
        """Answer one request to the Open API or to the control path."""
        return control.answer(self, request) if _is_control(request) else self.answer(request)

    def tick(self) -> list[Key]:
        """Let the legs appear that are due since the last tick, and return their keys."""
        with self._lock:
            now = max(self._clock(), self._told_until)
            after, self._told_until = self._told_until, now
            return self._tell(self._live, after, now)

    def expire_tokens(self, *, refresh_too: bool = False) -> None:
        """Let all access tokens expire, and with *refresh_too* all refresh tokens."""
        with self._lock:
            self.tokens.expire(refresh_too=refresh_too)

    def block(self, address: str) -> None:
        """Block *address* as after five failed authentications."""
        with self._lock:
            self.tokens.block(address)

    def unblock(self, address: str | None = None) -> None:
        """Free *address*, or all of them, as an administrator does."""
        with self._lock:
            self.tokens.unblock(address)

    def state(self) -> dict[str, Any]:
        """Return what a judge outside the process wants to know, ready for JSON."""
        with self._lock:
            return state(self.table, self.tokens, self.log)

    def _tell_history(self, seconds: float) -> None:
        """Insert the calls of the last *seconds*, in parts, so that never all are held twice.

        A call that showed a leg before is left out whole; one that has shown a leg by now, and
        not all, shows the others as time passes.
        """
        begin = self._told_until - seconds
        while begin < self._told_until:
            until = min(begin + _PART_SECONDS, self._told_until)
            self._tell(self._past, begin, until)
            begin = until

    def _tell(self, traffic: Traffic, after: float, until: float) -> list[Key]:
        """Let the legs appear that are due in (*after*, *until*], and return their keys."""
        self._begin(traffic.calls(after, until, self._appearing.first))
        return self._show(self._appearing.due(until))


def _is_control(request: HTTPRequest) -> bool:
    return request.path.startswith(control.PREFIX)


def _never(_: HTTPRequest) -> bool:
    return False
