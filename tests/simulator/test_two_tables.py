"""The two tables of newer firmware, and which of them `cdr/list` shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest

from pbx_simulator import OfficeSettings, SimulatedPBX
from pbx_simulator.firmware import KINDS, Upgrade
from pbx_simulator.http_messages import HTTPRequest
from pbx_simulator.rows import SORT_FIELDS, key_of

from .support import NOW, USER_AGENT, APIUser, SettableClock, Steer

DAY = 86_400
FROM_NEW: dict[str, object] = {"from": "new"}
FROM_LEGACY: dict[str, object] = {"from": "legacy"}


def keys(user: APIUser, **parameters: object) -> list[Any]:
    return [key_of(row) for row in user.rows(**parameters)]


def of_kind(clock: SettableClock, kind: str, **settings: Any) -> SimulatedPBX:
    return SimulatedPBX(OfficeSettings(rate=0), clock=clock, upgrade=KINDS[kind], **settings)


Upgraded = Callable[..., tuple[SimulatedPBX, list[Any], list[Any]]]


@pytest.fixture
def upgraded(clock: SettableClock) -> Upgraded:
    """Return what makes a PBX of three legacy rows and two new ones, and the keys of both."""

    def make(**options: Any) -> tuple[SimulatedPBX, list[Any], list[Any]]:
        pbx = SimulatedPBX(clock=clock)
        legacy = [key_of(pbx.office.call(timestamp=NOW + n)) for n in range(3)]
        pbx.maintenance.upgrade(**options)
        new = [key_of(pbx.office.call(timestamp=NOW + 60 + n)) for n in range(2)]
        return pbx, legacy[::-1], new[::-1]

    return make


def test_both_tables_are_shown_unless_one_is_asked_for(upgraded: Upgraded) -> None:
    pbx, legacy, new = upgraded()
    user = APIUser(pbx)

    assert keys(user, sort_by="time") == new + legacy
    assert keys(user, sort_by="time", **FROM_NEW) == new
    assert keys(user, sort_by="time", **FROM_LEGACY) == legacy
    assert [user.page(**asked)["total_number"] for asked in ({}, FROM_NEW, FROM_LEGACY)] == [
        5,
        2,
        3,
    ]


@pytest.mark.parametrize(("count_both", "total"), [(False, 3), (True, 5)])
def test_the_legacy_table_alone_is_shown_with_its_total_or_that_of_both(
    upgraded: Upgraded, count_both: bool, total: int
) -> None:
    pbx, legacy, new = upgraded(shows="legacy", count_both=count_both)
    user = APIUser(pbx)

    assert keys(user, sort_by="time") == keys(user, sort_by="id") == legacy
    assert keys(user, sort_by="time", **FROM_NEW) == new
    assert [user.page(**asked)["total_number"] for asked in ({}, FROM_NEW, FROM_LEGACY)] == [
        total,
        2,
        3,
    ]


@pytest.mark.parametrize("order_by", ["asc", "desc"])
@pytest.mark.parametrize("sort_by", SORT_FIELDS)
def test_each_table_is_listed_in_every_order(
    upgraded: Upgraded, sort_by: str, order_by: str
) -> None:
    pbx, legacy, new = upgraded()
    user = APIUser(pbx)
    both = keys(user, sort_by=sort_by, order_by=order_by)

    for asked, table in ((FROM_NEW, new), (FROM_LEGACY, legacy)):
        listed = keys(user, sort_by=sort_by, order_by=order_by, **asked)
        assert listed == [key for key in both if key in table]
        assert len(listed) == len(table)


def test_a_listing_by_id_may_leave_the_new_table_out_of_itself(upgraded: Upgraded) -> None:
    pbx, _, new = upgraded(order="left_out")
    user = APIUser(pbx)

    assert keys(user, sort_by="id", **FROM_NEW) == []
    assert user.page(sort_by="id", **FROM_NEW)["total_number"] == 2
    assert keys(user, sort_by="time", **FROM_NEW) == new


def test_pages_of_one_table_are_cut_from_that_table(upgraded: Upgraded) -> None:
    pbx, legacy, _ = upgraded()
    user = APIUser(pbx)
    pages = [
        keys(user, sort_by="time", page=page, page_size=2, **FROM_LEGACY) for page in (1, 2, 3)
    ]

    assert pages == [legacy[:2], legacy[2:], []]


def test_each_table_follows_every_change(upgraded: Upgraded) -> None:
    pbx, legacy, new = upgraded(shows="legacy")
    user = APIUser(pbx)

    def shown() -> list[list[Any]]:
        return [keys(user, sort_by="time", **asked) for asked in ({}, FROM_NEW, FROM_LEGACY)]

    assert shown() == [legacy, new, legacy]
    backup = pbx.maintenance.snapshot()
    pbx.maintenance.change(new[1], timestamp=NOW + 1000)
    pbx.maintenance.change(legacy[0], timestamp=NOW - 1000)
    moved = [*legacy[1:], legacy[0]]
    assert shown() == [moved, new[::-1], moved]
    (added,) = pbx.office.calls(1)
    pbx.maintenance.delete([legacy[1], new[0]])
    assert shown() == [[legacy[2], legacy[0]], [new[1], added], [legacy[2], legacy[0]]]
    pbx.maintenance.restore(backup)
    assert shown() == [legacy, new, legacy]


def test_what_is_shown_can_be_changed_while_it_runs(pbx: SimulatedPBX, user: APIUser) -> None:
    pbx.office.calls(1)
    pbx.maintenance.upgrade()
    (new,) = pbx.office.calls(1)
    assert keys(user) == [new, 1]

    pbx.maintenance.upgrade(shows="legacy")
    assert keys(user) == [1]


def test_the_options_reach_the_control_path(pbx: SimulatedPBX, user: APIUser, steer: Steer) -> None:
    pbx.office.calls(2)
    steer("upgrade", shows="legacy", count_both=True)
    pbx.office.calls(3)

    assert keys(user) == [2, 1]
    assert user.page()["total_number"] == 5


@pytest.mark.parametrize("path", ["cdr/list", "cdr/search", "call_report/list"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_firmware_has_paths_of_version_2(clock: SettableClock, kind: str, path: str) -> None:
    request = HTTPRequest("GET", f"/openapi/v2.0/{path}", headers=USER_AGENT)
    answer = json.loads(of_kind(clock, kind).answer(request).body)

    assert answer == {"errcode": 10001, "errmsg": "INTERFACE NOT EXISTED"}


@pytest.mark.parametrize("asked", ["new", "legacy", "neither", ""])
def test_older_firmware_ignores_from(pbx: SimulatedPBX, user: APIUser, asked: str) -> None:
    pbx.office.calls(2)

    assert keys(user, **{"from": asked}) == [2, 1]


def test_newer_firmware_takes_a_blank_from_as_none_and_refuses_other_tables(
    upgraded: Upgraded,
) -> None:
    user = APIUser(upgraded()[0])

    assert len(keys(user, **{"from": ""})) == 5
    refused = user.page(**{"from": "NEW"})
    assert refused["errcode"] == 40002
    assert refused["invalid_param_list"] == [{"field": "from", "value": "NEW"}]


def test_what_is_expected_counts_both_tables_whatever_is_shown(upgraded: Upgraded) -> None:
    pbx, *_ = upgraded(shows="legacy")
    pbx.office.whole_calls(1, "queue-survey")

    assert sum(pbx.expected.totals().values()) == sum(pbx.expected.ever().values()) == 11
    assert sum(pbx.expected.outcomes().values()) == 1  # rows by hand are of no call
    assert pbx.state()["total_number"] == 11


@pytest.mark.parametrize(
    ("kind", "without", "total"),
    [
        ("both-tables", "both", "both"),
        ("legacy-only", "legacy", "legacy"),
        ("legacy-only-total-of-both", "legacy", "both"),
    ],
)
def test_a_kind_of_firmware_shows_what_its_name_says(
    clock: SettableClock, kind: str, without: str, total: str
) -> None:
    office = OfficeSettings(seed=3, rate=10)
    pbx = SimulatedPBX(office, clock=clock, days=2, upgrade=KINDS[kind], upgraded_days=1)
    user = APIUser(pbx)
    new, legacy = (user.page(**asked, page_size=10_000) for asked in (FROM_NEW, FROM_LEGACY))
    counts = {"legacy": legacy["total_number"], "both": len(pbx.table)}

    assert new["total_number"] + legacy["total_number"] == len(pbx.table)
    assert user.page()["total_number"] == counts[total]
    assert len(user.rows(page_size=10_000)) == counts[without]


def test_the_history_is_the_same_whenever_the_firmware_was_upgraded(clock: SettableClock) -> None:
    def calls(**settings: Any) -> list[tuple[Any, ...]]:
        pbx = SimulatedPBX(OfficeSettings(seed=3, rate=10), clock=clock, days=2, **settings)
        return sorted((row["uid"], row["call_to"], row["disposition"]) for row in pbx.table)

    never = calls()
    assert len(never) > 500
    for ago in (0, 0.7, 1, 2, 5):
        assert calls(upgrade=Upgrade(), upgraded_days=ago) == never


def test_rows_are_new_from_the_upgrade_on(clock: SettableClock) -> None:
    office = OfficeSettings(seed=3, rate=10)
    pbx = SimulatedPBX(office, clock=clock, days=2, upgrade=Upgrade(), upgraded_days=1)
    user = APIUser(pbx)
    ends = [
        [row["timestamp"] + row.get("duration", 0) for row in user.rows(page_size=10_000, **asked)]
        for asked in (FROM_LEGACY, FROM_NEW)
    ]

    assert len(ends[0]) > 100
    assert len(ends[1]) > 100
    assert max(ends[0]) <= NOW - DAY + 3600  # a call's rows are written when the last leg ends
    assert min(ends[1]) > NOW - DAY - 3600
    clock.now += 3600
    assert all(isinstance(key, str) for key in pbx.office.tick())


def test_there_are_four_kinds_of_firmware_and_no_two_are_alike(clock: SettableClock) -> None:
    shown = []
    for kind in KINDS:
        pbx = of_kind(clock, kind)
        pbx.table.insert([{"id": 1, "uid": "a"}])
        pbx.office.calls(1)
        user = APIUser(pbx)
        shown.append([len(user.rows()), user.page()["total_number"], len(user.rows(**FROM_NEW))])

    assert shown == [[2, 2, 2], [2, 2, 1], [1, 1, 1], [1, 2, 1]]
    assert all(one != other for one, other in permutations(shown, 2))


def test_an_unknown_table_to_show_is_refused() -> None:
    with pytest.raises(ValueError, match="shows 'new' is none of both, legacy"):
        Upgrade(shows="new")
