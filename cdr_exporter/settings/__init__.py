"""What a user may decide: each setting is declared here, at its field, and nowhere else.

A `Setting` at a field makes it a key of `exporter.yml`: with what may be written, and its text.
The value after the `=` is the default; a field without one has to be written. Where a key may
stand is said by the class: `Overridable` at the top of the file and in the entry of each PBX,
`PBX` in an entry only, `Settings` at the top only.

    kinds       what a setting may be: a duration, a list of numbers, a group of settings
    values      the checks of single values
    durations   `30s`, `1h30m` to seconds and back

How the file is read is in `config`. After a change here `make settings` writes `exporter.yml` and
the table in `docs/configuration.md` anew. All durations are in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

from ..cdr.contract import NUMBER_PLAN, NumberRanges
from ..secret import Secret
from . import kinds, values
from .kinds import Group, ListOf, Setting, group_of

DURATION_BUCKETS = (1, 5, 10, 15, 30, 60, 120, 180, 300, 600, 1200, 1800, 3600, 7200)
RING_BUCKETS = (1, 2, 5, 10, 15, 20, 30, 45, 60, 120)
WAIT_BUCKETS = (1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1800)

EMERGENCY_NUMBERS = ("112", "911")


@dataclass(frozen=True, slots=True)
class SecretSource:
    """Where the client secret comes from; exactly one is set.

    *file* and the environment variable *env* are read again at each login.
    """

    file: Annotated[
        Path | None,
        Setting(
            kinds.PATH,
            "The client secret, in exactly one of three ways: a file with nothing else in it, an"
            " environment variable, or the secret itself, which is then known to everybody who may"
            " read this file. A file and a variable are read again at each login, without blanks"
            " and line ends around it.",
            example="hq.secret",
            key="client_secret_file",
        ),
    ] = None
    env: Annotated[
        str | None,
        Setting(
            kinds.text(values.parse_variable_name),
            example="HQ_CLIENT_SECRET     # instead of client_secret_file",
            key="client_secret_env",
        ),
    ] = None
    value: Annotated[
        Secret | None,
        Setting(
            kinds.SECRET,
            example='"write it in quotes"     # instead of client_secret_file',
            key="client_secret",
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class TLS:
    """Which certificate to accept: from the system's CAs, from a CA file, one only, or any.

    Without any of these, one from the system's CAs. *fingerprint_sha256* is the hash of the
    certificate in DER form, 64 lower-case hex digits.
    """

    ca_file: Annotated[
        Path | None,
        Setting(
            kinds.PATH,
            "accept certificates from the authorities in this file (PEM).",
            example="pbx-ca.pem",
        ),
    ] = None
    fingerprint_sha256: Annotated[
        str | None,
        Setting(
            kinds.text(values.parse_fingerprint),
            "accept only the certificate with this fingerprint, whatever its name. It is shown by\n"
            "  openssl s_client -connect 192.0.2.10:8088 </dev/null"
            " | openssl x509 -noout -fingerprint -sha256",
            example=(
                '"9F:86:D0:81:88:4C:7D:65:9A:2F:EA:A0:C5:5A:D0:15'
                ':A3:BF:4F:1B:2B:0B:82:2C:D1:5D:6C:15:B0:F0:0A:08"'
            ),
        ),
    ] = None
    insecure_skip_verify: Annotated[
        bool,
        Setting(
            kinds.YES_NO,
            "accept any certificate (open to man-in-the-middle); logged as a warning at every"
            " start.",
            example="true",
        ),
    ] = False
    allow_plaintext: Annotated[
        bool,
        Setting(
            kinds.YES_NO,
            "allow http:// in base_url to another machine, without TLS; the client secret and all"
            " records can be read on the way. Logged as a warning at every start.",
            example="true",
        ),
    ] = False


@dataclass(frozen=True, slots=True)
class Buckets:
    """Upper bounds of the histograms, in seconds, ascending, without +Inf."""

    duration: Annotated[tuple[int, ...], Setting(kinds.BOUNDS)] = DURATION_BUCKETS
    ring: Annotated[tuple[int, ...], Setting(kinds.BOUNDS)] = RING_BUCKETS
    wait: Annotated[tuple[int, ...], Setting(kinds.WAIT_BOUNDS)] = WAIT_BUCKETS


def _number_plan() -> Group:
    """Return the group of a plan, whose kinds of numbers are those of the vendor's contract."""
    kinds_of_numbers = {
        kind: Setting(kinds.NUMBER_RANGES, default=ranges) for kind, ranges in NUMBER_PLAN.items()
    }
    return Group(kinds_of_numbers, MappingProxyType)


