"""The real poller against a PBX to which everything happens that can, and a crash at any step.

A row is known by its recording's name, a call by its uid. What was counted is noted when its
page is committed, so that a crash before a commit differs from one after it.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cdr_exporter.cdr import CDRAnswer, Record, Rejected
from cdr_exporter.cdr.contract import CDRQuery
from cdr_exporter.cdr.record import MAX_ID
from cdr_exporter.errors import StateNotWritten, TryAgain
from cdr_exporter.ingest import (
    Event,
    JudgedPage,
    StateChange,
)
from cdr_exporter.ledger import PageVerdict
from cdr_exporter.ledger import ledger as ledger_module
from cdr_exporter.ledger.page import HALF_A_FIRST_PAGE
from cdr_exporter.metrics.snapshot import Snapshot
from cdr_exporter.settings import PBX, SecretSource
from cdr_exporter.store import FileStore
from cdr_exporter.tail import anchor_search as anchor_search

from ..support.counts import calls_in_charts, counted, observed
from ..support.fake_pbx import Backup, FakePBX
from ..support.memory_store import MemoryStore
from ..support.oversized import OVERSIZED, refuse_oversized
from ..support.poller_harness import poller_of
from ..support.rows import BOUNDS

LATE_WINDOW = 600.0
RECORDS, CALLS = "cdr_records_total", "cdr_calls_total"


REJECTED = "rejected"
"""What the recording's name begins with of rows that are malformed."""


def reject_some(query: CDRQuery, answer: CDRAnswer) -> CDRAnswer:
    """Return *answer* with the malformed rows as the decoder gives them, if it is not too large."""
    refuse_oversized(query, answer)
    bad = [row for row in answer.rows if row.record_file.startswith(REJECTED)]
    rejected = [Rejected("number", row.fingerprint, row.id) for row in bad]
    good = [row for row in answer.rows if not row.record_file.startswith(REJECTED)]
    return replace(answer, rows=good, rejected=rejected)


SECONDS_APART, MOST_POLLS = 70.0, 60
"""Of the polls at the end, when all is quiet: at least those in which late rows are looked for."""

MOST_TOO_LARGE = 3
"""So many rows, next to each other at the top, are read around."""


class Killed(BaseException):
    """The process is gone."""


