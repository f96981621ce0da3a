"""What the panels and the recorded KPIs must show of calls that are known: a table.

Each has a function of the calls in the time shown, which returns one number, or numbers by the
values of labels; and how exact what is shown must be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import ceil
from typing import NamedTuple

from pbx_simulator.rows import Row

from .office_of_truth import Call

Key = tuple[str, ...]
"""The values of the labels of a number."""

Numbers = Mapping[Key, float]

COUNT, RATIO, MEAN, ONLY_SAID = "count", "ratio", "mean", "no bound"


class Time(NamedTuple):
    """What was counted in some time: *calls*, and the *rows* of those that were read in it.

    *rows* are (disposition, call_type, trunk), *read* the calls that these are of. *known* says
    when the rows of a call that ended at some moment are read. Durations are in seconds.
    """

    calls: Sequence[Call]
    read: Sequence[Call]
    seconds: float
    known: Callable[[float], float]

    @property
    def rows(self) -> list[tuple[str, str, str]]:
        return [row for call in self.read for row in call.rows]

    @property
    def delays(self) -> list[float]:
        """How long after its end each row was read."""
        return [
            self.known(call.ended) - leg["timestamp"] - leg.get("duration", 0)
            for call in self.read
            for leg in call.legs
        ]

    @property
    def inbound(self) -> list[Call]:
        """Inbound calls that the blacklist did not turn away."""
        return [c for c in self.calls if c.call_type == "Inbound" and c.outcome != "blocked"]

    @property
    def answered(self) -> list[Call]:
        return [call for call in self.inbound if call.outcome == "answered"]

    @property
    def offered(self) -> list[Call]:
        """Inbound calls that met more than machines."""
        return [call for call in self.inbound if call.outcome != "machine"]

    @property
    def on_trunks(self) -> list[Call]:
        return [call for call in self.calls if call.trunk != "none"]


def is_exact(kind: str, shown: float, true: float) -> bool:
    """Say whether a number is within the bounds of its *kind*."""
    error = abs(shown - true)
    if kind == COUNT:
        return round(shown) == true if true <= 1000 else error <= 0.0005 * true
    return {RATIO: error <= 0.001, MEAN: error <= 0.01 * true}.get(kind, True)


def _one(value: float | None) -> Numbers:
    return {} if value is None else {(): value}


def _by(keys: Iterable[Key]) -> Numbers:
    return Counter(keys)


def _divided(part: Numbers, whole: Numbers) -> Numbers:
    return {key: part.get(key, 0) / count for key, count in whole.items() if count}


def _share(part: Sequence[object], whole: Sequence[object]) -> Numbers:
    return _one(len(part) / len(whole) if whole else None)


def _mean(values: Iterable[float | None]) -> Numbers:
    known = [value for value in values if value is not None]
    return _one(sum(known) / len(known) if known else None)


def _means(values: Iterable[tuple[Key, float | None]]) -> Numbers:
    known = [(key, value) for key, value in values if value is not None]
    return _divided(_sums(known), _by(key for key, _ in known))


def _sums(values: Iterable[tuple[Key, float]]) -> Numbers:
    sums: Counter[Key] = Counter()
    for key, value in values:
        sums[key] += value  # type: ignore[assignment]
    return sums


def _level(waits: Iterable[int | None], gave_up: Iterable[int | None]) -> tuple[int, int]:
    """Return how many were answered within 20 s, and of how many."""
    answered = [wait for wait in waits if wait is not None]
    late = [seconds for seconds in gave_up if seconds is not None and seconds > 5]
    return sum(wait <= 20 for wait in answered), len(answered) + len(late)


def service_level(time: Time) -> Numbers:
    part, whole = _level((c.wait for c in time.inbound), (c.gave_up for c in time.inbound))
    return _one(part / whole if whole else None)


def missed(time: Time) -> list[Call]:
    return [call for call in time.inbound if call.outcome == "no_answer"]


def in_queues(time: Time, outcome: str = "") -> Numbers:
    return _by(
        (visit.queue,)
        for call in time.calls
        for visit in call.visits
        if outcome in ("", visit.outcome)
    )


def in_queues_for(time: Time, outcome: str) -> list[tuple[Key, int]]:
    return [
        ((visit.queue,), visit.seconds)
        for call in time.calls
        for visit in call.visits
        if visit.outcome == outcome
    ]


def queue_levels(time: Time) -> Numbers:
    waits, gave_up = in_queues_for(time, "answered"), in_queues_for(time, "no_answer")
    levels = {
        key: _level((w for k, w in waits if k == key), (g for k, g in gave_up if k == key))
        for key, _ in waits + gave_up
    }
    return {key: part / whole for key, (part, whole) in levels.items() if whole}


def to_numbers(time: Time, outcome: str = "") -> Numbers:
    return _by((c.did,) for c in time.inbound if c.did and outcome in ("", c.outcome))


def by_trunk(calls: Iterable[Call]) -> Numbers:
    return _by((call.trunk,) for call in calls)


def tries(time: Time, disposition: str = "") -> Numbers:
    return _by(
        (trunk,)
        for found, call_type, trunk in time.rows
        if call_type == "Outbound" and trunk != "none" and disposition in ("", found)
    )


def erlangs(time: Time) -> Numbers:
    return _sums(((c.trunk,), c.lasted / time.seconds) for c in time.on_trunks)


class Panel(NamedTuple):
    """A number of a panel: its title, and the heading of its column or the legend of its query."""

    title: str
    heading: str
    kind: str
    true: Callable[[Time], Numbers]
    names: tuple[str, ...] = ()
    seconds: int = 0
    """How long the time is that it is of, where that is not the time shown."""

    @property
    def id(self) -> str:
        return f"{self.title}: {self.heading}" if self.heading else self.title


_NUMBER, _QUEUE = (
    "Calls by number (dids in exporter.yml)",
    "Calls by queue (queues in exporter.yml)",
)
_TRUNKS = "Trunks side by side"

IN_RANGE = [
    Panel("Inbound answered", "", RATIO, lambda t: _share(t.answered, t.inbound)),
    Panel("Service level", "", RATIO, service_level),
    Panel("Inbound missed", "", COUNT, lambda t: _one(len(missed(t)))),
    Panel("Average wait", "", MEAN, lambda t: _mean(c.wait for c in t.inbound)),
    Panel("Calls", "", COUNT, lambda t: _one(len(t.calls))),
    Panel("Emergency calls", "", COUNT, lambda t: _one(sum(c.is_emergency for c in t.calls))),
    Panel("Rows", "", COUNT, lambda t: _one(len(t.rows))),
    Panel("Legs per call", "", MEAN, lambda t: _mean(len(c.rows) for c in t.calls)),
    Panel(
        "Dispositions by call type",
        "",
        COUNT,
        lambda t: _by((disposition, kind) for disposition, kind, _ in t.rows),
        ("disposition", "call_type"),
    ),
    Panel(_NUMBER, "Calls", COUNT, lambda t: _numbered(t, ""), ("did",)),
    Panel(
        _NUMBER,
        "Answered",
        RATIO,
        lambda t: _divided(to_numbers(t, "answered"), to_numbers(t)),
        ("did",),
    ),
    Panel(_NUMBER, "No answer", COUNT, lambda t: to_numbers(t, "no_answer"), ("did",)),
    Panel(_NUMBER, "Voicemail", COUNT, lambda t: to_numbers(t, "voicemail"), ("did",)),
    Panel(_NUMBER, "Wait", MEAN, lambda t: _means(((c.did,), c.wait) for c in t.inbound), ("did",)),
    Panel(_QUEUE, "Calls", COUNT, in_queues, ("queue",)),
    Panel(
        _QUEUE,
        "Answered",
        RATIO,
        lambda t: _divided(in_queues(t, "answered"), in_queues(t)),
        ("queue",),
    ),
    Panel(_QUEUE, "In 20 s", RATIO, queue_levels, ("queue",)),
    Panel(_QUEUE, "No answer", COUNT, lambda t: in_queues(t, "no_answer"), ("queue",)),
    Panel(_QUEUE, "Voicemail", COUNT, lambda t: in_queues(t, "voicemail"), ("queue",)),
    Panel(_QUEUE, "Passed on", COUNT, lambda t: in_queues(t, "passed_on"), ("queue",)),
    Panel(_QUEUE, "Wait", MEAN, lambda t: _means(in_queues_for(t, "answered")), ("queue",)),
    Panel(
        _QUEUE, "Gave up after", MEAN, lambda t: _means(in_queues_for(t, "no_answer")), ("queue",)
    ),
    Panel(_TRUNKS, "Calls", COUNT, lambda t: by_trunk(t.on_trunks), ("trunk",)),
    Panel(
        _TRUNKS,
        "Inbound answered",
        RATIO,
        lambda t: _divided(by_trunk(t.answered), by_trunk(t.inbound)),
        ("trunk",),
    ),
    Panel(_TRUNKS, "ASR", RATIO, lambda t: _divided(tries(t, "ANSWERED"), tries(t)), ("trunk",)),
    Panel(_TRUNKS, "Failed", COUNT, lambda t: tries(t, "FAILED"), ("trunk",)),
    Panel(_TRUNKS, "Busy", COUNT, lambda t: tries(t, "BUSY"), ("trunk",)),
    Panel(
        _TRUNKS,
        "ALOC",
        MEAN,
        lambda t: _means(((c.trunk,), c.talk) for c in t.on_trunks if c.outcome == "answered"),
        ("trunk",),
    ),
    Panel(_TRUNKS, "Erlangs", MEAN, erlangs, ("trunk",)),
    Panel(_TRUNKS, "Last hour", COUNT, lambda t: by_trunk(t.on_trunks), ("trunk",), 3600),
    Panel(_TRUNKS, "Last 24 hours", COUNT, lambda t: by_trunk(t.on_trunks), ("trunk",), 86_400),
]
"""Numbers of the whole time shown."""


def _numbered(time: Time, outcome: str) -> Numbers:
    """Return the calls to each own number, those that were turned away too."""
    return _by((c.did,) for c in time.calls if c.did and outcome in ("", c.outcome))


def outside(time: Time) -> list[Call]:
    return [call for call in time.calls if call.destination]


IN_BARS = [
    Panel(
        "Calls by outcome", "", COUNT, lambda t: _by((c.outcome,) for c in t.calls), ("outcome",)
    ),
    Panel(
        "Inbound missed, by patience",
        "Within 5 s",
        COUNT,
        lambda t: _one(sum((c.gave_up or 0) <= 5 for c in missed(t))),
    ),
    Panel(
        "Inbound missed, by patience",
        "After more than 5 s",
        COUNT,
        lambda t: _one(sum((c.gave_up or 0) > 5 for c in missed(t))),
    ),
    Panel(
        "Inbound calls that were offered to nobody",
        "",
        COUNT,
        lambda t: _by(
            (c.outcome,)
            for c in t.calls
            if c.call_type == "Inbound" and c.outcome in ("machine", "blocked")
        ),
        ("outcome",),
    ),
    Panel("Calls by trunk", "", COUNT, lambda t: by_trunk(t.on_trunks), ("trunk",)),
    Panel("Failed tries by trunk", "", COUNT, lambda t: tries(t, "FAILED"), ("trunk",)),
    Panel("Busy tries by trunk", "", COUNT, lambda t: tries(t, "BUSY"), ("trunk",)),
    Panel(
        "Outbound calls by destination",
        "",
        COUNT,
        lambda t: _by((c.destination,) for c in outside(t)),
        ("destination",),
    ),
    Panel(
        "Talk time by destination",
        "",
        COUNT,
        lambda t: _sums(((c.destination,), c.talk_outside) for c in outside(t)),
        ("destination",),
    ),
    Panel(
        "Rows by disposition", "", COUNT, lambda t: _by(row[:1] for row in t.rows), ("disposition",)
    ),
    Panel(
        "Rows by call type", "", COUNT, lambda t: _by(row[1:2] for row in t.rows), ("call_type",)
    ),
    Panel("Rows by trunk", "", COUNT, lambda t: _by(row[2:] for row in t.rows), ("trunk",)),
]
"""Counts of bars, each of the time after its timestamp."""

ENOUGH = 5


def _of_enough(values: Numbers, counts: Numbers) -> Numbers:
    return {key: value for key, value in values.items() if counts.get(key, 0) >= ENOUGH}


def _aloc(time: Time) -> Numbers:
    talked = [call for call in time.on_trunks if call.outcome == "answered"]
    return _of_enough(_means(((c.trunk,), c.talk) for c in talked), by_trunk(talked))


def _level_of_enough(time: Time) -> Numbers:
    _, whole = _level((c.wait for c in time.inbound), (c.gave_up for c in time.inbound))
    return service_level(time) if whole >= ENOUGH else {}


IN_POINTS = [
    Panel(
        "Inbound answered and in time",
        "Answered",
        RATIO,
        lambda t: _of_enough(_share(t.answered, t.inbound), _one(len(t.inbound))),
    ),
    Panel("Inbound answered and in time", "Answered within 20 s", RATIO, _level_of_enough),
    Panel(
        "Answer-seizure ratio (ASR)",
        "",
        RATIO,
        lambda t: _of_enough(_divided(tries(t, "ANSWERED"), tries(t)), tries(t)),
        ("trunk",),
    ),
    Panel("Average length of conversation (ALOC)", "", MEAN, _aloc, ("trunk",)),
]
"""Shares and means of points, each of the time after its timestamp; none of fewer than five."""


class Percentiles(NamedTuple):
    """A panel with the median and the 90th percentile of some values, put into buckets."""

    title: str
    values: Callable[[Time], Sequence[float]]
    bounds: Sequence[float]

    def as_drawn(self, share: float, time: Time) -> Numbers:
        """Return what the documentation says that is drawn.

        On a straight line through the bucket in which the percentile lies; the highest bound where
        it lies above that.
        """
        values = self.values(time)
        if len(values) < ENOUGH:
            return {}
        wanted = share * len(values)
        below = 0.0
        for bound in self.bounds:
            up_to, before = (sum(value <= edge for value in values) for edge in (bound, below))
            if up_to >= wanted:
                before = before if below else 0
                return _one(below + (bound - below) * (wanted - before) / (up_to - before))
            below = bound
        return _one(self.bounds[-1])

    def true(self, share: float, time: Time) -> Numbers:
        """Return the least value that such a *share* of the values does not exceed."""
        values = sorted(self.values(time))
        return _one(values[ceil(share * len(values)) - 1]) if len(values) >= ENOUGH else {}


SHARES = {"Half at most": 0.5, "9 of 10 at most": 0.9}


def _of_rows(field: str, counts: Callable[[Row, str], bool]) -> Callable[[Time], Sequence[float]]:
    """Return what gives one duration of all rows that it is counted of."""
    return lambda time: [
        leg.get(field, 0)
        for call in time.read
        for leg, (disposition, _, _) in zip(call.legs, call.rows, strict=True)
        if counts(leg, disposition)
    ]


def percentiles(bounds: Mapping[str, Sequence[float]]) -> Sequence[Percentiles]:
    """Return all panels with percentiles, those of calls first; *bounds* are of the buckets."""
    return [
        Percentiles(
            "Wait until answered",
            lambda t: [call.wait for call in t.answered if call.wait is not None],
            bounds["wait"],
        ),
        Percentiles("Delay until counted", lambda t: t.delays, bounds["delay"]),
        Percentiles(
            "Time in menus",
            lambda t: [call.menu for call in t.calls if call.menu is not None],
            bounds["wait"],
        ),
        Percentiles(
            "Talk time",
            lambda t: [call.talk for call in t.calls if call.outcome == "answered"],
            bounds["duration"],
        ),
        Percentiles(
            "Duration", _of_rows("duration", lambda _leg, _found: True), bounds["duration"]
        ),
        Percentiles(
            "Ring duration",
            _of_rows(
                "ring_duration",
                lambda leg, found: (
                    found in ("ANSWERED", "VOICEMAIL") or leg.get("ring_duration", 0) > 0
                ),
            ),
            bounds["ring"],
        ),
        Percentiles(
            "Talk duration",
            _of_rows(
                "talk_duration",
                lambda leg, found: found == "ANSWERED" or leg.get("talk_duration", 0) > 0,
            ),
            bounds["duration"],
        ),
    ]


def _outcomes(time: Time) -> Numbers:
    return _by((call.outcome,) for call in time.calls if call.call_type == "Inbound")


def _shares(part: Numbers, whole: float) -> Numbers:
    return {key: count / whole for key, count in part.items()} if whole else {}


def _talked(time: Time) -> list[tuple[Key, float]]:
    answered = [call for call in time.calls if call.outcome == "answered"]
    return [((call.call_type, call.trunk), call.talk) for call in answered]


def _gave_up_soon(time: Time) -> list[Call]:
    return [call for call in missed(time) if call.gave_up is not None and call.gave_up <= 5]


def _effective(time: Time) -> Numbers:
    failed = tries(time, "FAILED")
    return {key: 1 - failed.get(key, 0) / count for key, count in tries(time).items()}


def _did_shares(time: Time) -> Numbers:
    whole = to_numbers(time)
    parts = _by((c.did, c.outcome) for c in time.inbound if c.did)
    return {key: count / whole[key[:1]] for key, count in parts.items()}


def _queue_shares(time: Time) -> Numbers:
    whole = in_queues(time)
    parts = _by((visit.queue, visit.outcome) for call in time.calls for visit in call.visits)
    return {key: count / whole[key[:1]] for key, count in parts.items()}


def _leg_erlangs(time: Time) -> Numbers:
    return _sums(
        ((trunk,), leg.get("duration", 0) / time.seconds)
        for call in time.read
        for leg, (_, _, trunk) in zip(call.legs, call.rows, strict=True)
        if trunk != "none"
    )


KPIS = [
    Panel(
        "pbx_disposition_trunk:cdr_outbound_records:increase",
        "",
        COUNT,
        lambda t: _by(
            (found, trunk)
            for found, kind, trunk in t.rows
            if kind == "Outbound" and trunk != "none"
        ),
        ("disposition", "trunk"),
    ),
    Panel("pbx_trunk:cdr_outbound_records:increase", "", COUNT, tries, ("trunk",)),
    Panel(
        "pbx_trunk:cdr_answer_seizure:ratio",
        "",
        RATIO,
        lambda t: _divided(tries(t, "ANSWERED"), tries(t)),
        ("trunk",),
    ),
    Panel("pbx_trunk:cdr_network_effectiveness:ratio", "", RATIO, _effective, ("trunk",)),
    Panel(
        "pbx_call_type_trunk:cdr_call_talk_seconds_count:increase",
        "",
        COUNT,
        lambda t: _by(key for key, _ in _talked(t)),
        ("call_type", "trunk"),
    ),
    Panel(
        "pbx_call_type_trunk:cdr_call_talk_seconds:mean",
        "",
        MEAN,
        lambda t: _means(_talked(t)),
        ("call_type", "trunk"),
    ),
    Panel("pbx_outcome:cdr_inbound_calls:increase", "", COUNT, _outcomes, ("outcome",)),
    Panel("pbx:cdr_inbound_calls:increase", "", COUNT, lambda t: _one(len(t.inbound))),
    Panel(
        "pbx_outcome:cdr_inbound_calls:ratio",
        "",
        RATIO,
        lambda t: _shares(_by((c.outcome,) for c in t.inbound), len(t.inbound)),
        ("outcome",),
    ),
    Panel("pbx:cdr_inbound_calls_offered:increase", "", COUNT, lambda t: _one(len(t.offered))),
    Panel("pbx:cdr_abandonment:ratio", "", RATIO, lambda t: _share(missed(t), t.offered)),
    Panel(
        "pbx:cdr_short_abandonment:ratio", "", RATIO, lambda t: _share(_gave_up_soon(t), t.offered)
    ),
    Panel(
        "pbx:cdr_service_level_calls:increase",
        "",
        COUNT,
        lambda t: _one(_level((c.wait for c in t.inbound), (c.gave_up for c in t.inbound))[1]),
    ),
    Panel("pbx:cdr_service_level_20s:ratio", "", RATIO, service_level),
    Panel(
        "pbx:cdr_inbound_wait_seconds_count:increase", "", COUNT, lambda t: _one(len(t.answered))
    ),
    Panel(
        "pbx:cdr_inbound_wait_seconds:mean", "", MEAN, lambda t: _mean(c.wait for c in t.inbound)
    ),
    Panel("pbx_did:cdr_did_calls:increase", "", COUNT, to_numbers, ("did",)),
    Panel("pbx_did_outcome:cdr_did_calls:ratio", "", RATIO, _did_shares, ("did", "outcome")),
    Panel("pbx_queue:cdr_queue_calls:increase", "", COUNT, in_queues, ("queue",)),
    Panel(
        "pbx_queue_outcome:cdr_queue_calls:ratio", "", RATIO, _queue_shares, ("queue", "outcome")
    ),
]
"""What is recorded of the last hour, and of the last day: each name ends in `1h` or `1d`."""

TRAFFIC_KPIS = [
    Panel("pbx_trunk:cdr_calls:increase", "", COUNT, lambda t: by_trunk(t.on_trunks), ("trunk",)),
    Panel("pbx_trunk:cdr_traffic_erlangs:rate", "", MEAN, erlangs, ("trunk",)),
    Panel("pbx_trunk:cdr_leg_traffic_erlangs:rate", "", MEAN, _leg_erlangs, ("trunk",)),
]
"""What is recorded of the last hour only."""
