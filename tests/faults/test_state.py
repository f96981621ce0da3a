"""Faults of the state (group E of FAULTS.md) as a scrape would see them: at the poller, and above.

A `kill -9` leaves the files as they are at that instant, for what a process wrote is the kernel's.
So a copy of the directory, made at the point of the kill, is what the next process finds.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from cdr_exporter.metrics.snapshot import Snapshot
from cdr_exporter.metrics.totals import Series
from cdr_exporter.poller.board import SnapshotBoard
from cdr_exporter.store import FileStore
from cdr_exporter.tail.page_reader import Stopped
from pbx_simulator import APISettings, SimulatedPBX
from pbx_simulator.serving import serve

from ..support.client_harness import FIRST_PAGE, ClientHarness
from ..support.counts import records
from ..support.exporter_and_simulator import SECRET, calls_shown, records_shown, write_config
from ..support.poller_harness import MakeHarness, PollerHarness
from ..support.processes import Exporter, eventually
from ..support.rows import BOUNDS
from ..support.socket_server import Wire
from ..support.store_states import State, outcome, reopened, set_version, spoilt_copies, truncated
from ..support.supervisor_harness import UP, EndingPBX, RecordingBoard, run_supervisor
from ..support.token_server import TokenServer

WRITE_OK = "cdr_exporter_state_write_ok"
RESET = "cdr_exporter_state_reset_timestamp_seconds"
FAILURES = "cdr_exporter_poll_failures_total"
DAY = 86_400.0


def shown(harness: PollerHarness) -> list[int]:
    """Return what scrapes could have seen of `cdr_records_total`, one after the other."""
    return seen(harness.shown, harness)


def seen(snapshots: list[Snapshot], harness: PollerHarness) -> list[int]:
    return [records(each.totals) for each in snapshots if each.shows_calls(harness.clock.now())]


# --- E1: killed at every point -------------------------------------------------------------------


class Kills:
    """Copies the state at each point of a poll, and notes what a scrape had seen by then."""

    def __init__(self, harness: PollerHarness, directory: Path) -> None:
        self.harness = harness
        self.directory = directory
        self.points: list[tuple[str, Path, int]] = []
        harness.store._db.set_trace_callback(lambda statement: self.at(statement.split()[0]))
        publish = harness.poller._put_snapshot

        def publishing(snapshot: Snapshot) -> None:
            self.at("publish")
            publish(snapshot)
            self.at("published")

        harness.poller._put_snapshot = publishing

    def at(self, point: str) -> None:
        copy = self.directory / f"kill-{len(self.points)}"
        shutil.copytree(self.harness.state_dir, copy)
        self.points.append((point, copy, max(shown(self.harness), default=0)))


@pytest.mark.slow
@pytest.mark.fault("E1")
def test_a_kill_at_any_statement_or_around_publishing_changes_nothing(
    make_harness: MakeHarness, tmp_path: Path
) -> None:
    it = make_harness()
    it.pbx.call(30)
    it.poll()
    it.pbx.call(70, src_trunk="gsm")
    kills = Kills(it, tmp_path)
    it.poll()
    it.store._db.set_trace_callback(None)
    final = it.counted

    assert final == 70
    assert {"BEGIN", "INSERT", "COMMIT", "publish", "published"} <= {p for p, _, _ in kills.points}
    for point, copy, seen_before in kills.points:
        after = make_harness(it.pbx, state_dir=copy)
        start = after.counted
        after.poll(3)
        assert start >= seen_before, point
        assert all(seen_before <= value <= final for value in shown(after)), point
        assert (after.counted, shown(after)[-1]) == (final, final), point


@pytest.mark.fault("A7", "E1")
def test_a_kill_at_any_step_of_a_login_makes_no_second_login_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pbx = TokenServer()
    copies: list[tuple[Path, int]] = []
    directory = tmp_path / "state"
    directory.mkdir()

    def kill() -> None:
        copy = shutil.copytree(directory, tmp_path / f"{len(copies)}")
        copies.append((copy, pbx.calls.count("get_token")))

    def kill_around(act: Callable[..., Any]) -> Callable[..., Any]:
        def acting(*arguments: Any) -> Any:
            kill()
            done = act(*arguments)
            kill()
            return done

        return acting

    with Wire(pbx) as wire:
        harness = ClientHarness(wire.url, pbx, directory)
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", kill_around(os.fsync))
            patched.setattr(Path, "replace", kill_around(Path.replace))
            harness.client().fetch(FIRST_PAGE)
        outcomes = [
            _logins_after(ClientHarness(wire.url, pbx, copy), asked) for copy, asked in copies
        ]

    # Three writes: before the login, with the token it brought, and that a page was got with it.
    assert len(copies) == 18
    assert set(outcomes) == {1, 0}
    assert all(before + after <= 1 for (_, before), after in zip(copies, outcomes, strict=True))


def _logins_after(harness: ClientHarness, _asked: int) -> int:
    """Start again from what a kill left; return how often that logs in within a minute."""
    before = harness.logins()
    with suppress(Exception):
        harness.client().fetch(FIRST_PAGE)
    return harness.logins() - before


# --- E2: what a power cut leaves of the log ------------------------------------------------------


def logged_after_a_checkpoint(make_harness: MakeHarness, calls: int) -> Path:
    """Return a killed state: 30 rows in the file itself, and *calls* more, each in the log."""
    it = make_harness(start="all")
    it.pbx.call(30)
    it.poll()
    it.store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for number in range(calls):
        it.pbx.call(src_trunk=f"trunk {number}")
        it.poll()
    return shutil.copytree(it.state_dir, it.state_dir.with_name("state"))


@pytest.mark.slow
@pytest.mark.fault("E2")
def test_a_cut_log_never_leaves_less_than_the_last_checkpoint(
    make_harness: MakeHarness, tmp_path: Path
) -> None:
    killed = logged_after_a_checkpoint(make_harness, 4)
    whole = outcome(shutil.copytree(killed, tmp_path / "whole"))
    states = list(spoilt_copies(killed, "hq.db-wal", truncated, 512))
    rows = [records(each.totals) for each in states if isinstance(each, State)]

    assert isinstance(whole, State)
    assert records(whole.totals) == 34
    assert len(rows) == len(states) > 20
    assert rows == sorted(rows)
    assert {30, 31, 32, 33} <= set(rows) <= {30, 31, 32, 33, 34}


def torn(text: bytes, at: int) -> bytes:
    """Return *text* with a sector that was never written."""
    return text[:at] + bytes(512) + text[at + 512 :]


@pytest.mark.slow
@pytest.mark.fault("E2")
def test_a_torn_log_leaves_what_some_commit_left(make_harness: MakeHarness) -> None:
    killed = logged_after_a_checkpoint(make_harness, 3)
    states = list(spoilt_copies(killed, "hq.db-wal", torn, 512))
    rows = {records(each.totals) for each in states if isinstance(each, State)}

    assert len(states) > 20
    assert {30, 31, 32} <= rows <= {30, 31, 32, 33}
    assert all(isinstance(each, State) or each == "set aside" for each in states)


# --- E3, E11: the disk is full, or fails ---------------------------------------------------------


@contextmanager
def limited(limit: int) -> Iterator[None]:
    """Let no file grow beyond *limit* bytes: a write further out fails as on a broken disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


