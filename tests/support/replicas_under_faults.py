"""Replicas of the exporter over one PostgreSQL, with faults, and a judge who watches all of them.

Cluster     the replicas, each a process: one comes, ends, is killed or suspended
Balancer    one address for `/sd`, answered by any replica that answers, as behind a Service
Judge       looks at the pages of all replicas all the time, and keeps what it saw
"""

from __future__ import annotations

import json
import random
import re
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from .processes import Process, eventually, free_port

DURABLE = re.compile(r"cdr_(?!exporter_)(records_total|calls_total|\w+_seconds_count)\{")
"""The durable samples that are looked at: enough of each kind, and not every bucket."""

CHANGES = "cdr_exporter_lease_changes_total"


class ReplicaUnderFaults(Process):
    """One replica as a user starts it; nobody waits until it listens."""

    def __init__(self, config: Path) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self.suspended = False
        super().__init__(
            *(sys.executable, "-m", "cdr_exporter", "--config.file", str(config)),
            *("--web.listen-address", self.address, "--web.advertise-address", self.address),
        )

    @property
    def listens(self) -> bool:
        """Whether it has started: before that a signal ends it as any program."""
        return any("addresses=" in line for line in self.output)

    def get(self, path: str) -> bytes:
        """Return what it answers at *path*; OSError where it does not, or with another status."""
        with urllib.request.urlopen(f"http://{self.address}{path}", timeout=10) as response:
            return bytes(response.read())

    def suspend(self, seconds: float) -> None:
        """Stop it, and let it go on *seconds* later."""
        self.suspended = True
        self.signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.signal(signal.SIGCONT)
        self.suspended = False


@dataclass(frozen=True, slots=True)
class Sight:
    """The page of one replica, asked for at *began* and there at *ended* (monotonic, seconds).

    *changes* is how many leases it says it has taken and lost until then. *values* are the
    durable samples that are looked at, by name and labels as written.
    """

    replica: str
    began: float
    ended: float
    changes: float
    pbxs: frozenset[str]
    values: Mapping[str, float]


