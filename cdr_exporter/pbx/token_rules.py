"""What we hold of one PBX's logins, and what follows from it. Pure: *now* is an argument.

Rule: five failed logins in a row, and the PBX blocks our address until an administrator frees it;
eight live tokens, and it gives no ninth. So a token is used as long as it lives, and a login is
made only when `seconds_until_login` says so, which needs nothing but what was on disk before.

Tries are counted per secret. A *refused* one was answered with "wrong credentials": the next is
due after 15 minutes, the third after 2 hours, a fourth never. An *unanswered* one was written down
before it was sent and no answer is known: the process died, or the answer never came. The PBX may
have counted it as failed, so the next waits too, but a slow PBX must not lock us out for good, so
unanswered ones are spaced and never final.

Times are epoch seconds. A clock that is set back must not hold us for years: see `clamp_to_now`.
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
"""Seconds after the first and the second refusal; after the third there is no next try."""

UNANSWERED_WAITS = (60.0, 15 * 60.0, 2 * 3600.0)
"""Seconds after each login whose answer is not known; the last stands for all that follow."""

REFRESH_AT = 0.8
"""The part of its life after which a token is renewed."""

SHORTEST_LIFE, LONGEST_LIFE = 60.0, 24 * 3600.0
_DEFAULT_LIFE, _DEFAULT_REFRESH_LIFE = 1800.0, 24 * 3600.0
_VERSION = 1
_TOKEN = re.compile(r"[A-Za-z0-9._~-]{8,512}")


class Token(Struct, frozen=True):
    """A token and its life."""

    value: Secret
    issued_at: float
    expires_at: float


class ImposedWait(Struct, frozen=True):
    """The PBX told us to stay away with *errcode*: until *until*, *wait* seconds in all."""

    errcode: int
    wait: float
    until: float


class TokenState(Struct, frozen=True, kw_only=True):
    """All that is known about our logins at one PBX; the content of its token file.

    *account* tells base_url and client_id, *secret_digest* the secret that the tries were made
    with; both are hashes. Tries without a mark count for any secret.
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
    """What a login or a refresh brought: a pair of tokens."""

    access: Token
    refresh: Token | None


class TokenReply(Struct, frozen=True):
    """An answer of a token endpoint; `del_token` and a garbled success bring no *tokens*."""

    errcode: int
    tokens: IssuedTokens | None = None


def digest(*parts: str) -> str:
    """Hash what must be recognised again and not be readable."""
    return hashlib.sha256("\0".join(("cdr-exporter", *parts)).encode()).hexdigest()[:32]


def usable_token(state: TokenState, now: float) -> Secret | None:
    """Return the access token while it need not be renewed."""
    token = state.access
    if token is None:
        return None
    renew_at = token.issued_at + REFRESH_AT * (token.expires_at - token.issued_at)
    return token.value if now < renew_at else None


def seconds_until_login(state: TokenState, secret_digest: str, now: float) -> float:
    """Return the seconds until a login may be tried: 0 is now, infinity never."""
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
    """Write down a login that is about to be sent. Another secret has tries of its own."""
    if state.secret_digest not in ("", secret_digest):
        state = replace(state, refused=(), unanswered=())
    return replace(state, secret_digest=secret_digest, unanswered=(*state.unanswered, now))


def undo_attempt(state: TokenState) -> TokenState:
    """Strike out the login that `trying` wrote down: the PBX never judged it."""
    return replace(state, unanswered=state.unanswered[:-1])


def record_refusal(state: TokenState, now: float) -> TokenState:
    """Make the login that `trying` wrote down a refused one."""
    return replace(undo_attempt(state), refused=(*state.refused, now))


def record_tokens(state: TokenState, tokens: IssuedTokens) -> TokenState:
    """Keep the new tokens. The credentials are good; a hold ends with the first good page."""
    return replace(state, access=tokens.access, refresh=tokens.refresh, refused=(), unanswered=())


def record_wait(state: TokenState, errcode: int, now: float) -> TokenState:
    """Stay away for the wait of *errcode*, doubled where it comes again."""
    error_code = ERROR_CODES[errcode]
    wait = error_code.first or 0.0
    if state.imposed_wait is not None and state.imposed_wait.errcode == errcode:
        wait = min(2 * state.imposed_wait.wait, error_code.most)
    return replace(state, imposed_wait=ImposedWait(errcode, wait, now + wait))


def clamp_to_now(state: TokenState, now: float) -> TokenState:
    """Bring what a clock wrote that was ahead of ours down to now, so that no wait grows."""
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
    """Tell whether *value* may go into a request line as it stands."""
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None


def read_reply(body: bytes, now: float) -> TokenReply | None:
    """Decode an answer of the token endpoints; None is garbled. Nothing of it is ever raised."""
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
