"""Faults of the PBX and the way to it (groups A to C of FAULTS.md), seen as metrics.

The real client over a scripted server, a poller, a state file: one fault, what it is counted as,
and that the next good answer counts as if nothing had been.
"""

from __future__ import annotations

import datetime
import gzip
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as read_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as read_plain

from cdr_exporter.cdr import CDRAnswer
from cdr_exporter.cdr.contract import CDRQuery
from cdr_exporter.errors import TryAgain
from cdr_exporter.exposition import Exposition
from cdr_exporter.metrics.totals import Series
from cdr_exporter.pbx import Client, FileDocuments
from cdr_exporter.secret import Secret
from cdr_exporter.settings import PBX, TLS, SecretSource

from ..support.client_harness import FIRST_PAGE, ClientHarness, failure
from ..support.fake_clock import FakeClock
from ..support.fake_pbx import FakePBX
from ..support.poller_harness import MakeHarness
from ..support.rows import BOUNDS, body, row
from ..support.socket_server import (
    Certificate,
    Step,
    Wire,
    as_plain_http,
    certificate,
    chunked,
    drip,
    endless,
    hang,
    ok,
    reset,
    say,
)
from ..support.token_server import TokenServer

FAILURES = "cdr_exporter_poll_failures_total"
API_ERRORS = "cdr_exporter_api_errors_total"
BLOCKED = "cdr_exporter_auth_blocked"
REJECTED = "cdr_exporter_rejected_records_total"
HOUR, DAY = 3600.0, 86_400.0


class Wired:
    """The real client for a `PollerHarness`; its clock is the poller's."""

    def __init__(
        self, wire: Wire, directory: Path, password: str = "", request_timeout: float = 5.0
    ) -> None:
        self.clock = FakeClock()
        settings = PBX(
            name="hq",
            base_url=wire.url,
            client_id="client",
            secret=SecretSource(value=Secret(password or "right-secret")),
            request_timeout=request_timeout,
        )
        directory.mkdir(parents=True, exist_ok=True)
        self.client = Client(settings, FileDocuments(directory), wall=lambda: self.clock.wall)

    @property
    def requests(self) -> int:
        return self.client.requests

    @property
    def errcodes(self) -> Mapping[int, int]:
        return self.client.errcodes

    @property
    def clock_offset(self) -> float | None:
        return self.client.clock_offset

    def fetch(self, query: CDRQuery) -> CDRAnswer:
        return self.client.fetch(query)


@pytest.fixture
def server() -> TokenServer:
    return TokenServer()


@pytest.fixture
def wire(server: TokenServer) -> Iterator[Wire]:
    with Wire(server) as wire:
        yield wire


def calls(*row_ids: int, **fields: Any) -> list[dict[str, Any]]:
    return [row(row_id, **fields) for row_id in row_ids]


# --- one fault, one reason -----------------------------------------------------------------------


@dataclass
class Fault:
    step: Step | None = None
    reason: str = "garbled"
    errcode: int | None = None
    label: str = ""
    blocked: str = ""


def refusal(errcode: int, reason: str = "api", label: str = "", blocked: str = "") -> Fault:
    return Fault(None, reason, errcode, label or str(errcode), blocked)


def listing(*rows: Any, **fields: Any) -> Fault:
    return Fault(say(ok(body(rows, **fields))))