@pytest.mark.fault("E3")
def test_a_full_disk_shows_what_was_and_then_all(make_harness: MakeHarness) -> None:
    it = make_harness()
    it.pbx.call(5)
    it.poll()
    it.pbx.call(2)
    it.poll()
    it.pbx.call(15, src_trunk="gsm")
    [[pages]] = it.store._db.execute("PRAGMA page_count")
    it.store._db.execute(f"PRAGMA max_page_count={pages}")
    # Many new series, so that there is no room left on the pages that exist.
    for number in range(400):
        it.pbx.call(src_trunk=f"trunk {number}")
    it.poll(3)
    full = (it.gauge(WRITE_OK), it.gauge("cdr_up"), shown(it)[-1])
    failures = it.own(FAILURES, "state")
    it.store._db.execute("PRAGMA max_page_count=1000000")
    it.poll(3)

    assert full[:2] == (0, 0)
    assert full[2] < 417
    assert failures == 3
    assert (it.gauge(WRITE_OK), it.counted, shown(it)[-1]) == (1, 417, 417)


@pytest.mark.fault("E11")
@pytest.mark.parametrize("room", [0, 100, 4096, 9000])
def test_a_disk_that_fails_in_a_write_is_tried_again_and_nothing_is_counted_twice(
    make_harness: MakeHarness, room: int
) -> None:
    it = make_harness()
    it.pbx.call(5)
    it.poll()
    it.pbx.call(3, src_trunk="gsm")
    log = it.state_dir / "hq.db-wal"
    with limited(log.stat().st_size + room):
        it.poll(2)
        broken = (it.gauge(WRITE_OK), it.own(FAILURES, "state"), shown(it)[-1])
    copy = shutil.copytree(it.state_dir, it.state_dir.with_name("copy"))
    it.poll()
    after = make_harness(it.pbx, state_dir=copy)
    after.poll()

    assert broken == (0, 2, 0)
    assert (it.gauge(WRITE_OK), it.counted) == (1, 3)
    # Also where the process is killed while the disk is broken.
    assert after.counted == 3


