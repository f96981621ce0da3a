"""What an HTTP answer means: its status, its headers, its texts; no socket is opened."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from time import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from responses import RequestsMock

from cdr_exporter.errors import PBXError, TryAgain, WaitLong
from cdr_exporter.pbx.failures import AccessRefused, parse_retry_after
from cdr_exporter.pbx.http_date import parse_http_date
from cdr_exporter.pbx.transport import APIRequest, Transport
from cdr_exporter.secret import Secret
from cdr_exporter.settings import TLS

TOKEN = "64er0dvpIUiXhZEetXfvqaEj4XIY2rLj"
LIST = APIRequest("GET", "cdr/list", {"page": "1"}, Secret(TOKEN))
ROOT = "http://pbx.test/openapi/v1.0"
URL = f"{ROOT}/cdr/list"


def transport(wall: Callable[[], float] = time) -> Transport:
    return Transport(ROOT, TLS(), wall=wall)


def test_a_test_of_answers_that_goes_to_the_network_fails(answers: RequestsMock) -> None:
    answers.add_passthru("http://127.0.0.1:1")

    with pytest.raises(AssertionError, match="went to the network"):
        Transport("http://127.0.0.1:1", TLS()).send(LIST, 5)


def test_an_answer_means_that_its_request_was_sent(answers: RequestsMock) -> None:
    answers.get(URL, b"{}")
    sender = transport()

    assert sender.send(LIST, 5) == b"{}"
    assert (sender.last_was_sent, sender.requests) == (True, 1)


@pytest.mark.fault("B11", "B12")
@pytest.mark.parametrize(
    ("status", "headers", "kind", "reason", "seconds"),
    [
        pytest.param(500, {}, TryAgain, "http", None, id="500"),
        pytest.param(502, {}, TryAgain, "http", None, id="502"),
        pytest.param(204, {}, TryAgain, "http", None, id="204"),
        pytest.param(302, {"Location": "/x"}, TryAgain, "redirect", None, id="302"),
        pytest.param(304, {}, TryAgain, "redirect", None, id="304"),
        pytest.param(429, {}, TryAgain, "throttled", None, id="429"),
        pytest.param(429, {"Retry-After": "7"}, TryAgain, "throttled", 7.0, id="429_7"),
        pytest.param(503, {"Retry-After": "0"}, TryAgain, "throttled", 1.0, id="503_0"),
        pytest.param(
            503, {"Retry-After": "9" * 5000}, TryAgain, "throttled", 3600.0, id="503_absurd"
        ),
        pytest.param(503, {"Retry-After": "soon"}, TryAgain, "http", None, id="503_junk"),
        pytest.param(503, {}, TryAgain, "http", None, id="503"),
        pytest.param(401, {}, AccessRefused, "auth", None, id="401"),
        pytest.param(403, {}, AccessRefused, "auth", None, id="403"),
        pytest.param(404, {}, WaitLong, "http", None, id="404"),
    ],
)
def test_a_status_other_than_200_has_its_reason(
    answers: RequestsMock,
    status: int,
    headers: dict[str, str],
    kind: type,
    reason: str,
    seconds: float | None,
) -> None:
    answers.get(URL, b"<html>", status=status, headers=headers)
    with pytest.raises(PBXError) as caught:
        transport().send(LIST, 5)

    assert (type(caught.value), caught.value.reason) == (kind, reason)
    assert getattr(caught.value, "retry_after", None) == seconds
    assert len(answers.calls) == 1


@pytest.mark.fault("B10")
@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 20.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 1.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600.0),
        ("Thu, 01 Jan 99999 00:02:00 GMT", None),
        ("-5", None),
        ("", None),
        ("1e400", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_within_bounds(value: str, seconds: float | None) -> None:
    assert parse_retry_after(value, now=100.0) == seconds


@pytest.mark.fault("D14")
@pytest.mark.parametrize("ahead", [0, 3 * 3600, -3 * 3600, 30 * 86_400], ids=lambda n: f"{n}s")
def test_the_date_of_an_answer_tells_by_how_much_the_clock_of_the_pbx_is_ahead(
    answers: RequestsMock, ahead: int
) -> None:
    """From the middle between request and answer, and from the middle of the second it names."""
    times = iter([1_700_000_000.0, 1_700_000_004.0])
    date = formatdate(1_700_000_002 + ahead, usegmt=True)
    answers.get(URL, b"{}", headers={"Date": date})
    sender = transport(wall=lambda: next(times, 1_700_000_009.0))
    before = sender.clock_offset
    sender.send(LIST, 5.0)

    assert before is None
    assert sender.clock_offset == ahead + 0.5


@pytest.mark.fault("D14")
@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="none"),
        pytest.param({"Date": ""}, id="empty"),
        pytest.param({"Date": "soon"}, id="no-date"),
        pytest.param({"Date": "Tue, 14 Nov 99999999999 22:13:20 GMT"}, id="year"),
        pytest.param({"Date": "Tue, 99 Nov 2023 22:13:20 GMT"}, id="day"),
        pytest.param({"Date": "Tue, 14 Nov 2023 22:13:20 +99999999999999999999"}, id="zone"),
        pytest.param({"Date": "\xff\xfe"}, id="binary"),
        pytest.param({"Date": "1700000000"}, id="epoch"),
        pytest.param({"Date": "Tue, " * 8000}, id="long"),
    ],
)
def test_without_a_readable_date_the_offset_of_the_clock_is_unknown(
    answers: RequestsMock, headers: dict[str, str]
) -> None:
    answers.get(URL, b"{}", headers={"Date": formatdate(usegmt=True)})
    answers.get(URL, b"{}", headers=headers)
    sender = transport()
    bodies = [sender.send(LIST, 5.0)]
    known = sender.clock_offset
    bodies.append(sender.send(LIST, 5.0))

    assert bodies == [b"{}", b"{}"]
    assert known is not None
    assert sender.clock_offset is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        pytest.param("Tue, 14 Nov 2023 22:13:20 GMT", 1_700_000_000.0, id="as-they-are"),
        pytest.param("Tuesday, 14-Nov-23 22:13:20 GMT", 1_700_000_000.0, id="obsolete"),
        pytest.param("Tue Nov 14 22:13:20 2023", 1_700_000_000.0, id="asctime-is-utc"),
        pytest.param("Tue, 14 Nov 2023 23:13:20 +0100", 1_700_000_000.0, id="a-zone"),
        pytest.param("Thu, 01 Jan 1970 00:00:00 GMT", 0.0, id="clock-not-set"),
    ],
)
def test_a_date_is_read_in_each_of_its_forms(value: str, seconds: float) -> None:
    assert parse_http_date(value) == seconds


@given(st.text(max_size=60) | st.from_regex(r"[A-Z][a-z]{2}, \d+ Nov -?\d+ [\d:]+ [+-]?\w+"))
def test_no_text_is_more_than_an_unreadable_date(text: str) -> None:
    assert isinstance(parse_http_date(text), float | None)
