"""Which call adds to which series."""

from __future__ import annotations

from typing import Any

import pytest

from cdr_exporter.calls import OUTCOMES, QUEUE_OUTCOMES, CallRules, assemble_call, group_calls
from cdr_exporter.metrics.call_metrics import count_calls, number_zeros
from cdr_exporter.metrics.totals import Series, Value

from ..support.call_traces import legs
from ..support.rows import BOUNDS

NUMBERS: dict[str, Any] = {
    "dids": {"1": "sales"},
    "queues": {"6400": "support"},
    "destinations": {"premium": ("0900",)},
}
TRUNKS = frozenset({"none", "sip", "PSTN"})


def counted(trace: str, **call_rules: Any) -> dict[Series, Value]:
    parts = legs(trace, CallRules(**call_rules))
    return dict(count_calls(group_calls([assemble_call(parts)]), BOUNDS, TRUNKS))


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
    assert observation(series.pop(Series("cdr_call_wait_seconds", labels)), "wait") == (5, 4)
    menu = series.pop(Series("cdr_call_menu_seconds", ("Inbound",)))
    assert observation(menu, "wait") == (20, 20)
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
    assert {key.family for key in series} == {
        "cdr_call_duration_seconds",
        "cdr_call_legs",
        *(["cdr_call_menu_seconds"] if outcome == "machine" else []),
    }


def test_a_call_of_a_trunk_beyond_max_trunks_counts_under_other() -> None:
    series = counted("0  Ada<2001>  ANSWERED  1  9  in  Beyond")

    assert Series("cdr_calls_total", ("answered", "Inbound", "other")) in series


def test_a_call_counts_under_the_numbers_that_the_user_named() -> None:
    series = counted(
        """
        0   Queue Support<6400>  NO ANSWER  15  0   in   sip       did=1  forwarded
        15  Queue Sales<6401>    NO ANSWER  15  0   in   sip       did=1  forwarded
        30  0900123              ANSWERED   9   45  out  sip>PSTN  hangup
        """,
        **NUMBERS,
    )

    assert series[Series("cdr_did_calls_total", ("sales", "answered"))] == (1,)
    wait = observation(series[Series("cdr_did_wait_seconds", ("sales",))], "wait")
    assert wait == (45, 39)
    assert series[Series("cdr_queue_calls_total", ("support", "passed_on"))] == (1,)
    assert series[Series("cdr_queue_calls_total", ("other", "passed_on"))] == (1,)
    assert series[Series("cdr_destination_calls_total", ("premium",))] == (1,)
    assert series[Series("cdr_destination_talk_seconds_total", ("premium",))] == (45,)


def test_what_became_of_a_call_in_a_queue_has_times_of_its_own() -> None:
    series = counted(
        """
        0   IVR Main<6200>       ANSWERED   0   10  in  sip
        10  Queue Support<6400>  ANSWERED   12  40  in  sip
        14  Ada<2001>            ANSWERED   8   40  in  sip
        90  Queue Sales<6401>    NO ANSWER  25  0   in  sip
        """,
        **NUMBERS,
    )

    assert series[Series("cdr_queue_calls_total", ("support", "answered"))] == (1,)
    wait = series[Series("cdr_queue_wait_seconds", ("support",))]
    assert observation(wait, "wait") == (15, 12)
    assert series[Series("cdr_queue_calls_total", ("other", "no_answer"))] == (1,)
    abandon = series[Series("cdr_queue_abandon_seconds", ("other",))]
    assert observation(abandon, "wait") == (30, 25)


def test_a_call_to_an_emergency_number_counts_as_one() -> None:
    emergency = Series("cdr_emergency_calls_total")

    def series(callee: str, way: str = "out  sip") -> dict[Series, Value]:
        return counted(f"0  {callee}  ANSWERED  3  9  {way}", emergency_numbers=("112", "1112"))

    assert series("112")[emergency] == (1,)
    assert series("112", "int")[emergency] == (1,)
    assert emergency not in series("1120")
    assert emergency not in series("Ada<1112>", "int")  # her extension


# --- what exists at 0 ----------------------------------------------------------------------------


def test_numbers_that_the_user_named_exist_at_0_with_other() -> None:
    zeros = number_zeros(CallRules(**NUMBERS))

    assert set(zeros.values()) == {(0,)}
    assert {key.labels for key in zeros if key.family == "cdr_did_calls_total"} == {
        (did, outcome) for did in ("sales", "other") for outcome in OUTCOMES
    }
    assert {key.labels for key in zeros if key.family == "cdr_queue_calls_total"} == {
        (queue, outcome) for queue in ("support", "other") for outcome in QUEUE_OUTCOMES
    }
    assert {key.labels for key in zeros if key.family == "cdr_destination_calls_total"} == {
        ("premium",),
        ("other",),
    }


def test_no_series_of_numbers_exists_where_none_is_named() -> None:
    assert number_zeros(CallRules()) == {}
