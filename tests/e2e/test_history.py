"""The past as `history` writes it, in a real Prometheus, against what truly became of the calls."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from cdr_exporter.history import promtool
from pbx_simulator import APISettings, OfficeSettings, SimulatedPBX
from pbx_simulator.firmware import Upgrade
from pbx_simulator.serving import serve

from ..support.exporter_and_simulator import SECRET, write_config
from ..support.past_and_present import (
    DAY,
    HOUR,
    MINUTE,
    STATIC,
    Live,
    Office,
    in_blocks,
    increases,
    midnights,
    prometheus_on,
    texts_in,
    written,
)
from ..support.processes import Exporter, Process, eventually
from ..support.programs import require

pytestmark = pytest.mark.e2e

BEFORE_WINTER_TIME = date(2023, 10, 28)
"""A Saturday; the clocks of Berlin are put back on the Sunday after it."""


def passed(
    days: int, first: date = BEFORE_WINTER_TIME, **office: object
) -> tuple[Office, list[int]]:
    """Return an office after so many local days, and their midnights."""
    times = midnights(first, days)
    it = Office(times[0] - 2 * HOUR, **office)  # type: ignore[arg-type]
    for midnight in times:
        it.until(midnight)
    it.until(times[-1] + 4 * HOUR)
    return it, times


@pytest.mark.long
@pytest.mark.parametrize(
    "upgrade",
    [
        pytest.param(None, id="with ids"),
        pytest.param(Upgrade(order="left_out"), id="without ids"),
    ],
)
def test_each_local_day_has_exactly_its_calls_over_a_change_of_clocks(
    tmp_path: Path, upgrade: Upgrade | None
) -> None:
    office, times = passed(3, upgrade=upgrade)
    written(office, office.settings(tmp_path / "state"), tmp_path / "out", step=300)
    in_blocks(tmp_path, texts_in(tmp_path / "out"))

    with prometheus_on(tmp_path) as prometheus:
        found = [increases(prometheus, *day) for day in pairwise(times)]
        up = prometheus.query("min_over_time(cdr_up[3d])", time=times[-1])
        offsets = [
            prometheus.query("cdr_utc_offset_seconds", time=at)[0]["value"][1] for at in times
        ]

    assert sum(office.of_days(times)[2].values()) > 100
    assert found == [pytest.approx(truth) for truth in office.of_days(times)]
    assert [each["value"][1] for each in up] == ["1"]
    assert offsets == ["7200", "7200", "3600", "3600"]


BY_SD = {"job": "cdr-exporter", "instance": "hq"}


@pytest.mark.parametrize(
    ("start", "labels"),
    [
        pytest.param("now", BY_SD, id="now, by sd", marks=pytest.mark.long),
        pytest.param("all", STATIC, id="all, static target"),
        pytest.param("now", STATIC, id="now, static target", marks=pytest.mark.long),
        pytest.param("all", BY_SD, id="all, by sd", marks=pytest.mark.long),
    ],
)
def test_past_and_present_join_without_a_false_call_and_each_day_has_its_own(
    tmp_path: Path, start: str, labels: dict[str, str]
) -> None:
    times = midnights(BEFORE_WINTER_TIME, 4)
    office = Office(times[0] - 2 * HOUR)
    for midnight in times[:3]:
        office.until(midnight)
    began = times[2] + 11 * HOUR + 10
    office.until(began)
    settings = office.settings(tmp_path / "state", start=start)
    live = Live(office, settings, labels)
    live.until(times[3] - MINUTE, 5 * MINUTE)
    office.until(times[3])
    live.until(times[3] + 3 * MINUTE, MINUTE)
    office.until(times[4])

    result = written(
        office, settings, tmp_path / "out", labels=STATIC, by_pbx=labels is BY_SD, step=300
    )
    live.store.close()
    in_blocks(tmp_path, texts_in(tmp_path / "out"))
    in_blocks(tmp_path, live.lines)

    with prometheus_on(tmp_path) as prometheus:
        found = [increases(prometheus, *day) for day in pairwise(times[:4])]
        targets = prometheus.query("count by (instance, job) (cdr_calls_total)", time=times[3])
    truth = office.of_days(times)

    assert began <= result.spans["hq"][1] < began + 5
    assert [each["metric"] for each in targets] == [labels]
    assert found[:2] == [pytest.approx(day) for day in truth[:2]]
    assert times[2] - times[1] == DAY + HOUR
    assert sum(truth[2].values()) > 100
    assert sum(found[2].values()) == pytest.approx(sum(truth[2].values()), abs=1)
    assert found[2] == pytest.approx(truth[2], abs=1)


def test_the_blocks_are_those_of_prometheus_and_hold_what_the_text_does(tmp_path: Path) -> None:
    require("promtool")
    times = midnights(date(2023, 11, 7), 1)
    office = Office(times[0] + 8 * HOUR)
    office.until(times[0] + 13 * HOUR)
    office.until(times[1])
    settings = office.settings(tmp_path / "state")
    end = float(times[0] + 12 * HOUR)
    result = written(office, settings, tmp_path / "data", text=False, end=end)
    written(office, settings, tmp_path / "text", end=end)
    in_blocks(tmp_path / "text", texts_in(tmp_path / "text"))

    def held(directory: Path) -> object:
        with prometheus_on(directory) as prometheus:
            return prometheus.query('{__name__=~"cdr_.*"}[1d]', time=end)

    assert result.tool == promtool.find()
    assert result.blocks == len(list(tmp_path.glob("data/*/meta.json"))) >= 2
    assert held(tmp_path) == held(tmp_path / "text")


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_six_days_in_blocks_of_two_hours_have_exactly_their_calls(tmp_path: Path) -> None:
    office, times = passed(6, date(2024, 3, 28))
    written(office, office.settings(tmp_path / "state"), tmp_path / "data", text=False)

    with prometheus_on(tmp_path) as prometheus:
        found = [increases(prometheus, *day) for day in pairwise(times)]

    assert times[4] - times[3] == DAY - HOUR
    assert found == [pytest.approx(truth) for truth in office.of_days(times)]


class Command(Process):
    """`history` as a user starts it, on the configuration in *directory*."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        super().__init__(
            *(sys.executable, "-m", "cdr_exporter", "history", "--config.file"),
            *(str(directory / "exporter.yml"), "--output", str(directory / "out"), *arguments),
        )


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[SimulatedPBX, Path]]:
    """Yield a PBX of three days over HTTP, and a directory with a configuration for it."""
    pbx = SimulatedPBX(OfficeSettings(rate=4), APISettings(client_secret=SECRET), days=3)
    with serve(pbx, live=True) as server:
        write_config(tmp_path, server.base_url, start="now", extra="state_dir: ./state\n")
        yield pbx, tmp_path


