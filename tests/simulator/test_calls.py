"""The calls that the simulated PBX makes of several legs, and their declared outcomes."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbx_simulator import OfficeSettings, SimulatedPBX
from pbx_simulator.call_drawing import CallDrawing, place_call
from pbx_simulator.directory import BERLIN
from pbx_simulator.leg_visibility import LEGS_APPEAR
from pbx_simulator.rows import CALL_TYPES, DISPOSITIONS, FIELDS, Row
from pbx_simulator.scenarios import (
    LEGS_A_CALL,
    LONGEST_CALL_SECONDS,
    PHASES,
    SCENARIOS,
    any_scenario,
    direct_scenario,
)
from pbx_simulator.traffic import Traffic
from pbx_simulator.truth import OUTCOMES, QUEUE_OUTCOMES, CallTruth, SimulatedCall, end

from .support import NOW, APIUser, SettableClock, Steer

DAY = 86_400
HANDS_ON = {
    "connected",
    "timeout_failover",
    "forwarded",
    "redirected",
    "blind_transfer",
    "attended_transfer_answer",
    "ivr_key_ivr",
    "ivr_key_queue",
    "ivr_key_extension",
}
ENDS = {"hangup", "timeout_hangup", "extension_busy_no_forward", "blacklist"}
PASSED_THROUGH = {"passed-through", "passed-through-missed"}
PLAYED = {"recording-played", "recording-not-heard"}
MACHINES = ("IVR ", "Queue ", "Conference ", "Voicemail ", "PlayFile", "Play Prompt", "Satisf")

DRAWING = CallDrawing(BERLIN)

any_call = st.builds(
    lambda name, seed: place_call(DRAWING.draw(Random(seed), name), NOW, 7, 3600),
    st.sampled_from(sorted(SCENARIOS)),
    st.integers(0, 10**6),
)


def key(leg: Row) -> str:
    """Return what the leg ended with, without the party."""
    return str(leg["reason"]).split(" ")[1]


def people(call: SimulatedCall) -> list[Row]:
    """Return the legs of *call* that a person could answer."""
    return [
        leg
        for leg in call.legs
        if leg["call_to"].startswith("Conference ")
        or not leg["call_to"].startswith((*MACHINES, "RingGroup "))
    ]


def made(name: str, seed: int = 1) -> SimulatedCall:
    return place_call(DRAWING.draw(Random(seed), name), NOW, 0, 0)


def legs_of(pbx: SimulatedPBX) -> dict[str, list[Row]]:
    """Return the rows of *pbx* by call, each call's in the order of their keys."""
    calls: dict[str, list[Row]] = {}
    for row in pbx.table:
        calls.setdefault(row["uid"], []).append(row)
    return calls


def quiet_pbx(clock: SettableClock, **office: Any) -> SimulatedPBX:
    """Return a PBX whose office makes no call by itself."""
    return SimulatedPBX(OfficeSettings(rate=0, **office), clock=clock)


# The scenarios.


@given(any_call)
def test_the_legs_of_a_call_agree_with_each_other(call: SimulatedCall) -> None:
    starts = [leg["timestamp"] for leg in call.legs]

    assert starts[0] == call.started == NOW
    assert max(map(end, call.legs)) == call.ended
    assert starts == sorted(starts)
    assert {leg["uid"] for leg in call.legs} == {call.uid}
    assert call.ended - call.started <= LONGEST_CALL_SECONDS
    for number, leg in enumerate(call.legs[1:], start=1):
        # A leg begins while another has the caller, or just when it hands him on.
        assert leg["timestamp"] <= max(map(end, call.legs[:number]))


@given(any_call)
def test_the_durations_of_a_leg_agree_with_its_disposition(call: SimulatedCall) -> None:
    for leg in call.legs:
        duration, ring, talk = (
            leg.get(name, 0) for name in ("duration", "ring_duration", "talk_duration")
        )
        if leg["disposition"] in ("ANSWERED", "VOICEMAIL"):
            assert duration == ring + talk
            assert talk > 0
        elif leg["disposition"] == "NO ANSWER":
            assert (ring, talk) == (duration, 0)
        else:
            assert (ring, talk) == (0, 0)


