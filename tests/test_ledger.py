from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cdr_exporter import ledger as ledger_module
from cdr_exporter.ledger import Ledger, from_now, from_the_beginning
from cdr_exporter.paging import HEAD_ROWS, Page, page_of, query
from cdr_exporter.record import Garbled, Rejected
from cdr_exporter.walk import Walk

from .fakes import FakePBX


def read(pbx: FakePBX, number: int = 1, size: int = 20) -> Page:
    wanted = query(number, size)
    return page_of(wanted, pbx.fetch(wanted))


@pytest.fixture
def pbx() -> FakePBX:
    pbx = FakePBX()
    pbx.call(100)
    return pbx


def test_a_page_read_twice_brings_nothing_new(pbx: FakePBX) -> None:
    first = from_the_beginning().judge(read(pbx))
    second = first.ledger.judge(read(pbx))

    assert len(first.counted) == 20
    assert second.counted == []
    assert second.ledger == first.ledger


def test_what_lies_below_a_first_page_is_a_hole_until_it_is_read(pbx: FakePBX) -> None:
    ledger = from_the_beginning().judge(read(pbx)).ledger
    holes = [ledger.holes]
    for number in (2, 3, 4, 5):
        ledger = ledger.judge(read(pbx, number)).ledger
        holes.append(ledger.holes)

    assert holes == [((1, 80),), ((1, 60),), ((1, 40),), ((1, 20),), ()]


def test_rows_that_moved_down_come_twice_and_count_once(pbx: FakePBX) -> None:
    first = from_the_beginning().judge(read(pbx))
    pbx.call(7)
    second = first.ledger.judge(read(pbx, 2))

    assert [row.id for row in second.counted] == list(range(80, 67, -1))


def test_rows_that_moved_up_stay_a_hole(pbx: FakePBX) -> None:
    ledger = from_the_beginning().judge(read(pbx)).ledger
    pbx.delete(100, 99, 98)
    ledger = ledger.judge(read(pbx, 2)).ledger

    assert ledger.holes == ((78, 80), (1, 57))


def test_the_last_page_proves_what_lies_below_it(pbx: FakePBX) -> None:
    pbx.delete(*range(1, 60))
    ledger = from_the_beginning().judge(read(pbx, size=41)).ledger

    assert ledger.holes == ()
    assert not ledger.baseline


def test_start_now_counts_nothing_of_the_head_and_nothing_below_it(pbx: FakePBX) -> None:
    ledger = from_now(read(pbx))
    verdicts = [ledger.judge(read(pbx)), ledger.judge(read(pbx, 2)), ledger.judge(read(pbx, 3))]

    assert [list(v.counted) for v in verdicts] == [[], [], []]


def test_a_late_row_and_a_reused_id_are_counted_as_such(pbx: FakePBX) -> None:
    pbx.delete(95)
    ledger = from_now(read(pbx))
    pbx.insert(95)
    pbx.insert(97, uid="somebody else")
    verdict = ledger.judge(read(pbx))

    assert [row.id for row in verdict.counted] == [95, 97]
    assert (verdict.late, verdict.reused) == (1, 1)
    assert verdict.ledger.judge(read(pbx)).counted == []


def test_an_unknown_table_counts_nothing_and_changes_nothing(pbx: FakePBX) -> None:
    ledger = from_now(read(pbx))
    other = FakePBX()
    for row_id in range(1, 50):
        other.insert(row_id, uid=f"other-{row_id}")
    verdict = ledger.judge(read(other))

    assert verdict.suspect
    assert verdict.ledger is ledger


def test_an_empty_answer_says_nothing(pbx: FakePBX) -> None:
    ledger = from_now(read(pbx))
    verdict = ledger.judge(read(FakePBX()))

    assert not verdict.suspect
    assert verdict.ledger == ledger


