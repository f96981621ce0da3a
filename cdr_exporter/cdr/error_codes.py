"""What to do about each error code of the PBX, as data.

Rule: a code that asks for more than "try again later" has one line here, and nowhere else is a
code compared but for `contract`'s own. Codes of Yeastar's other products (10006, 10013, 2000x)
mean other things there and have no place here.

Source: the P-Series developer guide's "Error Code and Error Message"; 70656 was seen in the
field only.
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
"""What can keep us out: the `reason`s of `cdr_exporter_auth_blocked`."""

_MINUTE = 60.0
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """What one error code means to us.

    *name* is the vendor's, *remedy* is for the log. Where *first* is None the request is tried
    again soon; otherwise only a person can mend it, so wait *first* seconds, doubling up to
    *most* seconds. A wait whose *reason* is `auth` outlives a restart.
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
        # On a login it means wrong credentials; that reaction is the login's own.
        FAILURE: ErrorCode("FAILURE", "see the PBX's log"),
        2: ErrorCode("PROCESSING", _PASSES),
        10001: ErrorCode("INTERFACE NOT EXISTED", _WRONG_PATH, first=5 * _MINUTE, most=2 * _HOUR),
        10002: ErrorCode(
            "API VERSION OUT OF MAINTENANCE", _WRONG_PATH, first=5 * _MINUTE, most=2 * _HOUR
        ),
        10003: ErrorCode("API VERSION UNSUPPORTED", _WRONG_PATH, first=5 * _MINUTE, most=2 * _HOUR),
        # Reached only when a token is refused right after it was renewed: every further try
        # would cost one of the eight live tokens.
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
        # A slot frees itself when a forgotten token dies, at most 30 minutes after its birth.
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

KNOWN_ERRCODES = tuple(ERROR_CODES)
"""Codes with a label of their own on `cdr_exporter_api_errors_total`; all others are `other`."""
