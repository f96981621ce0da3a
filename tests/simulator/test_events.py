"""What happens to the simulated PBX by name, and what the API answers then.

Each event is told twice: by its method, and by the control path.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from time import perf_counter
from typing import Any
from urllib.parse import urlencode

import pytest

from pbx_simulator import SimulatedPBX, control
from pbx_simulator.control import COMMANDS
from pbx_simulator.events import Events
from pbx_simulator.fault_queue import FaultQueue
from pbx_simulator.http_messages import HTTPReply, HTTPRequest
from pbx_simulator.malformed_pages import PAGE_KINDS
from pbx_simulator.malformed_rows import ROW_KINDS

NOW = 1_772_445_600  # a Monday at ten in the morning
USER_AGENT = {"user-agent": "OpenAPI"}
OURS = "/openapi/v1.0"
LISTED = {"sort_by": "id", "order_by": "desc"}

Steer = Callable[..., Any]

COMMAND_OF = {"shift_before_each": "shift"}
"""Where the command is not the method's name with hyphens."""


class Clock:
    now = float(NOW)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pbx(clock: Clock) -> SimulatedPBX:
    return SimulatedPBX(clock=clock)


@pytest.fixture(params=["by-method", "by-control"])
def steer(pbx: SimulatedPBX, request: pytest.FixtureRequest) -> Steer:
    """Tell the PBX an event, by its method or over the control path."""

    def by_method(event: str, **arguments: Any) -> Any:
        return getattr(pbx, event)(**arguments)

    def by_control(event: str, **arguments: Any) -> Any:
        command = COMMAND_OF.get(event, event.replace("_", "-"))
        body = json.dumps(arguments).encode()
        response = pbx.answer_or_obey(HTTPRequest("POST", f"/control/{command}", body=body))
        assert response.status == 200, response.body
        return next(iter(json.loads(response.body).values()), None)

    return by_method if request.param == "by-method" else by_control


def ask(pbx: SimulatedPBX, **parameters: object) -> HTTPReply:
    login = {"username": "simulated", "password": "simulated-secret"}
    body = json.dumps(login).encode()
    if not pbx.tokens.live:
        pbx.token = json.loads(  # type: ignore[attr-defined]
            pbx.answer(HTTPRequest("POST", f"{OURS}/get_token", headers=USER_AGENT, body=body)).body
        )["access_token"]
    query = urlencode({"access_token": pbx.token, **parameters})  # type: ignore[attr-defined]
    return pbx.answer(HTTPRequest("GET", f"{OURS}/cdr/list", query, headers=USER_AGENT))


def page(pbx: SimulatedPBX, **parameters: object) -> Any:
    return json.loads(ask(pbx, **(LISTED | parameters)).body)


def rows(pbx: SimulatedPBX, **parameters: object) -> list[Any]:
    data: list[Any] = page(pbx, **parameters)["data"]
    return data


def ids(pbx: SimulatedPBX, **parameters: object) -> list[int]:
    return [row["id"] for row in rows(pbx, **parameters)]


# Backups, resets, emptiness.


def test_after_a_restore_ids_go_on_from_the_backups_highest_with_other_content(
    pbx: SimulatedPBX, clock: Clock
) -> None:
    pbx.calls(5)
    backup = pbx.snapshot()
    before = rows(pbx)
    lost = [pbx.call() for _ in range(3)]
    pbx.delete([2])
    pbx.restore(backup)

    assert rows(pbx) == before
    new = pbx.call()
    assert new["id"] == lost[0]["id"] == 6
    assert new["uid"] != lost[0]["uid"]
    assert ids(pbx) == [6, 5, 4, 3, 2, 1]


def test_a_backup_without_its_newest_row_gives_that_id_again(pbx: SimulatedPBX) -> None:
    pbx.calls(5)
    pbx.delete([5])
    pbx.restore(pbx.snapshot())

    assert pbx.call()["id"] == 5


