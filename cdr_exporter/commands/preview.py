"""How the newest rows of a PBX would be counted, as one value; `preview_text` says it in words.

Pure: page and time are arguments. Rule: nothing is counted here in a way of its own. The rows go
through what counts them in earnest: `Ledger.judge`, `LegClassifier`, `assemble_call`, `PageCount`
and `count_calls`, as the first page of a PBX with `start: all` would.

Rule: no name and no whole number of anybody is kept, so none can be shown. What is left of a number
is in `masked`.

A call of which the page may lack older legs is left out. By id the exporter's own rule says which
these are. By time it would name all of the last `longest_call`, so there they are the calls that
began within `call_settle` of the oldest row: legs mostly follow soon on each other.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from ..calls import (
    NO_UNREAD_LEGS,
    Call,
    CallRules,
    Leg,
    LegClassifier,
    OpenCall,
    SettleRules,
    UnreadLegs,
    assemble_call,
    group_calls,
    with_times_of,
)
from ..calls.callee import (
    CONFLICT,
    NEITHER,
    PERSON,
    QUEUE,
    CalleeParser,
    NumberPlan,
    is_player,
    split_party,
)
from ..cdr import Record
from ..cdr.labels import Labels
from ..ingest import call_rules_of, unread_below
from ..ledger import Ledger, LedgerLimits, PageVerdict, from_the_beginning, start_by_time
from ..ledger.page import Page
from ..ledger.watermark import is_possible
from ..metrics.call_metrics import count_calls
from ..metrics.catalogue import Family
from ..metrics.row_metrics import LabelledRows, PageCount, group_by_labels
from ..metrics.totals import Bounds, Series, Value, initial_totals
from ..settings import PBX
from .newest_rows import NewestRows

OUTSIDE = "outside"
"""Beside the kinds of `calls.callee`: the callee of a leg that leaves by a trunk."""

NO_NUMBER = "no number"

_LEADING_DIGITS, _HIDDEN_DIGITS, _LONGEST_INSIDE = 2, 2, 6
"""How many digits of a number are shown at most, how many are hidden at least, and up to how many
digits its length is shown."""


class Mention(NamedTuple):
    """A masked number, and what `number_plan` says that it is; empty where it says nothing."""

    number: str
    kind: str


class Named(NamedTuple):
    """How many of the numbers that the user gave one label were met, and how many there are."""

    met: int
    numbers: int


class RowFacts(NamedTuple):
    """What the rows are that count, *total* of them.

    *without_id* and *without_uid* are how many have none, *impossible_starts* how many have a start
    that no clock near ours shows, *duplicates* how many share an id. *oldest* and *newest* are
    starts in epoch seconds, 0 where no row has one; *lead* is how many seconds the newest lies in
    the future, 0 where it does not.
    """

    total: int
    without_id: int
    without_uid: int
    impossible_starts: int
    duplicates: int
    oldest: int
    newest: int
    lead: int


class Doubts(NamedTuple):
    """Where the number plan may not fit, as legs by number.

    *neither* and *conflict* are as in `calls.DOUBTS`; *answered_people* is how many ANSWERED legs
    to people inside there are, *neither* among them. *queues_of_nobody* are ANSWERED legs with talk
    to queues in calls that no person took, *odd_callers* rows made from inside by a number that
    the plan takes for no person.
    """

    answered_people: int
    neither: Counter[Mention]
    conflict: Counter[Mention]
    queues_of_nobody: Counter[Mention]
    odd_callers: Counter[Mention]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What counting one page gives.

    *legs* are by kind of callee. *counted* is what rows and calls add to the totals. *left_out*
    are calls that may have older legs; *all_cut* says that this is so of all, so that they are
    counted in spite of it. *named* is by setting and label. *newest_legacy* is the newest start
    that the PBX lists without `from`, where that is another table; else None. *clock_offset* is the
    PBX's clock less ours, in seconds; None where it is not known.
    """

    rows: RowFacts
    legs: Mapping[str, int]
    counted: Mapping[Series, Value]
    left_out: int
    all_cut: bool
    doubts: Doubts
    named: Mapping[str, Mapping[str, Named]]
    newest_legacy: int | None
    clock_offset: float | None

    def by_labels(self, family: Family, *places: int) -> Counter[tuple[str, ...]]:
        """Return a counter's values, by those of its labels that stand at *places*."""
        found: Counter[tuple[str, ...]] = Counter()
        for series, value in self.counted.items():
            if series.family == family.name:
                found[tuple(series.labels[place] for place in places)] += value[0]
        return found

    def by_label(self, family: Family, place: int = 0) -> Counter[str]:
        """Return a counter's values, by the label at *place*."""
        by_labels = self.by_labels(family, place)
        return Counter({label: times for (label,), times in by_labels.items()})


