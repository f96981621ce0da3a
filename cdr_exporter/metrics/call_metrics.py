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

from ..calls import OTHER_NUMBER, OUTCOMES, QUEUE_OUTCOMES, Call, CallRules, QueueVisit
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
from .row_metrics import histogram_value
from .totals import Bounds, Series, Value


def count_calls(
    calls: Iterable[Call], bounds: Bounds, trunks: frozenset[str]
) -> dict[Series, Value]:
    """Return what *calls* add to the totals.

    *trunks* are the trunk labels that have series of their own; others count as `other`.
    """
    count = _CallCount()
    for (outcome, call_type, trunk), group in _groups(calls, trunks).items():
        count.add(outcome, call_type, trunk, group)
    return count.series(bounds)


def _groups(
    calls: Iterable[Call], trunks: frozenset[str]
) -> Mapping[tuple[str, str, str], Sequence[Call]]:
    """Return *calls* by outcome, call type and trunk label, so that less is done for each call."""
    groups: dict[tuple[str, str, str], list[Call]] = defaultdict(list)
    for call in calls:
        # The rows of the call were counted before it, so its trunk got series of its own by now or
        # never will.
        trunk = call.trunk if call.trunk in trunks else OTHER_TRUNK
        groups[call.outcome, call.call_type, trunk].append(call)
    return groups


class _CallCount:
    def __init__(self) -> None:
        self._counters: Counter[tuple[Family, tuple[str, ...]]] = Counter()
        self._observed: dict[tuple[Family, tuple[str, ...]], list[int]] = defaultdict(list)

    def add(self, outcome: str, call_type: str, trunk: str, calls: Sequence[Call]) -> None:
        """Count *calls*, which have all of these labels."""
        labels = (call_type, trunk)
        self._counters[CALLS, (outcome, *labels)] += len(calls)
        self._observed[CALL_DURATION, labels] += [call.duration for call in calls]
        self._observed[CALL_LEGS, (call_type,)] += [call.legs for call in calls]
        in_menus = [call.menu for call in calls if call.menu is not None]
        self._observe(CALL_MENU, (call_type,), in_menus)
        if outcome == "no_answer":
            abandoned = [call.abandon for call in calls if call.abandon is not None]
            self._observe(CALL_ABANDON, labels, abandoned)
        elif outcome == "answered":
            self._observe(CALL_WAIT, labels, [call.wait or 0 for call in calls])
            self._observe(CALL_TALK, labels, [call.talk for call in calls])
        if emergencies := sum([call.emergency for call in calls]):
            self._counters[EMERGENCY_CALLS, ()] += emergencies
        for call in [c for c in calls if c.did or c.queues or c.talk_by_destination]:
            self._count_numbers(call)

    def series(self, bounds: Bounds) -> dict[Series, Value]:
        """Return what the calls add to each series."""
        counters = {
            Series(family.name, labels): (count,)
            for (family, labels), count in self._counters.items()
        }
        histograms = {
            Series(family.name, labels): histogram_value(seconds, bounds[family.buckets])
            for (family, labels), seconds in self._observed.items()
        }
        return {**counters, **histograms}

    def _observe(self, family: Family, labels: tuple[str, ...], seconds: Sequence[int]) -> None:
        if seconds:
            self._observed[family, labels] += seconds

    def _count_numbers(self, call: Call) -> None:
        if call.did:
            self._counters[DID_CALLS, (call.did, call.outcome)] += 1
            self._observe(DID_WAIT, (call.did,), _one(call.wait))
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
