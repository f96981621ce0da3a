"""The real supervisor with its thread and store, and a PBX that ends it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from cdr_exporter.cdr import CDRAnswer
from cdr_exporter.cdr.contract import CDRQuery
from cdr_exporter.metrics.snapshot import Snapshot
from cdr_exporter.metrics.totals import Series
from cdr_exporter.poller.board import SnapshotBoard
from cdr_exporter.poller.supervisor import Supervisor
from cdr_exporter.settings import PBX, SecretSource
from cdr_exporter.store import FileStore

from .fake_clock import FakeClock
from .fake_pbx import FakePBX
from .rows import BOUNDS

UP = Series("cdr_up")


class EndingPBX(FakePBX):
    """A PBX and its client: ends the program with answer number *last*, and may break before."""

    def __init__(self, last: int, broken: Callable[[int], bool] = lambda number: False) -> None:
        super().__init__()
        self.last = last
        self.broken = broken
        self.revoked = 0

    def fetch(self, query: CDRQuery) -> CDRAnswer:
        if self.requests + 1 >= self.last:
            self.clock.stopping = True
        answer = super().fetch(query)
        if self.broken(self.requests):
            raise RuntimeError("a bug")
        return answer

    def cancel(self) -> None:
        """Let no more requests be made."""
        self.clock.stopping = True

    def revoke(self, timeout_seconds: float = 3.0) -> None:
        """Give the token back."""
        self.revoked += 1


class RecordingBoard(SnapshotBoard):
    """A board that keeps what was put on it in *seen*, and may end the program."""

    def __init__(self, ends_by: FakeClock | None = None, after: int = 0) -> None:
        """Let the program that has the clock *ends_by* end once more than *after* were put."""
        super().__init__()
        self.seen: list[Snapshot] = []
        self._ends_by = ends_by
        self._after = after

    def put(self, snapshot: Snapshot) -> None:
        self.seen.append(snapshot)
        super().put(snapshot)
        if self._ends_by is not None and len(self.seen) > self._after:
            self._ends_by.stopping = True


def supervised(
    client: EndingPBX, state_dir: Path, board: SnapshotBoard, name: str = "hq"
) -> Supervisor:
    """Return the supervisor of one PBX."""
    return Supervisor(
        PBX(name=name, base_url="http://127.0.0.1", client_id="me", secret=SecretSource(env="X")),
        client,
        partial(FileStore, state_dir, name, "me"),
        machines=(),
        bounds=BOUNDS,
        clock=client.clock,
        board=board,
    )


def run_supervisor(client: EndingPBX, state_dir: Path, board: SnapshotBoard) -> None:
    """Run it until its PBX ends it; fails the test when that takes longer than 30 s."""
    supervisor = supervised(client, state_dir, board)
    supervisor.open_state()
    supervisor.start()
    supervisor.join(30)
    assert not supervisor.alive