class _ReadLeg(NamedTuple):
    """A row with what it counts as; *doubt* is one of `calls.DOUBTS` or empty."""

    row: Record
    labels: Labels
    leg: Leg
    doubt: str


def preview_of(
    found: NewestRows, pbx: PBX, machines: Sequence[str], bounds: Bounds, now: float
) -> Preview:
    """Return how the rows *found*, those of the first page of a list, would be counted at *now*.

    *machines* are the `machine_callees`; *now* is in epoch seconds.
    """
    rules = call_rules_of(pbx, machines)
    page = found.page.with_missing_ids_rejected()
    verdict = _first_ledger(page, pbx, now).judge(page, now, _limits(pbx))
    groups = group_by_labels(verdict.counted)
    legs = list(_read_legs(groups, LegClassifier(rules)))
    parts, left_out, all_cut = _whole_calls(legs, _edge(page, verdict.ledger, pbx))
    calls = [assemble_call([each.leg for each in part]) for part in parts]
    count = PageCount(bounds, initial_totals().trunks, pbx.max_trunks)
    count.add_rows(groups)
    count.add_rejected(verdict.rejected)
    return Preview(
        rows=_row_facts(verdict, now),
        legs=Counter(_kind(each) for each in legs),
        counted={**count.series(), **count_calls(group_calls(calls), bounds, count.trunks)},
        left_out=left_out,
        all_cut=all_cut,
        doubts=_doubts(rules, legs, zip(parts, calls, strict=True)),
        named=_named(rules, legs),
        newest_legacy=None if found.legacy is None else found.legacy.highest,
        clock_offset=found.clock_offset,
    )


def masked(number: str) -> str:
    """Return *number* with two leading digits at most, and two or more hidden: `64xx`, `2xx`.

    Of longer numbers, which may be somebody's outside, the length is hidden too: `+49x...`.
    """
    plus = "+" if number.startswith("+") else ""
    digits = number.removeprefix("+")
    if not digits:
        return NO_NUMBER
    shown = digits[: max(0, min(_LEADING_DIGITS, len(digits) - _HIDDEN_DIGITS))]
    if len(digits) > _LONGEST_INSIDE:
        return f"{plus}{shown}x..."
    return f"{plus}{shown}{'x' * (len(digits) - len(shown))}"


class _Mentions:
    """Masks the numbers of parties, and looks them up in the number plan of *rules*."""

    def __init__(self, rules: CallRules) -> None:
        self._plan = NumberPlan(rules.number_plan, rules.queues)
        self._parser = CalleeParser(self._plan, rules.machines)

    def of_callees(self, legs: Iterable[_ReadLeg]) -> Counter[Mention]:
        """Return how often each number was called."""
        numbers = (
            self._parser.parse(each.row.call_to, each.row.call_to_number).number for each in legs
        )
        return Counter(map(self._mention, numbers))

    def of_odd_callers(self, legs: Iterable[_ReadLeg]) -> Counter[Mention]:
        """Return how often each number called from inside that is, by the plan, no telephone."""
        callers = (
            self._mention(split_party(each.row.call_from)[1])
            for each in legs
            if each.labels.call_type in ("Outbound", "Internal")
            and not each.labels.came_in_by
            and not is_player(each.row.call_from)
        )
        return Counter(caller for caller in callers if caller.kind not in ("", PERSON))

    def _mention(self, number: str) -> Mention:
        return Mention(masked(number), self._plan.kind_of(number))


def _read_legs(groups: Iterable[LabelledRows], classifier: LegClassifier) -> Iterator[_ReadLeg]:
    for labels, rows in groups:
        for row in rows:
            kind = classifier.kind_of(row)
            yield _ReadLeg(row, labels, with_times_of(row, kind.leg), kind.doubt)


def _row_facts(verdict: PageVerdict, now: float) -> RowFacts:
    rows = verdict.counted
    starts = [row.started_at for row in rows if row.started_at]
    newest = max(starts, default=0)
    return RowFacts(
        total=len(rows),
        without_id=sum(not row.id for row in rows),
        without_uid=sum(not row.uid for row in rows),
        impossible_starts=sum(not is_possible(row.started_at, now) for row in rows),
        duplicates=verdict.duplicates,
        oldest=min(starts, default=0),
        newest=newest,
        lead=max(0, newest - int(now)),
    )


