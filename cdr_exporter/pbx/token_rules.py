"""What is known of one PBX's tokens, and what follows from it. For refusals see `attempt_rules`.

Pure: no I/O, the current time is the argument *now*. All times are epoch seconds, all waits
seconds. `login` explains how these rules are used.

A clock that is set back must not make a wait last for years: see `clamp_to_now`.
"""

from __future__ import annotations

import hashlib
import re
from decimal import Decimal
from typing import TypeGuard

from msgspec import Struct
from msgspec.structs import replace

from ..cdr import GarbledAnswer, errcode_of, read_object
from ..cdr.contract import SUCCESS, TOKEN_EXPIRED
from ..cdr.error_codes import ERROR_CODES, LOST_TOKEN_CODES
from ..secret import Secret

MOST_LOGINS, MOST_LOGINS_SECONDS = 5, 30 * 60.0
"""So many logins may succeed within so many seconds.

Only a PBX that loses tokens needs more than one. It issues no more than eight within that time,
and one that we take for lost may still be valid.
"""

REFRESH_AT = 0.8
"""The fraction of its life after which a token is renewed."""

SHORTEST_LIFE, LONGEST_LIFE = 60.0, 24 * 3600.0
_DEFAULT_LIFE, _DEFAULT_REFRESH_LIFE = 1800.0, 24 * 3600.0
_VERSION = 1
_TOKEN = re.compile(r"[A-Za-z0-9._~-]{8,512}")


class Token(Struct, frozen=True):
    """An access or refresh token, when it was issued and expires, and if a page was got with it."""

    value: Secret
    issued_at: float
    expires_at: float
    worked: bool = False


class ImposedWait(Struct, frozen=True):
    """A wait imposed by the PBX's answer *errcode*: it ends at *until*, after *wait* seconds."""

    errcode: int
    wait: float
    until: float


class TokenState(Struct, frozen=True, kw_only=True):
    """All that is known about our tokens and logins at one PBX; the content of its token file.

    *account* is the digest of base_url and client_id, *proven* that of client_id and the client
    secret that logged in last; empty where none did. *logins* are the times of the latest logins
    that worked.
    """

    version: int = _VERSION
    account: str = ""
    access: Token | None = None
    refresh: Token | None = None
    proven: str = ""
    imposed_wait: ImposedWait | None = None
    logins: tuple[float, ...] = ()


class IssuedTokens(Struct, frozen=True):
    """The tokens that a login or a refresh returned."""

    access: Token
    refresh: Token | None


class TokenReply(Struct, frozen=True):
    """A decoded answer of a token endpoint.

    *tokens* is None for an error, for `del_token`, and where the tokens have an unusable form.
    """

    errcode: int
    tokens: IssuedTokens | None = None


def digest(*parts: str) -> str:
    """Return a hash by which *parts* can be recognised but not read: 32 hex digits of SHA-256."""
    return hashlib.sha256("\0".join(("cdr-exporter", *parts)).encode()).hexdigest()[:32]


def usable_token(state: TokenState, now: float) -> Secret | None:
    """Return the access token, or None when there is none or it is due to be renewed."""
    token = state.access
    if token is None:
        return None
    renew_at = token.issued_at + REFRESH_AT * (token.expires_at - token.issued_at)
    return token.value if now < renew_at else None


def next_login(state: TokenState) -> float:
    """Return when a login may be sent, by those that worked: 0 is at once."""
    if len(state.logins) < MOST_LOGINS:
        return 0.0
    return state.logins[0] + MOST_LOGINS_SECONDS


def record_tokens(state: TokenState, tokens: IssuedTokens) -> TokenState:
    """Return the state with the new tokens. An imposed wait stays until a page was served."""
    return replace(state, access=tokens.access, refresh=tokens.refresh)


def record_login(
    state: TokenState, tokens: IssuedTokens, secret_digest: str, now: float
) -> TokenState:
    """Return the state with the new tokens of a login."""
    logins = (*state.logins, now)[-MOST_LOGINS:]
    return record_tokens(replace(state, logins=logins, proven=secret_digest), tokens)


