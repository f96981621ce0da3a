"""A CDR row as a leg of a call: what is kept of the row until the call is counted.

Rule: no name and no number of a person is kept. Which label the user gave a number is looked up
when the row is read.

| disposition of the row | callee | outcome of the leg |
|---|---|---|
| any | somebody whom PlayFile or Play Prompt dialled | machine |
| ANSWERED | a person, a conference | answered |
| ANSWERED | a queue | no_answer: the legs of its agents say whether somebody took it |
| ANSWERED | a ring group | answered with talk > 0, else no_answer; legs of members beat it |
| ANSWERED | a machine | machine |
| NO ANSWER | any | busy where `reason` says busy, blocked where it says blacklist, else no_answer |
| VOICEMAIL, BUSY, FAILED | any | voicemail, busy, failed |
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
from ..cdr.contract import NUMBER_PLAN, NumberRanges
from ..cdr.labels import Labels, labels_of_fields
from .callee import (
    CONFERENCE,
    MACHINE,
    NEITHER,
    PERSON,
    QUEUE,
    RING_GROUP,
    Callee,
    CalleeParser,
    NumberPlan,
    is_player,
)

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
"""The outcomes, strongest first: a call has the outcome of its strongest leg."""

OTHER_NUMBER = "other"
"""The label of numbers, queues and destinations that the user's configuration does not name."""

