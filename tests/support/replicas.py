"""Replicas that share PBXs, and a database that says who holds which, slowly or not at all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager

from cdr_exporter.clock import Now
from cdr_exporter.errors import ExporterError
from cdr_exporter.leases import Holder
from cdr_exporter.web import Replicas

from .web import NOW

OWN_ADDRESS = "one.example:10088"
TWO, THREE = "two.example:10088", "three.example:10088"
HERE = Holder(OWN_ADDRESS, here=True, held=True)
LEASE = 30.0


class FakeHolders:
    """Holders by the name of the PBX, as the database tells them."""

    def __init__(self, **holders: Holder | None) -> None:
        self.holders: Mapping[str, Holder | None] = holders
        self.asked: list[Collection[str]] = []
        self.away = False
        self.meanwhile: Callable[[], object] = lambda: None
        """What happens while it is asked."""

    def __call__(self, names: Collection[str]) -> Mapping[str, Holder | None]:
        self.asked.append(names)
        self.meanwhile()
        if self.away:
            raise ExporterError("no answer, from postgresql://canary")
        return self.holders

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Let who asks wait until the end of the block."""
        goes_on = threading.Event()
        self.meanwhile = lambda: goes_on.wait(30)
        try:
            yield
        finally:
            self.meanwhile = lambda: None
            goes_on.set()


def elsewhere(address: str = TWO) -> Holder:
    """Return that another replica holds a PBX."""
    return Holder(address, here=False, held=True)


def no_longer(address: str = TWO) -> Holder:
    """Return that nobody holds a PBX, and who held it last."""
    return Holder(address, here=False, held=False)


def replicas(
    database: FakeHolders,
    *names: str,
    lease: float = LEASE,
    now: Callable[[], Now] = lambda: NOW,
) -> Replicas:
    """Return the replicas as that at `OWN_ADDRESS` knows them; *names* default to all there are."""
    return Replicas(names or tuple(database.holders), OWN_ADDRESS, database, lease, now)
