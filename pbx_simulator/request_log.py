"""The requests that the simulated PBX got, so that a test can see whether a client was polite.

Rule: tokens, credentials and bodies are never kept. The list holds the last requests only; the
totals count all of them.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from .http_messages import HTTPReply, HTTPRequest

KEPT_REQUESTS = 10_000


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One answered request: *endpoint* is the path after the `api_path`, else the whole path.

    *parameters* are the query's without the token, *rows* how many CDRs went out.
    """

    method: str
    endpoint: str
    parameters: Mapping[str, str]
    user_agent: str
    client: str
    status: int
    errcode: int | None
    rows: int


class RequestLog:
    """The requests answered so far and how many were under way at once. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: deque[LoggedRequest] = deque(maxlen=KEPT_REQUESTS)
        self._now = 0
        self._latest_began = 0.0
        self.max_concurrent = 0
        self.total_requests = 0
        self.rows_served = 0

    @property
    def requests(self) -> list[LoggedRequest]:
        """The last requests, oldest first."""
        with self._lock:
            return list(self._seen)

    def count(self, endpoint: str) -> int:
        """Return how many of `requests` asked *endpoint*."""
        return sum(seen.endpoint == endpoint for seen in self.requests)

    def under_way_for(self) -> float:
        """Return for how many seconds the newest request has been under way; 0 without one."""
        with self._lock:
            return time.monotonic() - self._latest_began if self._now else 0.0

    def clear(self) -> None:
        """Forget all but the requests under way."""
        with self._lock:
            self._seen.clear()
            self.max_concurrent = self._now
            self.total_requests = self.rows_served = 0

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Count a request that came in over the network until its last byte is due."""
        with self._lock:
            self._now += 1
            self._latest_began = time.monotonic()
            self.max_concurrent = max(self.max_concurrent, self._now)
        try:
            yield
        finally:
            with self._lock:
                self._now -= 1

    def add(self, request: HTTPRequest, response: HTTPReply, endpoint: str | None) -> None:
        """Note a request and its answer."""
        parameters = {k: v for k, v in request.parameters.items() if k != "access_token"}
        seen = LoggedRequest(
            method=request.method,
            endpoint=endpoint if endpoint is not None else request.path,
            parameters=parameters,
            user_agent=request.headers.get("user-agent", ""),
            client=request.client,
            status=response.status,
            errcode=response.errcode,
            rows=response.rows,
        )
        with self._lock:
            self._seen.append(seen)
            self.total_requests += 1
            self.rows_served += response.rows