def _no_labels() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Overridable:
    """Settings at the top of the file, for every PBX, that one PBX may override in its entry.

    *number_plan* maps each kind of number to its ranges; it is a read-only view. A view has no
    hash, so it is left out of the hash.
    """

    poll_interval: Annotated[
        float,
        Setting(
            kinds.duration("1s", "1d"),
            "How often each PBX is asked for new records, varied a little at random; {limits}.",
            example="15s",
        ),
    ] = 30.0
    request_timeout: Annotated[
        float,
        Setting(
            kinds.duration("1s", "10m"),
            "The longest time for one request, from connecting to the end of the answer; {limits}.",
            example="1m",
        ),
    ] = 30.0
    start: Annotated[
        str,
        Setting(
            kinds.one_of("start", "now", "all"),
            "What to do with the records that are on a PBX at the very first start:"
            ' "now" leaves them out, "all" counts them.',
            example="all",
        ),
    ] = "now"
    stale_after: Annotated[
        float,
        Setting(
            kinds.duration("2s", "4w"),
            "After this long without a usable answer of a PBX its cdr_* counters are hidden, so"
            " that graphs show a gap, until all new records are read. {limits}, and at least twice"
            " poll_interval; the default is four times poll_interval, but no less than 5m.",
            example="10m",
        ),
    ] = 300.0
    birth_hold: Annotated[
        float,
        Setting(
            kinds.duration("0s", "1d"),
            "A new combination of labels is shown with the value 0 for this long before its first"
            " count, so that increase() sees that count. Longer than the scrape interval of"
            " Prometheus; {limits}, 0s is off.",
            example="5m",
        ),
    ] = 120.0
    late_window: Annotated[
        float,
        Setting(
            kinds.duration("1m", "1d"),
            "How long to look for an id that is missing among the newest records: the PBX may"
            " write a record late. A record that appears even later may be left out. {limits}.",
            example="5m",
        ),
    ] = 600.0
    longest_call: Annotated[
        float,
        Setting(
            kinds.duration("1m", "2d"),
            "Where records have no id, as with newer firmware, a call longer than this may be left"
            ' out. Write the limit set in the PBX ("Max Call Duration") and some time on top.'
            " {limits}.",
            example="4h",
        ),
    ] = 11_700.0
    call_settle: Annotated[
        float,
        Setting(
            kinds.duration("5s", "1h"),
            "A call is counted when no further record of it has appeared for this long. A call is"
            " all records with the same uid, one for each leg. Write more than the PBX takes"
            " between two records of a call; {limits}.",
            example="90s",
        ),
    ] = 60.0
    legs_appear: Annotated[
        str,
        Setting(
            kinds.one_of("way", "at_call_end", "one_by_one"),
            'When the PBX shows the legs of a call: "at_call_end" is all together, "one_by_one" is'
            " each when it ends. Write one_by_one if cdr_exporter_late_legs_total rises; calls"
            " that may still go on are then counted later.",
            example="one_by_one",
        ),
    ] = "at_call_end"
    number_plan: Annotated[
        Mapping[str, NumberRanges],
        Setting(
            _number_plan(),
            "Which of the PBX's own numbers are what; a call that only machines took does not count"
            " as answered. These are the numbers that a P-Series PBX has at first; a kind that is"
            " not given keeps them. Write ranges of numbers of as many digits, always in quotes."
            ' Where ranges overlap, the narrowest counts. "machine" is for further numbers that are'
            " no person: doors, fax machines, bots. If cdr_exporter_unrecognised_callees_total"
            " rises, this does not fit the PBX yet; check --connect shows for the newest records"
            " how it fits.",
            example='{extension: ["200-399"], queue: ["700-719"]}',
        ),
    ] = field(default_factory=lambda: NUMBER_PLAN, hash=False)
    emergency_numbers: Annotated[
        tuple[str, ...],
        Setting(
            ListOf(kinds.NUMBER),
            "Calls to exactly these numbers are counted in cdr_emergency_calls_total.",
            example='["110", "112"]',
        ),
    ] = EMERGENCY_NUMBERS
    max_trunks: Annotated[
        int,
        Setting(
            kinds.whole_number(1, "write how many trunks shall be shown by name"),
            "How many trunks of a PBX get a label value of their own; all further ones are counted"
            ' as "other".',
            example="50",
        ),
    ] = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class PBX(Overridable):
    """One phone system; *base_url* is scheme, host and port, without a trailing slash.

    *timezone* is a name of the IANA database. *dids* and *queues* map a number to its label, and
    several numbers may share one; *destinations* maps a label to its prefixes, and no prefix has
    two labels. These three are read-only views; a view has no hash, so they are left out of the
    hash of a PBX.
    """

    name: Annotated[
        str,
        Setting(
            kinds.text(values.parse_name),
            'The value of the label "pbx", unique among the PBXs even without regard to upper and'
            " lower case. Up to 63 of the characters A-Z a-z 0-9 . _ -. It is also the name of the"
            " state file, so under a new name the counters start again from 0.",
            example="hq",
            missing="add the name this PBX shall have in the metrics",
        ),
    ]
    base_url: Annotated[
        str,
        Setting(
            kinds.text(values.parse_base_url),
            "Scheme, host and port, nothing else. http:// is allowed to this machine only, else"
            " see tls.",
            example="https://192.0.2.10:8088",
            missing="add it, such as https://192.0.2.10:8088",
        ),
    ]
    api_path: Annotated[
        str,
        Setting(
            kinds.text(values.parse_api_path),
            "The path of the API below base_url; this is the default, for all firmware. Version"
            " 2.0 is another API.",
            example="openapi/v1.0",
        ),
    ] = "openapi/v1.0"
    client_id: Annotated[
        str,
        Setting(
            kinds.text(values.parse_credential),
            "Shown in the PBX under Integrations > API, where the API has to be enabled first."
            " Keep the quotes, or YAML may take an id of digits for a number.",
            example='"UEnH9Dmv6uBJEXsY"',
            missing="copy it from the PBX, Integrations > API",
        ),
    ]
    secret: Annotated[SecretSource, kinds.BESIDE]
    tls: Annotated[
        TLS,
        Setting(
            group_of(TLS),
            "Which certificate to accept. By default one from an authority that the system trusts,"
            " issued for the host in base_url; the certificate that a PBX has from the factory is"
            " not. Choose one:",
        ),
    ] = TLS()
    timezone: Annotated[
        str,
        Setting(
            kinds.text(values.parse_timezone),
            "The time zone of the PBX, a name of the IANA database, for rules about nights and"
            " weekends. The default is UTC.",
            example="Europe/Berlin",
        ),
    ] = "UTC"
    dids: Annotated[
        Mapping[str, str],
        Setting(
            kinds.LABEL_OF_NUMBER,
            "Own numbers (DIDs) that get label values of their own, up to 500; all others are"
            ' counted as "other". Write numbers as the PBX does, always in quotes, or YAML takes'
            " 0700 for 448. Numbers with the same label are counted together.",
            example='{"+49305551": sales, "+49305552": sales}',
        ),
    ] = field(default_factory=_no_labels, hash=False)
    queues: Annotated[
        Mapping[str, str],
        Setting(
            kinds.LABEL_OF_NUMBER,
            "Queues that get label values of their own, in the same way.",
            example='{"6400": support}',
        ),
    ] = field(default_factory=_no_labels, hash=False)
    destinations: Annotated[
        Mapping[str, tuple[str, ...]],
        Setting(
            kinds.PREFIXES_OF_LABEL,
            "Groups of dialled numbers that get label values of their own, by the prefixes of the"
            " numbers, in the same way. If several prefixes fit a number, the longest counts.",
            example='{premium: ["0900", "+49900"], international: ["00", "+"]}',
        ),
    ] = field(default_factory=_no_labels, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of `exporter.yml`; *machine_callees* are added to the built-in ones."""

    pbxs: Annotated[
        tuple[PBX, ...],
        Setting(
            ListOf(group_of(PBX), values.parse_entries),
            missing="add a list with at least one PBX",
        ),
    ]
    state_dir: Annotated[
        Path,
        Setting(
            kinds.PATH,
            "The directory for the counters, one SQLite file per PBX. Without its file a PBX starts"
            " again from 0. It must be writable: where the directory of this file is not, as in a"
            " container, write an absolute path.",
        ),
    ] = Path("state")
    state_url_file: Annotated[
        Path | None,
        Setting(
            kinds.URL_FILE,
            "A file with the URL of a PostgreSQL database (15 or newer), in place of state_dir."
            " Then several replicas of this program share the PBXs, and where one ends the others"
            " go on with its PBXs. In the file stands nothing but"
            " postgresql://USER:PASSWORD@HOST:PORT/DATABASE. docs/replicas.md says all of it.",
            example="postgres.url     # instead of state_dir",
        ),
    ] = None
    lease: Annotated[
        float,
        Setting(
            kinds.duration("2s", "10m"),
            "With state_url_file only: for how long a PBX is kept for a replica that is not heard"
            " of, before another takes it; {limits}. The same in all replicas.",
        ),
    ] = 30.0
    machine_callees: Annotated[
        tuple[str, ...],
        Setting(
            ListOf(kinds.text(values.parse_machine_callee)),
            "Further callees that are no persons, where no number in number_plan says it: how their"
            " names start, in upper or lower case. They are added to those of the PBX: IVR, Queue,"
            " Ring Group, Conference, Voicemail, Group Voicemail, Play File, Play Prompt,"
            " Satisfaction Survey, AI Receptionist, Call Flow, DISA, Fax to Email, Paging, Parking"
            " and Callback.",
        ),
    ] = ()
    hide_families: Annotated[
        tuple[str, ...],
        Setting(
            ListOf(kinds.text()),
            "Metrics of calls and CDR rows to leave out of /metrics, where series are dear, such as"
            " cdr_ring_duration_seconds. They are counted nevertheless: shown again, they have the"
            " counts of the time between. docs/metrics.md says which dashboards and alerts need"
            " them.",
        ),
    ] = ()
    buckets: Annotated[
        Buckets,
        Setting(
            group_of(Buckets),
            "Upper bounds of the histograms, in whole seconds. A histogram whose bounds are changed"
            ' starts again from 0. "duration" is for the duration and talk time of calls, "ring"'
            ' for how long a leg rings, "wait" for how long callers wait. The recording rules of'
            ' service levels need the bounds 5 and 20 of "wait", so these two are added where they'
            " are missing.",
        ),
    ] = field(default_factory=Buckets)
