"""What an exporter shows of a random office, minute by minute, as arrays for `promql`.

Rows are decoded, put together to calls and counted by the code that does it live. Ledger, store and
poller are left out, which decide only that each row counts once, and when: a row at the first poll
after its call ended, a call two polls later, when it has settled. That the real poller shows the
same is a test of its own (`tests/prometheus/test_counted_office.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from cdr_exporter.calls import Leg, LegClassifier, assemble_call, group_calls
from cdr_exporter.cdr import Record, decode
from cdr_exporter.ingest.call_assembly import call_rules_of
from cdr_exporter.metrics.call_metrics import count_calls
from cdr_exporter.metrics.catalogue import FAMILIES, HISTOGRAM
from cdr_exporter.metrics.row_metrics import PageCount, group_by_labels
from cdr_exporter.metrics.totals import Series, Value, initial_totals, trunk_zeros
from cdr_exporter.settings import PBX, SecretSource

from .promql import Array, Grid, Labels, Vector
from .random_offices import BEGIN, MINUTE, WEEK, WEEKS, Diary, Row, unreached
from .rows import BOUNDS, body

SHOWN_AT_ZERO = 2
"""Minutes for which a new series is shown at 0 (`birth_hold`)."""

READ = frozenset(
    {
        *("cdr_records_total", "cdr_calls_total", "cdr_emergency_calls_total"),
        *("cdr_talk_duration_seconds", "cdr_call_wait_seconds", "cdr_call_abandon_seconds"),
        *("cdr_call_duration_seconds", "cdr_call_talk_seconds"),
    }
)
"""The families that the rules about calls and fraud read."""

SETTLED = 2
"""Polls after a call's rows were seen until it is counted: `call_settle` is over."""

PAGE = 5_000
"""Rows that are decoded at once."""

FAMILY = {family.name: family for family in FAMILIES}

SETTINGS = PBX(
    name="office",
    base_url="http://127.0.0.1",
    client_id="me",
    secret=SecretSource(env="X"),
)

Minutes = NDArray[np.int64]

Changes = Mapping[Series, Mapping[int, Value]]
"""By how much each series rises at the polls; a poll comes each full minute."""


