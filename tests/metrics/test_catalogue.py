from __future__ import annotations

import re

import pytest

from cdr_exporter.metrics import catalogue
from cdr_exporter.metrics.catalogue import (
    COUNTER,
    DELAY_BUCKETS,
    FAMILIES,
    GAUGE,
    HISTOGRAM,
    Family,
)

from ..support.each import for_each

LABEL = re.compile(r"[a-z][a-z_]*")
NAME = re.compile(r"cdr_[a-z]+(_[a-z]+)*")

every_family = for_each(pytest.param(family, id=family.name) for family in FAMILIES)


@every_family
def test_a_name_says_what_it_is_in_prometheus_words(family: Family) -> None:
    assert NAME.fullmatch(family.name)
    assert family.kind in {COUNTER, GAUGE, HISTOGRAM}
    assert family.name.endswith("_total") == (family.kind == COUNTER)
    # A sample of a counter or histogram must not look as if it belonged to another family.
    assert not family.name.endswith(("_bucket", "_count", "_sum", "_created"))


@every_family
def test_labels_are_plain_and_none_is_reserved(family: Family) -> None:
    assert all(LABEL.fullmatch(label) for label in family.labels)
    assert len(set(family.labels)) == len(family.labels)
    assert not {"pbx", "le", "quantile", "job", "instance"} & set(family.labels)


@every_family
def test_the_help_is_a_sentence_on_one_line(family: Family) -> None:
    assert family.help.endswith(".")
    assert family.help == family.help.strip()
    assert "\n" not in family.help


@every_family
def test_buckets_belong_to_histograms(family: Family) -> None:
    assert bool(family.buckets) == (family.kind == HISTOGRAM)
    assert family.buckets in {"", "duration", "ring", "wait", "legs", "delay"}


@every_family
def test_known_values_are_those_of_the_one_label(family: Family) -> None:
    assert len(set(family.known)) == len(family.known)
    if family.known:
        assert len(family.labels) == 1
        assert family.known_labels == tuple((value,) for value in family.known)


def test_no_two_families_share_a_name_or_a_sample() -> None:
    samples = [
        family.name + suffix
        for family in FAMILIES
        for suffix in (("_bucket", "_count", "_sum") if family.kind == HISTOGRAM else ("",))
    ]

    assert len(set(samples)) == len(samples)


def test_every_family_of_the_module_is_exposed() -> None:
    written = {value.name for value in vars(catalogue).values() if isinstance(value, Family)}

    assert written == {family.name for family in FAMILIES}


def test_a_family_without_labels_exists_from_the_start_and_trunks_do_not() -> None:
    assert catalogue.UP.known_labels == ((),)
    assert catalogue.RECORDS.known_labels == ()
    assert catalogue.BUILD_INFO.known_labels == ()


def test_only_build_configuration_and_leases_are_about_the_process_as_a_whole() -> None:
    assert [family for family in FAMILIES if family.process_wide] == [
        catalogue.BUILD_INFO,
        catalogue.RELOAD_SUCCESSFUL,
        catalogue.RELOAD_SUCCESS_TIMESTAMP,
        catalogue.LEASES,
        catalogue.LEASE_CHANGES,
        catalogue.DATABASE_UP,
    ]


def test_the_durable_families_are_the_documented_ones() -> None:
    assert {family.name for family in FAMILIES if family.durable} == {
        "cdr_records_total",
        "cdr_duration_seconds",
        "cdr_ring_duration_seconds",
        "cdr_talk_duration_seconds",
        "cdr_calls_total",
        "cdr_call_wait_seconds",
        "cdr_call_menu_seconds",
        "cdr_call_abandon_seconds",
        "cdr_call_talk_seconds",
        "cdr_call_duration_seconds",
        "cdr_call_legs",
        "cdr_did_calls_total",
        "cdr_did_wait_seconds",
        "cdr_queue_calls_total",
        "cdr_queue_wait_seconds",
        "cdr_queue_abandon_seconds",
        "cdr_emergency_calls_total",
        "cdr_exporter_unrecognised_callees_total",
        "cdr_destination_calls_total",
        "cdr_destination_talk_seconds_total",
        "cdr_exporter_late_legs_total",
        "cdr_exporter_cut_calls_total",
        "cdr_exporter_late_records_total",
        "cdr_exporter_reused_ids_total",
        "cdr_exporter_duplicate_ids_total",
        "cdr_exporter_pre_break_records_total",
        "cdr_exporter_lineage_breaks_total",
        "cdr_exporter_rejected_records_total",
        "cdr_exporter_rejected_fields_total",
        "cdr_exporter_unknown_values_total",
        "cdr_exporter_folded_trunks_total",
        "cdr_exporter_state_reset_timestamp_seconds",
    }


@for_each(
    pytest.param(family, values, id=family.name)
    for family, values in [
        (
            catalogue.POLL_FAILURES,
            "connect timeout tls http redirect throttled too_large garbled api auth state",
        ),
        (
            catalogue.API_ERRORS,
            "-2 -1 2 10001 10002 10003 10004 10005 60002 70004 70082 70087 70123 70656 other",
        ),
        (catalogue.REJECTED_RECORDS, "id number shape"),
        (catalogue.UNKNOWN_VALUES, "disposition call_type"),
        (
            catalogue.AUTH_BLOCKED,
            "credentials ip_blocked ip_forbidden token_cap denied api_disabled",
        ),
        (catalogue.STATE_RESET, "corrupt empty foreign"),
        (
            catalogue.REJECTED_FIELDS,
            "time call_from call_to timestamp uid src_addr src_trunk dst_trunk duration "
            "ring_duration talk_duration disposition call_type did_number dod_number record_file "
            "reason",
        ),
    ]
)
def test_closed_label_sets_are_the_documented_ones(family: Family, values: str) -> None:
    assert list(family.known) == values.split()


def test_the_delay_buckets_ascend() -> None:
    assert list(DELAY_BUCKETS) == sorted(set(DELAY_BUCKETS))
    assert DELAY_BUCKETS[0] > 0
