"""Calls overview: whether calls are answered."""

from __future__ import annotations

from collections.abc import Mapping

from .dashboard import Dashboard, panel_row
from .panels import (
    AGO,
    BAR_WIDTHS,
    BARS,
    DATE,
    JSON,
    PERCENT,
    TIME,
    Column,
    bar_gauge,
    bars,
    heat_map,
    lines,
    percentiles,
    shares,
    stat,
    table,
    timeline,
)
from .promql import (
    BAR,
    CHOSEN,
    COLUMN,
    INBOUND,
    NOT_BLOCKED,
    PBX,
    POINT,
    QUARTER,
    TIME_RANGE,
    Histogram,
    Window,
    a_week_before,
    by_local_day,
    by_local_hour,
    by_local_weekday,
    increase,
    quotient,
    service_level,
    share,
    total,
)
from .styles import (
    ANSWERED_SHARE,
    BEFORE,
    DARK,
    GAVE_UP_LATE,
    GAVE_UP_SOON,
    IN_TIME_SHARE,
    MISSED_STYLES,
    NEUTRAL,
    NO_EXPORTER,
    NONE_YET,
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
MENU = Histogram("cdr_call_menu_seconds", f'{PBX}, call_type=~"$call_type"')

DID_WAIT = Histogram("cdr_did_wait_seconds", PBX)
QUEUE_WAIT = Histogram("cdr_queue_wait_seconds", PBX)
QUEUE_GAVE_UP = Histogram("cdr_queue_abandon_seconds", PBX)

MISSED = f'{INBOUND}, outcome="no_answer"'
OFFERED = f"{INBOUND}, {NOT_BLOCKED}"

WEEKDAY_STYLES = {
    number: Style(NEUTRAL, name)
    for number, name in enumerate(
        ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
    )
}

NUMBERED = {"did": "Number", "queue": "Queue"}

STRONGER = "The stronger the colour, the more calls."
WEEK, TWO_WEEKS = "7d", "14d"


def answered(window: Window) -> str:
    """Return the share of inbound calls that a person answered."""
    return share(CALLS, window, 'outcome="answered"', OFFERED)


def in_time(window: Window) -> str:
    """Return the service level of the inbound calls."""
    return service_level(INBOUND_WAIT, INBOUND_GAVE_UP, window)


def quarters(matchers: str) -> str:
    """Return the calls of each PBX in a quarter of an hour."""
    return total(increase(CALLS, QUARTER, matchers), "pbx")


def by_number(
    title: str, description: str, metric: str, label: str, outcomes: Mapping[str, Column]
) -> JSON:
    """Return a table of the calls to each own number or queue.

    Those without a call in the time shown are left out, as `other` often is.
    """
    calls = total(increase(metric, TIME_RANGE, PBX), label)
    columns = {
        "Calls": Column(query=f"{calls} > 0", bar=DARK),
        "Answered": Column(
            query=share(metric, TIME_RANGE, 'outcome="answered"', f"{PBX}, {NOT_BLOCKED}", label),
            unit=PERCENT,
            decimals=1,
        ),
        **outcomes,
    }
    return table(title, description, {label: NUMBERED[label]}, columns, sort="Calls")


def of_outcome(metric: str, label: str, outcome: str) -> str:
    """Return the calls of one outcome to each own number or queue that had a call."""
    found = total(increase(metric, TIME_RANGE, f'{PBX}, outcome="{outcome}"'), label)
    return f"{found} and on ({label}) ({total(increase(metric, TIME_RANGE, PBX), label)} > 0)"


ANSWERING = panel_row(
    4,
    stat(
        "Inbound answered",
        "Of all who called in the time shown, how many spoke to a person. Who hung up in a "
        "menu, or left a message, did not.",
        answered(TIME_RANGE),
        unit=PERCENT,
        decimals=1,
    ),
    stat(
        "Service level",
        "Inbound calls answered within 20 s, of those that were answered or rang longer "
        "than 5 s in vain. From the handing over to people: menus and announcements are left out.",
        in_time(TIME_RANGE),
        unit=PERCENT,
        decimals=1,
    ),
    stat(
        "Inbound missed",
        "Inbound calls in the time shown that nobody answered: no person, no voicemail.",
        total(increase(CALLS, TIME_RANGE, MISSED)),
        decimals=0,
    ),
    stat(
        "Average wait",
        "How long inbound calls waited until a person answered, on average, as "
        "hours:minutes:seconds. From the handing over to people: menus and announcements are "
        "left out.",
        INBOUND_WAIT.mean(TIME_RANGE),
        unit=TIME,
    ),
)

COUNTING = panel_row(
    4,
    stat(
        "Calls",
        "All calls that ended in the time shown, of the call types chosen.",
        total(increase(CALLS, TIME_RANGE, CHOSEN)),
        decimals=0,
    ),
    stat(
        "Emergency calls",
        "Calls in the time shown to one of emergency_numbers in exporter.yml, whatever trunk and "
        "call type are chosen.",
        total(increase("cdr_emergency_calls_total", TIME_RANGE, PBX)),
        decimals=0,
    ),
    stat(
        "Newest call",
        "When the newest call began that the exporter knew of at the end of the time shown, on any "
        "trunk, and by your browser's clock how long ago that is. If it is older than you expect, "
        "look whether PBXs are reached.",
        f"max(cdr_last_record_timestamp_seconds{{{PBX}}} > 0) * 1000",
        unit=AGO,
        no_value=NONE_YET,
    ),
    stat(
        "PBXs not reached",
        "Above 0, the panels below lack calls that were made. They are counted once the "
        "PBX answers. A click leads to the exporter's health.",
        f"sum(1 - cdr_up{{{PBX}}})",
        alarm=RED,
        decimals=0,
        no_value=NO_EXPORTER,
        link="cdr-exporter-health",
    ),
)

REACH = panel_row(
    4,
    timeline(
        "All PBXs reached",
        "Where it is red, some PBX could not be reached: the panels below lack its calls, "
        "and a gap is no quiet time.",
        {"All PBXs": f"min(cdr_up{{{PBX}}})"},
        REACHED_STYLES,
    ),
)

OVER_TIME = panel_row(
    10,
    bars(
        "Calls by outcome",
        f"Calls that ended, by what became of them. {BAR_WIDTHS} A call counts once, however many "
        "phones rang. A total is that of the time shown.",
        {"{{outcome}}": total(increase(CALLS, BAR, CHOSEN), "outcome")},
        styles=OUTCOME_STYLES,
    ),
    shares(
        "Inbound answered and in time",
        "Of all who called, how many spoke to a person; and the service level. A point is "
        "of the hour after it, of a week of six hours. No point where fewer than five called.",
        {ANSWERED_SHARE: answered(POINT), IN_TIME_SHARE: in_time(POINT)},
        styles=SHARE_STYLES,
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
            GAVE_UP_SOON: INBOUND_GAVE_UP.up_to("5.0", BAR),
            GAVE_UP_LATE: f"{INBOUND_GAVE_UP.count(BAR)} - {INBOUND_GAVE_UP.up_to('5.0', BAR)}",
        },
        styles=MISSED_STYLES,
        no_value="No missed call counted in this range",
    ),
    lines(
        "Against a week before",
        "All calls, and those of the same local time a week before. A point is of the hour before "
        "it, of a day of ten minutes. Needs that much history in Prometheus.",
        {
            BEFORE: a_week_before(CALLS, "${__interval}", CHOSEN),
            NOW: total(increase(CALLS, COLUMN, CHOSEN)),
        },
        styles=WEEK_STYLES,
        resolution=BARS,
        decimals=0,
    ),
)