def shown(diary: Diary, weeks: int = WEEKS) -> tuple[Grid, dict[str, Vector]]:
    """Return the minutes of the office's weeks, and each series in them."""
    grid = Grid(BEGIN, weeks * WEEK // MINUTE)
    found: dict[str, Vector] = defaultdict(dict)
    for series, changes in counted(diary.rows, polls(diary, grid)).items():
        for name, labels, values in arrays(series, changes, grid.size):
            found[name][labels] = values
    hide(found, diary, grid)
    found |= gauges(diary, grid)
    return grid, found


# --- When what is counted -------------------------------------------------------------------------


def polls(diary: Diary, grid: Grid) -> Minutes:
    """Return for each minute the one of the next poll that succeeds, this one where it does."""
    found = np.arange(grid.size)
    for begin, end, _ in unreached(diary):
        found[minute_of(begin) : minute_of(end) + 1] = minute_of(end) + 1
    return found


def minute_of(time: float) -> int:
    """Return the first full minute (from `BEGIN`) at *time* or after it."""
    return -(-(int(time) - BEGIN) // MINUTE)


def counted(rows: Iterable[Row], polls: Minutes) -> Changes:
    """Return what *rows* add to each series, and at which poll."""
    numbered = [{"id": n, **row} for n, row in enumerate(rows, start=1)]
    calls: dict[str, list[Record]] = defaultdict(list)
    for first in range(0, len(numbered), PAGE):
        for record in decode(body(numbered[first : first + PAGE])).rows:
            calls[record.uid].append(record)
    by_poll: dict[int, list[list[Record]]] = defaultdict(list)
    for call in calls.values():
        seen = minute_of(max(record.ended_at for record in call))
        if 0 <= seen < len(polls) and polls[seen] < len(polls):
            by_poll[int(polls[seen])].append(call)
    return _counted(by_poll, polls)


def _counted(by_poll: Mapping[int, list[list[Record]]], polls: Minutes) -> Changes:
    classifier = LegClassifier(call_rules_of(SETTINGS))
    found: dict[Series, dict[int, Value]] = defaultdict(dict)
    for series, zero in initial_totals().series.items():
        found[series][0] = zero
    trunks: frozenset[str] = initial_totals().trunks
    for poll in sorted(by_poll):
        count = PageCount(BOUNDS, trunks, SETTINGS.max_trunks)
        count.add_rows(group_by_labels([row for call in by_poll[poll] for row in call]))
        _note(found, poll, {**trunk_zeros(count.trunks - trunks), **count.series()})
        trunks = count.trunks
        settled = poll + SETTLED
        if settled < len(polls):
            calls = [assemble_call(_legs(classifier, call)) for call in by_poll[poll]]
            counted = count_calls(group_calls(calls), BOUNDS, trunks)
            _note(found, int(polls[settled]), counted)
    return found


def _legs(classifier: LegClassifier, call: list[Record]) -> list[Leg]:
    return [classifier.classify(row) for labels, rows in group_by_labels(call) for row in rows]


def _note(found: dict[Series, dict[int, Value]], poll: int, added: Mapping[Series, Value]) -> None:
    for series, value in added.items():
        if series.family in READ:
            known = found[series].get(poll, (0,) * len(value))
            found[series][poll] = tuple(map(sum, zip(known, value, strict=True)))


# --- As Prometheus has it -------------------------------------------------------------------------


def arrays(
    series: Series, changes: Mapping[int, Value], size: int
) -> Iterable[tuple[str, Labels, Array]]:
    """Yield (sample name, labels, a value a minute) of what *series* shows."""
    family = FAMILY[series.family]
    pairs = {"pbx": SETTINGS.name, **dict(zip(family.labels, series.labels, strict=True))}
    born = min(changes)
    if family.kind != HISTOGRAM:
        rises = {poll: value[0] for poll, value in changes.items()}
        yield family.name, frozenset(pairs.items()), _summed(rises, born, size)
        return
    bounds: tuple[int | str, ...] = (*BOUNDS[family.buckets], "+Inf")
    for column, bound in enumerate(bounds):
        if _is_read(family.name, bound):
            rises = {poll: sum(value[: column + 1]) for poll, value in changes.items()}
            labels = {**pairs, "le": bound if isinstance(bound, str) else f"{bound}.0"}
            name = f"{family.name}_bucket"
            yield name, frozenset(labels.items()), _summed(rises, born, size)
    for name, first, last in (("count", 0, -1), ("sum", -1, None)):
        rises = {poll: sum(value[first:last]) for poll, value in changes.items()}
        yield f"{family.name}_{name}", frozenset(pairs.items()), _summed(rises, born, size)


def _is_read(family: str, bound: int | str) -> bool:
    talked = family in ("cdr_talk_duration_seconds", "cdr_call_talk_seconds")
    return talked or bound in (5, 20, "+Inf")


def _summed(rises: Mapping[int, float], born: int, size: int) -> Array:
    """Return the counter; one that is not there from the start is at 0 for a while."""
    found = np.zeros(size)
    found[list(rises)] = list(rises.values())
    found = np.cumsum(found)
    if born:
        found[born : born + SHOWN_AT_ZERO] = 0
        found[:born] = np.nan
    return found


def hide(found: Mapping[str, Vector], diary: Diary, grid: Grid) -> None:
    """Take away what is not shown while the PBX does not answer, or we do not run."""
    for begin, end, _ in unreached(diary):
        for vector in found.values():
            for values in vector.values():
                values[minute_of(begin) : minute_of(end) + 1] = np.nan


def gauges(diary: Diary, grid: Grid) -> dict[str, Vector]:
    up, backlog = np.ones(grid.size), np.zeros(grid.size)
    for begin, end, running in unreached(diary):
        away = slice(minute_of(begin), minute_of(end) + 1)
        up[away] = 0 if running else np.nan
        if not running:
            backlog[away] = np.nan
    times = BEGIN + MINUTE * np.arange(grid.size)
    before, after = diary.offsets
    offset = np.where(times < diary.change, before, after).astype(float)
    labels: Labels = frozenset({"pbx": SETTINGS.name}.items())
    values = {
        "cdr_up": up,
        "cdr_exporter_backlog": backlog,
        "cdr_utc_offset_seconds": offset,
    }
    return {name: {labels: each} for name, each in values.items()}