def test_a_backup_does_not_change_with_the_table(pbx: SimulatedPBX) -> None:
    pbx.calls(3)
    backup = pbx.snapshot()
    pbx.change(2, disposition="CHANGED")
    pbx.delete([1])
    pbx.restore(backup)

    assert ids(pbx) == [3, 2, 1]
    assert "CHANGED" not in [row["disposition"] for row in rows(pbx)]


def test_backups_have_names(pbx: SimulatedPBX, steer: Steer) -> None:
    pbx.calls(2)
    steer("snapshot", name="monday")
    pbx.calls(2)
    steer("snapshot", name="tuesday")
    pbx.calls(2)

    pbx.restore("tuesday")
    assert ids(pbx) == [4, 3, 2, 1]
    answer = pbx.answer_or_obey(
        HTTPRequest("POST", "/control/restore", body=json.dumps({"name": "monday"}).encode())
    )
    assert answer.status == 200
    assert ids(pbx) == [2, 1]


def test_a_name_without_backup_is_a_mistake(pbx: SimulatedPBX) -> None:
    with pytest.raises(KeyError):
        pbx.restore("sunday")


def test_the_same_backup_can_be_put_back_twice(pbx: SimulatedPBX) -> None:
    pbx.calls(3)
    backup = pbx.snapshot()
    seen = set()
    for _ in range(2):
        pbx.restore(backup)
        seen.add(pbx.call()["uid"])

    assert ids(pbx) == [4, 3, 2, 1]
    assert len(seen) == 2


def test_a_factory_reset_leaves_nothing_and_begins_at_one(pbx: SimulatedPBX, steer: Steer) -> None:
    pbx.calls(5)
    pbx.hold_back(2)
    steer("factory_reset")

    assert page(pbx)["total_number"] == 0
    assert pbx.release() == []
    assert pbx.call()["id"] == 1


def test_an_empty_list_is_a_success_that_passes(pbx: SimulatedPBX, steer: Steer) -> None:
    pbx.calls(3)
    steer("empty", times=2)

    for _ in range(2):
        assert page(pbx) == {"errcode": 0, "errmsg": "SUCCESS", "total_number": 0, "data": []}
    assert ids(pbx) == [3, 2, 1]


def test_data_not_found_is_the_other_way_of_being_empty(pbx: SimulatedPBX, steer: Steer) -> None:
    pbx.calls(3)
    steer("empty", times=1, errcode=60001)

    assert page(pbx) == {"errcode": 60001, "errmsg": "DATA NOT FOUND"}
    assert ids(pbx) == [3, 2, 1]


def test_an_empty_list_still_wants_a_token(pbx: SimulatedPBX) -> None:
    pbx.empty()
    answer = pbx.answer(HTTPRequest("GET", f"{OURS}/cdr/list", headers=USER_AGENT))

    assert json.loads(answer.body)["errcode"] == 10004
    pbx.calls(1)
    assert ids(pbx) == []


# Late rows.


def test_a_late_row_turns_up_under_the_id_of_its_time(
    pbx: SimulatedPBX, steer: Steer, clock: Clock
) -> None:
    pbx.call()
    held = steer("hold_back", count=2)
    pbx.call()
    assert held == [2, 3]
    assert ids(pbx) == [4, 1]

    clock.now += 100
    assert steer("release", keys=[2]) == [2]
    assert ids(pbx) == [4, 2, 1]
    assert steer("release") == [3]
    assert ids(pbx) == [4, 3, 2, 1]
    assert page(pbx)["total_number"] == 4


def test_a_late_row_tells_when_it_really_ended(pbx: SimulatedPBX, clock: Clock) -> None:
    pbx.hold_back(2)
    pbx.hold_back(1, disposition="NO ANSWER", ring_duration=30)
    clock.now += 600
    pbx.release()

    assert [row["timestamp"] + row.get("duration", 0) for row in rows(pbx)] == [NOW] * 3
    assert rows(pbx)[0]["disposition"] == "NO ANSWER"


