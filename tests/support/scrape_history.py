"""A scraper in simulated time, and promtool as the judge of what it scraped.

    World       a poller, its PBX and its scraper: time passes, calls end, scrapes fall due
    Timeline    the clock of all three: whatever falls due happens, also in the middle of a poll
    History     what a Prometheus would hold of the pages, and what it would make of it

Scrapes come every 15 s; a series that a page no longer has becomes stale, as in Prometheus.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from functools import cache, lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from cdr_exporter.errors import TryAgain
from cdr_exporter.exposition import Exposition
from cdr_exporter.metrics.catalogue import FAMILIES, HISTOGRAM
from cdr_exporter.metrics.snapshot import Snapshot
from cdr_exporter.store import FileStore

from .fake_clock import FakeClock
from .fake_pbx import FakePBX
from .poller_harness import PollerHarness
from .programs import require
from .rows import BOUNDS

SCRAPE_INTERVAL = 15
"""Seconds."""

CALL_INTERVAL = 12
"""Seconds: five calls a minute, by three trunks in turn."""

MINUTE, HOUR = 60.0, 3600.0

Page = Mapping[str, float]
"""One scrape: the value of each series by its name and labels, as they are written."""

DURABLE = re.compile(
    "|".join(
        rf"{family.name}(_bucket|_count|_sum)?\{{" if family.kind == HISTOGRAM else family.name
        for family in FAMILIES
        if family.durable
    )
)


@cache
def _is_durable(series: str) -> bool:
    return DURABLE.match(series) is not None


CALLS = re.compile(r"cdr_(records_total|(duration|ring_duration|talk_duration)_seconds)")
"""What is hidden: the durable families that are not about the exporter."""


def page_of(text: bytes) -> Page:
    """Return the samples of a text page."""
    lines = text.decode().splitlines()
    return dict(_sample(line) for line in lines if not line.startswith("#"))


@lru_cache(100_000)
def _sample(line: str) -> tuple[str, float]:
    """Read a line of a page; most are the same in the next one."""
    series, _, value = line.rpartition(" ")
    return series, float(value)


def total(page: Page, name: str) -> float:
    """Return the sum of all series of one sample name."""
    return sum(value for series, value in page.items() if series.startswith(name + "{"))


def calls_of(page: Page) -> Page:
    """Return the samples of the families that are hidden at times."""
    return {series: value for series, value in page.items() if CALLS.match(series)}


class Timeline(FakeClock):
    """A clock on which things fall due and are done on the way."""

    def __init__(self) -> None:
        super().__init__()
        self._began = self.steady
        self._due: dict[Callable[[], None], tuple[float, int]] = {}

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return self.steady - self._began

    def every(self, seconds: float, action: Callable[[], None]) -> None:
        """Have *action* done every so many *seconds*, from the beginning on."""
        self._due[action] = (seconds, int(self.elapsed // seconds) + bool(self.elapsed))

    def never(self, action: Callable[[], None]) -> None:
        """Have *action* done no more."""
        self._due.pop(action, None)

    def pass_(self, seconds: float) -> None:
        end = self.steady + seconds
        while self._due:
            at, action = min(
                (
                    (self._began + each * times, action)
                    for action, (each, times) in self._due.items()
                ),
                key=lambda due: due[0],
            )
            if at > end:
                break
            each, times = self._due[action]
            self._due[action] = (each, times + 1)
            self._go_to(max(at, self.steady))
            action()
        self._go_to(end)

    def _go_to(self, steady: float) -> None:
        self.wall += steady - self.steady
        self.steady = steady


class History:
    """The pages of a target, one every 15 s; an empty one is a target that is down."""

    def __init__(self) -> None:
        self.pages: list[Page] = []

    def falls(self) -> list[str]:
        """Return where a durable sample is below an earlier one: a reset, for Prometheus."""
        highest: dict[str, float] = {}
        found = []
        for number, page in enumerate(self.pages):
            for series, value in page.items():
                if _is_durable(series):
                    if value < highest.get(series, 0):
                        found.append(f"{series} {highest[series]} → {value} at scrape {number}")
                    highest[series] = value
        return found

    def assert_that(self, claims: Mapping[str, tuple[float, float]], at: float = -1) -> None:
        """Fail unless each expression is one number between two bounds, *at* seconds.

        Without *at*, at the last scrape.
        """
        limits = [
            f"({expression}) {sign} bool {bound}"
            for expression, (least, most) in claims.items()
            for sign, bound in ((">=", least), ("<=", most))
        ]
        failed = self._verdict(limits, [{"labels": "{}", "value": 1}], at)
        if failed:
            # promtool prints what it got where that was not expected: so it tells the numbers.
            pytest.fail(f"{failed}\nThe numbers are\n{self._verdict(claims, [], at)}")

    def _verdict(self, expressions: Iterable[str], expected: list[object], at: float) -> str:
        """Return what promtool says unless each expression gives what is *expected*."""
        when = at if at >= 0 else (len(self.pages) - 1) * SCRAPE_INTERVAL
        tests = [
            {"expr": expression, "eval_time": f"{when:.0f}s", "exp_samples": expected}
            for expression in expressions
        ]
        wanted = re.compile(_metrics_in(test["expr"] for test in tests))
        group = {
            "interval": f"{SCRAPE_INTERVAL}s",
            "input_series": list(self._input(wanted)),
            "promql_expr_test": tests,
        }
        # JSON is YAML.
        text = json.dumps({"evaluation_interval": f"{SCRAPE_INTERVAL}s", "tests": [group]})
        command = [require("promtool"), "test", "rules", "/dev/stdin"]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        return "" if done.returncode == 0 else done.stdout + done.stderr

    def _input(self, wanted: re.Pattern[str]) -> Iterator[dict[str, str]]:
        names = {name: None for page in self.pages for name in page if wanted.match(name)}
        for name in names:
            yield {"series": name, "values": _notation([page.get(name) for page in self.pages])}


def _metrics_in(expressions: Iterable[object]) -> str:
    names = re.findall(r"\bcdr_\w+", " ".join(map(str, expressions)))
    return rf"({'|'.join(sorted(set(names)))})\b"


def _notation(values: list[float | None]) -> str:
    """Write samples as promtool reads them: equal ones together, and the end of a row as stale."""
    parts = []
    for value, run in groupby(values):
        times = len(list(run))
        if value is not None:
            parts.append(f"{value:.0f}+0x{times - 1}")
        elif not parts:
            parts.append(f"_x{times}")
        else:
            parts.append("stale" + (f" _x{times - 1}" if times > 1 else ""))
    return " ".join(parts)


class World:
    """An exporter with its PBX, its users and its Prometheus; the exporter runs from the start."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.clock = Timeline()
        self.pbx = FakePBX()
        self.pbx.clock = self.clock
        self.history = History()
        self.harness = PollerHarness(directory / "state", self.pbx, **settings)
        self._aside = directory / "aside"
        self._exposition: Exposition | None = None
        self._next_poll = 0.0
        self._start()
        self.clock.every(SCRAPE_INTERVAL, self.scrape)

    # --- the exporter ----------------------------------------------------------------------------

    def stop(self) -> None:
        """End the exporter, or take note that it was killed in the middle of a poll."""
        self.store.close()
        self._exposition = None

    def start(self) -> None:
        """Start it again as a new process."""
        self.harness.restart()
        self._start()

    def _start(self) -> None:
        self._exposition = Exposition(BOUNDS, "1.2.3")
        self._next_poll = self.clock.steady
        self.harness.poller.publish()

    @property
    def store(self) -> FileStore:
        return self.harness.store

    def kill_after(self, answers: int) -> None:
        """Run until the exporter is killed while it waits for the answer so many from now."""
        self.pbx.kill_after(answers)
        with suppress(SystemExit):
            while True:
                self.run(MINUTE)
        self.pbx.before_answer = lambda: None
        self.stop()

    def set_aside(self) -> None:
        """Keep a copy of the state as it is now, of a closed store."""
        shutil.copytree(self.harness.state_dir, self._aside)

    def bring_back(self) -> None:
        """Put the copy in the place of the state: what was committed since is lost."""
        shutil.rmtree(self.harness.state_dir)
        shutil.copytree(self._aside, self.harness.state_dir)

    def durable(self, directory: Path) -> Page:
        """Return what a process would find and show that starts after a kill at this instant."""
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(self.harness.state_dir, directory)
        with closing(FileStore(directory, "hq", "me", BOUNDS)) as store:
            kept = store.load()
        found = Snapshot(pbx="hq", totals=kept.totals, shown=True, fresh_until=float("inf"))
        return self._rendered(found, Exposition(BOUNDS, "1.2.3"))

    # --- time ------------------------------------------------------------------------------------

    def run(self, seconds: float) -> None:
        """Let time pass; a running exporter polls when it is due."""
        end = self.clock.steady + seconds
        while self.clock.steady < end:
            if self._exposition is None:
                self.clock.pass_(end - self.clock.steady)
            elif self.clock.steady >= self._next_poll:
                self._next_poll = float("inf")
                self._next_poll = self.harness.poll() + self.clock.steady
            else:
                self.clock.pass_(min(end, self._next_poll) - self.clock.steady)

    def ring(self) -> None:
        """Let a call of a minute end."""
        self.pbx.call(started_at=int(self.clock.wall) - 60)

    def traffic(self, on: bool = True) -> None:
        """Let five calls a minute end from now on, or no more."""
        if on:
            self.clock.every(CALL_INTERVAL, self.ring)
        else:
            self.clock.never(self.ring)

    def cut(self) -> None:
        """Let the PBX be out of reach."""
        self.pbx.before_answer = _refuse

    def mend(self) -> None:
        self.pbx.before_answer = lambda: None

    # --- the scraper -----------------------------------------------------------------------------

    def page(self) -> Page:
        """Return what a scrape at this instant gets; nothing where nobody listens."""
        if self._exposition is None:
            return {}
        return self._rendered(self.harness.last, self._exposition)

    def scrape(self) -> None:
        """Keep the page of this instant."""
        self.history.pages.append(self.page())

    def _rendered(self, snapshot: Snapshot, exposition: Exposition) -> Page:
        return page_of(exposition.one_pbx(snapshot, self.clock.now(), openmetrics=False).plain)


def _refuse() -> None:
    raise TryAgain("refused", reason="connect")
