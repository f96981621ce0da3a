"""A request over a real socket: one deadline, TLS, stopping, cut answers, no secret in sight."""

from __future__ import annotations

import errno
import gzip
import http.client
import socket
import ssl
import struct
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cdr_exporter.errors import ConfigError, PBXError, TryAgain
from cdr_exporter.pbx import Cancelled
from cdr_exporter.pbx.tls import tls_policy_of
from cdr_exporter.pbx.transport import APIRequest, Transport
from cdr_exporter.secret import Secret
from cdr_exporter.settings import TLS

from ..support.error_text import everything_in
from ..support.socket_server import (
    Call,
    Certificate,
    Step,
    Wire,
    as_plain_http,
    certificate,
    chunked,
    closed_port,
    drip,
    endless,
    full_backlog,
    hang,
    mute,
    ok,
    reset,
    say,
)

TOKEN = "64er0dvpIUiXhZEetXfvqaEj4XIY2rLj"
LIST = APIRequest("GET", "cdr/list", {"page": "1"}, Secret(TOKEN))
SOON = 4.0
"""Seconds: the most after a cancel at 0.1, or a deadline at 0.3, on a busy machine. Whatever does
not end by these takes longer."""
LOGIN = APIRequest("POST", "get_token", body=Secret('{"password":"canary-secret"}'))


def transport(wire: Wire, tls: TLS = TLS()) -> Transport:  # noqa: B008 - frozen
    return Transport(f"{wire.url}/openapi/v1.0", tls)


def failure(sender: Transport, request: APIRequest = LIST, seconds: float = 5.0) -> PBXError:
    with pytest.raises(PBXError) as caught:
        sender.send(request, seconds)
    return caught.value


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("ca"), "ca")


@pytest.fixture(scope="module")
def leaf(tmp_path_factory: pytest.TempPathFactory, ca: Certificate) -> Certificate:
    return certificate(tmp_path_factory.mktemp("leaf"), "leaf", issuer=ca)


# --- what is sent


def test_a_request_has_the_headers_that_the_pbx_requires_and_the_token() -> None:
    with Wire(say(ok(b"{}"))) as wire:
        assert transport(wire).send(LIST, 5) == b"{}"

    line, *headers = wire.requests[0].decode().removesuffix("\r\n\r\n").split("\r\n")

    assert line == f"GET /openapi/v1.0/cdr/list?page=1&access_token={TOKEN} HTTP/1.1"
    assert sorted(headers) == [
        "Accept-Encoding: identity",
        "Accept: application/json",
        "Cache-Control: no-cache",
        "Connection: close",
        f"Host: 127.0.0.1:{wire.port}",
        "User-Agent: OpenAPI",
    ]


def test_a_login_is_posted_as_json_and_has_no_token_in_its_url() -> None:
    with Wire(say(ok(b"{}"))) as wire:
        transport(wire).send(LOGIN, 5)

    head, _, body = wire.requests[0].partition(b"\r\n\r\n")

    assert head.startswith(b"POST /openapi/v1.0/get_token HTTP/1.1\r\n")
    assert b"Content-Type: application/json" in head
    assert body == b'{"password":"canary-secret"}'


@pytest.mark.fault("A13")
@pytest.mark.parametrize("token", ["short", "a b c d e f g", "x" * 513, "12345678\r\nEvil: 1"])
def test_a_token_that_could_change_the_request_is_not_sent(token: str) -> None:
    with Wire(say(ok(b"{}"))) as wire:
        failure(transport(wire), APIRequest("GET", "cdr/list", token=Secret(token)))

    assert wire.received == b""


def test_a_body_may_be_chunked_or_end_with_the_connection() -> None:
    body = b'{"errcode": 0, "data": []}'
    until_closed = b"HTTP/1.0 200 OK\r\n\r\n" + body
    with Wire(say(chunked(body)), say(until_closed)) as wire:
        sender = transport(wire)

        assert sender.send(LIST, 5) == body
        assert sender.send(LIST, 5) == body


