"""What calls that are over add to the totals: which call counts in which family.

| family | calls |
|---|---|
| `cdr_calls_total`, `cdr_call_duration_seconds`, `cdr_call_legs` | every call |
| `cdr_call_wait_seconds`, `cdr_call_talk_seconds` | calls with outcome answered |
| `cdr_call_abandon_seconds` | calls with outcome no_answer |
| `cdr_did_calls_total` | inbound calls, where dids are named |
| `cdr_queue_calls_total` | calls that came to a queue, once per queue; where queues are named |
| `cdr_destination_*` | calls with an outbound leg, where destinations are named |
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import NamedTuple

from ..calls import OTHER_NUMBER, OUTCOMES, Call, CallKind, CallRules
from ..cdr.labels import OTHER_TRUNK
from .catalogue import (
    CALL_ABANDON,
    CALL_DURATION,
    CALL_LEGS,
    CALL_TALK,
    CALL_WAIT,
    CALLS,
    DESTINATION_CALLS,
    DESTINATION_TALK,
    DID_CALLS,
    QUEUE_CALLS,
    Family,
)
from .row_metrics import LabelledRows, histogram_value, histogram_value_of_counts
from .totals import Bounds, Series, Value


class SingleLegCalls(NamedTuple):
    """Rows that are calls of one leg and over, all with the same labels and of the same *kind*."""

    kind: CallKind
    group: LabelledRows


def count_calls(
    calls: Iterable[Call],
    single_leg: Iterable[SingleLegCalls],
    bounds: Bounds,
    trunks: frozenset[str],
) -> dict[Series, Value]:
    """Return what *calls*, and the calls of one leg in *single_leg*, add to the totals.

    *trunks* are the trunk labels that have series of their own; others count as `other`.
    """
    count = _CallCount(trunks)
    for call in calls:
        count.add(call)
    for each in single_leg:
        count.add_single_leg_calls(each)
    return count.series(bounds)


class _Seconds:
    """What calls of one call type and trunk add to each histogram: a number of seconds per call."""

    __slots__ = ("abandons", "durations", "talks", "waits")

    def __init__(self) -> None:
        self.durations: list[int] = []
        self.waits: list[int] = []
        self.talks: list[int] = []
        self.abandons: list[int] = []


_HISTOGRAMS: tuple[tuple[Family, Callable[[_Seconds], list[int]]], ...] = (
    (CALL_DURATION, attrgetter("durations")),
    (CALL_WAIT, attrgetter("waits")),
    (CALL_TALK, attrgetter("talks")),
    (CALL_ABANDON, attrgetter("abandons")),
)


class _CallCount:
    def __init__(self, trunks: frozenset[str]) -> None:
        self._trunks = trunks
        self._counters: Counter[tuple[str, tuple[str, ...]]] = Counter()
        self._times: dict[tuple[str, str], _Seconds] = defaultdict(_Seconds)
        self._legs: dict[str, Counter[int]] = defaultdict(Counter)

    def add(self, call: Call) -> None:
        """Count one call."""
        times = self._count_common(call.outcome, call.call_type, call.trunk, [call.duration])
        self._legs[call.call_type][call.legs] += 1
        if call.wait is not None:
            times.waits.append(call.wait)
            times.talks.append(call.talk)
        did = call.did if call.call_type == "Inbound" else ""
        self._count_numbers(call.outcome, 1, did, call.queues, call.talk_by_destination)

    def add_single_leg_calls(self, calls: SingleLegCalls) -> None:
        """Count rows of which each is a call."""
        (outcome, did, queue, destination), ((_, call_type, trunk, _), rows) = calls
        times = self._count_common(outcome, call_type, trunk, [row.duration for row in rows])
        self._legs[call_type][1] += len(rows)
        if outcome == "answered":
            times.waits += [row.ring_duration for row in rows]
            times.talks += [row.talk_duration for row in rows]
        if did or queue or destination:
            talk = {destination: sum(row.talk_duration for row in rows)} if destination else {}
            self._count_numbers(outcome, len(rows), did, (queue,) if queue else (), talk)

    def series(self, bounds: Bounds) -> dict[Series, Value]:
        """Return what the calls add to each series."""
        counters = {Series(*key): (count,) for key, count in self._counters.items()}
        histograms = {
            Series(family.name, labels): histogram_value(seconds, bounds[family.buckets])
            for labels, times in self._times.items()
            for family, of in _HISTOGRAMS
            if (seconds := of(times))
        }
        legs = {
            Series(CALL_LEGS.name, (call_type,)): histogram_value_of_counts(counts, bounds["legs"])
            for call_type, counts in self._legs.items()
        }
        return {**counters, **histograms, **legs}

    def _count_common(
        self, outcome: str, call_type: str, trunk: str, durations: Sequence[int]
    ) -> _Seconds:
        """Count what every call has; return the lists of seconds for its call type and trunk."""
        # The rows of the call were counted before it, so its trunk got series of its own by now or
        # never will.
        trunk = trunk if trunk in self._trunks else OTHER_TRUNK
        self._counters[CALLS.name, (outcome, call_type, trunk)] += len(durations)
        times = self._times[call_type, trunk]
        times.durations += durations
        if outcome == "no_answer":
            times.abandons += durations
        return times

    def _count_numbers(
        self,
        outcome: str,
        times: int,
        did: str,
        queues: Iterable[str],
        talk_by_destination: Mapping[str, int],
    ) -> None:
        if did:
            self._counters[DID_CALLS.name, (did, outcome)] += times
        for queue in queues:
            self._counters[QUEUE_CALLS.name, (queue, outcome)] += times
        for destination, talk in talk_by_destination.items():
            self._counters[DESTINATION_CALLS.name, (destination,)] += times
            self._counters[DESTINATION_TALK.name, (destination,)] += talk


def number_zeros(rules: CallRules) -> dict[Series, Value]:
    """Return a series at 0 for each label that the user gave to numbers, and for `other`."""
    by_outcome = ((DID_CALLS, rules.dids.values()), (QUEUE_CALLS, rules.queues.values()))
    with_outcome = [
        Series(family.name, (label, outcome))
        for family, labels in by_outcome
        for label in _and_other(labels)
        for outcome in OUTCOMES
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