@given(any_call)
def test_a_leg_holds_what_the_contract_lists_and_nothing_empty(call: SimulatedCall) -> None:
    places = {name: place for place, name in enumerate(FIELDS)}
    for leg in call.legs:
        assert all(leg.values())
        assert [places[name] for name in leg] == sorted(places[name] for name in leg)
        assert leg["call_type"] in CALL_TYPES
        assert leg["disposition"] in DISPOSITIONS or call.scenario == "unknown-disposition"
        assert {leg.get("src_trunk"), leg.get("dst_trunk")} <= {None, *BERLIN.trunks}
        assert len(leg["reason"].split(" ")) == 6
        assert not leg.get("record_file") or leg in people(call)


@given(any_call)
def test_a_leg_that_is_over_before_the_call_says_that_it_hands_on(call: SimulatedCall) -> None:
    last = [leg for leg in call.legs if end(leg) == call.ended]

    assert {key(leg) for leg in call.legs} <= HANDS_ON | ENDS
    assert all(key(leg) in HANDS_ON for leg in call.legs if leg not in last)
    assert any(key(leg) in ENDS for leg in last)


@given(any_call)
def test_the_truth_is_one_of_those_there_are(call: SimulatedCall) -> None:
    truth = call.truth

    assert truth.outcome in OUTCOMES
    row_type = call.legs[0]["call_type"]
    assert (truth.call_type == row_type) is (call.scenario not in PASSED_THROUGH)
    assert truth.trunk in BERLIN.trunks or truth == truth._replace(
        trunk="none", call_type="Internal"
    )
    assert truth.did == call.legs[0].get("did_number", "")
    assert bool(truth.destination) == any("dst_trunk" in leg for leg in call.legs)
    assert {outcome for _, outcome in truth.queues} <= set(QUEUE_OUTCOMES)
    assert [f"Queue {BERLIN.queues[number]}<{number}>" for number, _ in truth.queues] == [
        leg["call_to"] for leg in call.legs if leg["call_to"].startswith("Queue")
    ]


@given(any_call)
def test_no_truth_contradicts_its_legs(call: SimulatedCall) -> None:
    ends = {leg["disposition"] for leg in call.legs}
    answered = any(leg["disposition"] == "ANSWERED" for leg in people(call))
    played = call.scenario in PLAYED

    assert (call.truth.outcome == "answered") is (answered and not played)
    if not answered:
        expected = {
            "voicemail": {"VOICEMAIL"},
            "no_answer": {"NO ANSWER"},
            "busy": {"BUSY", "NO ANSWER"},
            "blocked": {"NO ANSWER"},
            "failed": {"FAILED"},
            "machine": {"ANSWERED", "NO ANSWER"},
            "unknown": {"CONGESTION"},
        }[call.truth.outcome]
        assert expected & ends
        assert call.truth.outcome != "machine" or played or ends == {"ANSWERED"}


def test_every_outcome_comes_about() -> None:
    assert {scenario.outcome for scenario in SCENARIOS.values()} == set(OUTCOMES)


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_chance_makes_a_call_longer_than_the_longest(name: str) -> None:
    phases = SCENARIOS[name].phases.split()

    assert sum(PHASES[phase].most for phase in phases) <= LONGEST_CALL_SECONDS


