"""What is known of one PBX's tokens and logins, and what follows from it.

Pure: no I/O, the current time is the argument *now*. All times are epoch seconds, all waits
seconds. `login` explains how these rules are used, and why logins are counted.

Rule: whether a login may be sent depends only on what was on disk before (`seconds_until_login`).

Login attempts are counted for one client secret. A *refused* attempt was answered with "wrong
credentials"; after three of them there is no next one. An *unanswered* attempt was written to
disk before it was sent, and no usable answer is known: the process died, or the answer did not
come or was unreadable. These only delay the next attempt.

A clock that is set back must not make a wait last for years: see `clamp_to_now`.
"""

from __future__ import annotations

import hashlib
import math
import re
from typing import Any

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from ..cdr.contract import SUCCESS
from ..cdr.error_codes import ERROR_CODES
from ..secret import Secret

REFUSED_WAITS = (15 * 60.0, 2 * 3600.0)
"""Seconds after the first and the second refusal; after the third there is no next attempt."""

UNANSWERED_WAITS = (60.0, 15 * 60.0, 2 * 3600.0)
"""Seconds after each login whose answer is not known; the last is for all that follow, too."""

REFRESH_AT = 0.8
"""The fraction of its life after which a token is renewed."""

SHORTEST_LIFE, LONGEST_LIFE = 60.0, 24 * 3600.0
_DEFAULT_LIFE, _DEFAULT_REFRESH_LIFE = 1800.0, 24 * 3600.0
_VERSION = 1
_TOKEN = re.compile(r"[A-Za-z0-9._~-]{8,512}")


class Token(Struct, frozen=True):
    """An access or refresh token, and when it was issued and expires."""

    value: Secret
    issued_at: float
    expires_at: float


class ImposedWait(Struct, frozen=True):
    """A wait imposed by the PBX's answer *errcode*: it ends at *until*, after *wait* seconds."""

    errcode: int
    wait: float
    until: float


class TokenState(Struct, frozen=True, kw_only=True):
    """All that is known about our tokens and logins at one PBX; the content of its token file.

    *account* is the digest of base_url and client_id, *secret_digest* that of client_id and the
    client secret of the attempts; where it is empty, the attempts count for any secret. *refused*
    and *unanswered* are the times of the login attempts since the last successful one. In the
    file, *secret_digest* is called `secret_mark` and *imposed_wait* `hold`.
    """

    version: int = _VERSION
    account: str = ""
    access: Token | None = None
    refresh: Token | None = None
    secret_digest: str = field(default="", name="secret_mark")
    refused: tuple[float, ...] = ()
    unanswered: tuple[float, ...] = ()
    imposed_wait: ImposedWait | None = field(default=None, name="hold")


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


def seconds_until_login(state: TokenState, secret_digest: str, now: float) -> float:
    """Return the seconds until a login with this secret may be sent: 0 is now, infinity never."""
    if state.secret_digest not in ("", secret_digest):
        return 0.0
    due = now
    if state.refused:
        waits = (*REFUSED_WAITS, math.inf)
        due = max(due, state.refused[-1] + waits[min(len(state.refused), len(waits)) - 1])
    if state.unanswered:
        count = min(len(state.unanswered), len(UNANSWERED_WAITS))
        due = max(due, state.unanswered[-1] + UNANSWERED_WAITS[count - 1])
    return due - now


def record_attempt(state: TokenState, secret_digest: str, now: float) -> TokenState:
    """Return the state with a login that is about to be sent.

    The attempts made with another secret are dropped.
    """
    if state.secret_digest not in ("", secret_digest):
        state = replace(state, refused=(), unanswered=())
    return replace(state, secret_digest=secret_digest, unanswered=(*state.unanswered, now))


def undo_attempt(state: TokenState) -> TokenState:
    """Return the state without the last `record_attempt`: the PBX did not judge that login."""
    return replace(state, unanswered=state.unanswered[:-1])


def record_refusal(state: TokenState, now: float) -> TokenState:
    """Return the state with the last `record_attempt` changed from unanswered to refused."""
    return replace(undo_attempt(state), refused=(*state.refused, now))


def record_tokens(state: TokenState, tokens: IssuedTokens) -> TokenState:
    """Return the state with the new tokens and no attempts: the credentials are good.

    An imposed wait stays until a page was served.
    """
    return replace(state, access=tokens.access, refresh=tokens.refresh, refused=(), unanswered=())


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
        refused=tuple(min(at, now) for at in state.refused),
        unanswered=tuple(min(at, now) for at in state.unanswered),
        imposed_wait=imposed
        and ImposedWait(imposed.errcode, imposed.wait, min(imposed.until, now + imposed.wait)),
    )


class _TokenResponse(Struct):
    errcode: int
    access_token: Any = None
    access_token_expire_time: Any = None
    refresh_token: Any = None
    refresh_token_expire_time: Any = None


def is_token(value: object) -> bool:
    """Return whether *value* is a token that can go into a request line without escaping."""
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None


def read_reply(body: bytes, now: float) -> TokenReply | None:
    """Return the decoded answer of a token endpoint, or None where it is unreadable.

    Raises nothing: an exception could quote the tokens. *now* is when the tokens were issued.

    Source: the P-Series developer guide's "Get Access Token" and "Refresh Access Token".
    """
    try:
        response = msgspec.json.decode(body, type=_TokenResponse)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if response.errcode != SUCCESS:
        return TokenReply(response.errcode)
    if not is_token(response.access_token):
        return TokenReply(SUCCESS)
    access = _token_valid_for(
        response.access_token, response.access_token_expire_time, _DEFAULT_LIFE, now
    )
    refresh = None
    if isinstance(response.refresh_token, str) and response.refresh_token:
        life = response.refresh_token_expire_time
        refresh = _token_valid_for(response.refresh_token, life, _DEFAULT_REFRESH_LIFE, now)
    return TokenReply(SUCCESS, IssuedTokens(access, refresh))


def _token_valid_for(value: str, life: object, usual: float, now: float) -> Token:
    if isinstance(life, str) and life.isascii() and life.isdigit():
        life = float(life[:12])
    if isinstance(life, bool) or not isinstance(life, int | float):
        life = usual
    return Token(Secret(value), now, now + min(max(life, SHORTEST_LIFE), LONGEST_LIFE))
