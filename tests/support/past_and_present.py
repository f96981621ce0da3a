"""A simulated PBX with a past, an exporter that begins to poll it later, and the blocks of both.

Office      a PBX on a clock set by hand, and what became of its calls, by local day
Live        an exporter that polls it, and its pages with their times, as a Prometheus has them
written     the past as `history` writes it
in_blocks   texts made into one block by promtool, and a Prometheus on it
"""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from cdr_exporter.commands.shared import shared_in_files
from cdr_exporter.exposition import Exposition
from cdr_exporter.history import Asked, Machine, Result, write_past
from cdr_exporter.history.text import target_labels
from cdr_exporter.ingest import call_rules_of
from cdr_exporter.metrics.call_metrics import number_zeros
from cdr_exporter.metrics.snapshot import Snapshot
from cdr_exporter.settings import PBX, SecretSource, Settings
from cdr_exporter.store import FileStore
from pbx_simulator import OfficeSettings, SimulatedPBX
from pbx_simulator.directory import BERLIN as OFFICE
from pbx_simulator.firmware import Upgrade

from .fake_clock import FakeClock
from .in_process_cdr_list import InProcessCDRList
from .poller_harness import poller_of
from .processes import Prometheus
from .programs import require

MINUTE, HOUR, DAY = 60, 3_600, 86_400

BERLIN = ZoneInfo("Europe/Berlin")

BOUNDS = {
    "duration": (20, 60, 300),
    "ring": (20,),
    "wait": (5, 20),
    "legs": (1, 2),
    "delay": (60,),
}

STATIC = {"job": "cdr-exporter", "instance": "localhost:10088"}

Outcomes = Counter[tuple[str, str, str]]
"""Calls by (outcome, call_type, trunk)."""


def midnights(first: date, days: int) -> list[int]:
    """Return the midnights of Berlin from *first* on (epoch seconds), and that after the last."""
    starts = (first + timedelta(days=n) for n in range(days + 1))
    return [int(datetime(d.year, d.month, d.day, tzinfo=BERLIN).timestamp()) for d in starts]


class Office:
    """A PBX whose office telephones as the clock goes on."""

    def __init__(self, begin: float, *, rate: float = 1.0, upgrade: Upgrade | None = None) -> None:
        self.clock = FakeClock(begin)
        self.pbx = SimulatedPBX(
            OfficeSettings(seed=7, rate=rate, utc_offset_seconds=HOUR),
            clock=lambda: self.clock.wall,
            upgrade=upgrade,
        )
        self.ended: dict[int, Outcomes] = {}
        """By a midnight (epoch seconds): the calls that had ended before it."""

    def until(self, time: float) -> None:
        """Let the office telephone until *time*, and take note of the calls that ended by then."""
        # A call that ends at midnight is one of the new day.
        self.clock.pass_(time - 0.001 - self.clock.wall)
        self.pbx.office.tick()
        self.ended[int(time)] = Counter(self.pbx.expected.outcomes())
        self.clock.pass_(time - self.clock.wall)

    def of_days(self, midnights: Sequence[int]) -> list[Outcomes]:
        """Return the calls that ended between each two of *midnights*."""
        return [self.ended[end] - self.ended[begin] for begin, end in pairwise(midnights)]

    def settings(self, state_dir: Path, **others: Any) -> Settings:
        """Return the settings of an exporter that polls it."""
        pbx = PBX(
            name="hq",
            base_url="http://127.0.0.1",
            client_id="me",
            secret=SecretSource(env="X"),
            timezone="Europe/Berlin",
            poll_interval=60.0,
            dids={number: f"did {number[-3:]}" for number in OFFICE.dids},
            queues={number: f"queue {number}" for number in OFFICE.queues},
            destinations={"international": ("00",), "national": ("0",)},
            **others,
        )
        return Settings(pbxs=(pbx,), state_dir=state_dir)

    def cdr_list(self) -> InProcessCDRList:
        """Return its list."""
        return InProcessCDRList(self.pbx, lambda: None)


