"""Which error an HTTP status or an error code of the PBX becomes.

Rule: every HTTP status and every error code becomes one `PBXError` that says how long to wait. No
text of the PBX is in it, neither `errmsg` nor a header nor the words beside an HTTP status: these
may hold names, numbers and tokens. A known code has our words, any other its number.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from ..cdr.contract import FAILURE
from ..cdr.error_codes import ERROR_CODES, ErrorCode
from ..errors import PBXError, TryAgain, WaitLong
from .http_date import parse_http_date

LONGEST_RETRY_AFTER = 3600.0
"""Seconds; a longer Retry-After is taken as this."""

_UNKNOWN = ErrorCode("", "")

LOOK_AGAIN = 60.0
"""Seconds: how often to look, during a wait that a person may end, whether he did.

Looking costs the PBX nothing.
"""

_LAST_TRY = "`cdr-exporter check --connect --last-try`"


class AccessRefused(WaitLong):
    """HTTP *status* 401 or 403; *errcode* is None where the answer's body has none."""

    def __init__(self, status: int, errcode: int | None = None, server: str = "the PBX") -> None:
        super().__init__(
            f"HTTP {status} from {server}: a proxy or the PBX's web server refuses access",
            reason="auth",
            errcode=errcode,
            first=900.0,
            most=7200.0,
        )
        self.status = status


def http_status_error(
    status: int, headers: Mapping[str, str], now: float, server: str = "the PBX"
) -> PBXError | None:
    """Return the error that an HTTP status of *server* stands for; None for 200.

    *now* is epoch seconds.
    """
    if status == 200:
        return None
    said = f"HTTP {status} from {server}"
    if 300 <= status < 400:
        return TryAgain(f"{said}: a redirect, not followed", reason="redirect")
    if status in (429, 503):
        return _throttled_error(
            status, said, parse_retry_after(headers.get("Retry-After", ""), now)
        )
    if status in (401, 403):
        return AccessRefused(status, server=server)
    if status == 404:
        return WaitLong(
            f"{said}: check base_url and api_path", reason="http", first=60.0, most=1800.0
        )
    return TryAgain(said, reason="http")


def errcode_error(errcode: int, *, wait: float | None = None) -> PBXError:
    """Return the error for an error code of the PBX.

    *wait* (seconds) replaces the waits of the table `ERROR_CODES`.
    """
    error_code = ERROR_CODES.get(errcode)
    if error_code is None:
        return TryAgain(
            f"the PBX answered {name_of(errcode)}", reason=_UNKNOWN.reason, errcode=errcode
        )
    message = f"the PBX answered {name_of(errcode)}: {error_code.remedy}"
    if error_code.first is None:
        return TryAgain(message, reason=error_code.reason, errcode=errcode)
    return WaitLong(
        message,
        reason=error_code.reason,
        errcode=errcode,
        blocked=error_code.blocked,
        first=error_code.first if wait is None else wait,
        most=error_code.most if wait is None else wait,
    )


def name_of(errcode: int) -> str:
    """Return an error code in our words: its number, and what is known of it."""
    error_code = ERROR_CODES.get(errcode)
    if error_code is None:
        return f"error {errcode}, which this version does not know"
    return f"{errcode} {error_code.name}"


def imposed_wait_error(errcode: int, seconds: float) -> PBXError:
    """Return the error for a request not sent, because an earlier *errcode* asked for a wait.

    *seconds* of the wait are left. The error carries no errcode: the PBX did not answer again.
    """
    error_code = ERROR_CODES.get(errcode, _UNKNOWN)
    return WaitLong(
        f"nothing is sent, since the PBX answered {name_of(errcode)}: {error_code.remedy}; the "
        "next try is automatic; `cdr-exporter check --connect` tries at once",
        reason=error_code.reason,
        blocked=error_code.blocked,
        first=seconds,
        most=seconds,
    )


def refused_login_error(
    server: str, errcode: int, tries: str, due: float, *, answered: bool
) -> PBXError:
    """Return the error for client_id and secret that *server* answered with *errcode*.

    *tries* says which of how many this was, *due* is the epoch second of the next one, infinite
    where there is none. *answered* is False where the PBX did not answer just now.
    """
    problem = f"client_id or client secret refused by {server}"
    if errcode != FAILURE:
        problem = (
            f"the PBX answered the login with {name_of(errcode)} ({server}); it may have counted "
            "it as refused"
        )
    then = f"no more until client_id or secret are changed, but by {_LAST_TRY}"
    if due < math.inf:
        then = f"the next is due at {clock_time(due)}, at once with another secret or {_LAST_TRY}"
    return _wait_for_a_person(f"{problem}, {tries}: {then}", errcode if answered else None)


def used_up_error(server: str, refusals: int, errcode: int | None = None) -> PBXError:
    """Return the error for a login that may be the PBX's last straw.

    *errcode* is what the PBX answered just now, None where it was not asked.
    """
    problem = f"{refusals} logins in a row to {server} were refused, or may have been"
    if errcode is not None and errcode != FAILURE:
        problem += f", the last with {name_of(errcode)}"
    elif errcode is not None:
        problem = f"client_id or client secret refused; {problem}"
    return _wait_for_a_person(
        f"{problem}: the PBX blocks this machine's address after five, so nobody tries again, "
        f"with whatever client_id and secret, until {_LAST_TRY} is run; it takes that risk",
        errcode,
    )


def _wait_for_a_person(message: str, errcode: int | None) -> PBXError:
    return WaitLong(
        message,
        reason="auth",
        errcode=errcode,
        blocked="credentials",
        first=LOOK_AGAIN,
        most=LOOK_AGAIN,
    )


def clock_time(at: float) -> str:
    """Return an instant in epoch seconds as text: UTC, up to the next whole minute."""
    return datetime.fromtimestamp(math.ceil(at / 60) * 60, UTC).strftime("%Y-%m-%d %H:%M UTC")


def parse_retry_after(value: str, now: float) -> float | None:
    """Return the seconds that a Retry-After header asks for, brought within 1 s to 1 h.

    It holds seconds or an HTTP date (RFC 9110, 10.2.3); None where it is neither. *now* is epoch
    seconds.
    """
    seconds: float | None = None
    if re.fullmatch(r"[0-9]+", value):
        seconds = float(value[:9]) if len(value) < 10 else LONGEST_RETRY_AFTER
    elif (date := parse_http_date(value)) is not None:
        seconds = date - now
    return None if seconds is None else min(max(seconds, 1.0), LONGEST_RETRY_AFTER)


def _throttled_error(status: int, said: str, seconds: float | None) -> PBXError:
    if status == 503 and seconds is None:
        return TryAgain(said, reason="http")
    return TryAgain(f"{said}: the server asks us to wait", reason="throttled", retry_after=seconds)
