"""Rows of newer firmware in the simulated PBX: `new_id`, no `id`, no `reason`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from pbx_simulator import SimulatedPBX
from pbx_simulator.firmware import new_id
from pbx_simulator.rows import key_of

from .test_events import NOW, Clock, Steer, clock, page, pbx, rows, steer

__all__ = ["clock", "pbx", "steer"]


def keys(pbx: SimulatedPBX, **parameters: object) -> list[Any]:
    return [key_of(row) for row in rows(pbx, **parameters)]


def upgraded(pbx: SimulatedPBX, old: int, new: int, **options: Any) -> list[Any]:
    """Insert *old* rows, upgrade, insert *new* ones and return their keys."""
    pbx.calls(old)
    pbx.upgrade(**options)
    return pbx.calls(new)


def test_new_rows_have_a_new_id_and_neither_id_nor_reason(pbx: SimulatedPBX, steer: Steer) -> None:
    old = pbx.call()
    steer("upgrade")
    new = pbx.call()

    assert next(iter(new)) == "new_id"
    assert re.fullmatch("[0-9A-F]{8}-[0-9A-F]{8}", new["new_id"])
    assert set(old) - set(new) == {"id", "reason"}
    assert rows(pbx) == [new, old]
    assert page(pbx)["total_number"] == 2


@pytest.mark.parametrize("make", ["call", "calls", "tick", "hold_back"])
def test_rows_of_every_origin_are_new(pbx: SimulatedPBX, clock: Clock, make: str) -> None:
    pbx.upgrade()
    clock.now += 600
    makers: dict[str, Callable[[], object]] = {
        "call": pbx.call,
        "calls": lambda: pbx.calls(2),
        "tick": pbx.tick,
        "hold_back": lambda: pbx.release(pbx.hold_back(2)),
    }
    makers[make]()

    assert rows(pbx)
    assert not any("id" in row or "reason" in row for row in rows(pbx))


def test_the_legs_of_a_call_share_the_first_half(pbx: SimulatedPBX) -> None:
    pbx.upgrade()
    one, two, other = pbx.call(uid="a"), pbx.call(uid="a"), pbx.call(uid="b")
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
    pbx: SimulatedPBX, steer: Steer, order: str, desc: str, asc: str
) -> None:
    pbx.calls(2)
    steer("upgrade", order=order)
    a, b = pbx.calls(2)
    names = {1: "1", 2: "2", a: "a", b: "b"}

    for order_by, expected in (("desc", desc), ("asc", asc)):
        assert "".join(names[key] for key in keys(pbx, order_by=order_by)) == expected
        pages = [keys(pbx, order_by=order_by, page=n, page_size=1)[:1] for n in range(1, 6)]
        assert "".join(names[key] for found in pages for key in found) == expected


@pytest.mark.parametrize(
    ("count_listed", "sort_by", "total"),
    [(False, "id", 5), (True, "id", 2), (True, "time", 5), (False, "time", 5)],
)
def test_rows_left_out_are_counted_unless_told_otherwise(
    pbx: SimulatedPBX, count_listed: bool, sort_by: str, total: int
) -> None:
    upgraded(pbx, 2, 3, order="left_out", count_listed=count_listed)

    assert page(pbx, sort_by=sort_by)["total_number"] == total
    assert sum(pbx.totals().values()) == 5


@pytest.mark.parametrize("order", ["first", "last", "left_out"])
def test_a_listing_by_time_holds_all_rows_by_their_start(pbx: SimulatedPBX, order: str) -> None:
    first = pbx.call(timestamp=NOW - 10)
    pbx.upgrade(order)
    second = pbx.call(timestamp=NOW - 30)
    third = pbx.call(timestamp=NOW - 20)

    assert rows(pbx, sort_by="time") == [first, third, second]
    assert rows(pbx, sort_by="time", order_by="asc") == [second, third, first]


def test_rows_of_one_instant_stand_in_the_order_they_were_written(pbx: SimulatedPBX) -> None:
    pbx.upgrade(mixed=0.5)
    written = [pbx.call(timestamp=NOW) for _ in range(30)]

    assert rows(pbx, sort_by="time", order_by="asc") == written
    assert rows(pbx, sort_by="time") == written[::-1]


def test_the_order_by_time_follows_every_change(pbx: SimulatedPBX) -> None:
    for start in (5, 3, 9, 7):
        pbx.call(timestamp=NOW + start, duration=1)
    assert keys(pbx, sort_by="time") == [3, 4, 1, 2]

    pbx.call(timestamp=NOW + 4)
    assert keys(pbx, sort_by="time") == [3, 4, 1, 5, 2]
    pbx.change(3, timestamp=NOW)
    assert keys(pbx, sort_by="time") == [4, 1, 5, 2, 3]
    pbx.delete([1, 2])
    assert keys(pbx, sort_by="time") == [4, 5, 3]
    pbx.change(4, timestamp="odd")
    pbx.change(5, timestamp=None)
    assert keys(pbx, sort_by="time") == [4, 3, 5]
    backup = pbx.snapshot()
    pbx.calls(100)
    pbx.delete_newest(80)
    assert len(keys(pbx, sort_by="time")) == 23
    pbx.restore(backup)
    assert keys(pbx, sort_by="time") == [4, 3, 5]


def test_a_share_of_new_rows_still_gets_an_id(pbx: SimulatedPBX) -> None:
    made = upgraded(pbx, 5, 1000, mixed=0.3)
    with_id = [key for key in made if isinstance(key, int)]

    assert 250 < len(with_id) < 350
    assert with_id == list(range(6, 6 + len(with_id)))
    assert all(("reason" in row) is ("id" in row) for row in rows(pbx))
    assert sum(pbx.totals().values()) == sum(pbx.ever().values()) == 1005


def test_a_table_can_be_of_new_rows_from_the_start(pbx: SimulatedPBX) -> None:
    upgraded(pbx, 0, 50)

    assert len(keys(pbx)) == 50
    assert (pbx.table.ids, pbx.table.last_id) == ((), None)
    assert pbx.state()["total_number"] == 50
    assert pbx.state()["last_id"] is None


def test_new_rows_are_deleted_by_age_or_by_name(pbx: SimulatedPBX) -> None:
    a, b, c, d = upgraded(pbx, 2, 4)

    assert pbx.delete([b, 2, "00000000-00000000"]) == 2
    assert keys(pbx) == [d, c, a, 1]
    pbx.delete_newest(1)
    pbx.delete_oldest(2)
    assert keys(pbx) == [c]


def test_the_clean_up_takes_old_rows_before_new_ones(pbx: SimulatedPBX) -> None:
    made = upgraded(pbx, 3, 2)
    pbx.limit(3)

    assert keys(pbx) == [*made[::-1], 3]
    newest = pbx.calls(2)
    assert keys(pbx) == [*newest[::-1], made[1]]


def test_a_restore_brings_new_rows_back_under_their_names(pbx: SimulatedPBX) -> None:
    made = upgraded(pbx, 2, 2)
    backup = pbx.snapshot()
    lost = pbx.calls(1)
    pbx.restore(backup)
    later = pbx.calls(1)

    assert keys(pbx) == [*later, *made[::-1], 2, 1]
    assert later != lost
    assert pbx.table.next_id == 3


def test_a_late_row_of_new_firmware_takes_its_age(pbx: SimulatedPBX) -> None:
    pbx.upgrade()
    (held,) = pbx.hold_back(1)
    (later,) = pbx.calls(1)
    assert keys(pbx) == [later]

    pbx.release([held])
    assert keys(pbx) == [later, held]


def test_an_id_that_is_said_is_kept(pbx: SimulatedPBX) -> None:
    pbx.upgrade()

    assert pbx.call(id=7)["id"] == 7
    assert pbx.call(new_id="67C67519-D30000CD")["new_id"] == "67C67519-D30000CD"
    with pytest.raises(ValueError, match="taken"):
        pbx.call(new_id="67C67519-D30000CD")
