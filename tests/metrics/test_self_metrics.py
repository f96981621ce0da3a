from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram

from cdr_exporter.metrics.catalogue import (
    API_ERRORS,
    AUTH_BLOCKED,
    CLOCK_OFFSET,
    DELAY_BUCKETS,
    FAMILIES,
    GAUGE,
    INGEST_DELAY,
    LAST_RECORD,
    PBX_RECORDS,
    POLL_FAILURES,
    POLLS,
    UP,
    UTC_OFFSET,
)
from cdr_exporter.metrics.self_metrics import SelfMetrics
from cdr_exporter.metrics.totals import Series

from ..support.rows import BOUNDS


@pytest.fixture
def self_metrics() -> SelfMetrics:
    return SelfMetrics(BOUNDS)


def test_everything_known_exists_at_0_from_the_start(self_metrics: SelfMetrics) -> None:
    assert {value for numbers in self_metrics.own.values() for value in numbers} == {0}
    assert set(self_metrics.gauges.values()) == {0.0}


def test_every_family_that_is_not_durable_exists_but_those_set_by_a_pbx_or_by_the_clock(
    self_metrics: SelfMetrics,
) -> None:
    expected = {
        Series(family.name, labels)
        for family in FAMILIES
        if not family.process_wide
        and (family.kind == GAUGE or not family.durable)
        and family not in {PBX_RECORDS, LAST_RECORD, CLOCK_OFFSET, UTC_OFFSET}
        for labels in family.known_labels
    }

    assert self_metrics.own.keys() | self_metrics.gauges.keys() == expected
    assert not self_metrics.own.keys() & self_metrics.gauges.keys()


def test_counters_add_up(self_metrics: SelfMetrics) -> None:
    self_metrics.add(POLLS)
    self_metrics.add(POLLS, by=41)
    self_metrics.add(POLL_FAILURES, "tls")

    assert self_metrics.own[Series("cdr_exporter_polls_total")] == (42,)
    assert self_metrics.own[Series("cdr_exporter_poll_failures_total", ("tls",))] == (1,)
    assert self_metrics.own[Series("cdr_exporter_poll_failures_total", ("connect",))] == (0,)


def test_a_label_outside_the_closed_set_is_a_defect(self_metrics: SelfMetrics) -> None:
    with pytest.raises(KeyError):
        self_metrics.add(API_ERRORS, "12345")


def test_gauges_are_set(self_metrics: SelfMetrics) -> None:
    self_metrics.set(UP, 1)
    self_metrics.set(PBX_RECORDS, 2579)

    assert self_metrics.gauges[Series("cdr_up")] == 1
    assert self_metrics.gauges[Series("cdr_pbx_records")] == 2579


def test_a_gauge_may_be_removed_until_it_is_set_again(self_metrics: SelfMetrics) -> None:
    series = Series("cdr_exporter_pbx_clock_offset_seconds")
    found = []
    for value in (None, 0.0, None, -3.5):
        self_metrics.set_or_remove(CLOCK_OFFSET, value)
        found.append(self_metrics.gauges.get(series))

    assert found == [None, 0.0, None, -3.5]


def test_at_most_one_of_a_set_of_reasons_is_1(self_metrics: SelfMetrics) -> None:
    def blocked() -> set[str]:
        return {
            series.labels[0]
            for series, value in self_metrics.gauges.items()
            if series.family == AUTH_BLOCKED.name and value
        }

    self_metrics.set_only(AUTH_BLOCKED, "denied")
    first = blocked()
    self_metrics.set_only(AUTH_BLOCKED, "token_cap")
    second = blocked()
    self_metrics.set_only(AUTH_BLOCKED, None)

    assert (first, second, blocked()) == ({"denied"}, {"token_cap"}, set())


def test_a_copy_that_was_handed_out_does_not_change(self_metrics: SelfMetrics) -> None:
    own, gauges = self_metrics.own, self_metrics.gauges
    self_metrics.add(POLLS)
    self_metrics.observe(INGEST_DELAY, [1])
    self_metrics.set(UP, 1)

    assert own[Series(POLLS.name)] == (0,)
    assert own[Series(INGEST_DELAY.name)] == (0,) * (len(DELAY_BUCKETS) + 2)
    assert gauges[Series(UP.name)] == 0


@given(st.lists(st.integers(0, 200_000) | st.sampled_from(DELAY_BUCKETS)))
def test_observations_fall_where_prometheus_client_puts_them(seconds: list[int]) -> None:
    self_metrics = SelfMetrics(BOUNDS)
    judge = Histogram("judge", "", buckets=DELAY_BUCKETS, registry=CollectorRegistry())
    for each in seconds:
        judge.observe(each)
    self_metrics.observe(INGEST_DELAY, seconds)

    *counts, total = self_metrics.own[Series(INGEST_DELAY.name)]
    assert counts == [bucket.get() for bucket in judge._buckets]
    assert total == judge._sum.get()
