"""The real poller, store and ledger, and a PBX and a clock that a test moves by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from cdr_exporter.clock import Clock
from cdr_exporter.ingest import PBXState, call_rules_of, counting_rules_of
from cdr_exporter.metrics.call_metrics import number_zeros
from cdr_exporter.metrics.self_metrics import SelfMetrics
from cdr_exporter.metrics.snapshot import Snapshot
from cdr_exporter.metrics.totals import Bounds, Series
from cdr_exporter.poller.poller import Poller
from cdr_exporter.settings import PBX, SecretSource
from cdr_exporter.store import FileStore, Store
from cdr_exporter.tail.page_reader import CDRList, PageReader

from .counts import records
from .fake_clock import FakeClock
from .fake_pbx import FakePBX
from .rows import BOUNDS


class TimedCDRList(CDRList, Protocol):
    """A CDR list with a clock, which is then the poller's too."""

    clock: FakeClock


def poller_of(
    settings: PBX,
    cdr_list: CDRList,
    store: Store,
    clock: Clock,
    publish: Callable[[Snapshot], None],
    bounds: Bounds = BOUNDS,
) -> Poller:
    """Return a poller of *cdr_list* that goes on from what *store* has; its waits are not random.

    What it publishes goes to *publish*.
    """
    self_metrics = SelfMetrics(bounds)
    rules = counting_rules_of(settings, call_rules_of(settings), bounds)
    return Poller(
        settings,
        PageReader(cdr_list, self_metrics, clock),
        store,
        PBXState.of(store.load(), rules),
        self_metrics=self_metrics,
        clock=clock,
        publish=publish,
        random_fraction=lambda: 0.5,
    )


class PollerHarness:
    """A poller with all that it needs; `restart` is a new process that finds the same state.

    It asks *pbx*, unless a test gives it another *cdr_list*. *shown* holds what was published.
    """

    def __init__(
        self,
        state_dir: Path,
        pbx: FakePBX | None = None,
        *,
        cdr_list: TimedCDRList | None = None,
        name: str = "hq",
        bounds: Mapping[str, tuple[int, ...]] = BOUNDS,
        **settings: Any,
    ) -> None:
        self.pbx = pbx or FakePBX()
        self.cdr_list = cdr_list or self.pbx
        self.clock = self.cdr_list.clock
        self.shown: list[Snapshot] = []
        self.settings = PBX(
            name=name,
            base_url="http://127.0.0.1",
            client_id="me",
            secret=SecretSource(env="X"),
            **settings,
        )
        self.state_dir = state_dir
        self.bounds = bounds
        self.call_rules = call_rules_of(self.settings)
        self._start()

    def _start(self) -> None:
        zeros = number_zeros(self.call_rules)
        self.store = FileStore(self.state_dir, self.settings.name, "me", self.bounds, zeros)
        self.poller = poller_of(
            self.settings, self.cdr_list, self.store, self.clock, self.shown.append, self.bounds
        )

    def restart(self) -> None:
        """End this process and begin another."""
        self.close()
        self.call_rules = call_rules_of(self.settings)
        self._start()

    def close(self) -> None:
        """Let the state file go."""
        self.store.close()

    def poll(self, times: int = 1) -> float:
        """Poll so often, without waiting; return the wait asked for at last, in seconds."""
        for _ in range(times):
            wait = self.poller.poll()
        return wait

    @property
    def state(self) -> PBXState:
        """Return what was committed last, as the poller goes on from it."""
        return self.poller.state

    @property
    def last(self) -> Snapshot:
        """Return what was published last."""
        return self.shown[-1]

    @property
    def counted(self) -> int:
        """Return how many rows are counted."""
        return records(self.state.totals)

    def own(self, family: str, *labels: str) -> int:
        """Return a counter about the exporter itself, as published last."""
        return self.last.own[Series(family, labels)][0]

    def total(self, family: str, *labels: str) -> int:
        """Return a durable counter, as published last."""
        return self.last.totals.series[Series(family, labels)][0]

    def gauge(self, family: str, *labels: str) -> float:
        """Return a gauge, as published last."""
        return self.last.gauges[Series(family, labels)]


MakeHarness = Callable[..., PollerHarness]
"""What the fixture `make_harness` is: makes a harness of the arguments of `PollerHarness`.

*state_dir* may be left out: each has a directory of its own then. All are closed at the end.
"""


def shorten_pages(pbx: FakePBX, most: int) -> None:
    """Let *pbx* leave out what goes beyond *most* rows of a page, and tell the true total."""
    pbx.edit_answer = lambda query, answer: replace(answer, rows=answer.rows[:most])