GOOD = ok(body(calls(3, 2, 1)))
FAULTS = {
    # A
    "A5 address blocked": refusal(70004, "auth", blocked="ip_blocked"),
    "A5 address forbidden": refusal(70087, "auth", blocked="ip_forbidden"),
    "A6 token cap": refusal(60002, "auth", blocked="token_cap"),
    # Not once: the token had worked, so it is taken for lost first.
    "A9 right removed": Fault(say(ok(b'{"errcode": 10005}')), "auth", blocked="denied"),
    "A9 API switched off": refusal(70123, "auth", blocked="api_disabled"),
    # B
    "B3 silent": Fault(hang, "timeout"),
    "B3 dripping": Fault(drip(GOOD, 0.02), "timeout"),
    "B4 reset": Fault(reset(GOOD[:80])),
    "B4 closed": Fault(say(b""), "connect"),
    "B4 cut": Fault(say(GOOD[:-1])),
    "B5 longer than it is": Fault(say(GOOD.replace(b"Content-Length: ", b"Content-Length: 9"))),
    "B5 chunks cut": Fault(say(chunked(body(calls(3)))[:-9])),
    "B6 endless": Fault(endless(b"HTTP/1.1 200 OK\r\n\r\n", b" " * 1_000_000), "too_large"),
    "B6 compressed": Fault(say(ok(gzip.compress(body(calls(2))), Content_Encoding="gzip"))),
    "B8 redirect": Fault(say(ok(b"", "302 Found", Location="/x")), "redirect"),
    "B10 slow down": Fault(say(ok(b"", "429 Slow", Retry_After="7")), "throttled"),
    "B10 busy": Fault(say(ok(b"", "503 Busy", Retry_After="7")), "throttled"),
    "B11 500": Fault(say(ok(b"<html>Kristin Hale</html>", "500 Oops")), "http"),
    "B11 504": Fault(say(ok(b"<html>", "504 Late")), "http"),
    "B12 401": Fault(say(ok(b"", "401 Unauthorized")), "auth"),
    "B12 403": Fault(say(ok(b"", "403 Forbidden")), "auth"),
    "B12 404": Fault(say(ok(b"", "404 Not Found")), "http"),
    # C
    "C1 a code with a reaction": refusal(-2),
    "C1 a code without": refusal(99_999, label="other"),
    "C2 no errcode": Fault(say(ok(b'{"data": []}'))),
    "C2 errcode is text": listing(*calls(3), errcode="0"),
    "C2 errcode is true": listing(*calls(3), errcode=False),
    "C3 HTML": Fault(say(ok(b"<html>"))),
    "C3 no body": Fault(say(ok(b""))),
    "C3 trailing garbage": Fault(say(ok(body(calls(3)) + b"x"))),
    "C5 5,000 digits": listing(*calls(3), total_number=10**4_000),
    "C5 nested without end": Fault(say(ok(b"[" * 100_000))),
    "C7 ascending": listing(*calls(1, 2)),
    "C8 no total": listing(*calls(3, 2, 1), total_number="many"),
    "C8 more than asked": listing(*calls(*range(300, 0, -1))),
}


@pytest.mark.fault("A5", "A6", "A9")
@pytest.mark.fault("B3", "B4", "B5", "B6", "B8", "B10", "B11", "B12")
@pytest.mark.fault("C1", "C2", "C3", "C5", "C7", "C8")
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_is_counted_by_its_reason_and_the_next_answer_counts(
    wire: Wire, server: TokenServer, make_harness: MakeHarness, tmp_path: Path, fault: Fault
) -> None:
    patience = 0.3 if fault.reason == "timeout" else 5.0
    it = make_harness(cdr_list=Wired(wire, tmp_path / "token", request_timeout=patience))
    server.rows = calls(1)
    it.poll()
    server.rows = calls(3, 2, 1)
    counted, up = it.counted, it.gauge("cdr_up")
    if fault.step is not None:
        wire.script = [fault.step]
    else:
        server.says["cdr/list"] = [fault.errcode or 0]
    it.poll()
    wire.script = [server]

    assert (counted, up) == (0, 1)
    assert (it.counted, it.gauge("cdr_up")) == (0, 0)
    assert it.own(FAILURES, fault.reason) == 1
    assert sum(it.own(FAILURES, reason) for reason in REASONS) == 1
    assert "Kristin" not in it.last.failure
    assert not fault.label or it.own(API_ERRORS, fault.label) == 1
    assert not fault.blocked or it.gauge(BLOCKED, fault.blocked) == 1

    it.clock.pass_(2 * HOUR)
    it.poll()

    assert (it.counted, it.gauge("cdr_up")) == (2, 1)
    assert not fault.blocked or it.gauge(BLOCKED, fault.blocked) == 0


