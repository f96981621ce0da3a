from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdr_exporter.calls import OUTCOMES
from cdr_exporter.cdr.contract import CALL_TYPES, DISPOSITIONS
from cdr_exporter.metrics.catalogue import CALLS, COUNTER, DURATION, FAMILIES, RECORDS
from cdr_exporter.metrics.totals import (
    Series,
    Totals,
    Value,
    initial_totals,
    trunk_zeros,
    value_length,
    zeros,
)

from ..support.rows import BOUNDS

SIP = Series(RECORDS.name, ("ANSWERED", "Inbound", "sip"))
LENGTHS = Series(DURATION.name, ("ANSWERED", "Inbound", "sip"))
NONE = frozenset({"none"})


def sums(series: Mapping[Series, Value]) -> dict[Series, Value]:
    """Return *series* without those that are 0."""
    return {key: value for key, value in series.items() if any(value)}


def grid(trunk: str) -> set[tuple[str, str, str]]:
    return {(d, c, trunk) for d, c in product(DISPOSITIONS, CALL_TYPES)}


def of_records(series: Iterable[Series]) -> set[tuple[str, ...]]:
    return {key.labels for key in series if key.family == RECORDS.name}


# --- where counting begins -----------------------------------------------------------------------


def test_the_initial_totals_have_everything_known_at_0() -> None:
    totals = initial_totals()

    assert sums(totals.series) == {}
    assert set(totals.born.values()) == {0.0}
    assert totals.born.keys() == totals.series.keys()
    assert totals.trunks == NONE
    assert of_records(totals.series) == grid("none")


def test_the_initial_totals_have_each_durable_counter_about_the_exporter() -> None:
    expected = {
        Series(family.name, labels)
        for family in FAMILIES
        if family.durable and family.kind == COUNTER
        for labels in family.known_labels
    }

    of_trunks = {RECORDS.name, CALLS.name}
    others = {key for key in initial_totals().series if key.family not in of_trunks}
    assert others == expected


def test_the_initial_totals_have_every_outcome_of_calls_of_each_type_and_trunk() -> None:
    found = {key.labels for key in initial_totals(["sip"]).series if key.family == CALLS.name}

    assert found == {*product(OUTCOMES, CALL_TYPES, ("none", "sip"))}


def test_trunks_seen_at_the_start_exist_at_0_too() -> None:
    totals = initial_totals(["sip", "none", "sip"])

    assert totals.trunks == {"none", "sip"}
    assert of_records(totals.series) == grid("none") | grid("sip")
    assert totals.born[SIP] == 0.0


def test_histograms_are_not_there_before_their_first_row() -> None:
    assert DURATION.name not in {key.family for key in initial_totals(["sip"]).series}


def test_a_histogram_is_its_buckets_the_rest_and_a_sum() -> None:
    assert value_length(DURATION, {"duration": (1, 5, 10)}) == 5
    assert value_length(RECORDS, {}) == 1


def test_zeros_of_a_histogram_have_the_length_of_its_values() -> None:
    [value] = zeros([f for f in FAMILIES if f.buckets == "delay"], BOUNDS).values()

    assert value == (0,) * (len(BOUNDS["delay"]) + 2)


# --- merging -------------------------------------------------------------------------------------


def test_what_was_counted_is_added() -> None:
    totals = initial_totals().merged({SIP: (2,), LENGTHS: (1, 1, 0, 9)}, NONE | {"sip"}, 100.0)
    totals = totals.merged({SIP: (3,), LENGTHS: (0, 2, 1, 50)}, NONE | {"sip"}, 200.0)

    assert sums(totals.series) == {SIP: (5,), LENGTHS: (1, 3, 1, 59)}


def test_merging_leaves_the_totals_before_as_they_were() -> None:
    before = initial_totals().merged({SIP: (2,)}, NONE | {"sip"}, 100.0)
    copy = deepcopy(before)

    before.merged({SIP: (1,), LENGTHS: (1, 0, 5)}, NONE | {"sip", "gsm"}, 200.0)

    assert before == copy