def test_only_requests_of_which_a_byte_was_sent_are_counted() -> None:
    with Wire(say(ok(b"{}")), hang) as wire:
        sender = transport(wire)
        sender.send(LIST, 5)
        failure(sender, seconds=0.2)
    failure(sender)

    assert sender.requests == 2


# --- one deadline

ENVELOPE = ok(b"x" * 100)
SLOW: dict[str, Step] = {
    "silent": hang,
    "headers_drip": drip(ENVELOPE, 0.05),
    "body_drips": drip(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + b"x" * 99, 0.1),
    "chunks_drip": drip(chunked(b"x" * 100, 1), 0.02),
}


@pytest.mark.fault("B3")
@pytest.mark.parametrize("step", SLOW.values(), ids=SLOW)
def test_the_deadline_is_for_the_whole_request(step: Step) -> None:
    with Wire(step) as wire:
        started = time.monotonic()
        error = failure(transport(wire), seconds=0.3)
        took = time.monotonic() - started

    assert (type(error), error.reason) == (TryAgain, "timeout")
    assert 0.28 <= took < SOON


@pytest.mark.fault("B3")
def test_an_answer_that_continues_for_ever_ends_by_the_deadline() -> None:
    with Wire(endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n")) as wire:
        started = time.monotonic()
        error = failure(transport(wire), seconds=0.3)
        took = time.monotonic() - started

    # Newer versions of Python give up after the first hundred, before the deadline.
    assert error.reason in {"timeout", "garbled"}
    assert took < SOON


@pytest.mark.fault("B2")
def test_the_deadline_covers_connecting() -> None:
    with full_backlog() as url:
        started = time.monotonic()
        error = failure(Transport(url, TLS()), seconds=0.3)
        took = time.monotonic() - started

    assert error.reason == "timeout"
    assert took < SOON


@pytest.mark.fault("B2")
def test_the_deadline_covers_the_tls_handshake() -> None:
    with Wire(mute) as wire:
        started = time.monotonic()
        sender = Transport(wire.url.replace("http", "https"), TLS())
        error = failure(sender, seconds=0.3)
        took = time.monotonic() - started

    assert error.reason == "timeout"
    assert took < SOON


def slow_resolver(monkeypatch: pytest.MonkeyPatch, over: threading.Event) -> None:
    ask = socket.getaddrinfo

    def slow(host: str, port: int, flags: int = 0, **more: Any) -> Any:
        if not flags:
            over.wait(10)
        return ask(host, port, flags=flags, **more)

    monkeypatch.setattr(socket, "getaddrinfo", slow)


@pytest.mark.fault("B2")
def test_the_deadline_covers_the_name_lookup(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    slow_resolver(monkeypatch, over)
    started = time.monotonic()
    error = failure(Transport("http://pbx.test:1", TLS()), seconds=0.3)
    took = time.monotonic() - started
    over.set()

    assert error.reason == "timeout"
    assert str(error).startswith("no way to pbx.test:1 known within 0.3 s: the resolver")
    assert took < SOON


@pytest.mark.fault("B2")
def test_a_first_address_that_never_answers_leaves_time_for_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def two(*_: object, **__: object) -> list[object]:
        dead = ("127.0.0.1", int(url.rpartition(":")[2]))
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", address)
            for address in (dead, ("127.0.0.1", wire.port))
        ]

    with full_backlog() as url, Wire(say(ok(b"{}"))) as wire:
        monkeypatch.setattr(socket, "getaddrinfo", two)

        assert Transport("http://pbx.test", TLS()).send(LIST, 0.6) == b"{}"


# --- connections that fail


@pytest.mark.fault("B1")
def test_a_refused_connection_has_the_reason_connect() -> None:
    port = closed_port()
    error = failure(Transport(f"http://127.0.0.1:{port}", TLS()))

    assert error.reason == "connect"
    assert str(error) == (
        f"cannot connect to 127.0.0.1:{port}: connection refused; nothing listens there; "
        "check the port in base_url"
    )


@pytest.mark.fault("B1")
@pytest.mark.parametrize(
    ("code", "hint"),
    [
        pytest.param(socket.EAI_NONAME, "not known to the resolver; check how it is", id="unknown"),
        pytest.param(socket.EAI_AGAIN, "cannot be looked up; check this machine's", id="no-dns"),
    ],
)
def test_a_host_without_an_address_has_the_reason_connect(
    code: int, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> object:
        raise socket.gaierror(code, "whatever the C library says")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    error = failure(Transport("https://pbx.test:8088", TLS()))

    assert error.reason == "connect"
    assert str(error).startswith("no way to pbx.test:8088: the host in base_url, pbx.test, ")
    assert hint in str(error)


@pytest.mark.fault("B1")
@pytest.mark.parametrize("code", [errno.EHOSTUNREACH, errno.ENETUNREACH])
def test_a_host_that_cannot_be_reached_has_the_reason_connect(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket.socket, "connect_ex", lambda *_: code)
    error = failure(Transport("https://[2001:db8::1]", TLS()))

    assert error.reason == "connect"
    assert str(error).startswith("cannot connect to [2001:db8::1]:443: ")
    assert "base_url" in str(error)


def _answer(status: str) -> Step:
    return say(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())


ON_THE_WAY: dict[str, tuple[Step, str]] = {
    "silent": (hang, "no whole answer from {} within 0.3 s: it took the connection"),
    "closed": (say(b""), "{} closed the connection without an answer"),
    "cut": (
        say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"),
        "the answer of {} is cut off or not HTTP",
    ),
    "401": (_answer("401 Kristin"), "HTTP 401 from {}: a proxy or the PBX's web server"),
    "404": (_answer("404 Kristin"), "HTTP 404 from {}: check base_url and api_path"),
    "429": (_answer("429 Kristin"), "HTTP 429 from {}: the server asks us to wait"),
    "500": (_answer("500 Kristin"), "HTTP 500 from {}"),
    "302": (_answer("302 Kristin"), "HTTP 302 from {}: a redirect, not followed"),
}


@pytest.mark.fault("B2", "B3", "B4", "B8", "B10", "B11", "B12")
@pytest.mark.parametrize(("step", "said"), ON_THE_WAY.values(), ids=ON_THE_WAY)
def test_what_goes_wrong_on_the_way_is_said_with_host_and_port(step: Step, said: str) -> None:
    with Wire(step) as wire:
        error = failure(transport(wire), seconds=0.3 if step is hang else 5)

    assert str(error).startswith(said.format(f"127.0.0.1:{wire.port}"))
    assert "Kristin" not in str(error)


@pytest.mark.fault("B2")
def test_a_pbx_that_is_switched_off_is_said_with_host_and_port() -> None:
    with full_backlog() as url:
        error = failure(Transport(url, TLS()), seconds=0.3)

    where = url.removeprefix("http://")
    assert str(error).startswith(f"no answer from {where} within 0.3 s: is the PBX switched on, ")


BEFORE: dict[str, Step] = {"reset": reset(), "closed": say(b"")}


@pytest.mark.parametrize("step", BEFORE.values(), ids=BEFORE)
def test_a_connection_lost_before_any_answer_is_not_made_again(step: Step) -> None:
    with Wire(step) as wire:
        assert failure(transport(wire)).reason == "connect"
    assert wire.connections == 1


@pytest.mark.fault("B4", "B5")
@pytest.mark.parametrize("whole", [ok(b'{"errcode":0}'), chunked(b'{"errcode":0}')])
def test_an_answer_cut_at_any_byte_is_garbled(whole: bytes) -> None:
    # A cut within the line ends after the last chunk takes nothing from the body.
    cuts = range(1, len(whole) - (0 if b"Content-Length" in whole else 4))
    with Wire(*(say(whole[:cut]) for cut in cuts)) as wire:
        sender = transport(wire)
        reasons = {cut: failure(sender).reason for cut in cuts}

    assert set(reasons.values()) == {"garbled"}


@pytest.mark.fault("B4")
def test_a_reset_within_the_answer_is_garbled() -> None:
    with Wire(reset(ENVELOPE[:60])) as wire:
        assert failure(transport(wire)).reason == "garbled"


GARBLED = {
    "not_http": b"220 smtp.example.net ESMTP\r\n\r\n",
    "no_header_end": b"HTTP/1.1 200 OK\r\nContent-Length: 2",
    "two_lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "longer_than_it_is": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
    "chunk_size_no_number": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}",
    "200_headers": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n",
    "a_line_of_70000": b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70000 + b"\r\n\r\n",
    "gzip": ok(gzip.compress(b"{}"), Content_Encoding="gzip"),
    "unknown_encoding": ok(b"{}", Content_Encoding="rot13"),
    "binary": bytes(range(256)) * 4,
}


@pytest.mark.fault("B5", "B6")
@pytest.mark.parametrize("data", GARBLED.values(), ids=GARBLED)
def test_what_is_not_a_plain_http_answer_is_garbled(data: bytes) -> None:
    with Wire(say(data)) as wire:
        assert failure(transport(wire)).reason == "garbled"


HUGE: dict[str, Step] = {
    "announced": endless(
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 40), b"x" * 65536
    ),
    "chunked": endless(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"10000\r\n" + b"x" * 65536 + b"\r\n",
    ),
    "until_closed": endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536),
}


