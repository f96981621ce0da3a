"""Calls overview: whether calls are answered."""

from __future__ import annotations

from .dashboard import Dashboard, panel_row
from .panels import (
    AGO,
    JSON,
    PERCENT,
    SECONDS,
    Column,
    bar_gauge,
    bars,
    heat_map,
    lines,
    percentiles,
    stat,
    table,
    timeline,
)
from .promql import (
    BAR_WIDTH,
    CHOSEN,
    HOUR,
    INBOUND,
    NOT_BLOCKED,
    PBX,
    TIME_RANGE,
    Histogram,
    by_local_time,
    increase,
    or_zero,
    quotient,
    share,
    total,
)
from .styles import (
    ANSWERED_SHARE,
    BEFORE,
    DARK,
    GAVE_UP_LATE,
    GAVE_UP_SOON,
    GREEN,
    IN_TIME_SHARE,
    MISSED_STYLES,
    NEUTRAL,
    NOW,
    OUTCOME_STYLES,
    REACHED_STYLES,
    RED,
    SHARE_STYLES,
    WEEK_STYLES,
    Style,
)

CALLS = "cdr_calls_total"

INBOUND_WAIT = Histogram("cdr_call_wait_seconds", INBOUND)
INBOUND_GAVE_UP = Histogram("cdr_call_abandon_seconds", INBOUND)
TALK = Histogram("cdr_call_talk_seconds", CHOSEN)

WEEKDAY_STYLES = {
    1: Style(NEUTRAL, "Monday"),
    2: Style(NEUTRAL, "Tuesday"),
    3: Style(NEUTRAL, "Wednesday"),
    4: Style(NEUTRAL, "Thursday"),
    5: Style(NEUTRAL, "Friday"),
    6: Style(NEUTRAL, "Saturday"),
    0: Style(NEUTRAL, "Sunday"),
}


def answered(window: str) -> str:
    """Return the share of inbound calls that a person answered."""
    return share(CALLS, window, 'outcome="answered"', f"{INBOUND}, {NOT_BLOCKED}")


def in_time(window: str) -> str:
    """Return the service level: calls answered within 20 s / calls answered or missed after 5 s."""
    gave_up = f"{INBOUND_GAVE_UP.count(window)} - {INBOUND_GAVE_UP.up_to('5.0', window)}"
    both = f"({or_zero(INBOUND_WAIT.count(window))} + {or_zero(gave_up)})"
    return quotient(or_zero(INBOUND_WAIT.up_to("20.0", window)), both)


def by_hour() -> str:
    """Return calls by hour of the day, the hour with two digits."""
    calls = total(increase(CALLS, HOUR, CHOSEN), "pbx")
    return f'label_replace({by_local_time("hour", calls)}, "hour", "0$1", "hour", "(.)")'


def by_number(title: str, metric: str, label: str, setting: str) -> JSON:
    """Return a table of the calls to each own number or queue, by outcome."""
    missing = f"No calls, or no {setting} in exporter.yml"

    def outcome(name: str) -> str:
        return total(increase(metric, TIME_RANGE, f'{PBX}, outcome="{name}"'), label)

    columns = {
        "Calls": Column(query=total(increase(metric, TIME_RANGE, PBX), label), bar=DARK),
        "Answered": Column(
            query=share(metric, TIME_RANGE, 'outcome="answered"', f"{PBX}, {NOT_BLOCKED}", label),
            unit=PERCENT,
            decimals=1,
        ),
        "No answer": Column(query=outcome("no_answer"), warn=RED),
        "Voicemail": Column(query=outcome("voicemail")),
    }
    return table(
        title,
        f"Calls by {title.lower().removeprefix('calls by ')} in the time shown, whatever trunk and "
        f"call type are chosen. Only those named under {setting} in exporter.yml; all others are "
        "other.",
        {label: title.removeprefix("Calls by ").capitalize()},
        columns,
        sort="Calls",
        no_value=missing,
    )


ANSWERING = panel_row(
    5,
    stat(
        "Inbound answered",
        "Of all who called in the time shown, how many spoke to a person. Who hung up in a "
        "menu, or left a message, did not.",
        answered(TIME_RANGE),
        unit=PERCENT,
        color=GREEN,
        decimals=1,
    ),
    stat(
        "Service level",
        "Inbound calls answered within 20 s, of those that were answered or rang longer "
        "than 5 s in vain. From the handing over to people: menus and announcements are left out.",
        in_time(TIME_RANGE),
        unit=PERCENT,
        color="dark-green",
        decimals=1,
    ),
    stat(
        "Inbound missed",
        "Inbound calls in the time shown that nobody answered: no person, no voicemail.",
        total(increase(CALLS, TIME_RANGE, f'{INBOUND}, outcome="no_answer"')),
        color=RED,
        decimals=0,
    ),
    stat(
        "Average wait",
        "How long inbound calls waited until a person answered, on average. From the "
        "handing over to people: menus and announcements are left out.",
        INBOUND_WAIT.mean(TIME_RANGE),
        unit=SECONDS,
        decimals=0,
    ),
    stat(
        "Newest call",
        "When the newest call began that the exporter knows of, on any trunk. If it is "
        "older than you expect, look whether PBXs are reached.",
        f"max(cdr_last_record_timestamp_seconds{{{PBX}}} > 0) * 1000",
        unit=AGO,
        no_value="None yet",
    ),
    stat(
        "PBXs not reached",
        "Above 0, the panels below lack calls that were made. They are counted once the "
        "PBX answers. A click leads to the exporter's health.",
        f"sum(1 - cdr_up{{{PBX}}})",
        color=GREEN,
        alarm=RED,
        decimals=0,
        no_value="No exporter",
        link="cdr-exporter-health",
    ),
)

