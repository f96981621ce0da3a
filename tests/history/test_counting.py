"""What the exporter would have shown at which time: counted by the code that counts live."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdr_exporter.calls import Leg, assemble_call
from cdr_exporter.history.counting import Counting, timeline
from cdr_exporter.history.grid import DAY_SECONDS, blocks
from cdr_exporter.metrics.totals import Series, Value
from cdr_exporter.store import KeptLeg, LegFile

from ..support.rows import BOUNDS

BEGIN = 1_700_006_400
DAYS = 2
END = BEGIN + DAYS * DAY_SECONDS
STEP = 300

ANSWERED = Series("cdr_calls_total", ("answered", "Inbound", "sip"))
ROWS = Series("cdr_records_total", ("ANSWERED", "Inbound", "sip"))
LENGTHS = Series("cdr_call_duration_seconds", ("Inbound", "sip"))

Samples = dict[Series, dict[int, Value]]


def kept(
    number: int, end: int, uid: str = "", trunk: str = "sip", outcome: str = "answered"
) -> KeptLeg:
    leg = Leg(end - 30, outcome, "Inbound", trunk, 30, 5, 25, came_in_by=trunk)
    return KeptLeg(number, uid, end, "ANSWERED" if outcome == "answered" else "NO ANSWER", leg)


@contextmanager
def holding(legs: Sequence[KeptLeg]) -> Iterator[LegFile]:
    with (
        tempfile.TemporaryDirectory() as directory,
        closing(LegFile(Path(directory) / "hq.legs")) as file,
    ):
        file.add(legs)
        file.sort()
        yield file


def samples(
    legs: Sequence[KeptLeg], *, baseline: bool = False, until: float = END, max_trunks: int = 200
) -> Samples:
    """Return the value of each series at each time at which it has a sample."""
    grid = list(blocks(BEGIN, END, STEP))
    found: Samples = {}
    with holding(legs) as file:
        counting = Counting(file, BOUNDS, max_trunks, {}, until)
        counting.begin(BEGIN, baseline=baseline)
        for times, changes in timeline(counting, grid):
            for series, runs in changes.items():
                of_series = found.setdefault(series, {})
                for (begin, value), (end, _) in pairwise([*runs, (times.stop, ())]):
                    of_series |= dict.fromkeys(range(begin, end, STEP), value)
    return found


ended = st.integers(BEGIN, END - STEP - 1)
leg_ends = st.lists(
    st.tuples(ended, st.sampled_from("abcdefgh"), st.sampled_from(["answered", "no_answer"])),
    max_size=40,
)


@given(leg_ends)
@settings(max_examples=15)
def test_the_increase_over_each_day_is_the_calls_that_ended_in_it(
    drawn: list[tuple[int, str, str]],
) -> None:
    legs = [kept(n, end, uid, outcome=outcome) for n, (end, uid, outcome) in enumerate(drawn)]
    of_uid: dict[str, list[Leg]] = {}
    for each in legs:
        of_uid.setdefault(each.uid, []).append(each.leg)
    truth = Counter(
        ((max(leg.ended_at for leg in call) - BEGIN) // DAY_SECONDS, assemble_call(call).outcome)
        for call in of_uid.values()
    )
    found = samples(legs)

    counted = Counter[tuple[int, str]]()
    for series, values in found.items():
        if series.family == "cdr_calls_total":
            for day in range(DAYS):
                begin, end = BEGIN + day * DAY_SECONDS, BEGIN + (day + 1) * DAY_SECONDS
                last = values.get(min(end, END - STEP), (0,))[0]
                counted[day, series.labels[0]] += last - values.get(begin, (0,))[0]
    assert +counted == truth


@given(leg_ends)
@settings(max_examples=6)
def test_no_value_falls_and_no_sample_is_missing(drawn: list[tuple[int, str, str]]) -> None:
    legs = [kept(n, end, uid, f"trunk {uid}") for n, (end, uid, _) in enumerate(drawn)]

    for values in samples(legs).values():
        times = sorted(values)
        assert times == list(range(times[0], END, STEP))
        for earlier, later in pairwise(times):
            assert all(map(int.__le__, values[earlier], values[later]))


@pytest.mark.parametrize(
    "at",
    [
        pytest.param(BEGIN + 4_000, id="within a block"),
        pytest.param(BEGIN + 7_200 - 10, id="counted first by the first sample of a block"),
        pytest.param(BEGIN + 7_200, id="counted by the second sample of a block"),
    ],
)
def test_a_series_begins_with_0_one_step_before_its_first_count(at: int) -> None:
    found = samples([kept(1, at)])
    first = at // STEP * STEP

    for series in (ROWS, ANSWERED):
        assert [found[series].get(time) for time in (first - STEP, first, first + STEP)] == [
            None,
            (0,),
            (1,),
        ]
    assert set(found[LENGTHS][first]) == {0}
    assert sum(found[LENGTHS][first + STEP][:-1]) == 1


def test_a_row_counts_at_its_end_and_a_call_at_the_end_of_its_last_leg() -> None:
    found = samples([kept(1, BEGIN + 1000, "u"), kept(2, BEGIN + 9000, "u")])

    assert [found[ROWS][BEGIN + time][0] for time in (900, 1200, 9000, 9300)] == [0, 1, 1, 2]
    assert [found[ANSWERED][BEGIN + time][0] for time in (9000, 9300)] == [0, 1]


@pytest.mark.parametrize("uid", ["u", ""], ids=["with uid", "without uid"])
def test_what_ends_at_midnight_is_of_the_new_day(uid: str) -> None:
    found = samples([kept(1, BEGIN + DAY_SECONDS, uid)])

    assert found[ANSWERED][BEGIN + DAY_SECONDS] == (0,)
    assert found[ANSWERED][BEGIN + DAY_SECONDS + STEP] == (1,)


def test_without_a_baseline_what_ended_before_the_begin_does_not_count() -> None:
    found = samples([kept(1, BEGIN - 1), kept(2, BEGIN + 10, "u"), kept(3, BEGIN - 10, "u")])

    assert found[ANSWERED][BEGIN] == (0,)
    assert found[ANSWERED][END - STEP] == (1,)
    assert found[ROWS][END - STEP] == (1,)


def test_a_baseline_begins_with_all_that_ended_before() -> None:
    unknown = kept(3, 0)._replace(leg=Leg(0, "answered", "Inbound", "sip", 30, 5, 25))
    found = samples([kept(1, BEGIN - 1), kept(2, BEGIN - 9_999_999), unknown], baseline=True)

    assert (found[ANSWERED][BEGIN], found[ROWS][BEGIN]) == ((3,), (3,))


def test_what_the_first_values_of_the_exporter_may_lack_is_left_to_them() -> None:
    found = samples([kept(1, BEGIN + 100), kept(2, BEGIN + 200)], until=BEGIN + 200.0)

    assert found[ANSWERED][END - STEP] == (1,)


def test_the_trunks_of_legs_that_ended_before_the_begin_keep_their_names() -> None:
    found = samples([kept(1, BEGIN - 5, "u", "sip"), kept(2, BEGIN + 5, "u", "gsm")])

    assert found[ANSWERED][END - STEP] == (1,)


def test_nothing_but_rows_and_calls_is_written() -> None:
    found = samples([kept(n, BEGIN + n, trunk=f"trunk {n}") for n in range(5)], max_trunks=2)

    assert not any(series.family.startswith("cdr_exporter_") for series in found)
    assert found[ROWS._replace(labels=("ANSWERED", "Inbound", "other"))][END - STEP] == (3,)
