"""One absurd row, of any kind, at any moment and place, changes nothing of how others are counted.

The same days are run twice, step by step: plain, and with absurd rows in the table. After each step
the same other rows have to be counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdr_exporter.cdr import CDRAnswer, Rejected
from cdr_exporter.cdr.contract import CDRQuery
from cdr_exporter.cdr.record import LATEST, MAX_ID
from cdr_exporter.errors import TryAgain
from cdr_exporter.ingest import (
    Event,
    JudgedPage,
    StateChange,
)
from cdr_exporter.ledger.page import HALF_A_FIRST_PAGE
from cdr_exporter.settings import PBX, SecretSource

from ..support.fake_pbx import FIRMWARES, OLD, Backup, FakePBX
from ..support.memory_store import MemoryStore
from ..support.poller_harness import poller_of
from ..support.rows import record

FIRST_ID = 1_000
"""The first id of a table, so that an absurd one may lie below it."""

LATE_WINDOW = 600.0
POLLS_PER_STEP = 2
SECONDS_PER_ROW = 0.2
"""How long after another a call ends, where they begin in the order in which they end."""

ABSURD = "absurd"
"""What the name of an absurd row begins with; that of a malformed one goes on with its reason."""

IDS: dict[str, Callable[[FakePBX], int]] = {
    "far-above": lambda pbx: top_of(pbx) + 1_000_000,
    "wide-above": lambda pbx: top_of(pbx) + 99_000,
    "little-above": lambda pbx: top_of(pbx) + 300,
    "just-above": lambda pbx: top_of(pbx) + 7,
    "the-largest": lambda pbx: MAX_ID,
    "the-next": lambda pbx: pbx.next_id,
    "of-another-row": lambda pbx: max(top_of(pbx) - 3, 1),
    "far-below": lambda pbx: 1,
    "a-little-below": lambda pbx: FIRST_ID - 5,
    "none": lambda pbx: 0,
}
ABOVE = ("far-above", "wide-above", "little-above", "just-above", "the-largest")
STARTS: dict[str, Callable[[FakePBX], int]] = {
    "now": lambda pbx: int(pbx.clock.wall) - 30,
    "no-time": lambda pbx: 0,
    "1970": lambda pbx: 86_400,
    "just-over-a-day-ahead": lambda pbx: int(pbx.clock.wall) + 86_400 + 20,
    "two-days-ahead": lambda pbx: int(pbx.clock.wall) + 2 * 86_400,
    "2036": lambda pbx: 2_085_978_496,
    "9999": lambda pbx: 253_402_300_799,
    "the-latest": lambda pbx: LATEST,
}
POSSIBLE: dict[str, Callable[[FakePBX], int]] = {
    "hours-ahead": lambda pbx: int(pbx.clock.wall) + 5 * 3600,
    "almost-a-day-ahead": lambda pbx: int(pbx.clock.wall) + 86_400 - 20,
}
"""Starts that a wrong clock may show for a whole PBX. So after a break of the lineage, what ended
before them may be left out."""

IMPOSSIBLE = ("two-days-ahead", "2036", "9999", "the-latest")


class AbsurdRow(NamedTuple):
    """A row to be inserted before a step, and deleted before a later one if *goes*.

    *row_id* and *start* are of `IDS` and of `STARTS` or `POSSIBLE`; a *malformed* one is rejected
    by the decoder.
    """

    row_id: str
    start: str
    malformed: bool
    comes: int
    goes: int | None


def top_of(pbx: FakePBX) -> int:
    return max([pbx.next_id - 1, *(row.id for row in pbx.rows.values() if row.id < 2**62)])


def reject_malformed(query: CDRQuery, answer: CDRAnswer) -> CDRAnswer:
    bad = [row for row in answer.rows if row.record_file.startswith(f"{ABSURD}-malformed")]
    rejected = [
        Rejected("number" if row.id else "id", row.fingerprint, row.id or None) for row in bad
    ]
    return replace(answer, rows=[row for row in answer.rows if row not in bad], rejected=rejected)


class Days:
    """A PBX, and an exporter that polls it after each step; what it counted, by a row's name."""

    def __init__(
        self,
        start: str,
        *,
        tells_total: bool,
        with_ids: bool,
        in_order: bool = False,
        firmware: str = OLD,
    ) -> None:
        self.pbx = FakePBX(tells_total=tells_total)
        self.pbx.firmware = firmware
        self.pbx.next_id = FIRST_ID
        self.pbx.edit_answer = reject_malformed
        self.with_ids = with_ids
        self.in_order = in_order
        self.store = MemoryStore()
        self.settings = PBX(
            name="hq",
            base_url="http://127.0.0.1",
            client_id="me",
            secret=SecretSource(env="X"),
            start=start,
            late_window=LATE_WINDOW,
        )
        self.counted: Counter[str] = Counter()
        self.serial = 0
        self.slow: list[tuple[int, dict[str, Any]]] = []
        self.late: set[str] = set()
        self.too_late: set[str] = set()
        self.backup: Backup | None = None
        self.restart()

    def restart(self) -> None:
        self.poller = poller_of(
            self.settings, self.pbx, self.store, self.pbx.clock, lambda snapshot: None
        )
        take = self.poller._take

        def spy(event: Event) -> StateChange:
            change = take(event)
            if isinstance(event, JudgedPage):
                self.counted.update(row.record_file for row in event.verdict.counted)
            return change

        self.poller._take = spy  # type: ignore[method-assign]

    def row(self) -> dict[str, Any]:
        self.serial += 1
        duration = 30 if self.in_order else 7 * self.serial % 90
        return {
            "record_file": f"row-{self.serial}",
            "uid": f"call-{self.serial}",
            "started_at": int(self.pbx.clock.wall) - duration,
            "duration": duration,
        }

    def skip_given_ids(self) -> None:
        """No PBX gives an id that a row has."""
        while self.pbx.next_id in self.pbx.rows:
            self.pbx.skip_ids(1)

    def calls_end(self, times: int) -> None:
        for _ in range(times):
            self.pbx.clock.pass_(SECONDS_PER_ROW if self.in_order else 0)
            self.skip_given_ids()
            (self.pbx.call if self.with_ids else self.pbx.call_without_id)(**self.row())

    def a_row_is_begun(self, times: int) -> None:
        if self.with_ids:
            self.skip_given_ids()
            self.slow.append((self.pbx.reserve_id(), self.row()))

    def a_row_turns_up_late(self, times: int) -> None:
        if self.slow:
            row_id, row = self.slow.pop(0)
            self.pbx.insert(row_id, **row)
            self.late.add(row["record_file"])
            if self.pbx.clock.wall - row["started_at"] - row["duration"] >= LATE_WINDOW:
                self.too_late.add(row["record_file"])

    def ordinary(self) -> list[int]:
        """Return the serial numbers of the ordinary rows, oldest first."""
        rows = self.pbx.rows
        return sorted(each for each in rows if not rows[each].record_file.startswith(ABSURD))

    def the_oldest_are_deleted(self, times: int) -> None:
        self.pbx.delete(*self.ordinary()[:-1][:times])

    def some_are_deleted(self, times: int) -> None:
        self.pbx.delete(*self.ordinary()[-times : -times // 2])

    def the_newest_are_deleted_and_their_ids_given_again(self, times: int) -> None:
        gone = self.ordinary()[1:][-max(1, times) :]
        self.pbx.delete(*gone)
        if gone and not self.slow:
            self.pbx.next_id = gone[0]

    def it_does_not_answer(self, times: int) -> None:
        self.pbx.failures = [TryAgain("x", reason="connect") for _ in range(POLLS_PER_STEP)]
        self.calls_end(times)

    def it_is_started_again(self, times: int) -> None:
        self.calls_end(times)
        self.restart()

    def time_passes(self, times: int) -> None:
        self.pbx.clock.pass_(5.0 * times)

    def a_backup_is_made(self, times: int) -> None:
        self.backup = self.pbx.backup()
        self.calls_end(times)

    def the_backup_is_put_back(self, times: int) -> None:
        if self.backup is not None:
            self.pbx.clock.pass_(2)
            self.pbx.restore(self.backup)
            self.slow.clear()
            self.calls_end(times)

    def it_is_reset(self, times: int) -> None:
        self.pbx.clock.pass_(2)
        self.pbx.reset()
        self.slow.clear()
        self.calls_end(max(1, times))

    def put(self, number: int, absurd: AbsurdRow) -> None:
        """Put the absurd row *number* into the table, in the place of no other."""
        row_id = IDS[absurd.row_id](self.pbx)
        kind = f"{ABSURD}-malformed" if absurd.malformed else ABSURD
        serial = row_id if row_id and row_id not in self.pbx.rows else -number
        self.pbx.rows[serial] = record(
            row_id,
            uid=f"{ABSURD}-{number}",
            record_file=f"{kind}-{number}",
            started_at=(STARTS | POSSIBLE)[absurd.start](self.pbx),
        )

    def take_out(self, number: int) -> None:
        rows = self.pbx.rows
        name = f"-{number}"
        gone = [
            serial
            for serial, row in rows.items()
            if row.record_file.startswith(ABSURD) and row.record_file.endswith(name)
        ]
        self.pbx.delete(*gone)

    def others_counted(self) -> set[str]:
        return {name for name in self.counted if not name.startswith(ABSURD)}

    def live_through(
        self, steps: Sequence[Step], absurd: Sequence[AbsurdRow] = ()
    ) -> Iterable[set[str]]:
        """Yield what is counted of the ordinary rows after each poll."""
        for at, step in enumerate(steps):
            for number, row in enumerate(absurd, start=1):
                if row.comes == at:
                    self.put(number, row)
                if row.goes == at:
                    self.take_out(number)
            getattr(self, step.what)(step.times)
            for _ in range(POLLS_PER_STEP):
                self.pbx.clock.pass_(min(self.poller.poll(), 30.0))
                yield self.others_counted()


class Step(NamedTuple):
    """A method of `Days`, and what it is told: how many rows."""

    what: str
    times: int


STEPS = (
    "calls_end",
    "calls_end",
    "calls_end",
    "a_row_is_begun",
    "a_row_turns_up_late",
    "the_oldest_are_deleted",
    "some_are_deleted",
    "the_newest_are_deleted_and_their_ids_given_again",
    "it_does_not_answer",
    "it_is_started_again",
    "time_passes",
    "a_backup_is_made",
    "the_backup_is_put_back",
    "it_is_reset",
)

MAY_BREAK = ("it_is_reset", "the_backup_is_put_back", "some_are_deleted")
"""Those of `STEPS` after which the table may be another one: a break of the lineage."""


def steps() -> st.SearchStrategy[list[Step]]:
    times = st.sampled_from([0, 1, 2, 5, 9, 10, 11, 19, 20, 21, 40, 100, 300])
    return st.lists(st.builds(Step, st.sampled_from(STEPS), times), min_size=4, max_size=12)


def absurd_rows(
    row_ids: Iterable[str] = IDS, starts: Iterable[str] = STARTS
) -> st.SearchStrategy[AbsurdRow]:
    return st.builds(
        AbsurdRow,
        row_id=st.sampled_from(list(row_ids)),
        start=st.sampled_from(list(starts)),
        malformed=st.booleans(),
        comes=st.integers(0, 9),
        goes=st.none() | st.integers(2, 11),
    )


def assert_others_are_counted_as_without(
    steps: Sequence[Step], absurd: Sequence[AbsurdRow], start: str, **kind: Any
) -> None:
    first = Step("calls_end", max(1, steps[0].times))
    days = [first, *steps, *[Step("calls_end", 3)] * 2, *[Step("time_passes", 120)] * 3]
    one, other = Days(start, **kind), Days(start, **kind)
    pages = zip(one.live_through(days), other.live_through(days, absurd), strict=True)
    for number, (without, beside) in enumerate(pages):
        at_end = number == POLLS_PER_STEP * len(days) - 1
        # How soon a late row is found depends on whether a first page still shows its place. So it
        # is with every row by time, unless they begin in the order in which they end: then it may
        # be deleted before.
        there = {row.record_file for row in other.pbx.rows.values()}
        ignored = one.late - (there - one.too_late if at_end else set())
        at_once = one.with_ids or one.in_order
        if at_once or at_end:
            ignored |= set() if at_once else (without | beside) - there
            missing = sorted(without - beside - ignored)
            more = sorted(beside - without - one.late - (set() if at_once else ignored))
            assert (number, missing, more) == (number, [], [])
    assert max(other.counted.values(), default=1) == 1


STARTS_OF_COUNTING = st.sampled_from(["all", "now"])


@pytest.mark.fault("D12")
@pytest.mark.slow
@given(steps(), absurd_rows(), STARTS_OF_COUNTING, st.booleans())
@settings(max_examples=80)
def test_one_absurd_row_changes_nothing_of_how_the_others_are_counted(
    steps: list[Step], absurd: AbsurdRow, start: str, tells_total: bool
) -> None:
    assert_others_are_counted_as_without(
        steps, [absurd], start, tells_total=tells_total, with_ids=True
    )


@pytest.mark.fault("D12")
@pytest.mark.slow
@given(
    steps(),
    st.lists(absurd_rows(ABOVE), min_size=2, max_size=HALF_A_FIRST_PAGE - 1),
    STARTS_OF_COUNTING,
    st.booleans(),
)
@settings(max_examples=50)
def test_nine_rows_above_the_others_change_nothing_of_how_these_are_counted(
    steps: list[Step], absurd: list[AbsurdRow], start: str, tells_total: bool
) -> None:
    assert_others_are_counted_as_without(
        steps, absurd, start, tells_total=tells_total, with_ids=True
    )


@pytest.mark.fault("D12")
@pytest.mark.slow
@given(steps(), absurd_rows(["none", "the-next"]), STARTS_OF_COUNTING, st.booleans())
@settings(max_examples=40)
def test_by_time_one_absurd_row_loses_and_doubles_no_other(
    steps: list[Step], absurd: AbsurdRow, start: str, tells_total: bool
) -> None:
    assert_others_are_counted_as_without(
        steps, [absurd], start, tells_total=tells_total, with_ids=False
    )


@pytest.mark.fault("D12")
@pytest.mark.slow
@given(
    steps(),
    absurd_rows(["none"], [*STARTS, *POSSIBLE]),
    STARTS_OF_COUNTING,
    st.booleans(),
    st.sampled_from(FIRMWARES),
)
@settings(max_examples=40)
def test_by_time_one_absurd_row_delays_no_other(
    steps: list[Step], absurd: AbsurdRow, start: str, tells_total: bool, firmware: str
) -> None:
    if absurd.start in POSSIBLE:  # which a break would go by
        steps = [step for step in steps if step.what not in MAY_BREAK] or [Step("calls_end", 1)]
    assert_others_are_counted_as_without(
        steps,
        [absurd],
        start,
        tells_total=tells_total,
        with_ids=False,
        in_order=True,
        firmware=firmware,
    )


@pytest.mark.fault("D12")
@pytest.mark.slow
@given(
    steps(),
    absurd_rows(["none"], IMPOSSIBLE),
    st.integers(2, 45),
    STARTS_OF_COUNTING,
    st.booleans(),
    st.sampled_from(FIRMWARES),
)
@settings(max_examples=40)
def test_by_time_rows_of_an_impossible_time_on_top_delay_no_other(
    steps: list[Step],
    absurd: AbsurdRow,
    times: int,
    start: str,
    tells_total: bool,
    firmware: str,
) -> None:
    assert_others_are_counted_as_without(
        steps,
        [absurd._replace(malformed=False)] * times,
        start,
        tells_total=tells_total,
        with_ids=False,
        in_order=True,
        firmware=firmware,
    )
