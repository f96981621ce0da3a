"""A real Prometheus with the example for replicas: targets, moves, and what it keeps of which job.

The replicas are web servers whose PBXs and whose database are made up.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from cdr_exporter.clock import SystemClock
from cdr_exporter.errors import ExporterError
from cdr_exporter.leases import Holder
from cdr_exporter.metrics.snapshot import Snapshot
from cdr_exporter.web import Replicas, Server

from ..support.processes import Prometheus, eventually
from ..support.prometheus_rules import FOLDER
from ..support.web import app, snapshot
from ..support.web_server import FREE_PORT

pytestmark = pytest.mark.e2e

PBXS = ("hq", "branch", "new")


class Replica:
    """A web server that shows the PBXs which it holds, as *database* says."""

    def __init__(self, database: Database) -> None:
        self._database = database
        clock = SystemClock(threading.Event())
        self.server = Server(lambda request: self._app(request), [FREE_PORT])
        self.address = str(self.server.addresses[0])
        self._app = app(
            snapshots=self._snapshots,
            replicas=Replicas(PBXS, self.address, self._ask, 30.0, clock.now),
        )

    def _snapshots(self) -> Sequence[Snapshot]:
        holders = {name: self._database.holder(name, self.address) for name in PBXS}
        return [snapshot(name) for name, holder in holders.items() if holder and holder.here]

    def _ask(self, names: Collection[str]) -> Mapping[str, Holder | None]:
        if self._database.is_away:
            raise ExporterError("away")
        return {name: self._database.holder(name, self.address) for name in names}


class Database:
    """The last holder of each PBX, by address, and which PBXs nobody holds now."""

    def __init__(self) -> None:
        self.last: dict[str, str] = {}
        self.free: set[str] = set()
        self.is_away = False

    def holder(self, name: str, asking: str) -> Holder | None:
        address, held = self.last.get(name), name not in self.free
        return Holder(address, address == asking and held, held) if address else None


def configuration(replicas: Sequence[Replica]) -> str:
    """Return the example with these replicas in place of a name in DNS, and soon."""
    example: dict[str, Any] = yaml.safe_load((FOLDER / "prometheus-replicas.yml").read_text())
    pbxs, processes = example["scrape_configs"]
    example["global"]["scrape_interval"] = processes["scrape_interval"] = "1s"
    del example["rule_files"], example["alerting"], processes["dns_sd_configs"]
    pbxs["http_sd_configs"] = [
        {"url": f"http://{replicas[0].address}/sd", "refresh_interval": "1s"}
    ]
    processes["static_configs"] = [{"targets": [each.address for each in replicas]}]
    return yaml.safe_dump(example)


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def replicas(database: Database) -> Iterator[Sequence[Replica]]:
    with ExitStack() as stack:
        both = [Replica(database) for _ in range(2)]
        for each in both:
            each.server.start()
            stack.callback(each.server.stop)
        yield both


def test_prometheus_follows_each_pbx_to_its_holder_and_scrapes_processes_beside(
    tmp_path: Path, database: Database, replicas: Sequence[Replica]
) -> None:
    one, two = (each.address for each in replicas)
    database.last = {"hq": one, "branch": two}
    with Prometheus(tmp_path, one, text=configuration(replicas)) as prometheus:

        def found(expression: str) -> dict[str, str]:
            """Return the values by `instance`."""
            result = prometheus.query(expression)
            return {each["metric"]["instance"]: each["value"][1] for each in result}

        up = 'up{job="cdr-exporter"}'
        eventually("who is held is up", lambda: found(up) == {"hq": "1", "branch": "1", "new": "0"})
        eventually(
            "each replica tells of itself",
            lambda: found("cdr_exporter_build_info").keys() == {one, two},
        )
        assert found("count by (instance) (process_start_time_seconds)").keys() == {one, two}
        assert not prometheus.query('{job="cdr-exporter-replicas",pbx!=""}')

        database.last["hq"] = two
        eventually("it is scraped at the other", lambda: address_of(prometheus, "hq") == two)
        eventually("it is up there", lambda: found(up)["hq"] == "1")
        assert len(prometheus.query('count_over_time(cdr_up{pbx="hq"}[1h])')) == 1

        database.free = {"hq"}
        eventually("nobody holds it", lambda: found(up)["hq"] == "0")
        assert address_of(prometheus, "hq") == two


def address_of(prometheus: Prometheus, pbx: str) -> str:
    """Return the address at which Prometheus scrapes the PBX."""
    (target,) = (
        each
        for each in prometheus.ask("targets", state="active")["activeTargets"]
        if each["labels"]["instance"] == pbx
    )
    return str(target["discoveredLabels"]["__address__"])


def test_prometheus_keeps_its_targets_while_the_database_is_away(
    tmp_path: Path, database: Database, replicas: Sequence[Replica]
) -> None:
    one, two = (each.address for each in replicas)
    database.last = {"hq": one, "branch": two, "new": one}
    with Prometheus(tmp_path, one, text=configuration(replicas)) as prometheus:
        up = 'up{job="cdr-exporter"}'
        eventually("all are up", lambda: len(prometheus.query(f"{up} == 1")) == len(PBXS))

        database.is_away = True
        eventually(
            "service discovery has failed",
            lambda: "Unable to refresh target groups" in "\n".join(prometheus.output),
        )
        assert len(prometheus.query(up)) == len(PBXS)
