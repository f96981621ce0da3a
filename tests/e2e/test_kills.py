"""Kills at any instant, again and again, judged by what the PBX itself holds.

The long ones `kill -9` the real process; `pytest -s` shows their figures. The quick one lets a
poller die in memory while it waits for an answer. Rows are only added: a row that was deleted
while nobody looked is nobody's fault, and would leave the judge without a verdict.
"""

from __future__ import annotations

import random
import re
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path

import pytest

from pbx_simulator import APISettings, SimulatedPBX
from pbx_simulator.background import repeating
from pbx_simulator.serving import serve

from ..support.exporter_and_simulator import (
    SECRET,
    calls_shown,
    records_shown,
    wait_for_rows,
    write_config,
)
from ..support.fake_pbx import FakePBX
from ..support.poller_harness import PollerHarness
from ..support.processes import Exporter, Process, eventually

KILLS = 200
MISSED = (0, 0, 40, 600, 3000)
"""Rows that come between two lives: none, a page, several pages to be caught up."""

BASELINE, BASELINE_KILLS = 200_000, 20

Counts = Mapping[tuple[str, str, str], float]


class Victim(Exporter):
    """The exporter, of which nobody waits until it listens: it may die while it starts."""

    def __init__(self, config: Path) -> None:
        Process.__init__(
            self,
            *(sys.executable, "-m", "cdr_exporter", "--config.file", str(config)),
            *("--web.listen-address", "127.0.0.1:0"),
        )

    def shown(self) -> Counts:
        """Return what a scrape sees: nothing before it listens and has caught up."""
        listens = re.search(r"addresses=127\.0\.0\.1:(\d+)", "\n".join(self.output))
        if listens is None:
            return {}
        self.port = int(listens[1])
        return records_shown(self)


def judged(exporter: Exporter, pbx: SimulatedPBX) -> tuple[float, float]:
    """Return how many rows are missing and how many were counted once too often."""
    eventually("a few polls", lambda: (exporter.value("cdr_exporter_polls_total", "pbx0") or 0) > 3)
    eventually("no backlog", lambda: exporter.value("cdr_exporter_backlog", "pbx0") == 0)
    ours = eventually("calls", lambda: records_shown(exporter))
    surplus = _surplus(ours, pbx.expected.totals()).values()
    return -sum(n for n in surplus if n < 0), sum(n for n in surplus if n > 0)


def calls_amiss(exporter: Exporter, pbx: SimulatedPBX) -> Counts:
    """Return by how much the calls counted differ from those that were made, once all are over."""
    eventually("all over", lambda: exporter.value("cdr_exporter_open_calls", "pbx0") == 0)
    return _surplus(calls_shown(exporter), pbx.expected.outcomes())


def _surplus(ours: Counts, theirs: Counts) -> Counts:
    """Return by how much *ours* differ, where they do."""
    each = {key: ours.get(key, 0) - theirs.get(key, 0) for key in ours.keys() | theirs.keys()}
    return {key: n for key, n in each.items() if n}


def first_life(path: Path, pbx: SimulatedPBX) -> float:
    """Live until the first rows were read, and return how many seconds that took.

    The login is made here: one that was killed in the middle is rightly not tried again for a
    minute, and then the kills would meet a process that waits.
    """
    began = time.monotonic()
    with Victim(path) as exporter:
        eventually("a first page", lambda: pbx.request_log.rows_served)
        took = time.monotonic() - began
        eventually("it listens and shows calls", exporter.shown)
        exporter.kill()
    return took


def steps_back(before: Counts, after: Counts) -> Counts:
    """Return the counters that fell, or vanished from a page that shows calls."""
    return {key: after.get(key, 0) - n for key, n in before.items() if after.get(key, 0) < n}


