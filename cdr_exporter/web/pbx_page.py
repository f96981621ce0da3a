"""The page of one PBX: its state, what to do, and its calls by hour and by day.

Rule: a pure function of the snapshot, the time zone and the current time. Every number that a bar
shows stands beside it, and by outcome in the table behind the chart. There are sums only: no page
knows a number or a name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from html import escape
from itertools import dropwhile, repeat
from typing import NamedTuple
from urllib.parse import quote

from ..calls import OUTCOMES
from ..clock import Now
from ..metrics.catalogue import LAST_RECORD, LAST_SUCCESS, PBX_RECORDS
from ..metrics.quarters import QUARTER, CallSums
from ..metrics.snapshot import Snapshot
from . import charts
from .advice import advice_html
from .periods import Period, clock_text, last_days, last_hours
from .status import (
    advices,
    first_read_share,
    first_read_text,
    gauge,
    notes,
    rows_counted,
    status_of,
    word_of,
)
from .text import number, percent, quarters, seconds, time_html

NOT_COUNTED, NOT_READ = "not counted", "not read yet"
"""What stands in place of numbers for a time before the exporter's first start, and, while it reads
the whole table for the first time, for a time to which it has not got yet."""


class Row(NamedTuple):
    """One period of a chart: its calls, and what has to be said of it.

    *counted* is False for a time of which nothing is known. *remarks* are words for the rest: since
    when it was counted, and for how long the PBX was not *reached*.
    """

    period: Period
    sums: CallSums
    counted: bool
    reached: bool
    remarks: Sequence[str]

    @property
    def by_outcome(self) -> Mapping[str, int]:
        """The calls by outcome, 0 where there is none."""
        return {outcome: self.sums.of_outcome(outcome) for outcome in OUTCOMES}


def chart_rows(snapshot: Snapshot, periods: Sequence[Period], now: Now, zone: tzinfo) -> list[Row]:
    """Return what a chart of *periods* shows, in their order."""
    sums = snapshot.quarters.sums([periods[0].first, *(period.end for period in periods)])
    return [_row(snapshot, p, each, now, zone) for p, each in zip(periods, sums, strict=True)]


def page_body(snapshot: Snapshot, now: Now, zone: tzinfo) -> str:
    """Return the content of the page, as the inside of an HTML body."""
    hours = chart_rows(snapshot, last_hours(now.wall, zone), now, zone)
    days = chart_rows(snapshot, last_days(now.wall, zone), now, zone)
    gap = NOT_READ if snapshot.in_first_read else NOT_COUNTED
    return (
        f"{charts.HATCH}{_header(snapshot, now)}<main>{_messages(snapshot, now)}"
        f"{_figures(hours, days)}{_legend([*hours, *days])}"
        f'<div class="charts">{_chart("Last 24 hours", "Hour", hours, gap)}'
        f"{_chart('Last 31 days', 'Day', days, gap)}</div>"
        f"{_reading(zone)}{_facts(snapshot, now, zone)}</main>"
        f"<footer>As of {clock_text(now.wall, zone)} in {escape(str(zone))}; reload the page to "
        "update it.</footer>"
    )


def _row(snapshot: Snapshot, period: Period, sums: CallSums, now: Now, zone: tzinfo) -> Row:
    coverage = snapshot.quarters.coverage
    over = min(period.end, int(now.wall) // QUARTER)
    unreached = coverage.unreached(period.first, over)
    since = coverage.counted_from
    known = since is not None and since < period.end * QUARTER
    remarks = []
    if since is not None and known and since >= (period.first + 1) * QUARTER:
        remarks.append(f"counted since {clock_text(since, zone)}")
    if unreached:
        remarks.append(f"not reached for {quarters(unreached)}")
    # A call that began before the first start and ended after it is counted.
    return Row(period, sums, known or sums.calls > 0, not unreached, remarks)


def _header(snapshot: Snapshot, now: Now) -> str:
    state = status_of(snapshot)
    return (
        '<header><nav aria-label="Up"><a href="../">All PBXs</a></nav>'
        f'<h1>{escape(snapshot.pbx)}</h1><p class="{state.style}"><span class="state">'
        f'<span aria-hidden="true">{state.sign}</span> {word_of(snapshot, now)}</span></p></header>'
    )


def _messages(snapshot: Snapshot, now: Now) -> str:
    advice = "".join(advice_html(each, "../") for each in advices(snapshot, now))
    said = "".join(f'<p class="note">{escape(note)}</p>' for note in notes(snapshot, now))
    return advice + _progress(snapshot) + said


def _progress(snapshot: Snapshot) -> str:
    share = first_read_share(snapshot)
    if share is None or not snapshot.in_first_read:
        return ""
    return f'<div class="progress">{charts.progress(share, first_read_text(snapshot))}</div>'


def _figures(hours: Sequence[Row], days: Sequence[Row]) -> str:
    told = (("Today", days[-1:]), ("Yesterday", days[-2:-1]), ("Last 7 days", days[-7:]))
    return (
        '<section aria-labelledby="short"><h2 id="short" class="aside">In short</h2>'
        f'<div class="figures">{"".join(_figure(*each) for each in told)}</div></section>'
    )


def _figure(name: str, rows: Sequence[Row]) -> str:
    sums = CallSums.together(row.sums for row in rows)
    shown = number(sums.calls) if any(row.counted for row in rows) else NOT_COUNTED
    calls = "call" if sums.calls == 1 else "calls"
    facts = (
        f"{percent(sums.answered_share)} of {number(sums.of_type('Inbound'))} inbound answered",
        f"{percent(sums.in_time_share)} answered in time",
        f"{seconds(sums.mean_wait)} until answered, on average",
    )
    lines = "".join(f"<li>{fact}</li>" for fact in facts) if sums.of_type("Inbound") else ""
    unit = f" <small>{calls}</small>" if shown != NOT_COUNTED else ""
    return (
        f'<div class="figure"><h3>{name}</h3><p class="big">{shown}{unit}</p><ul>{lines}</ul></div>'
    )


def _legend(rows: Sequence[Row]) -> str:
    shown = [o for o in OUTCOMES if any(row.by_outcome[o] for row in rows)] or ["answered"]
    keys = "".join(
        f'<li><svg class="key" aria-hidden="true"><rect class="{outcome}" width="100%" '
        f'height="100%"/></svg>{charts.OUTCOME_WORDS[outcome]}</li>'
        for outcome in shown
    )
    if any(not row.reached for row in rows):
        keys += (
            '<li><svg class="key" aria-hidden="true"><rect class="unreached" width="100%" '
            'height="100%"/></svg>PBX not reached</li>'
        )
    return f'<ul class="legend" aria-label="What the colours of the bars mean">{keys}</ul>'


def _chart(title: str, unit: str, rows: Sequence[Row], gap: str) -> str:
    """Return the chart of *rows*, the newest first, and the table behind it.

    *gap* stands where nothing is known.
    """
    newest_first = list(reversed(rows))
    largest = max((row.sums.calls for row in rows), default=0)
    name = unit.lower()
    known = list(dropwhile(lambda row: not row.counted, rows))[::-1]
    lines = "".join(map(_line, known, [None, *known[:-1]], repeat(largest), repeat(gap)))
    lines += _unknown(rows[: len(rows) - len(known)], gap)
    return (
        f'<section aria-labelledby="{name}s"><h2 id="{name}s">{title}</h2>'
        f'<table class="chart"><caption class="aside">Calls by {name}, the newest first</caption>'
        f'<thead><tr><th scope="col">{unit}</th><th scope="col"><span class="aside">Calls by '
        'outcome</span></th><th scope="col" class="number">Calls</th>'
        '<th scope="col" class="number">Answered</th><th scope="col" class="number">In time</th>'
        f"</tr></thead><tbody>{lines}</tbody></table>{_details(unit, newest_first, gap)}</section>"
    )


def _line(row: Row, newer: Row | None, largest: int, gap: str) -> str:
    head = _label(row.period, newer)
    if not row.counted:
        return f'<tr><th scope="row">{head}</th><td colspan="4" class="gap">{gap}</td></tr>'
    remarks = "".join(f"<small>{escape(remark)}</small>" for remark in row.remarks)
    cells = "".join(f'<td class="number">{cell}</td>' for cell in _numbers(row))
    shown = charts.bar(row.by_outcome, largest, hatched=not row.reached)
    return f'<tr><th scope="row">{head}</th><td class="bars">{shown}{remarks}</td>{cells}</tr>'


def _unknown(rows: Sequence[Row], gap: str) -> str:
    """Return one line for *rows*, which are from before anything was counted, oldest first."""
    if not rows:
        return ""
    first, last = _label(rows[0].period, None), _label(rows[-1].period, rows[0])
    head = first if len(rows) == 1 else f"{first} to {last}"
    return (
        f'<tr><th scope="row" colspan="2">{head}</th><td colspan="3" class="gap number">'
        f"{gap}</td></tr>"
    )


def _label(period: Period, beside: Row | None) -> str:
    """Return the period's label; hours say their day where it is another than that *beside*."""
    if period.label == period.day or (beside is not None and beside.period.day == period.day):
        return period.label
    return f"{period.label} <small>{period.day}</small>"


