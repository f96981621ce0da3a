from __future__ import annotations

import pytest

from cdr_exporter.web import Hosts, ListenAddress

EVERYWHERE = ListenAddress("", 10088)
LOOPBACK = ListenAddress("127.0.0.1", 10088)
NAMED = ListenAddress("Mon.Example", 10088)
URL = "https://mon.example:8443/cdr/"


@pytest.mark.parametrize("host", ["evil.example", "exporter:10088", "", "a b"])
def test_who_listens_everywhere_and_has_no_url_answers_to_any_name(host: str) -> None:
    assert Hosts([LOOPBACK, EVERYWHERE]).has(host)
    assert Hosts().has(host)


@pytest.mark.parametrize(
    "host",
    [
        pytest.param("mon.example", id="name"),
        pytest.param("MON.example.:10088", id="case, root and port"),
        pytest.param("localhost:1", id="localhost"),
        pytest.param("127.0.0.1:10088", id="own address"),
        pytest.param("192.0.2.7", id="any address"),
        pytest.param("[::1]:10088", id="IPv6"),
        pytest.param("", id="none, as in HTTP/1.0"),
    ],
)
@pytest.mark.parametrize(
    "hosts",
    [
        pytest.param(Hosts([LOOPBACK, NAMED]), id="addresses"),
        pytest.param(Hosts([EVERYWHERE], URL), id="URL"),
    ],
)
def test_own_names_and_addresses_are_ours(hosts: Hosts, host: str) -> None:
    assert hosts.has(host)


@pytest.mark.parametrize("address", ["Two.Example:10088", "two.example"])
def test_the_address_at_which_other_replicas_send_prometheus_here_is_ours(address: str) -> None:
    hosts = Hosts([EVERYWHERE], URL, address)

    assert hosts.has("two.example:10088")
    assert hosts.has("mon.example")
    assert not hosts.has("evil.example")
    assert Hosts([EVERYWHERE], None, address).has("evil.example")


@pytest.mark.fault("F12")
@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:10088",
        "mon.example.evil.example",
        "evil.example, mon.example",
        "mon.example:10088:1",
        "[mon.example",
        "user@mon.example",
        "127.0.0.1.evil.example",
    ],
)
@pytest.mark.parametrize(
    "hosts",
    [
        pytest.param(Hosts([LOOPBACK, NAMED]), id="addresses"),
        pytest.param(Hosts([EVERYWHERE], URL), id="URL"),
    ],
)
def test_a_name_of_somebody_else_is_not_ours(hosts: Hosts, host: str) -> None:
    assert not hosts.has(host)