ODD_CALLS = b"""\xef\xbb\xbf{"errcode": 0, "total_number": 6.0, "data": [
{"id": 6.0, "uid": " ", "disposition": "ANSWERD", "duration": 30.0, "talk_duration": "2e1"},
{"id": 5, "uid": "\\u00a0", "disposition": "ABANDONED", "duration": " ", "call_from": "a\tb"},
{"id": 4, "uid": "\t", "disposition": "BUSY ", "call_from": "O\\'Hara", "reason": "\\x41\x00\xff"},
{"id": 3, "uid": "", "disposition": "NO ANSWERED", "src_trunk": " ", "dst_trunk": "sip-b"},
{"id": 2, "uid": "two", "disposition": "ANSWERED", "call_type": "Outbound", "src_trunk": "sip-b",
 "dst_trunk": " ", "call_to": "the "old" one\\"},
{"id": 1, "uid": "one", "disposition": "FAILED", "src_trunk": "\t", "reason": "%b"}
]}""" % (b"x" * 100_000)


@pytest.mark.fault("C19", "C20", "C22", "C24")
def test_calls_of_a_page_full_of_odd_texts_are_counted_as_what_they_are(
    wire: Wire, make_harness: MakeHarness, server: TokenServer, tmp_path: Path
) -> None:
    it = make_harness(cdr_list=Wired(wire, tmp_path / "token"), start="all")
    server.says["cdr/list"] = [ok(ODD_CALLS)] * 9
    # The PBX answers all the time: an hour in which nobody asked says nothing of its calls.
    for _ in range(4):
        it.poll()
        it.clock.pass_(60)
    found = {
        series.labels: value[0]
        for series, value in it.state.totals.series.items()
        if series.family == "cdr_calls_total" and value[0]
    }

    assert found == {
        ("answered", "Other", "none"): 1,
        ("no_answer", "Other", "none"): 1,
        ("busy", "Other", "none"): 1,
        ("no_answer", "Other", "sip-b"): 1,
        ("answered", "Outbound", "sip-b"): 1,
        ("failed", "Other", "none"): 1,
    }
    assert it.gauge("cdr_up") == 1
    assert not [
        series
        for series, value in it.state.totals.series.items()
        if series.family.startswith("cdr_exporter_rejected") and value[0]
    ]


REASONS = sorted({each.reason for each in FAULTS.values()} | {"tls", "state"})


@pytest.mark.fault("B1")
def test_a_refused_connection_is_counted_as_such(make_harness: MakeHarness, tmp_path: Path) -> None:
    with Wire(TokenServer()) as gone:
        nobody = Wired(gone, tmp_path / "token")
    it = make_harness(cdr_list=nobody)
    it.poll()

    assert (it.own(FAILURES, "connect"), it.gauge("cdr_up")) == (1, 0)
    assert it.last.failure.startswith(f"cannot connect to 127.0.0.1:{gone.port}: connection ref")


@pytest.mark.fault("A4")
def test_wrong_credentials_are_seen_and_tried_no_more_than_three_times(
    wire: Wire, server: TokenServer, make_harness: MakeHarness, tmp_path: Path
) -> None:
    it = make_harness(cdr_list=Wired(wire, tmp_path / "token", password="wrong"))
    for _ in range(200):
        it.clock.pass_(it.poll())
        if len(it.shown) % 9 == 0:
            # A crash loop has no more tries than a process that lives.
            it.cdr_list = Wired(wire, tmp_path / "token", password="wrong")
            it.cdr_list.clock = it.clock
            it.restart()
    blocked = it.gauge(BLOCKED, "credentials")
    server.secret = "wrong"
    it.clock.pass_(DAY)
    it.poll()

    assert server.counted() == {"get_token": 3}
    assert blocked == 1


@pytest.mark.fault("A1", "A2")
def test_a_token_that_expires_before_every_answer_is_no_data_gap(
    wire: Wire, server: TokenServer, make_harness: MakeHarness, tmp_path: Path
) -> None:
    it = make_harness(cdr_list=Wired(wire, tmp_path / "token"))
    it.poll()
    ups = []
    for number in range(1, 9):
        server.rows = calls(*range(number, 0, -1))
        server.alive.clear()
        if number % 2:
            server.refreshable.clear()
        it.poll()
        it.clock.pass_(60)
        ups.append(it.gauge("cdr_up"))

    assert ups == [1.0] * 8
    assert it.counted == 8
    assert it.own(API_ERRORS, "10004") >= 8
    assert server.counted()["get_token"] <= 5


