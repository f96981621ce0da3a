"""The state of a PBX in words: how it is, what a person should know, and what to do. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..clock import Now
from ..metrics.catalogue import (
    AUTH_BLOCKED,
    BACKLOG,
    CLOCK_OFFSET,
    LAST_RECORD,
    LAST_SUCCESS,
    LINEAGE_SUSPECT,
    PBX_RECORDS,
    RECORDS,
    STATE_RESET,
    STATE_WRITE_OK,
    UP,
    Family,
)
from ..metrics.snapshot import Snapshot
from ..metrics.totals import Series
from . import advice
from .advice import Advice
from .callee_notes import callee_notes
from .text import duration, number, percent

_RESET_SHOWN = 86_400
"""Seconds for which a state that was set aside is spoken of, as its alert is."""

CLOCK_TOLERANCE = 120
"""Seconds by which a PBX's clock may differ from ours before it is spoken of, as in the alert."""


@dataclass(frozen=True, slots=True)
class Status:
    """The state of a PBX: *style* is the class that colours it, *sign* and *word* are shown."""

    style: str
    sign: str
    word: str


# In the order of the landing page: first the PBXs that somebody has to look after.
DOWN = Status("down", "✕", "Down")
ATTENTION = Status("busy", "!", "Needs attention")
BUSY = Status("busy", "↻", "Catching up")
WAIT = Status("wait", "…", "Waiting for the first poll")
UP_NOW = Status("up", "✓", "Up")
STATUSES = (DOWN, ATTENTION, BUSY, WAIT, UP_NOW)


def status_of(snapshot: Snapshot) -> Status:
    """Return the state of the PBX."""
    if not snapshot.attempted:
        return WAIT
    if gauge(snapshot, UP) != 1:
        return DOWN
    if gauge(snapshot, STATE_WRITE_OK) == 0 or gauge(snapshot, LINEAGE_SUSPECT):
        return ATTENTION
    return BUSY if not snapshot.shown or gauge(snapshot, BACKLOG) else UP_NOW


def word_of(snapshot: Snapshot, now: Now) -> str:
    """Return the state in words; of a PBX that is down with how long."""
    state = status_of(snapshot)
    last = gauge(snapshot, LAST_SUCCESS)
    if state is DOWN and last:
        return f"{state.word} for {duration(max(0.0, now.wall - last))}"
    return state.word


def advices(snapshot: Snapshot, now: Now) -> Iterable[Advice]:
    """Yield what somebody has to do, the most urgent first."""
    blocks = [
        series.labels[0]
        for series, value in snapshot.gauges.items()
        if series.family == AUTH_BLOCKED.name and value
    ]
    yield from (advice.BLOCKED[reason] for reason in blocks)
    # A state that was opened has totals: it is one that cannot be written.
    not_written = snapshot.failure_reason == "state" or gauge(snapshot, STATE_WRITE_OK) == 0
    if snapshot.totals.series and snapshot.attempted and not_written:
        yield advice.STATE_NOT_WRITTEN
    elif snapshot.failure_reason and not blocks:
        yield advice.FAILED[snapshot.failure_reason]
    if gauge(snapshot, LINEAGE_SUSPECT):
        yield advice.LINEAGE_SUSPECT
    if abs(gauge(snapshot, CLOCK_OFFSET) or 0) > CLOCK_TOLERANCE:
        yield advice.CLOCK_OFF
    elif (gauge(snapshot, LAST_RECORD) or 0) > now.wall + CLOCK_TOLERANCE:
        yield advice.CLOCK_AHEAD
    if _last_reset(snapshot) > now.wall - _RESET_SHOWN:
        yield advice.STATE_RESET


def notes(snapshot: Snapshot, now: Now) -> Iterable[str]:
    """Yield what a person should know besides, as sentences."""
    if snapshot.failure:
        yield f"Last poll: {snapshot.failure}."
    if snapshot.in_first_read:
        yield f"First read: {first_read_text(snapshot)}."
    elif backlog := gauge(snapshot, BACKLOG):
        yield f"At most {number(backlog)} rows are still to be read."
    if snapshot.shown and not snapshot.shows_calls(now):
        yield "Its call metrics are hidden: no valid answer for longer than stale_after."
    elif snapshot.attempted and not snapshot.shown:
        yield "Its call metrics are hidden until the rows it missed are read."
    yield from callee_notes(snapshot.totals.series)


def first_read_text(snapshot: Snapshot) -> str:
    """Return how far the first read of the whole table is."""
    rows, share = number(rows_counted(snapshot)), first_read_share(snapshot)
    if share is None:
        return f"{rows} rows are read"
    total = number(gauge(snapshot, PBX_RECORDS))
    return f"{rows} of {total} rows are read ({percent(min(share, 0.99))})"


def first_read_share(snapshot: Snapshot) -> float | None:
    """Return which share (0 to 1) of the rows the first read has read, None where unknown."""
    total = gauge(snapshot, PBX_RECORDS) or 0.0
    return min(1.0, rows_counted(snapshot) / total) if total > 0 else None


def gauge(snapshot: Snapshot, family: Family) -> float | None:
    """Return the value of a gauge without labels, None where there is none."""
    return snapshot.gauges.get(Series(family.name))


def rows_counted(snapshot: Snapshot) -> int:
    """Return how many rows were counted."""
    return sum(v[0] for s, v in snapshot.totals.series.items() if s.family == RECORDS.name)


def _last_reset(snapshot: Snapshot) -> float:
    resets = (v for s, v in snapshot.gauges.items() if s.family == STATE_RESET.name)
    return max(resets, default=0.0)
