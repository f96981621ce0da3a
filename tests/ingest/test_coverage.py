"""Of which time the charts know the calls: the real poller and store, and a fake PBX."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cdr_exporter.errors import TryAgain
from cdr_exporter.metrics.quarters import QUARTER

from ..support.counts import all_quarters, calls_in_charts, counted
from ..support.fake_pbx import FakePBX
from ..support.poller_harness import PollerHarness

CALLS = "cdr_calls_total"


@pytest.fixture
def new_harness(tmp_path: Path) -> Iterator[Callable[..., PollerHarness]]:
    """Return what makes a poller that has not polled yet."""
    made: list[PollerHarness] = []

    def make(**settings: Any) -> PollerHarness:
        made.append(PollerHarness(tmp_path, FakePBX(), **settings))
        return made[-1]

    yield make
    for each in made:
        each.close()


def run(it: PollerHarness, seconds: float) -> None:
    end = it.clock.wall + seconds
    while it.clock.wall < end:
        it.clock.pass_(it.poll())


def unreached(it: PollerHarness, since: float) -> int:
    """Return in how many quarters of an hour the PBX was not reached, from *since* to now."""
    now = int(it.clock.wall) // QUARTER
    return it.last.quarters.coverage.unreached(int(since) // QUARTER, now)


def test_with_start_now_counting_begins_at_the_first_poll(
    new_harness: Callable[..., PollerHarness],
) -> None:
    it = new_harness()
    it.pbx.call(started_at=int(it.clock.wall) - 3600)
    began = int(it.clock.wall)
    run(it, 120)

    coverage = it.last.quarters.coverage
    assert (coverage.counted_from, calls_in_charts(it.last.quarters)) == (began, 0)


def test_with_start_all_the_past_is_in_the_charts(
    new_harness: Callable[..., PollerHarness],
) -> None:
    it = new_harness(start="all")
    oldest = int(it.clock.wall) - 20 * 86_400
    it.pbx.call(started_at=oldest)
    it.pbx.call(700)
    run(it, 300)

    quarters = it.last.quarters
    assert quarters.coverage.counted_from == oldest // QUARTER * QUARTER
    assert calls_in_charts(quarters) == counted(it.last.totals, CALLS) == 701
    assert unreached(it, oldest) == 0


def test_an_outage_is_marked_and_its_calls_go_where_they_belong(
    new_harness: Callable[..., PollerHarness],
) -> None:
    it = new_harness()
    it.pbx.call()
    run(it, QUARTER)
    began = it.clock.wall
    it.pbx.failures = [TryAgain("x", reason="connect") for _ in range(10_000)]
    run(it, 4 * QUARTER)
    it.pbx.call(started_at=int(began) + QUARTER, duration=30)
    it.pbx.failures = []
    run(it, QUARTER)

    assert unreached(it, began) in (3, 4)
    assert calls_in_charts(it.last.quarters) == 1
    first = int(began) // QUARTER + 1
    [there] = it.last.quarters.sums([first, first + 1])
    assert there.calls == 1


def test_a_restart_keeps_the_charts(new_harness: Callable[..., PollerHarness]) -> None:
    it = new_harness()
    it.pbx.call()
    run(it, 60)
    it.pbx.call(50)
    run(it, 300)
    before = it.last.quarters
    it.restart()
    it.poller.publish()

    assert all_quarters(it.last.quarters).by_kind == all_quarters(before).by_kind
    assert it.last.quarters.coverage == before.coverage
    assert calls_in_charts(before) == counted(it.last.totals, CALLS) == 50


def test_an_idle_pbx_costs_one_commit_a_quarter(new_harness: Callable[..., PollerHarness]) -> None:
    it = new_harness()
    it.pbx.call()
    run(it, 120)
    written: list[str] = []
    it.store._db.set_trace_callback(written.append)
    run(it, 4 * QUARTER)
    it.store._db.set_trace_callback(None)

    assert sum(each == "COMMIT" for each in written) == 4