@pytest.mark.fault("B6", "E15")
@pytest.mark.parametrize("step", HUGE.values(), ids=HUGE)
def test_an_endless_answer_is_dropped_at_the_size_limit(step: Step) -> None:
    with Wire(step) as wire:
        assert failure(transport(wire), seconds=20).reason == "too_large"


def test_an_answer_of_exactly_the_size_limit_is_accepted() -> None:
    most = LIST.most_bytes
    with Wire(
        say(ok(b"x" * most)), say(ok(b"x" * (most + 1))), say(chunked(b"x" * (most + 1)))
    ) as wire:
        sender = transport(wire)

        assert len(sender.send(LIST, 20)) == most
        assert failure(sender).reason == "too_large"
        assert failure(sender).reason == "too_large"


@pytest.mark.fault("B6")
@pytest.mark.parametrize("length", [str(2**16 + 1), "9" * 30, "9" * 5_000])
def test_an_answer_that_is_announced_too_long_is_not_waited_for(length: str) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %b\r\n\r\n" % length.encode()

    def announce_and_wait(call: Call) -> None:
        call.request()
        call.write(head)
        call.wait()

    with Wire(announce_and_wait) as wire:
        assert failure(transport(wire), seconds=20).reason == "too_large"


# --- what requests does unasked


