"""The simulated PBX on a socket, and as a command."""

from __future__ import annotations

import argparse
import datetime as dt
import http.client
import io
import json
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pbx_simulator import OfficeSettings, SimulatedPBX
from pbx_simulator.command_line import add_arguments, listen_address, run
from pbx_simulator.control import COMMANDS
from pbx_simulator.http_messages import HTTPReply, HTTPRequest
from pbx_simulator.http_server import PBXServer
from pbx_simulator.leg_visibility import LEGS_APPEAR
from pbx_simulator.scenarios import SCENARIOS
from pbx_simulator.serving import serve

from .support import CREDENTIALS, NOW, USER_AGENT


class Client:
    """A client that shares nothing with the exporter, with one connection for each request."""

    def __init__(self, base_url: str, context: ssl.SSLContext | None = None) -> None:
        self._at = urlsplit(base_url)
        self._context = context

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        connection = self._connection()
        try:
            raw = None if body is None else json.dumps(body)
            connection.request(method, path, body=raw, headers=USER_AGENT)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def log_in(self, **credentials: str) -> Any:
        body = CREDENTIALS | credentials
        return json.loads(self.ask("POST", "/openapi/v1.0/get_token", body)[1])

    def page(self, token: str, **parameters: object) -> Any:
        query = urlencode({"access_token": token, **parameters})
        return json.loads(self.ask("GET", f"/openapi/v1.0/cdr/list?{query}")[1])

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._at.hostname or "", self._at.port
        if self._context:
            return http.client.HTTPSConnection(host, port, timeout=10, context=self._context)
        return http.client.HTTPConnection(host, port, timeout=10)


@pytest.fixture
def server(pbx: SimulatedPBX) -> Iterator[PBXServer]:
    with serve(pbx, with_control=True) as server:
        yield server


@pytest.fixture
def client(server: PBXServer) -> Client:
    return Client(server.base_url)


def exchange(server: PBXServer, request: bytes) -> bytes:
    """Send *request* and return everything that comes until the PBX closes."""
    with socket.create_connection(server.address, timeout=10) as peer:
        peer.sendall(request)
        return b"".join(iter(lambda: peer.recv(65536), b""))


def test_the_totals_equal_a_recount_of_the_pages_sent(pbx: SimulatedPBX, client: Client) -> None:
    pbx.office.calls(500)
    pbx.maintenance.delete(range(100, 140))
    pbx.office.call(call_type="Outbound", dst_trunk=None)
    token = client.log_in()["access_token"]
    pages = [client.page(token, page=page, page_size=70)["data"] for page in range(1, 9)]

    recount: Counter[tuple[str, str, str]] = Counter()
    for row in (row for page in pages for row in page):
        came, went = row.get("src_trunk", ""), row.get("dst_trunk", "")
        trunk = (went or came) if row["call_type"] == "Outbound" else (came or went)
        recount[row["disposition"], row["call_type"], trunk or "none"] += 1

    assert recount == pbx.expected.totals()
    assert recount.total() == 461


LOGIN = json.dumps(CREDENTIALS).encode()


def login_in_chunks(body: bytes, header: str = "chunked") -> bytes:
    head = "POST /openapi/v1.0/get_token HTTP/1.1\r\nHost: x\r\nUser-Agent: x\r\n"
    return f"{head}Transfer-Encoding: {header}\r\n\r\n".encode() + body


def chunk(part: bytes, extension: bytes = b"") -> bytes:
    return b"%X%s\r\n%s\r\n" % (len(part), extension, part)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(chunk(LOGIN) + chunk(b""), id="one chunk"),
        pytest.param(
            b"".join(chunk(LOGIN[n : n + 1]) for n in range(len(LOGIN))) + chunk(b""), id="bytes"
        ),
        pytest.param(
            chunk(LOGIN, b";name=value") + b"0\r\nTrailer: x\r\n\r\n", id="extension and trailer"
        ),
        pytest.param(
            chunk(b" " * 100_000) + chunk(LOGIN) + chunk(b""), id="more than is read at once"
        ),
    ],
)
def test_a_chunked_body_is_read(server: PBXServer, body: bytes) -> None:
    answer = exchange(server, login_in_chunks(body))

    assert json.loads(answer.partition(b"\r\n\r\n")[2])["errcode"] == 0


