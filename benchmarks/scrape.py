"""Scrape: what one costs, ours against `generate_latest` over the same series, in this run.

    unchanged   nothing was published since the last scrape
    one call    one label set changed since, as after a poll of an office
    library     prometheus_client collects and renders the same series

Then many PBXs on one page, of which some have changed, against compressing the page as a whole; and
a hundred scrapers at once, over HTTP. Ratios; the machine's own seconds mean little.

    python -m benchmarks.scrape [PBXS]      so many on the page instead of 100
"""

from __future__ import annotations

import sys
import threading
import time
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from cdr_exporter import bundled
from cdr_exporter.cdr.contract import CALL_TYPES, DISPOSITIONS
from cdr_exporter.clock import Now
from cdr_exporter.commands.exporter import histogram_bounds
from cdr_exporter.exposition import Body, Exposition
from cdr_exporter.metrics.catalogue import DURATION, HISTOGRAM, RECORDS, RING, TALK
from cdr_exporter.metrics.snapshot import Snapshot
from cdr_exporter.metrics.totals import Series, Totals, Value, value_length
from cdr_exporter.settings import Settings
from cdr_exporter.web import App, Server, parse_listen_address

BOUNDS = histogram_bounds(Settings(pbxs=()))
FAMILIES = (RECORDS, DURATION, RING, TALK)
TRUNKS, SCRAPERS, SCRAPES = 30, 100, 5
PBXS, TRUNKS_OF_EACH, TIMES = 100, 10, 5
NOW = Now(1_700_000_000.0, 1_000.0)


def main() -> None:
    """Print the ratios."""
    snapshot = made_up()
    exposition = Exposition(BOUNDS, "bench")
    registry = CollectorRegistry()
    registry.register(Library(snapshot))
    exposition.all_pbxs([snapshot], NOW, openmetrics=False)
    text = exposition.all_pbxs([snapshot], NOW, openmetrics=False).plain
    lines = sum(1 for line in text.splitlines() if not line.startswith(b"#"))
    unchanged = best(lambda: exposition.all_pbxs([snapshot], NOW, openmetrics=False).plain, 200)
    gzipped = best(lambda: exposition.all_pbxs([snapshot], NOW, openmetrics=False).gzipped, 200)
    after_a_call = best(one_call(exposition, snapshot), 50)
    library = best(lambda: generate_latest(registry), 5)
    print(f"scrape of {lines:,} samples, {len(text):,} bytes:")
    for name, seconds in (
        ("unchanged, plain", unchanged),
        ("unchanged, gzip", gzipped),
        ("after one call", after_a_call),
        ("generate_latest", library),
    ):
        print(f"  {name:16} {seconds * 1e3:8.2f} ms")
    print(f"  generate_latest / unchanged      = {library / gzipped:.0f}   (budget: at least 20)")
    print(f"  generate_latest / unchanged text = {library / unchanged:.0f}   (the same)")
    print(f"  generate_latest / after one call = {library / after_a_call:.0f}")
    many(int(sys.argv[1]) if len(sys.argv) > 1 else PBXS)
    errors, seconds = crowd(exposition, snapshot)
    print(f"{SCRAPERS} scrapers at once, {SCRAPES} scrapes each: {errors} errors,", end=" ")
    print(f"{SCRAPERS * SCRAPES / seconds:.0f} scrapes a second")


def best(act: Callable[[], object], times: int) -> float:
    """Return the seconds of the quickest of *times* runs."""

    def once() -> float:
        began = time.perf_counter()
        act()
        return time.perf_counter() - began

    return min(once() for _ in range(times))


def made_up(name: str = "hq", trunks: int = TRUNKS) -> Snapshot:
    """Return a PBX with that many trunks, of which every label set was seen."""
    series: dict[Series, Value] = {
        Series(family.name, (disposition, call_type, f"trunk-{number:02}")): tuple(
            range(value_length(family, BOUNDS))
        )
        for family in FAMILIES
        for number in range(trunks)
        for disposition in DISPOSITIONS
        for call_type in CALL_TYPES
    }
    totals = Totals(series, dict.fromkeys(series, 0.0))
    return Snapshot(pbx=name, totals=totals, shown=True, fresh_until=float("inf"))