@pytest.mark.fault("A11")
def test_an_unreadable_secret_file_does_not_end_a_token_that_lives(
    wire: Wire, server: TokenServer, tmp_path: Path
) -> None:
    harness = ClientHarness(wire.url, server, tmp_path)
    secret = tmp_path / "secret"
    secret.write_text("right-secret\n")
    client = harness.client(secret=SecretSource(file=secret))
    client.fetch(FIRST_PAGE)
    secret.unlink()
    client.fetch(FIRST_PAGE)
    harness.clock.now += 1500
    client.fetch(FIRST_PAGE)

    assert server.counted() == {"get_token": 1, "refresh_token": 1, "cdr/list": 3}


# --- B7: certificates ----------------------------------------------------------------------------


def expired(directory: Path, ca: Certificate) -> Certificate:
    """Return a certificate of *ca* that was good until yesterday."""
    fresh = certificate(directory, "expired", issuer=ca)
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(
        issuer_name=ca.certificate.subject,
        subject_name=fresh.certificate.subject,
        public_key=fresh.key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - datetime.timedelta(days=9),
        not_valid_after=now - datetime.timedelta(days=1),
        extensions=list(fresh.certificate.extensions),
    )
    made = builder.sign(ca.key, hashes.SHA256())
    key = fresh.file.read_bytes().partition(b"-----END CERTIFICATE-----\n")[2]
    fresh.file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + key)
    return Certificate(fresh.file, made, fresh.key)


@pytest.mark.fault("B7")
def test_an_expired_certificate_is_refused_and_its_pin_is_believed(tmp_path: Path) -> None:
    ca = certificate(tmp_path, "ca")
    late = expired(tmp_path, ca)
    pbx = TokenServer()
    with Wire(pbx, tls=late.server) as wire:
        harness = ClientHarness(wire.url, pbx, tmp_path)
        error = failure(harness.client(tls=TLS(ca_file=ca.file)))

        assert error.reason == "tls"
        assert "expired" in str(error)
        assert wire.received == b""

        harness.client(tls=TLS(fingerprint_sha256=late.fingerprint)).fetch(FIRST_PAGE)


@pytest.mark.fault("B7")
def test_no_trouble_with_tls_is_taken_for_a_refused_login(
    make_harness: MakeHarness, tmp_path: Path
) -> None:
    stranger = certificate(tmp_path, "stranger")
    with Wire(TokenServer(), tls=stranger.server) as wire, Wire(as_plain_http) as plain:
        it = make_harness(cdr_list=Wired(wire, tmp_path / "token"))
        it.poll(5)
        other = ClientHarness(plain.url, TokenServer(), tmp_path)
        reasons = {
            failure(other.client(base_url=plain.url.replace("http", "https"))).reason
            for _ in range(5)
        }

    assert it.own(FAILURES, "tls") == 5
    assert it.own(FAILURES, "auth") == 0
    assert it.gauge(BLOCKED, "credentials") == 0
    assert reasons == {"tls"}


# --- B13: a wrong label on the right thing -------------------------------------------------------


@pytest.mark.fault("B13")
@pytest.mark.parametrize("content_type", ["text/html", "application/octet-stream", ";;;"])
def test_good_json_of_another_content_type_is_taken(
    wire: Wire, server: TokenServer, tmp_path: Path, content_type: str
) -> None:
    server.says["cdr/list"] = [ok(body(calls(2, 1)), Content_Type=content_type)]
    answer = Wired(wire, tmp_path / "token").fetch(FIRST_PAGE)

    assert [each.id for each in answer.rows] == [2, 1]


# --- B14, B15: the PBX in a catch-up -------------------------------------------------------------