@pytest.mark.fault("B8")
def test_a_redirect_is_not_followed_and_its_body_not_read() -> None:
    with Wire(say(ok(b"{}"))) as elsewhere:
        head = f"HTTP/1.1 302 Found\r\nLocation: {elsewhere.url}/\r\n\r\n".encode()
        with Wire(endless(head, b"x" * 65536)) as wire:
            started = time.monotonic()
            error = failure(transport(wire), seconds=30)
            took = time.monotonic() - started

    assert error.reason == "redirect"
    assert elsewhere.connections == 0
    assert took < SOON


@pytest.mark.fault("B9")
@pytest.mark.parametrize("request_", [LIST, LOGIN], ids=["list", "login"])
def test_proxies_and_netrc_of_the_environment_are_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request_: APIRequest
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password something\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with Wire(say(ok(b"proxied"))) as proxy, Wire(say(ok(b"{}"))) as wire:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)

        assert transport(wire).send(request_, 5) == b"{}"

    assert proxy.connections == 0
    # To a proxy, requests would name the whole URL.
    assert wire.received.split()[1].startswith(b"/openapi/")
    assert b"authorization" not in wire.received.lower()


@pytest.mark.parametrize("cookie", ["a=b; Path=/", "a=b; Max-Age"], ids=["good", "broken"])
def test_cookies_are_neither_kept_nor_parsed(cookie: str) -> None:
    with Wire(say(ok(b"{}", Set_Cookie=cookie))) as wire:
        sender = transport(wire)
        sender.send(LIST, 5)
        sender.send(LIST, 5)

    assert b"cookie" not in wire.received.lower()


