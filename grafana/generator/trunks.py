"""Trunks: the traffic of each trunk, and its failures."""

from __future__ import annotations

from .dashboard import Dashboard, panel_row
from .panels import (
    AGO,
    BAR_WIDTHS,
    DAYS,
    PERCENT,
    PLAIN,
    TIME,
    TOO_FEW,
    Column,
    bars,
    lines,
    shares,
    table,
)
from .promql import (
    BAR,
    CHOSEN,
    DAY,
    HOUR,
    INBOUND,
    NOT_BLOCKED,
    ON_A_TRUNK,
    OUTBOUND,
    PBX,
    POINT,
    SECONDS_OF_HOUR,
    TIME_RANGE,
    TIME_RANGE_SECONDS,
    Histogram,
    Window,
    increase,
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

NO_DESTINATIONS = "Nothing counted yet, or no destinations in exporter.yml"
NO_OUTBOUND = "No outbound call counted in this range"
DESTINATIONS = (
    "by class of the number dialled, whatever trunk and call type are chosen. Only where "
    "destinations are in exporter.yml; all others are other."
)


def calls(window: Window) -> str:
    """Return the number of calls on each trunk."""
    return total(increase(CALLS, window, TRUNK_CALLS), *BY_TRUNK)


def seconds_in_use(window: Window) -> str:
    """Return how long calls that ended in *window* lasted together, ringing included."""
    return total(increase("cdr_call_duration_seconds_sum", window, TRUNK_CALLS), *BY_TRUNK)


def erlangs() -> str:
    """Return the mean number of channels in use by calls in the hour before, ringing included."""
    return f"{seconds_in_use(HOUR)} / {SECONDS_OF_HOUR}"


def mean_erlangs() -> str:
    """Return the mean number of channels in use in the time shown, or in an hour if it is less.

    So that no mean is above that of the busiest hour.
    """
    shown = f"scalar(clamp_min(vector({TIME_RANGE_SECONDS}), {SECONDS_OF_HOUR}))"
    return f"{seconds_in_use(TIME_RANGE)} / {shown}"


def most_erlangs() -> str:
    """Return the highest of the mean numbers of channels in use in an hour."""
    return f"max_over_time(({erlangs()})[{TIME_RANGE.width}:5m])"


def answer_seizure_ratio(window: Window) -> str:
    """Return the answer-seizure ratio: the share of outbound rows that were answered."""
    return share(ROWS, window, 'disposition="ANSWERED"', TRUNK_OUTBOUND, *BY_TRUNK)


def rows(disposition: str, window: Window) -> str:
    """Return the number of outbound rows with one *disposition*, for each trunk."""
    return total(
        increase(ROWS, window, f'{TRUNK_OUTBOUND}, disposition="{disposition}"'), *BY_TRUNK
    )


def last_counted() -> str:
    """Return when a call was last counted, in epoch milliseconds, up to 15 minutes late.

    A counter does not say when it rose. So the subquery looks every 5 minutes whether it rose in
    the 15 minutes before, which contain two samples of the past, too: one in 5 minutes.
    """
    rose = total(f"increase({CALLS}{{{TRUNK_CALLS}}}[15m])", *BY_TRUNK)
    return f"max_over_time((({rose} > 0) * 0 + time())[{TIME_RANGE.width}:5m]) * 1000"


SIDE_BY_SIDE = panel_row(
    9,
    table(
        "Trunks side by side",
        "In the time shown; a click on a heading sorts. ASR: outbound tries that were "
        "answered. ALOC: average length of conversation. Erlangs: channels in use on average, of "
        "an hour at least. Busiest hour: the same of that hour; a call counts with all its time "
        "when it ends, so that it is too high where calls are long, by 14 to 60 % if one in fifty "
        "lasts from half an hour to two hours. "
        "Last call: when one was last counted, to 15 minutes; - where there was none in the time "
        "shown.",
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
                width=145,
            ),
            "ASR": Column(
                query=answer_seizure_ratio(TIME_RANGE), unit=PERCENT, decimals=1, width=70
            ),
            "Failed": Column(query=rows("FAILED", TIME_RANGE), decimals=0, width=70, warn=PURPLE),
            "Busy": Column(query=rows("BUSY", TIME_RANGE), decimals=0, width=60, warn=ORANGE),
            "ALOC": Column(query=TALK.mean(TIME_RANGE, *BY_TRUNK), unit=TIME, width=85),
            "Erlangs": Column(query=mean_erlangs(), unit=PLAIN, decimals=2, width=80),
            "Busiest hour": Column(query=most_erlangs(), unit=PLAIN, decimals=2, width=110),
            "Last hour": Column(query=calls(HOUR), decimals=0, width=90),
            "Last 24 hours": Column(query=calls(DAY), decimals=0, width=115),
            "Last call": Column(query=last_counted(), unit=AGO, width=125),
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
        {LEGEND: erlangs()},
        unit=PLAIN,
        decimals=2,
    ),
    bars(
        "Calls by trunk",
        f"Calls that ended, by trunk. {BAR_WIDTHS} Calls between extensions are on no trunk and "
        "left out.",
        {LEGEND: calls(BAR)},
    ),
)

QUALITY = panel_row(
    9,
    shares(
        "Answer-seizure ratio (ASR)",
        "Outbound tries that were answered, of all outbound tries. A point is a day of a week, or "
        "three hours of a day; compare a trunk with its own past. No point where there were fewer "
        "than five tries.",
        {LEGEND: answer_seizure_ratio(POINT)},
        resolution=DAYS,
    ),
    lines(
        "Average length of conversation (ALOC)",
        "How long people talked in answered calls, on average. A point is a day of a week, or "
        "three hours of a day, where there were five calls or more. A sudden fall on one trunk is "
        "often bad sound.",
        {LEGEND: TALK.mean(POINT, *BY_TRUNK)},
        unit=TIME,
        resolution=DAYS,
        calcs=("lastNotNull", "mean"),
        no_value=TOO_FEW,
    ),
)

FAILURES = panel_row(
    9,
    bars(
        "Failed tries by trunk",
        "Outbound tries that FAILED: the provider refused, the number does not exist, or "
        "the trunk is down. A call that is tried on two trunks is on both.",
        {LEGEND: rows("FAILED", BAR)},
        no_value=NO_OUTBOUND,
    ),
    bars(
        "Busy tries by trunk",
        "Outbound tries that were BUSY. Many at once may mean that all channels of the "
        "trunk were taken.",
        {LEGEND: rows("BUSY", BAR)},
        no_value=NO_OUTBOUND,
    ),
)

ABROAD = panel_row(
    9,
    bars(
        "Outbound calls by destination",
        f"Outbound calls {DESTINATIONS}",
        {
            "{{destination}}": total(
                increase("cdr_destination_calls_total", BAR, PBX), "destination"
            )
        },
        no_value=NO_DESTINATIONS,
    ),
    bars(
        "Talk time by destination",
        f"How long outbound calls talked, {DESTINATIONS} What costs shows here first.",
        {
            "{{destination}}": total(
                increase("cdr_destination_talk_seconds_total", BAR, PBX), "destination"
            )
        },
        unit=TIME,
        no_value=NO_DESTINATIONS,
    ),
)

TRUNKS = Dashboard(
    uid="cdr-trunks",
    title="Trunks",
    description="Which trunk carries what, and which fails? From the call records of Yeastar "
    "P-Series PBXs, counted by cdr-exporter.",
    start="now-24h",
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
