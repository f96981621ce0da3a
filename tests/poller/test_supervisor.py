from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from cdr_exporter.cdr import CDRAnswer
from cdr_exporter.cdr.contract import CDRQuery
from cdr_exporter.metrics.snapshot import Snapshot
from cdr_exporter.metrics.totals import Series
from cdr_exporter.poller.board import SnapshotBoard
from cdr_exporter.poller.supervisor import Supervisor
from cdr_exporter.settings import MACHINE_CALLEES, PBX, SecretSource
from cdr_exporter.store import Store

from ..support.fake_pbx import FakePBX
from ..support.rows import BOUNDS

UP = Series("cdr_up")


class Client(FakePBX):
    """A PBX that ends the program with its answer number *last*, and may break on the way."""

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
        self.clock.stopping = True

    def revoke(self, timeout_seconds: float = 3.0) -> None:
        self.revoked += 1


class Watching(SnapshotBoard):
    """A board that keeps what was put on it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Snapshot] = []

    def put(self, snapshot: Snapshot) -> None:
        self.seen.append(snapshot)
        super().put(snapshot)


def supervised(
    client: Client, state_dir: Path, board: SnapshotBoard, name: str = "hq"
) -> Supervisor:
    return Supervisor(
        PBX(name=name, base_url="http://127.0.0.1", client_id="me", secret=SecretSource(env="X")),
        client,
        state_dir,
        machines=MACHINE_CALLEES,
        bounds=BOUNDS,
        clock=client.clock,
        board=board,
    )


def run(client: Client, state_dir: Path, board: SnapshotBoard) -> None:
    supervisor = supervised(client, state_dir, board)
    supervisor.open_state()
    supervisor.start()
    supervisor.join(30)
    assert not supervisor.alive


def test_a_poller_that_dies_is_down_and_is_started_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client, board = Client(6, broken=lambda number: number in (3, 4)), Watching()
    run(client, tmp_path, board)
    ups = [snapshot.gauges[UP] for snapshot in board.seen]
    after = [each for each in board.seen if each.trouble]

    assert 0.0 in ups[ups.index(1.0) :]
    assert ups[-1] == 1.0
    assert {each.trouble for each in after} == {"unexpected RuntimeError, see the log"}
    assert all(each.attempted for each in after)
    assert [r.message for r in caplog.records if r.levelno == logging.ERROR] == [
        "the poller failed and is started again"
    ] * 2


def test_a_poller_that_keeps_dying_is_started_ever_more_slowly(tmp_path: Path) -> None:
    client, board = Client(40, broken=lambda number: True), Watching()
    run(client, tmp_path, board)

    assert min(client.clock.waited[1:]) >= 1
    assert max(client.clock.waited) > 20


def test_what_was_counted_before_it_died_is_not_counted_again(tmp_path: Path) -> None:
    client, board = Client(8, broken=lambda number: number == 4), Watching()
    client.before_answer = client.call
    run(client, tmp_path, board)
    totals = board.of("hq").totals.series
    records = sum(v[0] for key, v in totals.items() if key.family == "cdr_records_total")

    assert records == len(client.rows) - 1


def test_a_state_that_must_not_be_touched_is_not_polled_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Store(tmp_path, "hq", "somebody else", BOUNDS).close()
    client, board = Client(99), Watching()
    client.clock.wait = lambda seconds: setattr(  # type: ignore[method-assign]
        client.clock, "stopping", len(board.seen) > 3
    )
    run(client, tmp_path, board)
    failures = Series("cdr_exporter_poll_failures_total", ("state",))

    assert client.requests == 0
    assert board.of("hq").gauges[UP] == 0
    assert board.of("hq").own[failures][0] >= 2
    assert board.of("hq").attempted
    assert "move the file away" in caplog.text


def test_the_token_is_given_back_at_the_end(tmp_path: Path) -> None:
    client = Client(3)
    run(client, tmp_path, Watching())

    assert client.revoked == 1


def test_what_is_about_the_exporter_is_there_before_the_first_poll(tmp_path: Path) -> None:
    board = Watching()
    supervised(Client(3), tmp_path, board)
    [snapshot] = board.snapshots()

    assert snapshot.gauges[UP] == 0
    assert snapshot.own[Series("cdr_exporter_polls_total")] == (0,)
    assert not snapshot.attempted