# --- TLS


def test_a_certificate_of_a_ca_in_the_file_is_accepted(ca: Certificate, leaf: Certificate) -> None:
    with Wire(say(ok(b"{}")), tls=leaf.server) as wire:
        assert transport(wire, TLS(ca_file=ca.file)).send(LIST, 5) == b"{}"


def test_a_ca_file_may_hold_the_certificate_of_the_pbx_itself(leaf: Certificate) -> None:
    with Wire(say(ok(b"{}")), tls=leaf.server) as wire:
        assert transport(wire, TLS(ca_file=leaf.file)).send(LIST, 5) == b"{}"


@pytest.mark.fault("B7")
def test_a_self_signed_certificate_is_refused_with_a_hint(ca: Certificate) -> None:
    with Wire(say(ok(b"{}")), tls=ca.server) as wire:
        error = failure(transport(wire))

    assert error.reason == "tls"
    assert str(error).startswith(f"certificate of 127.0.0.1:{wire.port} not accepted (")
    assert "tls.ca_file" in str(error)
    assert "tls.fingerprint_sha256" in str(error)
    assert wire.received == b""


@pytest.mark.fault("B7")
def test_a_certificate_for_another_name_is_refused(tmp_path: Path, ca: Certificate) -> None:
    other = certificate(tmp_path, "other", issuer=ca, address="192.0.2.1")
    with Wire(say(ok(b"{}")), tls=other.server) as wire:
        error = failure(transport(wire, TLS(ca_file=ca.file)))

    assert error.reason == "tls"
    assert "mismatch" in str(error)
    assert "pin it with tls.fingerprint_sha256" in str(error)
    assert "tls.ca_file" not in str(error)
    assert wire.received == b""


def test_a_certificate_accepted_by_fingerprint_needs_no_chain_and_no_name(tmp_path: Path) -> None:
    factory = certificate(tmp_path, "UCCPBX", address="192.0.2.1")
    with Wire(say(ok(b"{}")), tls=factory.server) as wire:
        assert transport(wire, TLS(fingerprint_sha256=factory.fingerprint)).send(LIST, 5) == b"{}"


def test_with_another_fingerprint_no_byte_of_the_request_is_sent(
    ca: Certificate, leaf: Certificate
) -> None:
    with Wire(say(ok(b"{}")), tls=leaf.server) as wire:
        sender = transport(wire, TLS(fingerprint_sha256=ca.fingerprint))
        error = failure(sender)

    assert error.reason == "tls"
    assert str(error).startswith(f"the certificate of 127.0.0.1:{wire.port} is not the one of ")
    assert leaf.fingerprint in str(error)
    assert (wire.connections, wire.received, sender.requests) == (1, b"", 0)


def test_any_certificate_is_accepted_with_insecure_skip_verify(tmp_path: Path) -> None:
    anybody = certificate(tmp_path, "anybody", address="192.0.2.1")
    with Wire(say(ok(b"{}")), tls=anybody.server) as wire:
        assert transport(wire, TLS(insecure_skip_verify=True)).send(LIST, 5) == b"{}"


