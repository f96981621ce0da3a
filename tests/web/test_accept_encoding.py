from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterable

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as read_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as read_text

from cdr_exporter.web.accept import accepts_gzip

from ..support.web import app, ask, snapshot

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;"
    "q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
OPENMETRICS, TEXT = "application/openmetrics-text", "text/plain"


@pytest.mark.fault("F8")
@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        pytest.param(PROMETHEUS_2, OPENMETRICS, id="prometheus"),
        pytest.param(BROWSER, TEXT, id="browser"),
        pytest.param("", TEXT, id="nothing said"),
        pytest.param("*/*", TEXT, id="anything"),
        pytest.param("application/json", TEXT, id="something else"),
        pytest.param("text/plain;q=1,application/openmetrics-text;q=0.1", TEXT, id="text first"),
        pytest.param("text/plain;q=0.1,application/openmetrics-text", OPENMETRICS, id="text last"),
        pytest.param("application/openmetrics-text;q=0", TEXT, id="openmetrics refused"),
        pytest.param("application/openmetrics-text;q=x", TEXT, id="no weight at all"),
        pytest.param(";;,q=,=;q=1", TEXT, id="garbage"),
    ],
)
def test_the_format_follows_the_accept_header(accept: str, kind: str) -> None:
    response = ask(app(snapshot()), "/metrics", accept=accept)

    assert response.headers["Content-Type"].partition(";")[0] == kind
    assert response.headers["Vary"] == "Accept, Accept-Encoding"
    assert response.text.endswith("# EOF\n") == (kind == OPENMETRICS)


@pytest.mark.parametrize("target", ["/metrics", "/metrics?pbx=hq"])
@pytest.mark.parametrize(
    ("accept", "read"), [("", read_text), (PROMETHEUS_2, read_openmetrics)], ids=[TEXT, OPENMETRICS]
)
def test_both_formats_are_read_by_the_librarys_parsers(
    target: str, accept: str, read: Callable[[str], Iterable[Metric]]
) -> None:
    response = ask(app(snapshot("hq", answered=41)), target, accept=accept)

    samples = [s for family in read(response.text) for s in family.samples]

    answered = {"disposition": "ANSWERED", "call_type": "Inbound", "trunk": "sip", "pbx": "hq"}
    assert [s.value for s in samples if s.labels == answered] == [41.0]


@pytest.mark.parametrize("accept", ["", PROMETHEUS_2], ids=[TEXT, OPENMETRICS])
def test_gzip_holds_the_same_text_in_one_member(accept: str) -> None:
    application = app(snapshot())
    headers = {"accept": accept, "accept_encoding": "gzip"}

    plain = ask(application, "/metrics?pbx=hq", accept=accept)
    packed = ask(application, "/metrics?pbx=hq", **headers)

    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["Content-Length"] == str(len(packed.body))
    assert gzip.decompress(packed.body) == plain.body
    member = zlib.decompressobj(zlib.MAX_WBITS | 16)
    assert member.decompress(packed.body) == plain.body
    assert member.unused_data == b""


def test_the_process_families_are_in_the_gzip_too() -> None:
    packed = ask(app(snapshot()), "/metrics", accept_encoding="gzip, deflate")

    assert b"python_info" in gzip.decompress(packed.body)


@pytest.mark.fault("F8")
@pytest.mark.parametrize(
    ("accept_encoding", "expected"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("deflate, gzip;q=1.0, br", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("gzip ; Q=0.5", True),
        ("identity", False),
        ("deflate, br", False),
        ("*", True),
        ("*;q=0", False),
        ("*, gzip;q=0", False),
        ("identity;q=1, gzip;q=0.5", False),
        ("identity;q=0.5, gzip;q=0.5", True),
        ("gzip;q=abc", False),
        ("gzip;q=nan", False),
        ("gzipped", False),
        (",;=,gzip,", True),
    ],
)
def test_gzip_is_sent_to_clients_that_prefer_it(accept_encoding: str, expected: bool) -> None:
    assert accepts_gzip(accept_encoding) is expected


def test_without_gzip_nothing_says_gzip() -> None:
    response = ask(app(snapshot()), "/metrics", accept_encoding="gzip;q=0")

    assert "Content-Encoding" not in response.headers
    assert response.headers["Vary"] == "Accept, Accept-Encoding"
