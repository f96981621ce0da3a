"""The settings as values, with their defaults. How `exporter.yml` is read is in `config`.

All durations are in seconds. What each setting does is explained in `exporter.yml`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .cdr.contract import NUMBER_PLAN, NumberRanges
from .secret import Secret

DURATION_BUCKETS = (1, 5, 10, 15, 30, 60, 120, 180, 300, 600, 1200, 1800, 3600, 7200)
RING_BUCKETS = (1, 2, 5, 10, 15, 20, 30, 45, 60, 120)
WAIT_BUCKETS = (1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1800)

EMERGENCY_NUMBERS = ("112", "911")


@dataclass(frozen=True, slots=True)
class SecretSource:
    """Where the client secret comes from; exactly one is set.

    *file* and the environment variable *env* are read again at each login.
    """

    file: Path | None = None
    env: str | None = None
    value: Secret | None = None


@dataclass(frozen=True, slots=True)
class TLS:
    """Which certificate to accept: from the system's CAs, from a CA file, one only, or any.

    Without any of these, one from the system's CAs. *fingerprint_sha256* is the hash of the
    certificate in DER form, 64 lower-case hex digits.
    """

    ca_file: Path | None = None
    fingerprint_sha256: str | None = None
    insecure_skip_verify: bool = False


@dataclass(frozen=True, slots=True)
class Buckets:
    """Upper bounds of the histograms, in seconds, ascending, without +Inf."""

    duration: tuple[int, ...] = DURATION_BUCKETS
    ring: tuple[int, ...] = RING_BUCKETS
    wait: tuple[int, ...] = WAIT_BUCKETS


def _no_labels() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class PBX:
    """One phone system; *base_url* is scheme, host and port, without a trailing slash.

    *start* is `now` or `all`, *legs_appear* `at_call_end` or `one_by_one`. *timezone* is a name of
    the IANA database. *dids* and *queues* map a number to its label, and several numbers may share
    one; *destinations* maps a label to its prefixes, and no prefix has two labels. *number_plan*
    maps each kind of number to its ranges. These four are read-only views; a view has no hash, so
    they are left out of the hash of a PBX.
    """

    name: str
    base_url: str
    client_id: str
    secret: SecretSource
    api_path: str = "openapi/v1.0"
    tls: TLS = TLS()
    poll_interval: float = 30.0
    request_timeout: float = 30.0
    start: str = "now"
    stale_after: float = 300.0
    birth_hold: float = 120.0
    late_window: float = 600.0
    longest_call: float = 11_700.0
    call_settle: float = 60.0
    legs_appear: str = "at_call_end"
    max_trunks: int = 200
    number_plan: Mapping[str, NumberRanges] = field(default_factory=lambda: NUMBER_PLAN, hash=False)
    emergency_numbers: tuple[str, ...] = EMERGENCY_NUMBERS
    timezone: str = "UTC"
    dids: Mapping[str, str] = field(default_factory=_no_labels, hash=False)
    queues: Mapping[str, str] = field(default_factory=_no_labels, hash=False)
    destinations: Mapping[str, tuple[str, ...]] = field(default_factory=_no_labels, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of `exporter.yml`; *machine_callees* are added to the built-in ones."""

    pbxs: tuple[PBX, ...]
    state_dir: Path = Path("state")
    machine_callees: tuple[str, ...] = ()
    buckets: Buckets = field(default_factory=Buckets)