WAITING = panel_row(
    12,
    heat_map(
        "Wait until answered, call by call",
        f"Inbound calls by how long they waited until a person answered. {STRONGER}",
        INBOUND_WAIT,
    ),
    percentiles(
        "Wait until answered",
        "Half of the inbound calls, and nine of ten, waited at most so long until a person "
        "answered. No point where fewer than five were answered.",
        INBOUND_WAIT,
    ),
)

TALKING = panel_row(
    12,
    heat_map(
        "Talk time, call by call",
        f"Answered calls by how long people talked. {STRONGER}",
        TALK,
    ),
    percentiles(
        "Talk time",
        "In half of the answered calls, and in nine of ten, people talked at most so long. "
        "No point where fewer than five were answered.",
        TALK,
    ),
)

MENUS = panel_row(
    9,
    percentiles(
        "Time in menus",
        "Of the calls that met a menu or an announcement first, on any trunk: half, and nine of "
        "ten, were in it at most so long, until they were handed to people or hung up.",
        MENU,
    ),
    bars(
        "Inbound calls that were offered to nobody",
        "Machine only: who met nothing but menus, announcements and feature codes. Blocked: whom "
        "the PBX turned away by its blacklist, which is left out of every share.",
        {
            "{{outcome}}": total(
                increase(CALLS, BAR, f'{INBOUND}, outcome=~"machine|blocked"'), "outcome"
            )
        },
        styles=OUTCOME_STYLES,
    ),
)

