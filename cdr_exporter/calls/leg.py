"""A CDR row as a leg of a call: what is kept of it until the call is counted.

Rule: nothing personal is kept. What numbers mean to the user is looked up when the row is read.

| the leg's disposition | its callee | what became of it |
|---|---|---|
| ANSWERED | a person | answered |
| ANSWERED | a machine | machine |
| ANSWERED, with talk | a ring group | answered: a group talks by its phones |
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
"""What became of a call, the strongest first: a call has that of its strongest leg."""

OTHER_NUMBER = "other"
"""The label of own numbers, queues and destinations that the user did not name."""

_OUTCOME_OF_DISPOSITION = {
    "ANSWERED": "answered",
    "VOICEMAIL": "voicemail",
    "NO ANSWER": "no_answer",
    "BUSY": "busy",
    "FAILED": "failed",
}

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
    """One leg. Times are seconds; *started_at* is 0 where the row did not say.

    *trunk* is a label, `none` without one. *did*, *queue* and *destination* are the labels that
    the user's numbers give it, empty where none applies. *another_may_follow* says that
    another leg may follow it.
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
        """Epoch seconds; 0 when the start is unknown."""
        return self.started_at and self.started_at + self.duration


class CallKind(NamedTuple):
    """What decides the labels of a call of one leg, beside those of the row; see `Leg`."""

    outcome: str
    did: str = ""
    queue: str = ""
    destination: str = ""


@dataclass(frozen=True)
class CallRules:
    """How the rows of one PBX are read: *machines* are beginnings of callees' names.

    *dids* and *queues* map own numbers to labels, *destinations* labels to beginnings of numbers.
    """

    machines: tuple[str, ...] = ()
    dids: Mapping[str, str] = field(default_factory=dict)
    queues: Mapping[str, str] = field(default_factory=dict)
    destinations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class LegClassifier:
    """Reads the rows of one PBX; what it found of a callee it remembers."""

    def __init__(self, rules: CallRules) -> None:
        self._rules = rules
        self._machines = tuple(map(normalised, rules.machines))
        self._prefixes = {
            prefix: label for label, prefixes in rules.destinations.items() for prefix in prefixes
        }
        self._parsed = lru_cache(maxsize=4096)(self._read_callee)

    def classify(self, row: Record, labels: Labels) -> Leg:
        """Return *row*, which counts under *labels*, as a leg."""
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
        """Sort *rows*, which count under *labels*, by what each would be as a call of its own."""
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
    """Say whether another leg may follow.

    The PBX's `reason` tells, where there is one. Without one a machine may always pass a caller
    on; a phone that nobody picked up is taken for the end, or each missed call would be counted
    hours late.
    """
    if disposition == "VOICEMAIL":
        return False
    keys = reason.split()
    if any(key.startswith(_HANDS_ON_REASONS) and key not in _END_REASONS for key in keys):
        return True
    ended = any(key in _END_REASONS for key in keys)
    return callee.is_machine and disposition == "ANSWERED" and not ended
