"""A request that goes wrong on purpose.

Rule: a fault concerns one request alone. It either replaces the answer, and then the request is
not carried out, or it disturbs how the true answer is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus

from .http_messages import APIRefusal, HTTPReply, refusal_reply


@dataclass(frozen=True, slots=True)
class RequestFault:
    """What to answer instead (*errcode*, *status*, *body*) and how to disturb the sending.

    *errcode* answers as the API refuses; *status* and *body* are sent as they are. For
    *headers*, *delay_seconds*, *drip_seconds*, *cut_after* and *dropped* see `HTTPReply`.
    *path* is the endpoint that it waits for (`get_token`, `cdr/list`, ...); None: any.
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
        return self.disturb(self._answer())

    def disturb(self, response: HTTPReply) -> HTTPReply:
        """Return *response*, sent with the trouble that this fault asks for."""
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
