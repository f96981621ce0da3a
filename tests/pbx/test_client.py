"""The client on what a PBX answers: pages, tokens, logins, error codes; no socket is opened."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from responses import RequestsMock

from cdr_exporter.cdr.contract import CDRQuery
from cdr_exporter.errors import PageTooLarge, PBXError, TryAgain, WaitLong
from cdr_exporter.pbx import Cancelled, FileDocuments
from cdr_exporter.pbx.client import LARGE_BYTES, LARGE_DECODE
from cdr_exporter.pbx.http_adapter import token_of
from cdr_exporter.pbx.token_document import TokenDocument
from cdr_exporter.secret import Secret
from cdr_exporter.settings import SecretSource

from ..support.client_harness import FIRST_PAGE, ClientHarness, failure
from ..support.processes import eventually
from ..support.socket_server import ok
from ..support.token_server import TokenServer

MINUTE, HOUR = 60.0, 3600.0


@pytest.fixture
def harness(tmp_path: Path, answers: RequestsMock) -> ClientHarness:
    server = TokenServer()
    server.answer_requests(answers, "http://pbx.test")
    return ClientHarness("http://pbx.test", server, tmp_path)


# --- pages


def test_a_page_is_fetched_with_the_parameters_asked_for(
    harness: ClientHarness, answers: RequestsMock
) -> None:
    harness.server.rows = [{"id": 7, "uid": "u"}]
    client = harness.client()
    answer = client.fetch(FIRST_PAGE)

    assert (answer.errcode, answer.total, [row.id for row in answer.rows]) == (0, 1, [7])
    asked = urlsplit(str(answers.calls[-1].request.url)).query
    assert asked == "page=1&page_size=20&sort_by=id&order_by=desc&access_token=-redacted-"
    assert client.requests == 2


def test_data_not_found_is_an_empty_list(harness: ClientHarness) -> None:
    harness.server.says["cdr/list"] = [60001]
    answer = harness.client().fetch(FIRST_PAGE)

    assert (answer.errcode, answer.total, list(answer.rows)) == (0, None, [])


@pytest.mark.parametrize(
    "body",
    [b"<html>login</html>", b"{}", b'{"errcode": "0"}', b'{"errcode": true}', b"[]", b"\xff\xfe"],
)
def test_an_answer_that_is_not_the_contracts_json_is_garbled(
    harness: ClientHarness, body: bytes
) -> None:
    harness.server.says["cdr/list"] = [ok(body)]
    error = failure(harness.client())

    assert (type(error), error.reason) == (TryAgain, "garbled")


@pytest.mark.fault("C25")
def test_a_giant_row_is_too_large_where_few_rows_are_asked_for(harness: ClientHarness) -> None:
    harness.server.rows = [{"id": 2, "uid": "x" * 200_000}, {"id": 1}]
    client = harness.client()
    error = failure(client)

    assert (type(error), error.reason) == (PageTooLarge, "too_large")

    answer = client.fetch(CDRQuery(page=1, page_size=50, sort_by="id", order_by="desc"))

    assert [row.id for row in answer.rows] == [2, 1]


@pytest.mark.fault("B6")
def test_a_login_whose_answer_is_too_large_is_no_page_that_is(harness: ClientHarness) -> None:
    harness.server.says["get_token"] = [ok(b" " * 100_000)]
    error = failure(harness.client())

    assert (type(error), error.reason) == (TryAgain, "too_large")


@pytest.mark.fault("C23")
def test_more_rows_than_were_asked_for_are_garbled(harness: ClientHarness) -> None:
    harness.server.rows = [{"id": number} for number in range(21, 0, -1)]

    assert failure(harness.client()).reason == "garbled"


@pytest.mark.fault("C23", "E15")
def test_of_large_answers_one_is_decoded_at_a_time(harness: ClientHarness) -> None:
    client, query = harness.client(), CDRQuery(page=1, page_size=500)
    client.fetch(query)
    small, large = [{"id": 1}], [{"id": 1, "unknown": "x" * LARGE_BYTES}]
    asked, finished = threading.Event(), threading.Event()

    def fetch() -> None:
        client.fetch(query)
        finished.set()

    with LARGE_DECODE:
        harness.server.rows = small
        client.fetch(query)
        harness.server.rows = large
        harness.server.before_answer = lambda _: asked.set()
        thread = threading.Thread(target=fetch)
        thread.start()

        assert asked.wait(10)
        assert not finished.wait(0.1)

    assert finished.wait(10)
    thread.join()


@pytest.mark.fault("C23", "E13")
def test_a_large_answer_that_waits_for_others_is_not_decoded_after_a_cancel(
    harness: ClientHarness,
) -> None:
    client, query = harness.client(), CDRQuery(page=1, page_size=500)
    client.fetch(query)
    harness.server.rows = [{"id": 1, "unknown": "x" * LARGE_BYTES}]
    ends: list[object] = []

    def fetch() -> None:
        try:
            ends.append(client.fetch(query))
        except PBXError as error:
            ends.append(error)

    answered = client.requests + 1
    with LARGE_DECODE:
        thread = threading.Thread(target=fetch)
        thread.start()
        eventually("the answer", lambda: client.requests == answered)
        client.cancel()
    thread.join(10)

    assert [type(each) for each in ends] == [Cancelled]


@pytest.mark.fault("A10")
def test_one_request_at_a_time(harness: ClientHarness) -> None:
    running, most = [0], [0]

    def take_time(_: str) -> None:
        running[0] += 1
        most[0] = max(most[0], running[0])
        threading.Event().wait(0.02)
        running[0] -= 1

    harness.server.before_answer = take_time
    client = harness.client()
    threads = [threading.Thread(target=client.fetch, args=(FIRST_PAGE,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most == [1]
    assert harness.server.counted() == {"get_token": 1, "cdr/list": 5}


# --- reuse and refresh of a token


@pytest.mark.fault("A6", "A7")
def test_twenty_restarts_need_one_login(harness: ClientHarness) -> None:
    for _ in range(20):
        harness.client().fetch(FIRST_PAGE)
        harness.clock.now += 60

    assert harness.server.counted() == {"get_token": 1, "cdr/list": 20}


def test_a_token_is_refreshed_at_80_percent_of_its_life(harness: ClientHarness) -> None:
    client = harness.client()
    client.fetch(FIRST_PAGE)
    harness.clock.now += 1439
    client.fetch(FIRST_PAGE)

    assert "refresh_token" not in harness.server.calls

    harness.clock.now += 1
    client.fetch(FIRST_PAGE)

    assert harness.server.calls[-2:] == ["refresh_token", "cdr/list"]
    assert harness.logins() == 1


@pytest.mark.fault("A1")
def test_a_token_that_expired_early_is_refreshed_once_and_the_request_repeated(
    harness: ClientHarness,
) -> None:
    client = harness.client()
    client.fetch(FIRST_PAGE)
    harness.server.alive.clear()
    client.fetch(FIRST_PAGE)

    assert harness.server.calls[2:] == ["cdr/list", "refresh_token", "cdr/list"]


def in_words(errcode: int) -> bytes:
    return b'{"errcode": %d, "errmsg": "FAILURE"}' % errcode


UNAUTHORIZED = "401 Unauthorized"
LOST: dict[str, int | bytes] = {
    "10004": 10004,
    "10002": 10002,
    "10003": 10003,
    "10005": 10005,
    "401": ok(b"", UNAUTHORIZED),
    "401 with a page": ok(b"<html>", UNAUTHORIZED),
    "401 with 10004": ok(in_words(10004), UNAUTHORIZED),
    "401 with 10003": ok(b"\xef\xbb\xbf" + in_words(10003), UNAUTHORIZED),
    "401 with 0": ok(in_words(0), UNAUTHORIZED),
    "401 that is too long": ok(b"x" * 70_000, UNAUTHORIZED),
}


@pytest.mark.fault("A1", "A14")
@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
@pytest.mark.parametrize("answer", LOST.values(), ids=LOST)
def test_a_token_that_had_worked_is_replaced_however_the_pbx_says_that_it_is_lost(
    harness: ClientHarness, answer: int | bytes, restarted: bool
) -> None:
    client = harness.client()
    client.fetch(FIRST_PAGE)
    harness.server.says["cdr/list"] = [answer]
    (harness.client() if restarted else client).fetch(FIRST_PAGE)

    assert harness.server.calls[2:] == ["cdr/list", "refresh_token", "cdr/list"]


@pytest.mark.fault("A2", "A14")
@pytest.mark.parametrize("answer", LOST.values(), ids=LOST)
def test_where_the_refresh_token_is_lost_too_one_login_follows(
    harness: ClientHarness, answer: int | bytes
) -> None:
    client = harness.client()
    client.fetch(FIRST_PAGE)
    harness.server.says |= {"cdr/list": [answer], "refresh_token": [answer]}
    client.fetch(FIRST_PAGE)

    assert harness.server.calls[2:] == ["cdr/list", "refresh_token", "get_token", "cdr/list"]


@pytest.mark.fault("A9", "B12")
@pytest.mark.parametrize("name", [*sorted(LOST.keys() - {"10004", "401 with 10004"}), "403"])
def test_the_same_answer_to_a_token_that_never_worked_is_waited_for(
    harness: ClientHarness, name: str
) -> None:
    harness.server.says["cdr/list"] = [LOST.get(name, ok(b"", "403 Forbidden"))]
    error = failure(harness.client())

    assert isinstance(error, WaitLong)
    assert error.first >= 5 * MINUTE
    assert harness.server.calls == ["get_token", "cdr/list"]


@pytest.mark.fault("A9", "A14")
def test_a_right_that_was_removed_costs_one_refresh_and_is_then_waited_for(
    harness: ClientHarness,
) -> None:
    client = harness.client()
    client.fetch(FIRST_PAGE)
    harness.server.says["cdr/list"] = [10005] * 9
    first = failure(client)
    harness.clock.now += 15 * MINUTE
    second = failure(client)

    assert isinstance(first, WaitLong)
    assert isinstance(second, WaitLong)
    assert (first.blocked, first.first) == ("denied", 15 * MINUTE)
    assert (second.blocked, second.first) == ("denied", 30 * MINUTE)
    assert harness.server.calls[2:] == ["cdr/list", "refresh_token", "cdr/list", "cdr/list"]


@pytest.mark.fault("A5", "B12")
@pytest.mark.parametrize("status", [UNAUTHORIZED, "403 Forbidden"])
def test_an_error_code_counts_with_whatever_status_it_comes(
    harness: ClientHarness, status: str
) -> None:
    harness.server.says["cdr/list"] = [ok(in_words(70004), status)]
    client = harness.client()

    assert failure(client).blocked == "ip_blocked"
    assert client.errcodes == {70004: 1}


@pytest.mark.fault("A4")
def test_credentials_refused_with_http_401_are_refused(harness: ClientHarness) -> None:
    harness.server.says["get_token"] = [ok(in_words(-1), UNAUTHORIZED)] * 9
    for _ in range(30):
        assert failure(harness.client()).blocked == "credentials"
        harness.clock.now += HOUR

    assert harness.logins() == 3


@pytest.mark.fault("A14")
def test_a_pbx_that_loses_each_token_after_one_page_gets_five_logins_in_half_an_hour(
    harness: ClientHarness,
) -> None:
    client = harness.client()
    for _ in range(5):
        client.fetch(FIRST_PAGE)
        harness.server.alive.clear()
        harness.server.refreshable.clear()
    for _ in range(29):
        error = failure(client)
        harness.clock.now += MINUTE

    assert (type(error), error.reason) == (TryAgain, "auth")
    assert "lost the tokens" in str(error)
    assert harness.logins() == 5

    harness.clock.now += MINUTE
    client.fetch(FIRST_PAGE)


def test_restarts_that_give_their_token_back_may_be_many(harness: ClientHarness) -> None:
    for _ in range(12):
        client = harness.client()
        client.fetch(FIRST_PAGE)
        client.revoke()

    assert harness.logins() == 12


@pytest.mark.fault("A2", "A3")
@pytest.mark.parametrize("answer", [10004, -1, 40002], ids=["expired", "failure", "unknown"])
def test_a_refused_refresh_is_followed_by_one_login(harness: ClientHarness, answer: int) -> None:
    client = harness.client()
    client.fetch(FIRST_PAGE)
    harness.server.alive.clear()
    harness.server.says["refresh_token"] = [answer]
    client.fetch(FIRST_PAGE)

    assert harness.server.calls[2:] == ["cdr/list", "refresh_token", "get_token", "cdr/list"]


@pytest.mark.fault("A2")
def test_a_refresh_token_that_has_expired_is_not_sent(harness: ClientHarness) -> None:
    client = harness.client()
    client.fetch(FIRST_PAGE)
    harness.clock.now += 25 * HOUR
    client.fetch(FIRST_PAGE)

    assert harness.server.calls[2:] == ["get_token", "cdr/list"]


@pytest.mark.fault("A3")
@pytest.mark.parametrize("answer", [-2, 2, 70082])
def test_a_refresh_that_met_a_busy_pbx_is_tried_again(harness: ClientHarness, answer: int) -> None:
    client = harness.client()
    client.fetch(FIRST_PAGE)
    harness.clock.now += 1500
    harness.server.says["refresh_token"] = [answer]

    assert failure(client).reason == "api"

    client.fetch(FIRST_PAGE)

    assert harness.logins() == 1


@pytest.mark.fault("A8")
def test_a_new_token_that_is_refused_at_once_does_not_start_a_storm_of_logins(
    harness: ClientHarness,
) -> None:
    client = harness.client()
    client.fetch(FIRST_PAGE)
    harness.server.says["cdr/list"] = [10004] * 10
    calls = len(harness.server.calls)
    error = failure(client)

    assert (type(error), error.reason, error.errcode) == (WaitLong, "auth", 10004)
    assert harness.server.calls[calls:] == ["cdr/list", "refresh_token", "cdr/list"]

    for _ in range(5):
        assert failure(harness.client()).reason == "auth"

    assert len(harness.server.calls) == calls + 3


def test_a_token_that_another_process_renewed_is_used(harness: ClientHarness) -> None:
    running, check = harness.client(), harness.client()
    running.fetch(FIRST_PAGE)
    harness.server.alive.clear()
    check.fetch(FIRST_PAGE)
    before = len(harness.server.calls)
    running.fetch(FIRST_PAGE)

    assert harness.server.calls[before:] == ["cdr/list", "cdr/list"]


@pytest.mark.fault("A10")
def test_two_processes_do_not_log_in_at_the_same_time(harness: ClientHarness) -> None:
    clients = [harness.client() for _ in range(4)]
    threads = [threading.Thread(target=client.fetch, args=(FIRST_PAGE,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert harness.logins() == 1


@pytest.mark.fault("A12")
def test_a_token_that_is_valid_for_0_seconds_does_not_cause_a_login_for_each_request(
    harness: ClientHarness,
) -> None:
    harness.server.life = 0
    client = harness.client()
    for _ in range(5):
        client.fetch(FIRST_PAGE)

    assert harness.logins() == 1


@pytest.mark.fault("A13")
def test_a_token_of_a_wrong_form_is_garbled_and_not_requested_again_at_once(
    harness: ClientHarness,
) -> None:
    grant = {"errcode": 0, "access_token": "with blank & more", "access_token_expire_time": 1800}
    harness.server.says["get_token"] = [ok(json.dumps(grant).encode())]
    client = harness.client()

    assert failure(client).reason == "garbled"
    assert failure(client).reason == "auth"
    assert harness.server.calls == ["get_token"]

    harness.clock.now += MINUTE
    client.fetch(FIRST_PAGE)


def test_a_token_is_never_sent_to_another_base_url(
    harness: ClientHarness, answers: RequestsMock
) -> None:
    harness.client().fetch(FIRST_PAGE)
    TokenServer(serial=500).answer_requests(answers, "http://other.test")
    harness.client(base_url="http://other.test").fetch(FIRST_PAGE)
    sent = [token_of(call.request) for call in answers.calls]

    assert sent == [None, Secret("access-token-0001"), None, Secret("access-token-0501")]


# --- refused logins; more of them in test_refused_logins.py


def on_record(directory: Path) -> dict[str, list[tuple[float, int | None]]]:
    """Return what is on record, by file: when a login was sent, and the errcode answered."""
    found = {path.name: json.loads(path.read_bytes()) for path in directory.glob(".logins-*[0-9]")}
    return {
        name: [(each["at"], each["errcode"]) for each in content["attempts"]]
        for name, content in sorted(found.items())
    }


@pytest.mark.fault("A4")
def test_wrong_credentials_are_tried_three_times_across_restarts(harness: ClientHarness) -> None:
    tries: list[float] = []
    start = harness.clock.now
    for _ in range(3 * 60):
        error = failure(harness.with_secret("wrong"))
        assert (type(error), error.reason, error.blocked) == (WaitLong, "auth", "credentials")
        if harness.logins() > len(tries):
            assert error.errcode == -1
            tries.append((harness.clock.now - start) / MINUTE)
        harness.clock.now += MINUTE
    harness.clock.now += 365 * 24 * HOUR
    failure(harness.with_secret("wrong"))

    assert tries == [0, 15, 135]
    assert harness.logins() == 3
    assert set(harness.server.calls) == {"get_token"}


def test_after_a_refusal_the_secret_is_read_again_each_minute(
    harness: ClientHarness,
) -> None:
    client = harness.with_secret("wrong")
    first, second = failure(client), failure(client)

    assert isinstance(first, WaitLong)
    assert isinstance(second, WaitLong)
    assert (first.first, first.most, second.first, second.most) == (60, 60, 60, 60)
    assert second.errcode is None


@pytest.mark.fault("A11")
def test_a_changed_secret_is_tried_at_once_without_a_restart(
    harness: ClientHarness, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("wrong\n")
    client = harness.client(secret=SecretSource(file=secret))
    for hours in (0, 1, 3):
        harness.clock.now += hours * HOUR
        failure(client)
    harness.clock.now += 24 * HOUR
    failure(client)
    assert harness.logins() == 3

    secret.write_text("right-secret\n")
    client.fetch(FIRST_PAGE)

    assert harness.logins() == 4


def test_a_changed_client_id_is_tried_at_once(harness: ClientHarness) -> None:
    failure(harness.with_secret("wrong"))
    harness.client(client_id="another").fetch(FIRST_PAGE)


def test_a_login_is_written_down_before_it_is_sent(harness: ClientHarness) -> None:
    seen = []

    def look(endpoint: str) -> None:
        seen.append((endpoint, *on_record(harness.path.parent).values()))

    harness.server.before_answer = look
    harness.client().fetch(FIRST_PAGE)

    unanswered = [(harness.clock.now, None)]
    assert seen == [("get_token", unanswered, unanswered), ("cdr/list",)]


NEVER_JUDGED = {
    "500": ok(b"<html>", "500 Oops"),
    "503": ok(b"", "503 Busy", Retry_After="1"),
    "403": ok(b"", "403 Forbidden"),
    "404": ok(b"", "404 Not Found"),
    "302": ok(b"", "302 Found", Location="/"),
    "busy": ok(b'{"errcode": 70082}'),
    "wrong_path": ok(b'{"errcode": 10001}'),
}


@pytest.mark.fault("B12")
@pytest.mark.parametrize("answer", NEVER_JUDGED.values(), ids=NEVER_JUDGED)
def test_a_login_whose_credentials_were_not_judged_may_be_repeated_at_once(
    harness: ClientHarness, answer: bytes
) -> None:
    harness.server.says["get_token"] = [answer]
    failure(harness.client())
    harness.client().fetch(FIRST_PAGE)

    assert harness.logins() == 2


def test_a_login_with_an_unreadable_answer_is_not_repeated_at_once(harness: ClientHarness) -> None:
    harness.server.says["get_token"] = [ok(b"<html>")]
    failure(harness.client())
    second = failure(harness.client())

    assert isinstance(second, TryAgain)
    assert (second.reason, second.retry_after, harness.logins()) == ("auth", 60, 1)


def test_a_login_that_cannot_be_written_down_is_not_sent(harness: ClientHarness) -> None:
    (harness.path.parent / "file").write_text("no directory")
    harness.path = harness.path.parent / "file" / "hq.token"

    assert failure(harness.client()).reason == "state"
    assert harness.server.calls == []


# --- the client secret


def test_a_secret_may_come_from_the_environment(
    harness: ClientHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HQ_SECRET", "right-secret")

    harness.client(secret=SecretSource(env="HQ_SECRET")).fetch(FIRST_PAGE)


@pytest.mark.fault("A11")
def test_without_a_secret_the_pbx_is_not_asked(harness: ClientHarness, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    for source in (
        SecretSource(file=tmp_path / "missing"),
        SecretSource(file=tmp_path / "empty"),
        SecretSource(env="CDR_EXPORTER_TEST_UNSET"),
        SecretSource(value=Secret("")),
    ):
        error = failure(harness.client(secret=source))

        assert (type(error), error.reason, error.blocked) == (WaitLong, "auth", "credentials")

    assert harness.server.calls == []


# --- error codes


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
def test_errors_that_only_an_administrator_can_remove_impose_waits_that_outlive_restarts(
    harness: ClientHarness, endpoint: str, errcode: int, blocked: str, waits: list[int]
) -> None:
    harness.server.says[endpoint] = [errcode] * len(waits)
    for wait in waits:
        error = failure(harness.client())
        asked = len(harness.server.calls)

        assert isinstance(error, WaitLong)
        assert (error.reason, error.errcode, error.blocked) == ("auth", errcode, blocked)
        assert (error.first, error.most) == (wait * MINUTE, wait * MINUTE)

        harness.clock.now += wait * MINUTE - 1
        again = failure(harness.client())

        assert isinstance(again, WaitLong)
        assert (again.reason, again.errcode, again.blocked) == ("auth", None, blocked)
        assert again.first == 1
        assert len(harness.server.calls) == asked

        harness.clock.now += 1
    harness.client().fetch(FIRST_PAGE)

    assert json.loads(harness.path.read_bytes())["imposed_wait"] is None


def test_removing_the_token_file_ends_a_wait(harness: ClientHarness) -> None:
    harness.server.says["get_token"] = [70004]
    client = harness.client()
    failure(client)
    harness.path.unlink()

    client.fetch(FIRST_PAGE)


@pytest.mark.parametrize("errcode", [10001, 10002, 10003])
def test_a_wrong_path_waits_long_but_not_across_a_restart(
    harness: ClientHarness, errcode: int
) -> None:
    harness.server.says["cdr/list"] = [errcode]
    error = failure(harness.client())

    assert isinstance(error, WaitLong)
    assert (error.reason, error.errcode, error.blocked) == ("api", errcode, None)
    assert "api_path" in str(error)

    harness.client().fetch(FIRST_PAGE)


@pytest.mark.fault("C1")
@pytest.mark.parametrize("errcode", [-2, -1, 1, 2, 40002, 70082, 99999])
def test_any_other_code_is_tried_again(harness: ClientHarness, errcode: int) -> None:
    harness.server.says["cdr/list"] = [errcode]
    client = harness.client()
    error = failure(client)

    assert (type(error), error.reason, error.errcode) == (TryAgain, "api", errcode)

    client.fetch(FIRST_PAGE)


# --- revoke


def test_a_revoked_token_leaves_the_token_file(harness: ClientHarness) -> None:
    client = harness.client()
    client.fetch(FIRST_PAGE)
    client.cancel()
    client.revoke()
    client.close()

    assert harness.server.calls[-1] == "del_token"
    assert harness.server.alive == set()
    assert b"access-token" not in harness.path.read_bytes()
    assert b"refresh-token" not in harness.path.read_bytes()


def test_revoke_sends_nothing_where_there_is_no_token(harness: ClientHarness) -> None:
    harness.client().revoke()

    assert harness.server.calls == []


@pytest.mark.parametrize("answer", [ok(b"", "500 Oops"), ok(b"x")], ids=["500", "garbled"])
def test_a_token_that_could_not_be_revoked_is_used_after_the_restart(
    harness: ClientHarness, answer: bytes
) -> None:
    client = harness.client()
    client.fetch(FIRST_PAGE)
    harness.server.says["del_token"] = [answer]
    client.revoke()
    harness.client().fetch(FIRST_PAGE)

    assert harness.server.calls == ["get_token", "cdr/list", "del_token", "cdr/list"]


@contextmanager
def token_file_locked(harness: ClientHarness) -> Iterator[None]:
    """Lock the token file, as another process does that is busy logging in."""
    document = TokenDocument(FileDocuments(harness.path.parent), harness.path.name, "")
    with document.locked(60.0, 5.0, threading.Event()):
        yield


def test_a_token_on_record_is_used_although_a_dead_process_still_has_its_lock(
    harness: ClientHarness,
) -> None:
    harness.client().fetch(FIRST_PAGE)
    with token_file_locked(harness):
        harness.client().fetch(FIRST_PAGE)

    assert harness.server.calls == ["get_token", "cdr/list", "cdr/list"]


def test_revoking_ends_in_time_where_another_process_keeps_the_token_file(
    harness: ClientHarness,
) -> None:
    client = harness.client()
    client.fetch(FIRST_PAGE)
    with token_file_locked(harness):
        started = time.monotonic()
        client.revoke(0.2)
        took = time.monotonic() - started

    assert harness.server.calls[-1] == "del_token"
    assert took < 4


def test_revoking_after_a_cancel_waits_for_the_token_file(harness: ClientHarness) -> None:
    client = harness.client()
    client.fetch(FIRST_PAGE)
    client.cancel()
    with ExitStack() as stack:
        stack.enter_context(token_file_locked(harness))
        threading.Timer(0.1, stack.close).start()
        client.revoke()

    assert b"access-token" not in harness.path.read_bytes()
