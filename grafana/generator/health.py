"""Exporter health: whether it runs, reaches its PBXs and counts their rows."""

from __future__ import annotations

from .dashboard import Dashboard, panel_row
from .panels import (
    AGO,
    FINE,
    NEVER_STYLES,
    NONE_SEEN,
    PLAIN,
    SECONDS,
    TIME,
    Column,
    bars,
    lines,
    percentiles,
    stat,
    table,
    timeline,
)
from .promql import (
    BAR,
    HOUR,
    PBX,
    TIME_RANGE,
    Histogram,
    Window,
    increase,
    only_seen,
    total,
)
from .styles import (
    ACCESS_STYLES,
    KNOWN_TABLE_STYLES,
    NO_EXPORTER,
    NONE_YET,
    ORANGE,
    REACHED_STYLES,
    RED,
    WRITTEN_STYLES,
    Style,
)

DELAY = Histogram("cdr_exporter_ingest_delay_seconds", PBX)

SINCE_SUCCESS = f"time() - (cdr_exporter_last_success_timestamp_seconds{{{PBX}}} > 0)"


def gauge(name: str) -> str:
    """Return the value of the gauge *name* for each PBX."""
    return f"max by (pbx) ({name}{{{PBX}}})"


def events(name: str, window: Window = BAR, *labels: str) -> str:
    """Return by how much the counter *name* rose in *window*."""
    return total(increase(name, window, PBX), *labels)


def kinds(name: str, label: str) -> str:
    """Return by how much the counter *name* rose in each bar, of each kind that was seen."""
    return only_seen(events(name, BAR, label), name, label)


NOW = panel_row(
    4,
    stat(
        "PBXs not reached",
        "How many PBXs did not answer their last poll as they should. Their calls are "
        "counted once they answer.",
        f"sum(1 - cdr_up{{{PBX}}})",
        alarm=RED,
        decimals=0,
        no_value=NO_EXPORTER,
    ),
    stat(
        "Access refused",
        "How many PBXs refuse the exporter until somebody acts: see the reasons below.",
        f"sum(max by (pbx) (cdr_exporter_auth_blocked{{{PBX}}}))",
        alarm=RED,
        decimals=0,
        no_value=NO_EXPORTER,
    ),
    stat(
        "Since last success",
        "Since the last successful poll of the PBX that waits longest, as hours:minutes:seconds. "
        "It should not be much more than poll_interval.",
        f"max({SINCE_SUCCESS})",
        unit=TIME,
        no_value=NONE_YET,
    ),
    stat(
        "Rows to catch up",
        "Rows that are still to be read, at most, of all PBXs. Above 0 after a downtime, "
        "and then it falls. Where rows have no id, seconds.",
        f"sum(cdr_exporter_backlog{{{PBX}}})",
        alarm=ORANGE,
        decimals=0,
        no_value=NO_EXPORTER,
    ),
)

COUNTED = panel_row(
    4,
    stat(
        "State failing",
        "How many PBXs have a state file that could not be written at the last commit. Nothing new "
        "is counted of these PBXs until it can.",
        f"sum(1 - cdr_exporter_state_write_ok{{{PBX}}})",
        alarm=RED,
        decimals=0,
        no_value=NO_EXPORTER,
    ),
    stat(
        "Rejected rows",
        "Rows in the time shown that could not be counted, since they were no call records "
        "that anybody could read.",
        events("cdr_exporter_rejected_records_total", TIME_RANGE),
        alarm=RED,
        decimals=0,
        no_value=NO_EXPORTER,
    ),
    stat(
        "Unclear callees",
        "Legs in the time shown of which number and name do not tell alike who was called: if "
        "there are many, set number_plan in exporter.yml.",
        events("cdr_exporter_unrecognised_callees_total", TIME_RANGE),
        alarm=ORANGE,
        decimals=0,
        no_value=NO_EXPORTER,
    ),
    stat(
        "Config refused",
        "How many exporters read exporter.yml again and could not use it: they run with the one "
        "from before, and their log says what is wrong. Empty where each PBX is scraped as a "
        "target of its own.",
        "sum(1 - cdr_exporter_config_last_reload_successful)",
        alarm=ORANGE,
        decimals=0,
        no_value=Style(NO_EXPORTER.color, "Not scraped"),
    ),
    stat(
        "Version",
        "The version of the exporter. Empty where each PBX is scraped as a target of its own.",
        "count by (version) (cdr_exporter_build_info)",
        unit=PLAIN,
        legend="{{version}}",
        no_value=Style(NO_EXPORTER.color, "Not scraped"),
    ),
    widths=(5, 5, 5, 5, 4),
)

