"""Fixtures of the simulated PBX: its clock, its API, and events asked for in two ways."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pbx_simulator import SimulatedPBX
from pbx_simulator.http_messages import HTTPRequest
from pbx_simulator.serving import answer_with_control

from .support import APIUser, SettableClock, Steer

COMMAND_OF = {
    "shift_before_each": "shift",
    "malform_pages": "spoil-pages",
    "malform_row": "poison",
    "mend_rows": "cure",
}
"""Where the command is not the method's name with hyphens."""


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def pbx(clock: SettableClock) -> SimulatedPBX:
    return SimulatedPBX(clock=clock)


@pytest.fixture
def user(pbx: SimulatedPBX) -> APIUser:
    return APIUser(pbx)


@pytest.fixture(params=["by-method", "by-control"])
def steer(pbx: SimulatedPBX, request: pytest.FixtureRequest) -> Steer:
    """Let an event happen to the PBX, by its method or by the control path."""

    def by_method(event: str, **arguments: Any) -> Any:
        parts = (pbx.office, pbx.maintenance, pbx.faults)
        (part,) = (part for part in parts if hasattr(part, event))
        return getattr(part, event)(**arguments)

    def by_control(event: str, **arguments: Any) -> Any:
        command = COMMAND_OF.get(event, event.replace("_", "-"))
        body = json.dumps(arguments).encode()
        reply = answer_with_control(pbx, HTTPRequest("POST", f"/control/{command}", body=body))
        assert reply.status == 200, reply.body
        return next(iter(json.loads(reply.body).values()), None)

    return by_method if request.param == "by-method" else by_control