def test_a_client_may_send_its_body_as_it_comes(server: PBXServer) -> None:
    host, port = server.address
    connection = http.client.HTTPConnection(host, port, timeout=10)
    parts = iter([LOGIN[:7], LOGIN[7:]])
    connection.request(
        "POST", "/openapi/v1.0/get_token", parts, dict(USER_AGENT), encode_chunked=True
    )
    answer = json.loads(connection.getresponse().read())
    connection.close()

    assert answer["errcode"] == 0


def test_the_name_of_chunks_is_read_in_any_case(server: PBXServer) -> None:
    answer = exchange(server, login_in_chunks(chunk(LOGIN) + chunk(b""), "Chunked"))

    assert b'"errcode":0' in answer


@pytest.mark.parametrize(
    "body",
    [b"xyz\r\n{}\r\n0\r\n\r\n", b"-5\r\n{}\r\n", b"\r\n", b"2\r\n{}XX0\r\n\r\n", b"F" * 2000],
    ids=["no number", "negative", "blank", "no line end", "endless size"],
)
def test_a_body_whose_chunks_are_broken_is_a_syntax_error(server: PBXServer, body: bytes) -> None:
    answer = exchange(server, login_in_chunks(body))

    assert json.loads(answer.partition(b"\r\n\r\n")[2])["errcode"] == 40001


def test_the_connection_closes_after_each_answer(server: PBXServer) -> None:
    answer = exchange(
        server, b"GET /openapi/v1.0/cdr/list HTTP/1.1\r\nHost: x\r\nUser-Agent: x\r\n\r\n"
    )
    head, _, body = answer.partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nConnection: close" in head
    assert b"\r\nContent-Length: %d\r\n" % len(body) in head
    assert json.loads(body)["errcode"] == 10004


def test_a_request_without_user_agent_is_refused(server: PBXServer) -> None:
    answer = exchange(server, b"GET /openapi/v1.0/cdr/list HTTP/1.1\r\nHost: x\r\n\r\n")

    assert json.loads(answer.partition(b"\r\n\r\n")[2])["errcode"] == 10005


def test_one_request_after_the_other_is_seen_as_one_at_a_time(
    pbx: SimulatedPBX, client: Client
) -> None:
    token = client.log_in()["access_token"]
    for _ in range(50):
        client.page(token)

    assert pbx.request_log.max_concurrent == 1
    assert pbx.request_log.total_requests == 51


def test_requests_at_once_are_seen_as_such() -> None:
    both_are_in = threading.Barrier(2, timeout=10)

    class Patient(SimulatedPBX):
        def answer(self, request: HTTPRequest) -> HTTPReply:
            both_are_in.wait()
            return super().answer(request)

    pbx = Patient()
    with serve(pbx) as server:
        asking = [
            threading.Thread(target=Client(server.base_url).ask, args=("GET", "/"))
            for _ in range(2)
        ]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()

    assert pbx.request_log.max_concurrent == 2


def test_control_works_over_http_and_is_not_counted(pbx: SimulatedPBX, client: Client) -> None:
    status, body = client.ask("POST", "/control/calls", {"count": 2})

    assert (status, json.loads(body)) == (200, {"ids": [1, 2]})
    assert (pbx.request_log.total_requests, pbx.request_log.max_concurrent) == (0, 0)


def test_control_is_not_there_unless_asked_for(pbx: SimulatedPBX) -> None:
    with serve(pbx) as server:
        body = Client(server.base_url).ask("POST", "/control/calls", {"count": 2})[1]

    assert json.loads(body)["errcode"] == 10001
    assert len(pbx.table) == 0