def record_revocation(state: TokenState) -> TokenState:
    """Return the state without tokens: the PBX has forgotten them, as if they were never issued."""
    return replace(state, access=None, refresh=None, logins=state.logins[:-1])


def has_worked(state: TokenState, token: Secret) -> bool:
    """Return whether a page was got with *token*, as far as is on record."""
    return state.access is not None and state.access.value == token and state.access.worked


def record_page(state: TokenState, token: Secret) -> TokenState:
    """Return the state after a page was got with *token*: it works, and no wait is imposed."""
    access = state.access
    if access is not None and access.value == token:
        access = replace(access, worked=True)
    return replace(state, access=access, imposed_wait=None)


def is_lost(state: TokenState, token: Secret, status: int, errcode: int | None) -> bool:
    """Return whether an answer to a request with *token* says that the PBX no longer knows it.

    "Token expired" always does. A PBX that was restarted has other ways to say so; they mean it
    only where the token had worked, since they have meanings of their own, too.
    """
    if errcode == TOKEN_EXPIRED:
        return True
    said = errcode in LOST_TOKEN_CODES if errcode is not None else status == 401
    return said and has_worked(state, token)


def record_wait(state: TokenState, errcode: int, now: float) -> TokenState:
    """Return the state with the imposed wait of *errcode*.

    It is twice the last one, up to the code's longest wait, when that had the same errcode.
    """
    error_code = ERROR_CODES[errcode]
    wait = error_code.first or 0.0
    if state.imposed_wait is not None and state.imposed_wait.errcode == errcode:
        wait = min(2 * state.imposed_wait.wait, error_code.most)
    return replace(state, imposed_wait=ImposedWait(errcode, wait, now + wait))


def clamp_to_now(state: TokenState, now: float) -> TokenState:
    """Return the state with times in the future moved to *now*, so that no wait gets longer.

    Times in the future were written by a clock that was ahead of ours.
    """
    imposed = state.imposed_wait
    return replace(
        state,
        logins=tuple(min(at, now) for at in state.logins),
        imposed_wait=imposed
        and ImposedWait(imposed.errcode, imposed.wait, min(imposed.until, now + imposed.wait)),
    )


_REPLY_FIELDS = (
    "errcode",
    "access_token",
    "access_token_expire_time",
    "refresh_token",
    "refresh_token_expire_time",
)


def is_token(value: object) -> TypeGuard[str]:
    """Return whether *value* is a token that can go into a request line without escaping."""
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None


def read_reply(body: bytes, now: float) -> TokenReply | None:
    """Return the decoded answer of a token endpoint, or None where it is unreadable.

    Raises nothing: an exception could quote the tokens. *now* is when the tokens were issued.

    Source: the P-Series developer guide's "Get Access Token" and "Refresh Access Token".
    """
    try:
        fields = read_object(body, _REPLY_FIELDS)
        errcode = errcode_of(fields.get("errcode"))
    except GarbledAnswer:
        return None
    access, refresh = fields.get("access_token"), fields.get("refresh_token")
    if errcode != SUCCESS or not is_token(access):
        return TokenReply(errcode)
    tokens = IssuedTokens(
        _token_valid_for(access, fields.get("access_token_expire_time"), _DEFAULT_LIFE, now),
        _token_valid_for(
            refresh, fields.get("refresh_token_expire_time"), _DEFAULT_REFRESH_LIFE, now
        )
        if isinstance(refresh, str) and refresh
        else None,
    )
    return TokenReply(SUCCESS, tokens)


def _token_valid_for(value: str, life: object, usual: float, now: float) -> Token:
    if isinstance(life, str) and life.isascii() and life.isdigit():
        life = float(life[:12])
    if isinstance(life, Decimal) and life.is_finite():
        life = float(life)
    if isinstance(life, bool) or not isinstance(life, int | float):
        life = usual
    return Token(Secret(value), now, now + min(max(life, SHORTEST_LIFE), LONGEST_LIFE))
