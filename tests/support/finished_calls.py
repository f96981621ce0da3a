"""Calls that are over, as `assemble_call` makes them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from cdr_exporter.calls import OUTCOMES, Call
from cdr_exporter.metrics.quarters import KEPT_DAYS, QUARTER

NOW = 1_700_000_000.0
"""Tuesday, 14 November 2023, 22:13:20 UTC."""

QUARTER_NOW = int(NOW) // QUARTER
MIDNIGHT = int(NOW) // 86_400 * 86_400
HOUR, DAY = 3600, 86_400


def call(started_at: float = NOW, outcome: str = "answered", **fields: Any) -> Call:
    """Return an inbound call of a minute; its times are as its outcome says."""
    usual: dict[str, Any] = {
        "call_type": "Inbound",
        "trunk": "sip",
        "duration": 60,
        "wait": 5 if outcome == "answered" else None,
        "abandon": 60 if outcome == "no_answer" else None,
        "menu": None,
        "talk": 55 if outcome == "answered" else 0,
        "legs": 1,
        "did": "",
        "queues": (),
        "talk_by_destination": {},
        "emergency": False,
    }
    return Call(outcome=outcome, started_at=int(started_at), **{**usual, **fields})


@st.composite
def some_calls(draw: st.DrawFn) -> list[Call]:
    """Draw calls of any kind that started within the last weeks, as `assemble_call` makes them."""
    starts = st.integers(int(NOW) - KEPT_DAYS * DAY, int(NOW))
    seconds = st.integers(0, 90)

    def made(start: int, outcome: str, call_type: str, some: int) -> Call:
        handed = outcome == "no_answer" and some % 4
        return call(
            start,
            outcome,
            call_type=call_type,
            wait=some if outcome == "answered" else None,
            abandon=some if handed else None,
        )

    types = st.sampled_from(["Inbound", "Inbound", "Outbound", "Internal", "Other"])
    return draw(st.lists(st.builds(made, starts, st.sampled_from(OUTCOMES), types, seconds)))