@pytest.mark.fault("B7")
def test_a_port_that_speaks_plain_http_has_the_reason_tls() -> None:
    with Wire(as_plain_http) as wire:
        error = failure(Transport(wire.url.replace("http", "https"), TLS()))

    assert error.reason == "tls"
    assert str(error).startswith(f"TLS handshake with 127.0.0.1:{wire.port} failed (")
    assert "is it https" in str(error)


def _close_after_hello(call: Call) -> None:
    call.sock.recv(65536)


def _reset_after_hello(call: Call) -> None:
    call.sock.recv(65536)
    call.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    call.sock.close()


@pytest.mark.parametrize("step", [_close_after_hello, _reset_after_hello], ids=["closed", "reset"])
def test_a_connection_closed_in_the_tls_handshake_hints_at_http(step: Step) -> None:
    with Wire(step) as wire:
        error = failure(Transport(wire.url.replace("http", "https"), TLS()))

    assert "is it https" in str(error)


_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
_ALERT = b"\x15\x03\x01\x00\x02\x02\x46"


@pytest.mark.parametrize(
    "said", [_BAD_REQUEST, _ALERT, b""], ids=["status-400", "tls-alert", "closed"]
)
def test_plain_http_to_a_port_for_https_hints_at_https(said: bytes) -> None:
    with Wire(say(said)) as wire:
        error = failure(transport(wire))

    assert "is it http that base_url's port speaks, and not https?" in str(error)


@pytest.mark.fault("B7")
def test_tls_older_than_1_2_is_refused(leaf: Certificate) -> None:
    old = leaf.server
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with Wire(say(ok(b"{}")), tls=old) as wire:
        assert failure(transport(wire, TLS(insecure_skip_verify=True))).reason == "tls"
    assert tls_policy_of(TLS()).context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_a_ca_file_is_loaded_once_per_process(tmp_path: Path) -> None:
    ca = certificate(tmp_path, "once")
    tls = TLS(ca_file=ca.file)
    with Wire(say(ok(b"{}")), tls=ca.server) as wire:
        transport(wire, tls).send(LIST, 5)
        ca.file.unlink()

        assert transport(wire, TLS(ca_file=ca.file)).send(LIST, 5) == b"{}"


@pytest.mark.parametrize(
    "prepare",
    [
        pytest.param(lambda path: None, id="missing"),
        pytest.param(Path.mkdir, id="directory"),
        pytest.param(Path.touch, id="empty"),
        pytest.param(lambda path: path.write_text("no certificate"), id="garbage"),
    ],
)
def test_an_unusable_ca_file_is_a_config_error(
    prepare: Callable[[Path], object], tmp_path: Path
) -> None:
    prepare(tmp_path / "ca.pem")

    with pytest.raises(ConfigError, match=r"tls\.ca_file .*/ca\.pem: "):
        Transport("https://pbx.test", TLS(ca_file=tmp_path / "ca.pem"))


# --- cancel


def cancelled_after(seconds: float, sender: Transport) -> tuple[PBXError, float]:
    timer = threading.Timer(seconds, sender.cancel)
    timer.start()
    started = time.monotonic()
    error = failure(sender, seconds=30)
    timer.join()
    return error, time.monotonic() - started


IN_FLIGHT: dict[str, Step] = {"silent": hang, "dripping": drip(ENVELOPE, 0.05)}


@pytest.mark.parametrize("step", IN_FLIGHT.values(), ids=IN_FLIGHT)
def test_cancel_ends_a_request_at_once_and_refuses_later_ones(step: Step) -> None:
    with Wire(step) as wire:
        sender = transport(wire)
        error, took = cancelled_after(0.1, sender)

        assert type(error) is Cancelled
        assert took < SOON
        assert type(failure(sender)) is Cancelled
        assert wire.connections == 1