@pytest.mark.parametrize(
    ("name", "outcome", "callees"),
    [
        ("ivr-only", "machine", "IVR"),
        ("ivr-queue-answered", "answered", "IVR Queue desk"),
        ("queue-answered", "answered", "Queue desk"),
        ("queue-abandoned", "no_answer", "IVR Queue"),
        ("queue-survey", "answered", "IVR IVR Play Queue desk Satisfaction"),
        ("queue-voicemail", "voicemail", "IVR Queue Voicemail"),
        ("queue-overflow", "answered", "IVR Queue Queue desk"),
        ("ring-group-answered", "answered", "RingGroup desk"),
        ("ring-group-missed", "no_answer", "RingGroup desk desk desk"),
        ("ring-group-voicemail", "voicemail", "RingGroup Voicemail"),
        ("inbound-voicemail", "voicemail", "Voicemail"),
        ("blind-transfer", "answered", "desk desk"),
        ("attended-transfer", "answered", "desk desk desk"),
        ("forwarded-out", "answered", "desk outside"),
        ("outbound-retried", "answered", "outside outside"),
        ("internal-answered", "answered", "desk"),
        ("conference", "answered", "Conference"),
        ("play-file", "machine", "PlayFile"),
        ("passed-through", "answered", "outside"),
        ("passed-through-missed", "no_answer", "outside"),
        ("inbound-engaged", "busy", "desk"),
        ("blocked", "blocked", "desk"),
        ("recording-played", "machine", "desk"),
        ("unknown-disposition", "unknown", "desk"),
    ],
)
def test_the_legs_lead_where_the_scenario_says(name: str, outcome: str, callees: str) -> None:
    call = made(name)

    assert call.truth.outcome == outcome
    assert [sort_of(leg["call_to"]) for leg in call.legs] == callees.split()


def sort_of(callee: str) -> str:
    if callee.isdecimal():
        return "outside"
    return callee.split()[0] if callee.startswith((*MACHINES, "RingGroup ")) else "desk"


@pytest.mark.parametrize("seed", range(20))
def test_a_queue_says_the_talk_of_its_agent_again_and_waits_until_he_answers(seed: int) -> None:
    call = made("ivr-queue-answered", seed)
    menu, queue, agent = call.legs

    assert end(menu) == queue["timestamp"] <= agent["timestamp"]
    assert queue["talk_duration"] == agent["talk_duration"]
    assert end(queue) == end(agent) == call.ended


@pytest.mark.parametrize("seed", range(20))
def test_a_call_forwarded_out_counts_under_the_trunk_it_came_in_by(seed: int) -> None:
    call = made("forwarded-out", seed)
    came, went = call.legs

    assert (came["disposition"], came["call_type"], key(came)) == (
        ("NO ANSWER", "Inbound", "forwarded")
    )
    assert (went["disposition"], went["call_type"]) == ("ANSWERED", "Outbound")
    assert went["src_trunk"] == came["src_trunk"] != went["dst_trunk"]
    assert (call.truth.call_type, call.truth.trunk) == ("Inbound", came["src_trunk"])


@pytest.mark.parametrize("seed", range(20))
def test_an_outbound_call_tried_again_counts_under_the_trunk_it_was_answered_on(seed: int) -> None:
    call = made("outbound-retried", seed)
    failed, answered = call.legs

    assert (failed["disposition"], key(failed)) == ("FAILED", "redirected")
    assert failed["call_to"] == answered["call_to"]
    assert failed["dst_trunk"] != answered["dst_trunk"] == call.truth.trunk


def test_in_an_attended_transfer_the_first_desk_asks_while_the_caller_holds() -> None:
    first, consult, second = made("attended-transfer").legs

    assert (consult["call_type"], consult["call_from"]) == ("Internal", first["call_to"])
    assert consult["call_to"] == second["call_to"] != first["call_to"]
    assert first["timestamp"] < consult["timestamp"]
    assert end(first) == end(consult) == second["timestamp"]
    assert second["call_from"] == first["call_from"]


def test_an_unknown_scenario_is_refused_and_the_known_ones_named(pbx: SimulatedPBX) -> None:
    with pytest.raises(ValueError, match=r"'nothing' is none of inbound-answered, .*queue-survey"):
        pbx.office.whole_calls(1, "nothing")


# The office's calls.


