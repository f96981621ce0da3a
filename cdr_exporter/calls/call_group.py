"""Calls that are alike, in columns: so that counting does little for each of many calls. Pure.

Most rows of a first read are calls of one leg that ended long ago. For those no leg and no call is
made: what is not a time is the same for all that are alike, and their times are columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from .call import Call, assemble_call
from .leg import Leg


class LegTimes(NamedTuple):
    """The times of some legs that are alike, in columns of one length; seconds."""

    starts: Sequence[int]
    durations: Sequence[int]
    rings: Sequence[int]
    talks: Sequence[int]


class CallGroup(NamedTuple):
    """Calls with the same *outcome*, *call_type*, *trunk* and *did*; see `Call` for these.

    The columns have one length, but for *waits*, *abandons* and *menus*, which are empty where
    these calls have none. *others* are those of the calls that came to a queue, left to a
    destination, or called an emergency number.
    """

    outcome: str
    call_type: str
    trunk: str
    did: str
    starts: Sequence[int]
    durations: Sequence[int]
    legs: Sequence[int]
    waits: Sequence[int]
    abandons: Sequence[int]
    menus: Sequence[int]
    talks: Sequence[int]
    others: Sequence[Call] = ()


def group_calls(calls: Iterable[Call]) -> list[CallGroup]:
    """Return *calls* in groups."""
    alike: dict[tuple[object, ...], list[Call]] = {}
    for call in calls:
        has = (call.wait is None, call.abandon is None, call.menu is None)
        key = (call.outcome, call.call_type, call.trunk, call.did, *has)
        alike.setdefault(key, []).append(call)
    return [_group_of(each) for each in alike.values()]


def _group_of(calls: Sequence[Call]) -> CallGroup:
    first = calls[0]
    return CallGroup(
        first.outcome,
        first.call_type,
        first.trunk,
        first.did,
        [call.started_at for call in calls],
        [call.duration for call in calls],
        [call.legs for call in calls],
        [call.wait for call in calls if call.wait is not None],
        [call.abandon for call in calls if call.abandon is not None],
        [call.menu for call in calls if call.menu is not None],
        [call.talk for call in calls],
        [call for call in calls if call.queues or call.talk_by_destination or call.emergency],
    )


def is_plain(leg: Leg) -> bool:
    """Say whether a call of *leg* alone came to no queue, destination or emergency number."""
    return not (leg.queue or leg.destination or leg.emergency)


_DURATION, _RING, _TALK = 1, 2, 3
"""Times by which it is recognised what a call takes from its one leg."""


def group_of_lone_legs(like: Leg, times: LegTimes) -> CallGroup:
    """Return the calls that each have one leg like *like*, with the *times* of these.

    *like* is plain.
    """
    call = _call_of_leg_like(
        like.outcome, like.call_type, like.trunk, like.kind, like.came_in_by, like.did
    )
    calls = len(times.starts)
    column: dict[int | None, Sequence[int]] = {
        None: (),
        0: [0] * calls,
        _DURATION: times.durations,
        _RING: times.rings,
        _TALK: times.talks,
    }
    return CallGroup(
        call.outcome,
        call.call_type,
        call.trunk,
        call.did,
        times.starts,
        column[call.duration],
        [call.legs] * calls,
        column[call.wait],
        column[call.abandon],
        column[call.menu],
        column[call.talk],
    )


@lru_cache(maxsize=4096)
def _call_of_leg_like(
    outcome: str, call_type: str, trunk: str, kind: str, came_in_by: str, did: str
) -> Call:
    """Return the call of one leg with times that show where the times of such a call come from."""
    leg = Leg(0, outcome, call_type, trunk, _DURATION, _RING, _TALK, kind, came_in_by, did)
    return assemble_call([leg])
