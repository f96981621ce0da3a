"""A PBX that counts failed logins, as the simulated one does, behind a client without a network.

The program under test, its files included, is real; the transport hands each request to the
simulated PBX's own `TokenIssuer`. What becomes of the next login is a test's to say.
"""

from __future__ import annotations

import json
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cdr_exporter.errors import TryAgain
from cdr_exporter.pbx import Client, Documents, FileDocuments, Person
from cdr_exporter.pbx.connection import Address, not_allowed
from cdr_exporter.pbx.failures import AccessRefused
from cdr_exporter.pbx.token_document import reveal_secret
from cdr_exporter.pbx.transport import APIRequest, Transport
from cdr_exporter.secret import Secret
from cdr_exporter.settings import PBX, TLS, SecretSource
from pbx_simulator.http_messages import APIRefusal
from pbx_simulator.token_issuer import TokenIssuer, TokenPair

from .client_harness import WallClock
from .memory_documents import go_on

OUR_ADDRESS = "198.51.100.7"
RIGHT_CLIENT, RIGHT_SECRET = "client-a", "right-secret"

ANSWERED, LOST, GARBLED = "answered", "judged, and the answer is lost", "judged, and unreadable"
ODD_CODE, UNAUTHORIZED = "refused by an unknown code", "refused by HTTP 401"
HANGS, UNSENT, BUSY = "not judged, and not answered", "not sent", "not judged, HTTP 503"
KILLED_BEFORE, KILLED_AFTER = "killed before it is sent", "killed before it is answered"
CODES = (60002, 70123, 70656, 70087, 10005, 70082, -2, 10001)
"""About something else than the credentials, which are not judged."""

JUDGED = (ANSWERED, LOST, GARBLED, ODD_CODE, UNAUTHORIZED, KILLED_AFTER)
NOT_JUDGED = (HANGS, UNSENT, BUSY, KILLED_BEFORE, *CODES)


class Killed(BaseException):
    """The process dies here: no code of its own runs on."""


class _Applications(TokenIssuer):
    """A PBX with one application, whose secret can be changed."""

    def change_secret(self, secret: str) -> None:
        self._credentials = (RIGHT_CLIENT, secret)


