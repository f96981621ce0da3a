"""Trunks: the traffic of each trunk, and its failures."""

from __future__ import annotations

from .dashboard import Dashboard, panel_row
from .panels import AGO, PERCENT, PLAIN, SECONDS, Column, bars, lines, table
from .promql import (
    BAR_WIDTH,
    CHOSEN,
    DAY,
    HOUR,
    INBOUND,
    NOT_BLOCKED,
    ON_A_TRUNK,
    OUTBOUND,
    PBX,
    TIME_RANGE,
    Histogram,
    increase,
    rate,
    share,
    total,
)
from .styles import DARK, ORANGE, PURPLE

CALLS, ROWS = "cdr_calls_total", "cdr_records_total"
BY_TRUNK = ("pbx", "trunk")
TRUNK_CALLS, TRUNK_INBOUND, TRUNK_OUTBOUND = (
    f"{chosen}, {ON_A_TRUNK}" for chosen in (CHOSEN, INBOUND, OUTBOUND)
)
"""Without calls between extensions, which use no trunk."""

TALK = Histogram("cdr_call_talk_seconds", TRUNK_CALLS)

LEGEND = "{{trunk}} ({{pbx}})"

NO_DESTINATIONS = "No calls, or no destinations in exporter.yml"
DESTINATIONS = (
    "by class of the number dialled, whatever trunk and call type are chosen. Only where "
    "destinations are in exporter.yml; all others are other."
)


def calls(window: str) -> str:
    """Return the number of calls on each trunk."""
    return total(increase(CALLS, window, TRUNK_CALLS), *BY_TRUNK)


def erlangs(window: str) -> str:
    """Return the mean number of channels in use by calls, ringing included."""
    return total(rate("cdr_call_duration_seconds_sum", window, TRUNK_CALLS), *BY_TRUNK)


def answer_seizure_ratio(window: str) -> str:
    """Return the answer-seizure ratio: the share of outbound rows that were answered."""
    return share(ROWS, window, 'disposition="ANSWERED"', TRUNK_OUTBOUND, *BY_TRUNK)


def rows(disposition: str, window: str) -> str:
    """Return the number of outbound rows with one *disposition*, for each trunk."""
    return total(
        increase(ROWS, window, f'{TRUNK_OUTBOUND}, disposition="{disposition}"'), *BY_TRUNK
    )


def last_counted() -> str:
    """Return when a call was last counted, in epoch milliseconds, up to 10 minutes late.

    A counter does not say when it rose. So the subquery looks every 5 minutes whether it rose in
    the 10 minutes before, which contain two scrapes at any usual interval.
    """
    rose = total(increase(CALLS, "10m", TRUNK_CALLS), *BY_TRUNK)
    return f"max_over_time((({rose} > 0) * 0 + time())[{TIME_RANGE}:5m]) * 1000"


SIDE_BY_SIDE = panel_row(
    9,
    table(
        "Trunks side by side",
        "In the time shown; a click on a heading sorts. ASR: outbound tries that were "
        "answered. ALOC: average length of conversation. Erlangs: channels in use on "
        "average, and in the busiest hour. Last call: when one was last counted, to 10 "
        "minutes; empty where there was none in the time shown.",
        {"trunk": "Trunk", "pbx": "PBX"},
        {
            "Calls": Column(query=calls(TIME_RANGE), decimals=0, bar=DARK),
            "Inbound answered": Column(
                query=share(
                    CALLS,
                    TIME_RANGE,
                    'outcome="answered"',
                    f"{TRUNK_INBOUND}, {NOT_BLOCKED}",
                    *BY_TRUNK,
                ),
                unit=PERCENT,
                decimals=1,
            ),
            "ASR": Column(query=answer_seizure_ratio(TIME_RANGE), unit=PERCENT, decimals=1),
            "Failed": Column(query=rows("FAILED", TIME_RANGE), decimals=0, warn=PURPLE),
            "Busy": Column(query=rows("BUSY", TIME_RANGE), decimals=0, warn=ORANGE),
            "ALOC": Column(query=TALK.mean(TIME_RANGE, *BY_TRUNK), unit=SECONDS, decimals=0),
            "Erlangs": Column(query=erlangs(TIME_RANGE), unit=PLAIN, decimals=2),
            "Busiest hour": Column(
                query=f"max_over_time(({erlangs(HOUR)})[{TIME_RANGE}:5m])",
                unit=PLAIN,
                decimals=2,
            ),
            "Last hour": Column(query=calls(HOUR), decimals=0),
            "Last 24 hours": Column(query=calls(DAY), decimals=0),
            "Last call": Column(query=last_counted(), unit=AGO),
        },
        sort="Calls",
    ),
)

