"""Legs → one call with one outcome.

| what | where it comes from |
|---|---|
| outcome | the strongest leg: answered (by a person) > voicemail > no_answer > busy > blocked > failed > machine (met machines only) > unknown |
| call type | Inbound where the earliest leg came in by a trunk, else that of the earliest leg |
| trunk | of an inbound call the one it came in by; else that of the leg which decided the outcome (the earliest of several), or the first there is |
| handed over | the earliest start of a leg to a person, a ring group, a queue or a conference |
| wait | seconds from there until the first person answered |
| abandon | of a call with outcome no_answer: seconds from there to its end |
| menu | of a call whose first leg is a menu: seconds until the first leg that is none, or the end |
| talk | seconds in which the caller talked with people; talk at the same time is counted once |
| duration | seconds from the start of the first leg to the end of the last |

A leg whose start is unknown is taken to have begun with the call.

In a queue
----------
A leg to a person belongs to the queue's leg that began last before it (one second of grace), if it
began more than one second before that one's end. What became of the call in that queue is
`answered` when one of these legs was, else `voicemail` when the queue's own leg was, else
`passed_on` when any other leg begins not earlier than one second before its end, else `no_answer`.
So one second more or less in one row, as the PBX rounds its times, changes nothing.
"""  # noqa: E501 (a table)

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from ..cdr.contract import CALL_TYPES
from ..cdr.labels import NO_TRUNK
from .callee import CONFERENCE, MENU, PERSON, QUEUE, RING_GROUP
from .leg import OTHER_NUMBER, OUTCOMES, Leg

PASSED_ON = "passed_on"
QUEUE_OUTCOMES = ("answered", "voicemail", PASSED_ON, "no_answer")
"""What may become of a call in one queue."""

_GRACE = 1
"""Seconds by which two rows of one event may differ, since the PBX rounds its times."""

_STRENGTH = {outcome: rank for rank, outcome in enumerate(OUTCOMES)}
# Of two legs that begin in the same second, the one from outside began the call.
_TYPE_RANK = {call_type: rank for rank, call_type in enumerate(CALL_TYPES)}
_WITH_PEOPLE = frozenset({PERSON, RING_GROUP, QUEUE, CONFERENCE})


class QueueVisit(NamedTuple):
    """What became of a call in one queue: *outcome* is one of `QUEUE_OUTCOMES`, times are seconds.

    *wait* is None where nobody answered there, *abandon* where the caller did not give up there.
    """

    queue: str
    outcome: str
    wait: int | None = None
    abandon: int | None = None


class Call(NamedTuple):
    """One call, whatever the number of its legs. Times are seconds.

    *wait* is None where no person answered, *abandon* where the outcome is not no_answer or the
    call was not handed to people, *menu* where it met none first. *did* is a label value, empty
    for calls that are not inbound. *talk_by_destination* maps the destination labels of the legs
    that leave by a trunk to their talk time. *started_at* is in epoch seconds, 0 where unknown.
    """

    outcome: str
    call_type: str
    trunk: str
    duration: int
    wait: int | None
    abandon: int | None
    menu: int | None
    talk: int
    legs: int
    did: str
    queues: tuple[QueueVisit, ...]
    talk_by_destination: Mapping[str, int]
    emergency: bool
    started_at: int


def assemble_call(legs: Sequence[Leg]) -> Call:
    """Return the call that *legs* make: all legs of one call, one or more, in any order."""
    legs = _with_starts(legs)
    legs = sorted(map(_with_own_outcome, legs, [legs] * len(legs)), key=_by_start)
    first, end = legs[0], max(leg.started_at + leg.duration for leg in legs)
    deciding = min(legs, key=lambda leg: _STRENGTH[leg.outcome])
    answered = [leg for leg in legs if leg.outcome == "answered"]
    handed = next((leg.started_at for leg in legs if leg.kind in _WITH_PEOPLE), None)
    call_type = "Inbound" if first.came_in_by else first.call_type
    return Call(
        outcome=deciding.outcome,
        call_type=call_type,
        trunk=_trunk_of(deciding, legs, call_type),
        duration=end - first.started_at,
        wait=_wait_from(handed if handed is not None else first.started_at, answered),
        abandon=end - handed if deciding.outcome == "no_answer" and handed is not None else None,
        menu=_menu_of(legs, end),
        talk=_seconds_covered(
            (leg.started_at + leg.ring, leg.started_at + leg.ring + leg.talk) for leg in answered
        ),
        legs=len(legs),
        did=_did_of(legs) if call_type == "Inbound" else "",
        queues=tuple(_visits(legs)),
        talk_by_destination=_talk_by_destination(legs),
        emergency=any(leg.emergency for leg in legs),
        started_at=first.started_at,
    )