class CountingPBX:
    """The PBX: *fate* is what becomes of the next logins, then they are answered.

    *most* is how many logins it refused in a row at most, also where only a success of the same
    client_id would end a row. *names* are the addresses that names lead to. *step* is called before
    a request is sent, and once it is answered.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.issuer = _Applications(RIGHT_CLIENT, RIGHT_SECRET, clock)
        self.fate: deque[str | int] = deque()
        self.names: dict[str, list[str]] = {}
        self.logins = 0
        self.step: Callable[[str], None] = go_on
        self.worked: set[tuple[str, str]] = set()
        self.refused: Counter[str] = Counter()
        self.most = 0

    def judge(self, client_id: str, secret: str) -> dict[str, Any]:
        """Return the answer to a login, which counts."""
        self.logins += 1
        try:
            self.issuer.admit(OUR_ADDRESS)
            pair = self.issuer.log_in(client_id, secret, OUR_ADDRESS)
        except APIRefusal as refusal:
            if refusal.errcode == -1:
                self.refused[client_id] += 1
                self.most = max(self.most, self.refused.total())
                self.worked.discard((client_id, secret))
            return {"errcode": refusal.errcode}
        self.worked.add((client_id, secret))
        del self.refused[client_id]
        return _tokens(pair)


class CountingTransport(Transport):
    """Hands requests to *pbx*."""

    def __init__(self, base_url: str, pbx: CountingPBX) -> None:
        super().__init__(base_url, TLS())
        self._pbx = pbx

    def addresses(self, timeout_seconds: float) -> Sequence[Address]:
        """Return what the names lead to."""
        found = self._pbx.names.get(self.host, [self.host])
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, self.port)) for each in found]

    def send(
        self, request: APIRequest, timeout_seconds: float, *, even_if_cancelled: bool = False
    ) -> bytes:
        """Answer at once, or do not."""
        self.last_was_sent = False
        self._pbx.step("send")
        if not request.may_send():
            raise not_allowed()
        self.last_was_sent = True
        answer = self._answer(request)
        self._pbx.step("answered")
        return answer

    def _answer(self, request: APIRequest) -> bytes:
        if request.path == "get_token":
            return self._log_in(json.loads(request.body.reveal() if request.body else "{}"))
        issuer = self._pbx.issuer
        try:
            if request.path == "refresh_token":
                fields = json.loads(request.body.reveal() if request.body else "{}")
                return _body(_tokens(issuer.refresh(fields["refresh_token"])))
            issuer.check(reveal_secret(request.token))
        except APIRefusal as refusal:
            return _body({"errcode": refusal.errcode})
        return _body({"errcode": 0, "total_number": 0, "data": []})

    def _log_in(self, fields: dict[str, str]) -> bytes:
        account = fields["username"], fields["password"]
        fate = self._pbx.fate.popleft() if self._pbx.fate else ANSWERED
        if fate == UNSENT:
            self.last_was_sent = False
            raise TryAgain("not sent", reason="connect")
        if fate == KILLED_BEFORE:
            raise Killed
        if fate == BUSY:
            raise TryAgain("HTTP 503", reason="http")
        if fate == HANGS:
            raise TryAgain("no answer", reason="timeout")
        if isinstance(fate, int):
            return _body({"errcode": fate})
        had_worked = account in self._pbx.worked
        answer = self._pbx.judge(*account)
        # A secret that had worked, and was changed on the PBX, is known to be refused: see
        # `attempt_rules`. All that follow may be lost.
        is_news = had_worked and answer["errcode"] == -1
        return ANSWERS[ANSWERED if is_news else fate](answer)


def _lose(_: dict[str, Any]) -> bytes:
    raise TryAgain("no answer", reason="timeout")


def _kill(_: dict[str, Any]) -> bytes:
    raise Killed


def _refuse_oddly(answer: dict[str, Any]) -> bytes:
    return _body({"errcode": 70088} if answer["errcode"] == -1 else answer)


def _refuse_by_status(answer: dict[str, Any]) -> bytes:
    if answer["errcode"] == -1:
        raise AccessRefused(401)
    return _body(answer)


def _body(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields).encode()


ANSWERS: dict[str, Callable[[dict[str, Any]], bytes]] = {
    ANSWERED: _body,
    LOST: _lose,
    GARBLED: lambda _: b"<html>",
    ODD_CODE: _refuse_oddly,
    UNAUTHORIZED: _refuse_by_status,
    KILLED_AFTER: _kill,
}


def _tokens(pair: TokenPair) -> dict[str, Any]:
    return {
        "errcode": 0,
        "access_token": pair.access_token,
        "access_token_expire_time": 1800,
        "refresh_token": pair.refresh_token,
        "refresh_token_expire_time": 86400,
    }


class Office:
    """Entries of configurations for one PBX, whose tokens are in *documents*.

    *monotonic* is by which clients wait for locks.
    """

    def __init__(
        self,
        documents: Documents,
        clock: WallClock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.documents = documents
        self.clock = clock
        self.monotonic = monotonic
        self.pbx = CountingPBX(self.clock)

    def client(
        self,
        name: str = "hq",
        client_id: str = RIGHT_CLIENT,
        secret: str = RIGHT_SECRET,
        host: str = "192.0.2.1",
        person: Person | None = None,
    ) -> Client:
        """Return the client that a new process has for an entry of the configuration."""
        base_url = f"https://{host}:8088"
        settings = PBX(
            name=name,
            base_url=base_url,
            client_id=client_id,
            secret=SecretSource(value=Secret(secret)),
        )
        return Client(
            settings,
            self.documents,
            person=person,
            wall=self.clock,
            monotonic=self.monotonic,
            transport=CountingTransport(base_url, self.pbx),
        )


class OfficeOnDisk(Office):
    """One whose tokens are in files of *directory*."""

    def __init__(self, directory: Path) -> None:
        super().__init__(FileDocuments(directory), WallClock())
        self.directory = directory