def test_the_office_makes_the_scenarios_by_their_shares() -> None:
    rng = Random(1)
    drawn = Counter(any_scenario(rng) for _ in range(100_000))
    types = Counter[str]()
    for name, count in drawn.items():
        types[SCENARIOS[name].call_type] += count
    legs = sum(len(SCENARIOS[name].legs) * count for name, count in drawn.items())

    assert drawn.keys() == SCENARIOS.keys() - {"unknown-disposition"}
    assert [types[name] / 1000 for name in CALL_TYPES] == pytest.approx([55, 30, 15], abs=1)
    assert legs / 100_000 == pytest.approx(LEGS_A_CALL, rel=0.02)
    assert pytest.approx(1.8, abs=0.1) == LEGS_A_CALL


def test_an_office_of_single_legs_has_the_same_call_types() -> None:
    rng = Random(1)
    drawn = [SCENARIOS[direct_scenario(rng)] for _ in range(20_000)]
    types = Counter(each.call_type for each in drawn)

    assert {len(each.legs) for each in drawn} == {1}
    assert [types[name] / 200 for name in CALL_TYPES] == pytest.approx([55, 30, 15], abs=1.5)


def test_no_two_calls_have_one_uid(clock: SettableClock) -> None:
    pbx = SimulatedPBX(OfficeSettings(rate=500), clock=clock, days=1 / 96)
    whole = Counter(pbx.expected.outcomes()).total()
    pbx.office.calls(4000)
    pbx.office.whole_calls(2000)
    for _ in range(100):
        pbx.office.call()

    assert whole > 2000
    assert len(legs_of(pbx)) == whole + 6100


@pytest.mark.parametrize("multi_leg", [True, False])
def test_history_and_live_calls_are_of_several_legs_unless_turned_off(
    clock: SettableClock, multi_leg: bool
) -> None:
    pbx = SimulatedPBX(OfficeSettings(multi_leg=multi_leg), clock=clock, days=1)
    history = len(pbx.table)
    clock.now += 3600
    live = pbx.office.tick()
    most = {
        max(len(legs) for legs in legs_of(pbx).values() if legs[0]["id"] in ids)
        for ids in (range(1, history + 1), live)
    }

    assert live
    assert (most == {1}) is not multi_leg


def test_calls_are_rows_whatever_the_office_does(pbx: SimulatedPBX) -> None:
    assert pbx.office.calls(100) == [*range(1, 101)]
    assert {len(legs) for legs in legs_of(pbx).values()} == {1}
    assert len(pbx.office.hold_back(5)) == 5


# When legs appear.


def test_a_way_to_appear_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="'sometimes' is none of at_call_end, one_by_one"):
        SimulatedPBX(OfficeSettings(legs_appear="sometimes"))


def after_traffic(
    clock: SettableClock, way: str, step: float, seconds: float
) -> tuple[SimulatedPBX, dict[int, float]]:
    """Return a PBX after *seconds* of busy traffic, and when each row appeared."""
    pbx = SimulatedPBX(OfficeSettings(legs_appear=way, rate=10), clock=clock)
    appeared: dict[int, float] = {}
    while clock.now < NOW + seconds:
        clock.now += step
        appeared |= {key: clock.now for key in pbx.office.tick() if isinstance(key, int)}
    return pbx, appeared


@pytest.mark.parametrize("step", [0.75, 7.0, 1800.0], ids=lambda step: f"{step}s")
@pytest.mark.parametrize("way", LEGS_APPEAR)
def test_each_leg_appears_at_its_end_or_at_the_end_of_its_call(
    clock: SettableClock, way: str, step: float
) -> None:
    pbx, appeared = after_traffic(clock, way, step, min(3600, 1200 * step))
    calls = legs_of(pbx)
    if way == "one_by_one":  # a call that is not over has not shown all its legs
        assert pbx.state()["open_calls"] > 0
    for legs in calls.values():
        whole = max(map(end, legs))
        for leg in legs:
            due = whole if way == "at_call_end" else end(leg)
            assert due <= appeared[leg["id"]] < due + step

    assert len(calls) < len(appeared) == len(pbx.table)