def test_a_late_row_counts_when_it_is_seen_and_not_before(pbx: SimulatedPBX) -> None:
    pbx.hold_back(1, disposition="BUSY")
    assert (pbx.totals(), pbx.ever()) == ({}, {})

    pbx.release()
    assert pbx.totals() == pbx.ever() == {("BUSY", "Inbound", "SIP-Provider"): 1}


def test_rows_held_back_are_released_once(pbx: SimulatedPBX) -> None:
    (key,) = pbx.hold_back()
    pbx.release([key])

    with pytest.raises(KeyError):
        pbx.release([key])


# The clean-up and other deletions.


def test_the_clean_up_keeps_so_many_and_the_total_stands_still(
    pbx: SimulatedPBX, steer: Steer
) -> None:
    pbx.calls(7)
    assert steer("limit", rows=5) == 2

    for newest in (8, 9, 10):
        pbx.call()
        assert page(pbx)["total_number"] == 5
        assert ids(pbx) == list(range(newest, newest - 5, -1))


def test_without_limit_the_table_grows_again(pbx: SimulatedPBX, steer: Steer) -> None:
    pbx.calls(3)
    pbx.limit(2)
    steer("limit", rows=None)
    pbx.calls(2)

    assert ids(pbx) == [5, 4, 3, 2]


@pytest.mark.parametrize(("reuse_ids", "following"), [(True, [4, 5]), (False, [6, 7])])
def test_the_newest_rows_are_deleted_and_their_ids_given_again_or_not(
    pbx: SimulatedPBX, reuse_ids: bool, following: list[int]
) -> None:
    pbx.calls(5)
    gone = rows(pbx)[:2]

    assert pbx.delete_newest(2, reuse_ids=reuse_ids) == 2
    assert ids(pbx) == [3, 2, 1]
    assert [pbx.call()["id"] for _ in following] == following
    assert not {row["uid"] for row in gone} & {row["uid"] for row in rows(pbx)}


def test_an_id_held_back_is_not_given_again(pbx: SimulatedPBX) -> None:
    pbx.calls(3)
    pbx.hold_back(1)
    pbx.delete_newest(2, reuse_ids=True)

    assert pbx.call()["id"] == 5
    assert pbx.release() == [4]


def test_control_deletes_at_either_end_and_in_the_middle(pbx: SimulatedPBX) -> None:
    pbx.calls(9)
    body = {"ids": [3], "oldest": 1, "middle": 1, "newest": 2, "reuse_ids": True}
    answer = pbx.answer_or_obey(
        HTTPRequest("POST", "/control/delete", body=json.dumps(body).encode())
    )

    assert json.loads(answer.body) == {"deleted": 5}
    assert ids(pbx) == [7, 5, 4, 2]
    assert pbx.call()["id"] == 8


def test_control_changes_a_row(pbx: SimulatedPBX) -> None:
    pbx.call()
    body = json.dumps({"row": 1, "fields": {"disposition": "BUSY", "uid": None}}).encode()
    pbx.answer_or_obey(HTTPRequest("POST", "/control/change", body=body))

    (row,) = rows(pbx)
    assert (row["disposition"], "uid" in row) == ("BUSY", False)


# Other answers.


def test_another_pbx_answers_with_its_own_rows_and_the_same_ones_again(
    pbx: SimulatedPBX, steer: Steer
) -> None:
    pbx.calls(3)
    true = page(pbx)
    steer("foreign", times=2, rows=40, first_id=2)
    strange = page(pbx)

    assert strange["total_number"] == 40
    assert [row["id"] for row in strange["data"]] == list(range(41, 1, -1))
    assert not {row["uid"] for row in strange["data"]} & {row["uid"] for row in true["data"]}
    assert page(pbx) == strange
    assert page(pbx) == true
    steer("foreign")
    assert page(pbx) == strange
    assert sum(pbx.totals().values()) == sum(pbx.ever().values()) == 3


def test_the_last_answer_is_replayed_whatever_is_asked(pbx: SimulatedPBX, steer: Steer) -> None:
    pbx.calls(3)
    before = page(pbx)
    steer("stale", times=2)
    pbx.calls(2)

    assert page(pbx, page=2, page_size=1) == page(pbx) == before
    assert ids(pbx) == [5, 4, 3, 2, 1]