class Judge:
    """Keeps all pages that the replicas of *cluster* showed, while `watching`."""

    def __init__(self, cluster: Cluster, each: float = 0.2) -> None:
        self._cluster = cluster
        self._each = each
        self._lock = threading.Lock()
        self.sights: list[Sight] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look at every replica until the block is left, at each in a thread of its own."""
        stop = threading.Event()
        threads: dict[str, threading.Thread] = {}

        def look_for_new_ones() -> None:
            while not stop.wait(0.05):
                for replica in self._cluster.replicas:
                    if replica.address not in threads:
                        thread = threading.Thread(target=self._watch, args=(replica, stop))
                        threads[replica.address] = thread
                        thread.start()

        looks = threading.Thread(target=look_for_new_ones)
        looks.start()
        try:
            yield
        finally:
            stop.set()
            looks.join()
            for thread in threads.values():
                thread.join()

    def _watch(self, replica: ReplicaUnderFaults, stop: threading.Event) -> None:
        while replica.running and not stop.wait(self._each):
            began = time.monotonic()
            with suppress(OSError, ValueError):
                page = replica.get("/metrics").decode()
                self._keep(sight_of(replica.address, began, time.monotonic(), page))

    def _keep(self, sight: Sight) -> None:
        with self._lock:
            self.sights.append(sight)

    def two_owners(self) -> list[str]:
        """Return where a PBX was shown by one replica while another one certainly held it.

        One holds it from one page to its next where both show it and no lease changed in between.
        """
        found = []
        for before, after in self._in_a_row():
            for other in self.sights:
                if other.replica != before.replica and before.ended < other.began:
                    both = other.pbxs & before.pbxs & after.pbxs
                    if both and other.ended < after.began:
                        found.append(f"{sorted(both)}: {before.replica} and {other.replica}")
        return found

    def _in_a_row(self) -> Iterator[tuple[Sight, Sight]]:
        newest: dict[str, Sight] = {}
        for sight in self.sights:
            before = newest.get(sight.replica)
            if before is not None and before.changes == sight.changes:
                yield before, sight
            newest[sight.replica] = sight

    def steps_back(self) -> list[str]:
        """Return where a durable sample was lower than in a page that was there before."""
        found: list[str] = []
        highest: dict[str, float] = {}
        ended = sorted(self.sights, key=lambda sight: sight.ended)
        there = 0
        for sight in sorted(self.sights, key=lambda sight: sight.began):
            while ended[there].ended < sight.began:
                for name, value in ended[there].values.items():
                    highest[name] = max(value, highest.get(name, 0.0))
                there += 1
            found += [
                f"{sight.replica} at {sight.began:.3f}: {name} {highest[name]:g} → {value:g}"
                for name, value in sight.values.items()
                if value < highest.get(name, 0.0)
            ]
        return found

    def longest_unseen(self) -> Mapping[str, tuple[float, float]]:
        """Return for how long, in seconds, and until when no page showed the calls of each PBX."""
        seen: dict[str, list[float]] = {}
        for sight in sorted(self.sights, key=lambda sight: sight.ended):
            for pbx in {name.split('pbx="')[1].split('"')[0] for name in sight.values}:
                seen.setdefault(pbx, []).append(sight.ended)
        return {
            pbx: max((after - before, after) for before, after in pairwise(times))
            for pbx, times in seen.items()
        }


def sight_of(replica: str, began: float, ended: float, page: str) -> Sight:
    """Return what is to be kept of a page."""
    values, pbxs, changes = {}, set(), 0.0
    for line in page.splitlines():
        if DURABLE.match(line):
            name, _, value = line.rpartition(" ")
            values[name] = float(value)
        elif line.startswith("cdr_up{"):
            pbxs.add(line.split('"')[1])
        elif line.startswith(CHANGES):
            changes += float(line.rpartition(" ")[2])
    return Sight(replica, began, ended, changes, frozenset(pbxs), values)


class Cluster:
    """Replicas that run with one configuration; *running* are those not killed or ended."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self.replicas: tuple[ReplicaUnderFaults, ...] = ()
        self._gone: list[ReplicaUnderFaults] = []

    def add(self) -> ReplicaUnderFaults:
        """Start another replica."""
        replica = ReplicaUnderFaults(self._config)
        self.replicas = (*self.replicas, replica)
        return replica

    def kill(self, replica: ReplicaUnderFaults) -> None:
        """`kill -9` of *replica*."""
        replica.kill()
        self._forget(replica)

    def end(self, replica: ReplicaUnderFaults) -> None:
        """End *replica* as an administrator does."""
        eventually("it listens", lambda: replica.listens)
        code = replica.stop()
        self._forget(replica)
        assert code == 0, "\n".join(replica.output)

    def _forget(self, replica: ReplicaUnderFaults) -> None:
        self.replicas = tuple(each for each in self.replicas if each is not replica)
        self._gone.append(replica)

    def close(self) -> None:
        """Kill what runs."""
        for replica in (*self.replicas, *self._gone):
            with suppress(ProcessLookupError):
                replica.signal(signal.SIGCONT)
            replica.__exit__()

    @property
    def output(self) -> str:
        """What all replicas wrote, one after the other."""
        every = (*self._gone, *self.replicas)
        return "\n".join(f"{each.address}: {line}" for each in every for line in each.output)

    def targets(self) -> dict[str, str]:
        """Return the address of each PBX as `/sd` of any replica tells it; OSError where none."""
        for replica in self.replicas:
            with suppress(OSError):
                groups = json.loads(replica.get("/sd"))
                return {each["labels"]["instance"]: each["targets"][0] for each in groups}
        raise OSError("no replica answers at /sd")

    def samples(self, pbx: str, *families: str) -> dict[str, dict[tuple[str, ...], float]]:
        """Return families of *pbx* from where `/sd` leads; OSError where nobody shows it."""
        address = self.targets()[pbx]
        with urllib.request.urlopen(f"http://{address}/metrics?pbx={pbx}", timeout=10) as response:
            page = response.read().decode()
        wanted = [f"{line}\n" for line in page.splitlines() if any(f in line for f in families)]
        found: dict[str, dict[tuple[str, ...], float]] = {family: {} for family in families}
        for family in text_string_to_metric_families("".join(wanted)):
            for sample in family.samples:
                if sample.name in found:
                    labels = tuple(value for name, value in sorted(sample.labels.items()))
                    found[sample.name][labels] = sample.value
        return found


class Balancer:
    """Answers at `/sd` what any replica answers there; 503 where none does."""

    def __init__(self, cluster: Cluster, chance: random.Random) -> None:
        def any_answer() -> bytes | None:
            replicas = list(cluster.replicas)
            chance.shuffle(replicas)
            for replica in replicas:
                if not replica.suspended:
                    with suppress(OSError):
                        return replica.get("/sd")
            return None

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer = any_answer()
                found = answer is not None
                self.send_response(HTTPStatus.OK if found else HTTPStatus.SERVICE_UNAVAILABLE)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                with suppress(OSError):  # Prometheus waits no longer
                    self.wfile.write(answer or b"")

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}/sd"

    def __enter__(self) -> Balancer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def half_a_scrape(replica: ReplicaUnderFaults) -> Iterator[None]:
    """Have a part of the page of *replica* read while the block runs, and no more of it."""
    host, _, port = replica.address.partition(":")
    with suppress(OSError), socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        connection.recv(1000)
        yield
        return
    yield


def wait_for_all(cluster: Cluster, names: Sequence[str], holds: Callable[[str], bool]) -> None:
    """Wait until *holds* is true of each PBX, whoever holds it."""
    left = list(names)

    def none_left() -> bool:
        left[:] = [name for name in left if not holds(name)]
        return not left

    eventually(f"all of {left}", none_left, 120)
