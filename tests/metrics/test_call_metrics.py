"""Which call adds to which series, and that the fast path for calls of one leg counts the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from cdr_exporter.calls import OUTCOMES, CallRules, assemble_call
from cdr_exporter.ingest import call_assembly
from cdr_exporter.ingest.call_assembly import CallAssembler, call_rules_of
from cdr_exporter.metrics.call_metrics import count_calls, number_zeros
from cdr_exporter.metrics.catalogue import CALL_FAMILIES
from cdr_exporter.metrics.self_metrics import SelfMetrics
from cdr_exporter.metrics.totals import Series, Value
from cdr_exporter.poller.poller import Poller
from cdr_exporter.settings import MACHINE_CALLEES, PBX, SecretSource
from cdr_exporter.tail import page_size, read_plan, tail
from cdr_exporter.tail.page_reader import PageReader

from ..support.call_traces import legs
from ..support.fake_pbx import FakePBX
from ..support.memory_store import MemoryStore
from ..support.rows import BOUNDS

NUMBERS: dict[str, Any] = {
    "dids": {"1": "sales"},
    "queues": {"6400": "support"},
    "destinations": {"premium": ("0900",)},
}
TRUNKS = frozenset({"none", "sip", "PSTN"})


def counted(trace: str, **call_rules: Any) -> dict[Series, Value]:
    parts = legs(trace, CallRules(MACHINE_CALLEES, **call_rules))
    return dict(count_calls([assemble_call(parts)], (), BOUNDS, TRUNKS))


def observation(value: Value, bounds: str) -> tuple[float, int]:
    """Return the bucket of a histogram's only observation, and its sum."""
    *counts, total = value
    assert sum(counts) == 1
    return [*BOUNDS[bounds], float("inf")][counts.index(1)], total


# --- one call ------------------------------------------------------------------------------------


def test_an_answered_call_adds_to_these_series() -> None:
    series = counted(
        """
        0   IVR Main<6200>   ANSWERED  0  20  in  sip
        20  Ada Ahorn<2001>  ANSWERED  4  40  in  sip
        """
    )
    labels = ("Inbound", "sip")

    assert series.pop(Series("cdr_calls_total", ("answered", *labels))) == (1,)
    assert observation(series.pop(Series("cdr_call_wait_seconds", labels)), "wait") == (30, 24)
    assert observation(series.pop(Series("cdr_call_talk_seconds", labels)), "duration") == (60, 40)
    duration = series.pop(Series("cdr_call_duration_seconds", labels))
    assert observation(duration, "duration") == (120, 64)
    assert observation(series.pop(Series("cdr_call_legs", ("Inbound",))), "legs") == (2, 2)
    assert series == {}


def test_a_call_that_nobody_took_adds_to_these_series() -> None:
    series = counted("0  Ada Ahorn<2001>  NO ANSWER  5  0  in  sip")
    labels = ("Inbound", "sip")

    assert series.pop(Series("cdr_calls_total", ("no_answer", *labels))) == (1,)
    assert observation(series.pop(Series("cdr_call_abandon_seconds", labels)), "wait") == (5, 5)
    assert {key.family for key in series} == {"cdr_call_duration_seconds", "cdr_call_legs"}


@pytest.mark.fault("H9")
@pytest.mark.parametrize(
    ("trace", "outcome"),
    [
        ("0  Voicemail A<1>  VOICEMAIL  5  9  in  sip", "voicemail"),
        ("0  Ada<2001>       BUSY       0  0  in  sip", "busy"),
        ("0  Ada<2001>       FAILED     0  0  in  sip", "failed"),
        ("0  IVR Main<6200>  ANSWERED   0  9  in  sip", "machine"),
        ("0  Ada<2001>       CONGESTED  0  9  in  sip", "unknown"),
    ],
    ids=lambda each: each if "<" not in each else "",
)
def test_any_other_call_has_a_duration_and_legs_only(trace: str, outcome: str) -> None:
    series = counted(trace)

    assert series.pop(Series("cdr_calls_total", (outcome, "Inbound", "sip"))) == (1,)
    assert {key.family for key in series} == {"cdr_call_duration_seconds", "cdr_call_legs"}


def test_a_call_of_a_trunk_beyond_max_trunks_counts_under_other() -> None:
    series = counted("0  Ada<2001>  ANSWERED  1  9  in  Beyond")

    assert Series("cdr_calls_total", ("answered", "Inbound", "other")) in series


def test_a_call_counts_under_the_numbers_that_the_user_named() -> None:
    series = counted(
        """
        0   Queue Support<6400>  NO ANSWER  15  0   in   sip       did=1  forwarded
        0   Queue Sales<6401>    NO ANSWER  15  0   in   sip       did=1  forwarded
        15  0900123              ANSWERED   9   45  out  sip>PSTN  hangup
        """,
        **NUMBERS,
    )

    assert series[Series("cdr_did_calls_total", ("sales", "answered"))] == (1,)
    assert series[Series("cdr_queue_calls_total", ("support", "answered"))] == (1,)
    assert series[Series("cdr_queue_calls_total", ("other", "answered"))] == (1,)
    assert series[Series("cdr_destination_calls_total", ("premium",))] == (1,)
    assert series[Series("cdr_destination_talk_seconds_total", ("premium",))] == (45,)


