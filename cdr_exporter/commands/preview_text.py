"""A preview in words: lines of at most `WIDTH` columns, few where all is well.

Facts come first, one line for each kind of them; then, marked `!`, what looks odd and what to do.
Labels are those of `/metrics`. A label that is longer than a line is broken.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, tzinfo

from ..calls import OUTCOMES
from ..calls.callee import CONFERENCE, MACHINE, MENU, PERSON, QUEUE, RING_GROUP
from ..cdr.contract import CALL_TYPES
from ..cdr.labels import OTHER_CALL_TYPE
from ..metrics.catalogue import (
    CALLS,
    DESTINATION_CALLS,
    DID_CALLS,
    EMERGENCY_CALLS,
    FOLDED_TRUNKS,
    QUEUE_CALLS,
    RECORDS,
    REJECTED_FIELDS,
    REJECTED_RECORDS,
    UNKNOWN_VALUES,
    Family,
)
from .preview import OUTSIDE, Doubts, Mention, Preview, RowFacts

WIDTH = 80
"""Columns."""

_HEADING, _MARK = 15, "  ! "
_MOST_NAMES = 12
"""How many labels or numbers a line names."""

_WORDS = {
    PERSON: "people here",
    OUTSIDE: "people outside",
    RING_GROUP: "ring groups",
    QUEUE: "queues",
    CONFERENCE: "conferences",
    MENU: "menus",
    MACHINE: "machines",
}
"""The kinds of callees, in the order in which they are shown."""

_NAMED = {"dids": DID_CALLS, "queues": QUEUE_CALLS, "destinations": DESTINATION_CALLS}

_TOLERATED_SECONDS = 60
"""By which a clock may be off, and a start lie in our future: clocks differ a little."""

_LARGE_SHARE = 0.1
"""Of the legs that people answered; below, nobody needs to be told where a few are in doubt."""


def preview_text(preview: Preview, zone: tzinfo) -> str:
    """Return *preview* in words, with times in *zone*; empty where there is no row at all."""
    lines = [*_facts(preview, zone), *_hints(preview, zone)]
    return "".join(f"{line}\n" for line in lines)


# --- facts ---------------------------------------------------------------------------------------


def _facts(preview: Preview, zone: tzinfo) -> Iterator[str]:
    if preview.rows.total:
        yield from _fact("rows", _rows(preview, zone))
        kinds = {_WORDS[kind]: preview.legs.get(kind, 0) for kind in _WORDS}
        yield from _fact("legs to", _counted(kinds, kinds))
        yield from _calls(preview)
        yield from _fact("trunks", _most(preview.by_label(RECORDS, 2)))
        for setting, family in _NAMED.items():
            yield from _fact(setting, _named(preview, setting, family))
    yield from _odd_facts(preview)


def _rows(preview: Preview, zone: tzinfo) -> str:
    ids = {0: "all with ids", preview.rows.total: "without ids"}
    had = ids.get(preview.rows.without_id, f"{preview.rows.without_id} without id")
    span = _span(preview, zone) if preview.rows.newest else "without start"
    return f"the newest {preview.rows.total}, {had}; {span}"


def _calls(preview: Preview) -> Iterator[str]:
    """Yield a table: a line for each call type, a column for each outcome, where there are any."""
    found = preview.by_labels(CALLS, 1, 0)
    types = [each for each in (*CALL_TYPES, OTHER_CALL_TYPE) if any(t == each for t, _ in found)]
    outcomes = [each for each in OUTCOMES if any(o == each for _, o in found)]
    yield from _fact("calls", " ".join(outcomes))
    for call_type in types:
        cells = (f"{found[call_type, outcome]:>{len(outcome)}}" for outcome in outcomes)
        yield f"    {call_type}".ljust(_HEADING) + " ".join(cells)
    if preview.left_out:
        yield from _fact("", f"{preview.left_out} more may have older rows, and are left out")


def _named(preview: Preview, setting: str, family: Family) -> str:
    """Return the calls of each label of a setting, and which of its numbers were not met."""
    labels = preview.named[setting]
    if not labels:
        return ""
    never = [
        f"{label} ({each.numbers - each.met} of {each.numbers} numbers)" if each.met else label
        for label, each in labels.items()
        if each.met < (1 if setting == "destinations" else each.numbers)
    ]
    met = _most(preview.by_label(family)) or "none"
    return f"{met}; never met: {_some(never)}" if never else met


def _odd_facts(preview: Preview) -> Iterator[str]:
    """Yield what is mostly not there, and so not spoken of."""
    of_family = (
        ("rejected", "rows, by reason: ", _most(preview.by_label(REJECTED_RECORDS))),
        ("unusable", "fields taken as missing: ", _most(preview.by_label(REJECTED_FIELDS))),
        ("unknown", "values outside the contract: ", _most(preview.by_label(UNKNOWN_VALUES))),
        ("emergency", "calls to emergency_numbers: ", _total(preview, EMERGENCY_CALLS)),
        ("max_trunks", 'rows counted as trunk="other": ', _total(preview, FOLDED_TRUNKS)),
        ("same id", "rows that share one with another: ", str(preview.rows.duplicates or "")),
    )
    for heading, what, found in of_family:
        if found:
            yield from _fact(heading, what + found)


def _total(preview: Preview, family: Family) -> str:
    return str(preview.by_labels(family).total() or "")


# --- hints ---------------------------------------------------------------------------------------


def _hints(preview: Preview, zone: tzinfo) -> Iterator[str]:
    clock_hints = _clock_hints(preview.rows, preview.clock_offset)
    number_hints = _number_hints(preview.doubts, preview.rows.total)
    for hint in (*clock_hints, *number_hints, *_row_hints(preview, zone)):
        yield from _wrapped(hint, _MARK, " " * len(_MARK))


def _clock_hints(rows: RowFacts, offset: float | None) -> Iterator[str]:
    if offset is not None and abs(offset) > _TOLERATED_SECONDS:
        side = "ahead of" if offset > 0 else "behind"
        yield (
            f"by its answers the PBX's clock is {_duration(abs(offset))} {side} this machine's: "
            "set the wrong one right, best by NTP"
        )
    if rows.lead > _TOLERATED_SECONDS:
        yield (
            f"the newest row begins {_duration(rows.lead)} from now: is the PBX's clock right, "
            "and this machine's?"
        )
    if rows.impossible_starts:
        yield (
            f"{_times(rows.impossible_starts, 'row')} with a start before 2000, more than a day "
            "from now, or none: such a time is in no gauge and no delay"
        )


def _number_hints(doubts: Doubts, rows: int) -> Iterator[str]:
    if doubts.conflict:
        yield (
            f"{doubts.conflict.total()} of {_times(rows, 'leg')}: number_plan says one "
            f"thing of the number and the callee's name another ({_mentions(doubts.conflict)}); "
            "the number counts: check number_plan"
        )
    if doubts.neither.total() > _LARGE_SHARE * doubts.answered_people:
        yield (
            f"{doubts.neither.total()} of {doubts.answered_people} legs answered by people here: "
            f"neither number nor name says that it was a person ({_mentions(doubts.neither)}). "
            "They count as persons. Write what these numbers are into number_plan. Is the PBX in "
            "another language? Its names of machines without a number go into machine_callees"
        )
    elif doubts.neither:
        yield (
            f"{_times(doubts.neither.total(), 'answered leg')} of whom neither number nor name "
            f"says who it was ({_mentions(doubts.neither)}): counted as persons, see number_plan"
        )
    if doubts.odd_callers:
        yield (
            f"{_times(doubts.odd_callers.total(), 'row')} made by numbers that are no telephones "
            f"by number_plan ({_mentions(doubts.odd_callers)}): check number_plan"
        )
    if doubts.queues_of_nobody:
        yield (
            f"{_times(doubts.queues_of_nobody.total(), 'answered leg')} with talk to what "
            "number_plan or the name says are queues, and no person answered "
            f"({_mentions(doubts.queues_of_nobody)}): if these are people, check number_plan"
        )


def _row_hints(preview: Preview, zone: tzinfo) -> Iterator[str]:
    if preview.newest_legacy is not None:
        yield (
            "without the parameter from=new this PBX lists only rows from before its upgrade, "
            f"{_newest(preview.newest_legacy, zone)}; shown here are those of from=new"
        )
    if preview.rows.without_uid:
        rows = _times(preview.rows.without_uid, "row")
        yield f"{rows} without uid: each counts as a call of its own"
    if preview.all_cut:
        yield "all calls may have older rows than these; they are shown as if they had none"


def _mentions(found: Mapping[Mention, int]) -> str:
    """Return numbers, what the plan says of them, and how often each was met."""
    return _most({_mention(each): times for each, times in found.items()})


def _mention(mention: Mention) -> str:
    kind = _WORDS[mention.kind] if mention.kind else ""
    return f"{mention.number} in {kind}" if kind else mention.number


# --- lines ---------------------------------------------------------------------------------------


def _fact(heading: str, text: str) -> Iterable[str]:
    """Return the lines of a fact, none where there is no *text*."""
    return _wrapped(text, f"  {heading}".ljust(_HEADING), " " * _HEADING)


def _wrapped(text: str, first: str, further: str) -> Iterable[str]:
    """Return *text* in lines, the first one indented by *first*."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=further,
        break_on_hyphens=False,  # of the name of a trunk
    )


