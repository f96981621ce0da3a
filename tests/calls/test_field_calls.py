"""Calls as a P-Series writes them, each with what a manager would say about it.

They go through the real decoder, the classifier of legs, the assembly of the call and the metrics.
Besides the examples, variants of them hold: other names and numbers, rows in another order, and
in queues one leg a second earlier or later.
"""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdr_exporter.calls import Call, LegClassifier, assemble_call, group_calls
from cdr_exporter.metrics.call_metrics import count_calls
from cdr_exporter.metrics.totals import Series

from ..support.field_calls import CASES, RULES, Case, records
from ..support.rows import BOUNDS

CLASSIFIER = LegClassifier(RULES)
TRUNKS = frozenset({"none", "SIP", "GSM"})

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["name"]))


def call_of(rows: list[Case]) -> Call:
    return assemble_call([CLASSIFIER.classify(row) for row in records(rows)])


def doubts_of(rows: list[Case]) -> Counter[str]:
    doubts = Counter(CLASSIFIER.kind_of(row).doubt for row in records(rows))
    del doubts[""]
    return doubts


def found(rows: list[Case], names: set[str]) -> Case:
    """Return what is counted of *rows*, as the cases say it: of *names* only."""
    call, doubts = call_of(rows), doubts_of(rows)
    counted = count_calls(group_calls([call]), BOUNDS, TRUNKS)

    def sums(family: str) -> Case:
        return {key.labels[0]: value[-1] for key, value in counted.items() if key.family == family}

    labels = Series("cdr_calls_total", (call.outcome, call.call_type, call.trunk))
    assert counted[labels] == (1,)
    queues = {
        queue: outcome
        for family, (queue, outcome) in (
            (key.family, key.labels) for key in counted if len(key.labels) == 2
        )
        if family == "cdr_queue_calls_total"
    }
    classes = sums("cdr_destination_calls_total")
    talk = sums("cdr_destination_talk_seconds_total")
    result = {
        "outcome": call.outcome,
        "call_type": call.call_type,
        "trunk": call.trunk,
        "wait": call.wait,
        "talk": call.talk,
        "menu": sums("cdr_call_menu_seconds").get(call.call_type),
        "abandon": sums("cdr_call_abandon_seconds").get(call.call_type),
        "queues": queues,
        "queue_wait": sums("cdr_queue_wait_seconds"),
        "queue_abandon": sums("cdr_queue_abandon_seconds"),
        "destinations": {
            name: [count, talk[name]] for name, count in classes.items() if name != "other"
        },
        "did": next(iter(sums("cdr_did_calls_total")), None),
        "emergency": Series("cdr_emergency_calls_total") in counted,
        "neither": doubts["neither"],
        "conflict": doubts["conflict"],
    }
    return {name: result[name] for name in names}


@every_case
def test_a_call_counts_as_what_happened(case: Case) -> None:
    expected = {"neither": 0, "conflict": 0, "emergency": False, **case["expect"]}

    assert found(case["legs"], set(expected)) == expected


@every_case
@given(chance=st.randoms(use_true_random=False))
def test_the_order_of_its_rows_decides_nothing(case: Case, chance: random.Random) -> None:
    rows = case["legs"][:]
    chance.shuffle(rows)

    assert found(rows, set(case["expect"])) == case["expect"]


NAMES = st.text("abcdefgh äöüß-", min_size=1, max_size=12).map(lambda name: f"Xaver {name}")


@every_case
@settings(max_examples=15)  # of each of many calls
@given(name=NAMES, number=st.integers(1000, 5999), caller=st.integers(10**8, 10**9))
def test_other_names_and_numbers_of_people_change_nothing(
    case: Case, name: str, number: int, caller: int
) -> None:
    def other(text: str) -> str:
        text = text.replace("Dan D<1003>", f"{name}<{number}>")
        return text.replace("0301112223", f"0{caller}")

    rows = [
        {**row, "call_from": other(row["call_from"]), "call_to": other(row["call_to"])}
        for row in case["legs"]
    ]

    assert found(rows, set(case["expect"])) == case["expect"]


IN_QUEUES = [case for case in CASES if "queues" in case["expect"]]


@pytest.mark.parametrize("case", IN_QUEUES, ids=lambda case: str(case["name"]))
@pytest.mark.parametrize("by", [-1, 1])
def test_one_leg_a_second_earlier_or_later_changes_nothing_in_a_queue(case: Case, by: int) -> None:
    for n in range(len(case["legs"])):
        rows = [
            {**row, "timestamp": row["timestamp"] + (by if k == n else 0)}
            for k, row in enumerate(case["legs"])
        ]

        names = {"outcome", "queues"}
        assert found(rows, names) == {name: case["expect"][name] for name in names}
