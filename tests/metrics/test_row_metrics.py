from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram

from cdr_exporter.cdr import LONGEST_SECONDS, FlawedRecord, Record, Rejected
from cdr_exporter.metrics.catalogue import (
    DUPLICATE_IDS,
    LATE_RECORDS,
    LINEAGE_BREAKS,
    PRE_BREAK_RECORDS,
    REUSED_IDS,
)
from cdr_exporter.metrics.row_metrics import PageCount, group_by_labels
from cdr_exporter.metrics.totals import Bounds, Series, Totals, Value, initial_totals
from cdr_exporter.settings import RING_BUCKETS

from ..support.rows import BOUNDS, record

NONE = frozenset({"none"})
SHORT = {"ring": "cdr_ring_duration_seconds", "talk": "cdr_talk_duration_seconds"}


def count(
    rows: Iterable[Record],
    *,
    trunks: frozenset[str] = NONE,
    max_trunks: int = 200,
    bounds: Bounds = BOUNDS,
) -> PageCount:
    counted = PageCount(bounds, trunks, max_trunks)
    counted.add_rows(group_by_labels(rows))
    return counted


def flawed(row: Record, *unusable_fields: str) -> FlawedRecord:
    """Return *row* as one of which these fields were unusable."""
    return FlawedRecord(unusable_fields=unusable_fields, **msgspec.structs.asdict(row))


def families(series: Mapping[Series, Value]) -> set[str]:
    return {key.family.removeprefix("cdr_") for key in series}


def value(series: Mapping[Series, Value], family: str, *labels: str) -> Value:
    return series[Series(family, labels)]


EVERY_ROW = {"records_total", "duration_seconds"}
RING, TALK = {"ring_duration_seconds"}, {"talk_duration_seconds"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"disposition": "ANSWERED"}, RING | TALK, id="answered, all zero"),
        pytest.param({"disposition": "VOICEMAIL"}, RING, id="voicemail"),
        pytest.param({"disposition": "NO ANSWER"}, set(), id="not answered"),
        pytest.param({"disposition": "BUSY"}, set(), id="busy"),
        pytest.param({"disposition": "FAILED"}, set(), id="failed"),
        pytest.param({"disposition": "?"}, set(), id="unknown"),
        pytest.param({"disposition": "no_answer", "ring_duration": 1}, RING, id="rang in vain"),
        pytest.param({"disposition": "BUSY", "ring_duration": 9}, RING, id="rang, then busy"),
        pytest.param({"disposition": "FAILED", "talk_duration": 1}, TALK, id="talked and failed"),
        pytest.param({"disposition": "?", "talk_duration": 1}, TALK, id="talked, unknown"),
        pytest.param(
            {"disposition": "VOICEMAIL", "talk_duration": 7}, RING | TALK, id="left a message"
        ),
    ],
)
def test_a_row_adds_to_the_families_that_are_about_it(
    fields: dict[str, Any], expected: set[str]
) -> None:
    row = Record(id=1, call_type="Inbound", **fields)

    found = families(count([row]).series()) - {"exporter_unknown_values_total"}
    assert found == EVERY_ROW | expected


def test_every_family_of_a_row_has_the_same_labels() -> None:
    counted = count([record()]).series()

    assert {key.labels for key in counted} == {("ANSWERED", "Inbound", "sip")}


def test_rows_add_up_by_label_set() -> None:
    rows = [
        record(1, duration=3, ring_duration=1, talk_duration=2),
        record(2, duration=7, ring_duration=1, talk_duration=6),
        record(3, duration=0, ring_duration=0, talk_duration=0, disposition="BUSY"),
        record(4, duration=9, src_trunk="gsm"),
    ]
    bounds = {"duration": (1, 5), "ring": (1, 2)}

    counted = count(rows, bounds=bounds).series()

    sip, busy, gsm = (("ANSWERED", "sip"), ("BUSY", "sip"), ("ANSWERED", "gsm"))
    assert {
        (key.labels[0], key.labels[2]): each
        for key, each in counted.items()
        if key.family == "cdr_records_total"
    } == {sip: (2,), busy: (1,), gsm: (1,)}
    labels = ("ANSWERED", "Inbound", "sip")
    assert value(counted, "cdr_duration_seconds", *labels) == (0, 1, 1, 10)
    assert value(counted, "cdr_ring_duration_seconds", *labels) == (2, 0, 0, 2)
    assert value(counted, "cdr_talk_duration_seconds", *labels) == (0, 1, 1, 8)
    assert value(counted, "cdr_duration_seconds", "BUSY", "Inbound", "sip") == (1, 0, 0, 0)


