"""When a call is over: the real poller and store, and a fake PBX whose legs a test chooses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict

from cdr_exporter.calls import (
    UNREAD_LEGS_UNKNOWN,
    CallChange,
    CallRules,
    ClosedCall,
    Leg,
    LegClassifier,
    OpenCall,
    ReachableTime,
    SettleRules,
    TrackedCalls,
    open_calls,
)
from cdr_exporter.cdr import CDRAnswer
from cdr_exporter.clock import Now
from cdr_exporter.errors import TryAgain
from cdr_exporter.ingest.call_assembly import (
    CallAssembler,
    CallTimes,
    settle_rules_of,
    unread_below,
)
from cdr_exporter.ledger import Ledger, PageVerdict
from cdr_exporter.ledger.page import page_of, query
from cdr_exporter.ledger.watermark import Watermark
from cdr_exporter.metrics.call_metrics import count_calls
from cdr_exporter.metrics.totals import Series
from cdr_exporter.settings import PBX, SecretSource

from ..support.call_traces import BEGAN, rows
from ..support.fake_pbx import FakePBX
from ..support.poller_harness import PollerHarness
from ..support.rows import BOUNDS, record

OPEN = Series("cdr_exporter_open_calls")

IVR = "0  IVR Main<6200>  ANSWERED  0  20  in  sip  ivr_key_queue"
QUEUE = "20  Queue Support<6400>  ANSWERED  5  60  in  sip  connected"
AGENT = "20  Ada Ahorn<2001>  ANSWERED  5  60  in  sip  hangup"


class Office(PollerHarness):
    """A harness whose PBX shows legs; *calls* are those counted, by outcome."""

    def show(self, *lines: str, uid: str = "a-call", ago: int = 0) -> None:
        """Show the legs of a trace whose last one ends now, or *ago* seconds before."""
        legs = rows("\n".join(lines), uid=uid)
        behind = int(self.clock.wall) - ago - max(leg.ended_at for leg in legs)
        self.show_at(BEGAN + behind, *lines, uid=uid)

    def show_at(self, began: int, *lines: str, uid: str = "a-call") -> None:
        """Show the legs of a trace that began at *began*."""
        for leg in rows("\n".join(lines), uid=uid):
            fields = {**asdict(leg), "started_at": leg.started_at - BEGAN + began}
            fields.pop("id")
            self.pbx.call(**fields)

    def run(self, seconds: float) -> None:
        """Poll for that many seconds."""
        end = self.clock.wall + seconds
        while self.clock.wall < end:
            self.clock.pass_(self.poll())

    @property
    def calls(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for key, value in self.state.totals.series.items():
            if key.family == "cdr_calls_total" and value[0]:
                found[key.labels[0]] = found.get(key.labels[0], 0) + value[0]
        return found

    @property
    def late(self) -> int:
        return self.total("cdr_exporter_late_legs_total")

    @property
    def waiting(self) -> int:
        return int(self.gauge("cdr_exporter_open_calls"))


@pytest.fixture
def new_office(tmp_path: Path) -> Iterator[Callable[..., Office]]:
    """Return what makes an office that has not polled yet; each is closed after the test."""
    made: list[Office] = []

    def make(**settings: Any) -> Office:
        made.append(Office(tmp_path / str(len(made)), FakePBX(), **settings))
        return made[-1]

    yield make
    for each in made:
        assert each.store is not None
        each.store.close()


@pytest.fixture
def office(new_office: Callable[..., Office]) -> Callable[..., Office]:
    """Return what makes an office that has counted rows from before the start."""

    def make(**settings: Any) -> Office:
        it = new_office(**settings)
        it.pbx.call(uid="from-before")
        it.run(30)
        return it

    return make


# --- waiting -------------------------------------------------------------------------------------


def test_a_call_is_counted_once_it_was_waited_for(office: Callable[..., Office]) -> None:
    it = office(call_settle=60.0)
    it.show(IVR, QUEUE, AGENT)
    it.poll()
    at_first = (it.calls, it.counted, it.waiting)
    it.clock.pass_(59)
    it.poll()
    just_before = it.calls
    it.clock.pass_(30)
    it.poll()

    assert at_first == ({}, 3, 1)
    assert just_before == {}
    assert (it.calls, it.waiting) == ({"answered": 1}, 0)


@pytest.mark.fault("H1")
def test_legs_that_turn_up_in_other_polls_are_of_the_same_call(
    office: Callable[..., Office],
) -> None:
    it = office()
    for leg in (AGENT, IVR, QUEUE):
        it.show(leg)
        it.poll()
        it.clock.pass_(50)
    it.run(120)

    assert (it.calls, it.late) == ({"answered": 1}, 0)
    *_, legs = it.last.totals.series[Series("cdr_call_legs", ("Inbound",))]
    assert legs == 3


def test_each_new_leg_starts_the_wait_again(office: Callable[..., Office]) -> None:
    it = office()
    it.show(IVR)
    it.poll()
    it.clock.pass_(55)
    it.show(AGENT)
    it.poll()
    it.clock.pass_(55)
    it.poll()
    before = it.calls
    it.clock.pass_(30)
    it.poll()

    assert before == {}
    assert it.calls == {"answered": 1}


@pytest.mark.fault("H2")
def test_a_leg_that_comes_after_its_call_was_counted_is_a_row_only(
    office: Callable[..., Office],
) -> None:
    it = office()
    it.show(IVR)
    it.run(120)
    counted = it.calls
    it.show(AGENT, uid="a-call")
    it.run(120)

    assert (counted, it.calls) == ({"machine": 1}, {"machine": 1})
    assert (it.late, it.counted) == (1, 2)


@pytest.mark.fault("H2")
def test_a_late_leg_is_still_known_after_a_restart(office: Callable[..., Office]) -> None:
    it = office()
    it.show(IVR)
    it.run(120)
    it.restart()
    it.show(AGENT)
    it.run(120)

    assert (it.calls, it.late) == ({"machine": 1}, 1)


@pytest.mark.fault("H9")
def test_a_row_without_uid_is_a_call_at_once(office: Callable[..., Office]) -> None:
    it = office()
    it.show(AGENT, uid="")
    it.show(AGENT, uid="")
    it.poll()

    assert it.calls == {"answered": 2}


def test_rows_without_uid_from_before_the_start_hide_no_call_on_their_page(
    new_office: Callable[..., Office],
) -> None:
    it = new_office()
    it.poll()
    it.show(AGENT, uid="", ago=9_000)
    it.show(AGENT, uid="")
    it.poll()

    assert (it.counted, it.calls) == (1, {"answered": 1})


@pytest.mark.fault("H5")
def test_time_in_which_the_pbx_did_not_reply_does_not_count_as_waiting(
    office: Callable[..., Office],
) -> None:
    it = office()
    it.show(IVR)
    it.poll()
    it.pbx.failures = [TryAgain("x", reason="connect") for _ in range(4)]
    for _ in range(4):
        it.clock.pass_(30)
        it.poll()
    it.clock.pass_(30)
    it.show(AGENT)
    it.poll()
    back = it.calls
    it.run(120)

    assert back == {}
    assert (it.calls, it.late) == ({"answered": 1}, 0)


@pytest.mark.fault("H7")
def test_an_open_call_survives_a_restart_and_waits_on(office: Callable[..., Office]) -> None:
    it = office()
    it.show(IVR)
    it.run(25)
    it.restart()
    it.poll()
    at_start = it.calls
    it.clock.pass_(30)
    it.show(AGENT)
    it.run(150)

    assert at_start == {}
    assert (it.calls, it.late) == ({"answered": 1}, 0)


# --- the start -----------------------------------------------------------------------------------


@pytest.mark.fault("H6")
def test_further_legs_of_a_call_from_before_the_start_are_rows_only(
    new_office: Callable[..., Office],
) -> None:
    it = new_office()
    it.show(IVR)
    it.poll()
    it.show(AGENT)
    it.show(AGENT, uid="another")
    it.run(150)

    assert (it.counted, it.calls, it.late) == (2, {"answered": 1}, 0)


@pytest.mark.fault("H10")
@pytest.mark.parametrize("without_id", [False, True], ids=["by-id", "by-time"])
def test_a_baseline_counts_each_call_in_the_table_once(
    new_office: Callable[..., Office], without_id: bool
) -> None:
    it = new_office(start="all")
    tell = it.pbx.call_without_id if without_id else it.pbx.call
    for number in range(700):
        for leg in rows(f"{IVR}\n{QUEUE}\n{AGENT}"):
            began = int(it.clock.wall) - 200_000 + 250 * number
            at = leg.started_at - BEGAN + began
            fields = {**asdict(leg), "started_at": at, "uid": f"call-{number}"}
            tell(**{key: value for key, value in fields.items() if key not in ("id", "new_id")})
    most = 0
    while not (it.shown and it.last.shown):
        it.clock.pass_(it.poll())
        most = max([most, *(int(each.gauges[OPEN]) for each in it.shown)])
    first_seen = it.calls
    it.run(1200)

    assert first_seen["answered"] > 650
    assert it.calls == {"answered": 700}
    assert (it.counted, it.late, it.waiting) == (2100, 0, 0)
    assert most < 150
    births = {it.last.totals.born[key] for key in it.last.totals.series if "call" in key.family}
    assert births == {0.0}


def test_a_call_that_is_over_once_the_baseline_is_shown_is_born_at_0(
    new_office: Callable[..., Office],
) -> None:
    it = new_office(start="all")
    it.show(AGENT, uid="old", ago=9000)
    it.show("0  Ada<2001>  ANSWERED  5  60  in  New")
    it.run(180)
    births = {
        key.labels[1]: it.last.totals.born[key]
        for key in it.last.totals.series
        if key.family == "cdr_call_wait_seconds"
    }

    assert it.calls == {"answered": 2}
    assert births["sip"] == 0.0
    assert births["New"] > 0.0


def test_a_call_that_ends_while_a_baseline_is_read_is_waited_for(
    new_office: Callable[..., Office],
) -> None:
    it = new_office(start="all")
    for number in range(600):
        it.show(AGENT, uid=f"old-{number}", ago=90_000 - 100 * number)
    it.show(IVR)
    it.poll()
    it.show(AGENT)
    it.run(180)

    assert (it.calls, it.late) == ({"answered": 601}, 0)


# --- catching up ---------------------------------------------------------------------------------


@pytest.mark.fault("H5")
def test_calls_of_an_outage_are_counted_before_anything_is_shown_again(
    office: Callable[..., Office],
) -> None:
    it = office()
    it.pbx.failures = [TryAgain("x", reason="connect") for _ in range(40)]
    it.run(3600)
    it.pbx.failures = []
    for ago in range(3000, 0, -100):
        it.show(IVR, QUEUE, AGENT, uid=f"call-{ago}", ago=ago)
    it.shown.clear()
    it.poll()
    first = next(each for each in it.shown if each.shows_calls(it.clock.now()))
    counted = sum(
        value[0] for key, value in first.totals.series.items() if key.family == "cdr_calls_total"
    )

    assert counted == 30


@pytest.mark.fault("H4")
def test_a_page_that_ends_within_a_call_does_not_split_it(office: Callable[..., Office]) -> None:
    it = office()
    it.restart()
    for number in range(600):
        it.show(IVR, QUEUE, AGENT, uid=f"call-{number}", ago=600 - number)
    it.run(300)

    assert (it.calls, it.late) == ({"answered": 600}, 0)


@pytest.mark.parametrize("legs", range(1, 8))
def test_a_call_that_ends_during_a_catch_up_is_not_split_by_a_page_that_moved(
    office: Callable[..., Office], legs: int
) -> None:
    """Rows written meanwhile move all others down, so a page may begin within a call."""
    it = office()
    for number in range(250):
        it.show("0  Ada<2001>  BUSY  0  0  in  sip", uid=f"known-{number}")
    it.run(180)
    it.restart()
    for number in range(20):
        it.show(IVR, QUEUE, AGENT, uid=f"call-{number}", ago=3000 - 5 * number)
    fillers = [f"{n}  Desk {n}<20{n}>  NO ANSWER  1  0  in  sip" for n in range(legs)]

    def happen() -> None:
        if it.pbx.queries[-1].offset and it.pbx.queries[-1].limit > 8:
            it.pbx.before_answer = lambda: None
            for number in range(20):
                it.show(
                    "0   IVR Main<6200>   ANSWERED  0  20    in  sip  ivr_key_extension",
                    *fillers,
                    "20  Ada Ahorn<2001>  ANSWERED  4  1800  in  sip  hangup",
                    uid=f"meanwhile-{number}",
                )

    it.pbx.before_answer = happen
    it.run(300)

    assert "meanwhile-19" in {row.uid for row in it.pbx.rows.values()}
    assert (it.calls, it.late) == ({"busy": 250, "answered": 40}, 0)


@pytest.mark.parametrize(("offset", "over"), [(0, 1), (20, 0)], ids=["first-page", "page-below"])
def test_a_call_written_after_the_poll_began_waits_for_the_next_poll(
    offset: int, over: int
) -> None:
    """A page below the first may begin within a call that just ended; rows above it are unread."""
    now = Now(wall=BEGAN + 90_000.0, steady=1_000.0)
    settings = PBX(
        name="hq", base_url="http://127.0.0.1", client_id="me", secret=SecretSource(env="X")
    )
    assembler = CallAssembler(LegClassifier(CallRules()), settle_rules_of(settings))
    times = CallTimes(ReachableTime()).after_poll_began(now)
    now = Now(now.wall + 1, now.steady + 1)
    [row] = rows("0  IVR Main<6200>  ANSWERED  0  20  in  sip", first_id=77)
    page = page_of(query(offset // 20 + 1, 20), CDRAnswer(errcode=0, total=500, rows=[row]))
    ledger = Ledger(newest_key=77, watermark=Watermark(newest_end=int(now.wall)))
    verdict, _ = assembler.after_page(
        TrackedCalls(),
        times,
        PageVerdict(ledger, [row]),
        assembler.classifier.by_kind([row]),
        page,
        now,
        newest_key=76,
        shown=False,
    )
    calls = TrackedCalls().after(verdict.change)
    finished = assembler.after_all_was_read(calls, times, ledger, now, shown=False).finished

    assert len(finished) == over


@pytest.mark.fault("H4")
@pytest.mark.parametrize("at", range(1, 12))
def test_a_kill_during_a_catch_up_splits_no_call(office: Callable[..., Office], at: int) -> None:
    it = office()
    it.restart()
    for number in range(600):
        it.show(IVR, QUEUE, AGENT, uid=f"call-{number}", ago=3000 - 5 * number)
    it.pbx.kill_after(at)
    with suppress(SystemExit):
        it.run(300)
    it.pbx.before_answer = lambda: None
    it.restart()
    it.run(300)

    assert (it.calls, it.late) == ({"answered": 600}, 0)


# --- one by one ----------------------------------------------------------------------------------


def thirty_minutes(it: Office) -> None:
    """Let an IVR of 20 s end now, and the agent's 30 minutes when they are over."""
    began = int(it.clock.wall) - 20
    it.show_at(began, "0  IVR Main<6200>  ANSWERED  0  20  in  sip")
    it.run(1800)
    it.show_at(began, "20  Ada Ahorn<2001>  ANSWERED  4  1800  in  sip")
    it.run(180)