class Failing:
    """A connection on which the statement number *at* fails with *message*."""

    def __init__(self, db: sqlite3.Connection, at: int, message: str) -> None:
        self._db = db
        self.left = at
        self._message = message

    def __getattr__(self, name: str) -> Any:
        act = getattr(self._db, name)

        def acting(*arguments: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                raise sqlite3.OperationalError(self._message)
            return act(*arguments)

        return acting


@pytest.mark.fault("E4", "E11")
@pytest.mark.parametrize(
    "message", ["disk I/O error", "attempt to write a readonly database", "database is locked"]
)
def test_an_error_at_any_statement_is_a_failed_write_and_no_more(
    make_harness: MakeHarness, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = make_harness()
    it.pbx.call(5)
    it.poll()
    rows = it.store._rows
    real, failed, at = rows._db, 0, 1
    while True:
        it.pbx.call(1, src_trunk=f"trunk {at}")
        before = shown(it)[-1]
        monkeypatch.setattr(rows, "_db", Failing(real, at, message))
        it.poll()
        rows._db = real
        if it.gauge(WRITE_OK):
            break
        assert (shown(it)[-1], it.gauge("cdr_up")) == (before, 0)
        it.poll()
        failed, at = failed + 1, at + 1
        assert (it.counted, it.gauge(WRITE_OK)) == (failed, 1)
        # What a restart would find is the same.
        copy = shutil.copytree(it.state_dir, it.state_dir.with_name(f"copy-{at}"))
        assert records(reopened(copy).totals) == failed

    assert failed >= 4
    assert it.own(FAILURES, "state") == failed


# --- E5, E6: set aside ---------------------------------------------------------------------------


def foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE somebody (elses)")
        db.commit()


def one_bit_of(text: bytes, flipped: bytes) -> Callable[[Path], Any]:
    """Return what flips the one bit of a file in which *text* differs from *flipped*."""

    def flip(path: Path) -> None:
        whole = path.read_bytes()
        assert text in whole
        path.write_bytes(whole.replace(text, flipped, 1))

    return flip


@pytest.mark.fault("E5", "E6")
@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        pytest.param(
            one_bit_of(b"cdr_calls_total", b"cdr^calls_total"), "corrupt", id="a bit of a name"
        ),
        pytest.param(one_bit_of(b"[[0],[0]", b"[[4],[0]"), "corrupt", id="a bit of a count"),
        pytest.param(lambda path: path.write_bytes(b"garbage" * 999), "corrupt", id="garbage"),
        pytest.param(lambda path: os.truncate(path, 5000), "corrupt", id="truncated"),
        pytest.param(lambda path: os.truncate(path, 0), "empty", id="no bytes"),
        pytest.param(foreign, "foreign", id="another program's"),
    ],
)
def test_a_state_that_was_set_aside_is_shown_by_reason_and_time(
    tmp_path: Path, spoil: Callable[[Path], Any], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    first, board = EndingPBX(3), SnapshotBoard()
    first.call(30)
    run_supervisor(first, tmp_path, board)
    before = board.of("hq").gauges
    spoil(tmp_path / "hq.db")
    began = time.time()
    again, after = EndingPBX(4), SnapshotBoard()
    again.call(30)
    run_supervisor(again, tmp_path, after)
    last = after.of("hq")
    when = {name: last.gauges[Series(RESET, (name,))] for name in ("corrupt", "empty", "foreign")}

    assert {before[Series(RESET, (name,))] for name in when} == {0.0}
    assert {name for name, at in when.items() if at} == {reason}
    assert began - 1 <= when[reason] <= time.time() + 1
    assert last.gauges[UP] == 1
    assert records(last.totals) == 0
    assert "state file set aside, counting begins again from now" in caplog.text
    assert len(list(tmp_path.glob("hq.corrupt-*"))) >= 1


@pytest.mark.fault("E5")
@pytest.mark.e2e
@pytest.mark.slow
def test_a_flipped_bit_costs_one_pbx_its_counts_and_no_other_its_page(tmp_path: Path) -> None:
    pbxs = [SimulatedPBX(api=APISettings(client_secret=SECRET)) for _ in range(2)]
    for pbx in pbxs:
        pbx.office.whole_calls(20)
    state = tmp_path / "kept"
    with serve(pbxs[0]) as first, serve(pbxs[1]) as second:
        urls = (first.base_url, second.base_url)
        path = write_config(tmp_path, *urls, extra=f"state_dir: {state}\n")
        with Exporter(path) as exporter:
            rows = sum(sum(pbx.expected.totals().values()) for pbx in pbxs)
            eventually("all", lambda: sum(exporter.samples("cdr_records_total").values()) == rows)
            assert exporter.stop() == 0
        one_bit_of(b"cdr_calls_total", b"cdr^calls_total")(state / "pbx0.db")
        with Exporter(path) as exporter:
            expected = pbxs[1].expected.totals()
            eventually("the other", lambda: records_shown(exporter, "pbx1") == expected)
            eventually("up again", lambda: exporter.value(UP.family, "pbx0") == 1)
            told = exporter.value(RESET, "pbx0", "corrupt")
            healthy, output = exporter.get("/-/healthy"), "\n".join(exporter.output)

    assert healthy == "ok\n"
    assert told
    assert "state file set aside" in output
    assert [each.name.split("-")[0] for each in state.glob("*.corrupt*")] == ["pbx0.corrupt"]


# --- E8: not ours to touch -----------------------------------------------------------------------


def newer(path: Path) -> None:
    set_version(path.parent, 99)


@pytest.mark.fault("E8")
@pytest.mark.parametrize("keeps_running", [1, 3])
def test_a_newer_state_is_not_polled_and_not_touched(
    tmp_path: Path, keeps_running: int, caplog: pytest.LogCaptureFixture
) -> None:
    first = EndingPBX(3)
    first.call(30)
    run_supervisor(first, tmp_path, SnapshotBoard())
    newer(tmp_path / "hq.db")
    before = (tmp_path / "hq.db").read_bytes()
    client = EndingPBX(99)
    board = RecordingBoard(ends_by=client.clock, after=keeps_running)
    run_supervisor(client, tmp_path, board)
    last = board.of("hq")

    assert client.requests == 0
    assert (last.gauges[UP], last.own[Series(FAILURES, ("state",))][0] >= 1) == (0, True)
    assert "install the newer" in caplog.text
    assert (tmp_path / "hq.db").read_bytes() == before
    assert list(tmp_path.glob("*.corrupt-*")) == []


# --- E10: an older copy --------------------------------------------------------------------------


@pytest.mark.fault("E10")
@pytest.mark.parametrize("start", ["now", "all"])
@pytest.mark.parametrize("lost", [1, 19, 60, 700, 2500])
def test_an_older_copy_put_back_shows_nothing_lower(
    make_harness: MakeHarness, lost: int, start: str
) -> None:
    it = make_harness(start=start)
    it.pbx.call(400)
    it.poll()
    it.pbx.call(40)
    it.poll()
    it.store.close()
    older = shutil.copytree(it.state_dir, it.state_dir.with_name("older"))
    it.restart()
    for _ in range(3):
        it.pbx.call(lost)
        it.poll(3)
    high = max(shown(it))
    it.store.close()
    shutil.rmtree(it.state_dir)
    older.rename(it.state_dir)
    before = len(it.shown)
    it.restart()
    rolled_back = it.counted
    # Scraped before the first poll, between all pages, and after.
    it.poller.publish()
    it.poll(3)

    assert rolled_back < high
    assert min(seen(it.shown[before:], it)) == high
    assert it.counted == high == it.pbx.next_id - 1 - (400 if start == "now" else 0)


@pytest.mark.fault("E2", "E10")
def test_that_a_state_is_an_older_one_is_told_and_all_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pbx, board = EndingPBX(0), SnapshotBoard()

    def live() -> None:
        pbx.last, pbx.clock.stopping = pbx.requests + 6, False
        run_supervisor(pbx, tmp_path, board)

    pbx.call(30)
    live()
    older = (tmp_path / "hq.db").read_bytes()
    pbx.call(12)
    live()
    (tmp_path / "hq.db").write_bytes(older)
    told = "the state is an older one" in caplog.text
    live()

    assert (told, caplog.text.count("the state is an older one")) == (False, 1)
    assert records(board.of("hq").totals) == 12


@pytest.mark.fault("E10")
@pytest.mark.parametrize("wait", [5.0, 300.0, 3600.0])
def test_an_older_copy_put_back_finds_rows_again_that_were_late(
    make_harness: MakeHarness, wait: float
) -> None:
    it = make_harness(late_window=600.0)
    it.pbx.call(100)
    it.poll()
    it.pbx.call(40)
    it.pbx.delete(120, 131)
    it.poll()
    it.store.close()
    older = shutil.copytree(it.state_dir, it.state_dir.with_name("older"))
    it.restart()
    it.pbx.insert(120)
    it.pbx.insert(131)
    for _ in range(3):
        it.clock.pass_(wait / 3)
        it.pbx.call(20)
        it.poll(3)
    high = max(shown(it))
    it.store.close()
    shutil.rmtree(it.state_dir)
    older.rename(it.state_dir)
    before = len(it.shown)
    it.restart()
    it.poller.publish()
    it.poll(3)

    assert high == 100
    assert min(seen(it.shown[before:], it)) == high
    assert it.counted == high


@pytest.mark.fault("E10")
@pytest.mark.parametrize("lost", [1, 60, 400])
def test_an_older_copy_put_back_counts_rows_without_an_id_once(
    make_harness: MakeHarness, lost: int
) -> None:
    it = make_harness()
    for number in range(50):
        it.pbx.call_without_id(started_at=int(it.clock.wall) - 3600 + number)
    it.poll(2)

    def live(times: int) -> None:
        for _ in range(times):
            it.clock.pass_(1)
            it.pbx.call_without_id(started_at=int(it.clock.wall) - 60)
        it.poll(3)

    live(20)
    it.store.close()
    older = shutil.copytree(it.state_dir, it.state_dir.with_name("older"))
    it.restart()
    live(lost)
    live(lost)
    high = max(shown(it))
    it.store.close()
    shutil.rmtree(it.state_dir)
    older.rename(it.state_dir)
    before = len(it.shown)
    it.restart()
    it.poller.publish()
    it.poll(3)

    assert high == 20 + 2 * lost
    assert min(seen(it.shown[before:], it)) == high
    assert it.counted == high


# --- E12: file systems without shared memory -----------------------------------------------------


@pytest.mark.fault("E12")
def test_no_shared_memory_is_needed_beside_the_log(
    make_harness: MakeHarness, tmp_path: Path
) -> None:
    # Nothing can be mapped in a directory, as nothing can on some network file systems.
    (tmp_path / "state" / "hq.db-shm").mkdir(parents=True)
    it = make_harness(start="all", state_dir=tmp_path / "state")
    it.pbx.call(2)
    it.poll()

    assert it.counted == 2
    assert (it.state_dir / "hq.db-wal").exists()


# --- E13: asked to stop ---------------------------------------------------------------------------


@pytest.mark.fault("E13")
def test_a_stop_between_any_two_pages_keeps_what_was_committed(make_harness: MakeHarness) -> None:
    it = make_harness(start="all")
    it.pbx.call(3000)
    for requests in range(1, 30):
        last = it.pbx.requests + requests

        def stop_at_the_last(last: int = last) -> None:
            it.clock.stopping = it.pbx.requests >= last

        it.pbx.before_answer = stop_at_the_last
        with suppress(Stopped):
            it.poll()
        it.clock.stopping = False
        it.restart()
    it.pbx.before_answer = lambda: None
    it.poll(5)

    assert it.counted == 3000


@pytest.mark.fault("E13")
@pytest.mark.e2e
def test_a_stop_in_the_middle_of_a_catch_up_ends_in_time_and_loses_nothing(tmp_path: Path) -> None:
    pbx = SimulatedPBX(api=APISettings(client_secret=SECRET))
    pbx.office.calls(8_000)
    with serve(pbx) as server:
        path = write_config(tmp_path, server.base_url)
        with Exporter(path) as exporter:
            eventually("some pages", lambda: pbx.request_log.rows_served > 2000)
            pbx.faults.fail_next(100, delay_seconds=0.3, path="cdr/list")
            eventually("a slow answer", lambda: pbx.request_log.under_way_for() > 0.1)
            began = time.monotonic()
            code = exporter.stop()
            took = time.monotonic() - began
        pbx.faults.heal()
        early = pbx.request_log.rows_served
        with Exporter(path) as exporter:
            eventually("caught up", lambda: records_shown(exporter) == pbx.expected.totals())

    assert early < 8_000
    assert (code, took < 5) == (0, True)
    assert pbx.request_log.max_concurrent == 1


# --- E16: deleted, replaced or moved away while it is open ---------------------------------------


@pytest.mark.fault("E16")
def test_a_state_that_was_deleted_is_written_anew_with_the_next_rows(
    make_harness: MakeHarness, caplog: pytest.LogCaptureFixture
) -> None:
    it = make_harness()
    it.pbx.call(5)
    it.poll()
    it.pbx.call(20)
    it.poll()
    shutil.rmtree(it.state_dir)
    it.pbx.call(7, src_trunk="gsm")
    it.poll()

    assert (it.gauge(WRITE_OK), it.gauge(UP.family), it.counted, shown(it)[-1]) == (1, 1, 27, 27)
    assert "written anew" in caplog.text
    it.restart()
    it.poll(3)
    assert (it.counted, shown(it)[-1]) == (27, 27)


@pytest.mark.fault("E3", "E16")
def test_a_state_that_cannot_be_written_anew_shows_nothing_new_until_it_can(
    make_harness: MakeHarness,
) -> None:
    it = make_harness()
    it.pbx.call(5)
    it.poll()
    it.pbx.call(20)
    it.poll()
    shutil.rmtree(it.state_dir)
    it.state_dir.write_text("no directory")
    it.pbx.call(7)
    it.poll(2)
    broken = (it.gauge(WRITE_OK), it.own(FAILURES, "state"), shown(it)[-1])
    it.state_dir.unlink()
    it.poll()

    assert broken == (0, 2, 20)
    assert (it.gauge(WRITE_OK), it.counted) == (1, 27)
    it.restart()
    assert it.counted == 27


@pytest.mark.fault("E7", "E16")
def test_a_pbx_is_not_polled_any_more_once_another_process_has_its_state(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory = tmp_path / "state"
    client = EndingPBX(99)
    client.call(30)
    board = RecordingBoard(ends_by=client.clock, after=12)
    others: list[FileStore] = []

    def take_over() -> None:
        if client.requests == 3:
            shutil.rmtree(directory)
            others.append(FileStore(directory, "hq", "me", BOUNDS))
        client.call()

    client.before_answer = take_over
    run_supervisor(client, directory, board)
    last, after = board.of("hq"), client.requests
    others[0].close()

    assert after < 6
    assert (last.gauges[UP], last.failure_reason) == (0, "state")
    assert "another process is counting for this PBX" in caplog.text
    assert list(directory.glob("*.replaced-*")) == []


@pytest.mark.fault("E16")
@pytest.mark.e2e
@pytest.mark.slow
def test_a_state_directory_deleted_under_the_process_loses_nothing(tmp_path: Path) -> None:
    state = tmp_path / "kept"
    pbx = SimulatedPBX(api=APISettings(client_secret=SECRET))
    pbx.office.whole_calls(60)
    with serve(pbx) as server:
        path = write_config(tmp_path, server.base_url, extra=f"state_dir: {state}\n")
        with Exporter(path) as exporter:
            eventually("all shown", lambda: records_shown(exporter) == pbx.expected.totals())
            shutil.rmtree(state)
            pbx.office.whole_calls(25)
            eventually("more shown", lambda: records_shown(exporter) == pbx.expected.totals())
            # A scrape that sees them comes after their commit.
            assert exporter.value(WRITE_OK, "pbx0") == 1
            there = {each.name for each in state.iterdir()}
            exporter.kill()
        with Exporter(path) as exporter:
            pbx.office.whole_calls(5)
            eventually("all again", lambda: records_shown(exporter) == pbx.expected.totals())
            eventually("all over", lambda: calls_shown(exporter) == pbx.expected.outcomes())

    assert {"pbx0.db", "pbx0.lock"} <= there


# --- E14: the host's clock -----------------------------------------------------------------------


@pytest.mark.fault("E14")
@pytest.mark.parametrize("jump", [DAY, -DAY, 400 * DAY, -400 * DAY], ids=["+1d", "-1d", "+", "-"])
def test_a_jump_of_the_hosts_clock_neither_counts_nor_polls_more(
    make_harness: MakeHarness, jump: float
) -> None:
    it = make_harness()
    it.pbx.call(50)
    waits = [it.poll()]
    it.pbx.call(3)
    it.clock.wall += jump
    waits.append(it.poll())
    polled = len(it.pbx.queries)
    it.pbx.call(3)
    waits.append(it.poll())

    assert waits == [30.0, 30.0, 30.0]
    assert len(it.pbx.queries) - polled == 1
    assert it.counted == 6
    assert it.last.shows_calls(it.clock.now())
