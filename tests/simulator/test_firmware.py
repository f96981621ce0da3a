"""Rows without id, as newer firmware writes them: `new_id`, no `id`, no `reason`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from pbx_simulator import SimulatedPBX
from pbx_simulator.firmware import new_id
from pbx_simulator.rows import key_of

from .support import NOW, APIUser, SettableClock, Steer


def keys(user: APIUser, **parameters: object) -> list[Any]:
    return [key_of(row) for row in user.rows(**parameters)]


def upgraded(pbx: SimulatedPBX, old: int, new: int, **options: Any) -> list[Any]:
    """Insert *old* rows, upgrade, insert *new* ones and return their keys."""
    pbx.office.calls(old)
    pbx.maintenance.upgrade(**options)
    return pbx.office.calls(new)


def test_new_rows_have_a_new_id_and_neither_id_nor_reason(
    pbx: SimulatedPBX, user: APIUser, steer: Steer
) -> None:
    old = pbx.office.call()
    steer("upgrade")
    new = pbx.office.call()

    assert next(iter(new)) == "new_id"
    assert re.fullmatch("[0-9A-F]{8}-[0-9A-F]{8}", new["new_id"])
    assert set(old) - set(new) == {"id", "reason"}
    assert keys(user) == [new["new_id"], old["id"]]
    assert user.page()["total_number"] == 2


@pytest.mark.parametrize("make", ["call", "calls", "tick", "hold_back"])
def test_rows_of_every_origin_are_new(
    pbx: SimulatedPBX, user: APIUser, clock: SettableClock, make: str
) -> None:
    pbx.maintenance.upgrade()
    clock.now += 600
    makers: dict[str, Callable[[], object]] = {
        "call": pbx.office.call,
        "calls": lambda: pbx.office.calls(2),
        "tick": pbx.office.tick,
        "hold_back": lambda: pbx.office.release(pbx.office.hold_back(2)),
    }
    makers[make]()

    assert user.rows()
    assert not any("id" in row or "reason" in row for row in user.rows())


def test_the_legs_of_a_call_share_the_first_half(pbx: SimulatedPBX) -> None:
    pbx.maintenance.upgrade()
    one, two, other = pbx.office.call(uid="a"), pbx.office.call(uid="a"), pbx.office.call(uid="b")
    halves = [row["new_id"].split("-") for row in (one, two, other)]

    assert halves[0][0] == halves[1][0] != halves[2][0]
    assert len({second for _, second in halves}) == 3


def test_new_ids_are_unique_and_do_not_grow_with_time() -> None:
    made = [new_id("uid", serial) for serial in range(1, 20_001)]

    assert len(set(made)) == 20_000
    assert made != sorted(made)


@pytest.mark.parametrize(
    ("order", "desc", "asc"),
    [
        ("first", "ba21", "12ab"),
        ("last", "21ba", "ab12"),
        ("left_out", "21", "12"),
    ],
)
def test_a_listing_by_id_puts_new_rows_first_last_or_nowhere(
    pbx: SimulatedPBX, user: APIUser, steer: Steer, order: str, desc: str, asc: str
) -> None:
    pbx.office.calls(2)
    steer("upgrade", order=order)
    a, b = pbx.office.calls(2)
    names = {1: "1", 2: "2", a: "a", b: "b"}

    for order_by, expected in (("desc", desc), ("asc", asc)):
        assert "".join(names[key] for key in keys(user, order_by=order_by)) == expected
        pages = [keys(user, order_by=order_by, page=n, page_size=1)[:1] for n in range(1, 6)]
        assert "".join(names[key] for found in pages for key in found) == expected


@pytest.mark.parametrize(
    ("count_listed", "sort_by", "total"),
    [(False, "id", 5), (True, "id", 2), (True, "time", 5), (False, "time", 5)],
)
def test_rows_left_out_are_counted_unless_asked_otherwise(
    pbx: SimulatedPBX, user: APIUser, count_listed: bool, sort_by: str, total: int
) -> None:
    upgraded(pbx, 2, 3, order="left_out", count_listed=count_listed)

    assert user.page(sort_by=sort_by)["total_number"] == total
    assert sum(pbx.expected.totals().values()) == 5


@pytest.mark.parametrize("order", ["first", "last", "left_out"])
def test_a_listing_by_time_holds_all_rows_by_their_start(
    pbx: SimulatedPBX, user: APIUser, order: str
) -> None:
    first = pbx.office.call(timestamp=NOW - 10)
    pbx.maintenance.upgrade(order)
    second = pbx.office.call(timestamp=NOW - 30)
    third = pbx.office.call(timestamp=NOW - 20)

    written = [key_of(row) for row in (first, third, second)]
    assert keys(user, sort_by="time") == written
    assert keys(user, sort_by="time", order_by="asc") == written[::-1]


def test_rows_of_one_instant_stand_in_the_order_they_were_written(
    pbx: SimulatedPBX, user: APIUser
) -> None:
    pbx.maintenance.upgrade(mixed=0.5)
    written = [key_of(pbx.office.call(timestamp=NOW)) for _ in range(30)]

    assert keys(user, sort_by="time", order_by="asc") == written
    assert keys(user, sort_by="time") == written[::-1]


def test_the_order_by_time_follows_every_change(pbx: SimulatedPBX, user: APIUser) -> None:
    for start in (5, 3, 9, 7):
        pbx.office.call(timestamp=NOW + start, duration=1)
    assert keys(user, sort_by="time") == [3, 4, 1, 2]

    pbx.office.call(timestamp=NOW + 4)
    assert keys(user, sort_by="time") == [3, 4, 1, 5, 2]
    pbx.maintenance.change(3, timestamp=NOW)
    assert keys(user, sort_by="time") == [4, 1, 5, 2, 3]
    pbx.maintenance.delete([1, 2])
    assert keys(user, sort_by="time") == [4, 5, 3]
    pbx.maintenance.change(4, timestamp="odd")
    pbx.maintenance.change(5, timestamp=None)
    assert keys(user, sort_by="time") == [4, 3, 5]
    backup = pbx.maintenance.snapshot()
    pbx.office.calls(100)
    pbx.maintenance.delete_newest(80)
    assert len(keys(user, sort_by="time")) == 23
    pbx.maintenance.restore(backup)
    assert keys(user, sort_by="time") == [4, 3, 5]


def test_a_share_of_new_rows_still_gets_an_id(pbx: SimulatedPBX, user: APIUser) -> None:
    made = upgraded(pbx, 5, 1000, mixed=0.3)
    with_id = [key for key in made if isinstance(key, int)]

    assert 250 < len(with_id) < 350
    assert with_id == list(range(6, 6 + len(with_id)))
    assert all(("reason" in row) is ("id" in row) for row in user.rows())
    assert sum(pbx.expected.totals().values()) == sum(pbx.expected.ever().values()) == 1005


def test_a_table_can_be_of_new_rows_from_the_start(pbx: SimulatedPBX, user: APIUser) -> None:
    upgraded(pbx, 0, 50)

    assert len(keys(user)) == 50
    assert (pbx.table.ids, pbx.table.last_id) == ((), None)
    assert pbx.state()["total_number"] == 50
    assert pbx.state()["last_id"] is None


def test_new_rows_are_deleted_by_age_or_by_new_id(pbx: SimulatedPBX, user: APIUser) -> None:
    a, b, c, d = upgraded(pbx, 2, 4)

    assert pbx.maintenance.delete([b, 2, "00000000-00000000"]) == 2
    assert keys(user) == [d, c, a, 1]
    pbx.maintenance.delete_newest(1)
    pbx.maintenance.delete_oldest(2)
    assert keys(user) == [c]


def test_the_clean_up_takes_old_rows_before_new_ones(pbx: SimulatedPBX, user: APIUser) -> None:
    made = upgraded(pbx, 3, 2)
    pbx.maintenance.limit(3)

    assert keys(user) == [*made[::-1], 3]
    newest = pbx.office.calls(2)
    assert keys(user) == [*newest[::-1], made[1]]


def test_a_restore_brings_new_rows_back_with_their_new_ids(
    pbx: SimulatedPBX, user: APIUser
) -> None:
    made = upgraded(pbx, 2, 2)
    backup = pbx.maintenance.snapshot()
    lost = pbx.office.calls(1)
    pbx.maintenance.restore(backup)
    later = pbx.office.calls(1)

    assert keys(user) == [*later, *made[::-1], 2, 1]
    assert later != lost
    assert pbx.table.next_id == 3


def test_a_late_row_of_new_firmware_takes_its_age(pbx: SimulatedPBX, user: APIUser) -> None:
    pbx.maintenance.upgrade()
    (held,) = pbx.office.hold_back(1)
    (later,) = pbx.office.calls(1)
    assert keys(user) == [later]

    pbx.office.release([held])
    assert keys(user) == [later, held]


def test_an_id_that_is_given_is_kept(pbx: SimulatedPBX) -> None:
    pbx.maintenance.upgrade()

    assert pbx.office.call(id=7)["id"] == 7
    assert pbx.office.call(new_id="67C67519-D30000CD")["new_id"] == "67C67519-D30000CD"
    with pytest.raises(ValueError, match="taken"):
        pbx.office.call(new_id="67C67519-D30000CD")
