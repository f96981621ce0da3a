"""The made-up office: repeatable, and shaped like one."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from operator import attrgetter

import pytest

from pbx_simulator.directory import BOSTON
from pbx_simulator.rows import FIELDS, Row
from pbx_simulator.scenarios import LONGEST_CALL_SECONDS
from pbx_simulator.traffic import CALL_CENTRE_HOURS, OFFICE_HOURS, Traffic
from pbx_simulator.truth import SimulatedCall

HOUR = 3600
DAY = 24 * HOUR
MONDAY = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp())
WEEKS = 3


def ended(traffic: Traffic, after: float, until: float) -> list[SimulatedCall]:
    return traffic.calls(after, until, lambda call: call.ended)


@pytest.fixture(scope="module")
def calls() -> list[SimulatedCall]:
    return ended(Traffic(1), MONDAY, MONDAY + WEEKS * 7 * DAY)


@pytest.fixture(scope="module")
def history() -> list[Row]:
    """Calls of one leg each, and so rows."""
    calls = ended(Traffic(1, multi_leg=False), MONDAY, MONDAY + WEEKS * 7 * DAY)
    return [row for (row,) in (call.legs for call in calls)]


def test_the_same_seed_makes_the_same_history(calls: list[SimulatedCall]) -> None:
    assert ended(Traffic(1), MONDAY, MONDAY + WEEKS * 7 * DAY) == calls


def test_another_seed_makes_another_history() -> None:
    one, other = (ended(Traffic(seed), MONDAY, MONDAY + DAY) for seed in (1, 2))

    assert one != other


@pytest.mark.slow
@pytest.mark.parametrize("step", [0.25, 7.0, 1234.5, HOUR], ids=lambda step: f"{step}s")
def test_a_history_asked_for_in_parts_is_the_same_history(step: float) -> None:
    begin = MONDAY + 10 * HOUR
    until = begin + min(40 * step, 5 * HOUR)
    traffic = Traffic(1, rate=100)
    instants: list[float] = [begin]
    while instants[-1] < until:
        instants.append(min(instants[-1] + step, until))

    parts = [call for a, b in pairwise(instants) for call in ended(traffic, a, b)]

    assert parts == ended(Traffic(1, rate=100), begin, until)
    assert parts


@pytest.mark.parametrize("sorted_by", ["started", "ended"])
def test_calls_are_in_the_order_of_the_instant_asked_for(sorted_by: str) -> None:
    instant = attrgetter(sorted_by)
    calls = Traffic(1).calls(MONDAY, MONDAY + 2 * DAY, instant)
    instants = [instant(call) for call in calls]

    assert instants == sorted(instants)
    assert all(MONDAY < each <= MONDAY + 2 * DAY for each in instants)
    others = [call.ended if sorted_by == "started" else call.started for call in calls]
    assert others != sorted(others)


def test_a_call_that_began_before_is_found_by_its_end() -> None:
    calls = ended(Traffic(1, rate=20), MONDAY + 10 * HOUR, MONDAY + 10 * HOUR + 60)

    assert any(call.started < MONDAY + 10 * HOUR for call in calls)


def test_a_working_day_has_two_to_three_hundred_calls(calls: list[SimulatedCall]) -> None:
    by_day = Counter((call.started - MONDAY) // DAY for call in calls)
    working_days = [by_day[day] for day in range(WEEKS * 7) if day % 7 < 5]

    assert 200 <= sum(working_days) / len(working_days) <= 300


def test_the_weekend_is_almost_silent_but_not_quite(calls: list[SimulatedCall]) -> None:
    by_weekday = Counter((call.started - MONDAY) // DAY % 7 for call in calls)

    assert 0 < by_weekday[5] < by_weekday[0] / 5
    assert 0 < by_weekday[6] < by_weekday[0] / 5


def test_the_day_has_two_peaks_a_lunch_and_a_quiet_night(calls: list[SimulatedCall]) -> None:
    by_hour = Counter(call.started % DAY // HOUR for call in calls)

    assert by_hour[10] > 1.5 * by_hour[12]
    assert by_hour[14] > 1.5 * by_hour[12]
    assert sum(by_hour[hour] for hour in range(6)) < by_hour[12] / 2


def test_every_kind_of_call_comes_about(history: list[Row]) -> None:
    assert {call["disposition"] for call in history} == {
        "ANSWERED",
        "NO ANSWER",
        "BUSY",
        "FAILED",
        "VOICEMAIL",
    }
    assert {call["call_type"] for call in history} == {"Inbound", "Outbound", "Internal"}


@pytest.mark.parametrize(
    ("call_type", "side", "other"),
    [("Inbound", "src_trunk", "dst_trunk"), ("Outbound", "dst_trunk", "src_trunk")],
    ids=["inbound", "outbound"],
)
def test_calls_with_the_outside_share_the_trunks_unequally(
    history: list[Row], call_type: str, side: str, other: str
) -> None:
    calls = [call for call in history if call["call_type"] == call_type]
    shares = Counter(call[side] for call in calls)

    assert shares["SIP-Provider"] > shares["PSTN"] > shares["Backup"] > 0
    assert len(shares) == 3
    assert not any(other in call for call in calls)


def test_internal_calls_use_no_trunk(history: list[Row]) -> None:
    internal = [call for call in history if call["call_type"] == "Internal"]

    assert internal
    assert not any("src_trunk" in call or "dst_trunk" in call for call in internal)


@pytest.mark.parametrize(
    ("disposition", "rings", "talks", "longest"),
    [
        ("ANSWERED", True, True, LONGEST_CALL_SECONDS),
        ("VOICEMAIL", True, True, 120),
        ("NO ANSWER", True, False, 45),
        ("BUSY", False, False, 2),
        ("FAILED", False, False, 2),
    ],
    ids=lambda value: str(value).replace(" ", "-"),
)
def test_ring_and_talk_fit_the_disposition(
    history: list[Row], disposition: str, rings: bool, talks: bool, longest: int
) -> None:
    calls = [call for call in history if call["disposition"] == disposition]

    assert any("ring_duration" in call for call in calls) is rings
    assert any("talk_duration" in call for call in calls) is talks
    assert max(call.get("duration", 0) for call in calls) <= longest


def test_ring_and_talk_make_up_the_duration(history: list[Row]) -> None:
    connected = [call for call in history if call["disposition"] in ("ANSWERED", "VOICEMAIL")]

    assert all(
        call["duration"] == call.get("ring_duration", 0) + call["talk_duration"]
        for call in connected
    )


def test_talk_is_mostly_short_and_sometimes_long(history: list[Row]) -> None:
    talks = sorted(call["talk_duration"] for call in history if call["disposition"] == "ANSWERED")

    assert 60 <= talks[len(talks) // 2] <= 180
    assert talks[-1] > 1200


def test_rows_hold_what_the_contract_lists_and_nothing_empty(history: list[Row]) -> None:
    places = {name: place for place, name in enumerate(FIELDS)}

    for call in history:
        assert all(call.values())
        assert [places[name] for name in call] == sorted(places[name] for name in call)


def test_some_rows_have_no_duration_at_all(history: list[Row]) -> None:
    assert any("duration" not in call for call in history if call["disposition"] == "NO ANSWER")


def test_some_answered_calls_are_recorded_and_no_others(history: list[Row]) -> None:
    recorded = Counter(call["disposition"] for call in history if "record_file" in call)

    assert recorded.keys() == {"ANSWERED"}
    assert recorded["ANSWERED"] < sum(call["disposition"] == "ANSWERED" for call in history)


def test_a_reason_has_four_blanks_at_its_end(history: list[Row]) -> None:
    assert all(call["reason"].endswith("    ") for call in history)
    assert "src hangup    " in {call["reason"] for call in history}


def test_time_is_displayed_at_the_offset_and_the_uid_begins_with_it() -> None:
    calls = ended(Traffic(1, utc_offset_seconds=8 * HOUR), MONDAY, MONDAY + 6 * HOUR)

    assert calls
    for call in calls:
        assert call.uid.startswith(there(call.legs[0]).strftime("%Y%m%d%H%M%S"))
        assert len(call.uid) == 19
        for leg in call.legs:
            assert leg["time"] == there(leg).strftime("%m/%d/%Y %H:%M:%S")


def there(leg: Row) -> datetime:
    return datetime.fromtimestamp(leg["timestamp"] + 8 * HOUR, UTC)


def test_the_office_opens_by_its_own_clock() -> None:
    ten_in_the_morning_there = MONDAY + 2 * HOUR

    assert Traffic(1, utc_offset_seconds=8 * HOUR).calls_per_hour(ten_in_the_morning_there) > 20
    assert Traffic(1).calls_per_hour(ten_in_the_morning_there) < 1


@pytest.mark.parametrize(("rate", "calls"), [(0.0, 0), (0.5, 126), (4.0, 1010)])
def test_the_rate_multiplies_the_calls(rate: float, calls: int) -> None:
    made = ended(Traffic(1, rate=rate), MONDAY, MONDAY + DAY)

    assert len(made) == pytest.approx(calls, rel=0.2)


def test_the_floor_holds_at_night_and_leaves_the_day_alone() -> None:
    floored, plain = Traffic(1, min_calls_per_minute=0.2), Traffic(1)
    night, morning = MONDAY + 3 * HOUR, MONDAY + 10 * HOUR

    assert len(ended(floored, night, night + HOUR)) == pytest.approx(12, abs=8)
    assert floored.calls_per_hour(night) == pytest.approx(12)
    assert floored.calls_per_hour(morning) == plain.calls_per_hour(morning)


def test_a_sample_is_spread_over_the_time_asked_for() -> None:
    calls = list(Traffic(1).sample(100, serial=1, until=MONDAY, over=1000))

    assert [call.ended for call in calls] == [MONDAY - 990 + 10 * number for number in range(100)]


def test_samples_differ_by_their_serial_alone() -> None:
    first, again, second = (list(Traffic(1).sample(20, serial, MONDAY, 0)) for serial in (1, 1, 2))

    assert first == again
    assert first != second


def test_the_call_centre_has_its_own_numbers_trunks_and_hours() -> None:
    calls = ended(Traffic(1, directory=BOSTON, habits=CALL_CENTRE_HOURS), MONDAY, MONDAY + 7 * DAY)

    legs = [leg for call in calls for leg in call.legs]
    trunks = {leg[name] for leg in legs for name in ("src_trunk", "dst_trunk") if leg.get(name)}
    assert trunks == {*BOSTON.trunks}
    assert {leg["did_number"] for leg in legs if leg.get("did_number")} == {*BOSTON.dids}
    assert {number for call in calls for number, _ in call.truth.queues} == {*BOSTON.queues}
    saturday = [call for call in calls if 5 * DAY <= call.started - MONDAY < 6 * DAY]
    assert len(saturday) > len(calls) / 20


def test_a_trunk_that_fails_now_and_then_connects_nobody_for_whole_hours() -> None:
    habits = OFFICE_HOURS._replace(failing_trunk="Backup")
    calls = ended(Traffic(1, rate=20, habits=habits), MONDAY, MONDAY + 5 * DAY)

    failed: dict[int, list[bool]] = {}
    for call in calls:
        first = call.legs[0]
        if not first.get("src_trunk") and first.get("dst_trunk") == "Backup":
            failed.setdefault(call.started // HOUR, []).append(first["disposition"] == "FAILED")
    busy = {hour: each for hour, each in failed.items() if len(each) >= 10}
    dead = [hour for hour, each in busy.items() if all(each)]
    assert 0.03 < len(dead) / len(busy) < 0.3
    assert all(sum(each) < len(each) / 2 for hour, each in busy.items() if hour not in dead)


def test_habits_change_no_other_call() -> None:
    plain, failing = (
        ended(Traffic(1, habits=habits), MONDAY, MONDAY + DAY)
        for habits in (OFFICE_HOURS, OFFICE_HOURS._replace(failing_trunk="no such trunk"))
    )

    assert plain == failing
