"""The real client of a token server, and what tests ask of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cdr_exporter.cdr.contract import CDRQuery
from cdr_exporter.errors import PBXError
from cdr_exporter.pbx import Client, FileDocuments
from cdr_exporter.secret import Secret
from cdr_exporter.settings import PBX, SecretSource

from .token_server import TokenServer

FIRST_PAGE = CDRQuery(page=1, page_size=20, sort_by="id", order_by="desc")


class WallClock:
    """A wall clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class ClientHarness:
    """A server at *base_url*, a clock, and clients that share one token file."""

    def __init__(self, base_url: str, server: TokenServer, directory: Path) -> None:
        self.server = server
        self.path = directory / "hq.token"
        self.clock = WallClock()
        self.settings = PBX(
            name="hq",
            base_url=base_url,
            client_id="client",
            secret=SecretSource(value=Secret("right-secret")),
            request_timeout=5.0,
        )

    def client(self, **changed: Any) -> Client:
        """Return what a new process would make; *changed* are settings."""
        settings = replace(self.settings, **changed)
        return Client(settings, FileDocuments(self.path.parent), wall=self.clock)

    def with_secret(self, secret: str) -> Client:
        """Return one with another secret."""
        return self.client(secret=SecretSource(value=Secret(secret)))

    def logins(self) -> int:
        """Return how often somebody tried to log in."""
        return self.server.calls.count("get_token")


def failure(client: Client) -> PBXError:
    """Return the error with which a page is fetched."""
    with pytest.raises(PBXError) as caught:
        client.fetch(FIRST_PAGE)
    return caught.value