@pytest.mark.fault("H3")
def test_legs_one_by_one_are_one_call_where_the_user_says_so(
    office: Callable[..., Office],
) -> None:
    it = office(legs_appear="one_by_one")
    thirty_minutes(it)

    assert (it.calls, it.late) == ({"answered": 1}, 0)


@pytest.mark.fault("H3")
def test_legs_one_by_one_show_as_late_ones_where_the_user_does_not_say_so(
    office: Callable[..., Office],
) -> None:
    it = office(legs_appear="at_call_end")
    thirty_minutes(it)

    assert (it.calls, it.late) == ({"machine": 1}, 1)


def test_one_by_one_a_call_that_ended_with_a_machine_is_counted_in_the_end(
    office: Callable[..., Office],
) -> None:
    it = office(legs_appear="one_by_one", longest_call=3600.0)
    it.show("0  IVR Main<6200>  ANSWERED  0  20  in  sip")
    it.run(3500)
    before = it.calls
    it.run(300)

    assert (before, it.calls) == ({}, {"machine": 1})


def test_one_by_one_a_call_whose_caller_hung_up_is_not_waited_for_long(
    office: Callable[..., Office],
) -> None:
    it = office(legs_appear="one_by_one")
    it.show("0  IVR Main<6200>  ANSWERED  0  20  in  sip  hangup")
    it.show("0  Ada Ahorn<2001>  NO ANSWER  20  0  in  sip", uid="missed")
    it.run(120)

    assert it.calls == {"machine": 1, "no_answer": 1}