def _doubts(
    rules: CallRules,
    legs: Sequence[_ReadLeg],
    calls: Iterable[tuple[Sequence[_ReadLeg], Call]],
) -> Doubts:
    mentions = _Mentions(rules)
    return Doubts(
        answered_people=sum(_is_answered_person(each) for each in legs),
        neither=mentions.of_callees(each for each in legs if each.doubt == NEITHER),
        conflict=mentions.of_callees(each for each in legs if each.doubt == CONFLICT),
        queues_of_nobody=mentions.of_callees(_queues_of_nobody(calls)),
        odd_callers=mentions.of_odd_callers(legs),
    )


def _limits(pbx: PBX) -> LedgerLimits:
    return LedgerLimits(pbx.late_window, pbx.longest_call)


def _first_ledger(page: Page, pbx: PBX, now: float) -> Ledger:
    if page.order.by_time:
        return start_by_time(None, page.rows, now, _limits(pbx), "all", None)
    return from_the_beginning()


def _edge(page: Page, ledger: Ledger, pbx: PBX) -> UnreadLegs:
    """Say which calls may have legs below *page*."""
    if page.is_last or not ledger.unread:
        return NO_UNREAD_LEGS
    if page.order.by_time:
        return UnreadLegs(started_by=page.lowest + pbx.call_settle)
    one_by_one = pbx.legs_appear == "one_by_one"
    return unread_below(page, ledger, SettleRules(pbx.call_settle, one_by_one, pbx.longest_call))


def _whole_calls(
    legs: Iterable[_ReadLeg], edge: UnreadLegs
) -> tuple[Sequence[Sequence[_ReadLeg]], int, bool]:
    """Return the legs of each call, how many calls are left out, and whether all would have been.

    Where that is so, none is left out.
    """
    by_uid: dict[str, list[_ReadLeg]] = defaultdict(list)
    alone: list[list[_ReadLeg]] = []
    for each in legs:
        if each.row.uid:
            by_uid[each.row.uid].append(each)
        else:
            alone.append([each])
    whole = [call for call in by_uid.values() if not _may_be_cut(call, edge)]
    left_out = len(by_uid) - len(whole)
    if left_out and not whole and not alone:
        return [*by_uid.values()], 0, True
    return [*alone, *whole], left_out, False


def _may_be_cut(call: Sequence[_ReadLeg], edge: UnreadLegs) -> bool:
    return edge.may_hold_legs_of(OpenCall.of((each.leg for each in call), 0.0))


def _kind(each: _ReadLeg) -> str:
    return OUTSIDE if each.labels.leaves else each.leg.kind


def _is_answered_person(each: _ReadLeg) -> bool:
    return _kind(each) == PERSON and each.leg.outcome == "answered"


def _queues_of_nobody(
    calls: Iterable[tuple[Sequence[_ReadLeg], Call]],
) -> Iterator[_ReadLeg]:
    """Yield legs to queues that talked, of calls that nobody is known to have answered."""
    for legs, call in calls:
        if call.outcome != "answered":
            yield from (each for each in legs if each.leg.kind == QUEUE and _talked(each))


def _talked(each: _ReadLeg) -> bool:
    return each.labels.disposition == "ANSWERED" and each.leg.talk > 0


def _named(rules: CallRules, legs: Sequence[_ReadLeg]) -> Mapping[str, Mapping[str, Named]]:
    """Say which of the numbers that the user named were met, by setting and label."""
    destinations = {
        prefix: label for label, prefixes in rules.destinations.items() for prefix in prefixes
    }
    # With each number as its own label the classifier says which number it was.
    apart = LegClassifier(
        replace(
            rules,
            dids={number: number for number in rules.dids},
            queues={number: number for number in rules.queues},
            destinations={prefix: (prefix,) for prefix in destinations},
        )
    )
    met = [apart.classify(each.row) for each in legs]
    return {
        "dids": _met(rules.dids, {leg.did for leg in met}),
        "queues": _met(rules.queues, {leg.queue for leg in met}),
        "destinations": _met(destinations, {leg.destination for leg in met}),
    }


def _met(labels: Mapping[str, str], met: set[str]) -> Mapping[str, Named]:
    """Return for each label how many of its numbers were met; *labels* are by number."""
    numbers: dict[str, list[str]] = defaultdict(list)
    for number, label in labels.items():
        numbers[label].append(number)
    return {label: Named(len(met & set(each)), len(each)) for label, each in numbers.items()}
