"""What calls that are over add to the totals: which call counts in which family.

| family | calls |
|---|---|
| `cdr_calls_total`, `cdr_call_duration_seconds`, `cdr_call_legs` | every call |
| `cdr_call_wait_seconds`, `cdr_call_talk_seconds` | calls with outcome answered |
| `cdr_call_menu_seconds` | calls that met a menu first |
| `cdr_call_abandon_seconds` | calls with outcome no_answer that were handed to people |
| `cdr_did_*` | inbound calls, where dids are named |
| `cdr_queue_*` | calls that came to a queue, once per visit; where queues are named |
| `cdr_destination_*` | calls with a leg that leaves by a trunk, where destinations are named |
| `cdr_emergency_calls_total` | calls to an emergency number |
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from ..calls import (
    OTHER_NUMBER,
    OUTCOMES,
    QUEUE_OUTCOMES,
    Call,
    CallGroup,
    CallRules,
    QueueVisit,
)
from ..cdr.labels import OTHER_TRUNK
from .catalogue import (
    CALL_ABANDON,
    CALL_DURATION,
    CALL_LEGS,
    CALL_MENU,
    CALL_TALK,
    CALL_WAIT,
    CALLS,
    DESTINATION_CALLS,
    DESTINATION_TALK,
    DID_CALLS,
    DID_WAIT,
    EMERGENCY_CALLS,
    QUEUE_ABANDON,
    QUEUE_CALLS,
    QUEUE_WAIT,
    Family,
)
from .new_values import NewValues
from .totals import Bounds, Series, Value


def count_calls(
    groups: Iterable[CallGroup],
    bounds: Bounds,
    trunks: frozenset[str],
    known: Mapping[Series, Value] | None = None,
) -> dict[Series, Value]:
    """Return the value of each series to which the calls in *groups* add something.

    *trunks* are the trunk labels that have series of their own; others count as `other`. *known*
    are the values to which is added; without any, each series begins at 0.
    """
    count = _CallCount(trunks)
    for group in groups:
        count.add(group)
    return count.series(bounds, NewValues(known or {}))


class _CallCount:
    def __init__(self, trunks: frozenset[str]) -> None:
        self._trunks = trunks
        self._counters: Counter[tuple[Family, tuple[str, ...]]] = Counter()
        self._observed: dict[tuple[Family, tuple[str, ...]], list[int]] = defaultdict(list)

    def add(self, group: CallGroup) -> None:
        """Count the calls of *group*."""
        # The rows of a call were counted before it, so its trunk got series of its own by now or
        # never will.
        trunk = group.trunk if group.trunk in self._trunks else OTHER_TRUNK
        by_type, by_trunk = (group.call_type,), (group.call_type, trunk)
        calls = len(group.starts)
        self._counters[CALLS, (group.outcome, *by_trunk)] += calls
        self._observe(CALL_DURATION, by_trunk, group.durations)
        self._observe(CALL_LEGS, by_type, group.legs)
        self._observe(CALL_MENU, by_type, group.menus)
        if group.outcome == "no_answer":
            self._observe(CALL_ABANDON, by_trunk, group.abandons)
        elif group.outcome == "answered":
            self._observe(CALL_WAIT, by_trunk, group.waits)
            self._observe(CALL_TALK, by_trunk, group.talks)
        if group.did:
            self._counters[DID_CALLS, (group.did, group.outcome)] += calls
            self._observe(DID_WAIT, (group.did,), group.waits)
        for call in group.others:
            self._count_numbers(call)

    def series(self, bounds: Bounds, values: NewValues) -> dict[Series, Value]:
        """Return the *values* of the series to which the calls add something."""
        for (family, labels), count in self._counters.items():
            values.add(Series(family.name, labels), count)
        for (family, labels), seconds in self._observed.items():
            values.observe(Series(family.name, labels), seconds, bounds[family.buckets])
        return values.by_series()

    def _observe(self, family: Family, labels: tuple[str, ...], seconds: Sequence[int]) -> None:
        if seconds:
            self._observed[family, labels] += seconds

    def _count_numbers(self, call: Call) -> None:
        if call.emergency:
            self._counters[EMERGENCY_CALLS, ()] += 1
        for visit in call.queues:
            self._count_visit(visit)
        for destination, talk in call.talk_by_destination.items():
            self._counters[DESTINATION_CALLS, (destination,)] += 1
            self._counters[DESTINATION_TALK, (destination,)] += talk

    def _count_visit(self, visit: QueueVisit) -> None:
        self._counters[QUEUE_CALLS, (visit.queue, visit.outcome)] += 1
        self._observe(QUEUE_WAIT, (visit.queue,), _one(visit.wait))
        self._observe(QUEUE_ABANDON, (visit.queue,), _one(visit.abandon))


def _one(seconds: int | None) -> Sequence[int]:
    return () if seconds is None else (seconds,)


def number_zeros(rules: CallRules) -> dict[Series, Value]:
    """Return a series at 0 for each label that the user gave to numbers, and for `other`."""
    by_outcome = (
        (DID_CALLS, rules.dids.values(), OUTCOMES),
        (QUEUE_CALLS, rules.queues.values(), QUEUE_OUTCOMES),
    )
    with_outcome = [
        Series(family.name, (label, outcome))
        for family, labels, outcomes in by_outcome
        for label in _and_other(labels)
        for outcome in outcomes
    ]
    plain = [
        Series(family.name, (label,))
        for family in (DESTINATION_CALLS, DESTINATION_TALK)
        for label in _and_other(rules.destinations)
    ]
    return dict.fromkeys([*with_outcome, *plain], (0,))


def _and_other(labels: Iterable[str]) -> Sequence[str]:
    known = list(dict.fromkeys(labels))
    return [*known, OTHER_NUMBER] if known else []