def _with_starts(legs: Sequence[Leg]) -> Sequence[Leg]:
    """Return *legs*, those of unknown start with that of the call."""
    if all(leg.started_at for leg in legs):
        return legs
    start = min((leg.started_at for leg in legs if leg.started_at), default=0)
    # The first second of the call may not be theirs, so they come behind the legs that have one.
    known = [leg for leg in legs if leg.started_at]
    return [*known, *(replace(leg, started_at=start) for leg in legs if not leg.started_at)]


def _with_own_outcome(leg: Leg, legs: Sequence[Leg]) -> Leg:
    """Return *leg*; a ring group that talked is `no_answer` where the legs of members say more."""
    if leg.kind != RING_GROUP or leg.outcome != "answered":
        return leg
    end = leg.started_at + leg.duration
    has_members = any(
        each.kind == PERSON and leg.started_at <= each.started_at < end and not each.taken_elsewhere
        for each in legs
    )
    return replace(leg, outcome="no_answer") if has_members else leg


def _by_start(leg: Leg) -> tuple[int, bool, int, bool, Leg]:
    # The leg itself comes last, so that the order in which the PBX sent them decides nothing.
    rank = _TYPE_RANK.get(leg.call_type, len(_TYPE_RANK))
    return leg.started_at, not leg.came_in_by, rank, leg.kind != MENU, leg


def _trunk_of(deciding: Leg, legs: Sequence[Leg], call_type: str) -> str:
    if call_type == "Inbound" and legs[0].came_in_by:
        return legs[0].came_in_by
    first = legs[0] if call_type == "Inbound" else deciding
    trunks = (leg.trunk for leg in (first, deciding, *legs) if leg.trunk != NO_TRUNK)
    return next(trunks, NO_TRUNK)


def _wait_from(start: int, answered: Iterable[Leg]) -> int | None:
    answers = [leg.started_at + leg.ring for leg in answered]
    return max(0, min(answers) - start) if answers else None


def _menu_of(legs: Sequence[Leg], end: int) -> int | None:
    if legs[0].kind != MENU:
        return None
    until = next((leg.started_at for leg in legs if leg.kind != MENU), end)
    return until - legs[0].started_at


def _did_of(legs: Sequence[Leg]) -> str:
    dids = [leg.did for leg in legs if leg.did]
    # A leg with a number that the user did not name must not hide one with a number he named.
    return next((did for did in dids if did != OTHER_NUMBER), OTHER_NUMBER if dids else "")


def _visits(legs: Sequence[Leg]) -> Iterable[QueueVisit]:
    queues = [n for n, leg in enumerate(legs) if leg.queue]
    members: dict[int, list[Leg]] = {n: [] for n in queues}
    for leg in legs if queues else ():
        entered = [n for n in queues if legs[n].started_at <= leg.started_at + _GRACE]
        if leg.kind == PERSON and entered:
            last = legs[entered[-1]]
            if leg.started_at < last.started_at + last.duration - _GRACE:
                members[entered[-1]].append(leg)
    for n in queues:
        yield _visit(legs[n], members[n], [*legs[:n], *legs[n + 1 :]])


def _visit(queue: Leg, members: Sequence[Leg], others: Sequence[Leg]) -> QueueVisit:
    end = queue.started_at + queue.duration
    answered = [leg for leg in members if leg.outcome == "answered"]
    if answered:
        return QueueVisit(queue.queue, "answered", wait=_wait_from(queue.started_at, answered))
    if queue.outcome == "voicemail":
        return QueueVisit(queue.queue, "voicemail")
    if any(leg.started_at >= end - _GRACE for leg in others):
        return QueueVisit(queue.queue, PASSED_ON)
    return QueueVisit(queue.queue, "no_answer", abandon=queue.duration)


def _seconds_covered(spans: Iterable[tuple[int, int]]) -> int:
    """Return how many seconds lie in at least one of *spans*."""
    seconds = until = 0
    for begin, end in sorted(spans):
        seconds += max(0, end - max(begin, until))
        until = max(until, end)
    return seconds


def _talk_by_destination(legs: Iterable[Leg]) -> Mapping[str, int]:
    talk: dict[str, int] = {}
    for leg in legs:
        if leg.destination:
            talk[leg.destination] = talk.get(leg.destination, 0) + leg.talk
    return talk
