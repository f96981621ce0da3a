"""The simulated Open API and its control path, asked without a server."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from pbx_simulator import APISettings, OfficeSettings, SimulatedPBX
from pbx_simulator.http_messages import HTTPReply, HTTPRequest
from pbx_simulator.leg_visibility import LEGS_APPEAR
from pbx_simulator.rows import SORT_FIELDS
from pbx_simulator.serving import answer_with_control

from .support import API_ROOT, CREDENTIALS, NOW, USER_AGENT, SettableClock


@pytest.fixture
def token(pbx: SimulatedPBX) -> str:
    access_token: str = post(pbx, "get_token", CREDENTIALS)["access_token"]
    return access_token


def send(pbx: SimulatedPBX, method: str, path: str, **parts: Any) -> HTTPReply:
    return answer_with_control(pbx, HTTPRequest(method, path, **{"headers": USER_AGENT, **parts}))


def post(pbx: SimulatedPBX, endpoint: str, body: object, client: str = "127.0.0.1") -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return shown(send(pbx, "POST", f"{API_ROOT}/{endpoint}", body=raw, client=client))


def get(pbx: SimulatedPBX, endpoint: str, **parameters: object) -> Any:
    return shown(send(pbx, "GET", f"{API_ROOT}/{endpoint}", query=urlencode(parameters)))


def control(pbx: SimulatedPBX, command: str, body: object = None, **parts: Any) -> HTTPReply:
    raw = b"" if body is None else json.dumps(body).encode()
    return send(pbx, "POST", f"/control/{command}", **{"body": raw, **parts})


def shown(response: HTTPReply) -> Any:
    assert response.status == 200
    return json.loads(response.body)


def listed(counted: list[dict[str, Any]]) -> dict[tuple[str, ...], int]:
    """Return what a state lists, by its labels; *count* is the last of each."""
    return {tuple(each.values())[:-1]: each["count"] for each in counted}


def ids(answer: Any) -> list[int]:
    return [row["id"] for row in answer["data"]]


def test_the_contracts_example_request_works(pbx: SimulatedPBX, token: str) -> None:
    pbx.office.calls(30)
    answer = get(pbx, "cdr/list", access_token=token, sort_by="id", order_by="desc")

    assert list(answer) == ["errcode", "errmsg", "total_number", "data"]
    assert (answer["errcode"], answer["errmsg"], answer["total_number"]) == (0, "SUCCESS", 30)
    assert ids(answer) == list(range(30, 0, -1))


def test_a_login_answers_with_the_documented_fields(pbx: SimulatedPBX) -> None:
    answer = post(pbx, "get_token", CREDENTIALS)

    assert list(answer) == [
        "errcode",
        "errmsg",
        "access_token",
        "access_token_expire_time",
        "refresh_token",
        "refresh_token_expire_time",
    ]
    assert answer["access_token_expire_time"] == 1800
    assert answer["refresh_token_expire_time"] == 86_400


def test_wrong_credentials_are_answered_word_for_word_as_documented(pbx: SimulatedPBX) -> None:
    assert post(pbx, "get_token", CREDENTIALS | {"password": "wrong"}) == {
        "errcode": -1,
        "errmsg": "FAILURE",
        "invalid_param_list": [{"field": "username or password", "value": "error"}],
    }


def test_a_refreshed_token_lists_and_a_revoked_one_does_not(pbx: SimulatedPBX) -> None:
    pair = post(pbx, "get_token", CREDENTIALS)
    new = post(pbx, "refresh_token", {"refresh_token": pair["refresh_token"]})

    assert get(pbx, "cdr/list", access_token=new["access_token"])["errcode"] == 0
    assert get(pbx, "del_token", access_token=new["access_token"])["errcode"] == 0
    assert get(pbx, "cdr/list", access_token=new["access_token"])["errcode"] == 10004


def test_a_blocked_address_is_refused_whatever_it_asks(pbx: SimulatedPBX, token: str) -> None:
    for _ in range(5):
        post(pbx, "get_token", CREDENTIALS | {"password": "wrong"})

    assert post(pbx, "get_token", CREDENTIALS)["errcode"] == 70004
    assert get(pbx, "cdr/list", access_token=token)["errmsg"] == "ACCOUNT IP BLOCKED"
    assert post(pbx, "get_token", CREDENTIALS, client="192.0.2.9")["errcode"] == 0
    pbx.tokens.unblock("127.0.0.1")
    assert get(pbx, "cdr/list", access_token=token)["errcode"] == 0


def test_the_ninth_login_meets_the_cap(pbx: SimulatedPBX) -> None:
    codes = [post(pbx, "get_token", CREDENTIALS)["errcode"] for _ in range(9)]

    assert codes == [0] * 8 + [60002]


@pytest.mark.parametrize("sort_by", SORT_FIELDS)
@pytest.mark.parametrize("order_by", ["asc", "desc"])
def test_every_sort_field_is_accepted_both_ways(
    pbx: SimulatedPBX, token: str, sort_by: str, order_by: str
) -> None:
    pbx.office.calls(40)
    answer = get(pbx, "cdr/list", access_token=token, sort_by=sort_by, order_by=order_by)
    field = "timestamp" if sort_by == "time" else sort_by
    values = [row[field] for row in answer["data"] if field in row]

    assert sorted(ids(answer)) == list(range(1, 41))
    assert values == sorted(values, reverse=order_by == "desc")


def test_without_parameters_the_oldest_ten_thousand_come_first(
    pbx: SimulatedPBX, token: str
) -> None:
    pbx.office.calls(10_050)
    answer = get(pbx, "cdr/list", access_token=token)

    assert answer["total_number"] == 10_050
    assert ids(answer) == list(range(1, 10_001))


def test_blank_and_unknown_parameters_are_as_good_as_none(pbx: SimulatedPBX, token: str) -> None:
    pbx.office.calls(3)
    blank = {"page": "", "page_size": "", "sort_by": "", "order_by": ""}

    assert ids(get(pbx, "cdr/list", access_token=token, start_time="x", **blank)) == [1, 2, 3]


@pytest.mark.parametrize("page_size", [1, 7, 10_000])
def test_page_sizes_up_to_the_limit_are_served(
    pbx: SimulatedPBX, token: str, page_size: int
) -> None:
    pbx.office.calls(9)
    answer = get(pbx, "cdr/list", access_token=token, page_size=page_size)

    assert ids(answer) == list(range(1, 1 + min(page_size, 9)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("page", "0"),
        ("page", "-1"),
        ("page", "two"),
        ("page", "1.5"),
        ("page_size", "0"),
        ("page_size", "10001"),
        ("page_size", "9" * 5000),
        ("sort_by", "reason"),
        ("order_by", "DESC"),
    ],
    ids=lambda value: value[:9],
)
def test_a_parameter_outside_the_contract_is_named(
    pbx: SimulatedPBX, token: str, name: str, value: str
) -> None:
    answer = get(pbx, "cdr/list", access_token=token, **{name: value})

    assert answer == {
        "errcode": 40002,
        "errmsg": "PARAMETER ERROR",
        "invalid_param_list": [{"field": name, "value": value}],
    }


def test_a_page_past_the_end_has_no_rows_and_is_no_error(pbx: SimulatedPBX, token: str) -> None:
    pbx.office.calls(3)
    answer = get(pbx, "cdr/list", access_token=token, page=2, page_size=3)

    assert answer == {"errcode": 0, "errmsg": "SUCCESS", "total_number": 3, "data": []}


@pytest.mark.parametrize(
    ("method", "path", "errcode"),
    [
        ("GET", "/openapi/v1.0/cdr/search", 10001),
        ("GET", "/openapi/v1.0/", 10001),
        ("GET", "/", 10001),
        ("POST", "/openapi/v1.0/cdr/list", 10001),
        ("GET", "/openapi/v1.0/get_token", 10001),
        ("GET", "/openapi/v2.0/cdr/list", 10001),
        ("GET", "/openapi/v2.0/cdr/detail", 10001),
        ("POST", "/openapi/v2.0/get_token", 10001),
        ("POST", "/openapi/v1.1/get_token", 10003),
        ("GET", "/openapi/v1.0/cdr/list", 10004),
        ("GET", "/openapi/v1.0/del_token", 10004),
    ],
)
def test_what_is_not_there_has_its_own_code(
    pbx: SimulatedPBX, method: str, path: str, errcode: int
) -> None:
    assert shown(send(pbx, method, path))["errcode"] == errcode


@pytest.mark.parametrize("headers", [{}, {"user-agent": ""}], ids=["missing", "empty"])
def test_a_request_needs_a_user_agent(pbx: SimulatedPBX, headers: dict[str, str]) -> None:
    answer = shown(send(pbx, "GET", f"{API_ROOT}/cdr/list", headers=headers))

    assert answer == {"errcode": 10005, "errmsg": "ACCESS DENIED"}


@pytest.mark.parametrize(
    ("body", "errcode"),
    [(b"{", 40001), (b"\xff", 40001), (b"[]", 40001), (b"{}", 40002), (b'{"username": 1}', 40002)],
)
def test_a_body_that_is_no_login_blocks_nobody(
    pbx: SimulatedPBX, body: bytes, errcode: int
) -> None:
    for _ in range(6):
        assert post(pbx, "get_token", body)["errcode"] == errcode


def test_another_api_path_moves_every_endpoint(clock: SettableClock) -> None:
    pbx = SimulatedPBX(api=APISettings(api_path="/pbx/v3.0/"), clock=clock)
    login = json.dumps(CREDENTIALS).encode()

    assert shown(send(pbx, "POST", "/pbx/v3.0/get_token", body=login))["errcode"] == 0
    assert shown(send(pbx, "POST", "/pbx/v1.0/get_token", body=login))["errcode"] == 10003


def test_tokens_die_by_the_clock_alone(pbx: SimulatedPBX, token: str, clock: SettableClock) -> None:
    clock.now += 1800

    assert get(pbx, "cdr/list", access_token=token) == {
        "errcode": 10004,
        "errmsg": "TOKEN EXPIRED",
    }


def test_expired_tokens_can_be_refreshed(pbx: SimulatedPBX) -> None:
    pair = post(pbx, "get_token", CREDENTIALS)
    pbx.tokens.expire()
    new = post(pbx, "refresh_token", {"refresh_token": pair["refresh_token"]})

    assert get(pbx, "cdr/list", access_token=pair["access_token"])["errcode"] == 10004
    assert get(pbx, "cdr/list", access_token=new["access_token"])["errcode"] == 0


def test_a_call_is_an_answered_inbound_one_that_ended_now(pbx: SimulatedPBX) -> None:
    call = pbx.office.call()

    assert call == {
        "id": 1,
        "time": "03/02/2026 09:59:12",
        "call_from": "+496990009001",
        "call_to": "Ada Ahorn<2001>",
        "timestamp": NOW - 48,
        "uid": "2026030209591200001",
        "src_addr": "198.51.100.10",
        "src_trunk": "SIP-Provider",
        "duration": 48,
        "ring_duration": 2,
        "talk_duration": 46,
        "disposition": "ANSWERED",
        "call_type": "Inbound",
        "did_number": "+493023125100",
        "reason": "src hangup    ",
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"disposition": "NO ANSWER"}, {"duration": 2, "ring_duration": 2, "talk_duration": None}),
        ({"disposition": "BUSY"}, {"duration": None, "timestamp": NOW}),
        ({"talk_duration": 100}, {"duration": 102, "timestamp": NOW - 102}),
        ({"timestamp": NOW - 9}, {"duration": 48, "time": "03/02/2026 09:59:51"}),
        ({"call_type": "Outbound"}, {"src_trunk": None, "dst_trunk": "SIP-Provider"}),
        ({"call_type": "Internal"}, {"src_trunk": None, "dst_trunk": None, "did_number": None}),
        ({"src_trunk": None}, {"src_trunk": None, "call_type": "Inbound"}),
        ({"duration": "long"}, {"duration": "long", "timestamp": NOW}),
        ({"call_type": "Video"}, {"call_type": "Video", "src_trunk": None}),
    ],
    ids=lambda value: "-".join(str(item) for item in value),
)
def test_a_call_fills_in_missing_fields(
    pbx: SimulatedPBX, fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    call = pbx.office.call(**fields)

    assert {name: call.get(name) for name in expected} == expected


def test_history_repeats_from_the_seed_and_the_instant(clock: SettableClock) -> None:
    first, second = (
        SimulatedPBX(OfficeSettings(seed=5), clock=clock, days=7, first_id=900) for _ in range(2)
    )

    assert list(first.table) == list(second.table)
    assert first.table.ids[0] == 900
    assert len(first.table) > 900


@pytest.mark.parametrize("way", LEGS_APPEAR)
def test_live_traffic_continues_the_history(clock: SettableClock, way: str) -> None:
    pbx = SimulatedPBX(OfficeSettings(legs_appear=way), clock=clock, days=1)
    for _ in range(60):
        clock.now += 60
        pbx.office.tick()

    later = SimulatedPBX(OfficeSettings(legs_appear=way), clock=clock, days=1 + 1 / 24)

    assert list(pbx.table) == list(later.table)
    assert pbx.expected.outcomes() == later.expected.outcomes()


def test_the_floor_is_for_live_traffic_and_leaves_the_history_alone(clock: SettableClock) -> None:
    plain, floored = (
        SimulatedPBX(
            OfficeSettings(min_calls_per_minute=floor, multi_leg=False), clock=clock, days=1
        )
        for floor in (0.0, 20.0)
    )
    clock.now += 60

    assert len(floored.table) == len(plain.table)
    assert len(floored.office.tick()) == pytest.approx(20, abs=12)


def test_a_clock_set_back_makes_no_call_twice(pbx: SimulatedPBX, clock: SettableClock) -> None:
    clock.now += 3600
    assert pbx.office.tick()
    clock.now -= 3600
    assert pbx.office.tick() == []
    clock.now += 3600

    assert pbx.office.tick() == []


def test_ten_thousand_calls_come_in_order(pbx: SimulatedPBX) -> None:
    assert pbx.office.calls(10_000) == list(range(1, 10_001))


def test_totals_are_counted_by_disposition_type_and_trunk(pbx: SimulatedPBX) -> None:
    pbx.office.call(disposition="BUSY")
    pbx.office.call(disposition="BUSY", call_type="Outbound", dst_trunk="PSTN")
    pbx.maintenance.delete([pbx.office.call()["id"]])
    pbx.office.call(call_type="Internal", disposition=None)

    assert pbx.expected.totals() == {
        ("BUSY", "Inbound", "SIP-Provider"): 1,
        ("BUSY", "Outbound", "PSTN"): 1,
        ("", "Internal", "none"): 1,
    }


def test_a_changed_row_is_sent_word_for_word(pbx: SimulatedPBX, token: str) -> None:
    pbx.office.call()
    pbx.maintenance.change(1, id="one", duration=0, uid=None)
    (row,) = get(pbx, "cdr/list", access_token=token)["data"]

    assert (row["id"], row["duration"], "uid" in row) == ("one", 0, False)


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        ({"errcode": 60001}, 200, b'{"errcode":60001,"errmsg":"DATA NOT FOUND"}'),
        ({"errcode": 4711}, 200, b'{"errcode":4711,"errmsg":"UNKNOWN ERROR"}'),
        ({"status": 503}, 503, b""),
        ({"status": 502, "body": "<html>"}, 502, b"<html>"),
        ({"body": b"\xff"}, 200, b"\xff"),
    ],
    ids=["errcode", "unknown-errcode", "status", "status-body", "body"],
)
def test_the_next_request_fails_as_asked_and_the_one_after_does_not(
    pbx: SimulatedPBX, token: str, fault: dict[str, Any], status: int, body: bytes
) -> None:
    pbx.faults.fail_next(**fault)
    response = send(pbx, "GET", f"{API_ROOT}/cdr/list")

    assert (response.status, response.body) == (status, body)
    assert get(pbx, "cdr/list", access_token=token)["errcode"] == 0


def test_a_fault_waits_for_its_endpoint_and_happens_as_often_as_asked(
    pbx: SimulatedPBX, token: str
) -> None:
    pbx.faults.fail_next(2, errcode=70082, path="cdr/list")

    assert post(pbx, "get_token", CREDENTIALS)["errcode"] == 0
    codes = [get(pbx, "cdr/list", access_token=token)["errcode"] for _ in range(3)]
    assert codes == [70082, 70082, 0]


def test_a_slow_answer_is_still_the_true_answer(pbx: SimulatedPBX, token: str) -> None:
    pbx.faults.fail_next(delay_seconds=3, headers={"Retry-After": "9"})
    response = send(pbx, "GET", f"{API_ROOT}/cdr/list", query=f"access_token={token}")

    assert shown(response)["errcode"] == 0
    assert response.delay_seconds == 3
    assert b"\r\nRetry-After: 9\r\n" in response.head


def test_healing_forgets_what_has_not_happened(pbx: SimulatedPBX, token: str) -> None:
    pbx.faults.fail_next(5, status=500)
    pbx.faults.heal()

    assert get(pbx, "cdr/list", access_token=token)["errcode"] == 0


def test_an_unknown_kind_of_fault_is_a_mistake(pbx: SimulatedPBX) -> None:
    with pytest.raises(TypeError):
        pbx.faults.fail_next(colour="red")


def test_the_log_keeps_what_was_asked_without_the_token(pbx: SimulatedPBX, token: str) -> None:
    pbx.office.calls(5)
    get(pbx, "cdr/list", access_token=token, page_size=3)
    seen = pbx.request_log.requests[-1]

    assert (seen.method, seen.endpoint, seen.rows, seen.errcode) == ("GET", "cdr/list", 3, 0)
    assert seen.parameters == {"page_size": "3"}
    assert token not in repr(pbx.request_log.requests)
    assert (pbx.request_log.total_requests, pbx.request_log.rows_served) == (2, 3)
    assert pbx.request_log.count("get_token") == 1


def test_control_inserts_and_deletes_rows(pbx: SimulatedPBX) -> None:
    inserted = shown(control(pbx, "calls", {"count": 3, "rows": [{"disposition": "BUSY"}]}))
    deleted = shown(control(pbx, "delete", {"ids": [2, 99], "oldest": 1}))

    assert inserted == {"ids": [1, 2, 3, 4]}
    assert deleted == {"deleted": 2}
    assert pbx.table.ids == (3, 4)
    assert pbx.table[4]["disposition"] == "BUSY"


def test_control_clears_the_table(pbx: SimulatedPBX) -> None:
    pbx.office.calls(3)
    shown(control(pbx, "clear", {"first_id": 7}))

    assert pbx.office.call()["id"] == 7


def test_control_expires_tokens_and_frees_addresses(pbx: SimulatedPBX, token: str) -> None:
    control(pbx, "expire-tokens")
    assert get(pbx, "cdr/list", access_token=token)["errcode"] == 10004

    control(pbx, "block", {"address": "127.0.0.1"})
    assert get(pbx, "cdr/list", access_token=token)["errcode"] == 70004

    control(pbx, "unblock")
    assert get(pbx, "cdr/list", access_token=token)["errcode"] == 10004


def test_control_makes_requests_fail_and_heals_them(pbx: SimulatedPBX, token: str) -> None:
    control(pbx, "fail", {"status": 500, "times": 2, "path": "cdr/list"})
    assert send(pbx, "GET", f"{API_ROOT}/cdr/list").status == 500

    control(pbx, "heal")
    assert get(pbx, "cdr/list", access_token=token)["errcode"] == 0


def test_control_shows_the_state_to_other_processes(pbx: SimulatedPBX, token: str) -> None:
    pbx.office.call(disposition="BUSY")
    pbx.office.calls(20)
    get(pbx, "cdr/list", access_token=token)
    pbx.tokens.block("192.0.2.9")
    state = shown(control(pbx, "state"))
    totals, ever, calls = (listed(state.pop(name)) for name in ("totals", "ever", "calls"))
    inbound, outbound = listed(state.pop("did_calls")), listed(state.pop("destination_calls"))

    assert totals == pbx.expected.totals()
    assert ever == pbx.expected.ever()
    assert calls == pbx.expected.outcomes()
    assert sum(calls.values()) == 20
    assert 0 < sum(inbound.values()) < 20
    assert 0 < sum(outbound.values()) < 20 - sum(inbound.values())
    assert state == {
        "total_number": 21,
        "last_id": 21,
        "open_calls": 0,
        "queue_calls": [],
        "live_tokens": 1,
        "blocked": ["192.0.2.9"],
        "requests": 2,
        "rows_served": 21,
        "max_concurrent": 0,
    }


@pytest.mark.parametrize(
    "client", ["192.0.2.9", "::ffff:192.0.2.9", "2001:db8::1", "", "localhost.example"]
)
def test_control_is_refused_to_peers_elsewhere(pbx: SimulatedPBX, client: str) -> None:
    response = control(pbx, "calls", {"count": 1}, client=client)

    assert response.status == 403
    assert len(pbx.table) == 0


@pytest.mark.parametrize("client", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_control_is_open_to_loopback_peers(pbx: SimulatedPBX, client: str) -> None:
    assert shown(control(pbx, "calls", {"count": 1}, client=client)) == {"ids": [1]}


@pytest.mark.parametrize(
    ("command", "body"),
    [
        ("calls", {"number": 3}),
        ("calls", {"rows": [{"id": "x"}]}),
        ("calls", [1]),
        ("delete", {"ids": 3}),
        ("block", {}),
        ("fail", {"colour": "red"}),
    ],
    ids=["unknown", "bad-row", "no-object", "no-list", "missing", "no-fault"],
)
def test_a_mistaken_command_says_so(pbx: SimulatedPBX, command: str, body: object) -> None:
    response = control(pbx, command, body)

    assert response.status == 400
    assert json.loads(response.body)["error"]


def test_an_unknown_command_lists_the_known_ones(pbx: SimulatedPBX) -> None:
    response = control(pbx, "reboot")

    assert response.status == 404
    assert "expire-tokens" in json.loads(response.body)["error"]


def test_commands_are_not_read_by_get(pbx: SimulatedPBX) -> None:
    assert send(pbx, "GET", "/control/clear").status == 405


def test_without_control_its_path_is_unknown_like_any_other(pbx: SimulatedPBX) -> None:
    answer = shown(pbx.answer(HTTPRequest("POST", "/control/state", headers=USER_AGENT)))

    assert answer["errcode"] == 10001