OVER_TIME = panel_row(
    10,
    bars(
        "Calls by outcome",
        "Calls that ended, by what became of them. A bar is one hour, or more where much "
        "time is shown. A call counts once, however many phones rang.",
        {"{{outcome}}": total(increase(CALLS, BAR_WIDTH, CHOSEN), "outcome")},
        styles=OUTCOME_STYLES,
    ),
    lines(
        "Inbound answered and in time",
        "Of all who called, how many spoke to a person; and the service level. A point is "
        "six hours. No point where nobody called.",
        {ANSWERED_SHARE: answered(BAR_WIDTH), IN_TIME_SHARE: in_time(BAR_WIDTH)},
        styles=SHARE_STYLES,
        unit=PERCENT,
        step="6h",
        maximum=1,
    ),
    widths=(16, 8),
)

MISSED_AND_WEEKS = panel_row(
    9,
    bars(
        "Inbound missed, by patience",
        "Inbound calls that nobody answered, by how long they lasted. Within 5 s they were "
        "often slips; the others waited for somebody.",
        {
            GAVE_UP_SOON: INBOUND_GAVE_UP.up_to("5.0", BAR_WIDTH),
            GAVE_UP_LATE: f"{INBOUND_GAVE_UP.count(BAR_WIDTH)} - "
            f"{INBOUND_GAVE_UP.up_to('5.0', BAR_WIDTH)}",
        },
        styles=MISSED_STYLES,
        no_value="No missed calls",
    ),
    lines(
        "Against a week before",
        "All calls, and those of the same time a week before. A point is one hour, or more "
        "where much time is shown. Needs that much history in Prometheus.",
        {
            NOW: total(increase(CALLS, BAR_WIDTH, CHOSEN)),
            BEFORE: total(increase(CALLS, BAR_WIDTH, CHOSEN, offset="7d")),
        },
        styles=WEEK_STYLES,
        step="1h",
        decimals=0,
    ),
)

WAITING = panel_row(
    9,
    heat_map(
        "Wait until answered, call by call",
        "Inbound calls by how long they waited until a person answered. The darker, the "
        "more calls.",
        INBOUND_WAIT.buckets(BAR_WIDTH),
    ),
    percentiles(
        "Wait until answered",
        "Half of the inbound calls, and nine of ten, waited at most so long until a person "
        "answered.",
        INBOUND_WAIT,
        step="6h",
    ),
)

TALKING = panel_row(
    9,
    heat_map(
        "Talk time, call by call",
        "Answered calls by how long people talked. The darker, the more calls.",
        TALK.buckets(BAR_WIDTH),
    ),
    percentiles(
        "Talk time",
        "In half of the answered calls, and in nine of ten, people talked at most so long.",
        TALK,
        step="6h",
    ),
)

WHEN = panel_row(
    10,
    bar_gauge(
        "Busiest hours",
        "Calls in the time shown by hour of the day, in the time zone of each PBX. 09 is "
        "from 9 to 10 o'clock, by when a call ended.",
        "hour",
        by_hour(),
    ),
    table(
        "Busiest weekdays",
        "Calls in the time shown by day of the week, in the time zone of each PBX. Show "
        "whole weeks to compare.",
        {"day_of_week": "Day"},
        {
            "Calls": Column(
                query=by_local_time("day_of_week", total(increase(CALLS, HOUR, CHOSEN), "pbx")),
                bar=DARK,
            )
        },
        sort="Calls",
        key_styles=WEEKDAY_STYLES,
    ),
    widths=(16, 8),
)

NUMBERS = panel_row(
    9,
    by_number("Calls by number", "cdr_did_calls_total", "did", "dids"),
    by_number("Calls by queue", "cdr_queue_calls_total", "queue", "queues"),
)

REACH = panel_row(
    4,
    timeline(
        "All PBXs reached",
        "Where it is red, some PBX could not be reached: the panels above lack its calls, "
        "and a gap is no quiet time.",
        {"All PBXs": f"min(cdr_up{{{PBX}}})"},
        REACHED_STYLES,
    ),
)

CALLS_OVERVIEW = Dashboard(
    uid="cdr-calls-overview",
    title="Calls overview",
    description="Is the phone being answered? Calls of Yeastar P-Series PBXs, counted by "
    "cdr-exporter when they have ended.",
    start="now-7d",
    refresh="5m",
    rows=[
        ANSWERING,
        OVER_TIME,
        MISSED_AND_WEEKS,
        "Waiting and talking",
        WAITING,
        TALKING,
        "When, and whom",
        WHEN,
        NUMBERS,
        "Can this be trusted?",
        REACH,
    ],
)
