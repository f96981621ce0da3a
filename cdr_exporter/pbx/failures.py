"""What an answer means that is not the one we asked for.

Rule: every HTTP status and every error code of the PBX ends here in one `PBXError` that says how
long to wait. Texts from outside are cut down to what a log can bear.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime

from ..cdr.error_codes import ERROR_CODES, ErrorCode
from ..errors import PBXError, TryAgain, WaitLong

LONGEST_RETRY_AFTER = 3600.0

_UNKNOWN = ErrorCode("", "")
_LONGEST_TEXT = 80
_LONGEST_WORD = 16


def http_status_error(status: int, headers: Mapping[str, str], now: float) -> PBXError | None:
    """Judge an HTTP status; None is 200. *now* is epoch seconds."""
    if status == 200:
        return None
    if 300 <= status < 400:
        return TryAgain(f"HTTP {status}: a redirect, not followed", reason="redirect")
    if status in (429, 503):
        return _throttled_error(status, parse_retry_after(headers.get("Retry-After", ""), now))
    if status in (401, 403):
        return WaitLong(
            f"HTTP {status}: a proxy or the PBX's web server keeps us out",
            reason="auth",
            first=900.0,
            most=7200.0,
        )
    if status == 404:
        return WaitLong(
            "HTTP 404: check base_url and api_path", reason="http", first=60.0, most=1800.0
        )
    return TryAgain(f"HTTP {status}", reason="http")


def errcode_error(
    errcode: int, errmsg: str | None = None, *, wait: float | None = None
) -> PBXError:
    """Judge an error code that came with HTTP 200; *wait* replaces the table's first wait."""
    error_code = ERROR_CODES.get(errcode, _UNKNOWN)
    name = error_code.name or safe_for_log(errmsg)
    message = f"the PBX answered {errcode} {name}".rstrip()
    if error_code.remedy:
        message += f": {error_code.remedy}"
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


def imposed_wait_error(errcode: int, seconds: float) -> PBXError:
    """Say that we still stay away because of an earlier answer; *errcode* is not counted again."""
    error_code = ERROR_CODES.get(errcode, _UNKNOWN)
    return WaitLong(
        f"staying away since the PBX answered {errcode} {error_code.name}: {error_code.remedy}; "
        "the next try comes by itself, or at once when the token file is removed",
        reason=error_code.reason,
        blocked=error_code.blocked,
        first=seconds,
        most=seconds,
    )


def refused_login_error(tries: int, most: int, errcode: int | None, seconds: float) -> PBXError:
    """Say that client_id or client secret are wrong, after *tries* logins of *most*."""
    then = "no more until one of them is changed"
    if tries < most:
        then = "the next comes by itself, or as soon as one of them is changed"
    return WaitLong(
        f"client_id or client secret refused, try {tries} of {most}: {then}",
        reason="auth",
        errcode=errcode,
        blocked="credentials",
        first=seconds,
        most=seconds,
    )


def parse_retry_after(value: str, now: float) -> float | None:
    """Read a Retry-After header, seconds or a date, as 1 s to 1 h; None where it is neither."""
    seconds: float | None = None
    if re.fullmatch(r"[0-9]+", value):
        seconds = float(value[:9]) if len(value) < 10 else LONGEST_RETRY_AFTER
    else:
        with suppress(ValueError, TypeError, OverflowError):
            seconds = parsedate_to_datetime(value).timestamp() - now
    return None if seconds is None else min(max(seconds, 1.0), LONGEST_RETRY_AFTER)


def safe_for_log(text: str | None) -> str:
    """Cut a text of the PBX down to a log's measure: ASCII, 80 characters, no long words.

    A word that is long and not in capitals may be a token that a server echoes.
    """
    ascii_only = re.sub(r"[^ -~]+", " ", text or "")
    words = re.sub(r"\S+", lambda word: _mask_if_tokenlike(word[0]), ascii_only)
    return words[:_LONGEST_TEXT].strip()


def _mask_if_tokenlike(word: str) -> str:
    harmless = len(word) < _LONGEST_WORD or re.fullmatch(r"[A-Z_]+", word)
    return word if harmless else "***"


def _throttled_error(status: int, seconds: float | None) -> PBXError:
    if status == 503 and seconds is None:
        return TryAgain("HTTP 503", reason="http")
    return TryAgain(f"HTTP {status}: told to wait", reason="throttled", retry_after=seconds)
