"""A thousand PBXs in one process: memory, processor time, scrapes, start and end.

The real exporter polls the PBXs of `benchmarks.fake_fleet` over HTTP and is scraped meanwhile, as
Prometheus does it. Nothing else should run on the machine. Run it from the top directory:

    python -m benchmarks.fleet                        1,000 PBXs with a month behind them, restarted
    python -m benchmarks.fleet --first-start --days 0      no state files yet, and a first read
    python -m benchmarks.fleet --by-sd                each PBX scraped by itself, as through /sd

Before it, one exporter reads one PBX, and its state is written for each of the others with trunks
of its own; with `--first-start` each PBX is read by the exporter that is measured.

Budgets, for 1,000 PBXs of 10 trunks, polls every 30 s, scrapes with gzip every 15 s and 7 new rows
a second: 500 MB, 12 % of a core, 0.2 s a scrape; 20 % of a core with `--by-sd`.
"""

from __future__ import annotations

import argparse
import http.client
import multiprocessing
import os
import re
import signal
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from cdr_exporter.commands.exporter import histogram_bounds
from cdr_exporter.ingest import KeptState
from cdr_exporter.metrics.totals import Series, Totals
from cdr_exporter.settings import Settings
from cdr_exporter.store import FileStore
from tests.support.many_clients import file_numbers, many_addresses
from tests.support.processes import Exporter, eventually

from .fake_fleet import Orders, Told, serve

CLIENT = "benchmark"
JITTER = 1.1
"""A poll comes at most this part of the interval after the last: by so much intervals differ."""

LATE = 1.0
"""Seconds after which a poll counts as late."""

TICKS = os.sysconf("SC_CLK_TCK")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet")
    parser.add_argument("--pbxs", type=int, default=1_000)
    parser.add_argument("--days", type=int, default=31, help="of history")
    parser.add_argument("--rows-a-day", type=int, default=600, help="of history, for each PBX")
    parser.add_argument("--rows-a-second", type=float, default=7.0, help="new ones, over all PBXs")
    parser.add_argument("--poll", type=int, default=30, help="seconds")
    parser.add_argument("--scrape", type=int, default=15, help="seconds")
    parser.add_argument("--seconds", type=float, default=60.0, help="that are measured")
    parser.add_argument("--first-start", action="store_true", help="without state files")
    parser.add_argument("--by-sd", action="store_true", help="scrape each PBX by itself")
    return parser.parse_args()


def main() -> None:
    """Print what the fleet costs."""
    asked = arguments()
    print(f"load of the machine before: {', '.join(f'{each:.2f}' for each in os.getloadavg())}")
    for line in measured(asked):
        print(line, flush=True)


def measured(asked: argparse.Namespace) -> Iterator[str]:
    """Run all, and yield the lines of the report."""
    with ExitStack() as stack:
        stack.enter_context(file_numbers(8 * asked.pbxs + 1_000))
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        names = [f"pbx-{number:04}" for number in range(asked.pbxs)]
        until = time.time() - 3_600
        orders = Orders(asked.days, asked.rows_a_day, until, asked.rows_a_second)
        fake = stack.enter_context(FakeFleet.running(orders, names))
        if not asked.first_start:
            write_states(directory, fake.port, names)
        config = write_config(directory, fake.port, names, asked.poll)
        began = time.monotonic()
        exporter = stack.enter_context(Exporter(config))
        listens = time.monotonic() - began
        process = Watched(exporter.pid)
        scrapers = Scrapers(exporter.port, names if asked.by_sd else (), asked.scrape)
        with process.sampled(), scrapers.running():
            eventually("all are polled", lambda: is_ready(exporter), 600)
            yield start_line(began, listens, process)
            # Until each was polled again, and scraped again, it is still starting.
            time.sleep(max(asked.poll * JITTER, asked.scrape))
            yield from steady_lines(asked.seconds, process, fake, scrapers, asked.poll)
            fake.ask("quiet")
            time.sleep(asked.poll * JITTER + 2 * LATE)
        yield from page_lines(exporter.port, fake.told(), names)
        yield end_line(exporter, fake)
        yield from log_lines(exporter.output)


def is_ready(exporter: Exporter) -> bool:
    """Say whether every PBX was polled once."""
    return exporter.get("/-/ready").strip() == "ready"


# --- the machine's own figures --------------------------------------------------------------------


