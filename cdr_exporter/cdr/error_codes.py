"""What to do about each error code of the PBX, as data.

Rule: a code that needs more than "try again later" has one entry in this table. Outside it, only
the codes that have a name in `contract` are compared. Codes of Yeastar's other products (10006,
10013, 2000x) mean something else there and are left out.

Source: the P-Series developer guide's "Error Code and Error Message"; 70656 is not in it, but was
seen on a PBX.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from .contract import FAILURE, TOKEN_EXPIRED

TOKEN_CAP = 60002

BLOCKED_REASONS = (
    "credentials",
    "ip_blocked",
    "ip_forbidden",
    "token_cap",
    "denied",
    "api_disabled",
)
"""Why the PBX refuses us: the values of the label `reason` of `cdr_exporter_auth_blocked`."""

_MINUTE = 60.0
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """What to do about one error code.

    *name* is the vendor's, *remedy* is for the log. *reason* is the label of the failure counter,
    *blocked* one of `BLOCKED_REASONS` or None. Where *first* is None, the request is tried again
    soon. Otherwise only a person can remove the cause: wait *first* seconds, and when the code
    comes again, twice as long each time, up to *most* seconds. A wait with the reason `auth` is
    kept in the token file and outlives a restart.
    """

    name: str
    remedy: str
    reason: str = "api"
    blocked: str | None = None
    first: float | None = None
    most: float = 0.0


_PASSES = "it goes away by itself"
_WRONG_PATH = "check api_path and the PBX's firmware"

ERROR_CODES: Mapping[int, ErrorCode] = MappingProxyType(
    {
        -2: ErrorCode("INTERNAL SERVER ERROR", _PASSES),
        # In answer to a login it means wrong credentials; `pbx.login` deals with that.
        FAILURE: ErrorCode("FAILURE", "see the PBX's log"),
        2: ErrorCode("PROCESSING", _PASSES),
        10001: ErrorCode("INTERFACE NOT EXISTED", _WRONG_PATH, first=5 * _MINUTE, most=2 * _HOUR),
        10002: ErrorCode(
            "API VERSION OUT OF MAINTENANCE", _WRONG_PATH, first=5 * _MINUTE, most=2 * _HOUR
        ),
        10003: ErrorCode("API VERSION UNSUPPORTED", _WRONG_PATH, first=5 * _MINUTE, most=2 * _HOUR),
        # Used only when a token is refused right after it was renewed: each further try would
        # use up one of the eight tokens that may be valid at a time.
        TOKEN_EXPIRED: ErrorCode(
            "TOKEN EXPIRED",
            "it refuses new tokens; check its clock and the API's settings",
            reason="auth",
            first=5 * _MINUTE,
            most=30 * _MINUTE,
        ),
        10005: ErrorCode(
            "ACCESS DENIED",
            "give the API application the right to read CDRs",
            reason="auth",
            blocked="denied",
            first=15 * _MINUTE,
            most=2 * _HOUR,
        ),
        # A token that nobody revoked expires 30 minutes after it was issued.
        TOKEN_CAP: ErrorCode(
            "MAX LIMITATION EXCEEDED",
            "eight tokens of this client_id are alive; find who else logs in with it",
            reason="auth",
            blocked="token_cap",
            first=5 * _MINUTE,
            most=30 * _MINUTE,
        ),
        70004: ErrorCode(
            "ACCOUNT IP BLOCKED",
            "remove this host's address from the PBX's Blocked IPs",
            reason="auth",
            blocked="ip_blocked",
            first=_HOUR,
            most=_HOUR,
        ),
        70082: ErrorCode("OVERLOAD_TASK_RUNNING", _PASSES),
        70087: ErrorCode(
            "IP FORBIDDEN",
            "add this host's address to the API's allowed addresses",
            reason="auth",
            blocked="ip_forbidden",
            first=15 * _MINUTE,
            most=2 * _HOUR,
        ),
        70123: ErrorCode(
            "API UNAVAILABLE",
            "switch the API on (Integrations > API)",
            reason="auth",
            blocked="api_disabled",
            first=15 * _MINUTE,
            most=2 * _HOUR,
        ),
        70656: ErrorCode(
            "API NOT ENABLED",
            "switch the API on (Integrations > API)",
            reason="auth",
            blocked="api_disabled",
            first=15 * _MINUTE,
            most=2 * _HOUR,
        ),
    }
)

LOST_TOKEN_CODES = (10002, 10003, 10005)
"""Codes that say "token expired", too, when they are the answer to a token that had worked."""

KNOWN_ERRCODES = tuple(ERROR_CODES)
"""Codes with a label value of their own on `cdr_exporter_api_errors_total`; others are `other`."""
