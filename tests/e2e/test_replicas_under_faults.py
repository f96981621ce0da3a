"""Replicas over a real PostgreSQL, while processes, suspensions and the database fail.

Judged by the PBXs' own tables, by every page that any replica showed, and by a real Prometheus
that scrapes through `/sd`. The seed is printed; `pytest -s` shows the figures of the long one.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from pbx_simulator import APISettings, SimulatedPBX
from pbx_simulator.background import repeating
from pbx_simulator.serving import serve

from ..support.exporter_and_simulator import SECRET
from ..support.postgres import PostgresServer
from ..support.processes import Prometheus, eventually
from ..support.replicas_under_faults import (
    Balancer,
    Cluster,
    Judge,
    ReplicaUnderFaults,
    half_a_scrape,
    wait_for_all,
)

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

LEASE = 2.0
"""Seconds."""

DURABLE = ("records_total", "calls_total", "duration_seconds_bucket", "call_wait_seconds_sum")


class World:
    """Simulated PBXs, a PostgreSQL, replicas and a Prometheus, with the faults there may be."""

    def __init__(self, directory: Path, pbxs: int, seed: int, stack: ExitStack) -> None:
        self.chance = random.Random(seed)
        self.pbxs = {
            f"pbx{n}": SimulatedPBX(api=APISettings(client_secret=SECRET)) for n in range(pbxs)
        }
        for pbx in self.pbxs.values():
            pbx.office.whole_calls(150)  # so that no series is born later
        self.server = stack.enter_context(PostgresServer(durable=True, settings=SLOW_COMMITS))
        self.database = self.server.make_database()
        urls = {name: stack.enter_context(serve(pbx)).base_url for name, pbx in self.pbxs.items()}
        self.cluster = Cluster(write_config(directory, urls, self.database.url().reveal()))
        stack.callback(self.cluster.close)
        self.judge = Judge(self.cluster)
        balancer = stack.enter_context(Balancer(self.cluster, self.chance))
        self._prometheus_text = (
            "global: {scrape_interval: 1s}\nscrape_configs:\n"
            f"  - {{job_name: cdr, http_sd_configs: [{{url: '{balancer.url}',"
            " refresh_interval: 1s}]}\n"
        )
        self._directory = directory

    def prometheus(self) -> Prometheus:
        return Prometheus(self._directory, "by /sd", text=self._prometheus_text)

    # --- the faults ------------------------------------------------------------------------------

    def kill(self) -> None:
        """`kill -9` at any instant; another takes its place a while later."""
        self.cluster.kill(self.any_replica())
        time.sleep(self.chance.uniform(0, LEASE))
        self.cluster.add()

    def kill_within_a_commit(self) -> None:
        """`kill -9` of a replica, while commits of all of them wait within their transaction."""
        with self.commits_waiting():
            self.cluster.kill(self.any_replica())
        self.cluster.add()

    def kill_within_a_scrape(self) -> None:
        replica = self.any_replica()
        with half_a_scrape(replica):
            self.cluster.kill(replica)
        self.cluster.add()

    def suspend(self) -> None:
        """SIGSTOP past the lease, then SIGCONT."""
        self.any_replica().suspend(self.chance.uniform(1.2, 2.0) * LEASE)

    def suspend_within_a_commit(self) -> None:
        with self.commits_waiting():
            replica = self.any_replica()
            replica.suspended = True
            replica.signal(signal.SIGSTOP)
        replica.suspend(self.chance.uniform(1.2, 2.0) * LEASE)

    def suspend_within_a_scrape(self) -> None:
        replica = self.any_replica()
        with half_a_scrape(replica):
            replica.suspend(self.chance.uniform(1.2, 2.0) * LEASE)

    def restart_database(self) -> None:
        self.chance.choice((self.server.stop, self.server.kill))()
        time.sleep(self.chance.uniform(0, LEASE))
        self.server.start()

    def one_more(self) -> None:
        self.cluster.add()

    def one_less(self) -> None:
        self.cluster.end(self.any_replica())
        if len(self.cluster.replicas) < 2:
            self.cluster.add()

    def any_replica(self) -> ReplicaUnderFaults:
        return self.chance.choice(self.cluster.replicas)

    @contextmanager
    def commits_waiting(self) -> Iterator[None]:
        """Let commits wait in the midst of their transaction while the block runs."""
        waiting = "SELECT true FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        with self.server.connect(self.database.name) as session, session.transaction():
            session.execute("LOCK TABLE cdr_exporter.state IN SHARE MODE")
            eventually("a commit waits", lambda: self.database.run(waiting), 10)
            yield

    # --- in the end ------------------------------------------------------------------------------

    def is_counted(self, name: str) -> bool:
        """Say whether all calls of the PBX *name* are over, counted and shown."""
        families = ("cdr_up", "cdr_exporter_backlog", "cdr_exporter_open_calls", *COUNTERS)
        found = self.cluster.samples(name, *families)
        at_rest = [set(found[family].values()) for family in families[:3]] == [{1}, {0}, {0}]
        return at_rest and self.amiss(name, found) == {}

    def amiss(
        self, name: str, found: Mapping[str, Mapping[tuple[str, ...], float]] | None = None
    ) -> dict[tuple[str, ...], float]:
        """Return by how much rows and calls shown of a PBX differ from those it knows of."""
        found = found or self.cluster.samples(name, *COUNTERS)
        pbx = self.pbxs[name]
        theirs = {
            **{("rows", *key): n for key, n in pbx.expected.totals().items()},
            **{("calls", *key): n for key, n in pbx.expected.outcomes().items()},
        }
        ours = {
            (what, label, call_type, trunk): value
            for what, family in zip(("rows", "calls"), COUNTERS, strict=True)
            for (call_type, label, _, trunk), value in found[family].items()
            if value
        }
        each = {key: ours.get(key, 0) - theirs.get(key, 0) for key in ours.keys() | theirs.keys()}
        return {key: n for key, n in each.items() if n}


COUNTERS = ("cdr_records_total", "cdr_calls_total")

SLOW_COMMITS = {"commit_delay": "20000", "commit_siblings": "0"}
"""Each COMMIT takes 20 ms, so that many a fault falls into one."""


def write_config(directory: Path, urls: Mapping[str, str], database: str) -> Path:
    (directory / "secret").write_text(SECRET + "\n")
    (directory / "database").write_text(database + "\n")
    (directory / "database").chmod(0o600)
    pbxs = "".join(
        f"  - {{name: {name}, base_url: '{url}', client_id: simulated,"
        " client_secret_file: secret}\n"
        for name, url in urls.items()
    )
    path = directory / "exporter.yml"
    path.write_text(
        "poll_interval: 1s\nstale_after: 5m\nbirth_hold: 3s\ncall_settle: 5s\nstart: all\n"
        f"state_url_file: database\nlease: {LEASE:g}s\npbxs:\n{pbxs}"
    )
    return path


FAULTS = (
    "kill",
    "kill_within_a_commit",
    "kill_within_a_scrape",
    "suspend",
    "suspend_within_a_commit",
    "suspend_within_a_scrape",
    "restart_database",
    "one_more",
    "one_less",
)


def test_replicas_count_each_call_once_whatever_fails(tmp_path: Path) -> None:
    shake(tmp_path, 6, 2, ["kill_within_a_commit", "suspend", "restart_database"])


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_three_replicas_count_each_call_of_30_pbxs_once_through_36_faults(tmp_path: Path) -> None:
    shake(tmp_path, 30, 3, [*FAULTS] * 4)


def shake(directory: Path, pbxs: int, replicas: int, faults: list[str]) -> None:
    """Let calls come while the *faults* happen in any order, at any instant; then judge."""
    seed = random.SystemRandom().randrange(10_000)
    print(f"\nseed {seed}")  # noqa: T201 - of a test that failed it is shown
    with ExitStack() as stack:
        world = World(directory, pbxs, seed, stack)
        names = list(world.pbxs)
        for _ in range(replicas):
            world.cluster.add()
        wait_for_all(world.cluster, names, world.is_counted)
        prometheus = stack.enter_context(world.prometheus())
        eventually("all are scraped", lambda: len(prometheus.query("cdr_up == 1")) == pbxs)
        began = time.time()
        before = {name: rows(pbx) for name, pbx in world.pbxs.items()}
        with world.judge.watching():
            with repeating(lambda: ring(world), 1 / pbxs):
                happen(world, faults)
            wait_until_counted(world)
            time.sleep(3)  # a scrape or two of Prometheus
        seconds = time.time() - began
        counted = {name: rows(pbx) - before[name] for name, pbx in world.pbxs.items()}
        logins = {name: pbx.request_log.count("get_token") for name, pbx in world.pbxs.items()}
        print(  # noqa: T201 - figures are what a long test is run for
            f"{len(faults)} faults in {seconds:.0f} s, {sum(counted.values())} rows,"
            f" {len(world.judge.sights)} pages, {sum(logins.values())} logins of {pbxs} PBXs,"
            f" calls unseen for at most {max(world.judge.longest_unseen().values())[0]:.1f} s"
        )

        assert world.judge.two_owners() == []
        assert world.judge.steps_back() == []
        assert {name: n for name, n in logins.items() if n > 1} == {}
        judge_by_prometheus(prometheus, counted, began)


def happen(world: World, faults: list[str]) -> None:
    began = time.monotonic()
    world.chance.shuffle(faults)
    for fault in faults:
        time.sleep(world.chance.uniform(0, 2 * LEASE))
        print(f"{time.monotonic() - began:7.2f} s: {fault}")  # noqa: T201
        getattr(world, fault)()
    time.sleep(LEASE)


def wait_until_counted(world: World) -> None:
    try:
        wait_for_all(world.cluster, list(world.pbxs), world.is_counted)
    except AssertionError:
        amiss = {name: world.amiss(name) for name in world.pbxs}
        wrong = {name: each for name, each in amiss.items() if each}
        raise AssertionError(f"{wrong}\n{world.cluster.output}") from None


def rows(pbx: SimulatedPBX) -> int:
    return sum(pbx.expected.totals().values())


def ring(world: World) -> None:
    world.chance.choice(list(world.pbxs.values())).office.whole_calls(1)


def judge_by_prometheus(prometheus: Prometheus, counted: Mapping[str, int], began: float) -> None:
    def window() -> str:
        return f"[{time.time() - began + 2:.0f}s]"

    def rose() -> Mapping[str, float]:
        records = f"cdr_records_total{window()}"
        return by_pbx(
            prometheus, f"sum by (pbx) (max_over_time({records}) - min_over_time({records}))"
        )

    with suppress(AssertionError):
        eventually("Prometheus has it all", lambda: rose() == counted, 20)
    assert rose() == counted
    increase = by_pbx(prometheus, f"sum by (pbx) (increase(cdr_records_total{window()}))")
    # Prometheus goes on from the first and the last sample by up to 1.1 times what is between two.
    assert increase == pytest.approx(counted, rel=5 / (time.time() - began))
    for name in DURABLE:
        assert prometheus.query(f"resets(cdr_{name}{window()}) > 0") == []
    owners = f"max_over_time(count by (instance) (up == 1){window()[:-1]}:1s])"
    assert prometheus.query(f"{owners} > 1") == []


def by_pbx(prometheus: Prometheus, expression: str) -> Mapping[str, float]:
    return {each["metric"]["pbx"]: float(each["value"][1]) for each in prometheus.query(expression)}