@dataclass
class Watched:
    """A process of this machine; *peak* is the most memory that it had when it was looked at."""

    pid: int
    peak: int = 0

    @property
    def cpu(self) -> float:
        """Seconds of processor time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self, what: str, file: str = "status") -> float:
        """Return an entry of the system's account of the process, in MB."""
        found = re.search(rf"^{what}:\s+(\d+)", Path(f"/proc/{self.pid}/{file}").read_text(), re.M)
        assert found
        return int(found[1]) / 1024

    @contextmanager
    def sampled(self) -> Iterator[None]:
        """Look at the memory now and then, until the end of the `with` block."""
        ended = threading.Event()

        def look() -> None:
            while not ended.wait(5.0):
                self.peak = max(self.peak, round(self.memory("Pss", "smaps_rollup")))

        with in_thread(look):
            try:
                yield
            finally:
                ended.set()


@contextmanager
def in_thread(act: Callable[[], None]) -> Iterator[None]:
    """Run *act* in a thread; what ends it is the caller's."""
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join(60)


# --- the fleet ------------------------------------------------------------------------------------


@dataclass
class FakeFleet:
    """The process that all PBXs are in."""

    process: Watched
    port: int
    _pipe: Any

    @classmethod
    @contextmanager
    def running(cls, orders: Orders, names: Sequence[str]) -> Iterator[FakeFleet]:
        """Start it, and end it at the end of the `with` block."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(orders, names, theirs), daemon=True)
        process.start()
        assert process.pid
        try:
            yield cls(Watched(process.pid), ours.recv(), ours)
            ours.send("end")
        finally:
            process.join(10)
            process.kill()

    def ask(self, what: str) -> None:
        """Send one of the words that it knows."""
        self._pipe.send(what)

    def told(self) -> Told:
        """Return how it stands."""
        self.ask("tell")
        told: Told = self._pipe.recv()
        return told


def write_config(directory: Path, port: int, names: Sequence[str], poll: int) -> Path:
    """Write the configuration of the PBXs *names*, in the order of their addresses."""
    pbxs = "".join(
        f"  - {{name: {name}, base_url: 'http://{address}:{port}', client_id: {CLIENT},"
        " client_secret: not-looked-at}\n"
        for name, address in zip(names, many_addresses(len(names)), strict=True)
    )
    path = directory / "exporter.yml"
    path.write_text(f"poll_interval: {poll}s\nstart: all\npbxs:\n{pbxs}")
    path.chmod(0o600)
    return path


def write_states(directory: Path, port: int, names: Sequence[str]) -> None:
    """Let each PBX have the state of one that was read, with its own trunks."""
    sample = directory / "sample"
    sample.mkdir()
    with Exporter(write_config(sample, port, names[:1], 1)) as exporter:
        eventually("a poll has ended", lambda: is_ready(exporter))
        eventually("all is read", lambda: exporter.value("cdr_exporter_backlog", names[0]) == 0)
        exporter.stop()
    kept = loaded(sample / "state", names[0])
    (directory / "state").mkdir(mode=0o700)
    for name in names:
        store = FileStore(directory / "state", name, CLIENT, BOUNDS)
        store.load()
        store.commit(renamed(kept, names[0], name).as_change)
        store.close()


BOUNDS = histogram_bounds(Settings(pbxs=()))


def loaded(state_dir: Path, name: str) -> KeptState:
    store = FileStore(state_dir, name, CLIENT, BOUNDS)
    try:
        return store.load()
    finally:
        store.close()


def renamed(kept: KeptState, before: str, after: str) -> KeptState:
    """Return *kept* with the trunks of the PBX *after* instead of those of *before*."""

    def key(series: Series) -> Series:
        return Series(series.family, tuple(each.replace(before, after) for each in series.labels))

    totals = Totals(
        {key(series): value for series, value in kept.totals.series.items()},
        {key(series): born for series, born in kept.totals.born.items()},
        frozenset(trunk.replace(before, after) for trunk in kept.totals.trunks),
    )
    return replace(kept, totals=totals)


# --- scrapes --------------------------------------------------------------------------------------


class Scrape(NamedTuple):
    """One scrape: when it *began* (monotonic), how many *seconds* it took, *size* in bytes."""

    began: float
    seconds: float
    size: int


@dataclass
class Scrapers:
    """Scrapes the whole page every *interval* seconds; with *names* one PBX after another."""

    port: int
    names: Sequence[str]
    interval: float
    done: list[Scrape] = field(default_factory=list)
    failed: int = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Scrape until the end of the `with` block."""
        ended = threading.Event()

        def scrape() -> None:
            paths = [f"/metrics?pbx={name}" for name in self.names] or ["/metrics"]
            began, number = time.monotonic(), 0
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            while not ended.wait(began + number * self.interval / len(paths) - time.monotonic()):
                self._scrape(connection, paths[number % len(paths)])
                number += 1
            connection.close()

        with in_thread(scrape):
            try:
                yield
            finally:
                ended.set()

    def since(self, began: float) -> list[Scrape]:
        """Return the scrapes since *began* (monotonic)."""
        return [each for each in self.done if each.began >= began]

    def _scrape(self, connection: http.client.HTTPConnection, path: str) -> None:
        began, size = time.monotonic(), 0
        try:
            status, body = got(connection, path)
            size = len(body)
        except (OSError, http.client.HTTPException):
            connection.close()  # the next scrape opens it again
            status = 0
        self.failed += status != http.HTTPStatus.OK
        self.done.append(Scrape(began, time.monotonic() - began, size))


