"""How `check --connect` says that the newest rows would be counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

from cdr_exporter.cdr import CDRAnswer, Record
from cdr_exporter.cdr.contract import CDRQuery
from cdr_exporter.commands.newest_rows import NewestRows
from cdr_exporter.commands.preview import Mention, Named, Preview, masked, preview_of
from cdr_exporter.ledger.order import BY_TIME
from cdr_exporter.ledger.page import page_of, query
from cdr_exporter.metrics.catalogue import (
    CALLS,
    DESTINATION_CALLS,
    DID_CALLS,
    EMERGENCY_CALLS,
    FOLDED_TRUNKS,
    QUEUE_CALLS,
    REJECTED_FIELDS,
    REJECTED_RECORDS,
    UNKNOWN_VALUES,
)
from cdr_exporter.settings import PBX, SecretSource

from ..support.each import for_each
from ..support.field_calls import AN_HOUR_AGO, CASES, DESTINATIONS, DIDS, QUEUES, Case, records
from ..support.rows import BOUNDS, EPOCH, flawed, record

NOW = AN_HOUR_AGO + 3600.0


def previewed(
    rows: Iterable[Record],
    *,
    total: int | None = None,
    wanted: CDRQuery | None = None,
    machines: tuple[str, ...] = (),
    now: float = NOW,
    **settings: Any,
) -> Preview:
    """Return the preview of a page of *rows*, by default the whole list, newest first by id."""
    rows = list(rows)
    wanted = wanted or query(1, 200)
    answer = CDRAnswer(errcode=0, total=len(rows) if total is None else total, rows=rows)
    return preview_of(NewestRows(page_of(wanted, answer)), pbx(**settings), machines, BOUNDS, now)


def pbx(**settings: Any) -> PBX:
    source = SecretSource(env="X")
    return PBX(name="hq", base_url="http://127.0.0.1", client_id="me", secret=source, **settings)


def newest_first(cases: Iterable[Case]) -> list[Record]:
    """Return the rows of the calls of *cases*, each with a uid of its own."""
    rows: list[Record] = []
    for number, case in enumerate(cases):
        rows += records(case["legs"], f"call-{number}", len(rows) + 1)
    return rows[::-1]


def leg(row_id: int, call_to: str, **fields: Any) -> Record:
    return record(row_id, call_to=call_to, **fields)


CONFIGURED: dict[str, Any] = {"dids": DIDS, "queues": QUEUES, "destinations": DESTINATIONS}


def test_calls_of_the_field_are_previewed_as_what_happened() -> None:
    preview = previewed(newest_first(CASES), **CONFIGURED)
    expected = [case["expect"] for case in CASES]
    with_type = [each for each in expected if {"call_type", "trunk"} <= each.keys()]
    found = preview.by_labels(CALLS, 0, 1, 2)

    assert preview.by_label(CALLS) == Counter(each["outcome"] for each in expected)
    assert found.total() == len(CASES) > 50
    assert Counter((e["outcome"], e["call_type"], e["trunk"]) for e in with_type) <= found
    assert preview.doubts.neither.total() == sum(each.get("neither", 0) for each in expected)
    assert preview.doubts.conflict.total() == sum(each.get("conflict", 0) for each in expected)
    assert preview.by_labels(EMERGENCY_CALLS).total() == sum(
        each.get("emergency", False) for each in expected
    )


@for_each(pytest.param(case, id=case["name"]) for case in CASES)
def test_each_call_of_the_field_is_previewed_by_itself_as_what_happened(case: Case) -> None:
    preview = previewed(newest_first([case]), **CONFIGURED)
    expect = case["expect"]

    assert preview.by_label(CALLS) == {expect["outcome"]: 1}
    for name, place in (("call_type", 1), ("trunk", 2)):
        if name in expect:
            assert preview.by_label(CALLS, place) == {expect[name]: 1}
    if "queues" in expect:
        assert dict(preview.by_labels(QUEUE_CALLS, 0, 1)) == dict.fromkeys(
            expect["queues"].items(), 1
        )
    if expect.get("did"):
        assert preview.by_label(DID_CALLS) == {expect["did"]: 1}
    if "destinations" in expect:
        named = {**preview.by_label(DESTINATION_CALLS)}
        named.pop("other", None)
        assert named == {name: calls for name, (calls, _) in expect["destinations"].items()}
    assert preview.doubts.neither.total() == expect.get("neither", 0)
    assert preview.doubts.conflict.total() == expect.get("conflict", 0)


# --- numbers and names ---------------------------------------------------------------------------


@for_each(
    [
        pytest.param("6400", "64xx", id="four digits"),
        pytest.param("700", "7xx", id="three digits"),
        pytest.param("21", "xx", id="two digits"),
        pytest.param("5", "x", id="one digit"),
        pytest.param("640012", "64xxxx", id="six digits"),
        pytest.param("03023125100", "03x...", id="a number outside"),
        pytest.param("+493023125100", "+49x...", id="an international number"),
        pytest.param("*72", "*xx", id="a feature code"),
        pytest.param("", "no number", id="none"),
    ]
)
def test_a_number_is_never_shown_whole(number: str, shown: str) -> None:
    assert masked(number) == shown


def test_legs_are_told_by_kind_of_callee_and_those_outside_apart() -> None:
    preview = previewed(
        [
            leg(6, "Dan<1003>"),
            leg(5, "+4930111", call_type="Outbound", src_trunk="", dst_trunk="sip"),
            leg(4, "IVR<6200>"),
            leg(3, "Queue<6400>"),
            leg(2, "RingGroup<6300>"),
            leg(1, "*72"),
        ]
    )

    assert preview.legs == dict.fromkeys(
        ["person", "outside", "menu", "queue", "ring_group", "machine"], 1
    )


def test_what_is_not_recognised_or_in_conflict_is_counted_by_masked_number() -> None:
    preview = previewed(
        [
            leg(5, "Warteschlange Verkauf<700>"),
            leg(4, "Warteschlange Einkauf<701>"),
            leg(3, "Sprachmenü Tag"),
            leg(2, "Warteschlange Rest<702>", disposition="NO ANSWER"),
            leg(1, "IVR Day<6400>"),
        ]
    )

    assert preview.doubts.neither == {Mention("7xx", ""): 2, Mention("no number", ""): 1}
    assert preview.doubts.conflict == {Mention("64xx", "queue"): 1}
    assert preview.doubts.answered_people == 3


def test_names_of_machines_of_the_configuration_count() -> None:
    rows = [leg(1, "Sprachmenü Tag")]

    assert previewed(rows, machines=("Sprachmenü",)).legs == {"machine": 1}
    assert previewed(rows).legs == {"person": 1}


INTERNAL = {"call_type": "Internal", "src_trunk": ""}


@for_each(
    [
        pytest.param("Dan<6401>", INTERNAL, {Mention("64xx", "queue"): 1}, id="of a queue"),
        pytest.param("Dan<1003>", INTERNAL, {}, id="of an extension"),
        pytest.param("Dan<700>", INTERNAL, {}, id="of which the plan says nothing"),
        pytest.param("PlayFile<6200>", INTERNAL, {}, id="of the PBX that plays a file"),
        pytest.param("6401", {}, {}, id="of a caller outside"),
    ]
)
def test_a_number_that_calls_from_inside_is_odd_where_the_plan_knows_no_telephone(
    caller: str, fields: dict[str, Any], odd: dict[Mention, int]
) -> None:
    row = leg(1, "Eve<1004>", call_from=caller, **fields)

    assert previewed([row]).doubts.odd_callers == odd


def test_a_queue_that_talks_in_a_call_that_nobody_answered_is_odd() -> None:
    alone, with_agent = (leg(row_id, "Dan<6401>", uid=f"call-{row_id}") for row_id in (1, 2))
    agent = leg(3, "Eve<1004>", uid="call-2")

    assert previewed([agent, with_agent, alone]).doubts.queues_of_nobody == {
        Mention("64xx", "queue"): 1
    }


def test_numbers_that_the_user_named_are_met_or_not_by_label() -> None:
    preview = previewed(
        [
            leg(3, "Dan<1003>", did_number="+49301"),
            leg(2, "Queue<700>"),
            leg(1, "00441", call_type="Outbound", src_trunk="", dst_trunk="sip"),
        ],
        dids={"+49301": "sales", "+49302": "sales", "49303": "fax"},
        queues={"700": "support"},
        destinations={"abroad": ("00", "+"), "premium": ("0900",)},
    )

    assert preview.named == {
        "dids": {"sales": Named(1, 2), "fax": Named(0, 1)},
        "queues": {"support": Named(1, 1)},
        "destinations": {"abroad": Named(1, 2), "premium": Named(0, 1)},
    }


# --- rows ----------------------------------------------------------------------------------------


def test_rejected_rows_unusable_fields_and_unknown_values_are_counted() -> None:
    page = page_of(
        query(1, 200),
        CDRAnswer(
            errcode=0,
            total=5,
            rows=[
                flawed(4, "duration"),
                record(3, disposition="CONGESTION"),
                record(0, uid="without id"),
                record(2),
                record(2, uid="another"),
            ],
        ),
    )
    preview = preview_of(NewestRows(page), pbx(), (), BOUNDS, NOW)

    assert preview.rows.total == 4
    assert preview.by_label(REJECTED_RECORDS) == {"id": 1}
    assert preview.by_label(REJECTED_FIELDS) == {"duration": 1}
    assert preview.by_label(UNKNOWN_VALUES) == {"disposition": 1}
    assert preview.rows.duplicates == 2


def test_trunks_beyond_the_limit_are_counted_as_the_exporter_does() -> None:
    rows = [record(n, src_trunk=f"trunk-{n}") for n in (3, 2, 1)]

    assert previewed(rows, max_trunks=2).by_labels(FOLDED_TRUNKS).total() == 1


def test_starts_are_from_oldest_to_newest_and_those_of_wrong_clocks_are_counted() -> None:
    rows = [record(4, started_at=0), record(3), record(2), record(1, started_at=1000)]
    preview = previewed(rows)

    assert (preview.rows.oldest, preview.rows.newest, preview.rows.lead) == (1000, EPOCH + 3, 0)
    assert preview.rows.impossible_starts == 2


def test_a_newest_start_in_the_future_is_noticed() -> None:
    assert previewed([record(1)], now=EPOCH + 1 - 7200.0).rows.lead == 7200


def test_rows_without_uid_are_calls_of_their_own_and_counted() -> None:
    preview = previewed([record(2, uid=""), record(1, uid="")])

    assert preview.rows.without_uid == 2
    assert preview.by_label(CALLS) == {"answered": 2}


# --- the edge ------------------------------------------------------------------------------------


def minutes_apart(*row_ids: int, **fields: Any) -> list[Record]:
    """Return rows that begin ten minutes after one another, newest first."""
    return [record(n, started_at=EPOCH + 600 * n, **fields) for n in row_ids]


def test_a_call_that_may_have_older_rows_than_these_is_left_out() -> None:
    rows = minutes_apart(*range(120, 100, -1))
    preview = previewed(rows, total=1000, wanted=query(1, 20))
    whole = previewed(rows, wanted=query(1, 20))

    assert (preview.left_out, preview.by_label(CALLS).total()) == (8, 12)
    assert (whole.left_out, whole.all_cut, whole.by_label(CALLS).total()) == (0, False, 20)


def test_by_time_a_call_that_began_with_the_oldest_row_is_left_out() -> None:
    rows = [without_id(row) for row in minutes_apart(*range(120, 100, -1))]
    preview = previewed(rows, total=1000, wanted=query(1, 20, BY_TIME))

    assert (preview.left_out, preview.by_label(CALLS).total()) == (1, 19)
    assert preview.rows.without_id == 20


def test_where_all_calls_may_have_older_rows_they_are_shown_all_the_same() -> None:
    rows = [record(n) for n in range(120, 100, -1)]
    preview = previewed(rows, total=1000, wanted=query(1, 20))

    assert (preview.left_out, preview.all_cut) == (0, True)
    assert preview.by_label(CALLS).total() == 20


def without_id(row: Record) -> Record:
    fields = {name: getattr(row, name) for name in Record.__struct_fields__}
    return Record(**{**fields, "id": 0, "new_id": f"A-{row.id}"})
