"""The client over real connections: what is not answered, stopping, and what shows no secret."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdr_exporter.errors import TryAgain
from cdr_exporter.pbx import Cancelled
from cdr_exporter.secret import Secret
from cdr_exporter.settings import TLS, SecretSource

from ..support.client_harness import FIRST_PAGE, ClientHarness, failure
from ..support.error_text import everything_in
from ..support.socket_server import Call, Step, Wire, certificate, closed_port, hang, ok, say
from ..support.token_server import TokenServer

MINUTE = 60.0
EMPTY = ok(b'{"errcode": 0, "total_number": 0, "data": []}')


@pytest.fixture
def server() -> TokenServer:
    return TokenServer()


@pytest.fixture
def wire(server: TokenServer) -> Iterator[Wire]:
    with Wire(server) as wire:
        yield wire


@pytest.fixture
def harness(wire: Wire, server: TokenServer, tmp_path: Path) -> ClientHarness:
    return ClientHarness(wire.url, server, tmp_path)


# --- logins


LOG_IN = """
import pathlib, sys
from cdr_exporter.cdr.contract import CDRQuery
from cdr_exporter.pbx import Client, FileDocuments
from cdr_exporter.secret import Secret
from cdr_exporter.settings import PBX, SecretSource
url, path, now = sys.argv[1:]
source = SecretSource(value=Secret("right-secret"))
pbx = PBX(name="hq", base_url=url, client_id="client", secret=source)
Client(pbx, FileDocuments(pathlib.Path(path).parent), wall=lambda: float(now)).fetch(CDRQuery())
"""


@pytest.mark.fault("A7")
def test_a_login_is_remembered_when_the_process_is_killed_during_it(
    harness: ClientHarness, server: TokenServer, wire: Wire
) -> None:
    asked = threading.Event()

    def silent(call: Call) -> None:
        call.request()
        asked.set()
        call.wait()

    wire.script = [silent]
    arguments = [wire.url, str(harness.path), str(harness.clock.now)]
    with subprocess.Popen([sys.executable, "-c", LOG_IN, *arguments]) as child:
        assert asked.wait(10)
        child.kill()
    wire.script = [server]
    error = failure(harness.client())

    assert (type(error), error.reason, server.calls) == (TryAgain, "auth", [])

    harness.clock.now += MINUTE
    harness.client().fetch(FIRST_PAGE)


def test_a_login_that_was_never_sent_may_be_repeated_at_once(
    harness: ClientHarness, server: TokenServer, tmp_path: Path
) -> None:
    other = certificate(tmp_path, "other")
    with Wire(server, tls=other.server) as wire:
        url = f"https://127.0.0.1:{wire.port}"
        unpinned = harness.client(base_url=url)

        assert failure(unpinned).reason == "tls"
        assert wire.received == b""

        tls = TLS(fingerprint_sha256=other.fingerprint)
        harness.client(base_url=url, tls=tls).fetch(FIRST_PAGE)

    refused = harness.client(base_url=f"http://127.0.0.1:{closed_port()}")
    assert [failure(refused).reason for _ in range(3)] == ["connect"] * 3


UNANSWERED: dict[str, Step] = {
    "silent": hang,
    "closed": say(b""),
    "cut": say(ok(b'{"errcode": 0, "acc')[:-4]),
}


@pytest.mark.parametrize("step", UNANSWERED.values(), ids=UNANSWERED)
def test_a_login_without_an_answer_is_not_repeated_at_once(
    harness: ClientHarness, wire: Wire, step: Step
) -> None:
    wire.script = [step]
    failure(harness.client(request_timeout=0.2))
    second = failure(harness.client())

    assert isinstance(second, TryAgain)
    assert (second.reason, second.retry_after, wire.connections) == ("auth", 60, 1)


# --- revoke and cancel


@pytest.mark.parametrize("step", [hang, say(b"")], ids=["silent", "closed"])
def test_a_token_whose_revocation_is_not_answered_is_used_after_the_restart(
    harness: ClientHarness, server: TokenServer, wire: Wire, step: Step
) -> None:
    client = harness.client()
    client.fetch(FIRST_PAGE)
    wire.script = [step]
    started = time.monotonic()
    client.revoke(0.2)

    assert time.monotonic() - started < 4  # by itself a request has 5 seconds

    wire.script = [server]
    harness.client().fetch(FIRST_PAGE)

    assert harness.logins() == 1


@pytest.mark.fault("E13")
def test_cancel_ends_a_fetch_and_revoke_still_works(
    harness: ClientHarness, server: TokenServer, wire: Wire
) -> None:
    client = harness.client()
    client.fetch(FIRST_PAGE)
    wire.script = [*[hang] * 3, server]
    wire.connections = 0
    timer = threading.Timer(0.1, client.cancel)
    timer.start()
    started = time.monotonic()
    error = failure(client)
    took = time.monotonic() - started
    wire.script = [server]
    client.revoke()

    assert type(error) is Cancelled
    assert took < 4  # a request has 5 seconds
    assert server.alive == set()
    assert type(failure(client)) is Cancelled


@pytest.mark.fault("E13")
def test_cancel_does_not_end_a_revocation_under_way(
    harness: ClientHarness, server: TokenServer
) -> None:
    client = harness.client()
    client.fetch(FIRST_PAGE)
    server.before_answer = lambda _: client.cancel()
    client.revoke()

    assert server.calls[-1] == "del_token"
    assert b"access-token" not in harness.path.read_bytes()


# --- secrets


def echo(call: Call) -> None:
    """Answer like a PBX or a proxy that echoes the whole request in its error message."""
    whole = call.request()
    call.write(ok(json.dumps({"errcode": 40002, "errmsg": whole.decode()}).encode()))


def echo_not_json(call: Call) -> None:
    call.write(ok(call.request()))


def garbled_grant(call: Call) -> None:
    call.request()
    call.write(ok(b'{"errcode": 0, "access_token": "canary access", "refresh_token": "canary-r"'))


CANARIES = ("canary-secret-0123456789", "access-token-0001", "refresh-token-0001", "canary access")
ALWAYS: dict[str, Step] = {
    "silent": hang,
    "closed": say(b""),
    "500": say(ok(b"<html>", "500 Oops")),
    "401": say(ok(b"", "401 Unauthorized")),
    "redirect": say(ok(b"", "302 Found", Location="/")),
    "cut": say(EMPTY[:-5]),
    "not_json": say(ok(b"<html>")),
    "refused": say(ok(b'{"errcode": -1, "errmsg": "FAILURE"}')),
    "blocked": say(ok(b'{"errcode": 70004}')),
    "expired": say(ok(b'{"errcode": 10004}')),
    "echo": echo,
    "echo_not_json": echo_not_json,
    "garbled_grant": garbled_grant,
}


@pytest.mark.slow
@pytest.mark.fault("G1")
@pytest.mark.parametrize("stage", ["login", "list", "refresh"])
@pytest.mark.parametrize("step", ALWAYS.values(), ids=ALWAYS)
def test_no_fault_at_any_stage_shows_a_secret(
    harness: ClientHarness,
    server: TokenServer,
    wire: Wire,
    stage: str,
    step: Step,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    server.secret = CANARIES[0]
    source = SecretSource(value=Secret(CANARIES[0]))
    client = harness.client(secret=source, request_timeout=0.2)
    if stage != "login":
        client.fetch(FIRST_PAGE)
        harness.clock.now += 1500 if stage == "refresh" else 0
    wire.script = [step]
    shown = everything_in(failure(client)) + everything_in(failure(client))
    client.revoke(0.2)

    sent = wire.received.decode()
    shown += caplog.text + repr(client.__dict__) + repr(vars(client._logins))
    assert any(canary in sent for canary in CANARIES)
    assert not [canary for canary in CANARIES if canary in shown]