@pytest.mark.parametrize("way", LEGS_APPEAR)
def test_ids_follow_the_order_in_which_legs_appear(clock: SettableClock, way: str) -> None:
    pbx, _ = after_traffic(clock, way, 60.0, 1800)
    calls = legs_of(pbx)
    ends = [end(row) for row in pbx.table]
    if way == "one_by_one":
        assert ends == sorted(ends)
        return
    assert ends != sorted(ends)
    for legs in calls.values():
        ids = [leg["id"] for leg in legs]
        assert ids == list(range(ids[0], ids[0] + len(ids)))
        starts = [leg["timestamp"] for leg in legs]
        assert starts == sorted(starts)


def test_both_ways_show_the_same_rows_in_the_end() -> None:
    shown = []
    for way in LEGS_APPEAR:
        pbx, _ = after_traffic(SettableClock(), way, 30.0, 1800 + LONGEST_CALL_SECONDS)
        began = [row for row in pbx.table if NOW <= int(row["timestamp"]) < NOW + 1800]
        calls = {row["uid"] for row in began if row["uid"] >= "20260302100000"}
        legs = [
            tuple((name, row[name]) for name in row if name != "id")
            for row in pbx.table
            if row["uid"] in calls
        ]
        shown.append(sorted(legs))

    assert shown[0] == shown[1]
    assert len(shown[0]) > 200


@pytest.mark.parametrize("floor", [0.0, 20.0], ids=["as-before", "more-calls"])
def test_the_calls_that_the_history_leaves_open_are_completed_as_time_passes(
    clock: SettableClock, floor: float
) -> None:
    pbx = SimulatedPBX(
        OfficeSettings(rate=10, min_calls_per_minute=floor, legs_appear="one_by_one"),
        clock=clock,
        days=0.25,
    )
    history = {row["uid"] for row in pbx.table}
    opened = pbx.state()["open_calls"]
    clock.now += LONGEST_CALL_SECONDS
    pbx.office.tick()
    began = Traffic(1, rate=10).calls(NOW - DAY, NOW, lambda call: call.started)
    whole = {call.uid: len(call.legs) for call in began}
    shown = legs_of(pbx)

    assert opened > 0
    assert {uid: len(shown[uid]) for uid in history} == {uid: whole[uid] for uid in history}


def test_a_call_begun_shows_its_legs_as_the_clock_passes(
    clock: SettableClock, steer: Steer
) -> None:
    pbx = quiet_pbx(clock, legs_appear="one_by_one")
    instants = pbx.office.begin_call("queue-survey")
    seen: list[tuple[int, int, int]] = []
    for instant in sorted(set(instants)):
        clock.now = instant - 1
        assert pbx.office.tick() == []
        clock.now = instant
        shown = len(pbx.office.tick())
        seen.append((shown, pbx.state()["open_calls"], Counter(pbx.expected.outcomes()).total()))

    assert seen == [(1, 1, 0), (1, 1, 0), (1, 1, 0), (2, 1, 0), (1, 0, 1)]
    assert [end(row) for row in pbx.table] == instants
    assert pbx.table[1]["timestamp"] == NOW


def test_a_call_begun_shows_all_its_legs_when_it_ends(clock: SettableClock) -> None:
    pbx = quiet_pbx(clock)
    instants = pbx.office.begin_call("queue-survey")
    clock.now = instants[0] - 1
    assert pbx.office.tick() == []
    assert pbx.state()["open_calls"] == 0
    clock.now = instants[0]

    assert instants == [instants[0]] * 6
    assert pbx.office.tick() == [1, 2, 3, 4, 5, 6]
    assert pbx.state()["open_calls"] == 0