def _counted(values: Mapping[str, int], order: Iterable[str]) -> str:
    return ", ".join(f"{name} {values[name]}" for name in order if values[name])


def _most(values: Mapping[str, int]) -> str:
    """Return *values*, the largest first, and how many more there are."""
    ordered = sorted(values.items(), key=lambda each: (-each[1], each[0]))
    return _some(f"{name} {times}" for name, times in ordered)


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = len(listed) - _MOST_NAMES
    ending = f" and {more} more" if more > 0 else ""
    return ", ".join(listed[:_MOST_NAMES]) + ending


def _times(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _newest(start: int, zone: tzinfo) -> str:
    return f"the newest of {_time(start, zone)}" if start else "of which there is none"


def _span(preview: Preview, zone: tzinfo) -> str:
    """Return oldest and newest start, the day once where it is the same."""
    oldest, newest = _time(preview.rows.oldest, zone), _time(preview.rows.newest, zone)
    day, _, time = newest.rpartition(" ")
    return f"{oldest} to {time if oldest.startswith(day) else newest} {zone}"


def _time(epoch: int, zone: tzinfo) -> str:
    return f"{datetime.fromtimestamp(epoch, zone):%Y-%m-%d %H:%M}"


def _duration(seconds: float) -> str:
    unit, size = next(
        (u, s) for u, s in (("days", 86400), ("h", 3600), ("min", 60)) if seconds >= s
    )
    return f"{seconds / size:.0f} {unit}"
