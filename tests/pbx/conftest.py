"""What tests of answers share: no network, and a `requests` that is given its answers.

Each name has the one address 192.0.2.1, unless `addresses` says otherwise.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from responses import RequestsMock


@pytest.fixture
def addresses() -> dict[str, list[str]]:
    """Return the addresses of each name."""
    return {}


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, addresses: dict[str, list[str]]) -> None:
    """Let the test fail where it connects; names are looked up in *addresses*."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a test of answers went to the network")

    def look_up(host: str, port: int, **_: object) -> list[object]:
        found = addresses.get(host, ["192.0.2.1"])
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in found]

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", look_up)


@pytest.fixture
def answers(no_network: None) -> Iterator[RequestsMock]:
    """Answer requests with what the test adds; it must ask for each, and for nothing else."""
    with RequestsMock() as added:
        yield added
        unexpected = [
            call.request.url for call in added.calls if isinstance(call.response, OSError)
        ]
        assert not unexpected