class Live:
    """An exporter that polls *office*; *lines* are its samples as Prometheus stores them."""

    def __init__(self, office: Office, settings: Settings, labels: Mapping[str, str]) -> None:
        self.lines: list[bytes] = []
        self._office = office
        self._labels = target_labels(labels)
        [pbx] = settings.pbxs
        call_rules = call_rules_of(pbx)
        self.store = FileStore(
            settings.state_dir, pbx.name, pbx.client_id, BOUNDS, number_zeros(call_rules)
        )
        self._exposition = Exposition(BOUNDS, "1.2.3", {pbx.name: BERLIN})
        self._poller = poller_of(
            pbx, office.cdr_list(), self.store, office.clock, self._keep, BOUNDS
        )

    def _keep(self, snapshot: Snapshot) -> None:
        self._last = snapshot

    def until(self, time: float, step: int) -> None:
        """Poll, and be scraped, every *step* seconds until before *time*."""
        while self._office.clock.wall < time:
            begin = self._office.clock.wall
            self._office.pbx.office.tick()
            self._poller.poll()
            self._scrape()
            self._office.clock.pass_(begin + step - self._office.clock.wall)

    def _scrape(self) -> None:
        now = self._office.clock.now()
        page = self._exposition.one_pbx(self._last, now, openmetrics=False).plain
        for line in page.splitlines():
            if line.startswith((b"cdr_calls_total", b"cdr_call_duration_seconds_count")):
                labelled = line.replace(b"{", b"{" + self._labels, 1)
                self.lines.append(labelled + f" {now.wall:.3f}\n".encode())


def written(
    office: Office, settings: Settings, output: Path, *, bounds: Any = None, **asked: Any
) -> Result:
    """Write the past of *office* to *output*, as text unless asked otherwise."""
    usual = {"days": 31, "step": None, "end": None, "labels": STATIC, "text": True}
    publication = shared_in_files(settings).publication
    machine = Machine(office.clock, lambda _: office.cdr_list(), lambda _: None, publication)
    return write_past(Asked(output, **{**usual, **asked}), settings, bounds or BOUNDS, machine)


def in_blocks(directory: Path, texts: Iterable[bytes]) -> None:
    """Make one block in `data` of *directory* out of *texts* of samples, headers left out."""
    path = directory / "all.om"
    with path.open("wb") as file:
        for text in texts:
            file.writelines(
                line for line in text.splitlines(keepends=True) if not line.startswith(b"#")
            )
        file.write(b"# EOF\n")
    command = [require("promtool"), "tsdb", "create-blocks-from", "openmetrics"]
    command += ["--max-block-duration=1440h", str(path), str(directory / "data")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    path.unlink()


def texts_in(output: Path) -> list[bytes]:
    """Return the texts that `history` wrote."""
    return [path.read_bytes() for path in sorted(output.glob("*.om"))]


def prometheus_on(directory: Path) -> Prometheus:
    """Return a Prometheus that holds `data` of *directory*; whoever asks ends it."""
    return Prometheus(directory, "", "--storage.tsdb.retention.time=100y")


def increases(prometheus: Prometheus, begin: int, end: int) -> dict[tuple[str, str, str], float]:
    """Return what `increase()` says of the calls from *begin* to *end* (epoch seconds).

    There are samples at both. It asks from a second before to a second after, since a range of
    Prometheus 3 leaves out the sample at its beginning, and takes off what that adds.
    """
    asked = f"sum by (outcome, call_type, trunk) (increase(cdr_calls_total[{end - begin + 2}s]))"
    names = ("outcome", "call_type", "trunk")
    return {
        (found["metric"][names[0]], found["metric"][names[1]], found["metric"][names[2]]): value
        for found in prometheus.query(asked, time=end + 1)
        if (value := round(float(found["value"][1]), 2))
    }
