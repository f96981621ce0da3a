"""A CDR row as a leg of a call: what is kept of the row until the call is counted.

Rule: no name and no number of a person is kept. Which label the user gave a number is looked up
when the row is read.

| disposition of the row | callee | outcome of the leg |
|---|---|---|
| ANSWERED | a person | answered |
| ANSWERED | a machine | machine |
| ANSWERED, talk > 0 | a ring group | answered: somebody talked on one of its phones |
| VOICEMAIL, NO ANSWER, BUSY, FAILED | any | voicemail, no_answer, busy, failed |
| outside the contract | any | unknown |
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from msgspec import Struct

from ..cdr import Record
from ..cdr.labels import Labels
from .callee import Callee, normalised, parse_callee

OUTCOMES = ("answered", "voicemail", "no_answer", "busy", "failed", "machine", "unknown")
"""The outcomes, strongest first: a call has the outcome of its strongest leg."""

OTHER_NUMBER = "other"
"""The label of numbers, queues and destinations that the user's configuration does not name."""

_OUTCOME_OF_DISPOSITION = {
    "ANSWERED": "answered",
    "VOICEMAIL": "voicemail",
    "NO ANSWER": "no_answer",
    "BUSY": "busy",
    "FAILED": "failed",
}

# Words of the CDR field `reason`, or their beginnings: the call goes on with another leg, …
_HANDS_ON_REASONS = (
    "connected",
    "timeout_failover",
    "forwarded",
    "redirected",
    "blind_transfer",
    "attended_transfer_answer",
    "ivr_dial_",
    "ivr_key_",
)
# … and those of them, and others, that end the call.
_END_REASONS = frozenset(
    {
        "hangup",
        "timeout_hangup",
        "max_call_duration",
        "ivr_key_hangup",
        "ivr_key_play_greeting_then_exit",
    }
)


class Leg(Struct, frozen=True, gc=False, array_like=True, order=True):
    """One leg. *started_at* is in epoch seconds, 0 where the row does not say; times are seconds.

    *outcome* is one of `OUTCOMES`; *trunk* is a label value, `none` where the row has no trunk.
    *did*, *queue* and *destination* are the labels that the user gave the row's numbers, empty
    where none applies. *another_may_follow* says whether the call may go on with another leg.

    A leg is saved as a list (see `store.call_rows`), so the order of the fields is part of the
    file format.
    """

    started_at: int
    outcome: str
    call_type: str
    trunk: str
    duration: int = 0
    ring: int = 0
    talk: int = 0
    did: str = ""
    queue: str = ""
    destination: str = ""
    another_may_follow: bool = False

    @property
    def ended_at(self) -> int:
        """When the leg ended, in epoch seconds; 0 when its start is unknown."""
        return self.started_at and self.started_at + self.duration


class CallKind(NamedTuple):
    """The label values of a call of one leg that do not follow from its row's labels; see `Leg`."""

    outcome: str
    did: str = ""
    queue: str = ""
    destination: str = ""


@dataclass(frozen=True)
class CallRules:
    """What the user configured about the rows of one PBX.

    *machines* are the first words of the names of callees that are machines. *dids* and *queues*
    map the user's own numbers to labels; *destinations* maps labels to prefixes of numbers.
    """

    machines: tuple[str, ...] = ()
    dids: Mapping[str, str] = field(default_factory=dict)
    queues: Mapping[str, str] = field(default_factory=dict)
    destinations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class LegClassifier:
    """Turns the rows of one PBX into legs. Parsing of a callee is cached, since callees recur."""

    def __init__(self, rules: CallRules) -> None:
        self._rules = rules
        self._machines = tuple(map(normalised, rules.machines))
        self._prefixes = {
            prefix: label for label, prefixes in rules.destinations.items() for prefix in prefixes
        }
        self._parsed = lru_cache(maxsize=4096)(self._read_callee)

    def classify(self, row: Record, labels: Labels) -> Leg:
        """Return the leg of *row*; *labels* are those of the row."""
        callee = self._parsed(row.call_to)
        return Leg(
            row.started_at,
            _outcome(row, labels.disposition, callee),
            labels.call_type,
            labels.trunk,
            row.duration,
            row.ring_duration,
            row.talk_duration,
            self._did(row, labels.call_type),
            self._queue(callee),
            self._destination(callee.number) if labels.call_type == "Outbound" else "",
            _another_may_follow(row.reason, labels.disposition, callee),
        )

    def group_by_kind(
        self, rows: Sequence[Record], labels: Labels
    ) -> Iterable[tuple[CallKind, Sequence[Record]]]:
        """Group *rows*, all with *labels*, by the kind of call that each of them is on its own."""
        if not rows:
            return ()
        if self._all_alike(rows, labels):
            return [(CallKind(_OUTCOME_OF_DISPOSITION.get(labels.disposition, "unknown")), rows)]
        sorted_rows: dict[CallKind, list[Record]] = defaultdict(list)
        for row in rows:
            leg = self.classify(row, labels)
            sorted_rows[CallKind(leg.outcome, leg.did, leg.queue, leg.destination)].append(row)
        return sorted_rows.items()

    def _all_alike(self, rows: Sequence[Record], labels: Labels) -> bool:
        rules = self._rules
        if rules.dids or rules.queues or rules.destinations:
            return False
        if labels.disposition != "ANSWERED":
            return True
        return not any(self._parsed(each).is_machine for each in {row.call_to for row in rows})

    def _read_callee(self, call_to: str) -> Callee:
        return parse_callee(call_to, self._machines)

    def _did(self, row: Record, call_type: str) -> str:
        if not self._rules.dids or call_type != "Inbound":
            return ""
        return self._rules.dids.get(row.did_number.strip(), OTHER_NUMBER)

    def _queue(self, callee: Callee) -> str:
        if not self._rules.queues:
            return ""
        return self._rules.queues.get(callee.number, OTHER_NUMBER if callee.is_queue else "")

    def _destination(self, number: str) -> str:
        if not self._prefixes:
            return ""
        beginnings = (number[:length] for length in range(len(number), 0, -1))
        return next((self._prefixes[b] for b in beginnings if b in self._prefixes), OTHER_NUMBER)


def _outcome(row: Record, disposition: str, callee: Callee) -> str:
    if disposition == "ANSWERED" and callee.is_machine:
        by_phone = callee.is_ring_group and row.talk_duration > 0
        return "answered" if by_phone else "machine"
    return _OUTCOME_OF_DISPOSITION.get(disposition, "unknown")


def _another_may_follow(reason: str, disposition: str, callee: Callee) -> bool:
    """Say whether another leg of the call may follow.

    The CDR field `reason` decides, where the PBX fills it in. Without it a machine that answered
    may always pass the caller on. A phone that nobody picked up is taken for the end of the call:
    otherwise every missed call would be counted hours late.
    """
    if disposition == "VOICEMAIL":
        return False
    words = reason.split()
    if any(word.startswith(_HANDS_ON_REASONS) and word not in _END_REASONS for word in words):
        return True
    ended = any(word in _END_REASONS for word in words)
    return callee.is_machine and disposition == "ANSWERED" and not ended
