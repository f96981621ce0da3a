"""How soon troubles of offices with random calls are told, and that weeks without are silent."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..support.random_offices import (
    HOUR,
    MINUTES_OF_DAY,
    Office,
    Told,
    Trouble,
    all_to,
    firing,
    refused,
    spells,
    telephoning,
)

TUESDAY, WEDNESDAY = MINUTES_OF_DAY, 2 * MINUTES_OF_DAY

OFFICES = {
    "dead": (Office(250), Trouble(TUESDAY + 14 * HOUR, TUESDAY + 18 * HOUR, outbound=refused("a"))),
    "menu": (
        Office(250),
        Trouble(TUESDAY + 11 * HOUR, TUESDAY + 16 * HOUR, inbound=all_to("machine")),
    ),
    "small-menu": (
        Office(20),
        Trouble(TUESDAY + 11 * HOUR, TUESDAY + 16 * HOUR, inbound=all_to("machine")),
    ),
    "night": (
        Office(250),
        Trouble(
            WEDNESDAY + 22 * HOUR,
            WEDNESDAY + 29 * HOUR,
            more=telephoning(3, seconds=1200, pause=30),
        ),
    ),
    "quiet": (Office(250), Trouble()),
    "small-quiet": (Office(20), Trouble()),
}

TOLD = {
    ("dead", "CDRTrunkFailures"): 90,
    ("menu", "CDRMachineOnlyRose"): 90,
    ("menu", "CDRNobodyAnswers"): 120,
    ("small-menu", "CDRMachineOnlyRose"): 300,
    ("night", "CDROutboundTalkOutOfHours"): 90,
}
"""PBX and alert → minutes within which it is seen, half an hour of them of coarse evaluation."""


@pytest.mark.long
@pytest.mark.parametrize("seed", [2])
def test_troubles_are_told_in_time_and_weeks_without_are_silent(tmp_path: Path, seed: int) -> None:
    told: Told = firing(OFFICES, seed, tmp_path)

    late = {
        (pbx, alert): found
        for (pbx, alert), within in TOLD.items()
        for found in [spells(told[pbx, alert])]
        if len(found) != 1 or not 0 < found[0][0] - OFFICES[pbx][1].begin <= within
    }
    assert late == {}
    assert [key for key in told if key[0] in {"quiet", "small-quiet"}] == []