# --- what exists at 0 ----------------------------------------------------------------------------


def test_numbers_that_the_user_named_exist_at_0_with_other() -> None:
    zeros = number_zeros(CallRules(**NUMBERS))

    assert set(zeros.values()) == {(0,)}
    assert {key.labels for key in zeros if key.family == "cdr_did_calls_total"} == {
        (did, outcome) for did in ("sales", "other") for outcome in OUTCOMES
    }
    assert {key.labels for key in zeros if key.family == "cdr_destination_calls_total"} == {
        ("premium",),
        ("other",),
    }


def test_no_series_of_numbers_exists_where_none_is_named() -> None:
    assert number_zeros(CallRules()) == {}


# --- the short way -------------------------------------------------------------------------------

_times = st.integers(0, 300)
any_row = st.fixed_dictionaries(
    {
        "uid": st.sampled_from(["", "shared-1", "shared-2", "shared-3"])
        | st.integers(0, 10**9).map(str),
        "call_to": st.sampled_from(
            ["Ada<2001>", "IVR Main<6200>", "Queue Support<6400>", "0900123", "RingGroup A<6300>"]
        ),
        "did_number": st.sampled_from(["", "1", "2"]),
        "disposition": st.sampled_from(
            ["ANSWERED", "ANSWERED", "NO ANSWER", "BUSY", "VOICEMAIL", "CONGESTED"]
        ),
        "call_type": st.sampled_from(["Inbound", "Outbound", "Internal", "Conference"]),
        "src_trunk": st.sampled_from(["", "sip", "PSTN"]),
        "dst_trunk": st.sampled_from(["", "sip"]),
        "ring_duration": _times,
        "talk_duration": _times,
        "duration": _times,
        "ago": st.integers(0, 400) | st.integers(0, 20_000),
    }
)


def ending_together(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return *rows*, the legs of each call within a minute: as long as a call takes to settle.

    Here one row at the end of a page, not eight, says when the rows below it were written, so it
    must not end longer before its call.
    """
    ends: dict[str, int] = {}
    return [
        {**row, "ago": ends.setdefault(row["uid"], row["ago"]) + row["ago"] % 60}
        if row["uid"]
        else row
        for row in rows
    ]


def all_counted(rows: list[dict[str, Any]], numbers: Mapping[str, Any]) -> Mapping[Series, Value]:
    """Return what the call families hold after a baseline of *rows*."""
    pbx = FakePBX()
    last = {row["uid"]: row["ago"] for row in sorted(rows, key=lambda row: -row["ago"])}
    # All legs of a call get their ids when its last one ends.
    for row in sorted(rows, key=lambda row: -(last[row["uid"]] if row["uid"] else row["ago"])):
        started_at = int(pbx.clock.wall) - row["ago"] - row["duration"]
        fields = {key: value for key, value in row.items() if key != "ago"}
        pbx.call(**fields, started_at=started_at)
    settings = PBX(
        name="hq",
        base_url="http://127.0.0.1",
        client_id="me",
        secret=SecretSource(env="X"),
        start="all",
        max_trunks=1,
        **numbers,
    )
    store, self_metrics = MemoryStore().loaded(), SelfMetrics(BOUNDS)
    poller = Poller(
        settings,
        PageReader(pbx, self_metrics, pbx.clock),
        store,
        call_rules=call_rules_of(settings, MACHINE_CALLEES),
        self_metrics=self_metrics,
        bounds=BOUNDS,
        clock=pbx.clock,
        publish=lambda _: None,
    )
    for _ in range(8):
        pbx.clock.pass_(max(20.0, poller.poll()))
    names = {family.name for family in CALL_FAMILIES}
    return {
        key: value
        for key, value in store.totals.series.items()
        if key.family in names and any(value)
    }


@pytest.mark.parametrize("numbers", [{}, NUMBERS], ids=["no-numbers", "numbers"])
@given(rows=st.lists(any_row, min_size=1, max_size=40))
@profile(max_examples=60, deadline=None)
def test_calls_of_one_leg_count_the_same_with_and_without_the_fast_path(
    rows: list[dict[str, Any]], numbers: Mapping[str, Any]
) -> None:
    rows = ending_together(rows)
    with pytest.MonkeyPatch.context() as patch:
        # Small pages, so that most have others below them.
        patch.setattr(tail, "START_PAGE_ROWS", 5)
        patch.setattr(read_plan, "LARGEST_PAGE", 5)
        patch.setattr(page_size, "LARGEST_PAGE", 5)
        patch.setattr(call_assembly, "_ROWS_AT_PAGE_END", 1)
        fast = all_counted(rows, numbers)
        patch.setattr(
            CallAssembler,
            "_split_off_single_leg_calls",
            lambda self, groups, multi_leg_uids, at: ((), groups),
        )
        by_legs = all_counted(rows, numbers)

    assert fast == by_legs
    assert sum(value[0] for key, value in fast.items() if key.family == "cdr_calls_total") == len(
        {row["uid"] for row in rows if row["uid"]}
    ) + sum(not row["uid"] for row in rows)