def test_a_first_page_proves_that_nothing_is_above_it(pbx: FakePBX) -> None:
    ledger = from_the_beginning().judge(read(pbx)).ledger
    pbx.delete(*range(70, 101))
    verdict = ledger.judge(read(pbx))

    assert not verdict.suspect
    assert [row.id for row in verdict.counted] == list(range(69, 49, -1))
    assert verdict.ledger.holes == ((1, 49),)


def test_a_rejected_row_is_rejected_once_and_does_not_keep_its_page_open(pbx: FakePBX) -> None:
    rejected = [Rejected("number", 4711, id=101), Rejected("shape", 4712)]
    wanted = query(1, 22)
    answer = pbx.fetch(query(1, 20))
    page = page_of(wanted, type(answer)(errcode=0, total=102, rows=answer.rows, rejected=rejected))
    first = from_the_beginning().judge(page)
    second = first.ledger.judge(page)

    assert list(first.rejected) == rejected
    assert second.rejected == []
    assert first.ledger.holes == ((1, 80),)
    assert first.ledger.high == 101


def test_memory_is_bounded_and_the_floor_rises(pbx: FakePBX) -> None:
    ledger = from_now(read(pbx))
    for _ in range(40):
        pbx.call(100)
        ledger = ledger.judge(read(pbx, size=100)).ledger

    assert len(ledger.recent) <= 2_500
    assert ledger.floor == min(ledger.recent)


class ATail(RuleBasedStateMachine):
    """Reads a table that others change between any two answers, and crashes at will."""

    def __init__(self) -> None:
        super().__init__()
        self.pbx = FakePBX()
        self.ledger: Ledger | None = None
        self.walk = Walk()
        self.counted: Counter[tuple[int, int]] = Counter()
        self.before_start: set[int] = set()
        self.late: set[int] = set()

    @rule(times=st.integers(1, 60))
    def calls_end(self, times: int) -> None:
        self.pbx.call(times)

    @rule(skipped=st.integers(1, 3))
    def ids_are_skipped(self, skipped: int) -> None:
        self.pbx.next_id += skipped

    @rule(times=st.integers(1, 30))
    def the_oldest_are_deleted(self, times: int) -> None:
        self.pbx.delete(*sorted(self.pbx.rows)[:times])

    @rule(times=st.integers(1, 15))
    def the_newest_are_deleted(self, times: int) -> None:
        self.pbx.delete(*sorted(self.pbx.rows)[-times:])

    @rule(at=st.floats(0, 1), times=st.integers(1, 15))
    def some_are_deleted(self, at: float, times: int) -> None:
        ids = sorted(self.pbx.rows)
        first = int(at * len(ids))
        self.pbx.delete(*ids[first : first + times])

    @rule(back=st.integers(1, 10))
    def a_row_turns_up_late(self, back: int) -> None:
        row_id = self.pbx.next_id - back
        seen = {each for each, _ in self.counted}
        if row_id > 0 and row_id not in self.pbx.rows and row_id not in seen:
            self.pbx.insert(row_id)
            self.late.add(row_id)

    @rule(start=st.sampled_from(["now", "all"]))
    def the_exporter_starts(self, start: str) -> None:
        if self.ledger is None:
            if start == "all":
                self.ledger = from_the_beginning()
            else:
                self.before_start = set(self.pbx.rows)
                self.ledger = from_now(read(self.pbx))

    @rule()
    def it_crashes(self) -> None:
        self.walk = Walk()

    @rule(
        pages=st.integers(0, 4),
        mutations=st.lists(st.sampled_from(["call", "oldest", "newest"]), max_size=4),
        commits=st.booleans(),
    )
    def it_polls(self, pages: int, mutations: list[str], commits: bool) -> None:
        if self.ledger is None:
            return
        self.judge(read(self.pbx, size=HEAD_ROWS))
        for number in range(pages):
            if number < len(mutations):
                self.mutate(mutations[number])
            self.read_hole(commit=commits or number < pages - 1)

    def mutate(self, what: str) -> None:
        ids = sorted(self.pbx.rows)
        if what == "call":
            self.pbx.call(3)
        else:
            self.pbx.delete(*(ids[:3] if what == "oldest" else ids[-3:]))

    def read_hole(self, *, commit: bool) -> None:
        assert self.ledger is not None
        if not self.ledger.holes:
            return
        hole = self.ledger.holes[0]
        while (position := self.walk.position(hole)) is None:
            at = self.walk.probe(hole)
            self.walk.probed(at, read(self.pbx, at + 1, 1).top)
        wanted = self.walk.next_query(hole, position)
        before = self.ledger.holes
        self.judge(page_of(wanted, self.pbx.fetch(wanted)), commit=commit)
        if self.ledger.holes == before:
            self.walk.lose()

    def judge(self, page: Page, *, commit: bool = True) -> None:
        assert self.ledger is not None
        page = self.walk.completed(page)
        verdict = self.ledger.judge(page)
        if not commit:
            self.walk = Walk()
            return
        if verdict.suspect:
            return
        self.ledger = verdict.ledger
        self.counted.update((row.id, row.fingerprint) for row in verdict.counted)
        self.walk.passed(page, len(verdict.counted), self.ledger.holes)

    @invariant()
    def no_row_is_counted_twice(self) -> None:
        assert max(self.counted.values(), default=0) <= 1

    @invariant()
    def nothing_from_before_the_start_is_counted(self) -> None:
        assert not self.before_start & {row_id for row_id, _ in self.counted}

    @invariant()
    def the_ledger_is_bounded_and_in_order(self) -> None:
        if self.ledger is not None:
            bounds = [edge for hole in self.ledger.holes for edge in reversed(hole)]
            assert bounds == sorted(bounds, reverse=True)
            assert all(row_id >= self.ledger.floor for row_id in self.ledger.recent)

    def teardown(self) -> None:
        """When all is quiet, everything visible was counted, but for what turned up late."""
        if self.ledger is None:
            return
        for _ in range(200):
            self.judge(read(self.pbx, size=HEAD_ROWS))
            if not self.ledger.holes:
                break
            self.read_hole(commit=True)
        if self.foreign():
            return
        seen = {row_id for row_id, _ in self.counted}

        assert self.ledger.holes == () or not self.pbx.rows
        assert set(self.pbx.rows) - seen - self.before_start - self.late == set()

    def foreign(self) -> bool:
        assert self.ledger is not None
        return self.ledger.judge(read(self.pbx, size=HEAD_ROWS)).suspect


