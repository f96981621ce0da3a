"""Calls with all their legs, as traces of rows, and the outcome of each."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cdr_exporter.calls import (
    OUTCOMES,
    Call,
    CallGroup,
    CallRules,
    Leg,
    LegClassifier,
    LegTimes,
    QueueVisit,
    assemble_call,
    group_calls,
    group_of_lone_legs,
    with_times_of,
)
from cdr_exporter.cdr import decode

from ..support.call_traces import legs, legs_of, rows
from ..support.paths import PRINTED_ANSWER


def call(trace: str, reading: CallRules | None = None) -> Call:
    return assemble_call(legs(trace, reading))


def expect(
    trace: str,
    outcome: str,
    call_type: str = "Inbound",
    trunk: str = "sip",
    *,
    wait: int | None = None,
    talk: int = 0,
    duration: int,
) -> None:
    """Assert what became of *trace*, in whatever order its rows come."""
    parts = legs(trace)
    for order in (parts, parts[::-1], random.Random(7).sample(parts, len(parts))):
        it = assemble_call(order)
        assert (it.outcome, it.call_type, it.trunk) == (outcome, call_type, trunk)
        assert (it.wait, it.talk, it.duration, it.legs) == (wait, talk, duration, len(parts))


# --- golden calls --------------------------------------------------------------------------------


def test_a_direct_call_that_is_answered() -> None:
    trace = "0  Ada Ahorn<2001>  ANSWERED  6  40  in  sip  hangup"
    expect(trace, "answered", wait=6, talk=40, duration=46)


def test_a_direct_call_that_nobody_takes() -> None:
    trace = "0  Ada Ahorn<2001>  NO ANSWER  25  0  in  sip  hangup"
    expect(trace, "no_answer", duration=25)


def test_a_call_to_a_busy_phone() -> None:
    trace = "0  Ada Ahorn<2001>  BUSY  0  0  in  sip  extension_busy_no_forward"
    expect(trace, "busy", duration=0)


def test_a_call_that_fails() -> None:
    expect("0  0301234567  FAILED  0  0  out  sip", "failed", "Outbound", duration=0)


def test_a_phone_that_rings_out_into_its_voicemail() -> None:
    expect(
        """
        0   Ada Ahorn<2001>            NO ANSWER  20  0   in  sip  timeout_failover
        20  Voicemail Ada Ahorn<2001>  VOICEMAIL  0   31  in  sip  hangup
        """,
        "voicemail",
        duration=51,
    )


def test_a_caller_who_hangs_up_in_the_ivr_met_a_machine_only() -> None:
    expect("0  IVR Main<6200>  ANSWERED  0  17  in  sip  hangup", "machine", duration=17)


def test_a_caller_who_gets_through_ivr_and_queue_to_an_agent() -> None:
    expect(
        """
        0   IVR Main<6200>       ANSWERED  0   20   in  sip  ivr_key_queue
        20  Queue Support<6400>  ANSWERED  15  300  in  sip  connected
        20  Ada Ahorn<2001>      ANSWERED  15  300  in  sip  hangup
        """,
        "answered",
        wait=15,
        talk=300,
        duration=335,
    )


def test_a_caller_who_gives_up_in_the_queue() -> None:
    expect(
        """
        0   IVR Main<6200>       ANSWERED   0   20  in  sip  ivr_key_queue
        20  Queue Support<6400>  NO ANSWER  90  0   in  sip  hangup
        """,
        "no_answer",
        duration=110,
    )


def test_a_survey_after_the_agent_is_not_talk_with_people() -> None:
    expect(
        """
        0    IVR Main<6200>       ANSWERED  0  20   in  sip  ivr_key_queue
        20   Queue Support<6400>  ANSWERED  5  95   in  sip  connected
        20   Ada Ahorn<2001>      ANSWERED  5  95   in  sip  connected
        120  Satisfaction Survey  ANSWERED  0  30   in  sip  hangup
        """,
        "answered",
        wait=5,
        talk=95,
        duration=150,
    )


def test_twenty_seconds_of_ivr_and_thirty_minutes_of_agent() -> None:
    expect(
        """
        0   IVR Main<6200>   ANSWERED  0  20    in  sip  ivr_key_extension
        20  Ada Ahorn<2001>  ANSWERED  4  1800  in  sip  hangup
        """,
        "answered",
        wait=4,
        talk=1800,
        duration=1824,
    )


def test_a_ring_group_of_three_phones_that_one_of_them_takes() -> None:
    expect(
        """
        0  RingGroup Sales<6300>  ANSWERED   8  60  in  sip  connected
        0  Ada Ahorn<2001>        NO ANSWER  8  0   in  sip  extension_answer_elsewhere
        0  Bruno Birke<2002>      ANSWERED   8  60  in  sip  hangup
        0  Clara Distel<2003>     NO ANSWER  8  0   in  sip  extension_answer_elsewhere
        """,
        "answered",
        wait=8,
        talk=60,
        duration=68,
    )


def test_a_ring_group_that_nobody_takes_and_that_goes_to_voicemail() -> None:
    expect(
        """
        0   RingGroup Sales<6300>        NO ANSWER  30  0   in  sip  timeout_failover
        30  Voicemail Sales<6300>        VOICEMAIL  0   12  in  sip  hangup
        """,
        "voicemail",
        duration=42,
    )


def test_a_blind_transfer() -> None:
    expect(
        """
        0   Ada Ahorn<2001>    ANSWERED  5  30  in  sip  blind_transfer
        35  Bruno Birke<2002>  ANSWERED  7  90  in  sip  hangup
        """,
        "answered",
        wait=5,
        talk=120,
        duration=132,
    )


def test_an_attended_transfer_counts_the_consultation_once() -> None:
    expect(
        """
        0   Ada Ahorn<2001>    ANSWERED  5  60  in   sip  attended_transfer_answer
        30  Bruno Birke<2002>  ANSWERED  4  31  int
        65  Bruno Birke<2002>  ANSWERED  0  90  in   sip  hangup
        """,
        "answered",
        wait=5,
        talk=150,
        duration=155,
    )


def test_a_call_forwarded_out_counts_under_the_trunk_by_which_it_came_in() -> None:
    expect(
        """
        0   Ada Ahorn<2001>  NO ANSWER  15  0   in   sip        forwarded
        15  01701234567      ANSWERED   9   45  out  sip>PSTN   hangup
        """,
        "answered",
        wait=24,
        talk=45,
        duration=69,
    )


def test_an_internal_call_has_no_trunk() -> None:
    trace = "0  Ada Ahorn<2001>  ANSWERED  3  20  int"
    expect(trace, "answered", "Internal", "none", wait=3, talk=20, duration=23)


def test_a_conference_is_people_talking() -> None:
    trace = "0  Conference Room<6500>  ANSWERED  1  900  in  sip  hangup"
    expect(trace, "answered", wait=1, talk=900, duration=901)


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        ("extension_busy_no_forward", "busy"),
        ("blacklist", "blocked"),
        ("hangup", "no_answer"),
        ("", "no_answer"),
    ],
)
def test_the_reason_says_who_was_busy_and_who_was_blocked(reason: str, outcome: str) -> None:
    assert call(f"0  Ada<2001>  NO ANSWER  0  0  in  sip  {reason}").outcome == outcome


def test_a_failed_outbound_call_that_another_trunk_completes() -> None:
    expect(
        """
        0  0301234567  FAILED    0  0   out  sip   redirected
        2  0301234567  ANSWERED  9  70  out  PSTN  hangup
        """,
        "answered",
        "Outbound",
        "PSTN",
        wait=11,
        talk=70,
        duration=81,
    )


def test_a_failed_outbound_call_counts_under_the_trunk_that_failed_first() -> None:
    expect(
        """
        0  0301234567  FAILED  0  0  out  sip   redirected
        2  0301234567  FAILED  0  0  out  PSTN
        """,
        "failed",
        "Outbound",
        "sip",
        duration=2,
    )


def test_the_four_rows_of_the_contracts_example_are_four_calls() -> None:
    printed = PRINTED_ANSWER.read_text()
    body = printed[: printed.index(",\n       ... ...")] + "]}"
    found = [assemble_call([leg]) for leg in legs_of(decode(body.encode()).rows)]

    assert [(each.outcome, each.call_type, each.trunk, each.wait, each.talk) for each in found] == [
        ("answered", "Internal", "none", 2, 46),
        ("machine", "Internal", "none", None, 0),
        ("answered", "Outbound", "to28.41", 2, 52),
        ("busy", "Outbound", "peer-to-34", None, 0),
    ]


# --- callees -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("callee", "kind"),
    [
        ("Ada Ahorn<2001>", "person"),
        ("2001", "person"),
        ("", "person"),
        ("IVR Main<6200>", "menu"),
        ("ivr main<6200>", "menu"),
        ("6200<IVR Main>", "menu"),
        ("<6200>IVR Main", "menu"),
        ("IVR Main", "menu"),
        ("IVR2", "menu"),
        ("ivr_6200", "menu"),
        ("6200-IVR Day", "menu"),
        ("6200", "menu"),
        ("Hauptmenü<6200>", "menu"),
        ("Ada <Ahorn> <2001>", "person"),
        ("  Play   Prompt ", "menu"),
        ("PlayFile", "menu"),
        ("play_file", "menu"),
        ("play-file", "menu"),
        ("Queue6400", "queue"),
        ("6400-Queue Sales", "queue"),
        ("Verkauf<6400>", "queue"),
        ("Queue Manager<1051>", "person"),
        ("Ivrea Rossi<2001>", "person"),
        ("Ivrea", "person"),
        ("Queueing Theory", "person"),
        ("RingGroup Sales<6300>", "ring_group"),
        ("Ring Group Sales", "ring_group"),
        ("Conference Room<6500>", "conference"),
        ("Conference Room<1050>", "person"),
        ("Voicemail Ada<2001>", "machine"),
        ("Fax to Email<1001>", "machine"),
        ("Group Voicemail Sales<6100>", "machine"),
        ("Satisfaction Survey", "machine"),
        ("AI Receptionist Front<6800>", "menu"),
        ("Call Flow Day", "menu"),
        ("DISA Road<6901>", "menu"),
        ("Paging Hall<6600>", "machine"),
        ("Parking<6000>", "machine"),
        ("Callback", "machine"),
        ("*97", "machine"),
        ("#901001", "machine"),
        ("64000", "person"),
        ("030-1234567", "person"),
    ],
)
def test_number_and_name_of_a_callee_say_what_it_is(callee: str, kind: str) -> None:
    [row] = rows("0  X  ANSWERED  1  9  in  sip")
    [leg] = legs_of([replace(row, call_to=callee)])

    assert leg.kind == kind


def test_the_field_of_the_number_beats_the_number_in_the_text() -> None:
    [row] = rows("0  X  ANSWERED  1  9  in  sip")
    [leg] = legs_of([replace(row, call_to="Verkauf", call_to_number="6400")])

    assert leg.kind == "queue"


def test_a_name_in_the_field_of_the_number_is_no_number() -> None:
    [row] = rows("0  X  ANSWERED  1  9  in  sip")
    [leg] = legs_of([replace(row, call_to="Verkauf<6400>", call_to_number="Verkauf")])

    assert leg.kind == "queue"


def test_what_leaves_by_a_trunk_went_to_a_person_whatever_it_is_called() -> None:
    [leg] = legs_of(rows("0  Queue Support<6400>  ANSWERED  1  9  out  sip"))

    assert (leg.kind, leg.outcome) == ("person", "answered")


@pytest.mark.parametrize("caller", ["PlayFile", "play_prompt<6200>"])
@pytest.mark.parametrize("disposition", ["ANSWERED", "NO ANSWER", "BUSY"])
def test_who_is_called_to_hear_a_recording_talks_with_a_machine(
    caller: str, disposition: str
) -> None:
    [row] = rows(f"0  Ada<2001>  {disposition}  1  9  int")
    [leg] = legs_of([replace(row, call_from=caller)])

    assert (leg.kind, leg.outcome) == ("machine", "machine")


def test_the_narrowest_range_of_the_number_plan_decides() -> None:
    plan = {
        "extension": (("100", "999"),),
        "queue": (("400", "499"),),
        "machine": (("450", "450"),),
    }
    kinds = [
        legs(f"0  {number}  ANSWERED  1  9  int", CallRules(number_plan=plan))[0].kind
        for number in ("399", "449", "450", "0450", "99")
    ]

    assert kinds == ["person", "queue", "machine", "person", "person"]


def test_a_number_that_the_user_named_as_a_queue_is_one() -> None:
    it = call("0  Verkauf<8400>  NO ANSWER  9  0  in  sip", CallRules(queues={"8400": "sales"}))

    assert [(visit.queue, visit.outcome) for visit in it.queues] == [("sales", "no_answer")]


def test_the_users_machines_are_added_to_the_built_in_ones() -> None:
    more = CallRules(machines=("Door Opener",))

    assert call("0  door_opener 2  ANSWERED  0  17  int", more).outcome == "machine"
    assert call("0  IVR Main  ANSWERED  0  17  int", more).outcome == "machine"
    assert call("0  Door Opener 2  ANSWERED  0  17  int").outcome == "answered"


@pytest.mark.parametrize(
    ("callee", "disposition", "doubt"),
    [
        ("201", "ANSWERED", "neither"),
        ("201", "NO ANSWER", ""),
        ("Ada", "ANSWERED", "neither"),
        ("Ada<2001>", "ANSWERED", ""),
        ("Queue Sales<5000>", "ANSWERED", "conflict"),
        ("Queue Sales<5000>", "NO ANSWER", "conflict"),
        ("Conference Room<1050>", "ANSWERED", ""),
        ("Voicemail Ada<2001>", "ANSWERED", ""),
        ("*97", "ANSWERED", ""),
    ],
)
def test_a_callee_that_is_not_recognised_is_told(callee: str, disposition: str, doubt: str) -> None:
    [row] = rows(f"0  X  {disposition}  1  9  in  sip")
    row = replace(row, call_to=callee)

    assert LegClassifier(CallRules()).kind_of(row).doubt == doubt


def test_rows_of_one_kind_come_together_whatever_numbers_and_names_they_have() -> None:
    trace = """
        0   Ada<2001>         ANSWERED   1  9  in  sip
        9   Ben<2002>         ANSWERED   4  5  in  sip
        20  IVR Main<6200>    ANSWERED   1  9  in  sip
        30  Cem<2003>         ANSWERED   1  9  in  gsm
        40  Ben<2002>         NO ANSWER  1  0  in  sip
        """
    each = [replace(row, call_from=f"0{n}0") for n, row in enumerate(rows(trace))]
    classifier = LegClassifier(CallRules())

    groups = classifier.by_kind(each)

    assert [list(group.rows) for group in groups] == [each[:2], each[2:3], each[3:4], each[4:]]
    for kind, alike in groups:
        assert [with_times_of(row, kind.leg) for row in alike] == list(
            map(LegClassifier(CallRules()).classify, alike)
        )


@pytest.mark.parametrize(
    ("trace", "outcome"),
    [
        ("0  RingGroup Sales<6300>  ANSWERED  5  0  in  sip", "no_answer"),
        ("0  RingGroup Sales<6300>  ANSWERED  5  9  in  sip", "answered"),
        ("0  Queue Sales<6400>  ANSWERED  5  9  in  sip", "no_answer"),
    ],
    ids=["group-without-talk", "group-with-talk", "queue"],
)
def test_a_ring_group_talks_by_itself_where_no_member_has_a_row(trace: str, outcome: str) -> None:
    assert call(trace).outcome == outcome


# --- what holds of any call ----------------------------------------------------------------------

_seconds = st.integers(0, 400)
any_leg = st.builds(
    Leg,
    started_at=st.sampled_from([0, *range(1000, 1010)]) | st.integers(1000, 3000),
    outcome=st.sampled_from(OUTCOMES),
    call_type=st.sampled_from(["Inbound", "Outbound", "Internal", "Other"]),
    trunk=st.sampled_from(["none", "sip", "PSTN"]),
    duration=_seconds,
    ring=_seconds,
    talk=_seconds,
    kind=st.sampled_from(["person", "menu", "machine", "queue", "conference"]),
    came_in_by=st.sampled_from(["", "sip"]),
    did=st.sampled_from(["", "sales", "other"]),
    queue=st.sampled_from(["", "support", "other"]),
    destination=st.sampled_from(["", "premium", "other"]),
)


times = st.lists(st.tuples(*[st.integers(1, 90)] * 4), min_size=1, max_size=5)


@pytest.mark.fault("H1")
@given(any_leg, times)
def test_calls_of_one_leg_each_are_together_what_they_are_one_by_one(
    leg: Leg, each: list[tuple[int, int, int, int]]
) -> None:
    like = replace(leg, queue="", destination="", emergency=False)
    alone = [
        replace(like, started_at=start, duration=duration, ring=ring, talk=talk)
        for start, duration, ring, talk in each
    ]
    columns = LegTimes(*map(list, zip(*each, strict=True)))
    [group] = group_calls(assemble_call([leg]) for leg in alone)

    assert as_lists(group_of_lone_legs(like, columns)) == as_lists(group)


def as_lists(group: CallGroup) -> list[Any]:
    return [list(each) if not isinstance(each, str) else each for each in group]


@given(st.lists(any_leg, min_size=1, max_size=7), st.randoms(use_true_random=False))
def test_the_order_in_which_legs_come_decides_nothing(
    parts: list[Leg], chance: random.Random
) -> None:
    shuffled = parts[:]
    chance.shuffle(shuffled)

    assert assemble_call(shuffled)._replace(queues=()) == assemble_call(parts)._replace(queues=())
    assert sorted(assemble_call(shuffled).queues) == sorted(assemble_call(parts).queues)


@pytest.mark.fault("H9")
@given(st.lists(any_leg, min_size=1, max_size=7))
def test_a_call_is_made_of_its_legs(parts: list[Leg]) -> None:
    it = assemble_call(parts)

    assert it.outcome in {leg.outcome for leg in parts}
    assert it.trunk in {leg.trunk for leg in parts} | {leg.came_in_by for leg in parts}
    assert it.legs == len(parts)
    assert it.duration >= max(leg.duration for leg in parts)
    assert it.talk <= sum(leg.talk for leg in parts)
    assert (it.wait is None) == (it.outcome != "answered")
    if it.wait is None:
        assert it.talk == 0


@given(any_leg, st.lists(any_leg, max_size=5))
def test_another_leg_never_makes_the_outcome_weaker(one: Leg, parts: list[Leg]) -> None:
    before, after = (OUTCOMES.index(assemble_call(each).outcome) for each in ([one], [one, *parts]))

    assert after <= before


# --- own numbers ---------------------------------------------------------------------------------

NUMBERS = CallRules(
    dids={"+49305551": "sales", "+49305552": "sales", "+49305553": "support"},
    queues={"6400": "support"},
    destinations={"premium": ("0900", "+4990"), "abroad": ("00", "+"), "home": ("+49",)},
)


@pytest.mark.parametrize(
    ("trace", "did"),
    [
        ("0  Ada<2001>  ANSWERED  1  9  in  sip  did=+49305552", "sales"),
        ("0  Ada<2001>  ANSWERED  1  9  in  sip  did=+49305559", "other"),
        ("0  Ada<2001>  ANSWERED  1  9  in  sip", "other"),
        ("0  0301234  ANSWERED  1  9  out  sip", ""),
        ("0  Ada<2001>  ANSWERED  1  9  int", ""),
    ],
    ids=["named", "not-named", "not-said", "outbound", "internal"],
)
def test_an_inbound_call_has_the_label_of_the_number_that_was_dialled(trace: str, did: str) -> None:
    assert call(trace, NUMBERS).did == did


def test_a_leg_with_an_unnamed_number_does_not_hide_one_with_a_named_number() -> None:
    trace = """
        0  IVR Main<6200>  ANSWERED  0  9  in  sip
        9  Ada<2001>       ANSWERED  1  9  in  sip  did=+49305553
        """
    assert call(trace, NUMBERS).did == "support"


def test_each_visit_to_a_queue_counts() -> None:
    trace = """
        0   Queue Support<6400>  NO ANSWER  20  0  in  sip  timeout_failover
        20  Queue Sales<6401>    NO ANSWER  20  0  in  sip  timeout_failover
        40  Queue Support<6400>  NO ANSWER  20  0  in  sip  hangup
        """
    assert call(trace, NUMBERS).queues == (
        QueueVisit("support", "passed_on"),
        QueueVisit("other", "passed_on"),
        QueueVisit("support", "no_answer", abandon=20),
    )


@pytest.mark.parametrize(
    ("dialled", "destination"),
    [
        ("0900123", "premium"),
        ("+49 90 123", "premium"),
        ("+49 (30) 123-4", "home"),
        ("0033123", "abroad"),
        ("+33123", "abroad"),
        ("0301234", "other"),
        ("Hotline<0900123>", "premium"),
        ("", "other"),
    ],
)
def test_the_longest_prefix_of_the_number_dialled_decides_its_destination(
    dialled: str, destination: str
) -> None:
    [row] = rows("0  X  ANSWERED  1  9  out  sip")
    [leg] = legs_of([replace(row, call_to=dialled)], NUMBERS)

    assert dict(assemble_call([leg]).talk_by_destination) == {destination: 9}


def test_a_call_that_is_forwarded_out_has_a_destination_and_one_that_comes_in_has_none() -> None:
    trace = """
        0   Ada<2001>  NO ANSWER  15  0   in   sip       forwarded
        15  0900123    ANSWERED   9   45  out  sip>PSTN  hangup
        """
    assert dict(call(trace, NUMBERS).talk_by_destination) == {"premium": 45}
    assert call("0  Ada<2001>  ANSWERED  1  9  in  sip", NUMBERS).talk_by_destination == {}


def test_tries_of_one_number_over_two_trunks_are_one_call_to_its_destination() -> None:
    trace = """
        0  0900123  FAILED    0  0   out  sip   redirected
        2  0900123  ANSWERED  9  70  out  PSTN  hangup
        """
    assert dict(call(trace, NUMBERS).talk_by_destination) == {"premium": 70}


def test_nothing_is_labelled_where_no_number_is_named() -> None:
    it = call("0  Queue Support<6400>  NO ANSWER  20  0  in  sip  did=+49305551")
    assert (it.did, it.queues) == ("", ())
    assert call("0  0900123  ANSWERED  1  9  out  sip").talk_by_destination == {}


def test_a_leg_keeps_no_name_and_no_number_of_a_person() -> None:
    [row] = rows("0  Ada Ahorn<2001>  ANSWERED  1  9  in  sip  did=+49305551")
    secret = {"call_from": "Erika Muster<+4930999>", "src_addr": "192.0.2.77", "dod_number": "77"}
    [leg] = legs_of([replace(row, **secret)], NUMBERS)

    for word in ("Ada", "2001", "Erika", "4930999", "192.0.2.77", "+49305551"):
        assert word not in repr(leg)


# --- whether a leg hands the call on -------------------------------------------------------------


@pytest.mark.parametrize(
    ("trace", "another_may_follow"),
    [
        ("0  IVR Main<6200>   ANSWERED   0  9  in  sip  ivr_key_queue", True),
        ("0  IVR Main<6200>   ANSWERED   0  9  in  sip", True),
        ("0  IVR Main<6200>   ANSWERED   0  9  in  sip  hangup", False),
        ("0  IVR Main<6200>   ANSWERED   0  9  in  sip  ivr_key_hangup", False),
        ("0  Queue Q<6400>    ANSWERED   0  9  in  sip  connected", True),
        ("0  Ada<2001>        NO ANSWER  9  0  in  sip  timeout_failover", True),
        ("0  Ada<2001>        NO ANSWER  9  0  in  sip  forwarded", True),
        ("0  Ada<2001>        NO ANSWER  9  0  in  sip  hangup", False),
        ("0  Ada<2001>        NO ANSWER  9  0  in  sip", False),
        ("0  Voicemail A<1>   VOICEMAIL  0  9  in  sip", False),
        ("0  0301             FAILED     0  0  out  sip  redirected", True),
        ("0  0301             FAILED     0  0  out  sip", False),
    ],
)
def test_the_reason_decides_whether_another_leg_may_follow(
    trace: str, another_may_follow: bool
) -> None:
    assert [leg.another_may_follow for leg in legs(trace)] == [another_may_follow]