# --- bounds --------------------------------------------------------------------------------------


@pytest.mark.fault("H8")
def test_calls_beyond_the_bound_are_counted_early_and_as_cut(
    office: Callable[..., Office], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_calls, "MAX_OPEN_CALLS", 10)
    it = office()
    for number in range(15):
        it.show(IVR, uid=f"call-{number}")
        it.poll()

    assert it.calls == {"machine": 5}
    assert (it.waiting, it.total("cdr_exporter_cut_calls_total")) == (10, 5)


@pytest.mark.fault("H8", "C15")
def test_a_call_of_too_many_legs_is_counted_as_it_stands(
    office: Callable[..., Office], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_calls, "MAX_LEGS", 10)
    it = office()
    for _ in range(15):
        it.show(IVR, uid="endless")
        it.poll()

    assert it.calls == {"machine": 1}
    assert (it.waiting, it.total("cdr_exporter_cut_calls_total")) == (0, 1)
    assert it.total("cdr_exporter_late_legs_total") == 4


@pytest.mark.fault("H8")
def test_legs_beyond_the_bound_of_all_are_counted_with_the_calls_seen_longest_ago(
    office: Callable[..., Office], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_calls, "MAX_LEGS", 10)
    monkeypatch.setattr(open_calls, "MAX_OPEN_LEGS", 20)
    it = office()
    for number in range(5):
        for _ in range(6):
            it.show(IVR, uid=f"call-{number}")
        it.poll()

    assert it.calls == {"machine": 2}
    assert set(it.state.calls.open) == {"call-2", "call-3", "call-4"}
    assert it.total("cdr_exporter_cut_calls_total") == 2


