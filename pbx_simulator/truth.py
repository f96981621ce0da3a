"""Calls with what truly happened in them.

Rule: the truth of a call is declared by its scenario. Nothing here is concluded from rows, so that
it can be compared with what a reader concludes from them.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from . import rows
from .rows import Row

OUTCOMES = (
    "answered",
    "voicemail",
    "no_answer",
    "busy",
    "blocked",
    "failed",
    "machine",
    "unknown",
)
QUEUE_OUTCOMES = ("answered", "voicemail", "passed_on", "no_answer")


class CallTruth(NamedTuple):
    """What happened in a call.

    *trunk* is that by which it came in; of a call that did not, that of the leg that decided
    *outcome*, or `none`. *call_type* is how the call began. *did* is the DID number that an inbound
    call was made to, *destination* where a leg to the outside went (`national`, `international`);
    both are empty for other calls. *queues* are the numbers of the queues that it entered, each
    with what became of the call in that queue.
    """

    outcome: str
    call_type: str
    trunk: str
    did: str = ""
    queues: tuple[tuple[str, str], ...] = ()
    destination: str = ""


class SimulatedCall(NamedTuple):
    """A call: the rows of its legs in the order of their starts, and its truth.

    *uid* is what the rows share, *scenario* the name of what happened, *started* and *ended*
    when its first leg began and its last one ended (UTC epoch seconds). *instants* are where the
    phases of its scenario meet.
    """

    scenario: str
    uid: str
    truth: CallTruth
    started: int
    ended: int
    legs: tuple[Row, ...]
    instants: tuple[int, ...]


def end(leg: Row) -> int:
    """Return when *leg* ended (UTC epoch seconds)."""
    ended: int = leg["timestamp"] + leg.get("duration", 0)
    return ended


def moved(call: SimulatedCall, seconds: int, utc_offset_seconds: int) -> SimulatedCall:
    """Return *call* as a PBX writes it whose clock is *seconds* ahead."""
    legs = tuple(rows.moved(leg, seconds, utc_offset_seconds) for leg in call.legs)
    return call._replace(
        uid=legs[0]["uid"],
        started=call.started + seconds,
        ended=call.ended + seconds,
        legs=legs,
        instants=tuple(instant + seconds for instant in call.instants),
    )


class CallTracker:
    """Which calls have shown all their legs; each leg is known by the serial number of its row.

    *ever* counts, by truth, the calls of which every leg has appeared. A call that loses a leg
    before it appeared stays open for ever.
    """

    def __init__(self) -> None:
        self.ever: Counter[CallTruth] = Counter()
        self._awaited: dict[int, SimulatedCall] = {}
        self._shown: Counter[str] = Counter()  # legs by uid, of the calls that are open

    @property
    def open_calls(self) -> int:
        """How many calls have shown some of their legs and not all."""
        return len(self._shown)

    def expect(self, serial: int, call: SimulatedCall) -> None:
        """Note that row number *serial* will be a leg of *call*."""
        self._awaited[serial] = call

    def lose(self, serial: int) -> None:
        """Note that row number *serial* will never appear."""
        self._awaited.pop(serial, None)

    def appeared(self, serial: int) -> None:
        """Note that row number *serial* appeared; a row that was not expected is of no call."""
        call = self._awaited.pop(serial, None)
        if call is None:
            return
        self._shown[call.uid] += 1
        if self._shown[call.uid] == len(call.legs):
            del self._shown[call.uid]
            self.ever[call.truth] += 1
