"""What PBXs that answer junk cost the exporter: memory, scrapes, and how soon SIGTERM ends it.

Three PBXs of one kind (`tests.support.hostile_pbx`) and the real process, polled as often as it
may. Run it from the top directory: `python -m benchmarks.memory [SECONDS] [KIND…]`. The columns
are the most memory the process had, the slowest of the scrapes, how long SIGTERM took, and the
size of the three state files. Budgets: 200 MB, 1 s, 5 s.

`python -m benchmarks.memory first` is a first read of a PBX with a million rows instead, as it is
with `start: all` and `start: now`; the budget is 150 MB.
"""

from __future__ import annotations

import re
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.support.exporter_and_simulator import SECRET, records_shown, write_config
from tests.support.hostile_pbx import GOOD, HOSTILE, TOTAL, Answer, HostilePBX
from tests.support.processes import Exporter
from tests.support.socket_server import Wire

PBXS = 3
LINE = "{:34} {:>6.0f} {:>6.2f} s {:>5.1f} s {:>6.0f}"


def run(answers: Sequence[Answer], start: str, is_over: Callable[[Exporter], bool]) -> list[float]:
    """Poll PBXs with these *answers* until *is_over*; return MB, seconds, seconds and MB."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        wires = [stack.enter_context(Wire(HostilePBX(each, SECRET))) for each in answers]
        config = write_config(directory, *(wire.url for wire in wires), start=start)
        exporter = stack.enter_context(Exporter(config))
        scrape = 0.0
        while not is_over(exporter):
            scrape = max(scrape, scraped(exporter))
            time.sleep(0.5)
        memory = peak_mb(exporter.pid)
        began = time.monotonic()
        exporter.signal(signal.SIGTERM)
        exporter.ended()
        state = sum(each.stat().st_size for each in directory.rglob("*.db*")) / 1e6
        return [memory, scrape, time.monotonic() - began, state]


def peak_mb(pid: int) -> float:
    """Return the most memory that a process had so far (its resident set), in MB."""
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) / 1024


def scraped(exporter: Exporter) -> float:
    """Return how many seconds a scrape took."""
    began = time.monotonic()
    with urllib.request.urlopen(f"http://{exporter.address}/metrics", timeout=60) as response:
        response.read()
    return time.monotonic() - began


def has_run_for(seconds: float) -> Callable[[Exporter], bool]:
    """Return whether so many seconds are over."""
    until = time.monotonic() + seconds
    return lambda _: time.monotonic() > until


def is_caught_up(exporter: Exporter) -> bool:
    """Return whether the first read has come to its end."""
    pages = exporter.value("cdr_exporter_rows_fetched_total", "pbx0") or 0
    is_idle = exporter.value("cdr_exporter_backlog", "pbx0") == 0
    return is_idle and (pages > TOTAL or sum(records_shown(exporter).values()) == 0 < pages)


def main(arguments: Sequence[str]) -> None:
    """Print what each kind costs."""
    print(f"{'':34} {'MB':>6} {'scrape':>8} {'end':>7} {'state':>6}")
    if arguments[:1] == ["first"]:
        for start in ("now", "all"):
            cost = run([GOOD], start, is_caught_up)
            print(LINE.format(f"{TOTAL:,} rows, start: {start}", *cost), flush=True)
        return
    seconds = float(arguments[0]) if arguments else 20.0
    for name in arguments[1:] or HOSTILE:
        cost = run([HOSTILE[name]] * PBXS, "all", has_run_for(seconds))
        print(LINE.format(name, *cost), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