def _numbers(row: Row) -> Sequence[str]:
    return (
        number(row.sums.calls),
        percent(row.sums.answered_share),
        percent(row.sums.in_time_share),
    )


def _details(unit: str, rows: Sequence[Row], gap: str) -> str:
    """Return the same as a table with each outcome, and the times that have no bar."""
    outcomes = [o for o in OUTCOMES if any(row.by_outcome[o] for row in rows)]
    heads = (
        *("Calls", "Inbound"),
        *(charts.OUTCOME_WORDS[outcome] for outcome in outcomes),
        *("Answered, of inbound", "In time", "Wait, mean", "Talk, mean", "Remarks"),
    )
    head = "".join(f'<th scope="col" class="number">{each}</th>' for each in heads)
    body = "".join(_detail(row, outcomes, gap) for row in rows)
    title = f"Table of the calls by {unit.lower()} and outcome"
    return (
        f"<details><summary>{title}</summary>"
        f'<div class="scroll" role="region" tabindex="0" aria-label="{title}">'
        f'<table class="numbers"><caption class="aside">{title}</caption><thead>'
        f'<tr><th scope="col">{unit}</th>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        "</details>"
    )


def _detail(row: Row, outcomes: Sequence[str], gap: str) -> str:
    name = row.period.label
    if name != row.period.day:
        name = f"{row.period.day}, {name}"
    if not row.counted:
        span = len(outcomes) + 7
        return f'<tr><th scope="row">{name}</th><td colspan="{span}">{gap}</td></tr>'
    sums = row.sums
    cells = (
        number(sums.calls),
        number(sums.of_type("Inbound")),
        *(number(row.by_outcome[outcome]) for outcome in outcomes),
        percent(sums.answered_share),
        percent(sums.in_time_share),
        seconds(sums.mean_wait),
        seconds(sums.mean_talk),
        escape("; ".join(row.remarks)),
    )
    shown = "".join(f'<td class="number">{cell}</td>' for cell in cells)
    return f'<tr><th scope="row">{name}</th>{shown}</tr>'


