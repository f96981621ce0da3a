"""Whatever a PBX answers, it gets few logins: the client on a transport without a network."""

from __future__ import annotations

import json
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdr_exporter.errors import PBXError, TryAgain
from cdr_exporter.pbx import Client, FileDocuments
from cdr_exporter.pbx.failures import AccessRefused
from cdr_exporter.pbx.transport import APIRequest, Transport
from cdr_exporter.secret import Secret
from cdr_exporter.settings import PBX, TLS, SecretSource

from ..support.client_harness import FIRST_PAGE, WallClock

HALF_AN_HOUR = 1800.0
FINE, SILENT = "fine", "silent"
# An error code, an HTTP status, or an HTTP status with an error code.
ANSWERS = (
    *(FINE, FINE, FINE, SILENT),
    *(10004, 10002, 10003, 10005, -1, -2, 60002, 70004),
    *((401, None), (401, 10004), (401, 10003), (401, -1), (403, None)),
)
Answer = str | int | tuple[int, int | None]


@dataclass
class Said:
    """What the PBX answers until the next change, by endpoint, *seconds* after the last poll."""

    seconds: float
    answers: dict[str, Answer]


@dataclass
class AnsweringTransport(Transport):
    """Answers as it was told; *sent* is when which endpoint was asked.

    *logged_in* is when logins succeeded, *refused* whether each login was refused.
    """

    clock: WallClock
    answers: dict[str, Answer] = field(default_factory=dict)
    sent: list[tuple[str, float]] = field(default_factory=list)
    logged_in: list[float] = field(default_factory=list)
    refused: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__("http://127.0.0.1", TLS())

    def send(
        self, request: APIRequest, timeout_seconds: float, *, even_if_cancelled: bool = False
    ) -> bytes:
        """Answer at once."""
        self.last_was_sent = True
        self.sent.append((request.path, self.clock.now))
        answer = self.answers.get(request.path, FINE)
        if request.path == "get_token":
            self.refused.append(answer in (-1, (401, -1)))
            self.logged_in += [self.clock.now] if answer == FINE else []
        if answer == SILENT:
            raise TryAgain("no answer", reason="timeout")
        if isinstance(answer, tuple):
            raise AccessRefused(*answer)
        if isinstance(answer, int):
            return json.dumps({"errcode": answer}).encode()
        return json.dumps(self._tokens() if "token" in request.path else {"errcode": 0}).encode()

    def _tokens(self) -> dict[str, object]:
        number = len(self.sent)
        return {
            "errcode": 0,
            "access_token": f"access-token-{number}",
            "refresh_token": f"refresh-token-{number}",
        }


def most_within_half_an_hour(times: list[float]) -> int:
    return max((sum(0 <= at - start < HALF_AN_HOUR for at in times) for start in times), default=0)


said = st.builds(
    Said,
    st.sampled_from([1.0, 30.0, 60.0, 300.0, 900.0, 1500.0, 7200.0]),
    st.fixed_dictionaries(
        {name: st.sampled_from(ANSWERS) for name in ("cdr/list", "refresh_token", "get_token")}
    ),
)


def polled(days: list[Said], restarts: bool) -> AnsweringTransport:
    """Poll a PBX that answers so; with *restarts* each poll is of a new process."""
    clock = WallClock()
    transport = AnsweringTransport(clock)
    source = SecretSource(value=Secret("right-secret"))
    pbx = PBX(name="hq", base_url="http://127.0.0.1", client_id="client", secret=source)
    with tempfile.TemporaryDirectory() as directory:
        documents = FileDocuments(Path(directory))
        client = Client(pbx, documents, wall=clock, transport=transport)
        for each in days:
            clock.now += each.seconds
            transport.answers = each.answers
            if restarts:
                client = Client(pbx, documents, wall=clock, transport=transport)
            before = len(transport.sent)
            with suppress(PBXError):
                client.fetch(FIRST_PAGE)
            assert len(transport.sent) - before <= 6
    return transport


@given(st.lists(said, min_size=4, max_size=40), st.booleans())
def test_whatever_a_pbx_answers_it_gets_few_logins_and_refuses_few_in_a_row(
    days: list[Said], restarts: bool
) -> None:
    """Eight tokens may live at a time, for half an hour; five refusals in a row block us."""
    transport = polled(days, restarts)
    logins = [at for path, at in transport.sent if path == "get_token"]
    in_a_row = "".join("x" if each else " " for each in transport.refused).split()

    assert most_within_half_an_hour(transport.logged_in) <= 5
    assert most_within_half_an_hour(logins) <= 8
    assert max(map(len, in_a_row), default=0) <= 3


LOSSES = st.sampled_from([10004, 10002, 10003, 10005, (401, None), (401, 10004), (401, 10005)])


@pytest.mark.slow
@given(st.lists(LOSSES, min_size=200, max_size=200), st.booleans(), LOSSES | st.just(FINE))
def test_a_pbx_that_loses_each_token_after_a_page_gets_few_logins(
    losses: list[Answer], restarts: bool, refresh: Answer
) -> None:
    days = []
    for number, loss in enumerate(losses):
        answer = loss if number % 2 else FINE
        days.append(Said(30.0, {"cdr/list": answer, "refresh_token": refresh}))
    transport = polled(days, restarts)

    assert most_within_half_an_hour(transport.logged_in) <= 5