@pytest.mark.slow
@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 12))]
)
def test_a_poller_that_dies_before_any_answer_counts_every_row_once(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    pbx = FakePBX()
    pbx.call(1000)
    with closing(PollerHarness(tmp_path, pbx, start="all")) as it:
        it.poll()
        for _ in range(30):
            pbx.call(chance.choice(MISSED))
            pbx.before_answer = _death(pbx, chance)
            with suppress(SystemExit):
                it.poll(6)
            it.restart()
            assert it.counted <= len(pbx.rows)
        pbx.before_answer = lambda: None
        it.poll(3)

        assert it.counted == len(pbx.rows)


def _death(pbx: FakePBX, chance: random.Random) -> Callable[[], None]:
    """Return what happens before an answer: calls end, and after some answers the poller dies."""
    last = pbx.requests + chance.randint(1, 20)

    def happen() -> None:
        pbx.call(chance.randint(0, 9))
        if pbx.requests >= last:
            raise SystemExit

    return happen


@pytest.mark.fault("H7")
@pytest.mark.e2e
@pytest.mark.long
@pytest.mark.timeout(900)
def test_two_hundred_kills_at_random_instants_under_load_change_nothing(tmp_path: Path) -> None:
    pbx = SimulatedPBX(api=APISettings(client_secret=SECRET))
    pbx.office.calls(1000)
    chance = random.Random(11)
    seen: Counts = {}
    scrapes = 0
    with serve(pbx) as server:
        path = write_config(tmp_path, server.base_url)
        lifetime = first_life(path, pbx) + 1.0
        with repeating(lambda: pbx.office.whole_calls(chance.randint(1, 4)), 0.02):
            for _ in range(KILLS):
                pbx.office.whole_calls(chance.choice(MISSED) // 2)
                with Victim(path) as victim:
                    time.sleep(chance.uniform(0, lifetime))
                    shown = _scraped(victim.shown)
                    victim.kill()
                if shown:
                    assert steps_back(seen, shown) == {}
                    assert sum(shown.values()) <= len(pbx.table)
                    seen, scrapes = shown, scrapes + 1
        with Exporter(path) as exporter:
            missing, doubled = judged(exporter, pbx)
            assert steps_back(seen, records_shown(exporter)) == {}
            amiss = calls_amiss(exporter, pbx)
            late = exporter.value("cdr_exporter_late_legs_total", "pbx0")
    records, logins = sum(pbx.expected.totals().values()), pbx.request_log.count("get_token")
    calls = sum(pbx.expected.outcomes().values())
    print(  # noqa: T201 - figures are what a long test is run for
        f"\n{KILLS} kills, {scrapes} of them just after a scrape that saw calls, {records} records"
        f" of {calls} calls: {missing:g} missing, {doubled:g} doubled, {logins} logins,"
        f" {pbx.request_log.rows_served / records:.2f} rows read per record"
    )

    assert (missing, doubled) == (0, 0)
    assert (amiss, late) == ({}, 0)
    assert logins == 1
    assert pbx.request_log.max_concurrent == 1
    assert scrapes > KILLS / 10


@pytest.mark.e2e
@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_baseline_of_200000_rows_is_read_about_once_however_often_it_is_killed(
    tmp_path: Path,
) -> None:
    pbx = SimulatedPBX(api=APISettings(client_secret=SECRET))
    pbx.office.calls(BASELINE)
    chance = random.Random(7)
    instants = sorted(chance.uniform(0, 0.95) * BASELINE for _ in range(BASELINE_KILLS))
    with serve(pbx) as server:
        path = write_config(tmp_path, server.base_url)
        for instant in instants:
            with Victim(path) as victim:
                wait_for_rows(pbx, instant)
                time.sleep(chance.uniform(0, 0.1))
                shown = _scraped(victim.shown)
                victim.kill()
            assert shown == {}
        pbx.office.calls(77)
        with Exporter(path) as exporter:
            eventually("calls", lambda: records_shown(exporter), patience=300)
            missing, doubled = judged(exporter, pbx)
    read, logins = pbx.request_log.rows_served / BASELINE, pbx.request_log.count("get_token")
    print(  # noqa: T201 - figures are what a long test is run for
        f"\n{BASELINE_KILLS} kills in a baseline of {BASELINE} records: {missing:g} missing,"
        f" {doubled:g} doubled, {logins} logins, {read:.2f} rows read per record"
        f" in {pbx.request_log.total_requests} requests"
    )

    assert (missing, doubled) == (0, 0)
    assert read <= 1.5


def _scraped(shown: Callable[[], Counts]) -> Counts:
    """Return what is shown; a process that just begins to listen may not answer yet."""
    try:
        return shown()
    except OSError:
        return {}