# --- buckets -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [(0, 0), (1, 0), (2, 1), (3, 2), (5, 2), (6, 3), (120, 9), (121, 10), (LONGEST_SECONDS, 10)],
)
def test_a_bound_belongs_to_its_own_bucket(seconds: int, bucket: int) -> None:
    *counts, total = value(
        count([record(ring_duration=seconds)]).series(),
        "cdr_ring_duration_seconds",
        "ANSWERED",
        "Inbound",
        "sip",
    )

    assert [at for at, number in enumerate(counts) if number] == [bucket]
    assert len(counts) == len(RING_BUCKETS) + 1
    assert total == seconds


some_bounds = st.lists(
    st.integers(1, 2 * LONGEST_SECONDS), min_size=1, max_size=20, unique=True
).map(lambda bounds: tuple(sorted(bounds)))


@given(some_bounds, st.data())
def test_buckets_are_those_of_prometheus_client(
    bounds: tuple[int, ...], data: st.DataObject
) -> None:
    edges = [b + d for b in bounds for d in (-1, 0, 1) if 0 <= b + d <= LONGEST_SECONDS]
    one = st.integers(0, LONGEST_SECONDS) | st.sampled_from(edges or [0])
    seconds = data.draw(st.lists(one, min_size=1))
    judge = Histogram("judge", "", buckets=bounds, registry=CollectorRegistry())
    for each in seconds:
        judge.observe(each)

    rows = [record(number, duration=each) for number, each in enumerate(seconds, 1)]
    counted = count(rows, bounds={"duration": bounds, "ring": (1,)}).series()

    *counts, total = value(counted, "cdr_duration_seconds", "ANSWERED", "Inbound", "sip")
    assert counts == [bucket.get() for bucket in judge._buckets]
    assert total == judge._sum.get()


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        pytest.param(tuple(range(1, 1_000)), {0: 1, 998: 1, 999: 1}, id="many bounds"),
        pytest.param((1, 10**15), {0: 1, 1: 2}, id="a bound beyond any call"),
        pytest.param((1, 500_000, 10**6), {0: 1, 1: 1, 2: 1}, id="bounds of days"),
    ],
)
def test_any_bounds_that_ascend_will_do(bounds: tuple[int, ...], expected: dict[int, int]) -> None:
    rows = [record(1, duration=999), record(2, duration=1), record(3, duration=LONGEST_SECONDS)]

    counted = count(rows, bounds={"duration": bounds, "ring": (1,)}).series()

    *counts, total = value(counted, "cdr_duration_seconds", "ANSWERED", "Inbound", "sip")
    assert {at: number for at, number in enumerate(counts) if number} == expected
    assert (len(counts), total) == (len(bounds) + 1, 1_000 + LONGEST_SECONDS)


# --- order and pages -----------------------------------------------------------------------------

rows_of_any_kind = st.lists(
    st.builds(
        record,
        duration=st.integers(0, 8_000),
        ring_duration=st.integers(0, 130),
        talk_duration=st.integers(0, 8_000),
        disposition=st.sampled_from(["ANSWERED", "NO ANSWER", "BUSY", "no_answer", "?", ""]),
        call_type=st.sampled_from(["Inbound", "Outbound", "Internal", "?"]),
        src_trunk=st.sampled_from(["", "sip", "gsm", "none"]),
        dst_trunk=st.sampled_from(["", "sip", "isdn", "other"]),
    ),
    max_size=30,
)


