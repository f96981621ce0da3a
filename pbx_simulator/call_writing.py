"""A call as the PBX's firmware and settings write it.

Rule: the truth of a call, and when it happened, stay as they are; only what its rows say changes.
The one exception is what only `reason` tells, which newer firmware does not write.

Observed on firmware 37.23: the row of a queue and that of the agent who answered have the same
times, as if the agent's telephone had rung since the caller came (in 1,091 of 1,192 calls; here in
all), and the same `record_file`, which has the `call_id` in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from .added_fields import call_id
from .rows import Row, display_time, make_row
from .scenarios import SCENARIOS
from .truth import SimulatedCall, end

_TIMES = ("time", "timestamp", "duration", "ring_duration", "talk_duration")
_RECORDED_AS = re.compile(r"(\d{14})-\d+\.\d+-")  # leg's start, call; then the parties


def as_newer_firmware(call: SimulatedCall, utc_offset_seconds: int) -> SimulatedCall:
    """Return *call* with rows as firmware x.21.0.117 and later write them."""
    legs = list(call.legs)
    for number, queue in enumerate(call.legs):
        if (agent := _agent(call.legs, number)) is not None:
            legs[agent] = _alike(legs[agent], {name: queue.get(name) for name in _TIMES})
            legs[number] = _alike(queue, {"record_file": legs[agent].get("record_file")})
    scenario = SCENARIOS[call.scenario]
    truth = call.truth._replace(outcome=scenario.without_reason or scenario.outcome)
    return _each_leg(
        call._replace(legs=tuple(legs), truth=truth), lambda leg: _recorded(leg, utc_offset_seconds)
    )


def as_displayed(call: SimulatedCall, utc_offset_seconds: int, time_format: str) -> SimulatedCall:
    """Return *call* with `time` in *time_format*, one of `TIME_FORMATS`."""

    def shown(leg: Row) -> Row:
        return {**leg, "time": display_time(leg["timestamp"], utc_offset_seconds, time_format)}

    return _each_leg(call, shown)


def _each_leg(call: SimulatedCall, changed: Callable[[Row], Row]) -> SimulatedCall:
    return call._replace(legs=tuple(map(changed, call.legs)))


def _agent(legs: Sequence[Row], number: int) -> int | None:
    """Return the number of the leg to who answered in the queue that leg *number* is to."""
    queue = legs[number]
    if not queue["call_to"].startswith("Queue ") or queue["disposition"] != "ANSWERED":
        return None
    talk = (end(queue), queue["talk_duration"])
    later = range(number + 1, len(legs))
    return next((n for n in later if (end(legs[n]), legs[n].get("talk_duration")) == talk), None)


def _alike(leg: Row, fields: Row) -> Row:
    return make_row(leg | fields)


def _recorded(leg: Row, utc_offset_seconds: int) -> Row:
    if "record_file" not in leg:
        return leg
    name = _RECORDED_AS.sub(rf"\1-{call_id(leg, utc_offset_seconds)}-", leg["record_file"], count=1)
    return leg | {"record_file": name}
