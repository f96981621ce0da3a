"""The landing page: each PBX with its state and its calls of the last days, and links to the rest.

Of a PBX that another replica holds it says which, and leads there.

Rule: a pure function of the snapshots, the holders and the current time. Every value is escaped,
and nothing is shown by colour alone. The style in `web.html` uses the class names and labels given
here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, tzinfo
from html import escape
from typing import NamedTuple
from urllib.parse import quote

from ..clock import Now
from ..metrics.catalogue import LAST_RECORD, LAST_SUCCESS
from ..metrics.quarters import QUARTER, CallSums, Quarters
from ..metrics.snapshot import Snapshot
from . import elsewhere
from .advice import advice_html
from .charts import columns
from .elsewhere import Others
from .pbx_page import NOT_COUNTED
from .periods import Period, last_days
from .status import STATUSES, Status, advices, gauge, notes, status_of, word_of
from .text import UNKNOWN, number, percent, time_html, utc_text

_LINKS = (
    ("metrics", "/metrics", "for Prometheus"),
    ("sd", "/sd", "the PBXs as targets, for Prometheus' HTTP service discovery"),
    ("dashboards/", "/dashboards/", "for Grafana"),
    ("rules/", "/rules/", "alerts and recording rules, for Prometheus"),
    ("runbook", "/runbook", "what each alert means, and what to do"),
    ("-/healthy", "/-/healthy", "whether all pollers run"),
    ("-/ready", "/-/ready", "whether every PBX was polled at least once"),
)
_COLUMNS = (
    ("State", ""),
    ("Calls today", "number"),
    ("Last 7 days", ""),
    ("Last success", ""),
    ("Newest call", ""),
)
_DAYS = 7

_ORDER = (
    elsewhere.NOBODY,
    *STATUSES,
    elsewhere.SOON_HERE,
    elsewhere.UNKNOWN,
    elsewhere.ELSEWHERE,
)
"""First what needs somebody, last what other replicas show."""

MOST_WITH_CHART = 100
"""With more PBXs than these, their last days are numbers alone: the page stays small."""


def page_body(
    snapshots: Sequence[Snapshot],
    now: Now,
    version: str,
    zones: Mapping[str, tzinfo] | None = None,
    known: KnownCells | None = None,
    others: Others | None = None,
) -> str:
    """Return the content of the landing page, as the inside of an HTML body.

    *zones* are the time zones by the name of the PBX; without one it is UTC. *known* is what was
    worked out for the page before; it is kept up to date. *others* are the PBXs of the
    configuration and who holds them, where several replicas share them.
    """
    days = _DaysOfZones(now, zones or {})
    with_chart = len(snapshots) <= MOST_WITH_CHART
    cells = known if known is not None else KnownCells()
    heads = "".join(
        f'<th scope="col" role="columnheader" class="{style}">{label}</th>'
        for label, style in (("PBX", ""), *_COLUMNS)
    )
    here = (
        _Row(
            status_of(each),
            _row(each, now, cells.of(each, days.of(each.pbx), with_chart=with_chart)),
        )
        for each in snapshots
    )
    rows = sorted((*here, *_rows_elsewhere(others, snapshots)), key=_place)
    links = "".join(
        f'<li><a href="{href}">{shown}</a> <small>{what}</small></li>'
        for href, shown, what in _LINKS
    )
    return (
        f"<header><h1>cdr-exporter <small>{escape(version)}</small></h1>"
        f"<p>{_summary([row.status for row in rows])}</p>{_of_replicas(others, snapshots)}</header>"
        '<main><table class="pbxs" role="table"><caption class="aside">The PBXs, first those that '
        'need somebody</caption><thead role="rowgroup">'
        f'<tr role="row">{heads}</tr></thead><tbody role="rowgroup">'
        f"{''.join(row.html for row in rows)}</tbody></table></main>"
        f'<nav aria-labelledby="more"><h2 id="more">More</h2><ul>{links}</ul></nav>'
        f"<footer>As of {utc_text(now.wall)}; reload the page to update it. Days are those of the "
        "PBX's time zone, and a call is at the time at which it began. The lower part of a column "
        "are the calls that were answered.</footer>"
    )


class _Row(NamedTuple):
    """A row of the table, and what it says of its PBX."""

    status: Status
    html: str


def _place(row: _Row) -> int:
    return _ORDER.index(row.status)


class KnownCells:
    """The cells about calls, worked out again only for a PBX whose calls or days have changed.

    With a thousand PBXs that is nearly all of the time the page takes.
    """

    def __init__(self) -> None:
        self._cells: dict[str, tuple[Quarters, Sequence[Period], bool, tuple[str, str]]] = {}

    def of(
        self, snapshot: Snapshot, days: Sequence[Period], *, with_chart: bool
    ) -> tuple[str, str]:
        """Return the cells of today and of the last *days*, the running one last."""
        known = self._cells.get(snapshot.pbx)
        if known and known[0] is snapshot.quarters and known[1:3] == (days, with_chart):
            return known[3]
        cells = _call_cells(snapshot.quarters, days, with_chart=with_chart)
        self._cells[snapshot.pbx] = (snapshot.quarters, days, with_chart, cells)
        return cells

    def keep_only(self, names: Collection[str]) -> None:
        """Forget the cells of every PBX but *names*."""
        for name in set(self._cells).difference(names):
            self._cells.pop(name, None)


class _DaysOfZones:
    """The last days in each time zone, worked out once for each."""

    def __init__(self, now: Now, zones: Mapping[str, tzinfo]) -> None:
        self._now = now.wall
        self._zones = zones
        self._days: dict[str, Sequence[Period]] = {}

    def of(self, pbx: str) -> Sequence[Period]:
        """Return the last days where the PBX is, the running one last."""
        zone = self._zones.get(pbx, UTC)
        if str(zone) not in self._days:
            self._days[str(zone)] = last_days(self._now, zone)[-_DAYS:]
        return self._days[str(zone)]


def _summary(states: Sequence[Status]) -> str:
    counts = [f"{n} {state.word.lower()}" for state in _ORDER if (n := states.count(state))]
    noun = "PBX" if len(states) == 1 else "PBXs"
    return f"{len(states)} {noun}: {', '.join(counts)}." if states else "No PBX."


def _row(snapshot: Snapshot, now: Now, call_cells: tuple[str, str]) -> str:
    name, state = escape(snapshot.pbx), status_of(snapshot)
    said = "".join(f'<p class="note">{escape(note)}</p>' for note in notes(snapshot, now))
    advice = "".join(advice_html(each, "") for each in advices(snapshot, now))
    sign = (
        f'<span class="state"><span aria-hidden="true">{state.sign}</span> '
        f"{word_of(snapshot, now)}</span>"
    )
    cells = (
        sign + advice + said,
        *call_cells,
        time_html(gauge(snapshot, LAST_SUCCESS), now),
        time_html(gauge(snapshot, LAST_RECORD), now),
    )
    shown = "".join(
        f'<td role="cell" data-label="{label}" class="{style}">{cell}</td>'
        for (label, style), cell in zip(_COLUMNS, cells, strict=True)
    )
    return (
        f'<tr role="row" class="{state.style}"><th scope="row" role="rowheader">'
        f'<a href="pbx/{quote(snapshot.pbx, safe="")}">{name}</a></th>{shown}</tr>'
    )


def _of_replicas(others: Others | None, snapshots: Sequence[Snapshot]) -> str:
    """Return which replica this is, and what to do about PBXs that it does not show."""
    if others is None:
        return ""
    advices = elsewhere.advices(others, others.beside(snapshots))
    return (
        f"<p>This is the replica {escape(others.address)}, which shows {len(snapshots)} of them."
        f"</p>{''.join(advice_html(each, '') for each in advices)}"
    )


def _rows_elsewhere(others: Others | None, snapshots: Sequence[Snapshot]) -> Iterator[_Row]:
    if others is None:
        return
    for name in others.beside(snapshots):
        yield _Row(elsewhere.status_of(others, name), _row_elsewhere(others, name))


def _row_elsewhere(others: Others, name: str) -> str:
    """Return the row of a PBX that is not shown here; it knows nothing of its calls."""
    there = elsewhere.page_address(others, name) or f"pbx/{quote(name, safe='')}"
    return (
        f'<tr role="row" class="{elsewhere.status_of(others, name).style}">'
        f'<th scope="row" role="rowheader"><a href="{escape(there)}">{escape(name)}</a></th>'
        f'<td role="cell" colspan="{len(_COLUMNS)}">{elsewhere.sentence(others, name)}</td></tr>'
    )


def _call_cells(quarters: Quarters, days: Sequence[Period], *, with_chart: bool) -> tuple[str, str]:
    sums = quarters.sums([days[0].first, *(day.end for day in days)])
    counted = [_is_counted(quarters, *each) for each in zip(days, sums, strict=True)]
    return (
        _today(sums[-1]) if counted[-1] else NOT_COUNTED,
        _last_days(sums, with_chart=with_chart) if any(counted) else NOT_COUNTED,
    )


def _is_counted(quarters: Quarters, day: Period, sums: CallSums) -> bool:
    since = quarters.coverage.counted_from
    return sums.calls > 0 or (since is not None and since < day.end * QUARTER)


def _today(sums: CallSums) -> str:
    share = percent(sums.answered_share)
    answered = f"<small>{share} answered</small>" if share != UNKNOWN else ""
    return f"{number(sums.calls)}{answered}"


def _last_days(sums: Sequence[CallSums], *, with_chart: bool) -> str:
    total = number(sum(each.calls for each in sums))
    if not with_chart:
        return total
    counts = [(each.calls, each.of_outcome("answered")) for each in sums]
    each_day = ", ".join(f"{answered:,} of {every:,}" for every, answered in counts)
    words = f"Calls by day, answered of all: {each_day}"
    return f'<span class="days">{columns(counts, words)} {total}</span>'