@pytest.mark.parametrize("way", LEGS_APPEAR)
def test_whole_calls_end_over_the_time_asked_for(clock: SettableClock, way: str) -> None:
    pbx = quiet_pbx(clock, legs_appear=way)
    keys = pbx.office.whole_calls(10, "queue-survey", over_seconds=1000)
    ends = sorted(max(map(end, legs)) for legs in legs_of(pbx).values())

    assert keys == list(range(1, 61))
    assert ends == [NOW - 900 + 100 * number for number in range(10)]
    assert pbx.state()["open_calls"] == 0


# The events, by method and by control.


def test_whole_calls_come_at_once(pbx: SimulatedPBX, user: APIUser, steer: Steer) -> None:
    assert steer("whole_calls", count=5, scenario="queue-abandoned", over_seconds=0) == (
        list(range(1, 11))
    )
    assert [row["disposition"] for row in user.rows(order_by="asc")] == (
        ["ANSWERED", "NO ANSWER"] * 5
    )
    assert Counter(pbx.expected.outcomes()).total() == 5
    assert len(steer("whole_calls", count=30)) > 30


def test_a_call_begins_by_name(pbx: SimulatedPBX, clock: SettableClock, steer: Steer) -> None:
    instants = steer("begin_call", scenario="ivr-only")

    assert len(instants) == 1
    assert instants[0] > NOW
    assert instants == sorted(instants)
    assert len(steer("begin_call")) >= 1


def test_the_legs_of_a_call_can_be_held_back_and_come_one_after_the_other(
    pbx: SimulatedPBX, steer: Steer
) -> None:
    keys = steer("hold_back", scenario="ivr-queue-answered")
    later = pbx.office.call()["id"]
    seen = []
    for key in keys:
        steer("release", keys=[key])
        seen.append((len(pbx.table), pbx.state()["open_calls"], len(pbx.expected.outcomes())))

    assert (keys, later) == ([1, 2, 3], 4)
    assert seen == [(2, 1, 0), (3, 1, 0), (4, 0, 1)]


def test_a_held_call_is_of_a_scenario_or_of_fields(pbx: SimulatedPBX) -> None:
    with pytest.raises(ValueError, match="either"):
        pbx.office.hold_back(scenario="ivr-only", disposition="BUSY")


def test_the_legs_of_a_call_have_one_uid_whatever_the_clock_says(
    clock: SettableClock, steer: Steer
) -> None:
    pbx = quiet_pbx(clock, legs_appear="one_by_one", utc_offset_seconds=7200)
    pbx.maintenance.set_clock(-DAY)
    pbx.office.begin_call("queue-survey")
    pbx.maintenance.set_clock(+DAY)
    clock.now += LONGEST_CALL_SECONDS
    pbx.office.tick()
    (legs,) = legs_of(pbx).values()

    assert legs[0]["uid"].startswith("20260301120000")
    assert legs[0]["timestamp"] == NOW - DAY
    assert all(leg["timestamp"] < NOW for leg in legs)
    assert Counter(pbx.expected.outcomes()).total() == 1


def test_the_legs_of_a_call_share_half_a_new_id(pbx: SimulatedPBX) -> None:
    pbx.maintenance.upgrade()
    pbx.office.whole_calls(3, "queue-survey")
    halves = {(row["uid"], row["new_id"].split("-")[0]) for row in pbx.table}

    assert len(halves) == 3
    assert Counter(pbx.expected.outcomes()).total() == 3


# The expected counts.


def recounted(truths: list[CallTruth]) -> dict[tuple[str, str, str], int]:
    return dict(Counter(truth[:3] for truth in truths))