@pytest.mark.fault("B14")
def test_an_old_answer_of_a_cache_changes_nothing(make_harness: MakeHarness) -> None:
    pbx = FakePBX()
    pbx.call(100)
    it = make_harness(pbx)
    it.poll()
    true = pbx.edit_answer
    cached: dict[CDRQuery, CDRAnswer] = {}

    def remember(query: CDRQuery, answer: CDRAnswer) -> CDRAnswer:
        cached[query] = answer
        return answer

    pbx.edit_answer = remember
    pbx.call(5)
    it.poll()
    pbx.call(300)
    it.poll()
    before = it.counted
    pbx.call(40)
    pbx.edit_answer = cached.get
    it.poll(3)
    stale = (it.counted, it.gauge("cdr_up"), it.gauge("cdr_exporter_lineage_suspect"))
    pbx.edit_answer = true
    it.poll(2)

    assert before == 305
    assert stale == (305, 1, 0)
    assert it.counted == 345


@pytest.mark.fault("B15")
def test_a_reboot_in_the_middle_of_a_catch_up_goes_on_where_it_was(
    make_harness: MakeHarness,
) -> None:
    pbx = FakePBX()
    pbx.call(5000)
    it = make_harness(pbx, start="all")
    backlogs = []
    for requests in (3, 5, 8, 13):
        last = len(pbx.queries) + requests

        def boot(last: int = last) -> None:
            if len(pbx.queries) == last:
                pbx.failures = [TryAgain("gone", reason="connect")] * 3

        pbx.before_answer = boot
        it.poll(4)
        backlogs.append(it.gauge("cdr_exporter_backlog"))
    pbx.before_answer = lambda: None
    pbx.failures = []
    it.poll(9)

    assert it.own(FAILURES, "connect") >= 3
    assert backlogs == sorted(backlogs, reverse=True)
    assert (it.counted, it.gauge("cdr_exporter_backlog")) == (5000, 0)


# --- C: rows -------------------------------------------------------------------------------------

POISON = [
    pytest.param('{"id": true}', "id", id="C6 a bool"),
    pytest.param('{"id": "x"}', "id", id="C6 text"),
    pytest.param('{"id": -1}', "id", id="C6 negative"),
    pytest.param('{"id": 9223372036854775808}', "id", id="C6 2^63"),
    pytest.param('{"id": 1.5}', "id", id="C6 a fraction"),
    pytest.param('{"id": 3, "duration": NaN}', "number", id="C4 NaN"),
    pytest.param('{"id": 3, "duration": Infinity}', "number", id="C4 infinity"),
    pytest.param('{"id": 3, "talk_duration": 1e-400}', "number", id="C4 a fraction"),
    pytest.param("null", "shape", id="no object"),
]


@pytest.mark.fault("C4", "C6", "C16")
@pytest.mark.parametrize(("poison", "reason"), POISON)
def test_a_poison_row_in_every_page_stops_nothing(
    wire: Wire,
    server: TokenServer,
    make_harness: MakeHarness,
    tmp_path: Path,
    poison: str,
    reason: str,
) -> None:
    it = make_harness(cdr_list=Wired(wire, tmp_path / "token"))
    server.rows = calls(2)
    it.poll()
    for newest in range(4, 10):
        good = json.dumps(calls(*range(newest, 3, -1), 2))[1:-1]
        text = f'{{"errcode": 0, "total_number": {newest - 1}, "data": [{good}, {poison}]}}'
        server.says["cdr/list"] = [ok(text.encode())]
        it.poll()

    assert it.counted == 6
    assert it.gauge("cdr_up") == 1
    assert it.gauge("cdr_exporter_backlog") == 0
    assert it.last.totals.series[Series(REJECTED, (reason,))] == (1,)


HOSTILE = {
    "C11 line break": "two\nlines",
    "C11 quotes": 'a"b\\c',
    "C11 NUL": "a\x00b\r",
    "C11 bidi": "\u202eevil\u2028x",
    "C12 lone surrogate": "a\ud800z",
    "C13 10,000 characters": "x" * 10_000,
    "none": "none",
    "other": "other",
}