def test_of_several_answers_the_one_given_last_is_replayed(pbx: SimulatedPBX) -> None:
    pbx.calls(3)
    page(pbx, page_size=1)
    page(pbx, page_size=2)
    last = page(pbx, page_size=1)
    pbx.stale()

    assert page(pbx, page_size=3) == last


def test_a_cache_replays_the_same_page_and_lets_others_pass(pbx: SimulatedPBX) -> None:
    pbx.calls(3)
    before = page(pbx)
    page(pbx, page_size=2)
    pbx.stale(1, same_query=True)
    pbx.calls(1)

    assert ids(pbx, page_size=3) == [4, 3, 2]
    assert page(pbx) == before
    assert ids(pbx) == [4, 3, 2, 1]


def test_without_an_answer_before_the_true_one_is_given(pbx: SimulatedPBX) -> None:
    pbx.stale(1)
    pbx.calls(1)

    assert ids(pbx) == [1]
    pbx.calls(1)
    assert ids(pbx) == [1]
    assert ids(pbx) == [2, 1]


# The table moves during a walk.


def test_pages_shift_before_each_answer(pbx: SimulatedPBX, steer: Steer) -> None:
    pbx.calls(10)
    steer("shift_before_each", calls=3, oldest=2, times=2)

    assert ids(pbx) == [13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3]
    assert ids(pbx) == [16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5]
    assert ids(pbx) == [16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5]


def test_an_insert_between_two_pages_shows_a_row_twice(pbx: SimulatedPBX) -> None:
    pbx.calls(6)
    pbx.shift_before_each(after=1, calls=1)

    assert ids(pbx, page=1, page_size=3) == [6, 5, 4]
    assert ids(pbx, page=2, page_size=3) == [4, 3, 2]


def test_a_deletion_of_newer_rows_between_two_pages_hides_one(pbx: SimulatedPBX) -> None:
    pbx.calls(6)
    pbx.shift_before_each(after=1, newest=1)

    assert ids(pbx, page=1, page_size=3) == [6, 5, 4]
    assert ids(pbx, page=2, page_size=3) == [2, 1]


@pytest.mark.parametrize(
    ("shift", "left"),
    [
        ({"middle": 2}, [6, 5, 2, 1]),
        ({"newest": 2}, [4, 3, 2, 1]),
        ({"newest": 2, "reuse_ids": True}, [4, 3, 2, 1]),
        ({"oldest": 9}, []),
        ({"release": 1}, [7, 6, 5, 4, 3, 2, 1]),
    ],
    ids=["middle", "newest", "newest-reused", "all", "released"],
)
def test_a_shift_deletes_and_releases_where_it_says(
    pbx: SimulatedPBX, steer: Steer, shift: dict[str, Any], left: list[int]
) -> None:
    pbx.calls(6)
    pbx.hold_back(2)
    steer("shift_before_each", **shift)

    assert ids(pbx) == left


@pytest.mark.parametrize(("reuse_ids", "newest"), [(True, [5, 4]), (False, [7, 4])])
def test_a_shift_gives_the_ids_of_deleted_rows_again_or_not(
    pbx: SimulatedPBX, steer: Steer, reuse_ids: bool, newest: list[int]
) -> None:
    pbx.calls(6)
    steer("shift_before_each", newest=2, reuse_ids=reuse_ids)
    page(pbx)
    pbx.call()

    assert ids(pbx)[:2] == newest


def test_only_answers_to_cdr_list_move_the_table(pbx: SimulatedPBX) -> None:
    pbx.shift_before_each(calls=1)
    pbx.answer(HTTPRequest("GET", f"{OURS}/cdr/list", headers=USER_AGENT))
    pbx.answer(HTTPRequest("GET", f"{OURS}/nothing", headers=USER_AGENT))

    assert len(pbx.table) == 0
    assert ids(pbx) == [1]


