"""Answers that go wrong on purpose.

Rule: a fault waits for the next request it fits, is used up by it, and says what happened to
that request alone. One without an answer of its own only spoils the way of the true answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus

from .http_messages import APIRefusal, HTTPReply, refusal_reply


@dataclass(frozen=True, slots=True)
class Fault:
    """What to answer instead (*errcode*, *status*, *body*) and how to spoil the answer's way.

    `errcode` makes the API's own refusal, `status` and `body` whatever they say. For
    `delay_seconds`, `drip_seconds`, `cut_after` and `dropped` see `HTTPReply`.
    *path* is the endpoint that it waits for (`get_token`, `cdr/list`, ...), None any.
    """

    errcode: int | None = None
    status: int | None = None
    body: str | bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0
    drip_seconds: float = 0.0
    cut_after: int | None = None
    dropped: bool = False
    path: str | None = None

    @property
    def replaces(self) -> bool:
        """Whether the request is not carried out at all."""
        return not (self.errcode is None and self.status is None and self.body is None)

    def answer(self) -> HTTPReply:
        """Return the answer in place of the true one."""
        return self.spoil(self._answer())

    def spoil(self, response: HTTPReply) -> HTTPReply:
        """Return *response* with the trouble on its way."""
        return replace(
            response,
            headers={**response.headers, **self.headers},
            delay_seconds=response.delay_seconds + self.delay_seconds,
            drip_seconds=self.drip_seconds,
            cut_after=self.cut_after,
            dropped=self.dropped,
        )

    def _answer(self) -> HTTPReply:
        refused = refusal_reply(APIRefusal(self.errcode)) if self.errcode is not None else None
        body = self.body.encode() if isinstance(self.body, str) else self.body
        if body is None:
            body = refused.body if refused else b""
        return HTTPReply(self.status or HTTPStatus.OK, body, errcode=self.errcode)


class Faults:
    """The faults that wait, first come first served."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def add(self, fault: Fault, times: int = 1) -> None:
        """Let *fault* happen to the next *times* requests that it fits."""
        self._waiting += [fault] * times

    def take(self, endpoint: str | None) -> Fault | None:
        """Return, and use up, the fault for a request to *endpoint*, if one waits."""
        for position, fault in enumerate(self._waiting):
            if fault.path in (None, endpoint):
                return self._waiting.pop(position)
        return None

    def clear(self) -> None:
        """Forget the faults that still wait."""
        self._waiting.clear()
