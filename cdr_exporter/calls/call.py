"""Legs → one call with one outcome.

| what | where it comes from |
|---|---|
| outcome | the strongest leg: answered (by a person) > voicemail > no_answer > busy > failed > machine (no person picked up) > unknown |
| trunk | the leg that decided the outcome (the earliest of several), or the first leg that has a trunk |
| call type | the earliest leg |
| wait | seconds from the start of the call until the first person answered |
| talk | seconds in which the caller talked with people; talk at the same time is counted once |
| duration | seconds from the start of the first leg to the end of the last |

A leg whose start is unknown is taken to have begun with the call.
"""  # noqa: E501 (a table)

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ..cdr.contract import CALL_TYPES
from ..cdr.labels import NO_TRUNK
from .leg import OTHER_NUMBER, OUTCOMES, Leg

_STRENGTH = {outcome: rank for rank, outcome in enumerate(OUTCOMES)}
# Of two legs that begin in the same second, the one from outside began the call.
_TYPE_RANK = {call_type: rank for rank, call_type in enumerate(CALL_TYPES)}


class Call(NamedTuple):
    """One call, whatever the number of its legs. Times are seconds.

    *wait* is None where no person answered. *did* and *queues* are label values.
    *talk_by_destination* maps the destination labels of its outbound legs to their talk time.
    """

    outcome: str
    call_type: str
    trunk: str
    duration: int
    wait: int | None
    talk: int
    legs: int
    did: str
    queues: tuple[str, ...]
    talk_by_destination: Mapping[str, int]


def assemble_call(legs: Sequence[Leg]) -> Call:
    """Return the call that *legs* make: all legs of one call, one or more, in any order."""
    if len(legs) == 1:
        return _single_leg_call(legs[0])
    legs = sorted(legs, key=_by_start)
    call_start = next((leg.started_at for leg in legs if leg.started_at), 0)
    outcome = min((leg.outcome for leg in legs), key=_STRENGTH.__getitem__)
    deciding = [leg for leg in legs if leg.outcome == outcome]
    answered_legs = deciding if outcome == "answered" else []
    return Call(
        outcome=outcome,
        call_type=legs[0].call_type,
        trunk=_trunk_of(deciding[0], legs),
        duration=max(_start_of(leg, call_start) + leg.duration for leg in legs) - call_start,
        wait=min(
            (_start_of(leg, call_start) + leg.ring - call_start for leg in answered_legs),
            default=None,
        ),
        talk=_seconds_covered(_talk_spans(answered_legs, call_start)),
        legs=len(legs),
        did=_did_of(legs),
        queues=tuple(dict.fromkeys(leg.queue for leg in legs if leg.queue)),
        talk_by_destination=_talk_by_destination(legs),
    )


def _single_leg_call(leg: Leg) -> Call:
    """Return the call of one leg: the same as below, but faster, since most calls have one leg."""
    answered = leg.outcome == "answered"
    return Call(
        leg.outcome,
        leg.call_type,
        leg.trunk,
        leg.duration,
        leg.ring if answered else None,
        leg.talk if answered else 0,
        1,
        leg.did,
        (leg.queue,) if leg.queue else (),
        {leg.destination: leg.talk} if leg.destination else {},
    )


def _by_start(leg: Leg) -> tuple[float, int, Leg]:
    # The leg itself comes last, so that the order in which the PBX sent them decides nothing.
    known = leg.started_at or float("inf")
    return known, _TYPE_RANK.get(leg.call_type, len(_TYPE_RANK)), leg


def _start_of(leg: Leg, call_start: int) -> int:
    return leg.started_at or call_start


def _trunk_of(deciding: Leg, legs: Sequence[Leg]) -> str:
    trunks = (leg.trunk for leg in (deciding, *legs) if leg.trunk != NO_TRUNK)
    return next(trunks, NO_TRUNK)


def _did_of(legs: Sequence[Leg]) -> str:
    dids = [leg.did for leg in legs if leg.did]
    # A leg with a number that the user did not name must not hide one with a number he named.
    return next((did for did in dids if did != OTHER_NUMBER), OTHER_NUMBER if dids else "")


def _talk_spans(legs: Iterable[Leg], call_start: int) -> Iterable[tuple[int, int]]:
    for leg in legs:
        answered = _start_of(leg, call_start) + leg.ring
        yield answered, answered + leg.talk


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
