"""The real process with more clients than it has room for: scrapes and polls go on."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from pbx_simulator import APISettings, SimulatedPBX
from pbx_simulator.serving import serve

from ..support.exporter_and_simulator import SECRET, write_config
from ..support.many_clients import (
    file_numbers,
    half_open,
    many_addresses,
    scrape_seconds,
    with_file_limit,
)
from ..support.processes import Exporter, eventually

pytestmark = pytest.mark.e2e


@contextmanager
def polling(
    directory: Path, pbxs: int, interval: str, files: tuple[int, int]
) -> Iterator[Exporter]:
    """Run an exporter with these limits of *files* that polls so many PBXs."""
    with ExitStack() as servers:
        simulated = [SimulatedPBX(api=APISettings(client_secret=SECRET)) for _ in range(pbxs)]
        urls = [servers.enter_context(serve(pbx)).base_url for pbx in simulated]
        config = write_config(directory, *urls)
        config.write_text(
            config.read_text().replace("poll_interval: 1s", f"poll_interval: {interval}")
        )
        exporter = Exporter(config, program=with_file_limit(*files))
        with exporter:
            eventually("every PBX is polled", lambda: up(exporter) == pbxs)
            yield exporter


def up(exporter: Exporter) -> float:
    return sum(exporter.samples("cdr_up").values())


def polls(exporter: Exporter) -> list[float]:
    return list(exporter.samples("cdr_exporter_polls_total").values())


def open_files(exporter: Exporter) -> int:
    return len(list(Path(f"/proc/{exporter.pid}/fd").iterdir()))


@pytest.mark.fault("F11")
def test_clients_that_send_half_a_request_take_no_file_number_from_a_poller(tmp_path: Path) -> None:
    # 64 for the process, 8 for each PBX, and so 72 for connections, 36 of them from one address.
    with (
        polling(tmp_path, 8, "1s", files=(100, 200)) as exporter,
        half_open(exporter.port, ["127.0.0.1"] * 100),
        half_open(exporter.port, many_addresses(100)),
    ):
        before = polls(exporter)
        seconds = scrape_seconds(exporter.port, 10)
        eventually(
            "each PBX is polled again and again",
            lambda: all(b >= a + 3 for a, b in zip(before, polls(exporter), strict=True)),
        )

        assert up(exporter) == 8
        assert sum(exporter.samples("cdr_exporter_poll_failures_total").values()) == 0
        assert seconds[-1] < 5
        assert open_files(exporter) <= 200
        assert not any("level=error" in line for line in exporter.output)


@pytest.mark.long
@pytest.mark.fault("F11")
def test_two_hundred_pbxs_are_polled_on_time_beside_1600_silent_clients(tmp_path: Path) -> None:
    with (
        file_numbers(10_000),
        polling(tmp_path, 200, "5s", files=(1_024, 4_096)) as exporter,
    ):
        idle = open_files(exporter)
        with (
            half_open(exporter.port, ["127.0.0.1"] * 1_000),
            half_open(exporter.port, many_addresses(600)),
        ):
            before, began = polls(exporter), time.monotonic()
            [alone] = scrape_seconds(exporter.port, 1)
            seconds = scrape_seconds(exporter.port, 100)
            eventually(
                "each PBX is polled again",
                lambda: all(b >= a + 2 for a, b in zip(before, polls(exporter), strict=True)),
            )
            polled_after = time.monotonic() - began
            held = open_files(exporter)

        sys.stdout.write(
            f"one scrape {alone:.2f} s; 100 scrapes at once: "
            f"median {seconds[50]:.2f} s, longest {seconds[-1]:.2f} s; "
            f"two polls of each PBX in {polled_after:.1f} s; files {idle} idle, {held} held\n"
        )
        assert up(exporter) == 200
        assert sum(exporter.samples("cdr_exporter_poll_failures_total").values()) == 0
        assert alone < 1
        assert seconds[-1] < 5
        assert polled_after < 30
