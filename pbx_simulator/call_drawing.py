"""One made-up call: who takes part, how long it takes, the rows of its legs.

Rule: all randomness comes from the `Random` that is an argument, so the same seed makes the same
call. A call is drawn first and placed in time afterwards, because some callers know when it starts
and others when it ends.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate, permutations
from random import Random
from typing import NamedTuple

from .directory import PLAY_FILE, PROMPT, SURVEY, Directory, Extension
from .rows import Row, compact_time, display_time, make_row, reason
from .scenarios import PHASES, SCENARIOS, Scenario, ScenarioLeg, one_of
from .truth import CallTruth, SimulatedCall

UID_TAILS = 16**5
"""How many calls of one second can have a `uid` each."""

_RECORDED = 0.6  # share of the legs that people answered
_SHOWN_BY_NAME = 0.2  # share of the callers from outside


class Parties(NamedTuple):
    """Who takes part in a call, as far as its scenario needs them."""

    office: Directory
    trunk: str
    second: str  # another trunk
    caller: str  # from outside, as shown
    outside: str  # a number outside, as dialled
    did: str
    desk: Extension
    colleague: Extension
    third: Extension
    queue: str
    other_queue: str


class UnplacedCall(NamedTuple):
    """A call without its place in time: *legs* are seconds after its start and fields.

    *instants*, in seconds after its start, are where its phases meet.
    """

    scenario: str
    truth: CallTruth
    instants: list[int]
    legs: list[tuple[int, Row]]


CALLEES: dict[str, Callable[[Parties], str]] = {
    "desk": lambda parties: parties.desk.shown,
    "colleague": lambda parties: parties.colleague.shown,
    "third": lambda parties: parties.third.shown,
    "outside": lambda parties: parties.outside,
    "voicemail": lambda parties: f"Voicemail {parties.desk.shown}",
    "menu": lambda parties: parties.office.menu,
    "submenu": lambda parties: parties.office.submenu,
    "queue": lambda parties: parties.office.queue(parties.queue),
    "other-queue": lambda parties: parties.office.queue(parties.other_queue),
    "group": lambda parties: parties.office.ring_group,
    "conference": lambda parties: parties.office.conference,
    "play-file": lambda _: PLAY_FILE,
    "prompt": lambda _: PROMPT,
    "survey": lambda _: SURVEY,
}
"""What `call_to` shows, by the name that a scenario has for it."""

_PEOPLE = frozenset({"desk", "colleague", "third", "outside"})


def _inbound(parties: Parties) -> Row:
    return {
        "call_type": "Inbound",
        "call_from": parties.caller,
        "src_addr": parties.office.trunk_addresses[parties.trunk],
        "src_trunk": parties.trunk,
        "did_number": parties.did,
    }


def _outbound(parties: Parties) -> Row:
    return {
        "call_type": "Outbound",
        "call_from": parties.desk.shown,
        "src_addr": parties.desk.address,
        "dst_trunk": parties.trunk,
        "dod_number": parties.office.own_number(parties.desk),
    }


def _internal(parties: Parties) -> Row:
    caller = parties.colleague
    return {"call_type": "Internal", "call_from": caller.shown, "src_addr": caller.address}


def _consult(parties: Parties) -> Row:
    return _internal(parties._replace(colleague=parties.desk))


def _played(_: Parties) -> Row:
    return {"call_type": "Internal", "call_from": PLAY_FILE}


def _passed_through(parties: Parties) -> Row:
    """Out by the second trunk, straight from the route of the number that was called."""
    return _forward(parties) | {"did_number": parties.did}


def _second_try(parties: Parties) -> Row:
    return _outbound(parties) | {"dst_trunk": parties.second}


def _forward(parties: Parties) -> Row:
    """Out by the second trunk what came in by the first."""
    came = _inbound(parties)
    del came["did_number"]
    dod = parties.office.own_number(parties.desk)
    return came | {"call_type": "Outbound", "dst_trunk": parties.second, "dod_number": dod}


LINES: dict[str, Callable[[Parties], Row]] = {
    "Inbound": _inbound,
    "Outbound": _outbound,
    "Internal": _internal,
    "consult": _consult,
    "second try": _second_try,
    "forward": _forward,
    "pass through": _passed_through,
    "play": _played,
}
"""Who calls, and by which trunks, by the name that a scenario has for it."""


class CallDrawing:
    """Draws the calls of the office that *directory* describes."""

    def __init__(self, directory: Directory) -> None:
        self._office = directory
        self._trunk, self._did = one_of(directory.trunks), one_of(directory.dids)
        self._desks = tuple(permutations(directory.extensions, 3))
        self._queues = tuple(permutations(directory.queues, 2))
        self._other_trunks = {
            trunk: [name for name in directory.trunks if name != trunk]
            for trunk in directory.trunks
        }

    def draw(self, rng: Random, name: str, dead_trunk: str = "") -> UnplacedCall:
        """Return a call of the scenario *name* without its place in time.

        Where it would leave by *dead_trunk* at first, it fails instead.
        """
        parties = self._draw_parties(rng)
        if dead_trunk == parties.trunk and SCENARIOS[name].call_type == "Outbound":
            name = "outbound-failed"
        scenario = SCENARIOS[name]
        instants = [0, *accumulate(PHASES[phase].draw(rng) for phase in scenario.phases.split())]
        legs = [
            (instants[leg.began], _fields(scenario, leg, parties, instants, rng))
            for leg in scenario.legs
        ]
        return UnplacedCall(name, _truth(scenario, parties), instants, legs)

    def _draw_parties(self, rng: Random) -> Parties:
        office = self._office
        trunk, number = self._trunk(rng), office.outside_number(rng)
        desk, colleague, third = rng.choice(self._desks)
        queue, other_queue = rng.choice(self._queues)
        return Parties(
            office=office,
            trunk=trunk,
            second=rng.choice(self._other_trunks[trunk]),
            caller=f"{office.shown_caller}<{number}>" if rng.random() < _SHOWN_BY_NAME else number,
            outside=office.dialled(office.outside_number(rng)),
            did=self._did(rng),
            desk=desk,
            colleague=colleague,
            third=third,
            queue=queue,
            other_queue=other_queue,
        )


def place_call(
    drawn: UnplacedCall, started: int, tail: int, utc_offset_seconds: int
) -> SimulatedCall:
    """Return *drawn* as a call that started at *started* (UTC epoch seconds).

    *tail*, from 0 to below `UID_TAILS`, makes the uids of one second differ.
    """
    uid = f"{compact_time(started, utc_offset_seconds)}{tail:05X}"
    legs = (
        make_row(_moment(fields, started + after, utc_offset_seconds) | {"uid": uid})
        for after, fields in drawn.legs
    )
    instants = tuple(started + after for after in drawn.instants)
    return SimulatedCall(
        drawn.scenario, uid, drawn.truth, started, instants[-1], tuple(legs), instants
    )


def _fields(
    scenario: Scenario, leg: ScenarioLeg, parties: Parties, instants: list[int], rng: Random
) -> Row:
    began, ended = instants[leg.began], instants[leg.ended]
    answered = ended if leg.answered is None else instants[leg.answered]
    party, key = leg.reason.split()
    fields = LINES[leg.by or scenario.call_type](parties) | {
        "call_to": CALLEES[leg.to](parties),
        "duration": ended - began,
        "ring_duration": answered - began if leg.rings else 0,
        "talk_duration": ended - answered,
        "disposition": leg.shown_disposition,
        "reason": reason(rng.choice(("src", "dst")) if party == "any" else party, key),
    }
    if leg.to in _PEOPLE and leg.answered is not None and rng.random() < _RECORDED:
        fields["record_file"] = f"{rng.randrange(100)}-{_recording(fields)}"
    return fields


def _truth(scenario: Scenario, parties: Parties) -> CallTruth:
    to = [leg.to for leg in scenario.legs]
    numbers = {"queue": parties.queue, "other-queue": parties.other_queue}
    queues = [numbers[name] for name in to if name in numbers]
    return CallTruth(
        scenario.outcome,
        scenario.call_type,
        {"own": parties.trunk, "second": parties.second}.get(scenario.trunk, "none"),
        did=parties.did if scenario.call_type == "Inbound" else "",
        queues=tuple(zip(queues, scenario.queues, strict=True)),
        destination=parties.office.destination(parties.outside) if "outside" in to else "",
    )


def _moment(fields: Row, started: int, utc_offset_seconds: int) -> Row:
    placed = fields | {
        "time": display_time(started, utc_offset_seconds),
        "timestamp": started,
    }
    if "record_file" in fields:
        begun = compact_time(started, utc_offset_seconds)
        placed["record_file"] = f"{begun}-{started}.{fields['record_file']}"
    return placed


def _recording(fields: Row) -> str:
    parties = f"{_number(fields['call_from'])}-{_number(fields['call_to'])}"
    return f"{parties}-{fields['call_type']}.wav"


def _number(party: str) -> str:
    return party.rpartition("<")[2].removesuffix(">")