TRAFFIC = panel_row(
    10,
    lines(
        "Traffic (erlangs)",
        "Channels in use on average in the hour before each point, ringing included. A "
        "call counts when it ends, with all its time: no number of lines in use now.",
        {LEGEND: erlangs(HOUR)},
        unit=PLAIN,
        decimals=2,
    ),
    bars(
        "Calls by trunk",
        "Calls that ended, by trunk. A bar is one hour, or more where much time is shown. "
        "Calls between extensions are on no trunk and left out.",
        {LEGEND: calls(BAR_WIDTH)},
    ),
)

QUALITY = panel_row(
    9,
    lines(
        "Answer-seizure ratio (ASR)",
        "Outbound tries that were answered, of all outbound tries. A point is six hours; "
        "compare a trunk with its own past. No point where nobody called.",
        {LEGEND: answer_seizure_ratio(BAR_WIDTH)},
        unit=PERCENT,
        step="6h",
        maximum=1,
    ),
    lines(
        "Average length of conversation (ALOC)",
        "How long people talked in answered calls, on average. A point is six hours. A "
        "sudden fall on one trunk is often bad sound.",
        {LEGEND: TALK.mean(BAR_WIDTH, *BY_TRUNK)},
        unit=SECONDS,
        step="6h",
    ),
)

FAILURES = panel_row(
    9,
    bars(
        "Failed tries by trunk",
        "Outbound tries that FAILED: the provider refused, the number does not exist, or "
        "the trunk is down. A call that is tried on two trunks is on both.",
        {LEGEND: rows("FAILED", BAR_WIDTH)},
        no_value="No outbound calls",
    ),
    bars(
        "Busy tries by trunk",
        "Outbound tries that were BUSY. Many at once may mean that all channels of the "
        "trunk were taken.",
        {LEGEND: rows("BUSY", BAR_WIDTH)},
        no_value="No outbound calls",
    ),
)

ABROAD = panel_row(
    9,
    bars(
        "Outbound calls by destination",
        f"Outbound calls {DESTINATIONS}",
        {
            "{{destination}}": total(
                increase("cdr_destination_calls_total", BAR_WIDTH, PBX), "destination"
            )
        },
        no_value=NO_DESTINATIONS,
    ),
    bars(
        "Talk time by destination",
        f"How long outbound calls talked, {DESTINATIONS} What costs shows here first.",
        {
            "{{destination}}": total(
                increase("cdr_destination_talk_seconds_total", BAR_WIDTH, PBX), "destination"
            )
        },
        unit=SECONDS,
        no_value=NO_DESTINATIONS,
    ),
)

TRUNKS = Dashboard(
    uid="cdr-trunks",
    title="Trunks",
    description="Which trunk carries what, and which fails? From the call records of Yeastar "
    "P-Series PBXs, counted by cdr-exporter.",
    start="now-7d",
    refresh="5m",
    rows=[
        SIDE_BY_SIDE,
        TRAFFIC,
        "Quality",
        QUALITY,
        FAILURES,
        "Where the calls go",
        ABROAD,
    ],
)
