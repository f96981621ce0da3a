from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from cdr_exporter.cdr.contract import CDRQuery
from cdr_exporter.errors import PBXError, TryAgain, WaitLong
from cdr_exporter.pbx import Cancelled, Client
from cdr_exporter.secret import Secret
from cdr_exporter.settings import PBX, TLS, SecretSource

from ..support.socket_server import (
    Call,
    FakePBX,
    Step,
    Wire,
    certificate,
    closed_port,
    hang,
    ok,
    say,
)
from .test_transport import told

HEAD = CDRQuery(page=1, page_size=20, sort_by="id", order_by="desc")
MINUTE, HOUR = 60.0, 3600.0
EMPTY = ok(b'{"errcode": 0, "total_number": 0, "data": []}')


class Clock:
    """A wall clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class Office:
    """A PBX on a wire, a clock, and clients that share one token file."""

    def __init__(self, wire: Wire, pbx: FakePBX, directory: Path) -> None:
        self.wire = wire
        self.pbx = pbx
        self.path = directory / "hq.token"
        self.clock = Clock()
        self.settings = PBX(
            name="hq",
            base_url=wire.url,
            client_id="client",
            secret=SecretSource(value=Secret("right-secret")),
            request_timeout=5.0,
        )

    def client(self, **changed: object) -> Client:
        """A new process, as it were."""
        settings = replace(self.settings, **changed)  # type: ignore[arg-type]
        return Client(settings, self.path, wall=self.clock)

    def with_secret(self, secret: str) -> Client:
        return self.client(secret=SecretSource(value=Secret(secret)))

    def logins(self) -> int:
        return self.pbx.calls.count("get_token")


@pytest.fixture
def office(tmp_path: Path):  # type: ignore[no-untyped-def]
    pbx = FakePBX()
    with Wire(pbx) as wire:
        yield Office(wire, pbx, tmp_path)


def failure(client: Client) -> PBXError:
    with pytest.raises(PBXError) as caught:
        client.fetch(HEAD)
    return caught.value


# --- pages


def test_a_page_is_fetched_with_the_parameters_asked_for(office: Office) -> None:
    office.pbx.rows = [{"id": 7, "uid": "u"}]
    client = office.client()
    answer = client.fetch(HEAD)

    assert (answer.errcode, answer.total, [row.id for row in answer.rows]) == (0, 1, [7])
    assert b"&page=1&page_size=20&sort_by=id&order_by=desc HTTP/1.1" in office.wire.requests[-1]
    assert client.requests == 2


def test_data_not_found_is_an_empty_list(office: Office) -> None:
    office.pbx.says["cdr/list"] = [60001]
    answer = office.client().fetch(HEAD)

    assert (answer.errcode, answer.total, list(answer.rows)) == (0, None, [])


@pytest.mark.parametrize(
    "body",
    [b"<html>login</html>", b"{}", b'{"errcode": "0"}', b'{"errcode": true}', b"[]", b"\xff\xfe"],
)
def test_an_answer_that_is_no_answer_is_garbled(office: Office, body: bytes) -> None:
    office.pbx.says["cdr/list"] = [ok(body)]
    error = failure(office.client())

    assert (type(error), error.reason) == (TryAgain, "garbled")


@pytest.mark.fault("A10")
def test_one_request_at_a_time(office: Office) -> None:
    running, most = [0], [0]

    def slow(call: Call) -> None:
        running[0] += 1
        most[0] = max(most[0], running[0])
        call.wait(0.02)
        running[0] -= 1
        office.pbx(call)

    office.wire.script = [slow]
    client = office.client()
    threads = [threading.Thread(target=client.fetch, args=(HEAD,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most == [1]
    assert office.pbx.counted() == {"get_token": 1, "cdr/list": 5}


# --- a token's life


@pytest.mark.fault("A6", "A7")
def test_twenty_restarts_need_one_login(office: Office) -> None:
    for _ in range(20):
        office.client().fetch(HEAD)
        office.clock.now += 60

    assert office.pbx.counted() == {"get_token": 1, "cdr/list": 20}


def test_a_token_is_refreshed_at_80_percent_of_its_life(office: Office) -> None:
    client = office.client()
    client.fetch(HEAD)
    office.clock.now += 1439
    client.fetch(HEAD)

    assert "refresh_token" not in office.pbx.calls

    office.clock.now += 1
    client.fetch(HEAD)

    assert office.pbx.calls[-2:] == ["refresh_token", "cdr/list"]
    assert office.logins() == 1


@pytest.mark.fault("A1")
def test_a_token_that_expired_early_is_refreshed_once_and_the_request_repeated(
    office: Office,
) -> None:
    client = office.client()
    client.fetch(HEAD)
    office.pbx.alive.clear()
    client.fetch(HEAD)

    assert office.pbx.calls[2:] == ["cdr/list", "refresh_token", "cdr/list"]


@pytest.mark.fault("A2", "A3")
@pytest.mark.parametrize("answer", [10004, -1, 40002], ids=["expired", "failure", "unknown"])
def test_a_refused_refresh_is_followed_by_one_login(office: Office, answer: int) -> None:
    client = office.client()
    client.fetch(HEAD)
    office.pbx.alive.clear()
    office.pbx.says["refresh_token"] = [answer]
    client.fetch(HEAD)

    assert office.pbx.calls[2:] == ["cdr/list", "refresh_token", "get_token", "cdr/list"]


@pytest.mark.fault("A2")
def test_a_refresh_token_that_has_expired_is_not_sent(office: Office) -> None:
    client = office.client()
    client.fetch(HEAD)
    office.clock.now += 25 * HOUR
    client.fetch(HEAD)

    assert office.pbx.calls[2:] == ["get_token", "cdr/list"]


@pytest.mark.fault("A3")
@pytest.mark.parametrize("answer", [-2, 2, 70082])
def test_a_refresh_that_met_a_busy_pbx_is_tried_again(office: Office, answer: int) -> None:
    client = office.client()
    client.fetch(HEAD)
    office.clock.now += 1500
    office.pbx.says["refresh_token"] = [answer]

    assert failure(client).reason == "api"

    client.fetch(HEAD)

    assert office.logins() == 1


@pytest.mark.fault("A8")
def test_a_new_token_that_is_refused_at_once_starts_no_storm(office: Office) -> None:
    client = office.client()
    client.fetch(HEAD)
    office.pbx.says["cdr/list"] = [10004] * 10
    calls = len(office.pbx.calls)
    error = failure(client)

    assert (type(error), error.reason, error.errcode) == (WaitLong, "auth", 10004)
    assert office.pbx.calls[calls:] == ["cdr/list", "refresh_token", "cdr/list"]

    for _ in range(5):
        assert failure(office.client()).reason == "auth"

    assert len(office.pbx.calls) == calls + 3


def test_a_token_that_another_process_renewed_is_used(office: Office) -> None:
    running, check = office.client(), office.client()
    running.fetch(HEAD)
    office.pbx.alive.clear()
    check.fetch(HEAD)
    before = len(office.pbx.calls)
    running.fetch(HEAD)

    assert office.pbx.calls[before:] == ["cdr/list", "cdr/list"]


@pytest.mark.fault("A10")
def test_two_processes_do_not_log_in_at_the_same_time(office: Office) -> None:
    clients = [office.client() for _ in range(4)]
    threads = [threading.Thread(target=client.fetch, args=(HEAD,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert office.logins() == 1


@pytest.mark.fault("A12")
def test_a_life_of_nothing_does_not_log_in_for_each_request(office: Office) -> None:
    office.pbx.life = 0
    client = office.client()
    for _ in range(5):
        client.fetch(HEAD)

    assert office.logins() == 1


@pytest.mark.fault("A13")
def test_a_token_of_a_wrong_form_is_garbled_and_not_asked_for_again_at_once(
    office: Office,
) -> None:
    grant = {"errcode": 0, "access_token": "with blank & more", "access_token_expire_time": 1800}
    office.pbx.says["get_token"] = [ok(json.dumps(grant).encode())]
    client = office.client()

    assert failure(client).reason == "garbled"
    assert failure(client).reason == "auth"
    assert office.pbx.calls == ["get_token"]

    office.clock.now += MINUTE
    client.fetch(HEAD)


def test_another_base_url_gets_no_token_of_this_one(office: Office, tmp_path: Path) -> None:
    office.client().fetch(HEAD)
    other = FakePBX(serial=500)
    with Wire(other) as wire:
        office.client(base_url=wire.url).fetch(HEAD)

        assert b"access-token-0001" not in wire.received


# --- the login budget


@pytest.mark.fault("A4")
def test_wrong_credentials_are_tried_three_times_across_restarts(office: Office) -> None:
    tries: list[float] = []
    start = office.clock.now
    for _ in range(3 * 60):
        error = failure(office.with_secret("wrong"))
        assert (type(error), error.reason, error.blocked) == (WaitLong, "auth", "credentials")
        if office.logins() > len(tries):
            assert error.errcode == -1
            tries.append((office.clock.now - start) / MINUTE)
        office.clock.now += MINUTE
    office.clock.now += 365 * 24 * HOUR
    failure(office.with_secret("wrong"))

    assert tries == [0, 15, 135]
    assert office.logins() == 3
    assert set(office.pbx.calls) == {"get_token"}


def test_a_refused_client_asks_us_to_look_for_a_new_secret_each_minute(office: Office) -> None:
    client = office.with_secret("wrong")
    first, second = failure(client), failure(client)

    assert isinstance(first, WaitLong)
    assert isinstance(second, WaitLong)
    assert (first.first, first.most, second.first, second.most) == (60, 60, 60, 60)
    assert second.errcode is None


@pytest.mark.fault("A11")
def test_a_changed_secret_is_tried_at_once_without_a_restart(
    office: Office, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("wrong\n")
    client = office.client(secret=SecretSource(file=secret))
    for hours in (0, 1, 3):
        office.clock.now += hours * HOUR
        failure(client)
    office.clock.now += 24 * HOUR
    failure(client)
    assert office.logins() == 3

    secret.write_text("right-secret\n")
    client.fetch(HEAD)

    assert office.logins() == 4


def test_a_changed_client_id_is_tried_at_once(office: Office) -> None:
    failure(office.with_secret("wrong"))
    office.client(client_id="another").fetch(HEAD)


def test_a_login_is_written_down_before_it_is_sent(office: Office) -> None:
    seen = []

    def look(call: Call) -> None:
        seen.append(json.loads(office.path.read_bytes())["unanswered"])
        office.pbx(call)

    office.wire.script = [look, office.pbx]
    office.client().fetch(HEAD)

    assert seen == [[office.clock.now]]
    assert json.loads(office.path.read_bytes())["unanswered"] == []


LOG_IN = """
import pathlib, sys
from cdr_exporter.cdr.contract import CDRQuery
from cdr_exporter.pbx import Client
from cdr_exporter.secret import Secret
from cdr_exporter.settings import PBX, SecretSource
url, path, now = sys.argv[1:]
source = SecretSource(value=Secret("right-secret"))
pbx = PBX(name="hq", base_url=url, client_id="client", secret=source)
Client(pbx, pathlib.Path(path), wall=lambda: float(now)).fetch(CDRQuery())
"""


@pytest.mark.fault("A7")
def test_a_kill_in_the_middle_of_a_login_does_not_forget_it(office: Office) -> None:
    asked = threading.Event()

    def silent(call: Call) -> None:
        call.request()
        asked.set()
        call.wait()

    office.wire.script = [silent]
    arguments = [office.wire.url, str(office.path), str(office.clock.now)]
    with subprocess.Popen([sys.executable, "-c", LOG_IN, *arguments]) as child:
        assert asked.wait(10)
        child.kill()
    office.wire.script = [office.pbx]
    error = failure(office.client())

    assert (type(error), error.reason, office.pbx.calls) == (TryAgain, "auth", [])

    office.clock.now += MINUTE
    office.client().fetch(HEAD)


NEVER_JUDGED: dict[str, Step] = {
    "500": say(ok(b"<html>", "500 Oops")),
    "503": say(ok(b"", "503 Busy", Retry_After="1")),
    "403": say(ok(b"", "403 Forbidden")),
    "404": say(ok(b"", "404 Not Found")),
    "302": say(ok(b"", "302 Found", Location="/")),
    "busy": say(ok(b'{"errcode": 70082}')),
    "wrong_path": say(ok(b'{"errcode": 10001}')),
}


@pytest.mark.fault("B12")
@pytest.mark.parametrize("step", NEVER_JUDGED.values(), ids=NEVER_JUDGED)
def test_a_login_that_was_turned_away_unjudged_may_be_repeated(office: Office, step: Step) -> None:
    office.wire.script = [step, office.pbx]
    failure(office.client())
    office.client().fetch(HEAD)


def test_a_login_that_never_left_may_be_repeated(office: Office, tmp_path: Path) -> None:
    other = certificate(tmp_path, "other")
    with Wire(office.pbx, tls=other.server) as wire:
        url = f"https://127.0.0.1:{wire.port}"
        unpinned = office.client(base_url=url)

        assert failure(unpinned).reason == "tls"
        assert wire.received == b""

        tls = TLS(fingerprint_sha256=other.fingerprint)
        office.client(base_url=url, tls=tls).fetch(HEAD)

    refused = office.client(base_url=f"http://127.0.0.1:{closed_port()}")
    assert [failure(refused).reason for _ in range(3)] == ["connect"] * 3


UNANSWERED: dict[str, Step] = {
    "silent": hang,
    "closed": say(b""),
    "garbled": say(ok(b"<html>")),
    "cut": say(ok(b'{"errcode": 0, "acc')[:-4]),
}


@pytest.mark.parametrize("step", UNANSWERED.values(), ids=UNANSWERED)
def test_a_login_without_an_answer_is_not_repeated_at_once(office: Office, step: Step) -> None:
    office.wire.script = [step]
    failure(office.client(request_timeout=0.2))
    second = failure(office.client())

    assert isinstance(second, TryAgain)
    assert (second.reason, second.retry_after, office.wire.connections) == ("auth", 60, 1)


def test_a_login_that_cannot_be_written_down_is_not_made(office: Office) -> None:
    office.path = office.path.parent / "missing" / "hq.token"

    assert failure(office.client()).reason == "state"
    assert office.wire.connections == 0


# --- the client secret


@pytest.mark.fault("A11")
@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"right-secret", "right-secret"),
        (b"right-secret\n", "right-secret"),
        (b"right-secret\r\n", "right-secret"),
        (b"right-secret\n\n", "right-secret\n"),
        (b" right-secret ", " right-secret "),
        ("schlüssel".encode(), "schlüssel"),
    ],
    ids=["bare", "newline", "crlf", "two_newlines", "blanks", "not_ascii"],
)
def test_one_trailing_newline_of_a_secret_file_is_not_part_of_it(
    office: Office, tmp_path: Path, content: bytes, password: str
) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)
    office.pbx.secret = password

    office.client(secret=SecretSource(file=file)).fetch(HEAD)


def test_a_secret_may_come_from_the_environment(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HQ_SECRET", "right-secret")

    office.client(secret=SecretSource(env="HQ_SECRET")).fetch(HEAD)


@pytest.mark.fault("A11")
def test_without_a_secret_the_pbx_is_not_asked(office: Office, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for source in (
        SecretSource(file=tmp_path / "missing"),
        SecretSource(file=tmp_path),
        SecretSource(file=tmp_path / "empty"),
        SecretSource(file=tmp_path / "binary"),
        SecretSource(env="CDR_EXPORTER_TEST_UNSET"),
        SecretSource(value=Secret("")),
    ):
        error = failure(office.client(secret=source))

        assert (type(error), error.reason, error.blocked) == (WaitLong, "auth", "credentials")

    assert office.wire.connections == 0


# --- codes with a reaction of their own


@pytest.mark.fault("A5", "A6", "A9")
@pytest.mark.parametrize("endpoint", ["get_token", "cdr/list"])
@pytest.mark.parametrize(
    ("errcode", "blocked", "waits"),
    [
        pytest.param(60002, "token_cap", [5, 10, 20, 30, 30], id="token_cap"),
        pytest.param(70004, "ip_blocked", [60, 60, 60], id="ip_blocked"),
        pytest.param(70087, "ip_forbidden", [15, 30, 60, 120, 120], id="ip_forbidden"),
        pytest.param(10005, "denied", [15, 30, 60, 120, 120], id="denied"),
        pytest.param(70123, "api_disabled", [15, 30, 60, 120, 120], id="api_disabled"),
        pytest.param(70656, "api_disabled", [15, 30, 60, 120, 120], id="api_not_enabled"),
    ],
)
def test_what_only_an_administrator_can_mend_is_probed_seldom_even_by_restarts(
    office: Office, endpoint: str, errcode: int, blocked: str, waits: list[int]
) -> None:
    office.pbx.says[endpoint] = [errcode] * len(waits)
    for wait in waits:
        error = failure(office.client())
        asked = len(office.pbx.calls)

        assert isinstance(error, WaitLong)
        assert (error.reason, error.errcode, error.blocked) == ("auth", errcode, blocked)
        assert (error.first, error.most) == (wait * MINUTE, wait * MINUTE)

        office.clock.now += wait * MINUTE - 1
        again = failure(office.client())

        assert isinstance(again, WaitLong)
        assert (again.reason, again.errcode, again.blocked) == ("auth", None, blocked)
        assert again.first == 1
        assert len(office.pbx.calls) == asked

        office.clock.now += 1
    office.client().fetch(HEAD)

    assert "hold" not in {k for k, v in json.loads(office.path.read_bytes()).items() if v}


def test_removing_the_token_file_ends_a_wait(office: Office) -> None:
    office.pbx.says["get_token"] = [70004]
    client = office.client()
    failure(client)
    office.path.unlink()

    client.fetch(HEAD)


@pytest.mark.parametrize("errcode", [10001, 10002, 10003])
def test_a_wrong_path_waits_long_but_not_across_a_restart(office: Office, errcode: int) -> None:
    office.pbx.says["cdr/list"] = [errcode]
    error = failure(office.client())

    assert isinstance(error, WaitLong)
    assert (error.reason, error.errcode, error.blocked) == ("api", errcode, None)
    assert "api_path" in str(error)

    office.client().fetch(HEAD)


@pytest.mark.fault("C1")
@pytest.mark.parametrize("errcode", [-2, -1, 1, 2, 40002, 70082, 99999])
def test_any_other_code_is_tried_again(office: Office, errcode: int) -> None:
    office.pbx.says["cdr/list"] = [errcode]
    client = office.client()
    error = failure(client)

    assert (type(error), error.reason, error.errcode) == (TryAgain, "api", errcode)

    client.fetch(HEAD)


# --- the end


def test_revoke_gives_the_token_back_and_forgets_it(office: Office) -> None:
    client = office.client()
    client.fetch(HEAD)
    client.cancel()
    client.revoke()
    client.close()

    assert office.pbx.calls[-1] == "del_token"
    assert office.pbx.alive == set()
    assert b"access-token" not in office.path.read_bytes()
    assert b"refresh-token" not in office.path.read_bytes()


def test_revoke_asks_for_nothing_where_there_is_no_token(office: Office) -> None:
    office.client().revoke()

    assert office.wire.connections == 0


@pytest.mark.parametrize("step", [hang, say(b""), say(ok(b"", "500 Oops")), say(ok(b"x"))])
def test_a_token_that_could_not_be_revoked_is_used_after_the_restart(
    office: Office, step: Step
) -> None:
    client = office.client()
    client.fetch(HEAD)
    office.wire.script = [step]
    started = time.monotonic()
    client.revoke(0.2)

    assert time.monotonic() - started < 1

    office.wire.script = [office.pbx]
    office.client().fetch(HEAD)

    assert office.logins() == 1


@pytest.mark.fault("E13")
def test_cancel_ends_a_fetch_and_frees_the_way_for_revoke(office: Office) -> None:
    client = office.client()
    client.fetch(HEAD)
    office.wire.script = [*[hang] * 3, office.pbx]
    office.wire.connections = 0
    timer = threading.Timer(0.1, client.cancel)
    timer.start()
    started = time.monotonic()
    error = failure(client)
    took = time.monotonic() - started
    office.wire.script = [office.pbx]
    client.revoke()

    assert type(error) is Cancelled
    assert took < 0.6
    assert office.pbx.alive == set()
    assert type(failure(client)) is Cancelled


# --- secrets


def echo(call: Call) -> None:
    """A PBX, or something in front of it, that says everything back."""
    whole = call.request()
    call.write(ok(json.dumps({"errcode": 40002, "errmsg": whole.decode()}).encode()))


def echo_not_json(call: Call) -> None:
    call.write(ok(call.request()))


def garbled_grant(call: Call) -> None:
    call.request()
    call.write(ok(b'{"errcode": 0, "access_token": "canary access", "refresh_token": "canary-r"'))


CANARIES = ("canary-secret-0123456789", "access-token-0001", "refresh-token-0001", "canary access")
ALWAYS: dict[str, Step] = {
    "silent": hang,
    "closed": say(b""),
    "500": say(ok(b"<html>", "500 Oops")),
    "401": say(ok(b"", "401 Unauthorized")),
    "redirect": say(ok(b"", "302 Found", Location="/")),
    "cut": say(EMPTY[:-5]),
    "not_json": say(ok(b"<html>")),
    "refused": say(ok(b'{"errcode": -1, "errmsg": "FAILURE"}')),
    "blocked": say(ok(b'{"errcode": 70004}')),
    "expired": say(ok(b'{"errcode": 10004}')),
    "echo": echo,
    "echo_not_json": echo_not_json,
    "garbled_grant": garbled_grant,
}


@pytest.mark.fault("G1")
@pytest.mark.parametrize("stage", ["login", "list", "refresh"])
@pytest.mark.parametrize("step", ALWAYS.values(), ids=ALWAYS)
def test_no_fault_at_any_stage_shows_a_secret(
    office: Office, stage: str, step: Step, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    office.pbx.secret = CANARIES[0]
    source = SecretSource(value=Secret(CANARIES[0]))
    client = office.client(secret=source, request_timeout=0.2)
    if stage != "login":
        client.fetch(HEAD)
        office.clock.now += 1500 if stage == "refresh" else 0
    office.wire.script = [step]
    shown = told(failure(client)) + told(failure(client))
    client.revoke(0.2)

    sent = office.wire.received.decode()
    shown += caplog.text + repr(client.__dict__) + repr(vars(client._logins))
    assert any(canary in sent for canary in CANARIES)
    assert not [canary for canary in CANARIES if canary in shown]