@pytest.mark.fault("H8")
def test_no_more_closed_calls_are_remembered_than_the_bound(
    office: Callable[..., Office], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_calls, "MAX_CLOSED_CALLS", 10)
    it = office()
    for number in range(25):
        it.show(AGENT, uid=f"call-{number}")
        it.run(30)
    it.run(120)
    closed = list(it.state.calls.closed)
    it.restart()

    assert closed == [f"call-{number}" for number in range(15, 25)]
    assert list(it.state.calls.closed) == closed


@pytest.mark.fault("H8")
def test_a_call_is_forgotten_once_no_leg_of_it_can_come(office: Callable[..., Office]) -> None:
    it = office(longest_call=3600.0)
    it.show(AGENT)
    it.run(3000)
    remembered = set(it.state.calls.closed)
    it.run(1200)
    it.show(AGENT, uid="another")
    it.run(120)

    assert remembered == {"from-before", "a-call"}
    assert set(it.state.calls.closed) == {"another"}


# --- many calls of one leg -----------------------------------------------------------------------

READ_AT = Now(wall=BEGAN + 90_000.0, steady=1_000.0)

some_rows = st.lists(
    st.tuples(
        st.sampled_from(["", *"abcde"]),
        # Seconds since it ended; after the longest call all are over that have one leg.
        st.integers(-200, 30_000) | st.integers(12_000, 29_000),
        st.sampled_from(["ANSWERED", "NO ANSWER", "VOICEMAIL"]),
        st.sampled_from(["Ada<2001>", "IVR Main<6200>", "Queue Support<6400>", "0049301234"]),
    ),
    max_size=12,
)


