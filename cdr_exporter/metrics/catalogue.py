"""Every metric family as data: what users build dashboards and alerts on.

Rule: only families listed here are exposed, and the table in docs/metrics.md lists the same, with
the same help texts. Changing a name, label or bucket breaks somebody's alert, so CHANGELOG.md names
it.

A *durable* family, `D` in docs/metrics.md, is saved in the state file and goes on after a restart.
The others start at 0 with the process.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..cdr import FIELDS
from ..cdr.contract import DISPOSITIONS
from ..cdr.error_codes import BLOCKED_REASONS, KNOWN_ERRCODES
from ..cdr.labels import OTHER_DISPOSITION

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"

OTHER_ERRCODE = "other"

ALL_DISPOSITIONS = (*DISPOSITIONS, OTHER_DISPOSITION)
ERRCODES = (*(str(code) for code in KNOWN_ERRCODES), OTHER_ERRCODE)

FAILURES = (
    "connect",
    "timeout",
    "tls",
    "http",
    "redirect",
    "throttled",
    "too_large",
    "garbled",
    "api",
    "auth",
    "state",
)
REJECTIONS = ("id", "number", "shape")
UNKNOWN_FIELDS = ("disposition", "call_type")
CALLEE_DOUBTS = ("neither", "conflict")
STATE_RESETS = ("corrupt", "empty", "foreign")

TRUNK = ("disposition", "call_type", "trunk")
CALL = ("call_type", "trunk")


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """One metric family; every family but a *process_wide* one has the label `pbx` before *labels*.

    It is equal to itself alone, so that it is found quickly as a key.
    *kind* is `COUNTER`, `GAUGE` or `HISTOGRAM`. *known* are the values of its one label whose
    series exist at 0 from the start; a family without labels exists from the start too. *buckets*
    names the setting with the bounds of a histogram.
    """

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()
    durable: bool = False
    known: tuple[str, ...] = ()
    buckets: str = ""
    process_wide: bool = False

    @property
    def known_labels(self) -> tuple[tuple[str, ...], ...]:
        """The label values of each series that exists before anything is counted."""
        if not self.labels:
            return ((),)
        return tuple((value,) for value in self.known)


RECORDS = Family(
    "cdr_records_total",
    COUNTER,
    "CDR rows by disposition, call_type and trunk; a row is one leg of a call.",
    TRUNK,
    durable=True,
)
DURATION = Family(
    "cdr_duration_seconds",
    HISTOGRAM,
    "Field duration of every CDR row: from the start to the end of the leg.",
    TRUNK,
    durable=True,
    buckets="duration",
)
RING = Family(
    "cdr_ring_duration_seconds",
    HISTOGRAM,
    "Field ring_duration of CDR rows with disposition ANSWERED or VOICEMAIL, and of others where "
    "it is above 0: time to answer.",
    TRUNK,
    durable=True,
    buckets="ring",
)
TALK = Family(
    "cdr_talk_duration_seconds",
    HISTOGRAM,
    "Field talk_duration of CDR rows with disposition ANSWERED, and of others where it is above 0.",
    TRUNK,
    durable=True,
    buckets="duration",
)

CALLS = Family(
    "cdr_calls_total",
    COUNTER,
    "Calls (all legs of one uid) by outcome, call_type and trunk.",
    ("outcome", *CALL),
    durable=True,
)
CALL_WAIT = Family(
    "cdr_call_wait_seconds",
    HISTOGRAM,
    "Answered calls: from the handing over to people until one of them answered; menus and "
    "announcements before it are left out.",
    CALL,
    durable=True,
    buckets="wait",
)
CALL_MENU = Family(
    "cdr_call_menu_seconds",
    HISTOGRAM,
    "Calls that met a menu or an announcement first: from the start of the call until they were "
    "handed on, or to its end.",
    ("call_type",),
    durable=True,
    buckets="wait",
)
CALL_ABANDON = Family(
    "cdr_call_abandon_seconds",
    HISTOGRAM,
    "Calls with outcome no_answer: from the handing over to people to the end of the call.",
    CALL,
    durable=True,
    buckets="wait",
)
CALL_TALK = Family(
    "cdr_call_talk_seconds",
    HISTOGRAM,
    "Answered calls: time talking with people; simultaneous talk counts once, machines do not.",
    CALL,
    durable=True,
    buckets="duration",
)
CALL_DURATION = Family(
    "cdr_call_duration_seconds",
    HISTOGRAM,
    "Every call: from the start of its first leg to the end of its last.",
    CALL,
    durable=True,
    buckets="duration",
)
CALL_LEGS = Family(
    "cdr_call_legs",
    HISTOGRAM,
    "Legs (CDR rows) per call.",
    ("call_type",),
    durable=True,
    buckets="legs",
)
DID_CALLS = Family(
    "cdr_did_calls_total",
    COUNTER,
    "Inbound calls by own number, as labelled under dids; exists only where dids are configured.",
    ("did", "outcome"),
    durable=True,
)
QUEUE_CALLS = Family(
    "cdr_queue_calls_total",
    COUNTER,
    "Calls that came to a queue, as labelled under queues, once per visit, by what became of them "
    "in that queue; exists only where queues are configured.",
    ("queue", "outcome"),
    durable=True,
)
DID_WAIT = Family(
    "cdr_did_wait_seconds",
    HISTOGRAM,
    "Answered inbound calls by own number: from the handing over to people until one answered; "
    "exists only where dids are configured.",
    ("did",),
    durable=True,
    buckets="wait",
)
QUEUE_WAIT = Family(
    "cdr_queue_wait_seconds",
    HISTOGRAM,
    "Calls answered in a queue: from entering the queue until a person answered; exists only "
    "where queues are configured.",
    ("queue",),
    durable=True,
    buckets="wait",
)
QUEUE_ABANDON = Family(
    "cdr_queue_abandon_seconds",
    HISTOGRAM,
    "Calls with outcome no_answer in a queue: from entering the queue to leaving it; exists only "
    "where queues are configured.",
    ("queue",),
    durable=True,
    buckets="wait",
)
EMERGENCY_CALLS = Family(
    "cdr_emergency_calls_total",
    COUNTER,
    "Calls to one of emergency_numbers.",
    durable=True,
)
DESTINATION_CALLS = Family(
    "cdr_destination_calls_total",
    COUNTER,
    "Calls with a leg that leaves by a trunk, by destination of the number dialled, once per "
    "destination; exists only where destinations are configured.",
    ("destination",),
    durable=True,
)
DESTINATION_TALK = Family(
    "cdr_destination_talk_seconds_total",
    COUNTER,
    "Field talk_duration of the legs that leave by a trunk, by destination of the number dialled; "
    "exists only where destinations are configured.",
    ("destination",),
    durable=True,
)

UP = Family("cdr_up", GAUGE, "1 when the last poll of the PBX succeeded; 0 before the first.")
PBX_RECORDS = Family(
    "cdr_pbx_records",
    GAUGE,
    "CDR rows on the PBX now (total_number). Not a counter: the PBX deletes old rows.",
)
LAST_RECORD = Family(
    "cdr_last_record_timestamp_seconds", GAUGE, "Newest field timestamp (start of a call) seen."
)
UTC_OFFSET = Family("cdr_utc_offset_seconds", GAUGE, "UTC offset of the PBX's timezone now.")

BUILD_INFO = Family(
    "cdr_exporter_build_info",
    GAUGE,
    "Always 1; the labels are the versions of the exporter and of Python, and the commit.",
    ("version", "revision", "python"),
    process_wide=True,
)
RELOAD_SUCCESSFUL = Family(
    "cdr_exporter_config_last_reload_successful",
    GAUGE,
    "Whether the configuration could be used when it was last read.",
    process_wide=True,
)
RELOAD_SUCCESS_TIMESTAMP = Family(
    "cdr_exporter_config_last_reload_success_timestamp_seconds",
    GAUGE,
    "When the configuration was last read and used.",
    process_wide=True,
)
LEASE_CHANGES_BY = ("first", "free", "expired", "given_back", "ended", "lost")
"""Why a replica began to hold a PBX, or held it no longer."""

LEASES = Family(
    "cdr_exporter_leases",
    GAUGE,
    "PBXs that this replica holds; only where replicas share a database.",
    process_wide=True,
)
LEASE_CHANGES = Family(
    "cdr_exporter_lease_changes_total",
    COUNTER,
    "PBXs taken (first: nobody had it before, free: given back, expired: its holder did not renew "
    "it) and no longer held (given_back, ended: this replica stopped, lost), by reason.",
    ("reason",),
    known=LEASE_CHANGES_BY,
    process_wide=True,
)
DATABASE_UP = Family(
    "cdr_exporter_database_up",
    GAUGE,
    "Whether the database answered when this replica last asked it; only with state_url_file.",
    process_wide=True,
)
POLLS = Family("cdr_exporter_polls_total", COUNTER, "Polls of the PBX that were begun.")
POLL_FAILURES = Family(
    "cdr_exporter_poll_failures_total",
    COUNTER,
    "Polls that failed, by reason.",
    ("reason",),
    known=FAILURES,
)
API_ERRORS = Family(
    "cdr_exporter_api_errors_total",
    COUNTER,
    "Answers of the PBX with an errcode other than 0; codes unknown to the exporter count as "
    "other.",
    ("errcode",),
    known=ERRCODES,
)
REQUESTS = Family(
    "cdr_exporter_requests_total",
    COUNTER,
    "HTTP requests sent to the PBX, including those for tokens.",
)
ROWS_FETCHED = Family(
    "cdr_exporter_rows_fetched_total",
    COUNTER,
    "CDR rows that the PBX sent, including rows that were read before.",
)
LAST_SUCCESS = Family(
    "cdr_exporter_last_success_timestamp_seconds",
    GAUGE,
    "When the last successful poll ended; 0 before the first.",
)
POLL_DURATION = Family("cdr_exporter_poll_duration_seconds", GAUGE, "How long the last poll took.")
INGEST_DELAY = Family(
    "cdr_exporter_ingest_delay_seconds",
    HISTOGRAM,
    "From the end of a CDR row (timestamp + duration) until it was counted; includes the "
    "difference between the PBX's clock and the exporter's.",
    buckets="delay",
)
CLOCK_OFFSET = Family(
    "cdr_exporter_pbx_clock_offset_seconds",
    GAUGE,
    "The PBX's clock less the exporter's, from the Date header of its last answer; absent where it "
    "has none. Counts do not depend on it.",
)
LATE_RECORDS = Family(
    "cdr_exporter_late_records_total",
    COUNTER,
    "CDR rows that appeared below ids already read; they were counted.",
    durable=True,
)
REUSED_IDS = Family(
    "cdr_exporter_reused_ids_total",
    COUNTER,
    "CDR rows with the id of another row that was read before; they were counted.",
    durable=True,
)
DUPLICATE_IDS = Family(
    "cdr_exporter_duplicate_ids_total",
    COUNTER,
    "CDR rows that shared an id with another row of the same answer; they were counted, the same "
    "row twice as one.",
    durable=True,
)
PRE_BREAK_RECORDS = Family(
    "cdr_exporter_pre_break_records_total",
    COUNTER,
    "CDR rows not counted because their call ended before the last lineage break: they may have "
    "been counted before it.",
    durable=True,
)
LINEAGE_BREAKS = Family(
    "cdr_exporter_lineage_breaks_total",
    COUNTER,
    "How often the CDR table of the PBX was replaced by another: reset, old backup, another PBX.",
    durable=True,
)
REJECTED_RECORDS = Family(
    "cdr_exporter_rejected_records_total",
    COUNTER,
    "CDR rows rejected as malformed, by reason: id (unusable id), number (a time that is no whole "
    "number), shape (not a JSON object, or too large to be read).",
    ("reason",),
    durable=True,
    known=REJECTIONS,
)
REJECTED_FIELDS = Family(
    "cdr_exporter_rejected_fields_total",
    COUNTER,
    "Fields of counted CDR rows that were unusable and treated as missing.",
    ("field",),
    durable=True,
    known=FIELDS,
)
UNKNOWN_VALUES = Family(
    "cdr_exporter_unknown_values_total",
    COUNTER,
    "CDR rows with an unknown disposition or call_type, counted as OTHER or Other.",
    ("field",),
    durable=True,
    known=UNKNOWN_FIELDS,
)
UNRECOGNISED_CALLEES = Family(
    "cdr_exporter_unrecognised_callees_total",
    COUNTER,
    "Legs by why it is not sure who was called: neither (answered, and neither number nor name "
    "says by whom; counted as a person), conflict (number and name disagree); see number_plan.",
    ("kind",),
    durable=True,
    known=CALLEE_DOUBTS,
)
FOLDED_TRUNKS = Family(
    "cdr_exporter_folded_trunks_total",
    COUNTER,
    'CDR rows counted under trunk="other" because max_trunks was reached.',
    durable=True,
)
LATE_LEGS = Family(
    "cdr_exporter_late_legs_total",
    COUNTER,
    "Legs that came after their call was counted; they count as rows only. If it rises, see "
    "legs_appear.",
    durable=True,
)
CUT_CALLS = Family(
    "cdr_exporter_cut_calls_total",
    COUNTER,
    "Calls counted early because too many were open, or had too many legs; their last legs may"
    " become late legs.",
    durable=True,
)
LINEAGE_SUSPECT = Family(
    "cdr_exporter_lineage_suspect",
    GAUGE,
    "1 while the newest rows of the PBX do not follow those read before; nothing is counted then.",
)
BACKLOG = Family(
    "cdr_exporter_backlog",
    GAUGE,
    "Row ids not yet read (there may be fewer rows), or seconds not yet read where rows have no "
    "id; above 0 while catching up.",
)
OPEN_CALLS = Family(
    "cdr_exporter_open_calls",
    GAUGE,
    "Calls that are not counted yet because more legs of them may come.",
)
AUTH_BLOCKED = Family(
    "cdr_exporter_auth_blocked",
    GAUGE,
    "1 while the PBX refuses the exporter for this reason; somebody has to act.",
    ("reason",),
    known=BLOCKED_REASONS,
)
STATE_WRITE_OK = Family(
    "cdr_exporter_state_write_ok", GAUGE, "1 when the last commit to the state file succeeded."
)
STATE_RESET = Family(
    "cdr_exporter_state_reset_timestamp_seconds",
    GAUGE,
    "When an unusable state file was last set aside and counting began again; 0 when never.",
    ("reason",),
    durable=True,
    known=STATE_RESETS,
)

TRUNK_FAMILIES = (RECORDS, DURATION, RING, TALK)
NUMBER_FAMILIES = (
    DID_CALLS,
    DID_WAIT,
    QUEUE_CALLS,
    QUEUE_WAIT,
    QUEUE_ABANDON,
    DESTINATION_CALLS,
    DESTINATION_TALK,
)
"""They exist only where the user named numbers."""

CALL_FAMILIES = (
    CALLS,
    CALL_WAIT,
    CALL_MENU,
    CALL_ABANDON,
    CALL_TALK,
    CALL_DURATION,
    CALL_LEGS,
    EMERGENCY_CALLS,
    *NUMBER_FAMILIES,
)
TRAFFIC_FAMILIES = (*TRUNK_FAMILIES, *CALL_FAMILIES)
"""What is counted of the PBX: hidden while it is silent, and until it is caught up with."""

EVENT_COUNTERS = (
    LATE_RECORDS,
    REUSED_IDS,
    DUPLICATE_IDS,
    PRE_BREAK_RECORDS,
    LINEAGE_BREAKS,
    REJECTED_RECORDS,
    REJECTED_FIELDS,
    UNKNOWN_VALUES,
    UNRECOGNISED_CALLEES,
    FOLDED_TRUNKS,
    LATE_LEGS,
    CUT_CALLS,
)
"""Durable, but about the exporter: always shown."""

FAMILIES = (
    *TRAFFIC_FAMILIES,
    UP,
    PBX_RECORDS,
    LAST_RECORD,
    UTC_OFFSET,
    BUILD_INFO,
    RELOAD_SUCCESSFUL,
    RELOAD_SUCCESS_TIMESTAMP,
    LEASES,
    LEASE_CHANGES,
    DATABASE_UP,
    POLLS,
    POLL_FAILURES,
    API_ERRORS,
    REQUESTS,
    ROWS_FETCHED,
    LAST_SUCCESS,
    POLL_DURATION,
    INGEST_DELAY,
    CLOCK_OFFSET,
    *EVENT_COUNTERS,
    LINEAGE_SUSPECT,
    BACKLOG,
    OPEN_CALLS,
    AUTH_BLOCKED,
    STATE_WRITE_OK,
    STATE_RESET,
)
"""In the order of `/metrics`."""

LEGS_BUCKETS = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20)
DELAY_BUCKETS = (5, 10, 15, 30, 45, 60, 90, 120, 300, 600, 1800, 3600, 21600, 86400)