_OUTCOME_OF_DISPOSITION = {
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
    *kind* is what the callee is, see `callee`. *came_in_by* is the label of the trunk by which the
    leg came in, empty where it did not. *did*, *queue* and *destination* are the labels that the
    user gave the row's numbers, empty where none applies. *emergency* says whether an emergency
    number was called, *taken_elsewhere* whether it ended because another phone took the call.
    *another_may_follow* says whether the call may go on with another leg.

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
    kind: str = PERSON
    came_in_by: str = ""
    did: str = ""
    queue: str = ""
    destination: str = ""
    emergency: bool = False
    taken_elsewhere: bool = False
    another_may_follow: bool = False

    @property
    def ended_at(self) -> int:
        """When the leg ended, in epoch seconds; 0 when its start is unknown."""
        return self.started_at and self.started_at + self.duration


@dataclass(frozen=True)
class CallRules:
    """What the user configured about the rows of one PBX.

    *number_plan* holds the first and last numbers of ranges by kind; *machines* are beginnings of
    the names of machines, besides the built-in ones. *dids* and *queues* map the user's own
    numbers to labels; *destinations* maps labels to prefixes of numbers.
    """

    number_plan: Mapping[str, NumberRanges] = field(default_factory=lambda: NUMBER_PLAN)
    machines: tuple[str, ...] = ()
    emergency_numbers: tuple[str, ...] = ()
    dids: Mapping[str, str] = field(default_factory=dict)
    queues: Mapping[str, str] = field(default_factory=dict)
    destinations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class RowKind:
    """What a row is but for its times: its *labels*, and its *leg* with times of 0.

    *doubt* says why it is not sure who was called: one of `callee.DOUBTS`, or empty. A kind is
    equal to itself alone, so that it is found quickly as a key.
    """

    labels: Labels
    leg: Leg
    doubt: str


class RowsOfAKind(NamedTuple):
    """*rows* that are alike but for their times, and for what is not kept of them."""

    kind: RowKind
    rows: Sequence[Record]


def with_times_of(row: Record, like: Leg) -> Leg:
    """Return the leg *like* with the times of *row*."""
    return Leg(
        row.started_at,
        like.outcome,
        like.call_type,
        like.trunk,
        row.duration,
        row.ring_duration,
        row.talk_duration,
        like.kind,
        like.came_in_by,
        like.did,
        like.queue,
        like.destination,
        like.emergency,
        like.taken_elsewhere,
        like.another_may_follow,
    )


_Fields = tuple[str, str, str, str, str, str, str, str, bool, bool]
"""What decides the kind of a row, see `_deciding_fields`."""


class LegClassifier:
    """Turns the rows of one PBX into legs. What a row is but for its times is cached: it recurs."""

    def __init__(self, rules: CallRules) -> None:
        self._rules = rules
        self._emergency = frozenset(rules.emergency_numbers)
        self._plan = NumberPlan(rules.number_plan, rules.queues)
        self._prefixes = {
            prefix: label for label, prefixes in rules.destinations.items() for prefix in prefixes
        }
        self._parse = CalleeParser(self._plan, rules.machines).parse
        self._kind_of_fields = lru_cache(maxsize=4096)(self._kind_of_new_fields)
        self._known_kind = lru_cache(maxsize=4096)(RowKind)

    def classify(self, row: Record) -> Leg:
        """Return the leg of *row*."""
        return with_times_of(row, self.kind_of(row).leg)

    def kind_of(self, row: Record) -> RowKind:
        """Return what *row* is but for its times."""
        return self._kind_of_fields(_deciding_fields(row))

    def by_kind(self, rows: Iterable[Record]) -> Sequence[RowsOfAKind]:
        """Return *rows* by their kind, so that little has to be done for each of many rows."""
        by_fields: dict[_Fields, list[Record]] = defaultdict(list)
        for row in rows:
            by_fields[_deciding_fields(row)].append(row)
        groups: dict[RowKind, list[Record]] = {}
        for fields, alike in by_fields.items():
            # Many numbers and names make one kind.
            groups.setdefault(self._kind_of_fields(fields), []).extend(alike)
        return [RowsOfAKind(*each) for each in groups.items()]

    def _kind_of_new_fields(self, fields: _Fields) -> RowKind:
        labels = labels_of_fields(*fields[:4])
        call_to, number, did, reason, talked, by_player = fields[4:]
        parsed = self._parse(call_to, number)
        callee = Callee(parsed.number, PERSON, "") if labels.leaves else parsed
        outcome = _outcome(labels.disposition, reason, talked, callee)
        leg = Leg(
            0,
            MACHINE if by_player else outcome,
            labels.call_type,
            labels.trunk,
            kind=MACHINE if by_player else callee.kind,
            came_in_by=labels.came_in_by,
            did=self._did(did, labels),
            queue=self._queue(callee),
            destination=self._destination(callee.number) if labels.leaves else "",
            emergency=self._is_emergency(callee.number, labels),
            taken_elsewhere="answer_elsewhere" in reason,
            another_may_follow=_another_may_follow(reason, labels.disposition, callee),
        )
        # The callee of a leg that leaves by a trunk is a person outside, whatever it is called.
        is_sure = by_player or (callee.doubt == NEITHER and labels.disposition != "ANSWERED")
        return self._known_kind(labels, leg, "" if is_sure else callee.doubt)

    def _did(self, number: str, labels: Labels) -> str:
        if not self._rules.dids or not (labels.came_in_by or labels.call_type == "Inbound"):
            return ""
        return self._rules.dids.get(number.strip(), OTHER_NUMBER)

    def _queue(self, callee: Callee) -> str:
        if not self._rules.queues or callee.kind != QUEUE:
            return ""
        return self._rules.queues.get(callee.number, OTHER_NUMBER)

    def _is_emergency(self, number: str, labels: Labels) -> bool:
        """Say whether *number* is an emergency number, and not an extension that has the same."""
        if number not in self._emergency:
            return False
        return labels.leaves or not self._plan.kind_of(number)

    def _destination(self, number: str) -> str:
        if not self._prefixes:
            return ""
        beginnings = (number[:length] for length in range(len(number), 0, -1))
        return next((self._prefixes[b] for b in beginnings if b in self._prefixes), OTHER_NUMBER)


def _deciding_fields(row: Record) -> _Fields:
    """Return all of *row* that decides its kind."""
    return (
        row.disposition,
        row.call_type,
        row.src_trunk,
        row.dst_trunk,
        row.call_to,
        row.call_to_number,
        row.did_number,
        row.reason,
        row.talk_duration > 0,
        is_player(row.call_from),
    )


def _outcome(disposition: str, reason: str, talked: bool, callee: Callee) -> str:
    if disposition == "ANSWERED":
        return _outcome_of_answered(talked, callee)
    if disposition == "NO ANSWER" and "blacklist" in reason:
        return "blocked"
    if disposition == "NO ANSWER" and "busy" in reason:
        return "busy"
    return _OUTCOME_OF_DISPOSITION.get(disposition, "unknown")


def _outcome_of_answered(talked: bool, callee: Callee) -> str:
    if callee.kind in (PERSON, CONFERENCE):
        return "answered"
    if callee.kind == QUEUE:
        return "no_answer"
    if callee.kind == RING_GROUP:
        return "answered" if talked else "no_answer"
    return "machine"


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
    return callee.kind not in (PERSON, CONFERENCE) and disposition == "ANSWERED" and not ended