class ExactlyOnce(RuleBasedStateMachine):
    """A PBX to whose table everything happens, and a poller that dies at any step."""

    durable = False

    def __init__(self) -> None:
        super().__init__()
        self.pbx = FakePBX()
        self.pbx.edit_answer = reject_some
        self.clock = self.pbx.clock
        self.serial = 0
        self.counted: Counter[str] = Counter()
        self.pending_rows_only = 0
        self.excused: set[str] = set()
        self.stood_apart = 0
        self.too_large = 0
        self.foreign: set[str] = set()
        self.reserved: list[tuple[int, int]] = []
        self.before_start: set[int] = set()
        self.given_before: set[int] = set()
        self.backup: Backup | None = None
        self.upgraded = False
        self.calls_made = 0
        self.rows_only = 0
        self.shown: list[Snapshot] = []
        self.highest_shown = 0
        self.crash = ""
        self.directory = tempfile.TemporaryDirectory() if self.durable else None
        self.memory = MemoryStore()
        self.store: Any = None

    @initialize(
        start=st.sampled_from(["now", "all"]),
        rows=st.integers(0, 130),
        total=st.booleans(),
        without_id=st.sampled_from(["first", "last", "left_out"]),
        already=st.booleans(),
    )
    def begin(self, start: str, rows: int, total: bool, without_id: str, already: bool) -> None:
        self.pbx.tells_total, self.pbx.without_id = total, without_id
        self.upgraded = already and rows % 3 == 0
        self.start = start
        self.calls_end(rows)
        self.settings = PBX(
            name="hq",
            base_url="http://127.0.0.1",
            client_id="me",
            secret=SecretSource(env="X"),
            start=start,
            late_window=LATE_WINDOW,
        )
        if start == "now":
            self.excused |= {row.record_file for row in self.pbx.rows.values()}
        self.restart()

    # --- the exporter ----------------------------------------------------------------------------

    def restart(self) -> None:
        if self.store is not None:
            self.store.close()
        if self.directory is not None:
            self.store = FileStore(Path(self.directory.name), "hq", "me", BOUNDS)
        else:
            self.store = self.memory
        self._spy_on_commits()
        self.poller = poller_of(self.settings, self.pbx, self.store, self.clock, self.publish)
        self._spy_on_pages()
        self.poller.publish()

    def _spy_on_commits(self) -> None:
        commit = type(self.store).commit.__get__(self.store)
        self.pending: list[Record] = []

        def spy(change: StateChange) -> None:
            if self.crash == "before commit":
                raise Killed
            if self.crash == "full disk":
                self.crash = ""
                raise StateNotWritten("disk full")
            pending, self.pending = self.pending, []
            commit(change)
            self.counted.update(row.record_file for row in pending)
            self.rows_only += self.pending_rows_only
            self.pending_rows_only = 0
            if self.crash == "after commit":
                raise Killed

        self.store.commit = spy

    def _spy_on_pages(self) -> None:
        take = self.poller._take

        def spy(event: Event) -> StateChange:
            self.pending, self.pending_rows_only = [], 0
            if isinstance(event, JudgedPage):
                self.pending = list(event.verdict.counted)
                is_row_only = self.is_row_only(event.verdict)
                self.pending_rows_only = sum(map(is_row_only, event.verdict.counted))
            return take(event)

        self.poller._take = spy  # type: ignore[method-assign]

    def is_row_only(self, verdict: PageVerdict) -> Callable[[Record], bool]:
        """Say whether a row is of a call that is not to be put together."""
        calls = self.poller.state.calls
        passed = {row.uid for row in verdict.left_out}
        passed |= {uid for uid, closed in calls.closed.items() if not closed.counted}
        return lambda row: row.uid in passed and row.uid not in calls.open

    def publish(self, snapshot: Snapshot) -> None:
        assert counted(snapshot.totals, RECORDS) <= sum(self.counted.values())
        if not self.stood_apart:
            # No run of this machine is as long as what the charts hold.
            assert calls_in_charts(snapshot.quarters) == counted(snapshot.totals, CALLS)
        if snapshot.shows_calls(self.clock.now()):
            total = counted(snapshot.totals, RECORDS)
            assert total >= self.highest_shown
            self.highest_shown = total
            assert total == observed(snapshot.totals, "cdr_duration_seconds")[0]

    @rule(
        changes=st.lists(
            st.sampled_from(["call", "calls", "oldest", "newest", "middle"]), max_size=6
        ),
        crash=st.sampled_from(
            ["", "", "", "before commit", "after commit", "full disk", "request"]
        ),
        at=st.integers(1, 6),
        again=st.integers(1, 3),
    )
    def it_polls(self, changes: list[str], crash: str, at: int, again: int) -> None:
        left = list(changes)
        self.crash = "" if crash == "request" else crash
        requests = self.pbx.requests

        def before_answer() -> None:
            if crash == "request" and self.pbx.requests - requests >= at:
                raise Killed
            if left:
                self.change(left.pop())

        self.pbx.before_answer = before_answer
        try:
            for _ in range(again):
                self.clock.pass_(max(1.0, self.poller.poll()))
        except Killed:
            self.crash = ""
            self.pbx.before_answer = lambda: None
            self.restart()
        self.crash = ""
        self.pbx.before_answer = lambda: None

    @rule()
    def it_is_killed(self) -> None:
        self.restart()

    @rule(times=st.integers(1, 3))
    def the_pbx_does_not_answer(self, times: int) -> None:
        self.pbx.failures = [TryAgain("x", reason="connect") for _ in range(times)]
        for _ in range(times):
            self.poller.poll()

    @rule(seconds=st.sampled_from([5, 40, 320, 700, 3000]))
    def time_passes(self, seconds: int) -> None:
        self.clock.pass_(seconds)

    # --- the PBX ---------------------------------------------------------------------------------

    def row(self, duration: int = 30) -> dict[str, Any]:
        self.serial += 1
        ledger = self.poller.state.ledger if self.store is not None else None
        if self.start == "now" and (ledger is None or ledger.first_read == "now"):
            self.excused.add(f"row-{self.serial}")
        return {
            "record_file": f"row-{self.serial}",
            "uid": f"call-{self.calls_made}",
            "started_at": int(self.clock.wall) - duration,
            "duration": duration,
        }

    @rule(times=st.integers(1, 60))
    def calls_end(self, times: int) -> None:
        for leg in range(times):
            self.calls_made += leg % 3 == 0
            duration = (7 * self.serial) % 90
            while self.pbx.next_id in self.pbx.rows:
                # No PBX gives an id that a row has.
                self.pbx.skip_ids(1)
            end = self.pbx.call_without_id if self.upgraded else self.pbx.call
            end(**self.row(duration))

    def insert(self, row_id: int, row: dict[str, Any]) -> None:
        no_id = {"id": 0, "new_id": f"A-{row_id}"} if self.upgraded else {}
        self.pbx.insert(row_id, **row, **no_id)

    def change(self, what: str) -> None:
        serials = sorted(self.pbx.rows)
        places = {"oldest": serials[:3], "newest": serials[-3:], "middle": serials[-25:-22]}
        if what in places:
            self.pbx.delete(*places[what])
        else:
            self.calls_end(1 if what == "call" else 9)

    @rule(what=st.sampled_from(["oldest", "newest", "middle"]), times=st.integers(1, 6))
    def some_are_deleted(self, what: str, times: int) -> None:
        for _ in range(times):
            self.change(what)

    # Less than half a first page of such rows are promised to change nothing; where the PBX does
    # not tell how many rows it has, among as many others.
    @precondition(
        lambda self: (
            self.stood_apart < HALF_A_FIRST_PAGE - 1
            and (self.pbx.tells_total or len(self.pbx.rows) >= HALF_A_FIRST_PAGE)
        )
    )
    @rule(
        above=st.sampled_from([5, 30, 500, 90_000, 1_000_000, MAX_ID]),
        start=st.sampled_from(["now", "now", "past", "future"]),
        rejected=st.booleans(),
    )
    def a_row_stands_apart(self, above: int, start: str, rejected: bool) -> None:
        """One row has an id, and perhaps a time, that no other is near; it stays, or is deleted."""
        self.stood_apart += 1
        row = self.row()
        row_id = min(self.pbx.next_id + above, MAX_ID)
        if row_id in self.pbx.rows:
            return
        row["uid"] = f"apart-{self.serial}"
        row["started_at"] = {"now": row["started_at"], "past": 86_400, "future": 2_085_978_496}[
            start
        ]
        if rejected:
            row["record_file"] = f"{REJECTED}-{self.serial}"
        if rejected or start != "now":
            self.excused.add(row["record_file"])
        self.insert(row_id, row)

    @rule(times=st.integers(1, 2))
    def rows_are_too_large(self, times: int) -> None:
        """They end as calls do, and no answer can hold one; more at once are given up."""
        for _ in range(min(times, MOST_TOO_LARGE - self.too_large)):
            self.too_large += 1
            row = self.row()
            self.excused.add(f"{OVERSIZED}-{self.serial}")
            end = self.pbx.call_without_id if self.upgraded else self.pbx.call
            end(**{**row, "record_file": f"{OVERSIZED}-{self.serial}"})

    @rule(skipped=st.integers(1, 3))
    def ids_are_rolled_back(self, skipped: int) -> None:
        self.pbx.skip_ids(skipped)

    @rule()
    def a_row_is_begun(self) -> None:
        """Its id is given now, and it will be visible later."""
        while self.pbx.next_id in self.pbx.rows:
            self.pbx.skip_ids(1)
        row_id = self.pbx.reserve_id()
        self.reserved.append((row_id, int(self.clock.wall)))
        # An id that had a row is not rechecked: nobody looks for a second row of it that is late.
        if self.poller.state.ledger is None or row_id in self.given_before:
            self.before_start.add(row_id)

    @precondition(lambda self: self.reserved)
    @rule()
    def a_row_turns_up_late(self) -> None:
        row_id, ended = self.reserved.pop(0)
        row = {**self.row(), "started_at": ended - 30}
        self.insert(row_id, row)
        if self.clock.wall - ended > LATE_WINDOW - 1 or row_id in self.before_start:
            self.excused.add(row["record_file"])

    @rule()
    def ids_are_given_again(self) -> None:
        """The newest rows are deleted, and their ids given to the next ones."""
        newest = sorted(each for each in self.pbx.rows if each < self.pbx.next_id)[-4:]
        if newest and not self.reserved and not self.upgraded:
            self.given_before |= {*range(newest[0], self.pbx.next_id)}
            self.pbx.roll_back(newest[0] - 1)

    @rule()
    def a_backup_is_made(self) -> None:
        self.backup = self.pbx.backup()

    @precondition(lambda self: self.backup is not None)
    @rule()
    def the_backup_is_put_back(self) -> None:
        assert self.backup is not None
        self.clock.pass_(2)
        there = {row.record_file for row in self.pbx.rows.values()}
        self.pbx.restore(self.backup)
        self.reserved.clear()
        # Rows that were deleted before they were ever read come back as late ones.
        self.excused |= {
            row.record_file
            for row in self.pbx.rows.values()
            if row.record_file not in there | self.counted.keys() and self.is_too_late(row)
        }

    def is_too_late(self, row: Record) -> bool:
        """Whether *row* ended longer ago than late rows are looked for, where all was read."""
        ledger = self.poller.state.ledger
        if ledger is None or self.clock.wall - row.ended_at <= LATE_WINDOW - 1:
            return False
        key = ledger.order.key(row)
        unread = any(low <= key <= high for low, high in ledger.unread)
        return key <= ledger.new_rows_above and not unread

    @rule()
    def it_is_reset(self) -> None:
        self.clock.pass_(2)
        self.pbx.reset()
        self.reserved.clear()

    @rule()
    def it_is_upgraded(self) -> None:
        """From now on no new row has an id."""
        self.upgraded = True

    @rule(rows=st.integers(0, 40))
    def another_pbx_answers_one_poll(self, rows: int) -> None:
        ours = self.pbx.backup()
        self.pbx.reset()
        for number in range(rows):
            name = f"foreign-{self.serial}-{number}"
            self.foreign.add(name)
            self.pbx.call(**{**self.row(), "uid": name, "record_file": name})
        # Where only rows were seen that were too large, any table may be ours.
        if self.poller.state.ledger is not None and not self.poller.state.ledger.is_empty:
            with suppress(Killed):
                self.poller.poll()
        self.pbx.restore(ours)
        self.poller.poll()

    # --- what must hold --------------------------------------------------------------------------

    @invariant()
    def no_row_is_counted_twice(self) -> None:
        assert max(self.counted.values(), default=0) <= 1

    @invariant()
    def no_row_of_another_pbx_is_counted(self) -> None:
        assert not self.foreign & self.counted.keys()

    @invariant()
    def each_row_that_is_counted_is_a_leg_of_one_call(self) -> None:
        if self.store is None:
            return
        totals, calls = self.poller.state.totals, self.poller.state.calls
        ended, legs = observed(totals, "cdr_call_legs")
        assert counted(totals, "cdr_calls_total") == ended
        assert observed(totals, "cdr_call_duration_seconds")[0] == ended
        waiting = sum(len(call.legs) for call in calls.open.values())
        late = counted(totals, "cdr_exporter_late_legs_total")
        rows = counted(totals, RECORDS)
        assert legs + waiting + late + self.rows_only == rows == sum(self.counted.values())

    @invariant()
    def the_ledger_is_bounded_and_in_order(self) -> None:
        ledger = self.poller.state.ledger if self.store is not None else None
        if ledger is not None:
            edges = [edge for wanted in ledger.unread for edge in reversed(wanted)]
            assert edges == sorted(edges, reverse=True)
            assert len(ledger.recheck) <= 1_000

    def teardown(self) -> None:
        """When all is quiet for long enough, everything visible was counted, and is shown."""
        if self.store is None:
            if self.directory is not None:
                self.directory.cleanup()
            return
        # Rows without id are noticed while new ones come.
        self.calls_end(25 if self.upgraded else 1)
        for polls in range(MOST_POLLS):
            self.clock.pass_(max(SECONDS_APART, self.poller.poll()))
            if polls * SECONDS_APART > LATE_WINDOW and not any(self.left_to_do().values()):
                break
        left = self.left_to_do()
        self.store.close()
        if self.directory is not None:
            self.directory.cleanup()

        assert left == dict.fromkeys(left)
        self.no_row_is_counted_twice()
        self.no_row_of_another_pbx_is_counted()
        self.each_row_that_is_counted_is_a_leg_of_one_call()

    def left_to_do(self) -> dict[str, Any]:
        """Return what is still to be counted or shown, by kind; None where nothing is."""
        state = self.poller.state
        assert state.ledger is not None
        hidden = state.ledger.watermark.break_end
        missing = {
            row.record_file
            for row in self.pbx.rows.values()
            if row.record_file not in self.counted and row.ended_at > hidden
        }
        return {
            "rows": missing - self.excused or None,
            "unread": state.ledger.unread or None,
            "open calls": state.calls.open or None,
            "hidden": None if state.visibility.shown else True,
        }


@pytest.mark.fault("D1", "D2", "D4", "H6", "H7")
class TestQuickly(ExactlyOnce.TestCase):  # type: ignore[misc, valid-type]
    settings = settings(max_examples=250, stateful_step_count=25, deadline=None)


@pytest.mark.long
@pytest.mark.timeout(3000)
class TestForLong(ExactlyOnce.TestCase):  # type: ignore[misc, valid-type]
    settings = settings(max_examples=4000, stateful_step_count=50, deadline=None)


class ExactlyOnceOnDisk(ExactlyOnce):
    durable = True


@pytest.mark.long
@pytest.mark.timeout(3000)
class TestWithTheRealStoreForLong(ExactlyOnceOnDisk.TestCase):  # type: ignore[misc, valid-type]
    settings = settings(max_examples=600, stateful_step_count=40, deadline=None)


@pytest.fixture(autouse=True)
def a_small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "REMEMBERED_BY_ID", 40)
    monkeypatch.setattr(ledger_module, "_PRUNE_MARGIN", 10)
    # So small, that anchors are not exact in short tables, too.
    monkeypatch.setattr(anchor_search, "BLOCK_ROWS", 4)
    monkeypatch.setattr(anchor_search, "_REREAD_DIVISOR", 1)
