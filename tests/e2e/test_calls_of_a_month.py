"""Simulated weeks of calls, counted over restarts and kills, against what became of them."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cdr_exporter.ingest import StateChange, call_rules_of
from cdr_exporter.metrics.call_metrics import number_zeros
from cdr_exporter.settings import PBX, SecretSource
from cdr_exporter.store import FileStore
from pbx_simulator import OfficeSettings, SimulatedPBX
from pbx_simulator.directory import BERLIN

from ..support.counts import all_quarters
from ..support.fake_clock import FakeClock
from ..support.in_process_cdr_list import InProcessCDRList
from ..support.poller_harness import poller_of
from ..support.rows import BOUNDS

DAY, MINUTE = 86_400, 60
SUNDAY_AT_3 = 1_700_362_800.0
"""A time at which the office is so quiet that all its calls are over."""

LONGEST_CALL = 11_700.0


class Killed(BaseException):
    """The process is gone."""


class Chance:
    """Kills the exporter at a request or at a commit, every now and then."""

    def __init__(self, share: float) -> None:
        self._jitter = random.Random(11)
        self.share = share

    def strike(self) -> None:
        if self._jitter.random() < self.share:
            raise Killed


class KilledStore(FileStore):
    """A store whose process may be killed before or after any commit."""

    kill: Chance

    def commit(self, change: StateChange) -> None:
        self.kill.strike()
        super().commit(change)
        self.kill.strike()


class Month:
    """An office, and an exporter that is killed now and then."""

    def __init__(self, state_dir: Path, legs_appear: str, **pbx: Any) -> None:
        self.clock = FakeClock(SUNDAY_AT_3)
        self.kill = Chance(0.003)
        self.restarts = 0
        self.pbx = SimulatedPBX(
            OfficeSettings(legs_appear=legs_appear), clock=lambda: self.clock.wall, **pbx
        )
        self.settings = PBX(
            name="hq",
            base_url="http://127.0.0.1",
            client_id="me",
            secret=SecretSource(env="X"),
            poll_interval=5.0 * MINUTE,
            stale_after=30.0 * MINUTE,
            legs_appear=legs_appear,
            dids={did: f"did {did[-3:]}" for did in BERLIN.dids},
            queues={number: f"queue {number}" for number in BERLIN.queues},
        )
        self._state_dir = state_dir
        self._list = InProcessCDRList(self.pbx, self.kill.strike)
        self.store: FileStore | None = None
        self._begin()

    def _begin(self) -> None:
        if self.store is not None:
            self.store.close()
            self.restarts += 1
        call_rules = call_rules_of(self.settings)
        self.store = KilledStore(self._state_dir, "hq", "me", BOUNDS, number_zeros(call_rules))
        self.store.kill = self.kill
        self._poller = poller_of(self.settings, self._list, self.store, self.clock, lambda _: None)

    def poll(self) -> None:
        try:
            self.clock.pass_(self._poller.poll())
        except Killed:
            self._begin()

    def run(self, seconds: float, *, telephoning: bool = True) -> None:
        end = self.clock.wall + seconds
        while self.clock.wall < end:
            if telephoning:
                self.pbx.office.tick()
            self.poll()

    def settle(self) -> None:
        """Let all be quiet until no call can be open any more."""
        self.kill.share = 0.0
        assert self.pbx.state()["open_calls"] == 0
        self.run(LONGEST_CALL + 30 * MINUTE, telephoning=False)

    def counted(self, family: str) -> dict[tuple[str, ...], int]:
        series = self._poller.state.totals.series.items()
        return {key.labels: value[0] for key, value in series if key.family == family and value[0]}

    def assert_charts_show_the_calls_counted(self) -> None:
        """All of them are in a chart, as no run is longer than charts go back."""
        counted: Counter[tuple[str, str]] = Counter()
        for (outcome, call_type, _), calls in self.counted("cdr_calls_total").items():
            counted[call_type, outcome] += calls
        charted = all_quarters(self._poller.state.quarters).by_kind
        assert {kind: sums.calls for kind, sums in charted.items()} == counted


@pytest.fixture
def month(tmp_path: Path) -> Iterator[Any]:
    made: list[Month] = []

    # A kill of the process is what is tried here, so that nothing has to wait for a disk.
    memory = Path("/dev/shm")  # noqa: S108
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as state:

        def make(*args: Any, **pbx: Any) -> Month:
            made.append(Month(Path(state), *args, **pbx))
            return made[-1]

        yield make
        for each in made:
            assert each.store is not None
            each.store.close()


def truth(listed: list[dict[str, Any]], *names: str) -> dict[tuple[str, ...], int]:
    return {tuple(each[name] for name in names): each["count"] for each in listed}


@pytest.mark.slow
@pytest.mark.fault("H10")
@pytest.mark.parametrize("order", ["first", "last", "left_out"])
def test_the_calls_counted_are_those_that_were_made_where_an_upgrade_takes_the_ids_away(
    month: Any, order: str
) -> None:
    it = month("at_call_end")
    it.run(DAY)
    it.pbx.maintenance.upgrade(order)
    it.run(DAY)
    it.settle()
    known = it.pbx.state()

    assert it.counted("cdr_calls_total") == truth(known["calls"], "outcome", "call_type", "trunk")
    it.assert_charts_show_the_calls_counted()
    assert it.counted("cdr_exporter_late_legs_total") == {}


@pytest.mark.slow
@pytest.mark.fault("H3", "H4")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("legs_appear", ["at_call_end", "one_by_one"])
@pytest.mark.parametrize(
    "weeks", [1, pytest.param(4, marks=pytest.mark.long)], ids=["a-week", "a-month"]
)
def test_the_calls_counted_in_weeks_are_those_that_were_made(
    month: Any, legs_appear: str, weeks: int
) -> None:
    it = month(legs_appear)
    it.run(weeks * 7 * DAY)
    it.settle()
    known = it.pbx.state()

    assert it.restarts > 5 * weeks
    assert it.counted("cdr_calls_total") == truth(known["calls"], "outcome", "call_type", "trunk")
    it.assert_charts_show_the_calls_counted()
    assert sum(it.counted("cdr_records_total").values()) == sum(e["count"] for e in known["ever"])
    # One by one, what follows a person's answer may end long after the call was counted.
    assert legs_appear == "one_by_one" or it.counted("cdr_exporter_late_legs_total") == {}
    assert it.counted("cdr_did_calls_total") == {
        (f"did {did[-3:]}", outcome): count
        for (did, outcome), count in truth(known["did_calls"], "did", "outcome").items()
    }
    assert it.counted("cdr_queue_calls_total") == {
        (f"queue {queue}", outcome): count
        for (queue, outcome), count in truth(known["queue_calls"], "queue", "outcome").items()
    }