def test_an_answer_can_be_cut_off(pbx: SimulatedPBX, client: Client) -> None:
    pbx.faults.fail_next(cut_after=10)

    with pytest.raises(http.client.IncompleteRead) as cut:
        client.ask("GET", "/")
    assert cut.value.partial == b'{"errcode"'


def test_a_connection_can_be_dropped_without_an_answer(pbx: SimulatedPBX, client: Client) -> None:
    pbx.faults.fail_next(dropped=True)

    with pytest.raises(http.client.RemoteDisconnected):
        client.ask("GET", "/")


@pytest.mark.parametrize(
    "fault", [{"delay_seconds": 3600}, {"drip_seconds": 3600}], ids=["delay", "drip"]
)
def test_stopping_does_not_wait_for_a_slow_answer(fault: dict[str, Any]) -> None:
    answered = threading.Event()

    class Watched(SimulatedPBX):
        def answer(self, request: HTTPRequest) -> HTTPReply:
            response = super().answer(request)
            answered.set()
            return response

    pbx = Watched()
    pbx.faults.fail_next(**fault)
    with serve(pbx) as server:
        peer = socket.create_connection(server.address, timeout=10)
        peer.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answered.wait(10)

    with peer:
        assert len(b"".join(iter(lambda: peer.recv(1000), b""))) <= 2


def test_a_dripping_answer_arrives_whole_in_the_end(pbx: SimulatedPBX, client: Client) -> None:
    pbx.faults.fail_next(drip_seconds=1e-6)

    assert json.loads(client.ask("GET", "/")[1])["errcode"] == 10001


def test_the_pbx_outlives_its_server_and_comes_back_on_the_same_port(pbx: SimulatedPBX) -> None:
    with serve(pbx) as first:
        token = Client(first.base_url).log_in()["access_token"]
        address = first.address
    with pytest.raises(ConnectionRefusedError):
        Client(first.base_url).page(token)

    with serve(pbx, *address) as second:
        assert Client(second.base_url).page(token)["errcode"] == 0


def test_an_ipv6_address_is_written_in_brackets(pbx: SimulatedPBX) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"no IPv6 loopback here: {error}")
    with serve(pbx, "::1") as server:
        answer = Client(server.base_url).log_in()

    assert server.base_url.startswith("http://[::1]:")
    assert answer["errcode"] == 0


class BusyMinute:
    """A clock: the office has a minute to catch up when it looks, and says when it looks again."""

    def __init__(self) -> None:
        self.looked_twice = threading.Event()
        self._looks = 0

    def __call__(self) -> float:
        if threading.current_thread().name != "simulated-office":
            return NOW
        self._looks += 1
        if self._looks > 1:
            self.looked_twice.set()
        return NOW + 60.0


