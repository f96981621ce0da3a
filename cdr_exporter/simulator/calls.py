"""One made-up call: who calls whom, what comes of it, how long it takes.

Rule: all chance comes from the `Random` handed in, so the same seed makes the same call. A call
is drawn first and placed in time afterwards, because some callers know when it starts and
others when it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import accumulate
from random import Random

from .office import (
    DIDS,
    EXTENSIONS,
    TRUNK_ADDRESSES,
    TRUNKS,
    dialled,
    outside_number,
    own_number,
)
from .rows import Row, compact_time, display_time, reason, row

LONGEST_CALL_SECONDS = 3600
_LONGEST_RING_SECONDS = 60
_LONGEST_TALK_SECONDS = LONGEST_CALL_SECONDS - _LONGEST_RING_SECONDS
_RECORDED = 0.6  # share of the answered calls
_SHOWN_BY_NAME = 0.2  # share of the callers from outside

_Draw = Callable[[Random], str]


def _one_of(shares: Mapping[str, int]) -> _Draw:
    values, weights = list(shares), list(accumulate(shares.values()))
    return lambda rng: rng.choices(values, cum_weights=weights)[0]


_trunk = _one_of(TRUNKS)
_did = _one_of(DIDS)
_call_type = _one_of({"Inbound": 55, "Outbound": 30, "Internal": 15})
_disposition = {
    "Inbound": _one_of(
        {"ANSWERED": 700, "NO ANSWER": 140, "VOICEMAIL": 90, "BUSY": 50, "FAILED": 20}
    ),
    "Outbound": _one_of({"ANSWERED": 680, "NO ANSWER": 200, "BUSY": 80, "FAILED": 40}),
    "Internal": _one_of(
        {"ANSWERED": 760, "NO ANSWER": 140, "BUSY": 60, "VOICEMAIL": 30, "FAILED": 10}
    ),
}


def draw(rng: Random) -> Row:
    """Return a call without its place in time: parties, trunk, disposition, durations."""
    call_type = _call_type(rng)
    disposition = _disposition[call_type](rng)
    duration, ring, talk = _DURATIONS[disposition](rng)
    return {
        **_PARTIES[call_type](rng, disposition == "VOICEMAIL"),
        "duration": duration,
        "ring_duration": ring,
        "talk_duration": talk,
        "disposition": disposition,
        "call_type": call_type,
        "reason": _reason(rng, disposition, ring),
    }


def placed(call: Row, started: int, rng: Random, utc_offset_seconds: int) -> Row:
    """Return *call* as the row of a call that started at *started* (UTC epoch seconds)."""
    begun = compact_time(started, utc_offset_seconds)
    moment = {
        "time": display_time(started, utc_offset_seconds),
        "timestamp": started,
        "uid": f"{begun}{rng.randrange(16**5):05X}",
    }
    if call["disposition"] == "ANSWERED" and rng.random() < _RECORDED:
        moment["record_file"] = _record_file(call, begun, started, rng.randrange(100))
    return row(call | moment)


def _record_file(call: Row, begun: str, started: int, serial: int) -> str:
    parties = f"{_number(call['call_from'])}-{_number(call['call_to'])}"
    return f"{begun}-{started}.{serial}-{parties}-{call['call_type']}.wav"


def _number(party: str) -> str:
    return party.rpartition("<")[2].removesuffix(">")


def _answered(rng: Random) -> tuple[int, int, int]:
    ring = min(_LONGEST_RING_SECONDS, round(rng.lognormvariate(1.9, 0.6)))
    talk = min(_LONGEST_TALK_SECONDS, max(1, round(rng.lognormvariate(4.7, 1.0))))
    return ring + talk, ring, talk


def _no_answer(rng: Random) -> tuple[int, int, int]:
    # A desk that is in another call never rings: the contract's sample has such a row.
    ring = 0 if rng.random() < 0.1 else rng.randint(4, 45)
    return ring, ring, 0


def _voicemail(rng: Random) -> tuple[int, int, int]:
    ring, talk = rng.randint(15, 30), rng.randint(3, 90)
    return ring + talk, ring, talk


def _not_connected(rng: Random) -> tuple[int, int, int]:
    return rng.randint(0, 2), 0, 0


_DURATIONS = {
    "ANSWERED": _answered,
    "NO ANSWER": _no_answer,
    "VOICEMAIL": _voicemail,
    "BUSY": _not_connected,
    "FAILED": _not_connected,
}


def _inbound(rng: Random, to_voicemail: bool) -> Row:
    trunk, number = _trunk(rng), outside_number(rng)
    by_name = rng.random() < _SHOWN_BY_NAME
    return {
        "call_from": f"Muster GmbH<{number}>" if by_name else number,
        "call_to": _callee(rng.choice(EXTENSIONS).shown, to_voicemail),
        "src_addr": TRUNK_ADDRESSES[trunk],
        "src_trunk": trunk,
        "did_number": _did(rng),
    }


def _outbound(rng: Random, _: bool) -> Row:
    caller = rng.choice(EXTENSIONS)
    return {
        "call_from": caller.shown,
        "call_to": dialled(outside_number(rng)),
        "src_addr": caller.address,
        "dst_trunk": _trunk(rng),
        "dod_number": own_number(caller),
    }


def _internal(rng: Random, to_voicemail: bool) -> Row:
    caller, callee = rng.sample(EXTENSIONS, 2)
    return {
        "call_from": caller.shown,
        "call_to": _callee(callee.shown, to_voicemail),
        "src_addr": caller.address,
    }


def _callee(shown: str, to_voicemail: bool) -> str:
    return f"Voicemail {shown}" if to_voicemail else shown


_PARTIES = {"Inbound": _inbound, "Outbound": _outbound, "Internal": _internal}


def _reason(rng: Random, disposition: str, ring: int) -> str:
    if disposition == "BUSY" or (disposition == "NO ANSWER" and not ring):
        return reason("dst", "extension_busy_no_forward")
    if disposition == "FAILED":
        return reason("dst", "hangup")
    if disposition == "NO ANSWER":
        return reason("dst", "timeout_hangup") if ring > 25 else reason("src", "hangup")
    return reason(rng.choice(("src", "dst")), "hangup")