class TestATail(ATail.TestCase):  # type: ignore[misc]
    settings = settings(max_examples=400, stateful_step_count=30, deadline=None)


@pytest.mark.long
@pytest.mark.timeout(1800)
class TestATailForLong(ATail.TestCase):  # type: ignore[misc]
    settings = settings(max_examples=5000, stateful_step_count=60, deadline=None)


@pytest.fixture(autouse=True)
def a_small_memory(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if request.cls in (TestATail, TestATailForLong):
        monkeypatch.setattr(ledger_module, "REMEMBERED", 40)
        monkeypatch.setattr(ledger_module, "_SLACK", 10)


@pytest.mark.parametrize(
    ("rows", "total", "size", "complaint"),
    [
        pytest.param([3, 2, 2], 9, 20, "not sorted", id="an-id-twice"),
        pytest.param([2, 3], 9, 20, "not sorted", id="ascending"),
        pytest.param([3, 2, 1], 2, 20, "total_number", id="more-than-the-total"),
        pytest.param([3, 2, 1], 9, 2, "asked for", id="more-than-asked"),
    ],
)
def test_a_page_that_contradicts_itself_is_void(
    rows: list[int], total: int, size: int, complaint: str
) -> None:
    pbx = FakePBX()
    for row_id in rows:
        pbx.insert(row_id)
    answer = pbx.fetch(query(1, 100))
    records = [pbx.rows[row_id] for row_id in rows]

    with pytest.raises(Garbled, match=complaint):
        page_of(query(1, size), type(answer)(errcode=0, total=total, rows=records))