def _reading(zone: tzinfo) -> str:
    return (
        '<section aria-labelledby="reading"><h2 id="reading">How to read this</h2><p>'
        "The charts show a call at the time at which it began; counters on /metrics, and the "
        "dashboards with them, count it when it is over. So both differ by the calls that were "
        f"going on. Times are those of {escape(str(zone))}.</p><p>"
        "<em>Answered</em> is how many of the inbound calls a person answered, <em>in time</em> "
        "how many of those that were answered, or rang longer than 5 s in vain, were answered "
        "within 20 s. Calls that the PBX blocked are in neither.</p></section>"
    )


def _facts(snapshot: Snapshot, now: Now, zone: tzinfo) -> str:
    facts = (
        ("Last success", time_html(gauge(snapshot, LAST_SUCCESS), now)),
        ("Newest call", time_html(gauge(snapshot, LAST_RECORD), now)),
        ("Rows counted", number(_counted_or_unknown(snapshot))),
        ("Rows on the PBX", number(gauge(snapshot, PBX_RECORDS))),
    )
    listed = "".join(f"<div><dt>{name}</dt><dd>{fact}</dd></div>" for name, fact in facts)
    name = quote(snapshot.pbx, safe="")
    return (
        f'<section aria-labelledby="facts"><h2 id="facts">The PBX</h2><dl>{listed}</dl>'
        f'<p><a href="../metrics?pbx={name}">Its metrics</a>, for Prometheus. '
        "A row is one leg of a call.</p></section>"
    )


def _counted_or_unknown(snapshot: Snapshot) -> float | None:
    """Return how many rows were counted, None where the PBX was never reached."""
    rows = rows_counted(snapshot)
    return rows if rows or gauge(snapshot, LAST_SUCCESS) else None
