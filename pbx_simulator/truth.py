"""What really became of the calls that were made, for whoever compares.

Rule: a truth is declared by whoever made the call up, from what he meant it to be; nothing here
is concluded from rows, so that it can judge whoever concludes.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from . import rows
from .rows import Row

OUTCOMES = ("answered", "voicemail", "no_answer", "busy", "failed", "machine", "unknown")


class CallTruth(NamedTuple):
    """What a call was: *trunk* is that of the leg that decided the *outcome*, or `none`.

    *call_type* is how the call began. *did* is the own number called, *destination* where an
    outbound call went (`national`, `international`); both empty for other calls. *queues* are
    the numbers of the queues that it came to, each once.
    """

    outcome: str
    call_type: str
    trunk: str
    did: str = ""
    queues: tuple[str, ...] = ()
    destination: str = ""


class SimulatedCall(NamedTuple):
    """A call that was made: the rows of its legs in the order of their starts, and its truth.

    *uid* is what the rows share, *scenario* the name of what happened, *started* and *ended*
    when its first leg began and its last one ended (UTC epoch seconds).
    """

    scenario: str
    uid: str
    truth: CallTruth
    started: int
    ended: int
    legs: tuple[Row, ...]


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
    )


class CallTracker:
    """The calls whose legs appear one after the other, each leg known by its serial number.

    *ever* counts, by truth, the calls of which every leg has appeared. A call that loses a leg
    before it appeared stays open.
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
        """Take row number *serial* for a leg of *call*."""
        self._awaited[serial] = call

    def lose(self, serial: int) -> None:
        """Know that row number *serial* will never appear."""
        self._awaited.pop(serial, None)

    def appeared(self, serial: int) -> None:
        """Know that row number *serial* appeared; one that nobody expects is of no call."""
        call = self._awaited.pop(serial, None)
        if call is None:
            return
        self._shown[call.uid] += 1
        if self._shown[call.uid] == len(call.legs):
            del self._shown[call.uid]
            self.ever[call.truth] += 1