@pytest.mark.parametrize("wrong", [{"calls": -1}, {"oldest": "2"}, {"newest": True}, {"colour": 1}])
def test_a_shift_that_is_none_is_a_mistake(pbx: SimulatedPBX, wrong: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        pbx.shift_before_each(**wrong)


# Pages and rows that break the contract.


@pytest.mark.parametrize(
    ("kind", "n", "total", "shown"),
    [
        ("total-missing", None, None, [4, 3, 2]),
        ("total-small", None, 2, [4, 3, 2]),
        ("total-large", None, 1040, [4, 3, 2]),
        ("total-offset", 2, 6, [4, 3, 2]),
        ("total-offset", -3, 1, [4, 3, 2]),
        ("total-offset", -9, 0, [4, 3, 2]),
        ("total-value", "many", "many", [4, 3, 2]),
        ("short", 2, 4, [4, 3]),
        ("reversed", None, 4, [2, 3, 4]),
        ("unordered", None, 4, [2, 3, 4]),
        ("repeated-id", None, 4, [4, 4, 2]),
        ("repeated-row", None, 4, [4, 4, 3]),
    ],
)
def test_a_page_is_spoilt_once(
    pbx: SimulatedPBX, steer: Steer, kind: str, n: Any, total: Any, shown: list[int]
) -> None:
    pbx.calls(4)
    true = page(pbx, page_size=3)
    steer("spoil_pages", kind=kind, n=n)
    spoilt = page(pbx, page_size=3)

    assert spoilt["errcode"] == 0
    assert spoilt.get("total_number") == total
    assert [row["id"] for row in spoilt["data"]] == shown
    assert page(pbx, page_size=3) == true


@pytest.mark.parametrize(
    ("kind", "data"), [("data-missing", "missing"), ("data-null", None), ("data-object", {})]
)
def test_a_page_can_be_without_its_rows(pbx: SimulatedPBX, kind: str, data: Any) -> None:
    pbx.calls(4)
    pbx.spoil_pages(kind)

    assert page(pbx).get("data", "missing") == data


@pytest.mark.parametrize("kind", PAGE_KINDS)
@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_short_or_poisoned_page_can_be_spoilt_too(
    pbx: SimulatedPBX, kind: str, count: int
) -> None:
    pbx.calls(count)
    if count:
        pbx.poison("row-null")
    pbx.spoil_pages("data-missing")
    pbx.spoil_pages(kind, 1)

    assert page(pbx)["errcode"] == 0


def test_pages_stay_spoilt_until_they_are_healed(pbx: SimulatedPBX, steer: Steer) -> None:
    pbx.calls(4)
    steer("spoil_pages", kind="short", n=1, times=None)
    steer("spoil_pages", kind="total-offset", n=5, times=None)

    for _ in range(3):
        assert (ids(pbx), page(pbx)["total_number"]) == ([4], 9)
    steer("heal")
    assert (ids(pbx), page(pbx)["total_number"]) == ([4, 3, 2, 1], 4)


def test_a_repeated_id_stands_on_two_different_rows(pbx: SimulatedPBX) -> None:
    pbx.calls(2)
    pbx.spoil_pages("repeated-id")
    first, second = rows(pbx)

    assert (first["id"], first["uid"] != second["uid"]) == (second["id"], True)


@pytest.mark.parametrize("wrong", [("colour", None), ("short", None), ("short", "2")])
def test_an_unknown_way_to_spoil_a_page_is_a_mistake(
    pbx: SimulatedPBX, wrong: tuple[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"none of|needs a whole number"):
        pbx.spoil_pages(*wrong)


POISONED = {
    "id-missing": ("id", "missing"),
    "id-null": ("id", None),
    "id-bool": ("id", True),
    "id-zero": ("id", 0),
    "id-negative": ("id", -1),
    "id-float": ("id", 1.0),
    "id-huge": ("id", 2**70),
    "id-text": ("id", "first"),
    "id-digits": ("id", "3"),
    "duration-infinity": ("duration", math.inf),
    "duration-1e400": ("duration", math.inf),
    "duration-negative": ("duration", -5),
    "duration-huge": ("duration", 10**12),
    "duration-text": ("duration", "long"),
    "trunk-surrogate": ("src_trunk", "Trunk\ud800"),
    "trunk-nul": ("src_trunk", "Trunk\0"),
    "trunk-newline": ("src_trunk", 'Trunk\n"quoted\\'),
    "trunk-long": ("src_trunk", "T" * 10_000),
}


@pytest.mark.parametrize(("kind", "expected"), POISONED.items(), ids=list(POISONED))
def test_a_poisoned_row_is_sent_so_and_its_neighbours_are_not(
    pbx: SimulatedPBX, steer: Steer, kind: str, expected: tuple[str, Any]
) -> None:
    for _ in range(3):
        pbx.call()
    true = rows(pbx)
    field, value = expected

    assert steer("poison", kind=kind) == 3
    poisoned, *others = rows(pbx)

    assert (poisoned.get(field, "missing"), type(poisoned.get(field, ""))) == (value, type(value))
    assert others == true[1:]
    steer("cure")
    assert rows(pbx) == true


def test_every_poison_is_told_apart(pbx: SimulatedPBX) -> None:
    special = {"duration-nan", "no-object", "row-null", "digits-5000", "nesting-100k"}

    assert set(ROW_KINDS) == set(POISONED) | special


def test_not_a_number_goes_out_word_for_word(pbx: SimulatedPBX) -> None:
    pbx.call()
    pbx.poison("duration-nan")

    assert b'"duration":NaN,' in ask(pbx).body
    assert math.isnan(rows(pbx)[0]["duration"])


@pytest.mark.parametrize(
    ("kind", "error"), [("digits-5000", ValueError), ("nesting-100k", RecursionError)]
)
def test_a_page_can_be_beyond_parsing(pbx: SimulatedPBX, kind: str, error: type[Exception]) -> None:
    pbx.calls(2)
    pbx.poison(kind)

    with pytest.raises(error):
        page(pbx)
    assert ids(pbx, page=2, page_size=1) == [1]


@pytest.mark.parametrize(("kind", "value"), [("no-object", "row"), ("row-null", None)])
def test_a_row_can_be_no_object(pbx: SimulatedPBX, kind: str, value: object) -> None:
    pbx.calls(2)
    pbx.poison(kind, row=1)

    assert rows(pbx)[1] == value


def test_the_trunk_that_counts_is_the_one_poisoned(pbx: SimulatedPBX) -> None:
    pbx.call(call_type="Outbound", dst_trunk="PSTN")
    pbx.poison("trunk-nul")

    assert rows(pbx)[0]["dst_trunk"] == "Trunk\0"


def test_the_judge_goes_on_counting_the_true_row(pbx: SimulatedPBX) -> None:
    pbx.call()
    true = pbx.totals()
    pbx.poison("trunk-long")

    assert pbx.totals() == pbx.ever() == true


def test_a_row_without_id_can_be_poisoned_by_its_name(pbx: SimulatedPBX) -> None:
    pbx.upgrade()
    key = pbx.call()["new_id"]
    pbx.call()
    pbx.poison("id-negative", row=key)

    assert [row.get("id") for row in rows(pbx)] == [None, -1]


@pytest.mark.parametrize(("kind", "row"), [("colour", 1), ("id-null", 7)])
def test_what_cannot_be_poisoned_is_a_mistake(pbx: SimulatedPBX, kind: str, row: int) -> None:
    pbx.call()

    with pytest.raises((ValueError, KeyError)):
        pbx.poison(kind, row)


def test_nothing_can_be_poisoned_in_an_empty_table(pbx: SimulatedPBX) -> None:
    with pytest.raises(ValueError, match="unpack"):
        pbx.poison("id-null")


def test_a_lone_surrogate_in_a_row_goes_out_as_its_escape(pbx: SimulatedPBX) -> None:
    pbx.call(src_trunk="a\udc80é")

    assert rb'"src_trunk":"a\udc80' in ask(pbx).body
    assert rows(pbx)[0]["src_trunk"] == "a\udc80é"


# The clock, the speed.


def test_a_wrong_clock_shows_in_new_rows_of_every_origin(
    pbx: SimulatedPBX, steer: Steer, clock: Clock
) -> None:
    pbx.calls(1)
    steer("set_clock", ahead=3600)
    pbx.call(disposition="BUSY")
    pbx.calls(1)
    pbx.hold_back(1)
    pbx.release()
    clock.now += 600
    live = pbx.tick()
    calls: dict[str, list[int]] = {}
    for row in rows(pbx, order_by="asc"):
        calls.setdefault(row["uid"], []).append(row["timestamp"] + row.get("duration", 0))
    ends = [max(legs) for legs in calls.values()]

    assert ends[:4] == [NOW, NOW + 3600, NOW + 3600, NOW + 3600]
    assert live
    assert all(NOW + 3600 < end <= NOW + 4200 for end in ends[4:])


def test_a_wrong_clock_shows_wherever_a_row_tells_the_time(pbx: SimulatedPBX) -> None:
    pbx.set_clock(-86_400)
    pbx.calls(40)
    recorded = [row for row in rows(pbx) if "record_file" in row]

    assert recorded
    assert all(row["time"].startswith("03/01/2026") for row in rows(pbx))
    assert all(row["uid"].startswith("20260301") for row in rows(pbx))
    assert all(
        row["record_file"].startswith(f"{row['uid'][:14]}-{row['timestamp']}.") for row in recorded
    )


def test_the_clock_can_jump_there_and_back(pbx: SimulatedPBX) -> None:
    starts = []
    for ahead in (0, 10**9, 0, -(10**6)):
        pbx.set_clock(ahead)
        starts.append(pbx.call()["timestamp"] - NOW + 48)

    assert starts == [0, 10**9, 0, -(10**6)]
    assert ids(pbx) == [4, 3, 2, 1]


def test_a_slow_box_takes_time_for_each_row(pbx: SimulatedPBX, steer: Steer) -> None:
    pbx.calls(100)
    steer("slow", rows_per_second=400)

    assert ask(pbx, page_size=100).delay_seconds == 0.25
    assert ask(pbx, page_size=10).delay_seconds == 0.025
    pbx.fail_next(delay_seconds=3)
    assert ask(pbx, page_size=10).delay_seconds == 3.025
    steer("slow", rows_per_second=None)
    assert ask(pbx, page_size=100).delay_seconds == 0


@pytest.mark.parametrize("speed", [0, -1, math.nan])
def test_no_box_is_that_slow(pbx: SimulatedPBX, speed: float) -> None:
    with pytest.raises(ValueError, match="not above 0"):
        pbx.slow(speed)


# The judge.


def test_ever_counts_what_came_once_whatever_happened_to_it(pbx: SimulatedPBX) -> None:
    pbx.call(disposition="BUSY")
    backup = pbx.snapshot()
    pbx.call(disposition="FAILED")
    pbx.restore(backup)
    pbx.call(disposition="FAILED")
    pbx.foreign(1)
    page(pbx)
    pbx.delete([1])
    pbx.restore(backup)
    pbx.factory_reset()
    pbx.call(call_type="Outbound", dst_trunk="PSTN")

    assert pbx.totals() == {("ANSWERED", "Outbound", "PSTN"): 1}
    assert pbx.ever() == {
        ("BUSY", "Inbound", "SIP-Provider"): 1,
        ("FAILED", "Inbound", "SIP-Provider"): 2,
        ("ANSWERED", "Outbound", "PSTN"): 1,
    }


def test_ever_and_totals_agree_while_nothing_goes(clock: Clock) -> None:
    pbx = SimulatedPBX(clock=clock, days=2)
    pbx.calls(50)
    clock.now += 3600
    pbx.tick()

    assert pbx.ever() == pbx.totals()


def test_ever_counts_what_the_clean_up_took(pbx: SimulatedPBX) -> None:
    pbx.limit(10)
    pbx.calls(50)

    assert (sum(pbx.totals().values()), sum(pbx.ever().values())) == (10, 50)


def test_a_field_of_a_wrong_type_is_counted_as_its_text(pbx: SimulatedPBX) -> None:
    pbx.call(src_trunk=["a"], disposition={"b": 1})

    assert pbx.totals() == pbx.ever() == {("{'b': 1}", "Inbound", "['a']"): 1}


# The control path and the queue.


def test_every_event_is_a_command_and_every_command_documented() -> None:
    elsewhere = {"call", "delete_oldest", "delete_middle", "delete_newest"}
    elsewhere |= {"totals", "ever", "outcomes"}
    events = {name for name in vars(Events) if not name.startswith("_")} - elsewhere
    commands = {name.replace("-", "_") for name in COMMANDS} | {"shift_before_each", "fail_next"}

    assert len(events) > 20
    assert events <= commands
    assert all(f"\n    {name} " in (control.__doc__ or "") for name in COMMANDS)


@pytest.mark.parametrize(
    ("command", "body"),
    [
        ("empty", {"times": -1}),
        ("empty", {"times": "2"}),
        ("foreign", {"after": None}),
        ("limit", {"rows": 1.5}),
        ("restore", {"name": "nothing"}),
        ("upgrade", {"order": "sideways"}),
        ("upgrade", {"mixed": 2}),
        ("delete", {"oldest": -1}),
        ("release", {"keys": [9]}),
        ("spoil-pages", {"kind": "nothing"}),
        ("poison", {"kind": "id-null"}),
        ("slow", {"rows_per_second": 0}),
        ("clear", {"first_id": "x"}),
        ("whole-calls", {"scenario": "nothing"}),
        ("whole-calls", {"count": -1}),
        ("begin-call", {"scenario": "nothing"}),
        ("hold-back", {"scenario": "nothing"}),
    ],
)
def test_a_mistaken_command_changes_nothing(
    pbx: SimulatedPBX, command: str, body: dict[str, Any]
) -> None:
    raw = json.dumps(body).encode()
    answer = pbx.answer_or_obey(HTTPRequest("POST", f"/control/{command}", body=raw))

    assert answer.status == 400
    assert json.loads(answer.body)["error"]
    assert page(pbx) == {"errcode": 0, "errmsg": "SUCCESS", "total_number": 0, "data": []}


def test_what_waits_lets_some_pass_happens_and_is_gone() -> None:
    waiting: FaultQueue[str] = FaultQueue()
    waiting.add("second", times=2, after=1)

    assert [waiting.take_all() for _ in range(4)] == [[], ["second"], ["second"], []]
    assert len(waiting) == 0


def test_of_several_the_first_goes_first() -> None:
    waiting: FaultQueue[str] = FaultQueue()
    waiting.add("never", times=0)
    waiting.add("a")
    waiting.add("b", times=None)

    assert [waiting.take_first() for _ in range(4)] == ["a", "b", "b", "b"]


def test_healing_forgets_every_kind_of_waiting(pbx: SimulatedPBX, steer: Steer) -> None:
    pbx.calls(2)
    true = page(pbx)
    pbx.shift_before_each(None, calls=1)
    pbx.empty(None)
    pbx.spoil_pages("short", 0, None)
    steer("heal")

    assert page(pbx) == true


def test_a_million_rows_are_paged_by_id_and_by_time_at_the_cost_of_the_page(
    pbx: SimulatedPBX,
) -> None:
    pbx.table.insert({"timestamp": NOW + number % 977} for number in range(1_000_000))
    pbx.table.page("time", "desc", 1, 1)  # the first one sorts
    begin = perf_counter()
    for number in range(1, 101):
        pbx.call()
        pbx.table.page("id", "desc", number, 200)
        pbx.table.page("time", "desc", number, 200)

    assert perf_counter() - begin < 1.0  # one more sort would take as long as that
    assert Counter(pbx.totals().values()).total() == 2
