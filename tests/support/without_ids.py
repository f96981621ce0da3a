"""A PBX that gives new rows no id: calls that end there, and polls of it."""

from __future__ import annotations

from cdr_exporter.ledger.order import Order

from .fake_pbx import FakePBX
from .poller_harness import PollerHarness


def end(pbx: FakePBX, times: int = 1, *, named: bool = False, duration: int = 60) -> None:
    """Let calls end, one a second: rows with an id where *named*, else without."""
    for _ in range(times):
        pbx.clock.pass_(1)
        fields = {"started_at": int(pbx.clock.wall) - duration, "duration": duration}
        (pbx.call if named else pbx.call_without_id)(**fields)


def order_of(it: PollerHarness) -> Order | None:
    """Return the order in which the list is followed; None until a row was seen."""
    return it.state.ledger.order if it.state.ledger is not None else None


def poll(it: PollerHarness, times: int = 1, every: float = 30.0) -> None:
    """Poll so many times, so many seconds apart."""
    for _ in range(times):
        it.poll()
        it.clock.pass_(every)
