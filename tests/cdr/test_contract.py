from __future__ import annotations

from typing import Any

import pytest

from cdr_exporter.cdr.contract import (
    MAX_PAGE_SIZE,
    SORT_DIRECTIONS,
    SORT_FIELDS,
    CDRQuery,
    QueryError,
)

VENDORS_SORT_FIELDS = [
    "id",
    "uid",
    "time",
    "duration",
    "ring_duration",
    "talk_duration",
    "disposition",
    "src_trunk",
    "dst_trunk",
    "call_type",
    "did_number",
    "dod_number",
    "src_addr",
]


def test_the_thirteen_sort_fields_and_two_orders_are_the_vendors() -> None:
    assert list(SORT_FIELDS) == VENDORS_SORT_FIELDS
    assert SORT_DIRECTIONS == ("asc", "desc")
    assert MAX_PAGE_SIZE == 10_000


@pytest.mark.parametrize("order_by", ["asc", "desc"])
@pytest.mark.parametrize("sort_by", VENDORS_SORT_FIELDS)
def test_every_sort_field_can_be_queried_in_both_orders(sort_by: str, order_by: str) -> None:
    query = CDRQuery(sort_by=sort_by, order_by=order_by)

    assert query.parameters == {"sort_by": sort_by, "order_by": order_by}


@pytest.mark.parametrize(
    ("fields", "spoken"),
    [
        pytest.param({}, {}, id="nothing: the PBX decides"),
        pytest.param({"page": 1}, {"page": "1"}, id="page"),
        pytest.param({"page": 10**12}, {"page": "1000000000000"}, id="pages have no upper bound"),
        pytest.param({"page_size": 1}, {"page_size": "1"}, id="smallest page"),
        pytest.param({"page_size": 10_000}, {"page_size": "10000"}, id="largest page"),
        pytest.param({"sort_by": "uid"}, {"sort_by": "uid"}, id="sort_by without order_by"),
        pytest.param({"order_by": "asc"}, {"order_by": "asc"}, id="order_by without sort_by"),
        pytest.param(
            {"page": 3, "page_size": 20, "sort_by": "id", "order_by": "desc"},
            {"page": "3", "page_size": "20", "sort_by": "id", "order_by": "desc"},
            id="all four",
        ),
        pytest.param({"from_": "new"}, {"from": "new"}, id="records since the upgrade"),
        pytest.param({"from_": "legacy"}, {"from": "legacy"}, id="records from before it"),
        pytest.param({"page": 1, "from_": None}, {"page": "1"}, id="from left to the PBX"),
    ],
)
def test_a_query_sends_the_parameters_given_and_no_others(
    fields: dict[str, Any], spoken: dict[str, str]
) -> None:
    assert CDRQuery(**fields).parameters == spoken


WHOLE = "the contract takes a whole number from 1"
FIELDS = ", ".join(VENDORS_SORT_FIELDS)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        pytest.param({"page": 0}, f"page=0: {WHOLE} or more", id="page 0"),
        pytest.param({"page": -1}, f"page=-1: {WHOLE} or more", id="page below 0"),
        pytest.param({"page": True}, f"page=True: {WHOLE} or more", id="page is a bool"),
        pytest.param({"page": "1"}, f"page='1': {WHOLE} or more", id="page is text"),
        pytest.param({"page": 1.0}, f"page=1.0: {WHOLE} or more", id="page is a float"),
        pytest.param({"page_size": 0}, f"page_size=0: {WHOLE} to 10,000", id="size 0"),
        pytest.param({"page_size": -5}, f"page_size=-5: {WHOLE} to 10,000", id="size below 0"),
        pytest.param({"page_size": 10_001}, f"page_size=10001: {WHOLE} to 10,000", id="too large"),
        pytest.param({"page_size": True}, f"page_size=True: {WHOLE} to 10,000", id="a bool"),
        pytest.param({"page_size": "10"}, f"page_size='10': {WHOLE} to 10,000", id="text"),
        pytest.param({"page_size": 10.0}, f"page_size=10.0: {WHOLE} to 10,000", id="a float"),
        pytest.param(
            {"sort_by": "reason"},
            f"sort_by='reason': the contract takes one of {FIELDS}",
            id="a field that is none to sort by",
        ),
        pytest.param(
            {"sort_by": "ID"},
            f"sort_by='ID': the contract takes one of {FIELDS}",
            id="upper case",
        ),
        pytest.param(
            {"sort_by": ""}, f"sort_by='': the contract takes one of {FIELDS}", id="no field"
        ),
        pytest.param(
            {"sort_by": ["id"]},
            f"sort_by=['id']: the contract takes one of {FIELDS}",
            id="a list",
        ),
        pytest.param(
            {"order_by": "DESC"},
            "order_by='DESC': the contract takes one of asc, desc",
            id="order in upper case",
        ),
        pytest.param(
            {"order_by": "down"},
            "order_by='down': the contract takes one of asc, desc",
            id="another order",
        ),
        pytest.param(
            {"from_": "old"},
            "from='old': the contract takes one of new, legacy",
            id="other records",
        ),
        pytest.param(
            {"from_": "NEW"},
            "from='NEW': the contract takes one of new, legacy",
            id="records in upper case",
        ),
        pytest.param(
            {"from_": ""}, "from='': the contract takes one of new, legacy", id="no records"
        ),
    ],
)
def test_a_query_outside_the_contract_cannot_be_created(
    fields: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(QueryError) as refused:
        CDRQuery(**fields)

    assert str(refused.value) == complaint


@pytest.mark.parametrize(
    ("page", "page_size", "offset", "limit"),
    [
        pytest.param(None, None, 0, 10_000, id="left to the PBX"),
        pytest.param(1, 20, 0, 20, id="first page"),
        pytest.param(2, 20, 20, 20, id="second page"),
        pytest.param(7, 1, 6, 1, id="one row"),
        pytest.param(None, 500, 0, 500, id="no page is the first"),
        pytest.param(3, None, 20_000, 10_000, id="no size is the largest"),
    ],
)
def test_offset_and_limit_follow_from_page_and_page_size(
    page: int | None, page_size: int | None, offset: int, limit: int
) -> None:
    query = CDRQuery(page, page_size)

    assert (query.offset, query.limit) == (offset, limit)
