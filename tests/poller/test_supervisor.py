from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest

from cdr_exporter.metrics.totals import Series
from cdr_exporter.store import FileStore

from ..support.counts import records
from ..support.rows import BOUNDS
from ..support.supervisor_harness import (
    UP,
    EndingPBX,
    RecordingBoard,
    run_supervisor,
    supervised,
)


def test_a_poller_that_dies_is_down_and_is_started_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client, board = EndingPBX(8, broken=lambda number: number in (4, 5)), RecordingBoard()
    run_supervisor(client, tmp_path, board)
    ups = [snapshot.gauges[UP] for snapshot in board.seen]
    after = [each for each in board.seen if each.failure]

    assert 0.0 in ups[ups.index(1.0) :]
    assert ups[-1] == 1.0
    assert {each.failure for each in after} == {"unexpected RuntimeError, see the log"}
    assert all(each.attempted for each in after)
    assert [r.message for r in caplog.records if r.levelno == logging.ERROR] == [
        "the poller failed and is started again"
    ] * 2


def test_a_poller_that_keeps_dying_is_started_ever_more_slowly(tmp_path: Path) -> None:
    client, board = EndingPBX(40, broken=lambda number: True), RecordingBoard()
    run_supervisor(client, tmp_path, board)

    assert min(client.clock.waited[1:]) >= 1
    assert max(client.clock.waited) > 20


def test_what_was_counted_before_it_died_is_not_counted_again(tmp_path: Path) -> None:
    client, board = EndingPBX(8, broken=lambda number: number == 4), RecordingBoard()
    client.before_answer = client.call
    run_supervisor(client, tmp_path, board)

    assert records(board.of("hq").totals) == len(client.rows) - 1


def test_a_poller_that_fails_when_its_pbx_is_not_shown_any_more_ends_in_order(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    board = RecordingBoard()
    client = EndingPBX(3, broken=lambda number: number == 2)
    client.before_answer = lambda: board.forget("hq")
    run_supervisor(client, tmp_path, board)

    assert client.revoked == 1
    assert "the poller failed and is started again" in caplog.text


def test_a_state_that_must_not_be_touched_is_not_polled_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    FileStore(tmp_path, "hq", "somebody else", BOUNDS).close()
    client = EndingPBX(99)
    board = RecordingBoard(ends_by=client.clock, after=3)
    run_supervisor(client, tmp_path, board)
    failures = Series("cdr_exporter_poll_failures_total", ("state",))

    assert client.requests == 0
    assert board.of("hq").gauges[UP] == 0
    assert board.of("hq").own[failures][0] >= 2
    assert board.of("hq").attempted
    assert board.of("hq").failure_reason == "state"
    assert "move the file away" in caplog.text


def test_the_token_is_given_back_at_the_end(tmp_path: Path) -> None:
    client = EndingPBX(3)
    run_supervisor(client, tmp_path, RecordingBoard())

    assert client.revoked == 1


def test_what_is_about_the_exporter_is_there_before_the_first_poll(tmp_path: Path) -> None:
    board = RecordingBoard()
    supervised(EndingPBX(3), tmp_path, board)
    [snapshot] = board.snapshots()

    assert snapshot.gauges[UP] == 0
    assert snapshot.own[Series("cdr_exporter_polls_total")] == (0,)
    assert not snapshot.attempted


def test_one_that_is_ended_before_its_first_poll_leaves_the_state_to_others(tmp_path: Path) -> None:
    client = EndingPBX(3)
    client.clock.stopping = True
    run_supervisor(client, tmp_path, RecordingBoard())

    FileStore(tmp_path, "hq", "me", BOUNDS).close()


class Revoking:
    """Counts how many revoke at the same time, and holds them until *released*."""

    def __init__(self) -> None:
        self.most = 0
        self._now = 0
        self._released = False
        self._changed = threading.Condition()

    def revoke(self) -> None:
        with self._changed:
            self._now += 1
            self.most = max(self.most, self._now)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._released, timeout=30)
            self._now -= 1

    def reach(self, together: int, timeout: float) -> bool:
        """Wait until so many do it *together*, and say whether that came."""
        with self._changed:
            return self._changed.wait_for(lambda: self.most >= together, timeout)

    def release(self) -> None:
        with self._changed:
            self._released = True
            self._changed.notify_all()


class SlowlyEndingPBX(EndingPBX):
    def __init__(self, together: Revoking) -> None:
        super().__init__(1)
        self.clock.stopping = True
        self._together = together

    def revoke(self, timeout_seconds: float = 3.0) -> None:
        super().revoke(timeout_seconds)
        self._together.revoke()


def test_of_many_pbxs_that_end_at_once_each_gives_its_token_back_and_some_wait_for_others(
    tmp_path: Path,
) -> None:
    together, board = Revoking(), RecordingBoard()
    clients = [SlowlyEndingPBX(together) for _ in range(100)]
    supervisors = [
        supervised(client, tmp_path, board, f"pbx-{number}")
        for number, client in enumerate(clients)
    ]
    for supervisor in supervisors:
        supervisor.start()
    assert together.reach(32, timeout=30)
    assert not together.reach(33, timeout=0.2)
    together.release()
    for supervisor in supervisors:
        supervisor.join(30)

    assert not any(supervisor.alive for supervisor in supervisors)
    assert [client.revoked for client in clients] == [1] * 100
    assert together.most == 32