@pytest.mark.parametrize(
    ("one_by_one", "unread", "shown"),
    [
        pytest.param(False, True, False, id="catching up"),
        pytest.param(True, True, False, id="one by one"),
        pytest.param(False, False, False, id="all read"),
        pytest.param(False, True, True, id="shown"),
    ],
)
@given(rows=some_rows)
def test_calls_of_one_leg_that_are_over_at_once_are_what_they_are_one_by_one(
    rows: list[tuple[str, int, str, str]], one_by_one: bool, unread: bool, shown: bool
) -> None:
    # The last rows of a page tell when what lies below it was written.
    below = [(f"below {n}", 31_000, "ANSWERED", "Ada<2001>") for n in range(8)]
    newest_first = [*sorted(rows, key=lambda row: row[1]), *below]
    rules = SettleRules(60.0, one_by_one, 11_700.0)
    assembler = CallAssembler(LegClassifier(CallRules(queues={"6400": "support"})), rules)
    times = CallTimes(ReachableTime(), clock_offset=0.0).after_poll_began(READ_AT)
    records = [
        record(
            900 - number,
            uid=uid,
            started_at=int(READ_AT.wall) - ago - 40,
            duration=40,
            disposition=disposition,
            call_to=callee,
        )
        for number, (uid, ago, disposition, callee) in enumerate(newest_first)
    ]
    calls = TrackedCalls({"a": OpenCall.of([Leg(5, "machine", "Inbound", "sip")], 1.0)}, {})
    calls = calls.after(CallChange(closed={"b": ClosedCall(0.0)}))
    ledger = Ledger(
        newest_key=900,
        watermark=Watermark(newest_end=int(READ_AT.wall)),
        unread=((1, 500),) if unread else (),
    )
    page = page_of(query(1, 20), CDRAnswer(errcode=0, total=5_000, rows=records))
    verdict, groups = PageVerdict(ledger, page.rows), assembler.classifier.by_kind(page.rows)
    together, _ = assembler.after_page(
        calls, times, verdict, groups, page, READ_AT, newest_key=0, shown=shown
    )
    unread_legs = UNREAD_LEGS_UNKNOWN if shown else unread_below(page, ledger, rules)
    at = times.moment(ledger, READ_AT, rules, catching_up=not shown, unread=unread_legs)
    legs = [
        (row.uid, assembler.classifier.classify(row)) for labels, each in groups for row in each
    ]
    one_at_a_time = calls.judge(legs, {}, at, rules)

    assert together.change == one_at_a_time.change
    assert (together.late, together.cut) == (one_at_a_time.late, one_at_a_time.cut)
    counted, expected = (
        count_calls(each.finished, BOUNDS, frozenset({"sip"})) for each in (together, one_at_a_time)
    )
    assert counted == expected
