"""What a user may decide, as values. How they are written in `exporter.yml` is `config`'s.

Durations are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from .secret import Secret

DURATION_BUCKETS = (1, 5, 10, 15, 30, 60, 120, 180, 300, 600, 1200, 1800, 3600, 7200)
RING_BUCKETS = (1, 2, 5, 10, 15, 20, 30, 45, 60, 120)


@dataclass(frozen=True, slots=True)
class SecretSource:
    """Where a client secret comes from: exactly one is set. Files and variables are read anew."""

    file: Path | None = None
    env: str | None = None
    value: Secret | None = None


@dataclass(frozen=True, slots=True)
class TLS:
    """Whom to believe: the system's CAs, a CA file, one certificate, or (knowingly) anybody.

    *fingerprint_sha256* is of the certificate's DER form, 64 lower-case hex digits.
    """

    ca_file: Path | None = None
    fingerprint_sha256: str | None = None
    insecure_skip_verify: bool = False


@dataclass(frozen=True, slots=True)
class Buckets:
    """Upper bounds of the histograms, in seconds, ascending, without +Inf."""

    duration: tuple[int, ...] = DURATION_BUCKETS
    ring: tuple[int, ...] = RING_BUCKETS


@dataclass(frozen=True, slots=True, kw_only=True)
class PBX:
    """One phone system; *base_url* has scheme, host and port and no trailing slash."""

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
    max_trunks: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All of `exporter.yml`."""

    pbxs: tuple[PBX, ...]
    state_dir: Path = Path("state")
    buckets: Buckets = field(default_factory=Buckets)