def totals_of(pages: Iterable[Iterable[Record]], max_trunks: int = 200) -> Totals:
    totals = initial_totals()
    for rows in pages:
        counted = count(rows, trunks=totals.trunks, max_trunks=max_trunks)
        totals = totals.merged(counted.series(), counted.trunks, 100.0)
    return totals


@given(rows_of_any_kind, rows_of_any_kind)
def test_a_page_is_counted_on_what_is_known(before: list[Record], rows: list[Record]) -> None:
    known = totals_of([before])
    copy = dict(known.series)
    counted = PageCount(BOUNDS, known.trunks, 200, known.series)
    counted.add_rows(group_by_labels(rows))

    after = known.with_values(counted.series(), counted.trunks, 100.0)

    assert after == totals_of([before, rows])
    assert known.series == copy


@given(rows_of_any_kind, st.randoms())
def test_the_order_of_rows_never_matters(rows: list[Record], chance: Any) -> None:
    shuffled = list(rows)
    chance.shuffle(shuffled)

    assert totals_of([shuffled]) == totals_of([rows])


@given(rows_of_any_kind, st.lists(st.integers(0, 30)), st.integers(0, 3))
def test_split_pages_give_the_same_totals(
    rows: list[Record], cuts: list[int], max_trunks: int
) -> None:
    edges = [0, *sorted(cuts), len(rows)]
    pages = [rows[start:end] for start, end in pairwise(edges)]

    assert totals_of(pages, max_trunks) == totals_of([rows], max_trunks)


@given(rows_of_any_kind)
def test_every_row_is_counted_once(rows: list[Record]) -> None:
    series = totals_of([rows]).series

    counted = [v[0] for key, v in series.items() if key.family == "cdr_records_total"]
    lengths = [v for key, v in series.items() if key.family == "cdr_duration_seconds"]
    assert sum(counted) == len(rows)
    assert sum(sum(counts) for *counts, _ in lengths) == len(rows)
    assert sum(total for *_, total in lengths) == sum(row.duration for row in rows)


# --- trunks --------------------------------------------------------------------------------------


def trunks_of(series: Mapping[Series, Value]) -> dict[str, int]:
    return {
        key.labels[2]: v[0]
        for key, v in series.items()
        if key.family == "cdr_records_total" and v[0]
    }


def other_trunks(series: Mapping[Series, Value]) -> int:
    return series.get(Series("cdr_exporter_folded_trunks_total"), (0,))[0]


def on(*trunks: str) -> list[Record]:
    return [record(number, src_trunk=trunk) for number, trunk in enumerate(trunks, 1)]


@pytest.mark.fault("C14")
def test_trunks_beyond_max_trunks_count_under_other_and_a_counter_says_so() -> None:
    counted = count(on("a", "b", "c", "d", "a", "c"), max_trunks=2)

    assert trunks_of(counted.series()) == {"a": 2, "b": 1, "other": 3}
    assert other_trunks(counted.series()) == 3
    assert counted.trunks == {"none", "a", "b"}


@pytest.mark.fault("C14")
def test_a_trunk_keeps_the_series_it_was_given() -> None:
    totals = totals_of([on("a", "b"), on("c", "b"), on("c", "a", "d")], max_trunks=2)

    assert trunks_of(totals.series) == {"a": 2, "b": 2, "other": 3}
    assert other_trunks(totals.series) == 3


def test_a_lower_limit_takes_no_series_from_a_trunk_that_has_them() -> None:
    known = frozenset({"none", "a", "b", "c"})
    counted = count(on("a", "b", "c", "d"), trunks=known, max_trunks=1)

    assert trunks_of(counted.series()) == {"a": 1, "b": 1, "c": 1, "other": 1}


@pytest.mark.parametrize("max_trunks", [0, 1, 2])
def test_rows_without_a_trunk_do_not_count_against_max_trunks(max_trunks: int) -> None:
    counted = count(on("", "a", "b", "", "c"), max_trunks=max_trunks)

    assert trunks_of(counted.series())["none"] == 2
    assert len(counted.trunks - {"none"}) == max_trunks
    assert other_trunks(counted.series()) == 3 - max_trunks


