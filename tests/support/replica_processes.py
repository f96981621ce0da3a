"""Exporters as replicas over one database, of simulated PBXs that telephone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from pbx_simulator import APISettings, SimulatedPBX
from pbx_simulator.background import repeating
from pbx_simulator.serving import serve

from .exporter_and_simulator import SECRET, write_config
from .postgres import TestDatabase
from .processes import Exporter, Process, eventually, free_port

LEASE = 2.0


class Replica(Exporter):
    """One replica, which is scraped where it listens."""

    def __init__(self, config: Path) -> None:
        self.port = free_port()
        Process.__init__(
            self,
            *(sys.executable, "-m", "cdr_exporter", "--config.file", str(config)),
            *("--web.listen-address", self.address, "--web.advertise-address", self.address),
        )
        eventually("the replica listens", self._listening)

    def held(self) -> list[str]:
        """Return the PBXs that it shows."""
        shown = {labels[0] for labels in self.samples("cdr_up")}
        return sorted(shown)

    @property
    def is_ready(self) -> bool:
        """Whether it says so."""
        return self.get("/-/ready") == "ready\n"


class Replicas:
    """Simulated PBXs pbx0, pbx1, … and the replicas that share them."""

    def __init__(
        self, directory: Path, postgres: TestDatabase, stack: ExitStack, pbxs: int
    ) -> None:
        self.pbxs = {
            f"pbx{number}": SimulatedPBX(api=APISettings(client_secret=SECRET))
            for number in range(pbxs)
        }
        self.running: list[Replica] = []
        self._stack = stack
        urls = [stack.enter_context(serve(pbx)).base_url for pbx in self.pbxs.values()]
        url_file = directory / "postgres"
        url_file.write_text(postgres.url().reveal())
        url_file.chmod(0o600)
        self.config = write_config(
            directory, *urls, extra=f"state_url_file: postgres\nlease: {LEASE:g}s\n"
        )

    def start(self) -> Replica:
        """Start one more."""
        replica = self._stack.enter_context(Replica(self.config))
        self.running.append(replica)
        return replica

    @contextmanager
    def telephoning(self) -> Iterator[None]:
        """Let the offices telephone until the end of the block."""
        with ExitStack() as stack:
            for pbx in self.pbxs.values():
                stack.enter_context(repeating(partial(pbx.office.whole_calls, 2), 0.1))
            yield

    def end(self, replica: Replica) -> None:
        """Let it end as a service does, and without any error."""
        assert replica.stop() == 0, "\n".join(replica.output)
        self.running.remove(replica)

    def held(self) -> list[list[str]]:
        """Return what each replica shows; each PBX once, if all is well."""
        return [replica.held() for replica in self.running]

    def share_evenly(self) -> bool:
        """Say whether each PBX is shown by one of them, and no replica has more than its share."""
        held = self.held()
        each_once = sorted(name for each in held for name in each) == sorted(self.pbxs)
        return each_once and max(map(len, held)) <= -(-len(self.pbxs) // len(held))

    def wait_until_they_share(self) -> None:
        """Wait until each PBX is shown by one replica, and all have their share."""
        eventually("each PBX is shown by one replica", self.share_evenly, 30)


@contextmanager
def replicas(directory: Path, postgres: TestDatabase, pbxs: int) -> Iterator[Replicas]:
    """Return simulated PBXs, and what starts replicas; all of them end with the block."""
    with ExitStack() as stack:
        yield Replicas(directory, postgres, stack, pbxs)