def test_live_calls_come_by_themselves() -> None:
    clock = BusyMinute()
    pbx = SimulatedPBX(OfficeSettings(min_calls_per_minute=60), clock=clock)
    with serve(pbx, live=True):
        assert clock.looked_twice.wait(10)

    assert len(pbx.table) > 0
    assert not [thread for thread in threading.enumerate() if thread.name == "simulated-office"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1 and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "simulated PBX")])
    today = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today - dt.timedelta(days=1))
        .not_valid_after(today + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "pbx.pem"
    path.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@pytest.fixture
def trusting(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certificate)
    context.check_hostname = False
    return context


def test_https_is_served_while_another_peer_never_shakes_hands(
    pbx: SimulatedPBX, certificate: Path, trusting: ssl.SSLContext
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serve(pbx, ssl_context=context) as server, socket.create_connection(server.address):
        answer = Client(server.base_url, trusting).log_in()

    assert server.base_url.startswith("https://127.0.0.1:")
    assert answer["errcode"] == 0


class Visit(threading.Event):
    """A stop event that calls *visit* when the command is ready, and then lets it end."""

    def __init__(self, visit: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self._visit = visit
        self.came = False

    def wait(self, timeout: float | None = None) -> bool:
        self._visit()
        self.came = True
        return True


def arguments(*typed: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="cdr-exporter simulate")
    add_arguments(parser)
    return parser.parse_args(typed)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def test_the_command_says_one_line_when_it_is_ready(capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    answers: list[Any] = []
    visit = Visit(lambda: answers.append(Client(f"http://127.0.0.1:{port}").log_in()))

    code = run(arguments("--listen", f":{port}", "--days", "2"), visit)
    out, err = capsys.readouterr()

    assert (code, err) == (0, "")
    assert answers[0]["errcode"] == 0
    assert out.count("\n") == 1
    assert f"base_url=http://127.0.0.1:{port} api_path=openapi/v1.0 client_id=simulated" in out
    assert "simulated-secret" not in out


def test_the_commands_options_reach_the_pbx(
    certificate: Path, trusting: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setenv("PBX_SECRET", "another")
    client = Client(f"https://127.0.0.1:{port}", trusting)
    seen: dict[str, Any] = {}

    def visit() -> None:
        seen["login"] = client.log_in(password="another")
        seen["state"] = client.ask("POST", "/control/state")

    typed = ["--listen", f"localhost:{port}", "--control", "--token-life", "60", "--days", "0"]
    typed += ["--client-secret-env", "PBX_SECRET", "--tls-cert", str(certificate), "--rate", "0"]

    assert run(arguments(*typed), Visit(visit)) == 0
    assert seen["login"]["access_token_expire_time"] == 60
    assert seen["state"][0] == 200
    assert json.loads(seen["state"][1])["total_number"] == 0


def test_the_secret_can_come_from_a_file(tmp_path: Path) -> None:
    port, secret = free_port(), tmp_path / "secret"
    secret.write_text("from-a-file\n")
    answers: list[Any] = []
    visit = Visit(
        lambda: answers.append(Client(f"http://127.0.0.1:{port}").log_in(password="from-a-file"))
    )
    run(arguments("--listen", f":{port}", "--client-secret-file", str(secret)), visit)

    assert answers[0]["errcode"] == 0


@pytest.mark.parametrize(
    "typed",
    [
        ("--client-secret-file", "/nonexistent/secret"),
        ("--client-secret-env", "CDR_EXPORTER_NO_SUCH_VARIABLE"),
        ("--tls-cert", "/nonexistent/pbx.pem"),
        ("--tls-key", "/nonexistent/pbx.key"),
        ("--client-secret-file", "/"),
        ("--upgraded-days-ago", "1"),
    ],
    ids=["file", "variable", "certificate", "key-alone", "directory", "upgrade-to-nothing"],
)
def test_what_cannot_be_read_is_said_in_one_line(
    typed: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    visit = Visit()

    assert run(arguments("--listen", ":0", "--days", "0", *typed), visit) == 2
    assert not visit.came
    assert capsys.readouterr().err.count("\n") == 1


def test_a_port_that_is_taken_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code = run(arguments("--listen", f"127.0.0.1:{port}", "--days", "0"), Visit())
    out, err = capsys.readouterr()

    assert (code, out) == (1, "")
    assert err == (
        f"cdr-exporter simulate: cannot listen on 127.0.0.1:{port}: Address already in use\n"
    )


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8088", ("127.0.0.1", 8088)),
        (":8088", ("127.0.0.1", 8088)),
        ("192.0.2.1:80", ("192.0.2.1", 80)),
        ("[::1]:0", ("::1", 0)),
    ],
)
def test_only_a_typed_host_opens_it_to_others(text: str, address: tuple[str, int]) -> None:
    assert listen_address(text) == address


@pytest.mark.parametrize("text", ["8088x", "127.0.0.1", "::1:8088:", "::1:8088", "h:65536", ""])
def test_a_listen_address_needs_a_port(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        listen_address(text)


@pytest.mark.parametrize(
    "typed",
    [
        ("--days", "-1"),
        ("--days", "1e9"),
        ("--days", "inf"),
        ("--days", "many"),
        ("--rate", "nan"),
        ("--rate", "1e12"),
        ("--min-calls-per-minute", "-3"),
        ("--min-calls-per-minute", "1e9"),
        ("--utc-offset", "nan"),
        ("--utc-offset", "-13"),
        ("--utc-offset", "14.5"),
        ("--utc-offset", "CET"),
        ("--clock-ahead", "nan"),
        ("--clock-ahead", "-1e12"),
        ("--clock-ahead", "3h"),
        ("--limit", "0"),
        ("--legs-appear", "sometimes"),
        ("--firmware", "newest"),
        ("--time-format", "ISO"),
        ("--upgraded-days-ago", "-1"),
        ("--rows-per-second", "0"),
        ("--rows-per-second", "inf"),
        ("--token-life", "0"),
        ("--client-secret-file", "a", "--client-secret-env", "b"),
    ],
    ids=lambda typed: "".join(typed[:2]),
)
def test_nonsense_is_refused_when_the_arguments_are_read(
    typed: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        arguments(*typed)

    assert ended.value.code == 2
    assert typed[0] in capsys.readouterr().err


def test_too_long_a_history_is_refused_before_it_is_begun(
    capsys: pytest.CaptureFixture[str],
) -> None:
    visit = Visit()

    assert run(arguments("--days", "18250", "--rate", "1000"), visit) == 2
    assert not visit.came
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "--days 18250 at --rate 1000" in err
    assert "10,000,000 at most" in err


class StopsAfter(threading.Event):
    """Is set when the command has looked at it *looks* times."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.looks = looks

    def is_set(self) -> bool:
        self.looks -= 1
        return self.looks < 0


@pytest.mark.parametrize(
    "typed",
    [("--days", "3000"), ("--days", "18250", "--rate", "0"), ("--days", "0.01", "--rate", "9999")],
    ids=["long", "without-calls", "all-in-one-slot"],
)
@pytest.mark.parametrize("looks", [0, 1, 100])
def test_stopped_while_it_makes_its_history_it_ends_at_once(
    typed: tuple[str, ...], looks: int, capsys: pytest.CaptureFixture[str]
) -> None:
    stop = StopsAfter(looks)

    assert run(arguments("--listen", ":0", *typed), stop) == 0
    assert stop.looks == -1
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("content", ["", "\n", " \n\n"], ids=["empty", "newline", "blanks"])
@pytest.mark.parametrize("option", ["--client-secret-file", "--client-secret-env"])
def test_an_empty_secret_is_refused(
    option: str,
    content: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    secret, visit = tmp_path / "secret", Visit()
    secret.write_text(content)
    monkeypatch.setenv("PBX_SECRET", "")
    source = str(secret) if option.endswith("file") else "PBX_SECRET"

    assert run(arguments("--listen", ":0", "--days", "0", option, source), visit) == 2
    assert not visit.came
    assert capsys.readouterr().err == f"cdr-exporter simulate: {option}: {source} is empty\n"


class BrokenPipe(io.StringIO):
    def flush(self) -> None:
        raise BrokenPipeError(32, "Broken pipe")


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("stdout", [BrokenPipe(), closed(), None], ids=["broken", "closed", "none"])
def test_it_serves_although_nobody_reads_its_line(
    stdout: io.StringIO | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    port = free_port()
    answers: list[Any] = []
    visit = Visit(lambda: answers.append(Client(f"http://127.0.0.1:{port}").log_in()))
    # Made before: argparse of Python 3.14 asks standard output whether it shows colours.
    given = arguments("--listen", f":{port}", "--days", "0")
    monkeypatch.setattr("sys.stdout", stdout)

    assert run(given, visit) == 0
    assert answers[0]["errcode"] == 0
    assert capsys.readouterr().err == ""


def test_the_command_can_be_slow_and_clean_up(capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    client = Client(f"http://127.0.0.1:{port}")
    took: list[float] = []

    def visit() -> None:
        token = client.log_in()["access_token"]
        begin = perf_counter()
        assert client.page(token)["total_number"] == 10
        took.append(perf_counter() - begin)

    typed = ["--listen", f":{port}", "--limit", "10", "--rows-per-second", "100"]

    assert run(arguments(*typed), Visit(visit)) == 0
    assert took[0] >= 0.1
    assert "records=10\n" in capsys.readouterr().out


@pytest.mark.parametrize("way", LEGS_APPEAR)
def test_the_command_shows_legs_as_asked(way: str) -> None:
    port = free_port()
    client = Client(f"http://127.0.0.1:{port}")
    seen: list[Any] = []

    def visit() -> None:
        token = client.log_in()["access_token"]
        client.ask("POST", "/control/whole-calls", {"count": 9, "scenario": "queue-survey"})
        seen.extend(client.page(token, sort_by="id")["data"])

    typed = ["--listen", f":{port}", "--control", "--rate", "0", "--legs-appear", way]
    assert run(arguments(*typed), Visit(visit)) == 0

    ends = [row["timestamp"] + row["duration"] for row in seen]
    changes = sum(one["uid"] != other["uid"] for one, other in pairwise(seen))
    assert len(seen) == 54
    assert (ends == sorted(ends)) is (way == "one_by_one")
    assert (changes == 8) is (way == "at_call_end")


@pytest.mark.parametrize(
    ("kind", "legacy", "new"),
    [("old", 1, 1), ("both-tables", 1, 1), ("legacy-only", 1, 0)],
)
def test_the_command_has_the_firmware_asked_for(kind: str, legacy: int, new: int) -> None:
    port = free_port()
    client = Client(f"http://127.0.0.1:{port}")
    seen: list[Any] = []

    def visit() -> None:
        token = client.log_in()["access_token"]
        client.ask("POST", "/control/calls", {"count": 5})
        seen.extend(client.page(token, sort_by="time", order_by="desc")["data"])

    typed = ["--listen", f":{port}", "--control", "--days", "2", "--firmware", kind]
    typed += ["--upgraded-days-ago", "0.5"] if kind != "old" else []
    assert run(arguments(*typed), Visit(visit)) == 0

    assert bool([row for row in seen if "id" in row]) is bool(legacy)
    assert bool([row for row in seen if "new_id" in row]) is (bool(new) and kind != "old")


def test_the_command_displays_times_as_asked() -> None:
    port = free_port()
    client = Client(f"http://127.0.0.1:{port}")
    seen: list[Any] = []

    def visit() -> None:
        token = client.log_in()["access_token"]
        client.ask("POST", "/control/calls", {"count": 5})
        seen.extend(client.page(token)["data"])

    typed = ["--listen", f":{port}", "--control", "--days", "0"]
    typed += ["--time-format", "DD/MM/YYYY hh:mm:ss AM"]
    assert run(arguments(*typed), Visit(visit)) == 0

    assert len(seen) >= 5
    for row in seen:
        shown = dt.datetime.strptime(row["time"] + " +0000", "%d/%m/%Y %I:%M:%S %p %z")
        assert shown.timestamp() == row["timestamp"]


def test_the_help_says_what_is_not_imitated(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arguments("--help")
    out = capsys.readouterr().out

    assert "Not imitated:" in out
    assert all(word in out for word in ("speed", "legs", "new_id", "clean-up", "certificate"))
    assert all(re.search(rf"\b{command}\b", out) for command in COMMANDS)
    assert all(re.search(rf"(^|\s){name}(,|$)", out, re.MULTILINE) for name in SCENARIOS)


def test_it_runs_without_the_exporter() -> None:
    command = [sys.executable, "-m", "pbx_simulator", "--listen", ":0", "--days", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            url = re.search(r"base_url=(\S+)", line)
            assert url is not None, line
            answer = Client(url[1]).log_in()
        finally:
            process.terminate()

    assert answer["errcode"] == 0
    assert process.returncode == 0


def test_run_alone_it_names_itself_in_errors() -> None:
    command = [sys.executable, "-m", "pbx_simulator", "--client-secret-env", "NO_SUCH_VARIABLE"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 2
    assert done.stderr == (
        "python -m pbx_simulator: --client-secret-env: NO_SUCH_VARIABLE is not set\n"
    )
