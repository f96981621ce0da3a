"""The landing page: the state of each PBX in words, and links to everything else.

Rule: a pure function of the snapshots and the current time. Every value is escaped, and nothing is
shown by colour alone. The style in `web.html` uses the class names and labels given here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from urllib.parse import quote

from ..clock import Now
from ..metrics.catalogue import (
    AUTH_BLOCKED,
    BACKLOG,
    LAST_RECORD,
    LAST_SUCCESS,
    LINEAGE_SUSPECT,
    PBX_RECORDS,
    RECORDS,
    STATE_WRITE_OK,
    UP,
    Family,
)
from ..metrics.snapshot import Snapshot
from ..metrics.totals import Series
from .callee_notes import callee_notes

_LINKS = (
    ("metrics", "/metrics", "every PBX, for Prometheus"),
    ("sd", "/sd", "the PBXs as targets, for Prometheus' HTTP service discovery"),
    ("dashboards/", "/dashboards/", "for Grafana"),
    ("rules/", "/rules/", "alerts and recording rules, for Prometheus"),
    ("-/healthy", "/-/healthy", "whether all pollers run"),
    ("-/ready", "/-/ready", "whether every PBX was polled at least once"),
)
_UNITS = (
    ("s", 1, 90),
    ("min", 60, 5400),
    ("h", 3600, 172_800),
    ("days", 86_400, math.inf),
)
"""Units of time: name, seconds, and the number of seconds below which it is used."""

_UNKNOWN = "&ndash;"
_COLUMNS = (
    ("State", ""),
    ("Last success", ""),
    ("Rows counted", "number"),
    ("Rows on the PBX", "number"),
    ("Newest call", ""),
)


@dataclass(frozen=True, slots=True)
class _Status:
    """The state of a PBX: *style* is the class that colours it, *sign* and *word* are shown."""

    style: str
    sign: str
    word: str


# In the order of the page: first the PBXs that somebody has to look after.
_DOWN = _Status("down", "✕", "Down")
_ATTENTION = _Status("busy", "!", "Needs attention")
_BUSY = _Status("busy", "↻", "Catching up")
_WAIT = _Status("wait", "…", "Waiting for the first poll")
_UP = _Status("up", "✓", "Up")
_STATUSES = (_DOWN, _ATTENTION, _BUSY, _WAIT, _UP)


def page_body(snapshots: Sequence[Snapshot], now: Now, version: str) -> str:
    """Return the content of the landing page, as the inside of an HTML body."""
    ordered = sorted(snapshots, key=lambda snapshot: _STATUSES.index(_status(snapshot)))
    heads = "".join(
        f'<th scope="col" role="columnheader" class="{style}">{label}</th>'
        for label, style in (("PBX", ""), *_COLUMNS)
    )
    rows = "".join(_row(snapshot, now) for snapshot in ordered)
    links = "".join(
        f'<li><a href="{href}">{shown}</a> <small>{what}</small></li>'
        for href, shown, what in _LINKS
    )
    return (
        f"<h1>cdr-exporter <small>{escape(version)}</small></h1>"
        f"<p>{_summary(snapshots)}</p>"
        f'<table role="table"><thead role="rowgroup"><tr role="row">{heads}</tr></thead>'
        f'<tbody role="rowgroup">{rows}</tbody></table>'
        f"<h2>More</h2><ul>{links}</ul>"
        f"<footer>As of {_utc_text(now.wall)}; reload the page to update it. "
        "A row is one leg of a call.</footer>"
    )


def _summary(snapshots: Sequence[Snapshot]) -> str:
    states = [_status(snapshot) for snapshot in snapshots]
    counts = [f"{n} {state.word.lower()}" for state in _STATUSES if (n := states.count(state))]
    noun = "PBX" if len(states) == 1 else "PBXs"
    return f"{len(states)} {noun}: {', '.join(counts)}." if states else "No PBX."


def _row(snapshot: Snapshot, now: Now) -> str:
    name, state = escape(snapshot.pbx), _status(snapshot)
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in _notes(snapshot, now))
    word = f"{state.word}{_down_for(snapshot, now)}" if state is _DOWN else state.word
    sign = f'<span class="state"><span aria-hidden="true">{state.sign}</span> {word}</span>'
    cells = (
        sign + notes,
        _time_cell(_gauge(snapshot, LAST_SUCCESS), now),
        _number(_rows_counted(snapshot) or _zero_if_reached(snapshot)),
        _number(_gauge(snapshot, PBX_RECORDS)),
        _time_cell(_gauge(snapshot, LAST_RECORD), now),
    )
    shown = "".join(
        f'<td role="cell" data-label="{label}" class="{style}">{cell}</td>'
        for (label, style), cell in zip(_COLUMNS, cells, strict=True)
    )
    return (
        f'<tr role="row" class="{state.style}"><th scope="row" role="rowheader">'
        f'<a href="metrics?pbx={quote(snapshot.pbx, safe="")}">{name}</a></th>{shown}</tr>'
    )


def _status(snapshot: Snapshot) -> _Status:
    if not snapshot.attempted:
        return _WAIT
    if _gauge(snapshot, UP) != 1:
        return _DOWN
    if _gauge(snapshot, STATE_WRITE_OK) == 0 or _gauge(snapshot, LINEAGE_SUSPECT):
        return _ATTENTION
    return _BUSY if not snapshot.shown or _gauge(snapshot, BACKLOG) else _UP


def _down_for(snapshot: Snapshot, now: Now) -> str:
    last = _gauge(snapshot, LAST_SUCCESS)
    return f" for {_duration(max(0.0, now.wall - last))}" if last else ""


def _notes(snapshot: Snapshot, now: Now) -> Iterable[str]:
    """Yield what a person should know besides the state, the most urgent first."""
    blocks = [
        s.labels[0] for s, v in snapshot.gauges.items() if s.family == AUTH_BLOCKED.name and v
    ]
    if blocks:
        yield f"The PBX refuses the exporter until somebody acts: {', '.join(blocks)}."
    if snapshot.failure:
        yield f"Last poll: {snapshot.failure}."
    if _gauge(snapshot, STATE_WRITE_OK) == 0:
        yield "The state file cannot be written; nothing new is counted."
    if _gauge(snapshot, LINEAGE_SUSPECT):
        yield "Its newest rows do not belong to the CDR list read so far; counting has paused."
    if backlog := _gauge(snapshot, BACKLOG):
        yield f"At most {_number(backlog)} rows are still to be read."
    if snapshot.shown and not snapshot.shows_calls(now):
        yield "Its call metrics are hidden: no valid answer for longer than stale_after."
    elif snapshot.attempted and not snapshot.shown:
        yield "Its call metrics are hidden until the rows it missed are read."
    yield from callee_notes(snapshot.totals.series)


def _gauge(snapshot: Snapshot, family: Family) -> float | None:
    return snapshot.gauges.get(Series(family.name))


def _rows_counted(snapshot: Snapshot) -> int:
    return sum(v[0] for s, v in snapshot.totals.series.items() if s.family == RECORDS.name)


def _zero_if_reached(snapshot: Snapshot) -> float | None:
    """Return 0 for a PBX that was reached and had no rows to count, None for one never reached."""
    return 0.0 if _gauge(snapshot, LAST_SUCCESS) else None


def _number(value: float | None) -> str:
    return f"{value:,.0f}" if value is not None and math.isfinite(value) else _UNKNOWN


def _time_cell(epoch: float | None, now: Now) -> str:
    if epoch == 0:
        return "never"
    if epoch is None or not (date := _utc_text(epoch)):
        return _UNKNOWN
    ago = now.wall - epoch
    relative = f"{_duration(ago)} ago" if ago >= 0 else f"in {_duration(-ago)}"
    return f"<time>{relative}</time><small>{date}</small>"


def _utc_text(epoch: float) -> str:
    """Return *epoch* as a date and time in UTC, or nothing if it is outside the calendar."""
    try:
        return f"{datetime.fromtimestamp(epoch, UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError, OSError):
        return ""


def _duration(seconds: float) -> str:
    """Return *seconds* as a whole number of the unit that `_UNITS` gives for it."""
    unit, size = next((u, size) for u, size, limit in _UNITS if seconds < limit)
    return f"{seconds / size:.0f} {unit}"
