"""Rows as newer firmware writes and sends them, and the formats of the displayed time."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbx_simulator import OfficeSettings, SimulatedPBX
from pbx_simulator.call_drawing import CallDrawing, place_call
from pbx_simulator.call_writing import as_newer_firmware
from pbx_simulator.directory import BERLIN
from pbx_simulator.firmware import Upgrade
from pbx_simulator.leg_visibility import LEGS_APPEAR
from pbx_simulator.rows import TIME_FORMATS
from pbx_simulator.scenarios import SCENARIOS
from pbx_simulator.truth import end

from .support import NOW, APIUser, SettableClock

SENT = [
    *("time", "call_from", "call_to", "timestamp", "uid", "src_addr", "src_trunk", "duration"),
    *("ring_duration", "talk_duration", "disposition", "call_type", "did_number"),
    *("call_from_number", "call_from_name", "call_to_number", "call_to_name", "call_id"),
    *("call_note", "call_note_id", "enb_call_note", "did", "did_name", "pin_code", "new_id"),
]
"""The fields of an answered inbound row without a recording, as a live PBX sent them."""

TIMES = ("time", "timestamp", "duration", "ring_duration", "talk_duration")
WITH_A_QUEUE = [
    name for name, each in SCENARIOS.items() if {"queue", "desk"} <= {leg.to for leg in each.legs}
]


@pytest.fixture
def newer(clock: SettableClock) -> SimulatedPBX:
    return SimulatedPBX(clock=clock, upgrade=Upgrade())


def one(pbx: SimulatedPBX, **fields: Any) -> Any:
    """Return a row by hand as it is sent."""
    pbx.office.call(**fields)
    return APIUser(pbx).rows()[0]


def queue_and_agent(rows: list[Any]) -> tuple[Any, Any]:
    """Return the row of the queue that answered and that of the agent, the only desk."""
    (queue,) = (
        row
        for row in rows
        if row["call_to"].startswith("Queue ") and row["disposition"] == "ANSWERED"
    )
    (agent,) = (row for row in rows if re.fullmatch(r"[^ ]+ [^ ]+<20\d\d>", row["call_to"]))
    return queue, agent


def test_a_new_row_is_sent_with_all_fields_in_the_order_of_a_live_pbx(newer: SimulatedPBX) -> None:
    row = one(newer)

    assert list(row) == SENT
    assert {name: row[name] for name in SENT[13:-1]} == {
        "call_from_number": "+496990009001",
        "call_from_name": "",
        "call_to_number": "2001",
        "call_to_name": "Ada Ahorn",
        "call_id": row["call_id"],
        "call_note": None,
        "call_note_id": "",
        "enb_call_note": 0,
        "did": "+493023125100",
        "did_name": "",
        "pin_code": "",
    }


def test_legacy_rows_have_the_added_fields_too_after_an_upgrade(
    pbx: SimulatedPBX, user: APIUser
) -> None:
    old = pbx.office.call(call_type="Outbound")
    assert user.rows() == [old]

    pbx.maintenance.upgrade()
    (row,) = user.rows()
    assert list(row) == [*old, *SENT[13:-1]]
    assert {name: row[name] for name in old} == old
    assert (row["did"], row["call_to_number"], row["call_from_name"]) == (
        "",
        "06990009001",
        "Ada Ahorn",
    )


@pytest.mark.parametrize(
    ("shown", "number", "name"),
    [
        ("Ada Ahorn<2001>", "2001", "Ada Ahorn"),
        ("2001<2001>", "2001", "2001"),
        ("+496990009001", "+496990009001", ""),
        ("IVR Welcome<6200>", "6200", "Welcome"),
        ("Queue Support<6400>", "6400", "Support"),
        ("RingGroup Front Desk<6300>", "6300", "Front Desk"),
        ("Voicemail Ada Ahorn<2001>", "2001", "Ada Ahorn"),
        ("Satisfaction Survey", "Satisfaction Survey", ""),
        ("a<b", "a<b", ""),
        (7, "7", ""),
        (None, "", ""),
    ],
)
def test_number_and_name_of_a_party_are_sent_apart(
    newer: SimulatedPBX, shown: object, number: str, name: str
) -> None:
    row = one(newer, call_from=shown, call_to=shown)

    assert (row["call_from_number"], row["call_from_name"]) == (number, name)
    assert (row["call_to_number"], row["call_to_name"]) == (number, name)


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("192.0.2.1", "192.0.2.1:5060"),
        ("192.0.2.1:5080", "192.0.2.1:5080"),
        ("2001:db8::1", "2001:db8::1"),
        ("a phone", "a phone"),
    ],
)
def test_a_source_address_has_a_port(newer: SimulatedPBX, written: str, sent: str) -> None:
    assert one(newer, src_addr=written)["src_addr"] == sent


def test_a_field_that_the_row_has_by_itself_stays(newer: SimulatedPBX) -> None:
    newer.office.call(call_note="asked for Ada", call_to_number=6400)
    user = APIUser(newer)
    (row,) = user.rows()
    assert (row["call_note"], row["call_to_number"]) == ("asked for Ada", 6400)

    newer.maintenance.change(row["new_id"], pin_code="x", did_number=None)
    (changed,) = user.rows()
    assert (changed["pin_code"], changed["did"]) == ("x", "")


def test_a_malformed_row_is_malformed_with_all_its_fields(newer: SimulatedPBX) -> None:
    newer.office.call()
    newer.faults.malform_row("duration-negative")
    (row,) = APIUser(newer).rows()

    assert row["duration"] < 0
    assert "call_to_number" in row


@pytest.mark.parametrize("way", LEGS_APPEAR)
@pytest.mark.parametrize("ahead", [0, -7200])
@pytest.mark.parametrize("name", WITH_A_QUEUE)
def test_the_queues_row_and_the_agents_have_the_same_times_and_recording(
    clock: SettableClock, name: str, ahead: int, way: str
) -> None:
    office = OfficeSettings(rate=0, legs_appear=way, utc_offset_seconds=3600)
    pbx = SimulatedPBX(office, clock=clock, upgrade=Upgrade())
    user, recorded = APIUser(pbx), 0
    pbx.maintenance.set_clock(ahead)
    for _ in range(20):
        keys = pbx.office.whole_calls(1, name)
        rows = [row for row in user.rows() if row["new_id"] in keys]
        queue, agent = queue_and_agent(rows)

        assert [queue[time] for time in TIMES] == [agent[time] for time in TIMES]
        assert queue.get("record_file") == agent.get("record_file")
        assert queue["enb_call_note"] == agent["enb_call_note"] == int("record_file" in queue)
        if "record_file" in queue:
            recorded += 1
            number = agent["call_to_number"]
            assert f"-{queue['call_id']}-" in queue["record_file"]
            assert queue["record_file"].endswith(f"-{number}-Inbound.wav")
    assert 0 < recorded < 20


def test_older_firmware_lets_the_agents_row_begin_when_his_telephone_rings(
    pbx: SimulatedPBX, user: APIUser
) -> None:
    pbx.office.whole_calls(1, "queue-answered")
    queue, agent = queue_and_agent(user.rows())

    assert queue["timestamp"] < agent["timestamp"]
    assert "record_file" not in queue


DRAWING = CallDrawing(BERLIN)

any_call = st.builds(
    lambda name, seed: place_call(DRAWING.draw(Random(seed), name), NOW, 7, 3600),
    st.sampled_from(sorted(SCENARIOS)),
    st.integers(0, 10**6),
)


@given(any_call)
def test_newer_firmware_changes_neither_the_truth_nor_when_a_call_was(call: Any) -> None:
    written = as_newer_firmware(call, 3600)
    starts = [leg["timestamp"] for leg in written.legs]

    if SCENARIOS[call.scenario].without_reason:
        call = call._replace(truth=call.truth._replace(outcome="no_answer"))
    assert written._replace(legs=()) == call._replace(legs=())
    assert [leg["call_to"] for leg in written.legs] == [leg["call_to"] for leg in call.legs]
    assert [end(leg) for leg in written.legs] == [end(leg) for leg in call.legs]
    assert starts == sorted(starts)
    for leg in written.legs:
        parts = leg.get("ring_duration", 0) + leg.get("talk_duration", 0)
        assert leg.get("duration", 0) == parts or leg["disposition"] not in (
            "ANSWERED",
            "VOICEMAIL",
        )


def without_reason(pbx: SimulatedPBX) -> Counter[tuple[str, str, str]]:
    """Return the calls that are expected, but for who was busy or blocked: `reason` tells that."""
    counted: Counter[tuple[str, str, str]] = Counter()
    for (outcome, *labels), count in pbx.expected.outcomes().items():
        lost = outcome in ("no_answer", "busy", "blocked")
        counted["lost" if lost else outcome, labels[0], labels[1]] += count
    return counted


def test_what_is_expected_is_the_same_with_either_firmware(clock: SettableClock) -> None:
    office = OfficeSettings(seed=4, rate=10)
    older = SimulatedPBX(office, clock=clock, days=1)
    newer = SimulatedPBX(office, clock=clock, days=1, upgrade=Upgrade(), upgraded_days=1)

    assert sum(older.expected.outcomes().values()) > 100
    assert without_reason(newer) == without_reason(older)
    assert newer.expected.totals() == newer.expected.ever() == older.expected.totals()


@pytest.mark.parametrize("offset", [0, 3600, -18_000])
def test_the_rows_of_a_call_share_one_call_id_that_begins_with_its_start(
    clock: SettableClock, offset: int
) -> None:
    office = OfficeSettings(rate=0, utc_offset_seconds=offset)
    pbx = SimulatedPBX(office, clock=clock, upgrade=Upgrade())
    pbx.office.whole_calls(1, "queue-survey")
    rows = APIUser(pbx).rows(sort_by="time", order_by="asc")

    assert len(rows) == 6
    assert len({row["call_id"] for row in rows}) == 1
    assert re.fullmatch(rf"{rows[0]['timestamp']}\.\d{{1,3}}", rows[0]["call_id"])


@pytest.mark.parametrize("uid", ["a", "99999999999999AB", None])
def test_a_row_whose_uid_has_no_time_has_its_own_start_in_the_call_id(
    newer: SimulatedPBX, uid: str | None
) -> None:
    assert one(newer, uid=uid, timestamp=NOW)["call_id"].startswith(f"{NOW}.")


# The displayed time.

SHOWN = {
    "MM/DD/YYYY HH:mm:ss": "%m/%d/%Y %H:%M:%S",
    "MM/DD/YYYY hh:mm:ss AM": "%m/%d/%Y %I:%M:%S %p",
    "DD/MM/YYYY HH:mm:ss": "%d/%m/%Y %H:%M:%S",
    "DD/MM/YYYY hh:mm:ss AM": "%d/%m/%Y %I:%M:%S %p",
    "YYYY/MM/DD HH:mm:ss": "%Y/%m/%d %H:%M:%S",
    "YYYY/MM/DD hh:mm:ss AM": "%Y/%m/%d %I:%M:%S %p",
}


def test_the_formats_are_three_orders_of_the_date_and_two_clocks() -> None:
    assert set(TIME_FORMATS) == set(SHOWN)


@pytest.mark.slow
@pytest.mark.parametrize("upgrade", [None, Upgrade()], ids=["older", "newer"])
@pytest.mark.parametrize("time_format", SHOWN)
def test_every_row_displays_its_start_in_the_format_set(
    clock: SettableClock, time_format: str, upgrade: Upgrade | None
) -> None:
    office = OfficeSettings(rate=10, utc_offset_seconds=3600, time_format=time_format)
    pbx = SimulatedPBX(office, clock=clock, days=0.5, upgrade=upgrade)
    pbx.office.call()
    pbx.maintenance.set_clock(1000)
    pbx.office.whole_calls(50)
    pbx.office.begin_call()
    clock.now += 7200
    pbx.office.tick()
    rows = APIUser(pbx).rows()

    assert len(rows) > 100
    for row in rows:
        local = dt.datetime.fromtimestamp(row["timestamp"] + 3600, dt.UTC)
        assert row["time"] == local.strftime(SHOWN[time_format])


@pytest.mark.parametrize(
    ("hour", "shown"),
    [(0, "12:00:00 AM"), (1, "01:00:00 AM"), (12, "12:00:00 PM"), (23, "11:00:00 PM")],
)
def test_noon_and_midnight_are_twelve(clock: SettableClock, hour: int, shown: str) -> None:
    office = OfficeSettings(time_format="DD/MM/YYYY hh:mm:ss AM")
    pbx = SimulatedPBX(office, clock=clock)
    midnight = NOW - NOW % 86_400

    assert pbx.office.call(timestamp=midnight + hour * 3600)["time"] == f"02/03/2026 {shown}"


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ValueError, match="time_format 'ISO' is none of MM/DD/YYYY HH:mm:ss, "):
        OfficeSettings(time_format="ISO")
