"""The real server over loopback: slow and hostile clients must not affect others."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import io
import logging
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from wsgiref.types import WSGIApplication

import pytest

from cdr_exporter.web import App, ListenAddress, Server

from ..support.web import app, snapshot

FREE_PORT = ListenAddress("127.0.0.1", 0)
PATIENCE = 10.0
SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
BIG = b"x" * 5_000_000


@contextlib.contextmanager
def serving(application: WSGIApplication | None = None, **deadlines: float) -> Iterator[Server]:
    server = Server(application or app(snapshot()), [FREE_PORT], **deadlines)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def big_app(body: bytes = BIG) -> App:
    return app(snapshot(), dashboards={"big.json": body})


def connect(server: Server) -> socket.socket:
    return socket.create_connection(server.addresses[0], timeout=PATIENCE)


def get(
    server: Server, target: str = "/metrics", accept_encoding: str = "identity"
) -> tuple[int, bytes]:
    host, port = server.addresses[0]
    client = http.client.HTTPConnection(host, port, timeout=PATIENCE)
    with contextlib.closing(client):
        client.request("GET", target, headers={"Accept-Encoding": accept_encoding})
        response = client.getresponse()
        return response.status, response.read()


def exchange(server: Server, sent: bytes) -> bytes:
    """Send bytes and return all that comes back until the server closes."""
    with connect(server) as client:
        client.sendall(sent)
        return drain(client)


def drain(client: socket.socket) -> bytes:
    received = []
    # A server that closes before it has read everything resets the connection: also an end.
    with contextlib.suppress(ConnectionResetError):
        while chunk := client.recv(65536):
            received.append(chunk)
    return b"".join(received)


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def test_a_scrape_over_the_wire_in_both_codings() -> None:
    with serving() as server:
        plain = get(server, "/metrics?pbx=hq")
        packed = get(server, "/metrics?pbx=hq", accept_encoding="gzip")

    assert plain[0] == packed[0] == 200
    assert gzip.decompress(packed[1]) == plain[1]


def test_no_banner_is_sent_and_the_connection_ends() -> None:
    with serving() as server:
        head = exchange(server, SCRAPE).partition(b"\r\n\r\n")[0].lower()

    assert b"waitress" not in head
    assert b"\r\nserver:" not in head
    assert b"\r\nconnection: close" in head


def test_head_over_the_wire_has_a_length_and_no_body() -> None:
    with serving() as server:
        answer = exchange(server, b"HEAD /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")

    assert b"Content-Length: 3\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.fault("F4")
@pytest.mark.parametrize(
    "target",
    ["//metrics", "///metrics", "/metrics/", "/%6detrics", "/dashboards/..%2f", "/x/../metrics"],
)
def test_the_target_is_compared_as_it_was_sent(target: str) -> None:
    with serving() as server:
        assert status(exchange(server, f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())) == 404


@pytest.mark.fault("F3")
@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param(b"get /metrics HTTP/1.1\r\n\r\n", 400, id="method in lower case"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400, id="TLS hello"),
        pytest.param(b"GET\r\n\r\n", 400, id="no target"),
        pytest.param(b"GET /metrics HTTP/1.1\r\nbroken\r\n\r\n", 400, id="no header"),
        pytest.param(b"GET /metrics HTTP/1.1\r\nA: b\rc\r\n\r\n", 400, id="bare CR"),
        pytest.param(b"GET http://[ HTTP/1.1\r\n\r\n", 400, id="broken URL"),
        pytest.param(b"GET /metrics HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400, id="length < 0"),
        pytest.param(
            b"GET /metrics HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
            400,
            id="length of 5,000 digits",
        ),
        pytest.param(
            b"POST /metrics HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"0\r\n\r\nGET /sd HTTP/1.1\r\n\r\n",
            400,
            id="two lengths",
        ),
        pytest.param(
            b"POST /metrics HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n", 501, id="coding"
        ),
        pytest.param(
            b"POST /metrics HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", 413, id="big body"
        ),
        pytest.param(b"POST /metrics HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi", 405, id="POST"),
        pytest.param(b"BREW /metrics HTTP/1.1\r\n\r\n", 405, id="unknown method"),
    ],
)
def test_a_bad_request_is_refused_once_and_the_next_client_is_served(
    sent: bytes, expected: int
) -> None:
    with serving() as server:
        answer = exchange(server, sent)

        assert status(answer) == expected
        assert answer.count(b"HTTP/1.") == 1
        assert get(server)[0] == 200


@pytest.mark.fault("F3")
def test_a_header_of_70_kb_is_not_read_to_its_end() -> None:
    with serving() as server:
        # The refusal is sent while the client is still sending, so it may see only the reset.
        with connect(server) as client, contextlib.suppress(ConnectionError):
            client.sendall(b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n")
            answer = drain(client)
            assert answer == b"" or status(answer) == 431

        assert get(server)[0] == 200


def test_a_header_just_above_the_limit_is_refused_in_words() -> None:
    with serving() as server:
        answer = exchange(server, b"GET / HTTP/1.1\r\nX: " + b"x" * 16_384)

    assert status(answer) == 431


@pytest.mark.fault("F3")
def test_pipelined_requests_get_one_answer() -> None:
    with serving() as server:
        answer = exchange(server, b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n" * 50)

    assert answer.count(b"HTTP/1.1 200 OK") == 1


@pytest.mark.fault("F3")
def test_clients_that_pipeline_and_never_read_delay_no_other_client() -> None:
    # 200 answers of 5 MB would fill waitress' buffer limit and block one thread per client.
    request = b"GET /dashboards/big.json HTTP/1.1\r\nHost: x\r\n\r\n"
    with serving(big_app()) as server, contextlib.ExitStack() as clients:
        for _ in range(12):
            clients.enter_context(connect(server)).sendall(request * 150)

        assert get(server)[0] == 200


@pytest.mark.fault("F2")
def test_half_open_clients_delay_no_other_client() -> None:
    with serving() as server, contextlib.ExitStack() as clients:
        for number in range(60):
            client = clients.enter_context(connect(server))
            client.sendall(SCRAPE[:number] if number < len(SCRAPE) else SCRAPE[:-2])

        assert get(server)[0] == 200


@pytest.mark.fault("F2")
def test_a_client_that_sends_its_request_too_slowly_is_closed() -> None:
    with serving(request_seconds=0.2) as server, connect(server) as client:
        client.sendall(b"GET /metrics")

        assert drain(client) == b""


@pytest.mark.fault("F2")
def test_a_client_that_sends_a_byte_at_a_time_is_closed_though_it_is_never_idle() -> None:
    with serving(request_seconds=0.5) as server, connect(server) as client:
        client.settimeout(0.1)
        begun = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - begun < PATIENCE:
                client.sendall(b"G")
                with contextlib.suppress(TimeoutError):
                    if client.recv(1) == b"":
                        break

        assert time.monotonic() - begun < PATIENCE


@pytest.mark.fault("F2")
def test_a_client_that_never_reads_is_closed() -> None:
    with serving(big_app(), response_seconds=0.3) as server, connect(server) as client:
        client.sendall(b"GET /dashboards/big.json HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(1) == b"H"
        # Its window is full: the client cannot see the end before it has read all of that.
        wait_until(lambda: not server._channels(), "the connection is closed")

        assert len(drain(client)) < len(BIG)


def test_a_large_answer_needs_no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def note_file(mode: str) -> io.BytesIO:
        made.append(mode)
        return io.BytesIO()

    monkeypatch.setattr(tempfile, "TemporaryFile", note_file)

    with serving(big_app()) as server:
        assert get(server, "/dashboards/big.json") == (200, BIG)

    assert made == []


def test_a_client_that_reads_slowly_gets_all_of_it() -> None:
    with serving(big_app()) as server, connect(server) as client:
        client.sendall(b"GET /dashboards/big.json HTTP/1.1\r\nHost: x\r\n\r\n")
        assert get(server)[0] == 200

        assert drain(client).endswith(BIG)


@pytest.mark.slow
@pytest.mark.fault("F1")
def test_a_hundred_scrapers_of_two_megabytes_all_get_theirs() -> None:
    # 15 outcomes per trunk, about 90 bytes each.
    wide = snapshot("hq", trunks=[f"trunk-{number:04}" for number in range(1_500)])
    with serving(app(wide)) as server, ThreadPoolExecutor(100) as pool:
        whole = len(get(server, "/metrics?pbx=hq")[1])
        bodies = list(pool.map(lambda _: get(server, "/metrics?pbx=hq"), range(100)))

    assert whole > 2_000_000
    assert [(code, len(body)) for code, body in bodies] == [(200, whole)] * 100


def test_several_addresses_are_served_at_once() -> None:
    server = Server(app(snapshot()), [FREE_PORT, FREE_PORT])
    server.start()
    try:
        one, other = server.addresses
        assert one != other
        for address in server.addresses:
            with socket.create_connection(address, timeout=PATIENCE) as client:
                client.sendall(SCRAPE)
                assert status(drain(client)) == 200
    finally:
        server.stop()


def test_it_stops_at_once_with_half_open_clients() -> None:
    with contextlib.ExitStack() as clients:
        with serving(big_app()) as server:
            silent, asking, deaf = (clients.enter_context(connect(server)) for _ in range(3))
            asking.sendall(b"GET /metr")
            deaf.sendall(b"GET /dashboards/big.json HTTP/1.1\r\nHost: x\r\n\r\n")
            get(server)
            begun = time.monotonic()

        assert time.monotonic() - begun < 8  # clients have 10 seconds for a request
        assert not server.running
        assert drain(silent) == b""


def test_an_answer_under_way_is_ended_before_it_stops() -> None:
    entered, go_on = threading.Event(), threading.Event()

    def alive() -> bool:
        entered.set()
        return go_on.wait(PATIENCE)

    server = Server(app(snapshot(), alive=alive), [FREE_PORT])
    server.start()
    with connect(server) as client:
        client.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
        assert entered.wait(PATIENCE)
        threading.Timer(0.1, go_on.set).start()
        server.stop()

        assert drain(client).endswith(b"ok\n")


def test_a_large_answer_under_way_is_ended_before_it_stops() -> None:
    server = Server(big_app(BIG * 4), [FREE_PORT])
    server.start()
    with connect(server) as client:
        client.sendall(b"GET /dashboards/big.json HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(1) == b"H"
        stopping = threading.Thread(target=server.stop)
        stopping.start()

        assert len(drain(client)) > len(BIG) * 4

    stopping.join(PATIENCE)


def test_a_server_that_never_started_can_be_stopped() -> None:
    server = Server(app(snapshot()), [FREE_PORT])

    server.stop()

    with pytest.raises(ConnectionRefusedError):
        connect(server)


def test_a_busy_moment_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), serving() as server, ThreadPoolExecutor(20) as pool:
        assert {code for code, _ in pool.map(lambda _: get(server), range(60))} == {200}

    assert [record.name for record in caplog.records if "waitress" in record.name] == []


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE} s"
        time.sleep(0.01)