def test_cancel_ends_a_request_over_tls(ca: Certificate, leaf: Certificate) -> None:
    with Wire(hang, tls=leaf.server) as wire:
        error, took = cancelled_after(0.1, transport(wire, TLS(ca_file=ca.file)))

    assert type(error) is Cancelled
    assert took < SOON


def test_cancel_ends_a_connection_attempt() -> None:
    with full_backlog() as url:
        error, took = cancelled_after(0.1, Transport(url, TLS()))

    assert type(error) is Cancelled
    assert took < SOON


def test_cancel_ends_a_handshake() -> None:
    with Wire(mute) as wire:
        sender = Transport(wire.url.replace("http", "https"), TLS())
        error, took = cancelled_after(0.1, sender)

    assert type(error) is Cancelled
    assert took < SOON


def test_cancel_ends_a_name_lookup(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    slow_resolver(monkeypatch, over)
    error, took = cancelled_after(0.1, Transport("http://pbx.test:1", TLS()))
    over.set()

    assert type(error) is Cancelled
    assert took < SOON


def test_a_request_may_be_sent_even_if_cancelled() -> None:
    with Wire(say(ok(b"{}"))) as wire:
        sender = transport(wire)
        sender.cancel()

        assert sender.send(LIST, 5, even_if_cancelled=True) == b"{}"


# --- secrets


def echo_in_a_broken_header(call: Call) -> None:
    line = call.request().partition(b"\r\n")[0]
    call.write(b"HTTP/1.1 200 OK\r\n " + line + b"\r\nno colon " + line + b"\r\n\r\n{}")


def echo_as_status(call: Call) -> None:
    call.write(b"HTTP/1.1 " + call.request())


def echo_as_redirect(call: Call) -> None:
    target = call.request().split(b" ")[1]
    call.write(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + target + b"\r\n\r\n")


FAULTS: dict[str, Step] = {
    **SLOW,
    **BEFORE,
    **{name: say(data) for name, data in GARBLED.items()},
    "reset_within": reset(ENVELOPE[:60]),
    "500": say(ok(b"<html>", "500 Oops")),
    "503": say(ok(b"", "503 Busy", Retry_After="1")),
    "echo_in_a_broken_header": echo_in_a_broken_header,
    "echo_as_status": echo_as_status,
    "echo_as_redirect": echo_as_redirect,
    "fine": say(ok(b"{}")),
}


@pytest.mark.slow
@pytest.mark.fault("G1", "G5")
@pytest.mark.parametrize("request_", [LIST, LOGIN], ids=["token", "secret"])
@pytest.mark.parametrize("step", FAULTS.values(), ids=FAULTS)
def test_no_error_shows_a_token_or_a_secret(
    step: Step,
    request_: APIRequest,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    caplog.set_level("DEBUG")
    shown = ""
    # What never answers is waited for; what answers gets the time that a busy machine needs.
    patience = 0.6 if step in SLOW.values() else 5.0
    with Wire(step) as wire:
        try:
            transport(wire).send(request_, patience)
        except PBXError as error:
            shown = everything_in(error)

    shown += caplog.text + "".join(capsys.readouterr())
    assert TOKEN.encode() in wire.received or b"canary-secret" in wire.received
    assert TOKEN not in shown
    assert "canary-secret" not in shown


@pytest.mark.fault("G3")
def test_debug_logs_show_a_placeholder(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with Wire(say(ok(b"{}"))) as wire:
        transport(wire).send(LIST, 5)

    assert "?page=1&access_token=-redacted- " in caplog.text


UNSENT = {"refused": "http://127.0.0.1:{}", "refused_tls": "https://127.0.0.1:{}"}


@pytest.mark.parametrize("url", UNSENT.values(), ids=UNSENT)
def test_the_error_of_a_request_that_was_not_sent_shows_no_token(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    error = failure(Transport(url.format(closed_port()), TLS()))

    assert TOKEN not in everything_in(error) + caplog.text