@pytest.mark.long
def test_killed_at_any_time_it_goes_on_and_writes_the_same(
    served: tuple[SimulatedPBX, Path],
) -> None:
    pbx, directory = served
    flags = ("--text", "--step", "3m", "--end", str(int(time.time() - 4 * HOUR)))
    with Command(directory, *flags) as undisturbed:
        assert undisturbed.ended() == 0, undisturbed.output
    whole = {path.name: path.read_bytes() for path in (directory / "out").iterdir()}
    shutil.rmtree(directory / "out")

    kills = 0
    for few in (400, 900, 1_500):
        before = pbx.request_log.rows_served
        with Command(directory, *flags) as command:
            eventually("rows", lambda: pbx.request_log.rows_served - before >= few)  # noqa: B023
            kills += command.running
            command.kill()
    for blocks in (3, 9):
        with Command(directory, *flags) as command:
            eventually(
                "texts",
                lambda: len(list((directory / "out").glob("*.om"))) >= blocks,  # noqa: B023
            )
            kills += command.running
            command.kill()
    with Command(directory, *flags) as command:
        assert command.ended() == 0, command.output

    assert kills >= 3
    assert {path.name: path.read_bytes() for path in (directory / "out").iterdir()} == whole


def test_beside_a_running_exporter_it_shares_the_token_and_waits_for_its_turn(
    served: tuple[SimulatedPBX, Path],
) -> None:
    pbx, directory = served
    config = directory / "exporter.yml"
    with Exporter(config) as exporter:
        eventually("it shows calls", lambda: exporter.value("cdr_up", "pbx0") == 1)
        began = time.time()
        with Command(directory, "--text", "--step", "5m") as command:
            assert command.ended() == 0, command.output
        polls = exporter.value("cdr_exporter_polls_total", "pbx0")
        exporter.stop()

    assert polls is not None
    assert pbx.request_log.max_concurrent == 1
    assert pbx.request_log.count("get_token") == 1
    [span] = [line for line in command.output if line.startswith("pbx0: ")]
    end = datetime.fromisoformat(span.split(" to ")[1])
    assert began - 3 * HOUR - 5 <= end.timestamp() <= time.time() - 3 * HOUR


def test_told_to_end_it_ends_at_once_and_says_that_it_goes_on(
    served: tuple[SimulatedPBX, Path],
) -> None:
    pbx, directory = served
    pbx.faults.fail_next(delay_seconds=30.0)
    with Command(directory) as command:
        eventually("it asks", lambda: (directory / "out").exists())
        time.sleep(1)
        begin = time.monotonic()
        assert command.stop() == 1

    assert time.monotonic() - begin < 5
    assert "the same command goes on" in command.output[-1]