@pytest.mark.parametrize("way", LEGS_APPEAR)
def test_the_calls_counted_are_those_that_were_made(clock: SettableClock, way: str) -> None:
    pbx = SimulatedPBX(OfficeSettings(legs_appear=way), clock=clock, days=2)
    for _ in range(100):
        clock.now += 60
        pbx.office.tick()
    made = Traffic(1).calls(
        NOW - 2 * DAY - LONGEST_CALL_SECONDS, clock.now, lambda call: call.ended
    )
    legs = legs_of(pbx)
    complete = [call for call in made if len(legs.get(call.uid, ())) == len(call.legs)]

    assert pbx.expected.outcomes() == recounted([call.truth for call in complete])
    assert pbx.state()["open_calls"] == len(legs) - len(complete)
    assert sum(pbx.expected.ever().values()) == sum(map(len, legs.values()))


def test_the_state_lists_the_calls_and_where_they_came_to(pbx: SimulatedPBX) -> None:
    pbx.office.whole_calls(20, "queue-abandoned")
    pbx.office.whole_calls(10, "queue-overflow")
    pbx.office.whole_calls(30, "outbound-retried")
    pbx.office.whole_calls(7, "internal-busy")
    state = pbx.state()
    totals = {
        name: Counter[str]() for name in ("calls", "did_calls", "queue_calls", "destination_calls")
    }
    for name, counted in totals.items():
        for each in state[name]:
            counted[each["outcome"]] += each["count"]

    assert totals["calls"] == {"no_answer": 20, "answered": 40, "busy": 7}
    assert totals["did_calls"] == {"no_answer": 20, "answered": 10}
    assert totals["queue_calls"] == {"no_answer": 20, "passed_on": 10, "answered": 10}
    assert totals["destination_calls"] == {"answered": 30}
    assert {each["queue"] for each in state["queue_calls"]} == set(BERLIN.queues)
    assert {each["destination"] for each in state["destination_calls"]} == (
        {"national", "international"}
    )
    assert [each for each in state["calls"] if each["call_type"] == "Internal"] == [
        {"outcome": "busy", "call_type": "Internal", "trunk": "none", "count": 7}
    ]


def test_what_goes_or_comes_back_changes_no_count_of_calls(pbx: SimulatedPBX) -> None:
    pbx.office.whole_calls(5, "queue-survey")
    backup = pbx.maintenance.snapshot()
    counted = pbx.expected.outcomes()
    pbx.maintenance.delete_oldest(8)
    pbx.maintenance.restore(backup)
    pbx.maintenance.limit(3)
    pbx.maintenance.change(30, disposition="BUSY")
    pbx.maintenance.factory_reset()

    assert pbx.expected.outcomes() == counted
    assert Counter(counted).total() == 5


def test_the_clean_up_takes_legs_of_calls_that_were_counted(pbx: SimulatedPBX) -> None:
    pbx.maintenance.limit(4)
    pbx.office.whole_calls(5, "queue-survey")

    assert len(pbx.table) == 4
    assert Counter(pbx.expected.outcomes()).total() == 5


def test_a_call_that_loses_a_leg_before_it_appeared_stays_open(pbx: SimulatedPBX) -> None:
    backup = pbx.maintenance.snapshot()
    first, *_ = pbx.office.hold_back(scenario="queue-abandoned")
    pbx.office.release([first])
    pbx.maintenance.restore(backup)
    pbx.office.calls(2)

    assert pbx.state()["open_calls"] == 1
    assert Counter(pbx.expected.outcomes()).total() == 2


def test_rows_written_by_hand_are_no_calls_nor_legs_of_one(pbx: SimulatedPBX) -> None:
    first, second = pbx.office.hold_back(scenario="queue-abandoned")
    pbx.office.release([first])
    pbx.office.call(uid=pbx.table[first]["uid"])
    assert (pbx.expected.outcomes(), pbx.state()["open_calls"]) == ({}, 1)

    pbx.office.release([second])
    assert (Counter(pbx.expected.outcomes()).total(), pbx.state()["open_calls"]) == (1, 0)


def test_calls_of_another_pbx_are_not_expected(pbx: SimulatedPBX, user: APIUser) -> None:
    pbx.faults.foreign(rows=50)

    assert len(user.rows()) == 50
    assert pbx.expected.outcomes() == {}
