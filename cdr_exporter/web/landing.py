"""The page for people: how each PBX is doing, in words, and where everything else is.

Rule: a pure function of snapshots and *now*. Every value is escaped, and nothing is told by colour
alone. How it looks is `web.document`'s: its style goes by the class names and labels given here.
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

_LINKS = (
    ("metrics", "/metrics", "every PBX, for Prometheus"),
    ("sd", "/sd", "the PBXs as targets, for Prometheus' HTTP service discovery"),
    ("dashboards/", "/dashboards/", "for Grafana"),
    ("rules/", "/rules/", "alerts and recording rules, for Prometheus"),
    ("-/healthy", "/-/healthy", "this program and its pollers run"),
    ("-/ready", "/-/ready", "every PBX was polled at least once"),
)
_UNITS = (
    ("s", 1, 90),
    ("min", 60, 5400),
    ("h", 3600, 172_800),
    ("days", 86_400, math.inf),
)
_UNKNOWN = "&ndash;"
_COLUMNS = (
    ("State", ""),
    ("Last success", ""),
    ("Rows counted", "number"),
    ("Rows on the PBX", "number"),
    ("Newest call", ""),
)


@dataclass(frozen=True, slots=True)
class _State:
    """How a PBX is doing: *style* colours it, *sign* and *word* say it."""

    style: str
    sign: str
    word: str


# Those that need somebody come first on the page.
_DOWN = _State("down", "✕", "Down")
_LOOK = _State("busy", "!", "Needs a look")
_BUSY = _State("busy", "↻", "Catching up")
_WAIT = _State("wait", "…", "Waiting for the first poll")
_UP = _State("up", "✓", "Up")
_STATES = (_DOWN, _LOOK, _BUSY, _WAIT, _UP)


def content(snapshots: Sequence[Snapshot], now: Now, version: str) -> str:
    """Return what stands on the landing page, as the inside of an HTML body."""
    ordered = sorted(snapshots, key=lambda snapshot: _STATES.index(_state(snapshot)))
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
        f"<footer>As of {_utc(now.wall)}; reload for newer. A row is one leg of a call.</footer>"
    )


def _summary(snapshots: Sequence[Snapshot]) -> str:
    states = [_state(snapshot) for snapshot in snapshots]
    counts = [f"{n} {state.word.lower()}" for state in _STATES if (n := states.count(state))]
    noun = "PBX" if len(states) == 1 else "PBXs"
    return f"{len(states)} {noun}: {', '.join(counts)}." if states else "No PBX."


def _row(snapshot: Snapshot, now: Now) -> str:
    name, state = escape(snapshot.pbx), _state(snapshot)
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in _notes(snapshot, now))
    word = f"{state.word}{_since(snapshot, now)}" if state is _DOWN else state.word
    sign = f'<span class="state"><span aria-hidden="true">{state.sign}</span> {word}</span>'
    cells = (
        sign + notes,
        _moment(_gauge(snapshot, LAST_SUCCESS), now),
        _number(_counted(snapshot) or _nothing_yet(snapshot)),
        _number(_gauge(snapshot, PBX_RECORDS)),
        _moment(_gauge(snapshot, LAST_RECORD), now),
    )
    shown = "".join(
        f'<td role="cell" data-label="{label}" class="{style}">{cell}</td>'
        for (label, style), cell in zip(_COLUMNS, cells, strict=True)
    )
    return (
        f'<tr role="row" class="{state.style}"><th scope="row" role="rowheader">'
        f'<a href="metrics?pbx={quote(snapshot.pbx, safe="")}">{name}</a></th>{shown}</tr>'
    )


def _state(snapshot: Snapshot) -> _State:
    if not snapshot.attempted:
        return _WAIT
    if _gauge(snapshot, UP) != 1:
        return _DOWN
    if _gauge(snapshot, STATE_WRITE_OK) == 0 or _gauge(snapshot, LINEAGE_SUSPECT):
        return _LOOK
    return _BUSY if not snapshot.shown or _gauge(snapshot, BACKLOG) else _UP


def _since(snapshot: Snapshot, now: Now) -> str:
    last = _gauge(snapshot, LAST_SUCCESS)
    return f" for {_length(max(0.0, now.wall - last))}" if last else ""


def _notes(snapshot: Snapshot, now: Now) -> Iterable[str]:
    """Yield what a person should know beside the state, most pressing first."""
    blocks = [
        s.labels[0] for s, v in snapshot.gauges.items() if s.family == AUTH_BLOCKED.name and v
    ]
    if blocks:
        yield f"The PBX keeps us out, somebody has to act: {', '.join(blocks)}."
    if snapshot.trouble:
        yield f"Last poll: {snapshot.trouble}."
    if _gauge(snapshot, STATE_WRITE_OK) == 0:
        yield "The state file cannot be written; nothing new is counted."
    if _gauge(snapshot, LINEAGE_SUSPECT):
        yield "Its newest rows are not of the table known so far; nothing is counted for now."
    if backlog := _gauge(snapshot, BACKLOG):
        yield f"At most {_number(backlog)} rows to read."
    if snapshot.shown and not snapshot.shows_calls(now):
        yield "Its call metrics are hidden: silent for longer than stale_after."
    elif snapshot.attempted and not snapshot.shown:
        yield "Its call metrics are hidden until what was missed is read."


def _gauge(snapshot: Snapshot, family: Family) -> float | None:
    return snapshot.gauges.get(Series(family.name))


def _counted(snapshot: Snapshot) -> int:
    return sum(v[0] for s, v in snapshot.totals.series.items() if s.family == RECORDS.name)


def _nothing_yet(snapshot: Snapshot) -> float | None:
    """Return 0 for a PBX that was asked and has nothing to count, None for one never reached."""
    return 0.0 if _gauge(snapshot, LAST_SUCCESS) else None


def _number(value: float | None) -> str:
    return f"{value:,.0f}" if value is not None and math.isfinite(value) else _UNKNOWN


def _moment(epoch: float | None, now: Now) -> str:
    if epoch == 0:
        return "never"
    if epoch is None or not (moment := _utc(epoch)):
        return _UNKNOWN
    ago = now.wall - epoch
    relative = f"{_length(ago)} ago" if ago >= 0 else f"in {_length(-ago)}"
    return f"<time>{relative}</time><small>{moment}</small>"


def _utc(epoch: float) -> str:
    """Return a moment in UTC, nothing where the calendar has no place for it."""
    try:
        return f"{datetime.fromtimestamp(epoch, UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError, OSError):
        return ""


def _length(seconds: float) -> str:
    """Return a length of time in its largest sensible unit."""
    unit, size = next((u, size) for u, size, limit in _UNITS if seconds < limit)
    return f"{seconds / size:.0f} {unit}"
