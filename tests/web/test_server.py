"""The real server over loopback: slow and hostile clients must not affect others."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import logging
import socket
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdr_exporter.web import App, ConnectionLimits, Server

from ..support.web import app, snapshot
from ..support.web_server import (
    FREE_PORT,
    PATIENCE,
    connect,
    drain,
    exchange,
    serving,
    status,
    wait_until,
)

SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
HEALTHY = b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n"
BIG_FILE = b"GET /dashboards/big.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
BIG = b"x" * 5_000_000


def big_app(body: bytes = BIG) -> App:
    return app(snapshot(), dashboards={"big.json": body})


def get(
    server: Server, target: str = "/metrics", accept_encoding: str = "identity"
) -> tuple[int, bytes]:
    host, port = server.addresses[0]
    client = http.client.HTTPConnection(host, port, timeout=PATIENCE)
    with contextlib.closing(client):
        client.request("GET", target, headers={"Accept-Encoding": accept_encoding})
        response = client.getresponse()
        return response.status, response.read()


def test_a_scrape_over_the_wire_in_both_codings() -> None:
    with serving() as server:
        plain = get(server, "/metrics?pbx=hq")
        packed = get(server, "/metrics?pbx=hq", accept_encoding="gzip")

    assert plain[0] == packed[0] == 200
    assert gzip.decompress(packed[1]) == plain[1]


def test_no_banner_is_sent_and_the_connection_ends_when_the_client_asks_for_that() -> None:
    with serving() as server:
        head = exchange(server, SCRAPE).partition(b"\r\n\r\n")[0].lower()

    assert b"\r\nserver:" not in head
    assert b"h11" not in head
    assert b"\r\nconnection: close" in head


def test_a_connection_serves_many_requests() -> None:
    with (
        serving() as server,
        contextlib.closing(http.client.HTTPConnection(*server.addresses[0])) as client,
    ):
        for _ in range(3):
            client.request("GET", "/-/healthy")
            response = client.getresponse()
            assert (response.status, response.read()) == (200, b"ok\n")

        assert server.connections == 1


def test_a_connection_of_http_1_0_ends_after_its_response() -> None:
    with serving() as server:
        answer = exchange(server, b"GET /-/healthy HTTP/1.0\r\n\r\n")

    assert status(answer) == 200
    assert answer.endswith(b"ok\n")


@pytest.mark.parametrize(
    "target", ["/", "/-/ready", "/sd", "/dashboards/calls.json", "/nothing", "/metrics?pbx="]
)
def test_head_has_the_headers_of_get_and_no_body(target: str) -> None:
    def ask(method: str) -> tuple[list[bytes], bytes]:
        request = f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        head, _, body = exchange(server, request.encode()).partition(b"\r\n\r\n")
        return [line for line in head.split(b"\r\n") if not line.startswith(b"Date:")], body

    with serving() as server:
        headers, body = ask("GET")

        assert ask("HEAD") == (headers, b"")
    assert b"Content-Length: %d" % len(body) in headers


@pytest.mark.fault("F4")
@pytest.mark.parametrize(
    "target",
    ["//metrics", "///metrics", "/metrics//", "/%6detrics", "/dashboards/..%2f", "/x/../metrics"],
)
def test_the_target_is_compared_as_it_was_sent(target: str) -> None:
    with serving() as server:
        assert status(exchange(server, f"GET {target} HTTP/1.0\r\n\r\n".encode())) == 404


@pytest.mark.fault("F3")
@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400, id="TLS hello"),
        pytest.param(b"GET\r\n\r\n", 400, id="no target"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", 400, id="no host"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, id="two hosts"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nbroken\r\n\r\n", 400, id="no header"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nA: b\rc\r\n\r\n", 400, id="bare CR"),
        pytest.param(b"GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n", 400, id="not ASCII"),
        pytest.param(b"GET http://[ HTTP/1.0\r\n\r\n", 404, id="broken URL"),
        pytest.param(b"GET / HTTP/1.0\r\nContent-Length: -1\r\n\r\n", 400, id="length < 0"),
        pytest.param(
            b"GET / HTTP/1.0\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
            400,
            id="length of 5,000 digits",
        ),
        pytest.param(
            b"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /sd HTTP/1.1\r\n\r\n",
            400,
            id="two lengths",
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", 501, id="coding"
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n" + b"x" * 9999,
            413,
            id="big body",
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n"
            b"Expect: 100-continue\r\n\r\n",
            413,
            id="big body announced",
        ),
        pytest.param(
            b"HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
            413,
            id="HEAD with a body",
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi" + HEALTHY, 405, id="POST"
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2\r\nhi\r\n0\r\n\r\n" + HEALTHY,
            405,
            id="POST in chunks",
        ),
        pytest.param(b"BREW / HTTP/1.0\r\n\r\n", 405, id="unknown method"),
        pytest.param(b"get / HTTP/1.0\r\n\r\n", 405, id="method in lower case"),
        pytest.param(b"CONNECT a:1 HTTP/1.0\r\nHost: a:1\r\n\r\n", 404, id="CONNECT"),
        pytest.param(b"GET /" + b"x" * 9000 + b" HTTP/1.0\r\n\r\n", 414, id="target of 9 kB"),
        pytest.param(b"GET /" + b"x" * 40_000, 414, id="target without end"),
        pytest.param(b"GET / HTTP/1.0\r\nX: " + b"x" * 40_000, 431, id="header without end"),
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


LINES = [f"{method} / HTTP/1.1\r\nHost: a\r\n" for method in ("GET", "HEAD", "POST", "CONNECT")]
FIELDS = [
    *("Content-Length: 2\r\n", "Content-Length: 9999\r\n", "Transfer-Encoding: chunked\r\n"),
    *("Expect: 100-continue\r\n", "Connection: upgrade\r\nUpgrade: x\r\n", "Connection: close\r\n"),
    *("Authorization: Basic x\r\n", "Accept-Encoding: gzip;q=x\r\n", "Host: b\r\n", "no field\r\n"),
]
BODIES = ["", "hi", "2\r\nhi\r\n", "0\r\n\r\n", "x\r\n", "\0", "\xff", "\r"]
REQUESTS = st.tuples(
    st.sampled_from(LINES),
    st.lists(st.sampled_from(FIELDS), max_size=2).map("".join),
    st.sampled_from(["\r\n", "\n", ""]),
    st.lists(st.sampled_from(BODIES), max_size=2).map("".join),
).map("".join)


@pytest.mark.slow
@pytest.mark.fault("F3")
def test_whatever_a_client_sends_the_connection_ends_as_it_should(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with serving(request=0.2, idle=0.2) as server:

        @settings(max_examples=300, deadline=None)
        @given(st.lists(REQUESTS, min_size=1, max_size=3).map("".join))
        def send(sent: str) -> None:
            with connect(server) as client, contextlib.suppress(ConnectionError):
                client.sendall(sent.encode("latin-1"))
                client.shutdown(socket.SHUT_WR)
                drain(client)

        send()
        assert get(server)[0] == 200
    assert [record.getMessage() for record in caplog.records if record.name != "asyncio"] == []


@pytest.mark.fault("F3")
def test_a_header_of_70_kb_is_not_read_to_its_end() -> None:
    with serving() as server:
        # The refusal is sent while the client is still sending, so it may see only the reset.
        with connect(server) as client, contextlib.suppress(ConnectionError):
            client.sendall(b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 700_000 + b"\r\n\r\n")
            answer = drain(client)
            assert answer == b"" or status(answer) == 431

        assert get(server)[0] == 200


@pytest.mark.fault("F3")
def test_pipelined_requests_are_answered_in_their_order() -> None:
    targets = ["/-/healthy", "/nothing", "/-/ready"] * 10
    requests = [f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for target in targets]
    with serving() as server:
        answer = exchange(server, b"".join(requests) + SCRAPE)

    statuses = [int(each[:3]) for each in answer.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [200, 404, 200] * 10 + [200]


@pytest.mark.fault("F3")
def test_a_refused_request_is_the_last_of_its_connection() -> None:
    with serving() as server:
        answer = exchange(server, HEALTHY + b"broken\r\n\r\n" + HEALTHY)

    assert [int(each[:3]) for each in answer.split(b"HTTP/1.1 ")[1:]] == [200, 400]


@pytest.mark.fault("F3")
def test_what_a_client_sends_never_reaches_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), serving() as server:
        exchange(server, b"canary canary canary\r\n\r\n")
        exchange(server, b"GET /canary HTTP/1.0\r\ncanary: canary\r\n\r\n")

    assert "canary" not in caplog.text
    assert [record for record in caplog.records if record.name != "asyncio"] == []


@pytest.mark.fault("F3")
def test_clients_that_pipeline_and_never_read_delay_no_other_client() -> None:
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
    with serving(request=0.2) as server, connect(server) as client:
        client.sendall(b"GET /metrics")

        assert drain(client) == b""


@pytest.mark.fault("F2")
def test_a_client_that_sends_a_byte_at_a_time_is_closed_though_it_is_never_idle() -> None:
    with serving(request=0.5) as server, connect(server) as client:
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
    with serving(big_app(), response=0.3) as server, connect(server) as client:
        client.sendall(BIG_FILE)
        assert client.recv(1) == b"H"
        # Its window is full: the client cannot see the end before it has read all of that.
        wait_until(lambda: not server.connections, "the connection is closed")

        assert len(drain(client)) < len(BIG)


@pytest.mark.fault("F2")
def test_a_client_that_sends_no_other_request_is_closed() -> None:
    with serving(idle=0.2) as server, connect(server) as client:
        client.sendall(HEALTHY)

        assert drain(client).endswith(b"ok\n")


@pytest.mark.fault("F2")
def test_a_client_that_sends_its_second_request_too_slowly_is_closed() -> None:
    with serving(request=0.3) as server, connect(server) as client:
        client.sendall(HEALTHY + b"GET /me")

        assert drain(client).count(b"HTTP/1.1") == 1


def test_a_large_answer_arrives_whole() -> None:
    with serving(big_app()) as server:
        assert get(server, "/dashboards/big.json") == (200, BIG)


def test_a_client_that_reads_slowly_gets_all_of_it() -> None:
    with serving(big_app()) as server, connect(server) as client:
        client.sendall(BIG_FILE)
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


def test_a_response_is_not_held_back_until_the_one_before_is_acknowledged() -> None:
    def seconds(client: socket.socket) -> float:
        begun = time.monotonic()
        client.sendall(HEALTHY * 2)
        received = b""
        while received.count(b"ok\n") < 2:
            received += client.recv(65536)
        return time.monotonic() - begun

    with serving() as server, connect(server) as client:
        taken = [seconds(client) for _ in range(40)]

    # The system acknowledges after 0.04 seconds, but for the first on a connection.
    assert statistics.median(taken[20:]) < 0.03


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
            deaf.sendall(BIG_FILE)
            get(server)
            begun = time.monotonic()

        assert time.monotonic() - begun < 5  # clients have 10 seconds for a request
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
        client.sendall(HEALTHY)
        assert entered.wait(PATIENCE)
        threading.Timer(0.1, go_on.set).start()
        server.stop()

        assert drain(client).endswith(b"ok\n")


def test_a_large_answer_under_way_is_ended_before_it_stops() -> None:
    server = Server(big_app(BIG * 4), [FREE_PORT])
    server.start()
    with connect(server) as client:
        client.sendall(BIG_FILE)
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

    assert [record for record in caplog.records if record.name != "asyncio"] == []


@pytest.mark.fault("F11")
def test_clients_that_send_nothing_keep_nobody_of_their_address_out() -> None:
    with serving(limits=ConnectionLimits(20, 10)) as server, contextlib.ExitStack() as clients:
        silent = [clients.enter_context(connect(server)) for _ in range(30)]

        assert [get(server)[0] for _ in range(3)] == [200] * 3
        assert server.connections <= 11
        assert drain(silent[0]) == b""


@pytest.mark.fault("F11")
def test_one_address_with_busy_connections_leaves_room_for_others() -> None:
    with (
        serving(big_app(), ConnectionLimits(8, 4)) as server,
        contextlib.ExitStack() as clients,
    ):
        for _ in range(4):
            busy = clients.enter_context(connect(server))
            busy.sendall(BIG_FILE)
            assert busy.recv(1) == b"H"
        refused = exchange(server, b"")
        with socket.create_connection(
            server.addresses[0], timeout=PATIENCE, source_address=("127.0.0.9", 0)
        ) as other:
            other.sendall(SCRAPE)

            assert status(drain(other)) == 200
    assert status(refused) == 503
    assert refused.endswith(b"too many connections\n")


@pytest.mark.fault("F11")
def test_refused_connections_are_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    with serving(big_app(), ConnectionLimits(2, 1)) as server, connect(server) as client:
        client.sendall(BIG_FILE)
        client.recv(1)
        for _ in range(5):
            exchange(server, b"")

    assert [record.getMessage() for record in caplog.records] == ["connections refused"]
