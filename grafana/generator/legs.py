"""Legs and raw records: the rows that the PBX wrote."""

from __future__ import annotations

from .dashboard import Dashboard, panel_row
from .panels import (
    AGO,
    BAR_WIDTHS,
    JSON,
    PLAIN,
    bars,
    heat_map,
    matrix,
    percentiles,
    stat,
)
from .promql import BAR, CHOSEN, PBX, TIME_RANGE, Histogram, Window, increase, total
from .styles import CALL_TYPE_STYLES, DISPOSITION_STYLES, NO_EXPORTER, NONE_YET

ROWS = "cdr_records_total"
OF_ROWS = f'{CHOSEN}, disposition=~"$disposition"'
OF_CALLS = f'{PBX}, call_type=~"$call_type"'

DURATION = Histogram("cdr_duration_seconds", OF_ROWS)
RING = Histogram("cdr_ring_duration_seconds", OF_ROWS)
TALK = Histogram("cdr_talk_duration_seconds", OF_ROWS)
LEGS = Histogram("cdr_call_legs", OF_CALLS)


def rows(window: Window, *labels: str) -> str:
    """Return how many rows there were in *window*."""
    return total(increase(ROWS, window, OF_ROWS), *labels)


def duration_panels(title: str, what: str, histogram: Histogram) -> tuple[JSON, JSON]:
    """Return the percentiles and the heat map of one duration of the rows."""
    return (
        percentiles(
            title,
            f"{what} Half of the rows, and nine of ten, at most so long.",
            histogram,
        ),
        heat_map(
            f"{title}, row by row",
            f"{what} The stronger the colour, the more rows.",
            histogram,
        ),
    )


DURATION_PANELS = [
    duration_panels(
        "Duration",
        "duration: from the start to the end of a leg.",
        DURATION,
    ),
    duration_panels(
        "Ring duration",
        "ring_duration: how long a leg rang. Of rows that were ANSWERED, went to VOICEMAIL or "
        "rang.",
        RING,
    ),
    duration_panels(
        "Talk duration",
        "talk_duration: how long a leg talked. Of rows that were ANSWERED or talked; a queue and "
        "its agent both have it.",
        TALK,
    ),
]

NUMBERS = panel_row(
    4,
    stat(
        "Rows",
        "Call records in the time shown. A row is one leg: a call that rings three phones "
        "has three, and more for menus and queues.",
        rows(TIME_RANGE),
        decimals=0,
    ),
    stat(
        "Legs per call",
        "Rows per call on average, on any trunk. Near 1, calls go straight to their phone.",
        LEGS.mean(TIME_RANGE),
        unit=PLAIN,
        decimals=2,
    ),
    stat(
        "Rows on the PBX",
        "How many rows the PBXs hold now. It falls when a PBX cleans up; what was counted "
        "stays counted.",
        f"sum(cdr_pbx_records{{{PBX}}})",
        decimals=0,
        no_value=NO_EXPORTER,
    ),
    stat(
        "Newest row",
        "When the call of the newest row began that was known at the end of the time shown, on any "
        "trunk, and by your browser's clock how long ago that is.",
        f"max(cdr_last_record_timestamp_seconds{{{PBX}}} > 0) * 1000",
        unit=AGO,
        no_value=NONE_YET,
    ),
)

KINDS = panel_row(
    10,
    bars(
        "Rows by disposition",
        "Call records by disposition, as the PBX writes it. OTHER is what its "
        f"documentation does not know. {BAR_WIDTHS}",
        {"{{disposition}}": rows(BAR, "disposition")},
        styles=DISPOSITION_STYLES,
    ),
    matrix(
        "Dispositions by call type",
        "Rows in the time shown, by disposition and call type.",
        ("disposition", "Disposition"),
        "call_type",
        rows(TIME_RANGE, "disposition", "call_type"),
    ),
    widths=(14, 10),
)

PLACES = panel_row(
    9,
    bars(
        "Rows by call type",
        f"Call records by call type, as the PBX writes it. {BAR_WIDTHS}",
        {"{{call_type}}": rows(BAR, "call_type")},
        styles=CALL_TYPE_STYLES,
    ),
    bars(
        "Rows by trunk",
        "Call records by trunk. Rows without one have none; other is what goes beyond "
        f"max_trunks. {BAR_WIDTHS}",
        {"{{trunk}}": rows(BAR, "trunk")},
    ),
    heat_map(
        "Legs per call, call by call",
        "Calls by how many legs they had, on any trunk. The stronger the colour, the more calls.",
        LEGS,
        unit=PLAIN,
    ),
)

LEGS_AND_RECORDS = Dashboard(
    uid="cdr-legs-and-records",
    title="Legs and raw records",
    description="What did the PBX write? Call records (rows, legs) of Yeastar P-Series PBXs by "
    "disposition and call type, counted by cdr-exporter.",
    start="now-24h",
    refresh="5m",
    variables=("pbx", "trunk", "call_type", "disposition"),
    rows=[
        NUMBERS,
        KINDS,
        PLACES,
        "How long",
        panel_row(9, *(over_time for over_time, _ in DURATION_PANELS)),
        panel_row(12, *(row_by_row for _, row_by_row in DURATION_PANELS)),
    ],
)