SIDE_BY_SIDE = panel_row(
    9,
    table(
        "PBXs side by side",
        "One row for each PBX; a click on a heading sorts. Requests, rows sent and failed polls "
        "are of the last hour. State reset: when its counters began anew.",
        {"pbx": "PBX"},
        {
            "Reached": Column(query=gauge("cdr_up"), width=95, value_styles=REACHED_STYLES),
            "Since success": Column(query=f"max by (pbx) ({SINCE_SUCCESS})", unit=TIME, width=130),
            "To catch up": Column(
                query=gauge("cdr_exporter_backlog"), decimals=0, width=105, warn=ORANGE
            ),
            "Newest call": Column(
                query=f"{gauge('cdr_last_record_timestamp_seconds')} * 1000",
                unit=AGO,
                width=125,
                value_styles=NEVER_STYLES,
            ),
            "Rows on the PBX": Column(query=gauge("cdr_pbx_records"), decimals=0, width=135),
            "Requests": Column(
                query=events("cdr_exporter_requests_total", HOUR, "pbx"), decimals=0, width=90
            ),
            "Rows sent": Column(
                query=events("cdr_exporter_rows_fetched_total", HOUR, "pbx"), decimals=0, width=95
            ),
            "Failed polls": Column(
                query=events("cdr_exporter_poll_failures_total", HOUR, "pbx"),
                decimals=0,
                width=100,
                warn=RED,
            ),
            "Access": Column(
                query=gauge("cdr_exporter_auth_blocked"), width=80, value_styles=ACCESS_STYLES
            ),
            "State": Column(
                query=gauge("cdr_exporter_state_write_ok"), width=95, value_styles=WRITTEN_STYLES
            ),
            "State reset": Column(
                query=f"{gauge('cdr_exporter_state_reset_timestamp_seconds')} * 1000",
                unit=AGO,
                width=125,
                value_styles=NEVER_STYLES,
            ),
        },
        sort="Since success",
    ),
)

REACHING = panel_row(
    6,
    timeline(
        "PBX reached",
        "Whether polls of each PBX succeeded. Where it is red, graphs of its calls have a "
        "gap and no quiet time.",
        {"{{pbx}}": gauge("cdr_up")},
        REACHED_STYLES,
    ),
)

FAILING = panel_row(
    10,
    bars(
        "Failed polls by reason",
        "Polls that failed. The runbook says what each reason means and what to do.",
        {"{{reason}}": kinds("cdr_exporter_poll_failures_total", "reason")},
        resolution=FINE,
        no_value=NONE_SEEN,
    ),
    bars(
        "API errors by code",
        "Answers of the PBXs with an errcode other than 0. 10004 is an expired token and "
        "harmless; other is a code without a reaction of ours.",
        {"{{errcode}}": kinds("cdr_exporter_api_errors_total", "errcode")},
        resolution=FINE,
        no_value=NONE_SEEN,
    ),
)

REFUSALS = panel_row(
    9,
    lines(
        "PBXs that refuse access, by reason",
        "0 is good. Above it somebody has to act: a wrong secret, an address that is "
        "blocked or not allowed, too many tokens, an API that is switched off.",
        {"{{reason}}": f"sum by (reason) (cdr_exporter_auth_blocked{{{PBX}}})"},
        decimals=0,
    ),
    lines(
        "Since the last success",
        "Time since the last successful poll of each PBX. A saw of the height of "
        "poll_interval is as it should be.",
        {"{{pbx}}": f"max by (pbx) ({SINCE_SUCCESS})"},
        unit=TIME,
    ),
)

FOLLOWING = panel_row(
    9,
    lines(
        "Rows to catch up, by PBX",
        "Rows that are still to be read, at most. After a downtime it should fall. Where "
        "rows have no id, seconds.",
        {"{{pbx}}": gauge("cdr_exporter_backlog")},
        decimals=0,
    ),
    percentiles(
        "Delay until counted",
        "From the end of a call until it was counted, by the clocks of PBX and exporter: "
        "half of the rows, and nine of ten, at most so long. No point of fewer than five rows.",
        DELAY,
    ),
    lines(
        "Open calls",
        "Calls of which legs were seen, and that are not counted yet since more may come.",
        {"{{pbx}}": gauge("cdr_exporter_open_calls")},
        decimals=0,
    ),
)

