"""What happens to the simulated PBX by name, and what the API answers then.

Most events are tested twice: by their method, and by the control path.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from email.utils import parsedate_to_datetime
from time import thread_time
from typing import Any

import pytest

from pbx_simulator import SimulatedPBX, control
from pbx_simulator.control import COMMANDS
from pbx_simulator.fault_queue import FaultQueue
from pbx_simulator.faults import Faults
from pbx_simulator.http_messages import HTTPRequest
from pbx_simulator.maintenance import Maintenance
from pbx_simulator.malformed_pages import PAGE_KINDS
from pbx_simulator.malformed_rows import ROW_KINDS
from pbx_simulator.office import Office
from pbx_simulator.serving import answer_with_control

from .support import API_ROOT, NOW, USER_AGENT, APIUser, SettableClock, Steer

# Backups, resets, emptiness.


def test_after_a_restore_ids_go_on_from_the_backups_highest_with_other_content(
    pbx: SimulatedPBX, user: APIUser, clock: SettableClock
) -> None:
    pbx.office.calls(5)
    backup = pbx.maintenance.snapshot()
    before = user.rows()
    lost = [pbx.office.call() for _ in range(3)]
    pbx.maintenance.delete([2])
    pbx.maintenance.restore(backup)

    assert user.rows() == before
    new = pbx.office.call()
    assert new["id"] == lost[0]["id"] == 6
    assert new["uid"] != lost[0]["uid"]
    assert user.ids() == [6, 5, 4, 3, 2, 1]


def test_a_backup_without_its_newest_row_gives_that_id_again(pbx: SimulatedPBX) -> None:
    pbx.office.calls(5)
    pbx.maintenance.delete([5])
    pbx.maintenance.restore(pbx.maintenance.snapshot())

    assert pbx.office.call()["id"] == 5


def test_a_backup_does_not_change_with_the_table(pbx: SimulatedPBX, user: APIUser) -> None:
    pbx.office.calls(3)
    backup = pbx.maintenance.snapshot()
    pbx.maintenance.change(2, disposition="CHANGED")
    pbx.maintenance.delete([1])
    pbx.maintenance.restore(backup)

    assert user.ids() == [3, 2, 1]
    assert "CHANGED" not in [row["disposition"] for row in user.rows()]


def test_backups_have_names(pbx: SimulatedPBX, user: APIUser, steer: Steer) -> None:
    pbx.office.calls(2)
    steer("snapshot", name="monday")
    pbx.office.calls(2)
    steer("snapshot", name="tuesday")
    pbx.office.calls(2)

    pbx.maintenance.restore("tuesday")
    assert user.ids() == [4, 3, 2, 1]
    answer = answer_with_control(
        pbx, HTTPRequest("POST", "/control/restore", body=json.dumps({"name": "monday"}).encode())
    )
    assert answer.status == 200
    assert user.ids() == [2, 1]


def test_a_name_without_backup_is_a_mistake(pbx: SimulatedPBX) -> None:
    with pytest.raises(KeyError):
        pbx.maintenance.restore("sunday")


def test_the_same_backup_can_be_put_back_twice(pbx: SimulatedPBX, user: APIUser) -> None:
    pbx.office.calls(3)
    backup = pbx.maintenance.snapshot()
    seen = set()
    for _ in range(2):
        pbx.maintenance.restore(backup)
        seen.add(pbx.office.call()["uid"])

    assert user.ids() == [4, 3, 2, 1]
    assert len(seen) == 2


def test_a_factory_reset_leaves_nothing_and_begins_at_one(
    pbx: SimulatedPBX, user: APIUser, steer: Steer
) -> None:
    pbx.office.calls(5)
    pbx.office.hold_back(2)
    steer("factory_reset")

    assert user.page()["total_number"] == 0
    assert pbx.office.release() == []
    assert pbx.office.call()["id"] == 1


def test_an_empty_list_is_a_success_that_passes(
    pbx: SimulatedPBX, user: APIUser, steer: Steer
) -> None:
    pbx.office.calls(3)
    steer("empty", times=2)

    for _ in range(2):
        assert user.page() == {"errcode": 0, "errmsg": "SUCCESS", "total_number": 0, "data": []}
    assert user.ids() == [3, 2, 1]


def test_data_not_found_is_the_other_way_of_being_empty(
    pbx: SimulatedPBX, user: APIUser, steer: Steer
) -> None:
    pbx.office.calls(3)
    steer("empty", times=1, errcode=60001)

    assert user.page() == {"errcode": 60001, "errmsg": "DATA NOT FOUND"}
    assert user.ids() == [3, 2, 1]


def test_an_empty_list_still_wants_a_token(pbx: SimulatedPBX, user: APIUser) -> None:
    pbx.faults.empty()
    answer = pbx.answer(HTTPRequest("GET", f"{API_ROOT}/cdr/list", headers=USER_AGENT))

    assert json.loads(answer.body)["errcode"] == 10004
    pbx.office.calls(1)
    assert user.ids() == []


# Late rows.


def test_a_late_row_turns_up_under_the_id_of_its_time(
    pbx: SimulatedPBX, user: APIUser, steer: Steer, clock: SettableClock
) -> None:
    pbx.office.call()
    held = steer("hold_back", count=2)
    pbx.office.call()
    assert held == [2, 3]
    assert user.ids() == [4, 1]

    clock.now += 100
    assert steer("release", keys=[2]) == [2]
    assert user.ids() == [4, 2, 1]
    assert steer("release") == [3]
    assert user.ids() == [4, 3, 2, 1]
    assert user.page()["total_number"] == 4


def test_a_late_row_shows_when_its_call_ended(
    pbx: SimulatedPBX, user: APIUser, clock: SettableClock
) -> None:
    pbx.office.hold_back(2)
    pbx.office.hold_back(1, disposition="NO ANSWER", ring_duration=30)
    clock.now += 600
    pbx.office.release()

    assert [row["timestamp"] + row.get("duration", 0) for row in user.rows()] == [NOW] * 3
    assert user.rows()[0]["disposition"] == "NO ANSWER"


def test_a_late_row_counts_when_it_is_seen_and_not_before(pbx: SimulatedPBX) -> None:
    pbx.office.hold_back(1, disposition="BUSY")
    assert (pbx.expected.totals(), pbx.expected.ever()) == ({}, {})

    pbx.office.release()
    assert pbx.expected.totals() == pbx.expected.ever() == {("BUSY", "Inbound", "SIP-Provider"): 1}


def test_rows_held_back_are_released_once(pbx: SimulatedPBX) -> None:
    (key,) = pbx.office.hold_back()
    pbx.office.release([key])

    with pytest.raises(KeyError):
        pbx.office.release([key])


# The clean-up and other deletions.


def test_the_clean_up_keeps_so_many_and_the_total_stands_still(
    pbx: SimulatedPBX, user: APIUser, steer: Steer
) -> None:
    pbx.office.calls(7)
    assert steer("limit", rows=5) == 2

    for newest in (8, 9, 10):
        pbx.office.call()
        assert user.page()["total_number"] == 5
        assert user.ids() == list(range(newest, newest - 5, -1))


def test_without_limit_the_table_grows_again(
    pbx: SimulatedPBX, user: APIUser, steer: Steer
) -> None:
    pbx.office.calls(3)
    pbx.maintenance.limit(2)
    steer("limit", rows=None)
    pbx.office.calls(2)

    assert user.ids() == [5, 4, 3, 2]


@pytest.mark.parametrize(("reuse_ids", "following"), [(True, [4, 5]), (False, [6, 7])])
def test_the_newest_rows_are_deleted_and_their_ids_given_again_or_not(
    pbx: SimulatedPBX, user: APIUser, reuse_ids: bool, following: list[int]
) -> None:
    pbx.office.calls(5)
    gone = user.rows()[:2]

    assert pbx.maintenance.delete_newest(2, reuse_ids=reuse_ids) == 2
    assert user.ids() == [3, 2, 1]
    assert [pbx.office.call()["id"] for _ in following] == following
    assert not {row["uid"] for row in gone} & {row["uid"] for row in user.rows()}


def test_an_id_held_back_is_not_given_again(pbx: SimulatedPBX) -> None:
    pbx.office.calls(3)
    pbx.office.hold_back(1)
    pbx.maintenance.delete_newest(2, reuse_ids=True)

    assert pbx.office.call()["id"] == 5
    assert pbx.office.release() == [4]


def test_control_deletes_at_either_end_and_in_the_middle(pbx: SimulatedPBX, user: APIUser) -> None:
    pbx.office.calls(9)
    body = {"ids": [3], "oldest": 1, "middle": 1, "newest": 2, "reuse_ids": True}
    answer = answer_with_control(
        pbx, HTTPRequest("POST", "/control/delete", body=json.dumps(body).encode())
    )

    assert json.loads(answer.body) == {"deleted": 5}
    assert user.ids() == [7, 5, 4, 2]
    assert pbx.office.call()["id"] == 8


def test_control_changes_a_row(pbx: SimulatedPBX, user: APIUser) -> None:
    pbx.office.call()
    body = json.dumps({"row": 1, "fields": {"disposition": "BUSY", "uid": None}}).encode()
    answer_with_control(pbx, HTTPRequest("POST", "/control/change", body=body))

    (row,) = user.rows()
    assert (row["disposition"], "uid" in row) == ("BUSY", False)


# Other answers.


def test_another_pbx_answers_with_its_own_rows_and_the_same_ones_again(
    pbx: SimulatedPBX, user: APIUser, steer: Steer
) -> None:
    pbx.office.calls(3)
    true = user.page()
    steer("foreign", times=2, rows=40, first_id=2)
    strange = user.page()

    assert strange["total_number"] == 40
    assert [row["id"] for row in strange["data"]] == list(range(41, 1, -1))
    assert not {row["uid"] for row in strange["data"]} & {row["uid"] for row in true["data"]}
    assert user.page() == strange
    assert user.page() == true
    steer("foreign")
    assert user.page() == strange
    assert sum(pbx.expected.totals().values()) == sum(pbx.expected.ever().values()) == 3


def test_the_last_answer_is_replayed_whatever_is_asked(
    pbx: SimulatedPBX, user: APIUser, steer: Steer
) -> None:
    pbx.office.calls(3)
    before = user.page()
    steer("stale", times=2)
    pbx.office.calls(2)

    assert user.page(page=2, page_size=1) == user.page() == before
    assert user.ids() == [5, 4, 3, 2, 1]


def test_of_several_answers_the_one_given_last_is_replayed(
    pbx: SimulatedPBX, user: APIUser
) -> None:
    pbx.office.calls(3)
    user.page(page_size=1)
    user.page(page_size=2)
    last = user.page(page_size=1)
    pbx.faults.stale()

    assert user.page(page_size=3) == last


def test_a_cache_replays_the_same_page_and_lets_others_pass(
    pbx: SimulatedPBX, user: APIUser
) -> None:
    pbx.office.calls(3)
    before = user.page()
    user.page(page_size=2)
    pbx.faults.stale(1, same_query=True)
    pbx.office.calls(1)

    assert user.ids(page_size=3) == [4, 3, 2]
    assert user.page() == before
    assert user.ids() == [4, 3, 2, 1]


def test_without_an_answer_before_the_true_one_is_given(pbx: SimulatedPBX, user: APIUser) -> None:
    pbx.faults.stale(1)
    pbx.office.calls(1)

    assert user.ids() == [1]
    pbx.office.calls(1)
    assert user.ids() == [1]
    assert user.ids() == [2, 1]


# The table changes between two pages.


def test_pages_shift_before_each_answer(pbx: SimulatedPBX, user: APIUser, steer: Steer) -> None:
    pbx.office.calls(10)
    steer("shift_before_each", calls=3, oldest=2, times=2)

    assert user.ids() == [13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3]
    assert user.ids() == [16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5]
    assert user.ids() == [16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5]


def test_an_insert_between_two_pages_shows_a_row_twice(pbx: SimulatedPBX, user: APIUser) -> None:
    pbx.office.calls(6)
    pbx.faults.shift_before_each(after=1, calls=1)

    assert user.ids(page=1, page_size=3) == [6, 5, 4]
    assert user.ids(page=2, page_size=3) == [4, 3, 2]


def test_a_deletion_of_newer_rows_between_two_pages_hides_one(
    pbx: SimulatedPBX, user: APIUser
) -> None:
    pbx.office.calls(6)
    pbx.faults.shift_before_each(after=1, newest=1)

    assert user.ids(page=1, page_size=3) == [6, 5, 4]
    assert user.ids(page=2, page_size=3) == [2, 1]


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
    pbx: SimulatedPBX, user: APIUser, steer: Steer, shift: dict[str, Any], left: list[int]
) -> None:
    pbx.office.calls(6)
    pbx.office.hold_back(2)
    steer("shift_before_each", **shift)

    assert user.ids() == left


@pytest.mark.parametrize(("reuse_ids", "newest"), [(True, [5, 4]), (False, [7, 4])])
def test_a_shift_gives_the_ids_of_deleted_rows_again_or_not(
    pbx: SimulatedPBX, user: APIUser, steer: Steer, reuse_ids: bool, newest: list[int]
) -> None:
    pbx.office.calls(6)
    steer("shift_before_each", newest=2, reuse_ids=reuse_ids)
    user.page()
    pbx.office.call()

    assert user.ids()[:2] == newest


def test_only_answers_to_cdr_list_move_the_table(pbx: SimulatedPBX, user: APIUser) -> None:
    pbx.faults.shift_before_each(calls=1)
    pbx.answer(HTTPRequest("GET", f"{API_ROOT}/cdr/list", headers=USER_AGENT))
    pbx.answer(HTTPRequest("GET", f"{API_ROOT}/nothing", headers=USER_AGENT))

    assert len(pbx.table) == 0
    assert user.ids() == [1]


@pytest.mark.parametrize("wrong", [{"calls": -1}, {"oldest": "2"}, {"newest": True}, {"colour": 1}])
def test_a_shift_that_is_none_is_a_mistake(pbx: SimulatedPBX, wrong: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        pbx.faults.shift_before_each(**wrong)


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
def test_a_page_is_malformed_once(
    pbx: SimulatedPBX, user: APIUser, steer: Steer, kind: str, n: Any, total: Any, shown: list[int]
) -> None:
    pbx.office.calls(4)
    true = user.page(page_size=3)
    steer("malform_pages", kind=kind, n=n)
    malformed = user.page(page_size=3)

    assert malformed["errcode"] == 0
    assert malformed.get("total_number") == total
    assert [row["id"] for row in malformed["data"]] == shown
    assert user.page(page_size=3) == true


@pytest.mark.parametrize(
    ("kind", "data"), [("data-missing", "missing"), ("data-null", None), ("data-object", {})]
)
def test_a_page_can_be_without_its_rows(
    pbx: SimulatedPBX, user: APIUser, kind: str, data: Any
) -> None:
    pbx.office.calls(4)
    pbx.faults.malform_pages(kind)

    assert user.page().get("data", "missing") == data


@pytest.mark.parametrize("kind", PAGE_KINDS)
@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_short_page_or_one_with_malformed_rows_can_be_malformed_too(
    pbx: SimulatedPBX, user: APIUser, kind: str, count: int
) -> None:
    pbx.office.calls(count)
    if count:
        pbx.faults.malform_row("row-null")
    pbx.faults.malform_pages("data-missing")
    pbx.faults.malform_pages(kind, 1)

    assert user.page()["errcode"] == 0


def test_pages_stay_malformed_until_they_are_healed(
    pbx: SimulatedPBX, user: APIUser, steer: Steer
) -> None:
    pbx.office.calls(4)
    steer("malform_pages", kind="short", n=1, times=None)
    steer("malform_pages", kind="total-offset", n=5, times=None)

    for _ in range(3):
        assert (user.ids(), user.page()["total_number"]) == ([4], 9)
    steer("heal")
    assert (user.ids(), user.page()["total_number"]) == ([4, 3, 2, 1], 4)


def test_a_repeated_id_stands_on_two_different_rows(pbx: SimulatedPBX, user: APIUser) -> None:
    pbx.office.calls(2)
    pbx.faults.malform_pages("repeated-id")
    first, second = user.rows()

    assert (first["id"], first["uid"] != second["uid"]) == (second["id"], True)


@pytest.mark.parametrize("wrong", [("colour", None), ("short", None), ("short", "2")])
def test_an_unknown_kind_of_malformed_page_is_a_mistake(
    pbx: SimulatedPBX, wrong: tuple[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"none of|needs a whole number"):
        pbx.faults.malform_pages(*wrong)


MALFORMED = {
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


@pytest.mark.parametrize(("kind", "expected"), MALFORMED.items(), ids=list(MALFORMED))
def test_a_malformed_row_is_sent_so_and_its_neighbours_are_not(
    pbx: SimulatedPBX, user: APIUser, steer: Steer, kind: str, expected: tuple[str, Any]
) -> None:
    for _ in range(3):
        pbx.office.call()
    true = user.rows()
    field, value = expected

    assert steer("malform_row", kind=kind) == 3
    malformed, *others = user.rows()

    assert (malformed.get(field, "missing"), type(malformed.get(field, ""))) == (value, type(value))
    assert others == true[1:]
    steer("mend_rows")
    assert user.rows() == true


def test_every_kind_of_malformed_row_is_tested(pbx: SimulatedPBX) -> None:
    special = {"duration-nan", "no-object", "row-null", "digits-5000", "nesting-100k", "giant"}

    assert set(ROW_KINDS) == set(MALFORMED) | special


def test_not_a_number_goes_out_word_for_word(pbx: SimulatedPBX, user: APIUser) -> None:
    pbx.office.call()
    pbx.faults.malform_row("duration-nan")

    assert b'"duration":NaN,' in user.cdr_list().body
    assert math.isnan(user.rows()[0]["duration"])


@pytest.mark.parametrize(
    ("kind", "error"), [("digits-5000", ValueError), ("nesting-100k", RecursionError)]
)
def test_a_page_can_be_beyond_parsing(
    pbx: SimulatedPBX, user: APIUser, kind: str, error: type[Exception]
) -> None:
    pbx.office.calls(2)
    pbx.faults.malform_row(kind)

    with pytest.raises(error):
        user.page()
    assert user.ids(page=2, page_size=1) == [1]


def test_a_giant_row_has_17_mib_and_an_answer_with_it_is_not_kept(
    pbx: SimulatedPBX, user: APIUser
) -> None:
    pbx.office.calls(3)
    pbx.faults.malform_row("giant", row=2)
    before = user.cdr_list(page=1, page_size=1).body
    answer = user.cdr_list(page=1, page_size=3).body
    pbx.faults.stale()

    assert len(answer) > 17 << 20
    assert user.cdr_list(page=1, page_size=3).body == before


@pytest.mark.parametrize(("kind", "value"), [("no-object", "row"), ("row-null", None)])
def test_a_row_can_be_no_object(pbx: SimulatedPBX, user: APIUser, kind: str, value: object) -> None:
    pbx.office.calls(2)
    pbx.faults.malform_row(kind, row=1)

    assert user.rows()[1] == value


def test_the_trunk_that_counts_is_the_one_malformed(pbx: SimulatedPBX, user: APIUser) -> None:
    pbx.office.call(call_type="Outbound", dst_trunk="PSTN")
    pbx.faults.malform_row("trunk-nul")

    assert user.rows()[0]["dst_trunk"] == "Trunk\0"


def test_the_expected_counts_are_of_the_true_row(pbx: SimulatedPBX) -> None:
    pbx.office.call()
    true = pbx.expected.totals()
    pbx.faults.malform_row("trunk-long")

    assert pbx.expected.totals() == pbx.expected.ever() == true


def test_a_row_without_id_can_be_malformed_by_its_new_id(pbx: SimulatedPBX, user: APIUser) -> None:
    pbx.maintenance.upgrade()
    key = pbx.office.call()["new_id"]
    pbx.office.call()
    pbx.faults.malform_row("id-negative", row=key)

    assert [row.get("id") for row in user.rows()] == [None, -1]


@pytest.mark.parametrize(("kind", "row"), [("colour", 1), ("id-null", 7)])
def test_a_row_or_a_kind_that_is_not_there_is_a_mistake(
    pbx: SimulatedPBX, kind: str, row: int
) -> None:
    pbx.office.call()

    with pytest.raises((ValueError, KeyError)):
        pbx.faults.malform_row(kind, row)


def test_there_is_no_row_to_malform_in_an_empty_table(pbx: SimulatedPBX) -> None:
    with pytest.raises(ValueError, match="unpack"):
        pbx.faults.malform_row("id-null")


def test_a_lone_surrogate_in_a_row_goes_out_as_its_escape(pbx: SimulatedPBX, user: APIUser) -> None:
    pbx.office.call(src_trunk="a\udc80é")

    assert rb'"src_trunk":"a\udc80' in user.cdr_list().body
    assert user.rows()[0]["src_trunk"] == "a\udc80é"


# The clock, the speed.


def test_a_wrong_clock_shows_in_new_rows_of_every_origin(
    pbx: SimulatedPBX, user: APIUser, steer: Steer, clock: SettableClock
) -> None:
    pbx.office.calls(1)
    steer("set_clock", ahead=3600)
    pbx.office.call(disposition="BUSY")
    pbx.office.calls(1)
    pbx.office.hold_back(1)
    pbx.office.release()
    clock.now += 600
    live = pbx.office.tick()
    calls: dict[str, list[int]] = {}
    for row in user.rows(order_by="asc"):
        calls.setdefault(row["uid"], []).append(row["timestamp"] + row.get("duration", 0))
    ends = [max(legs) for legs in calls.values()]

    assert ends[:4] == [NOW, NOW + 3600, NOW + 3600, NOW + 3600]
    assert live
    assert all(NOW + 3600 < end <= NOW + 4200 for end in ends[4:])


@pytest.mark.parametrize("ahead", [0, 10_800, -10_800])
def test_a_wrong_clock_shows_in_the_date_of_answers(ahead: int) -> None:
    pbx = SimulatedPBX(clock=lambda: NOW, clock_ahead=ahead, days=1)
    request = HTTPRequest("GET", f"{API_ROOT}/cdr/list", headers=USER_AGENT)
    before = pbx.answer(request).headers["Date"]
    pbx.maintenance.set_clock(60)
    newest = max(row["timestamp"] + row.get("duration", 0) for row in APIUser(pbx).rows())

    assert parsedate_to_datetime(before).timestamp() == NOW + ahead
    assert parsedate_to_datetime(pbx.answer(request).headers["Date"]).timestamp() == NOW + 60
    assert NOW + ahead - 86_400 < newest <= NOW + ahead


def test_a_clock_beyond_all_dates_breaks_no_answer(pbx: SimulatedPBX, user: APIUser) -> None:
    pbx.maintenance.set_clock(10**12)
    answer = pbx.answer(HTTPRequest("GET", f"{API_ROOT}/cdr/list", headers=USER_AGENT))

    assert (answer.status, answer.headers["Date"]) == (200, "")


def test_a_wrong_clock_shows_wherever_a_row_shows_a_time(pbx: SimulatedPBX, user: APIUser) -> None:
    pbx.maintenance.set_clock(-86_400)
    pbx.office.calls(40)
    recorded = [row for row in user.rows() if "record_file" in row]

    assert recorded
    assert all(row["time"].startswith("03/01/2026") for row in user.rows())
    assert all(row["uid"].startswith("20260301") for row in user.rows())
    assert all(
        row["record_file"].startswith(f"{row['uid'][:14]}-{row['timestamp']}.") for row in recorded
    )


def test_the_clock_can_jump_there_and_back(pbx: SimulatedPBX, user: APIUser) -> None:
    starts = []
    for ahead in (0, 10**9, 0, -(10**6)):
        pbx.maintenance.set_clock(ahead)
        starts.append(pbx.office.call()["timestamp"] - NOW + 48)

    assert starts == [0, 10**9, 0, -(10**6)]
    assert user.ids() == [4, 3, 2, 1]


def test_a_slow_box_takes_time_for_each_row(pbx: SimulatedPBX, user: APIUser, steer: Steer) -> None:
    pbx.office.calls(100)
    steer("slow", rows_per_second=400)

    assert user.cdr_list(page_size=100).delay_seconds == 0.25
    assert user.cdr_list(page_size=10).delay_seconds == 0.025
    pbx.faults.fail_next(delay_seconds=3)
    assert user.cdr_list(page_size=10).delay_seconds == 3.025
    steer("slow", rows_per_second=None)
    assert user.cdr_list(page_size=100).delay_seconds == 0


@pytest.mark.parametrize("speed", [0, -1, math.nan])
def test_no_box_is_that_slow(pbx: SimulatedPBX, speed: float) -> None:
    with pytest.raises(ValueError, match="not above 0"):
        pbx.faults.slow(speed)


# The expected counts.


def test_ever_counts_what_came_once_whatever_happened_to_it(
    pbx: SimulatedPBX, user: APIUser
) -> None:
    pbx.office.call(disposition="BUSY")
    backup = pbx.maintenance.snapshot()
    pbx.office.call(disposition="FAILED")
    pbx.maintenance.restore(backup)
    pbx.office.call(disposition="FAILED")
    pbx.faults.foreign(1)
    user.page()
    pbx.maintenance.delete([1])
    pbx.maintenance.restore(backup)
    pbx.maintenance.factory_reset()
    pbx.office.call(call_type="Outbound", dst_trunk="PSTN")

    assert pbx.expected.totals() == {("ANSWERED", "Outbound", "PSTN"): 1}
    assert pbx.expected.ever() == {
        ("BUSY", "Inbound", "SIP-Provider"): 1,
        ("FAILED", "Inbound", "SIP-Provider"): 2,
        ("ANSWERED", "Outbound", "PSTN"): 1,
    }


def test_ever_and_totals_agree_while_nothing_goes(clock: SettableClock) -> None:
    pbx = SimulatedPBX(clock=clock, days=2)
    pbx.office.calls(50)
    clock.now += 3600
    pbx.office.tick()

    assert pbx.expected.ever() == pbx.expected.totals()


def test_ever_counts_what_the_clean_up_took(pbx: SimulatedPBX) -> None:
    pbx.maintenance.limit(10)
    pbx.office.calls(50)

    assert (sum(pbx.expected.totals().values()), sum(pbx.expected.ever().values())) == (10, 50)


def test_a_field_of_a_wrong_type_is_counted_as_its_text(pbx: SimulatedPBX) -> None:
    pbx.office.call(src_trunk=["a"], disposition={"b": 1})

    assert pbx.expected.totals() == pbx.expected.ever() == {("{'b': 1}", "Inbound", "['a']"): 1}


# The control path and the queue.


def test_every_event_is_a_command_and_every_command_documented() -> None:
    elsewhere = {"call", "delete_oldest", "delete_middle", "delete_newest"}
    elsewhere |= {"tick", "write_history", "other_table"}
    methods = [*vars(Office), *vars(Maintenance), *vars(Faults)]
    events = {name for name in methods if not name.startswith("_")} - elsewhere
    commands = {name.replace("-", "_") for name in COMMANDS}
    commands |= {"shift_before_each", "fail_next", "malform_pages", "malform_row", "mend_rows"}

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
    pbx: SimulatedPBX, user: APIUser, command: str, body: dict[str, Any]
) -> None:
    raw = json.dumps(body).encode()
    answer = answer_with_control(pbx, HTTPRequest("POST", f"/control/{command}", body=raw))

    assert answer.status == 400
    assert json.loads(answer.body)["error"]
    assert user.page() == {"errcode": 0, "errmsg": "SUCCESS", "total_number": 0, "data": []}


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


def test_healing_forgets_every_kind_of_waiting(
    pbx: SimulatedPBX, user: APIUser, steer: Steer
) -> None:
    pbx.office.calls(2)
    true = user.page()
    pbx.faults.shift_before_each(None, calls=1)
    pbx.faults.empty(None)
    pbx.faults.malform_pages("short", 0, None)
    steer("heal")

    assert user.page() == true


def test_many_rows_are_paged_by_id_and_by_time_at_the_cost_of_the_page() -> None:
    # One more sort of all would take many times as long as the pages.
    assert _seconds_for_pages(200_000) < 10 * _seconds_for_pages(5_000)


def _seconds_for_pages(rows: int) -> float:
    """Return the processor time of pages of so many *rows*, while calls end: the least of three."""
    pbx = SimulatedPBX(clock=lambda: NOW)
    pbx.table.insert({"timestamp": NOW + number % 977} for number in range(rows))
    pbx.table.page("time", "desc", 1, 1)  # the first one sorts
    took = []
    for _ in range(3):
        begin = thread_time()
        for number in range(1, 21):
            pbx.office.call()
            pbx.table.page("id", "desc", number, 200)
            pbx.table.page("time", "desc", number, 200)
        took.append(thread_time() - begin)
    assert Counter(pbx.expected.totals().values()).total() == 2
    return min(took)