def test_trunks_named_like_the_reserved_labels_are_trunks() -> None:
    counted = count(on("other", "none", "x"), max_trunks=2)

    found = trunks_of(counted.series())
    assert (found["other"], other_trunks(counted.series())) == (1, 1)
    assert "none" not in found
    assert len(counted.trunks) == 3


def test_two_spellings_of_one_label_set_share_it() -> None:
    rows = [record(1, disposition="NO ANSWER"), record(2, disposition="no_answer ")]

    counted = count(rows).series()

    assert value(counted, "cdr_records_total", "NO ANSWER", "Inbound", "sip") == (2,)


# --- counters of defects -------------------------------------------------------------------------


def events(counted: PageCount) -> dict[tuple[str, ...], int]:
    return {
        (key.family.removeprefix("cdr_exporter_"), *key.labels): v[0]
        for key, v in counted.series().items()
        if key.family.startswith("cdr_exporter_")
    }


def test_a_page_that_keeps_the_contract_raises_no_counter_of_defects() -> None:
    assert events(count([record(1), record(2)])) == {}


@pytest.mark.fault("C9")
def test_each_unknown_value_counts_once_per_row() -> None:
    rows = [
        record(1, disposition="PARKED"),
        record(2, disposition="PARKED", call_type=""),
        record(3, call_type="Transit"),
        record(4),
    ]

    assert events(count(rows)) == {
        ("unknown_values_total", "disposition"): 2,
        ("unknown_values_total", "call_type"): 2,
    }


@pytest.mark.fault("C10")
def test_each_rejected_field_counts_once_per_row() -> None:
    both, one = flawed(record(1), "duration", "reason"), flawed(record(3), "duration")

    counted = count([both, record(2), one])

    assert events(counted) == {
        ("rejected_fields_total", "duration"): 2,
        ("rejected_fields_total", "reason"): 1,
    }


def test_a_row_with_unusable_fields_is_counted_like_any_other() -> None:
    rows = [record(1), record(2), record(3, disposition="BUSY")]

    plain = count(rows).series()
    counted = count([flawed(each, "uid") for each in rows]).series()

    defects = Series("cdr_exporter_rejected_fields_total", ("uid",))
    assert dict(counted) == {**plain, defects: (3,)}


def test_rows_without_id_are_counted_like_any_other() -> None:
    without_id = [msgspec.structs.replace(record(n), id=0, new_id=f"2023-{n}") for n in (1, 2)]

    assert count(without_id).series() == count([record(1), record(2)]).series()


def test_each_rejected_row_counts_by_its_reason() -> None:
    counted = count([])
    counted.add_rejected([Rejected("id", 1), Rejected("shape", 2), Rejected("id", 3)])

    assert events(counted) == {
        ("rejected_records_total", "id"): 2,
        ("rejected_records_total", "shape"): 1,
    }


def test_late_and_reused_rows_are_counted_as_such() -> None:
    counted = count([record()])
    counted.add_event(LATE_RECORDS, 3)
    counted.add_event(LATE_RECORDS, 1)
    counted.add_event(REUSED_IDS, 0)

    assert events(counted) == {("late_records_total",): 4}


def test_every_counter_of_defects_exists_in_the_totals_from_the_start() -> None:
    odd = flawed(record(1, disposition="?", call_type="?", src_trunk="a"), "duration")
    counted = count([odd, record(2, src_trunk="b")], max_trunks=1)
    counted.add_rejected([Rejected("number", 1, 9)])
    for family in (LATE_RECORDS, REUSED_IDS, DUPLICATE_IDS, PRE_BREAK_RECORDS, LINEAGE_BREAKS):
        counted.add_event(family, 1)

    defects = {key for key in counted.series() if key.family.startswith("cdr_exporter_")}
    assert len(defects) == 10
    assert defects <= initial_totals().series.keys()
