"""How soon troubles of offices with random calls are told, and that weeks without are silent."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from ..support.alerts_of_offices import DAY, WEEK, Judged, Suffered, judged
from ..support.prometheus_rules import ALERTS

OUT_OF_HOURS = {"CDROutboundTalkOutOfHours", "CDROutboundOutOfHours"}


class Promise(NamedTuple):
    """By which alerts a trouble is told, and within how many minutes at 20 and at 250 calls a day.

    *keeps* is the least part of the time from then to its end in which one of them fires, *ends*
    within how many minutes after it is seen to be over the last has ended; both at 20 and at 250.
    """

    alerts: set[str]
    told: tuple[int, int]
    keeps: tuple[float, float]
    ends: tuple[int, int]


TROUBLES = {
    "dead trunk": Promise({"CDRTrunkFailures"}, (540, 60), (0.4, 0.6), (40, 80)),
    "menu": Promise({"CDRMachineOnlyRose", "CDRNobodyAnswers"}, (450, 70), (0.3, 1), (330, 90)),
    "nobody answers": Promise({"CDRNobodyAnswers"}, (500, 120), (0.15, 1), (40, 60)),
    "voicemail": Promise({"CDRVoicemailRose", "CDRNobodyAnswers"}, (560, 80), (0.15, 1), (90, 140)),
    "no inbound": Promise({"CDRNoInboundCalls", "CDRTrunkSilent"}, (560, 150), (0.75, 1), (30, 30)),
    "fraud by night": Promise(OUT_OF_HOURS, (35, 35), (1, 1), (150, 150)),
    "fraud on a weekend": Promise(OUT_OF_HOURS, (35, 35), (1, 1), (150, 150)),
    "forwarding by night": Promise(OUT_OF_HOURS, (40, 40), (1, 1), (150, 150)),
    "forwarding on a weekend": Promise(OUT_OF_HOURS, (65, 65), (0.9, 1), (150, 150)),
    "DISA by night": Promise(OUT_OF_HOURS, (35, 35), (1, 1), (150, 150)),
    "forwarding by day": Promise({"CDROutboundTalkBurst"}, (60, 60), (1, 1), (120, 120)),
    "forwarding that is called inbound": Promise(
        {"CDROutboundTalkBurst"}, (60, 60), (1, 1), (120, 120)
    ),
    "dialler": Promise({"CDROutboundBurst", "CDROutboundNoTalk"}, (25, 25), (1, 1), (120, 120)),
    "emergency": Promise({"CDREmergencyCall"}, (6, 6), (1, 1), (25, 25)),
}

ENOUGH_REFUSED = 5
"""Refused calls, with fewer of which a dead trunk is not told. With so many it is, of 250 calls a
day: within half an hour after the last of them, where there were fewer in the time promised."""

ENOUGH_CAME = {"menu": 10, "nobody answers": 10, "voicemail": 10, "no inbound": 20}
"""Inbound calls, with fewer of which it may not be told that nobody takes them; and in two weeks,
with fewer of which it may not be told that there are none."""

UNLUCKY = {(250, 3): 3}
"""Offices with more false alarms than one in their month, each of another alert. So it is by chance
with about one office in twenty."""

office = cache(judged)

ten_offices = pytest.mark.parametrize(
    ("size", "seed"),
    [
        pytest.param(
            *(size, seed),
            id=f"{size}-{seed}",
            marks=[
                pytest.mark.slow if seed == 1 else pytest.mark.long,
                pytest.mark.xdist_group(f"office-{size}-{seed}"),
            ],
        )
        for size in (20, 250)
        for seed in range(1, 11)
    ],
)
"""The first of each size in `make test`, the others in the long profile."""


def firing(judged: Judged, trouble: Suffered, until: int) -> NDArray[np.bool_]:
    """Return for each minute from the begin of *trouble* to *until* whether it is told."""
    found = np.zeros(until - trouble.begin, bool)
    for spell in judged.spells:
        own = spell.alert in TROUBLES[trouble.name].alerts
        if own and spell.begin >= trouble.begin and spell.begin <= trouble.over + 60:
            found[spell.begin - trouble.begin : spell.end + 1 - trouble.begin] = True
    return found


def latest_to_tell(judged: Judged, trouble: Suffered) -> int:
    """Return after how many minutes there is enough to tell a dead trunk by; of others, 0."""
    if trouble.name != "dead trunk":
        return 0
    return judged.refused[ENOUGH_REFUSED - 1] - trouble.begin + 30


def is_told_in_time(judged: Judged, trouble: Suffered, column: int) -> str:
    """Return what is wrong with how *trouble* is told, or an empty text."""
    promise = TROUBLES[trouble.name]
    told = np.flatnonzero(firing(judged, trouble, trouble.end + promise.ends[column] + 600))
    if not len(told):
        return "is not told"
    first, last = told[0], told[-1]
    if first > max(promise.told[column], latest_to_tell(judged, trouble)):
        return f"is told after {first} minutes"
    kept = firing(judged, trouble, max(trouble.end, trouble.begin + 1))[first:]
    if len(kept) and kept.mean() < promise.keeps[column]:
        return f"fires in {kept.mean():.0%} of the time"
    ended = trouble.begin + last - trouble.over
    return f"ends after {ended} minutes" if ended > promise.ends[column] else ""


@ten_offices
def test_troubles_are_told_in_time_until_they_are_over(size: int, seed: int) -> None:
    found = office(size, seed)

    wrong = {
        name: text
        for name, trouble in found.troubles.items()
        if (text := is_told_in_time(found, trouble, (20, 250).index(size)))
    }
    too_few = {name for name, enough in ENOUGH_CAME.items() if found.came[name] < enough}
    too_few |= {"dead trunk"} if len(found.refused) < ENOUGH_REFUSED else set()
    assert {name: text for name, text in wrong.items() if name not in too_few} == {}
    assert size == 20 or not too_few


@ten_offices
def test_a_month_without_troubles_has_one_false_alarm_at_most(size: int, seed: int) -> None:
    found = office(size, seed)

    month = [spell for spell in found.spells if 2 * WEEK <= spell.begin < 6 * WEEK]
    on_holidays = [spell for spell in month if found.holiday(spell.begin)]
    assert {spell.alert for spell in on_holidays} <= {"CDRNoInboundCalls"}
    assert len(month) - len(on_holidays) <= UNLUCKY.get((size, seed), 1), month


@ten_offices
def test_what_fires_in_the_week_of_troubles_has_to_do_with_one(size: int, seed: int) -> None:
    found = office(size, seed)

    strange = [
        spell
        for spell in found.spells
        if spell.begin >= 6 * WEEK
        and not any(
            each.begin <= spell.begin <= each.end + DAY // 3 for each in found.troubles.values()
        )
    ]
    assert len(strange) <= 1, strange


def test_what_may_speak_on_a_holiday_is_for_information() -> None:
    assert ALERTS["CDRNoInboundCalls"]["labels"]["severity"] == "info"
