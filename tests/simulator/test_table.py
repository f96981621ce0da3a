"""The CDR table: ids, orders, pages."""

from __future__ import annotations

from time import thread_time

import pytest

from pbx_simulator.rows import SORT_FIELDS, Row, make_row, trunk_label
from pbx_simulator.table import CDRTable

NUMERIC = {"id", "time", "duration", "ring_duration", "talk_duration"}


def table_of(*rows: Row) -> CDRTable:
    table = CDRTable()
    table.insert(rows)
    return table


def ids(rows: list[Row]) -> list[int]:
    return [found["id"] for found in rows]


@pytest.fixture(scope="module")
def mixed() -> CDRTable:
    """A table in which every field takes some values, repeats some and misses some."""
    names = ("uid", "disposition", "src_trunk", "dst_trunk", "call_type", "did_number")
    table = CDRTable(first_id=100)
    for number in range(60):
        fields: Row = {
            name: "abcdefg"[number * factor % 7] * (number % 4)
            for factor, name in enumerate(names, start=1)
        }
        fields |= {"dod_number": str(number % 5), "src_addr": f"192.0.2.{number * 11 % 13}"}
        fields |= {"timestamp": 1000 - number % 17, "duration": number * 5 % 23}
        fields |= {"ring_duration": number % 3, "talk_duration": number * 3 % 7}
        table.insert([make_row(fields)])
    return table


@pytest.mark.parametrize("sort_by", SORT_FIELDS)
def test_every_sort_field_orders_the_table(mixed: CDRTable, sort_by: str) -> None:
    field = "timestamp" if sort_by == "time" else sort_by
    missing: int | str = 0 if sort_by in NUMERIC else ""
    expected = sorted(mixed, key=lambda found: (found.get(field, missing), found["id"]))

    assert mixed.page(sort_by, "asc", 1, 1000) == expected
    assert mixed.page(sort_by, "desc", 1, 1000) == expected[::-1]


@pytest.mark.parametrize("order_by", ["asc", "desc"])
@pytest.mark.parametrize("size", [1, 7, 20, 60, 61])
def test_pages_put_together_are_the_whole_table(mixed: CDRTable, size: int, order_by: str) -> None:
    pages = [mixed.page("duration", order_by, page, size) for page in range(1, 62)]

    assert [found for page in pages for found in page] == mixed.page("duration", order_by, 1, 1000)
    assert all(len(page) <= size for page in pages)


@pytest.mark.parametrize("order_by", ["asc", "desc"])
def test_a_page_past_the_end_is_empty(mixed: CDRTable, order_by: str) -> None:
    assert mixed.page("id", order_by, 4, 20) == []


def test_a_change_is_seen_in_every_order() -> None:
    table = table_of({"duration": 5}, {"duration": 7})
    assert ids(table.page("duration", "desc", 1, 9)) == [2, 1]

    table.insert([{"duration": 6}])
    assert ids(table.page("duration", "desc", 1, 9)) == [2, 3, 1]

    table.change(1, {"duration": 9})
    assert ids(table.page("duration", "desc", 1, 9)) == [1, 2, 3]

    table.delete([2])
    assert ids(table.page("duration", "desc", 1, 9)) == [1, 3]


def test_time_is_sorted_by_the_instant_not_by_its_digits() -> None:
    december = {"time": "12/31/2025 23:00:00", "timestamp": 1767222000}
    january = {"time": "01/01/2026 01:00:00", "timestamp": 1767229200}

    assert ids(table_of(january, december).page("time", "asc", 1, 9)) == [2, 1]


def test_odd_values_do_not_stop_the_sorting() -> None:
    table = table_of({"duration": "seven"}, {"duration": 5}, {})

    assert ids(table.page("duration", "asc", 1, 9)) == [3, 2, 1]


def test_ids_begin_at_the_first_id_and_are_never_given_twice() -> None:
    table = CDRTable(first_id=2700)
    table.insert([{}, {}, {}])
    table.delete([2702])

    assert table.insert([{}]) == [2703]
    assert table.ids == (2700, 2701, 2703)


def test_a_late_row_takes_its_place_by_id() -> None:
    table = table_of({})
    table.next_id += 1
    table.insert([{}])

    table.insert([{"id": 2, "uid": "late"}])

    assert table.ids == (1, 2, 3)
    assert table.next_id == 4
    assert table.page("id", "desc", 2, 1)[0]["uid"] == "late"


@pytest.mark.parametrize("row_id", [1, "7", None], ids=["taken", "text", "nothing"])
def test_an_unusable_id_is_refused(row_id: object) -> None:
    with pytest.raises(ValueError, match=r"is taken|is no whole number"):
        table_of({}).insert([{"id": row_id}])


def test_the_id_is_the_first_field_of_a_row() -> None:
    assert list(table_of({"uid": "a"})[1]) == ["id", "uid"]


def test_a_changed_row_keeps_its_place_even_without_its_id() -> None:
    table = table_of({"uid": "a"}, {"uid": "b"}, {"uid": "c"})

    table.change(2, {"id": None, "new_id": "67C67519-D30000CD"})

    assert table.page("id", "asc", 2, 1) == [{"uid": "b", "new_id": "67C67519-D30000CD"}]


def test_deleting_counts_only_what_was_there() -> None:
    table = table_of({}, {})

    assert table.delete([2, 3, 3]) == 1
    assert len(table) == 1


def test_clearing_begins_the_ids_anew() -> None:
    table = table_of({}, {})
    table.clear()

    assert len(table) == 0
    assert table.insert([{}]) == [1]


def test_a_page_by_id_costs_the_page_and_not_the_table() -> None:
    # A sort for each page would take many times as long as the pages.
    assert _seconds_for_pages(100_000) < 10 * _seconds_for_pages(5_000)


def _seconds_for_pages(rows: int) -> float:
    """Return the processor time of pages of so many *rows*: the least of three."""
    table = CDRTable()
    table.insert({} for _ in range(rows))
    took = []
    for _ in range(3):
        begin = thread_time()
        for page in range(1, 41):
            table.page("id", "desc", page, 100)
        took.append(thread_time() - begin)
    return min(took)


@pytest.mark.parametrize(
    ("fields", "label"),
    [
        ({"call_type": "Outbound", "src_trunk": "in", "dst_trunk": "out"}, "out"),
        ({"call_type": "Outbound", "src_trunk": "in"}, "in"),
        ({"call_type": "Inbound", "src_trunk": "in", "dst_trunk": "out"}, "in"),
        ({"call_type": "Inbound", "dst_trunk": "out"}, "out"),
        ({"call_type": "Internal"}, "none"),
        ({"dst_trunk": "out"}, "out"),
        ({}, "none"),
    ],
    ids=["out-both", "out-in", "in-both", "in-out", "internal", "untyped", "empty"],
)
def test_a_row_is_counted_under_one_trunk(fields: Row, label: str) -> None:
    assert trunk_label(fields) == label


def test_a_row_leaves_out_what_is_empty_and_keeps_the_contracts_order() -> None:
    shown = make_row(
        {"extra": 1, "reason": "r", "duration": 0, "uid": "u", "src_addr": "", "id": None}
    )

    assert list(shown) == ["uid", "reason", "extra"]
