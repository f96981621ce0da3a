"""When a call began, from its uid."""

from __future__ import annotations

import pytest

from cdr_exporter.calls import UIDTime
from cdr_exporter.cdr import Record

NOON = 1_700_136_000
"""2023-11-16 12:00:00 UTC."""


def leg(uid: str, started_at: int) -> Record:
    return Record(uid=uid, started_at=started_at)


def learnt(*legs: Record) -> UIDTime:
    return UIDTime().learnt_from(legs)


@pytest.mark.parametrize(
    ("uid", "offset"),
    [
        pytest.param("20231116120000A1B2C", 0, id="utc"),
        pytest.param("20231116130000A1B2C", 3600, id="an-hour-ahead"),
        pytest.param("20231116053000A1B2C", -23_400, id="hours-and-a-half-behind"),
    ],
)
def test_a_call_began_when_its_uid_says_by_the_clock_of_other_calls(uid: str, offset: int) -> None:
    # The later leg of another call tells nothing.
    it = learnt(leg(uid, NOON), leg(uid, NOON + 37))

    assert it.started_at(uid, NOON + 500) == NOON


def test_a_call_never_began_after_its_earliest_known_leg() -> None:
    it = learnt(leg("20231116120000A", NOON))

    assert it.started_at("20231116120500B", NOON + 60) == NOON + 60


@pytest.mark.parametrize(
    "uid", ["", "a call", "20231316120000A", "20230016120000", "2023111612", "20231116१२0000A"]
)
def test_a_uid_that_begins_otherwise_tells_nothing(uid: str) -> None:
    it = learnt(leg("20231116120000A", NOON), leg(uid, NOON))

    assert it.started_at(uid, NOON + 7) == NOON + 7


def test_until_a_first_leg_was_seen_the_earliest_known_leg_tells() -> None:
    assert learnt().started_at("20231116120000A", NOON + 7) == NOON + 7