def with_one_call(snapshot: Snapshot) -> Snapshot:
    """Return *snapshot* with one more call counted."""
    changed = [Series(f.name, ("ANSWERED", "Inbound", "trunk-07")) for f in FAMILIES]
    series = dict(snapshot.totals.series)
    series |= {key: tuple(n + 1 for n in series[key]) for key in changed}
    return replace(snapshot, totals=replace(snapshot.totals, series=series))


def one_call(exposition: Exposition, snapshot: Snapshot) -> Callable[[], bytes]:
    """Return a scrape before which one more call was counted."""
    current = snapshot

    def scrape() -> bytes:
        nonlocal current
        current = with_one_call(current)
        return exposition.all_pbxs([current], NOW, openmetrics=False).gzipped

    return scrape


def many(pbxs: int) -> None:
    """Print what a scrape of that many PBXs costs after some of them have changed."""
    exposition = Exposition(BOUNDS, "bench")
    shots = [made_up(f"pbx-{number:04}", TRUNKS_OF_EACH) for number in range(pbxs)]

    def scrape() -> Body:
        body = exposition.all_pbxs(shots, NOW, openmetrics=False)
        for part in body.gzip_parts():
            del part
        return body

    text = scrape().plain
    began = time.process_time()
    whole = len(zlib.compress(text, 1))
    at_once = time.process_time() - began
    print(
        f"{pbxs:,} PBXs, {len(text) / 1e6:.1f} MB of text, compressed as a whole {at_once:.2f} s:"
    )
    print(f"  on the wire in pieces / as a whole = {scrape().gzip_length / whole:.2f}")
    for changed in (0, 1, pbxs // 10, pbxs):
        seconds = []
        for _ in range(TIMES):
            shots[:changed] = [with_one_call(each) for each in shots[:changed]]
            began = time.process_time()
            scrape()
            seconds.append(time.process_time() - began)
        best_ms = min(seconds) * 1e3
        print(
            f"  {changed:5,} changed {best_ms:8.2f} ms, whole / it = {at_once / best_ms * 1e3:.1f}"
        )


class Library:
    """The same series as prometheus_client would have them from a custom collector."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        for family in FAMILIES:
            labels = ["pbx", *family.labels]
            kind = HistogramMetricFamily if family.kind == HISTOGRAM else CounterMetricFamily
            metric = kind(family.name, family.help, labels=labels)
            for key, value in self._snapshot.totals.series.items():
                if key.family == family.name:
                    self._add(metric, [self._snapshot.pbx, *key.labels], value, family.buckets)
            yield metric

    @staticmethod
    def _add(metric: Metric, labels: list[str], value: Value, buckets: str) -> None:
        if isinstance(metric, CounterMetricFamily):
            metric.add_metric(labels, value[0])
            return
        assert isinstance(metric, HistogramMetricFamily)
        edges = [*(str(float(bound)) for bound in BOUNDS[buckets]), "+Inf"]
        counts, reached = [], 0
        for edge, count in zip(edges, value[:-1], strict=True):
            reached += count
            counts.append((edge, reached))
        metric.add_metric(labels, counts, value[-1])


def crowd(exposition: Exposition, snapshot: Snapshot) -> tuple[int, float]:
    """Let many scrape at once; return failed scrapes and seconds."""
    app = App(
        snapshots=lambda: (snapshot,),
        exposition=exposition,
        now=lambda: NOW,
        alive=lambda: True,
        version="bench",
        dashboards=bundled.dashboards(),
        rules=bundled.rules(),
    )
    server = Server(app, [parse_listen_address("127.0.0.1:0")])
    server.start()
    errors: list[Exception] = []

    def scrape() -> None:
        for _ in range(SCRAPES):
            request = urllib.request.Request(
                server.addresses[0].url + "metrics", headers={"Accept-Encoding": "gzip"}
            )
            try:
                with urllib.request.urlopen(request, timeout=30) as response:
                    response.read()
            except OSError as error:
                errors.append(error)

    threads = [threading.Thread(target=scrape) for _ in range(SCRAPERS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    server.stop()
    return len(errors), seconds


if __name__ == "__main__":
    main()
