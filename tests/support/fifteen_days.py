"""Fifteen days of two simulated PBXs, as a Prometheus that scraped their exporter holds them.

    Exporter    pollers, ledgers, stores and pages as they are; the PBXs in the same process
    Past        its pages with their times, made into blocks by promtool, and a Prometheus on them

A scrape comes every 30 minutes, and every 5 on the last day, which some queries look at closely.
Bounds are fewer than usual, and only what the dashboards ask for is kept: it is a matter of time.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

from cdr_exporter.errors import TryAgain
from cdr_exporter.exposition import Exposition
from cdr_exporter.ingest import call_rules_of
from cdr_exporter.metrics.call_metrics import number_zeros
from cdr_exporter.metrics.catalogue import RELOAD_SUCCESSFUL
from cdr_exporter.metrics.snapshot import Snapshot
from cdr_exporter.settings import PBX, SecretSource
from cdr_exporter.store import FileStore
from pbx_simulator import OfficeSettings, SimulatedPBX
from pbx_simulator.directory import BERLIN

from .fake_clock import FakeClock
from .in_process_cdr_list import InProcessCDRList
from .poller_harness import poller_of
from .processes import Prometheus
from .recorded_rules import promtool, record, rules_in

MINUTE, HOUR, DAY = 60, 3_600, 86_400

BEGIN = 1_700_524_800
"""A Tuesday at midnight, UTC."""

END = BEGIN + 15 * DAY
LAST_DAY = END - DAY
SCRAPE_INTERVAL = 30 * MINUTE

DOWN = range(LAST_DAY + 10 * HOUR, LAST_DAY + 11 * HOUR)
"""When the branch cannot be reached."""

BOUNDS = {
    "duration": (5, 20, 60, 300, 1200),
    "ring": (5, 20, 60),
    "wait": (5, 20, 60, 300),
    "legs": (1, 2, 4, 8),
    "delay": (60, 900, 3600),
}

ZONES = {"hq": ZoneInfo("Europe/Berlin"), "branch": ZoneInfo("Asia/Tokyo")}
OFFSETS = {"hq": HOUR, "branch": 9 * HOUR}
RATES = {"hq": 1.0, "branch": 0.3}


class Exporter:
    """One PBX and its poller, on a clock set by hand."""

    last: Snapshot

    def __init__(self, name: str, state_dir: Path, clock: FakeClock) -> None:
        self.pbx = SimulatedPBX(
            OfficeSettings(seed=len(name), rate=RATES[name], utc_offset_seconds=OFFSETS[name]),
            clock=lambda: clock.wall,
        )
        settings = PBX(
            name=name,
            base_url="http://127.0.0.1",
            client_id="me",
            secret=SecretSource(env="X"),
            stale_after=2.0 * HOUR,
            birth_hold=45.0 * MINUTE,
            dids={number: f"did {number[-3:]}" for number in BERLIN.dids},
            queues={number: f"queue {number}" for number in BERLIN.queues},
            destinations={"international": ("00",), "national": ("0",)},
        )
        call_rules = call_rules_of(settings)

        def refuse_when_down() -> None:
            if name == "branch" and clock.wall in DOWN:
                raise TryAgain("refused", reason="connect")

        self.store = FileStore(state_dir, name, "me", BOUNDS, number_zeros(call_rules))
        cdr_list = InProcessCDRList(self.pbx, refuse_when_down)
        self._poller = poller_of(settings, cdr_list, self.store, clock, self._keep, BOUNDS)

    def _keep(self, snapshot: Snapshot) -> None:
        self.last = snapshot

    def poll(self) -> None:
        self.pbx.office.tick()
        self._poller.poll()


class Past:
    """The two PBXs after fifteen days, and when a call of a trunk was last counted."""

    def __init__(self, directory: Path, metrics: Sequence[str]) -> None:
        """Let the days pass; only *metrics* are kept."""
        self.last_risen: dict[tuple[str, str], float] = {}
        self._directory = directory
        self._clock = FakeClock(float(BEGIN))
        state_dir = directory / "state"
        state_dir.mkdir()
        self._exporters = [Exporter(name, state_dir, self._clock) for name in ZONES]
        reloads = {RELOAD_SUCCESSFUL: 1.0}
        self._exposition = Exposition(BOUNDS, "1.2.3", ZONES, process=lambda: reloads)
        self._kept = re.compile(rb"^(?:%s)[{ ].*\n" % "|".join(metrics).encode(), re.MULTILINE)
        try:
            self._pass()
        finally:
            for exporter in self._exporters:
                exporter.store.close()

    def _pass(self) -> None:
        path = self._directory / "past.om"
        with path.open("wb") as file:
            for page in self._pages():
                file.write(page.replace(b"\n", b" %d\n" % self._clock.wall))
            file.write(b"# EOF\n")
        # One block: promtool reads the whole file again for each.
        promtool("openmetrics", "--max-block-duration=720h", path, self._directory / "data")
        path.unlink()

    def _pages(self) -> Iterator[bytes]:
        before: dict[tuple[str, str], float] = {}
        while self._clock.wall <= END:
            for exporter in self._exporters:
                exporter.poll()
            now = self._clock.now()
            snapshots = [exporter.last for exporter in self._exporters]
            page = self._exposition.all_pbxs(snapshots, now, openmetrics=False).plain
            yield b"".join(self._kept.findall(page))
            counts = self._counts()
            self.last_risen.update(
                {key: now.wall for key, count in counts.items() if count > before.get(key, 0)}
            )
            before = counts
            self._clock.pass_(SCRAPE_INTERVAL if now.wall < LAST_DAY else 5 * MINUTE)

    def _counts(self) -> dict[tuple[str, str], float]:
        counts: dict[tuple[str, str], float] = {}
        for exporter in self._exporters:
            for series, value in exporter.last.totals.series.items():
                if series.family == "cdr_calls_total":
                    key = exporter.last.pbx, series.labels[2]
                    counts[key] = counts.get(key, 0) + value[0]
        return counts

    def prometheus(self) -> Prometheus:
        """Return a Prometheus that holds it; whoever asks ends it."""
        flags = (
            "--storage.tsdb.retention.time=100y",
            f"--query.lookback-delta={SCRAPE_INTERVAL}s",
        )
        return Prometheus(self._directory, "", *flags)

    def record(self, path: Path, wanted: Collection[str]) -> None:
        """Add what the rules at *path* would have recorded at the end under the *wanted* names."""
        record(self._directory, self.prometheus, rules_in(path, wanted), [END])