def test_a_value_that_nothing_was_added_to_stays_the_same_object() -> None:
    before = initial_totals().merged({SIP: (2,)}, NONE | {"sip"}, 100.0)
    after = before.merged({LENGTHS: (1, 0, 5)}, before.trunks | {"gsm"}, 200.0)

    assert all(after.series[key] is value for key, value in before.series.items())


def test_a_series_is_born_when_it_is_first_counted_and_only_then() -> None:
    first = initial_totals().merged({SIP: (1,)}, NONE | {"sip"}, 100.0)
    second = first.merged({SIP: (1,), LENGTHS: (1, 0, 5)}, first.trunks, 200.0)
    third = second.merged({SIP: (1,), LENGTHS: (1, 0, 5)}, first.trunks, 300.0)

    assert (third.born[SIP], third.born[LENGTHS]) == (100.0, 200.0)
    assert third.born.keys() == third.series.keys()


def test_a_new_trunk_is_born_with_all_its_zeros() -> None:
    totals = initial_totals().merged({SIP: (1,)}, NONE | {"sip"}, 100.0)

    assert totals.trunks == {"none", "sip"}
    assert of_records(totals.series) == grid("none") | grid("sip")
    assert {totals.born[Series(RECORDS.name, labels)] for labels in grid("sip")} == {100.0}
    assert {totals.born[Series(RECORDS.name, labels)] for labels in grid("none")} == {0.0}


def test_a_trunk_that_is_known_is_not_born_again() -> None:
    once = initial_totals().merged({SIP: (1,)}, NONE | {"sip"}, 100.0)
    again = once.merged({SIP: (1,)}, NONE | {"sip"}, 200.0)

    assert again.series.keys() == once.series.keys()
    assert again.born == once.born


def test_the_trunk_label_other_has_no_zeros_of_its_own() -> None:
    other = Series(RECORDS.name, ("BUSY", "Inbound", "other"))
    totals = initial_totals().merged({other: (1,)}, NONE, 100.0)

    assert totals.trunks == NONE
    assert of_records(totals.series) == grid("none") | {("BUSY", "Inbound", "other")}


def test_an_empty_page_changes_nothing() -> None:
    totals = initial_totals(["sip"])

    assert totals.merged({}, totals.trunks, 100.0) == totals


some_series = st.builds(
    Series,
    st.sampled_from([RECORDS.name]),
    st.tuples(st.sampled_from(DISPOSITIONS), st.sampled_from(CALL_TYPES), st.sampled_from("abc")),
)
pages = st.lists(st.dictionaries(some_series, st.tuples(st.integers(0, 2**40)), max_size=5))


def merged(counted: Iterable[Mapping[Series, Value]]) -> Totals:
    totals = initial_totals()
    for each in counted:
        trunks = totals.trunks | {key.labels[2] for key in each}
        totals = totals.merged(each, trunks, 100.0)
    return totals


@given(pages, st.randoms())
def test_the_order_of_pages_never_matters(
    counted: list[dict[Series, Value]], chance: object
) -> None:
    shuffled = list(counted)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]

    assert merged(counted) == merged(shuffled)


@given(pages)
def test_totals_never_fall(counted: list[dict[Series, Value]]) -> None:
    totals = initial_totals()
    for each in counted:
        after = totals.merged(each, totals.trunks, 100.0)

        assert all(after.series[key] >= value for key, value in totals.series.items())
        totals = after


@pytest.mark.parametrize("trunks", [[], ["sip"], ["sip", "gsm"]], ids=len)
def test_the_zeros_of_trunks_are_every_outcome_of_the_contract(trunks: list[str]) -> None:
    zero = trunk_zeros(trunks)

    assert of_records(zero) == {labels for trunk in trunks for labels in grid(trunk)}
    assert sums(zero) == {}
