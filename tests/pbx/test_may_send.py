"""A process that may not ask its PBX any more sends nothing, and writes no token.

It may have stood still anywhere: while it waited for a lock or for the resolver, between a login
and a page, between the head of a request and its body.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

import pytest
from responses import RequestsMock

from cdr_exporter.errors import PBXError
from cdr_exporter.pbx import Cancelled, Client
from cdr_exporter.pbx.transport import APIRequest, Transport
from cdr_exporter.secret import Secret
from cdr_exporter.settings import TLS

from ..support.client_harness import FIRST_PAGE, ClientHarness, failure
from ..support.memory_documents import MemoryDocuments
from ..support.socket_server import Certificate, Wire, certificate, ok, say
from ..support.token_server import TokenServer


@dataclass
class Lease:
    """What says whether a process has its PBX for itself, for so many questions.

    *happened* is what happened, in order.
    """

    questions_left: float = inf
    happened: list[str] = field(default_factory=list)

    def __call__(self) -> bool:
        self.questions_left -= 1
        is_valid = self.questions_left >= 0
        self.happened.append("yes" if is_valid else "no")
        return is_valid

    def end(self) -> None:
        """Let it end."""
        self.questions_left = 0


class Replica(ClientHarness):
    """A client with a lease, whose documents others share."""

    def __init__(self, server: TokenServer, directory: Path) -> None:
        super().__init__("http://pbx.test", server, directory)
        self.lease = Lease()
        self.ends_at = ""
        self.shared = MemoryDocuments(self.clock, self.step)
        server.before_answer = lambda endpoint: self.step(endpoint)

    def step(self, step: str) -> None:
        """Note it, and let the lease end there if it is to."""
        self.lease.happened.append(step)
        if step == self.ends_at:
            self.lease.end()

    def replica(self) -> Client:
        """Return the client."""
        return Client(self.settings, self.shared, may_send=self.lease, wall=self.clock)

    def written(self) -> bytes:
        """Return all that is on record."""
        return b"".join(each or b"" for each in self.shared.contents.values())


@pytest.fixture
def replica(tmp_path: Path, answers: RequestsMock) -> Replica:
    server = TokenServer()
    server.answer_requests(answers, "http://pbx.test")
    return Replica(server, tmp_path)


@pytest.mark.fault("E23")
@pytest.mark.parametrize(
    ("step", "sent"),
    [
        pytest.param("locked", [], id="waiting-for-a-lock"),
        pytest.param("changed", [], id="after-the-login-was-written-down"),
        pytest.param("get_token", ["get_token"], id="during-the-login"),
    ],
)
def test_nothing_is_sent_by_who_stood_still_until_its_lease_had_ended(
    replica: Replica, step: str, sent: list[str]
) -> None:
    replica.ends_at = step
    error = failure(replica.replica())

    assert (type(error), error.reason) == (Cancelled, "state")
    assert replica.server.calls == sent
    assert replica.written() == b""  # no token, and no login that was not sent


@pytest.mark.fault("E23")
def test_nothing_is_sent_where_the_lease_ended_during_the_look_up_of_the_host(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up = socket.getaddrinfo

    def slow(*asked: Any, **others: Any) -> object:
        replica.lease.end()
        return look_up(*asked, **others)

    monkeypatch.setattr(socket, "getaddrinfo", slow)

    assert type(failure(replica.replica())) is Cancelled
    assert (replica.server.calls, replica.written()) == ([], b"")


@pytest.mark.fault("E23")
def test_nothing_is_sent_between_two_pages(replica: Replica) -> None:
    client = replica.replica()
    client.fetch(FIRST_PAGE)
    replica.lease.end()

    assert type(failure(client)) is Cancelled
    assert replica.server.calls == ["get_token", "cdr/list"]


@pytest.mark.fault("E23")
def test_a_refusal_of_a_login_is_on_record_though_the_lease_ended_meanwhile(
    replica: Replica,
) -> None:
    replica.server.secret = "another"
    replica.ends_at = "get_token"
    error = failure(replica.replica())

    assert error.blocked == "credentials"
    assert b'"errcode":-1' in replica.written()


def test_a_token_is_not_revoked_by_who_may_not_send(replica: Replica) -> None:
    client = replica.replica()
    client.fetch(FIRST_PAGE)
    replica.lease.end()
    client.revoke()

    assert "del_token" not in replica.server.calls
    assert b"access-token" in replica.written()


def log_in(replica: Replica, client: Client) -> None:
    client.fetch(FIRST_PAGE)


def lose_the_token(replica: Replica, client: Client) -> None:
    replica.server.alive.clear()
    client.fetch(FIRST_PAGE)


def lose_all_tokens(replica: Replica, client: Client) -> None:
    replica.server.alive.clear()
    replica.server.refreshable.clear()
    client.fetch(FIRST_PAGE)


def be_denied(replica: Replica, client: Client) -> None:
    replica.server.says["cdr/list"] = [70004]
    client.fetch(FIRST_PAGE)


def revoke(_: Replica, client: Client) -> None:
    client.revoke()


@pytest.mark.fault("E23")
@pytest.mark.parametrize("action", [log_in, lose_the_token, lose_all_tokens, be_denied, revoke])
def test_wherever_the_lease_ends_no_request_and_no_token_follows(
    replica: Replica, action: Callable[[Replica, Client], None]
) -> None:
    """It is asked again and again: let each of its answers in turn be the first no."""
    all_of_it = happens_in(replica, action, inf)
    asked = all_of_it.count("yes")
    assert asked >= 2
    for questions in range(asked):
        happened = happens_in(replica, action, questions)
        after = happened[happened.index("no") :]

        assert {"get_token", "refresh_token", "cdr/list", "del_token"}.isdisjoint(after), after
        assert "token written" not in after


def happens_in(
    replica: Replica, action: Callable[[Replica, Client], None], questions: float
) -> list[str]:
    """Do *action*, in which the lease is valid for so many questions; return what happened."""
    replica.shared.contents.clear()
    replica.server.says.clear()
    lease = replica.lease = Lease()
    client = replica.replica()
    if action is not log_in:
        client.fetch(FIRST_PAGE)
    token = replica.shared.contents.get("hq.token")

    def note(step: str) -> None:
        nonlocal token
        lease.happened.append(step)
        if replica.shared.contents.get("hq.token") != token:
            token = replica.shared.contents.get("hq.token")
            lease.happened.append("token written")

    replica.shared.step = replica.server.before_answer = note
    lease.questions_left = questions
    lease.happened.clear()
    with suppress(PBXError):
        action(replica, client)
    return lease.happened


# --- over real connections


def steps(*answers: bool) -> Callable[[], bool]:
    """Return what gives these answers, and then no."""
    left = iter(answers)
    return lambda: next(left, False)


LOGIN = Secret('{"username":"client","password":"canary"}')


@pytest.fixture(scope="module")
def pinned(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("pbx"), "pbx")


@pytest.mark.fault("E23")
def test_it_is_asked_before_each_step_that_sends_something(pinned: Certificate) -> None:
    """Before the look-up, the connection, the handshake, the head and the body."""
    received, connections = [], []
    for number in range(6):
        with Wire(say(ok(b"{}")), tls=pinned.server) as wire:
            request = APIRequest("POST", "get_token", body=LOGIN, may_send=steps(*[True] * number))
            tls = TLS(fingerprint_sha256=pinned.fingerprint)
            with suppress(Cancelled):
                Transport(f"{wire.url}/openapi/v1.0", tls).send(request, 5.0)
            connections.append(wire.connections)
        received.append(wire.received)

    assert connections[:2] == [0, 0]
    assert [b"get_token" in each for each in received] == [False] * 4 + [True] * 2
    assert [b"canary" in each for each in received] == [False] * 5 + [True]
