"""The simulated PBX as a whole, and the ways to steer it.

Rule: one lock around table, tokens and faults. Whatever steers the PBX (a test in the same
process, the control path, live traffic) comes through the methods here, between two requests
and never during one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from ssl import SSLContext
from typing import Any

from . import control
from .api import API
from .background import again
from .examples import example
from .faults import Fault, Faults
from .judge import Totals, state, totals
from .log import RequestLog
from .messages import Request, Response
from .rows import Row
from .server import Server
from .table import CDRTable
from .tokens import Tokens
from .traffic import Traffic

CLIENT_ID = "simulated"
CLIENT_SECRET = "simulated-secret"  # noqa: S105 (public: it guards nothing)
API_PATH = "openapi/v1.0"

_DAY_SECONDS = 86_400
_TICK_SECONDS = 0.25


class SimulatedPBX:
    """A PBX with *days* of history up to now, made from *seed*.

    *clock* tells UTC epoch seconds and is the only time there is. *rate* multiplies the
    office's calls, *min_calls_per_minute* is a floor under its live traffic and leaves the
    history alone. *first_id* is the id of the oldest row. Times are displayed, and the office
    opens, at *utc_offset_seconds* from UTC.
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
    ) -> None:
        self.client_id = client_id
        self.table = CDRTable(first_id)
        self.tokens = Tokens(client_id, client_secret, clock, token_seconds, refresh_seconds)
        self.log = RequestLog()
        self._clock = clock
        self._utc_offset_seconds = utc_offset_seconds
        self._lock = threading.RLock()
        self._faults = Faults()
        self._api = API(self.table, self.tokens, self._faults, api_path)
        self._samples = 0
        self._past = Traffic(seed, rate=rate, utc_offset_seconds=utc_offset_seconds)
        self._live = Traffic(
            seed,
            rate=rate,
            min_calls_per_minute=min_calls_per_minute,
            utc_offset_seconds=utc_offset_seconds,
        )
        self._told_until = clock()
        self.table.insert(
            self._past.ended(self._told_until - days * _DAY_SECONDS, self._told_until)
        )

    def answer(self, request: Request) -> Response:
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
    ) -> Iterator[Server]:
        """Answer over HTTP, or HTTPS with *ssl_context*; *live* lets the office telephone.

        *control* serves the control path as well. OSError where the address is taken.
        """
        answer = self.answer_or_obey if control else self.answer
        uncounted = _is_control if control else _never
        server = Server(
            answer, host, port, ssl_context=ssl_context, log=self.log, uncounted=uncounted
        )
        with server, again(self.tick, _TICK_SECONDS) if live else nullcontext():
            yield server

    def answer_or_obey(self, request: Request) -> Response:
        """Answer one request to the Open API or to the control path."""
        return control.answer(self, request) if _is_control(request) else self.answer(request)

    def call(self, **fields: Any) -> Row:
        """Let one call end now and return its row; *fields* overwrite those of an example.

        Durations follow from the disposition, `duration` and `timestamp` from the durations.
        None leaves a field out. ValueError: the `id` is taken.
        """
        with self._lock:
            ended, serial = int(self._clock()), self.table.next_id
            row = example(fields, ended, serial, self._utc_offset_seconds)
            (row_id,) = self.table.insert([row])
            return dict(self.table[row_id])

    def calls(self, count: int, *, over_seconds: float = 0.0) -> list[int]:
        """Let *count* made-up calls end, over the last *over_seconds*, and return their ids."""
        with self._lock:
            self._samples += 1
            now = self._clock()
            return self.table.insert(self._past.sample(count, self._samples, now, over_seconds))

    def tick(self) -> list[int]:
        """Let the office's calls end that ended since the last tick, and return their ids."""
        with self._lock:
            now = max(self._clock(), self._told_until)
            ids = self.table.insert(self._live.ended(self._told_until, now))
            self._told_until = now
            return ids

    def change(self, row_id: int, **fields: Any) -> Row:
        """Overwrite fields of one row word for word, odd values included; None removes one."""
        with self._lock:
            return dict(self.table.change(row_id, fields))

    def delete(self, ids: Iterable[int]) -> int:
        """Delete the rows of *ids* and return how many there were."""
        with self._lock:
            return self.table.delete(ids)

    def delete_oldest(self, count: int) -> int:
        """Delete the *count* rows of the lowest ids, as the PBX's clean-up does."""
        with self._lock:
            return self.table.delete(self.table.ids[:count])

    def clear(self, first_id: int = 1) -> None:
        """Delete every row and begin ids again at *first_id*."""
        with self._lock:
            self.table.clear(first_id)

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

    def fail_next(self, times: int = 1, **fault: Any) -> None:
        """Let the next *times* requests go wrong; *fault* holds the fields of a `Fault`.

        TypeError: there is no such field.
        """
        with self._lock:
            self._faults.add(Fault(**fault), times)

    def heal(self) -> None:
        """Forget the faults that have not happened yet."""
        with self._lock:
            self._faults.clear()

    def totals(self) -> Totals:
        """Count the rows there are by (disposition, call_type, trunk)."""
        with self._lock:
            return totals(self.table)

    def state(self) -> dict[str, Any]:
        """Return what a judge outside the process wants to know, ready for JSON."""
        with self._lock:
            return state(self.table, self.tokens, self.log)


def _is_control(request: Request) -> bool:
    return request.path.startswith(control.PREFIX)


def _never(_: Request) -> bool:
    return False