def got(connection: http.client.HTTPConnection, path: str) -> tuple[int, bytes]:
    """Return status and body of a page, compressed; the connection stays open, as Prometheus'."""
    connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
    response = connection.getresponse()
    return response.status, response.read()


# --- the report -----------------------------------------------------------------------------------


def start_line(began: float, listens: float, process: Watched) -> str:
    ready = time.monotonic() - began
    return (
        f"start: listens after {listens:.1f} s, all polled once after {ready:.1f} s, "
        f"{process.cpu:.1f} s of processor time, {process.memory('VmHWM'):.0f} MB at most"
    )


def steady_lines(
    seconds: float, process: Watched, fake: FakeFleet, scrapers: Scrapers, poll: int
) -> Iterator[str]:
    """Measure for so many *seconds*, and yield what was found."""
    began, gaps_before = time.monotonic(), len(fake.told().gaps)
    before = [each.cpu for each in (process, fake.process)]
    time.sleep(seconds)
    took = time.monotonic() - began
    after = [each.cpu for each in (process, fake.process)]
    ours, theirs = (100 * (b - a) / took for a, b in zip(before, after, strict=True))
    yield f"processor: {ours:.1f} % of a core (the fake PBXs {theirs:.1f} %), over {took:.0f} s"
    yield memory_line(process)
    yield scrape_line(scrapers.since(began), scrapers.failed)
    yield polls_line(fake.told().gaps[gaps_before:], poll)


def memory_line(process: Watched) -> str:
    now = process.memory("VmRSS")
    most, pss = process.memory("VmHWM"), process.peak
    return f"memory: {now:.0f} MB resident now, {most:.0f} MB at most, PSS {pss} MB at most"


def scrape_line(scrapes: Sequence[Scrape], failed: int) -> str:
    seconds = [each.seconds for each in scrapes]
    size = sum(each.size for each in scrapes) / len(scrapes)
    return (
        f"scrapes: {len(scrapes)} of {size:,.0f} bytes, median {median(seconds):.3f} s, "
        f"max {max(seconds):.3f} s, {failed} failed"
    )


def polls_line(gaps: Sequence[float], poll: int) -> str:
    longest = poll * JITTER
    late = sum(gap > longest + LATE for gap in gaps)
    return (
        f"polls: {len(gaps)}, {late} of them more than {LATE:g} s later than the interval allows, "
        f"the latest {max(0.0, max(gaps) - longest):.1f} s"
    )


def page_lines(port: int, told: Told, names: Sequence[str]) -> Iterator[str]:
    """Say what is on the page, and whether each row was counted once."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    _, body = got(connection, "/metrics")
    connection.close()
    counted: Counter[str] = Counter()
    lines, size = 0, 0
    for line in unzipped_lines(body):
        lines, size = lines + 1, size + len(line) + 1
        if line.startswith(b"cdr_records_total{"):
            found = re.search(rb'pbx="([^"]+)".* (\S+)$', line)
            assert found
            counted[found[1].decode()] += int(float(found[2]))
    wrong = sum(counted[name] != rows for name, rows in zip(names, told.rows, strict=True))
    yield f"page: {lines:,} lines, {size:,} bytes, {len(body):,} with gzip"
    yield f"rows: {counted.total():,} counted of {sum(told.rows):,}; {wrong} PBXs differ"


def unzipped_lines(body: bytes) -> Iterator[bytes]:
    """Yield the lines of a page, without having all of it at once."""
    unzip, rest = zlib.decompressobj(31), b""
    for at in range(0, len(body), 1 << 16):
        *lines, rest = (rest + unzip.decompress(body[at : at + (1 << 16)])).split(b"\n")
        yield from lines


def end_line(exporter: Exporter, fake: FakeFleet) -> str:
    began = time.monotonic()
    exporter.signal(signal.SIGTERM)
    code = exporter.ended()
    return (
        f"end: {time.monotonic() - began:.2f} s, exit code {code}, "
        f"{fake.told().live_tokens} tokens not given back"
    )


def log_lines(output: Sequence[str]) -> Iterator[str]:
    """Yield what it logged as a warning or an error: nothing, when all is well."""
    texts = (re.search(r'level=(?:warn|error) .*?msg="?([^"]+)', line) for line in output)
    for text, times in Counter(each[1] for each in texts if each).most_common(10):
        yield f"log: {times} times: {text}"


if __name__ == "__main__":
    main()