WHEN = panel_row(
    9,
    bar_gauge(
        "Busiest hours",
        "Calls in the time shown by hour of the day, in the time zone of each PBX. 09 h is "
        "from 9 to 10 o'clock, by when a call was counted: a minute or two after its end.",
        "hour",
        by_local_hour(quarters(CHOSEN)),
    ),
)

DAYS = panel_row(
    11,
    table(
        "Calls by day",
        "The last week by day, from midnight to midnight in the time zone of each PBX. "
        "Answered is of the inbound calls, missed those that nobody answered. The oldest day and "
        "the newest are not whole.",
        {"day": "Day"},
        {
            "Calls": Column(query=by_local_day(quarters(CHOSEN)), bar=DARK),
            "Inbound": Column(query=by_local_day(quarters(OFFERED)), width=75),
            "Answered": Column(
                query=quotient(
                    by_local_day(quarters(f'{INBOUND}, outcome="answered"')),
                    by_local_day(quarters(OFFERED)),
                ),
                unit=PERCENT,
                decimals=1,
                width=85,
            ),
            "Missed": Column(query=by_local_day(quarters(MISSED)), width=70),
        },
        sort="Day",
        key_unit=DATE,
        shown=WEEK,
    ),
    table(
        "Busiest weekdays",
        "The calls of the last two weeks by day of the week, in the time zone of each PBX.",
        {"weekday": "Day"},
        {"Calls": Column(query=by_local_weekday(quarters(CHOSEN)), bar=DARK)},
        sort="Day",
        descending=False,
        key_styles=WEEKDAY_STYLES,
        shown=TWO_WEEKS,
    ),
)

NUMBERS = panel_row(
    7,
    by_number(
        "Calls by number (dids in exporter.yml)",
        "Inbound calls in the time shown by own number, whatever trunk and call type are chosen. "
        "Empty where exporter.yml has no dids; numbers that are not named there are other. Wait: "
        "until a person answered, on average.",
        "cdr_did_calls_total",
        "did",
        {
            "No answer": Column(
                query=of_outcome("cdr_did_calls_total", "did", "no_answer"), warn=RED
            ),
            "Voicemail": Column(query=of_outcome("cdr_did_calls_total", "did", "voicemail")),
            "Wait": Column(query=DID_WAIT.mean(TIME_RANGE, "did"), unit=TIME),
        },
    ),
)

QUEUES = panel_row(
    7,
    by_number(
        "Calls by queue (queues in exporter.yml)",
        "Calls in the time shown by queue, once per visit, whatever trunk and call type are "
        "chosen. Empty where exporter.yml has no queues; those that are not named there are other. "
        "In 20 s is the service level. Wait, and gave up after: from entering the queue, on "
        "average.",
        "cdr_queue_calls_total",
        "queue",
        {
            "In 20 s": Column(
                query=service_level(QUEUE_WAIT, QUEUE_GAVE_UP, TIME_RANGE, "queue"),
                unit=PERCENT,
                decimals=1,
            ),
            "No answer": Column(
                query=of_outcome("cdr_queue_calls_total", "queue", "no_answer"), warn=RED
            ),
            "Voicemail": Column(query=of_outcome("cdr_queue_calls_total", "queue", "voicemail")),
            "Passed on": Column(query=of_outcome("cdr_queue_calls_total", "queue", "passed_on")),
            "Wait": Column(query=QUEUE_WAIT.mean(TIME_RANGE, "queue"), unit=TIME),
            "Gave up after": Column(query=QUEUE_GAVE_UP.mean(TIME_RANGE, "queue"), unit=TIME),
        },
    ),
)

CALLS_OVERVIEW = Dashboard(
    uid="cdr-calls-overview",
    title="Calls overview",
    description="Is the phone being answered? Calls of Yeastar P-Series PBXs, counted by "
    "cdr-exporter when they have ended.",
    start="now-24h",
    refresh="5m",
    rows=[
        ANSWERING,
        COUNTING,
        REACH,
        OVER_TIME,
        MISSED_AND_WEEKS,
        "Waiting and talking",
        WAITING,
        TALKING,
        MENUS,
        "When, and whom",
        WHEN,
        DAYS,
        NUMBERS,
        QUEUES,
    ],
)
