"""The PBXs of `benchmarks.fleet` answer as the contract says: else it would measure nothing."""

from __future__ import annotations

from collections import Counter
from random import Random

from benchmarks.fake_fleet import KINDS, FakePBX, Fleet, Orders, history
from cdr_exporter.cdr import decode
from cdr_exporter.cdr.labels import labels_of

ORDERS = Orders(days=1, rows_a_day=70, until=1_700_000_000.0, rows_a_second=7.0)


def asked(page: int, size: int, direction: str = "desc") -> dict[str, list[str]]:
    return {"page": [str(page)], "page_size": [str(size)], "order_by": [direction]}


def ids(pbx: FakePBX, page: int, size: int, direction: str = "desc") -> list[int]:
    return [row.id for row in decode(pbx.answer(asked(page, size, direction))).rows]


def test_the_pages_of_a_fake_pbx_hold_each_row_once_newest_first() -> None:
    pbx = FakePBX(b"hq", history(ORDERS))
    for _ in range(5):
        pbx.grow(Random(1), 1_700_003_600.0)

    assert [each for page in (1, 2, 3, 4) for each in ids(pbx, page, 20)] == [*range(75, 0, -1)]
    assert ids(pbx, 5, 20) == []
    assert ids(pbx, 1, 3, "asc") == [1, 2, 3]
    assert decode(pbx.answer(asked(1, 1))).total == pbx.rows == 75


def test_a_row_that_was_added_is_on_the_next_answer() -> None:
    pbx = FakePBX(b"hq", history(ORDERS))
    before = ids(pbx, 1, 1)
    pbx.grow(Random(1), 1_700_003_600.0)

    assert (before, ids(pbx, 1, 1)) == ([70], [71])


def test_the_rows_have_ten_trunks_of_this_pbx_alone_and_the_same_order_by_time() -> None:
    rows = decode(FakePBX(b"hq", history(ORDERS)).answer(asked(1, 100, "asc"))).rows
    starts = [row.started_at for row in rows]
    trunks = Counter(labels_of(row).trunk for row in rows)

    assert trunks.keys() == {"none", *(f"hq {number}" for number in range(10))}
    assert {labels_of(row)[:3] for row in rows[: len(KINDS)]} == {
        labels_of(row)[:3] for row in rows
    }
    assert starts == sorted(starts)
    assert starts[-1] <= ORDERS.until


def test_a_token_works_until_it_is_given_back() -> None:
    fleet = Fleet(ORDERS, ["hq"])
    fleet.respond("127.1.0.1", b"POST /openapi/v1.0/get_token HTTP/1.1")
    query = (
        b"GET /openapi/v1.0/%b?page=1&page_size=1&order_by=desc&access_token=access-token-000001 H"
    )

    assert b'"errcode":0' in fleet.respond("127.1.0.1", query % b"cdr/list")
    assert fleet.told().live_tokens == 1
    fleet.respond("127.1.0.1", query % b"del_token")
    assert b'"errcode":10004' in fleet.respond("127.1.0.1", query % b"cdr/list")
    assert fleet.told().live_tokens == 0
