from __future__ import annotations

import http.client
import socket
from typing import Any

import pytest

from cdr_exporter.errors import ConfigError
from cdr_exporter.web import ListenAddress, ListenError, Server, parse_listen_address
from cdr_exporter.web.listen import bind

from ..support.web import app, snapshot


def close(*sockets: socket.socket) -> None:
    for bound in sockets:
        bound.close()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (":10088", ("", 10088)),
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("[::1]:9000", ("::1", 9000)),
        ("[fe80::1%eth0]:9000", ("fe80::1%eth0", 9000)),
        ("localhost:65535", ("localhost", 65535)),
        ("192.0.2.1:00080", ("192.0.2.1", 80)),
    ],
)
def test_a_listen_address_is_read(text: str, expected: tuple[str, int]) -> None:
    assert parse_listen_address(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10088",
        ":",
        "127.0.0.1",
        "127.0.0.1:",
        ":65536",
        ":-1",
        ":http",
        "::1:9000",
        "[::1]",
        "[]:9000",
        "[::1]9000",
        "[localhost]:9000",
        "http://127.0.0.1:9000",
        "127.0.0.1:9000/x",
        " :9000",
        ":9000\n",
        ":٩٠٠٠",
    ],
)
def test_anything_else_is_an_argument_error(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^--web\.listen-address"):
        parse_listen_address(text)


@pytest.mark.parametrize(
    ("address", "written", "url"),
    [
        (("", 10088), ":10088", "http://127.0.0.1:10088/"),
        (("::", 10088), "[::]:10088", "http://127.0.0.1:10088/"),
        (("::1", 9000), "[::1]:9000", "http://[::1]:9000/"),
        (("10.0.0.1", 9000), "10.0.0.1:9000", "http://10.0.0.1:9000/"),
    ],
)
def test_an_address_is_written_for_people_and_for_browsers(
    address: tuple[str, int], written: str, url: str
) -> None:
    assert (str(ListenAddress(*address)), ListenAddress(*address).url) == (written, url)


def test_a_free_port_is_known_once_it_is_bound() -> None:
    server = Server(app(snapshot()), [parse_listen_address("127.0.0.1:0")])
    server.stop()

    ((host, port),) = server.addresses

    assert host == "127.0.0.1"
    assert port > 0


def test_no_host_means_both_families_where_there_are_two() -> None:
    server = Server(app(snapshot()), [parse_listen_address(":0")])
    server.start()
    hosts = ["127.0.0.1", "::1"] if socket.has_dualstack_ipv6() else ["127.0.0.1"]
    try:
        for host in hosts:
            client = http.client.HTTPConnection(host, server.addresses[0].port, timeout=10)
            client.request("GET", "/-/healthy")
            assert client.getresponse().read() == b"ok\n"
            client.close()
    finally:
        server.stop()


def test_a_machine_without_ipv6_addresses_listens_on_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.create_server

    def without_ipv6(
        address: tuple[str, int], *, family: int = socket.AF_INET, **options: Any
    ) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(99, "Cannot assign requested address")
        return real(address, family=family, **options)

    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: True)
    monkeypatch.setattr(socket, "create_server", without_ipv6)
    (bound,) = bind([parse_listen_address(":0")])

    assert bound.family == socket.AF_INET
    close(bound)


@pytest.mark.parametrize("host", ["127.0.0.1", ""], ids=["one address", "every address"])
def test_a_port_in_use_is_reported(host: str) -> None:
    (taken,) = bind([ListenAddress(host, 0)])
    port = taken.getsockname()[1]

    with pytest.raises(
        ListenError, match=rf"^cannot listen on {host}:{port}: address already in use; end"
    ):
        Server(app(snapshot()), [ListenAddress(host, port)])

    close(taken)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("192.0.2.1:0", "cannot assign requested address; name an address of this machine"),
        ("a..b:0", "no such host name; name an address of this machine"),
    ],
)
def test_an_address_of_another_machine_is_reported(text: str, reason: str) -> None:
    with pytest.raises(ListenError, match=rf"^cannot listen on .*: {reason}, or :PORT"):
        bind([parse_listen_address(text)])


def test_nothing_stays_bound_when_one_address_fails() -> None:
    (taken,) = bind([parse_listen_address("127.0.0.1:0")])
    (free,) = bind([parse_listen_address("127.0.0.1:0")])
    first, second = (ListenAddress(*s.getsockname()) for s in (free, taken))
    close(free)

    with pytest.raises(ListenError):
        bind([first, second])

    close(taken, *bind([first]))


def test_no_address_at_all_is_an_error() -> None:
    with pytest.raises(ListenError):
        Server(app(snapshot()), [])
