"""What we hold of one PBX's logins, and what follows from it. Pure: *now* is an argument.

Rule: five failed logins in a row, and the PBX blocks our address until an administrator frees it;
eight live tokens, and it gives no ninth. So a token is used as long as it lives, and a login is
made only when `login_wait` says so, which needs nothing but what was on disk before.

Tries are counted per secret. A *refused* one was answered with "wrong credentials": the next is
due after 15 minutes, the third after 2 hours, a fourth never. An *unanswered* one was written down
before it was sent and no answer is known: the process died, or the answer never came. The PBX may
have counted it as failed, so the next waits too, but a slow PBX must not lock us out for good, so
unanswered ones are spaced and never final.

Times are epoch seconds. A clock that is set back must not hold us for years: see `sane`.
"""

from __future__ import annotations

import hashlib
import math
import re
from typing import Any

import msgspec
from msgspec import Struct
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
_USUAL_LIFE, _USUAL_REFRESH_LIFE = 1800.0, 24 * 3600.0
_VERSION = 1
_TOKEN = re.compile(r"[A-Za-z0-9._~-]{8,512}")


class Token(Struct, frozen=True):
    """A token and its life."""

    value: Secret
    issued_at: float
    expires_at: float


class Hold(Struct, frozen=True):
    """The PBX told us to stay away with *errcode*: until *until*, *wait* seconds in all."""

    errcode: int
    wait: float
    until: float


class Held(Struct, frozen=True, kw_only=True):
    """All that is known about our logins at one PBX; the content of its token file.

    *account* tells base_url and client_id, *secret_mark* the secret that the tries were made
    with; both are hashes. Tries without a mark count for any secret.
    """

    version: int = _VERSION
    account: str = ""
    access: Token | None = None
    refresh: Token | None = None
    secret_mark: str = ""
    refused: tuple[float, ...] = ()
    unanswered: tuple[float, ...] = ()
    hold: Hold | None = None


class Grant(Struct, frozen=True):
    """What a login or a refresh brought: a pair of tokens."""

    access: Token
    refresh: Token | None


class Reply(Struct, frozen=True):
    """An answer of a token endpoint; `del_token` and a garbled success bring no *grant*."""

    errcode: int
    grant: Grant | None = None


def mark(*parts: str) -> str:
    """Hash what must be recognised again and not be readable."""
    return hashlib.sha256("\0".join(("cdr-exporter", *parts)).encode()).hexdigest()[:32]


def fresh(held: Held, now: float) -> Secret | None:
    """Return the access token while it need not be renewed."""
    token = held.access
    if token is None:
        return None
    renew_at = token.issued_at + REFRESH_AT * (token.expires_at - token.issued_at)
    return token.value if now < renew_at else None


def login_wait(held: Held, secret_mark: str, now: float) -> float:
    """Return the seconds until a login may be tried: 0 is now, infinity never."""
    if held.secret_mark not in ("", secret_mark):
        return 0.0
    due = now
    if held.refused:
        waits = (*REFUSED_WAITS, math.inf)
        due = max(due, held.refused[-1] + waits[min(len(held.refused), len(waits)) - 1])
    if held.unanswered:
        count = min(len(held.unanswered), len(UNANSWERED_WAITS))
        due = max(due, held.unanswered[-1] + UNANSWERED_WAITS[count - 1])
    return due - now


def trying(held: Held, secret_mark: str, now: float) -> Held:
    """Write down a login that is about to be sent. Another secret has tries of its own."""
    if held.secret_mark not in ("", secret_mark):
        held = replace(held, refused=(), unanswered=())
    return replace(held, secret_mark=secret_mark, unanswered=(*held.unanswered, now))


def taken_back(held: Held) -> Held:
    """Strike out the login that `trying` wrote down: the PBX never judged it."""
    return replace(held, unanswered=held.unanswered[:-1])


def refused(held: Held, now: float) -> Held:
    """Make the login that `trying` wrote down a refused one."""
    return replace(taken_back(held), refused=(*held.refused, now))


def granted(held: Held, grant: Grant) -> Held:
    """Keep the new tokens. The credentials are good; a hold ends with the first good page."""
    return replace(held, access=grant.access, refresh=grant.refresh, refused=(), unanswered=())


def held_back(held: Held, errcode: int, now: float) -> Held:
    """Stay away for the wait of *errcode*, doubled where it comes again."""
    reaction = ERROR_CODES[errcode]
    wait = reaction.first or 0.0
    if held.hold is not None and held.hold.errcode == errcode:
        wait = min(2 * held.hold.wait, reaction.most)
    return replace(held, hold=Hold(errcode, wait, now + wait))


def sane(held: Held, now: float) -> Held:
    """Bring what a clock wrote that was ahead of ours down to now, so that no wait grows."""
    hold = held.hold
    return replace(
        held,
        refused=tuple(min(at, now) for at in held.refused),
        unanswered=tuple(min(at, now) for at in held.unanswered),
        hold=hold and Hold(hold.errcode, hold.wait, min(hold.until, now + hold.wait)),
    )


class _Wire(Struct):
    errcode: int
    access_token: Any = None
    access_token_expire_time: Any = None
    refresh_token: Any = None
    refresh_token_expire_time: Any = None


def is_token(value: object) -> bool:
    """Tell whether *value* may go into a request line as it stands."""
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None


def read_reply(body: bytes, now: float) -> Reply | None:
    """Decode an answer of the token endpoints; None is garbled. Nothing of it is ever raised."""
    try:
        wire = msgspec.json.decode(body, type=_Wire)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if wire.errcode != SUCCESS:
        return Reply(wire.errcode)
    if not is_token(wire.access_token):
        return Reply(SUCCESS)
    access = _token(wire.access_token, wire.access_token_expire_time, _USUAL_LIFE, now)
    refresh = None
    if isinstance(wire.refresh_token, str) and wire.refresh_token:
        life = wire.refresh_token_expire_time
        refresh = _token(wire.refresh_token, life, _USUAL_REFRESH_LIFE, now)
    return Reply(SUCCESS, Grant(access, refresh))


def _token(value: str, life: object, usual: float, now: float) -> Token:
    if isinstance(life, str) and life.isascii() and life.isdigit():
        life = float(life[:12])
    if isinstance(life, bool) or not isinstance(life, int | float):
        life = usual
    return Token(Secret(value), now, now + min(max(life, SHORTEST_LIFE), LONGEST_LIFE))
