"""What tests of answers share: no network, and a `requests` that is given its answers."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from responses import RequestsMock


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the test fail where it looks up a name or connects."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a test of answers went to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def answers(no_network: None) -> Iterator[RequestsMock]:
    """Answer requests with what the test adds; it must ask for each, and for nothing else."""
    with RequestsMock() as added:
        yield added
        unexpected = [
            call.request.url for call in added.calls if isinstance(call.response, OSError)
        ]
        assert not unexpected