COST = panel_row(
    9,
    bars(
        "Requests to the PBXs",
        "HTTP requests that the exporter sent, for tokens too.",
        {"{{pbx}}": events("cdr_exporter_requests_total", BAR, "pbx")},
        resolution=FINE,
    ),
    bars(
        "Rows that the PBXs sent",
        "Call records that PBXs had to send, read again or not. An idle poll reads 20.",
        {"{{pbx}}": events("cdr_exporter_rows_fetched_total", BAR, "pbx")},
        resolution=FINE,
    ),
    lines(
        "Duration of a poll",
        "How long the last poll of each PBX took.",
        {"{{pbx}}": gauge("cdr_exporter_poll_duration_seconds")},
        unit=SECONDS,
    ),
)

COUNTING = panel_row(
    9,
    bars(
        "Late and odd rows and legs",
        "Rows out of order, with an id seen before, with an id that another row of the same answer "
        "has, or from before a reset of the PBX. Late legs came after their call was counted: see "
        "legs_appear. Cut calls were counted early.",
        {
            "late rows": events("cdr_exporter_late_records_total"),
            "late legs": events("cdr_exporter_late_legs_total"),
            "ids used again": events("cdr_exporter_reused_ids_total"),
            "shared ids": events("cdr_exporter_duplicate_ids_total"),
            "from before a reset": events("cdr_exporter_pre_break_records_total"),
            "cut calls": events("cdr_exporter_cut_calls_total"),
            "resets of the PBX": events("cdr_exporter_lineage_breaks_total"),
        },
    ),
    bars(
        "Rows not as documented",
        "Rows rejected, fields taken as absent, values that the documentation does not "
        "know, rows folded into the trunk other.",
        {
            "row: {{reason}}": kinds("cdr_exporter_rejected_records_total", "reason"),
            "field: {{field}}": kinds("cdr_exporter_rejected_fields_total", "field"),
            "unknown: {{field}}": kinds("cdr_exporter_unknown_values_total", "field"),
            "trunk other": events("cdr_exporter_folded_trunks_total"),
        },
    ),
)

CALLEES = panel_row(
    9,
    bars(
        "Unclear callees, by kind",
        "Legs of which it is not sure who was called. neither: answered, and neither number nor "
        "name says by whom, so it counts as a person. conflict: number and name disagree. If it "
        "rises, set number_plan in exporter.yml to the numbers of your PBX.",
        {"{{kind}}": events("cdr_exporter_unrecognised_callees_total", BAR, "kind")},
    ),
    lines(
        "Clocks of the PBXs",
        "By how much the clock of each PBX is ahead of the exporter's, or below 0 behind it, from "
        "the Date of its answers. Counts do not depend on it; the delay until counted does.",
        {"{{pbx}}": gauge("cdr_exporter_pbx_clock_offset_seconds")},
        unit=SECONDS,
        signed=True,
    ),
)

STATE = panel_row(
    6,
    timeline(
        "State written",
        "Whether the state file of each PBX could be written.",
        {"{{pbx}}": gauge("cdr_exporter_state_write_ok")},
        WRITTEN_STYLES,
    ),
    timeline(
        "Another table on the PBX",
        "Red while the newest rows of a PBX are not those of the table we know: it was "
        "reset, restored or replaced. Nothing is counted until that is clear.",
        {"{{pbx}}": gauge("cdr_exporter_lineage_suspect")},
        KNOWN_TABLE_STYLES,
    ),
)

HEALTH = Dashboard(
    uid="cdr-exporter-health",
    title="Exporter health",
    description="Does cdr-exporter run, reach its PBXs and count what they have?",
    start="now-24h",
    refresh="1m",
    variables=("pbx",),
    handed_on=("trunk", "call_type"),
    rows=[
        NOW,
        COUNTED,
        SIDE_BY_SIDE,
        REACHING,
        FAILING,
        REFUSALS,
        "Keeping up",
        FOLLOWING,
        COST,
        "Counting",
        COUNTING,
        CALLEES,
        STATE,
    ],
)