@pytest.mark.fault("C11", "C12", "C13")
def test_hostile_names_are_counted_kept_and_shown(
    wire: Wire, server: TokenServer, make_harness: MakeHarness, tmp_path: Path
) -> None:
    it = make_harness(cdr_list=Wired(wire, tmp_path / "token"))
    it.poll()
    names = list(HOSTILE.values())
    server.rows = [
        row(number, src_trunk=name, call_from=name, uid=f"{name}{number}", reason=name)
        for number, name in reversed(list(enumerate(names, start=1)))
    ]
    it.poll()
    it.restart()
    it.poll()
    it.clock.pass_(HOUR)
    it.poll()
    exposition = Exposition(BOUNDS, "1.2.3")
    plain = exposition.one_pbx(it.last, it.clock.now(), openmetrics=False).plain.decode()
    openmetrics = exposition.one_pbx(it.last, it.clock.now(), openmetrics=True).plain.decode()

    read: Callable[[str], Any]
    for read, page in ((read_plain, plain), (read_openmetrics, openmetrics)):
        samples = _records(read(page))
        trunks = {labels["trunk"] for labels, value in samples if value}
        assert sum(value for _, value in samples) == len(names)
        # No two names share a label, and none is cut into another.
        assert len(trunks) == len(names)
        assert not trunks & {"none", "other"}
        assert all(len(trunk.encode()) <= 160 for trunk in trunks)


def _records(families: Any) -> list[tuple[dict[str, str], float]]:
    return [
        (sample.labels, sample.value)
        for family in families
        for sample in family.samples
        if sample.name == "cdr_records_total"
    ]


@pytest.mark.slow
@pytest.mark.fault("C14", "E15")
def test_five_thousand_trunk_names_are_no_more_series_than_allowed(
    make_harness: MakeHarness,
) -> None:
    pbx = FakePBX()
    it = make_harness(pbx, max_trunks=20)
    it.poll()
    for number in range(5_000):
        pbx.call(src_trunk=f"trunk {number}")
    it.poll(9)
    folded = it.last.totals.series[Series("cdr_exporter_folded_trunks_total")][0]
    admitted = it.last.totals.trunks
    it.restart()
    pbx.call(src_trunk="trunk 3")
    it.poll(2)

    assert it.counted == 5_001
    assert folded == 5_000 - 20
    assert len(admitted - {"none"}) == 20
    # What was admitted is durable: the same names after a restart, and no others.
    assert it.last.totals.trunks == admitted


@pytest.mark.fault("C17")
@pytest.mark.parametrize("order", ["first", "last", "left_out"])
@pytest.mark.parametrize("start", ["now", "all"])
def test_rows_without_an_id_count_once_when_the_firmware_is_new(
    make_harness: MakeHarness, start: str, order: str
) -> None:
    pbx = FakePBX()
    pbx.without_id = order
    pbx.call(300)
    it = make_harness(pbx, start=start)
    it.poll(3)
    before = it.counted
    for _ in range(150):
        if pbx.next_id < 320:
            pbx.call_without_id(started_at=int(it.clock.wall) - 60)
        it.clock.pass_(30)
        it.poll()
    counted = it.counted
    it.restart()
    it.poll(3)

    assert before == (300 if start == "all" else 0)
    assert (counted - before, it.counted) == (19, counted)
    assert it.gauge("cdr_up") == 1


@pytest.mark.fault("C15")
def test_rows_of_one_uid_count_each(make_harness: MakeHarness) -> None:
    pbx = FakePBX()
    it = make_harness(pbx)
    it.poll()
    pbx.call(9, uid="the same", started_at=1_700_000_000)
    it.poll()
    it.restart()
    it.poll()

    assert it.counted == 9


@pytest.mark.fault("A10")
def test_one_refresh_however_many_ask(wire: Wire, server: TokenServer, tmp_path: Path) -> None:
    client = Wired(wire, tmp_path / "token").client
    client.fetch(FIRST_PAGE)
    server.alive.clear()
    threads = [threading.Thread(target=client.fetch, args=(FIRST_PAGE,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (server.counted()["get_token"], server.counted()["refresh_token"]) == (1, 1)
