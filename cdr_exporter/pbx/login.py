"""Getting a token and keeping it: the requests and writes that `tokens` decides on.

Rule: every login, refresh and wait is decided under the token file's lock, on what the file says
then, so that restarts and a second process (`check --connect`) share one budget. In between, the
token in memory is used without a look at the disk.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec
from msgspec.structs import replace

from ..cdr.contract import FAILURE, SUCCESS, TOKEN_EXPIRED
from ..cdr.error_codes import ERROR_CODES
from ..errors import PBXError, TryAgain
from ..secret import Secret
from ..settings import PBX
from . import failures, token_rules
from .credentials import read_secret
from .token_file import TokenFile, revealed
from .token_rules import Grant, Held, Reply
from .transport import APIRequest, Transport

log = logging.getLogger(__name__)

_LOOK_AGAIN = 60.0
"""Seconds until we see whether the secret was changed; that costs the PBX nothing."""

_TURNED_AWAY = ("http", "redirect", "throttled", "auth")
"""Failures of a login by which a web server spoke and the credentials were not judged."""


class Logins:
    """The tokens of one PBX: hands out one that works, or says how long to wait."""

    def __init__(
        self,
        pbx: PBX,
        token_path: Path,
        transport: Transport,
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pbx = pbx
        self._transport = transport
        self._wall = wall
        self._monotonic = monotonic
        self._file = TokenFile(token_path, token_rules.mark(pbx.base_url, pbx.client_id))
        self._held: Held | None = None
        self._say = {"fields": {"pbx": pbx.name}}

    def token(self) -> Secret:
        """Return a token to use now, from memory, the file, a refresh or a login, in this order."""
        held = self._held
        if held is not None and held.hold is None:
            token = token_rules.fresh(held, self._wall())
            if token is not None:
                return token
        return self.another(None)

    def another(self, rejected: Secret | None) -> Secret:
        """Return a token that is not *rejected*, which the PBX calls expired."""
        with self._locked():
            held = self._held = self._file.read(self._wall())
            self._mind_hold(held)
            # Another process may have renewed it while we waited for the lock.
            token = token_rules.fresh(held, self._wall())
            if token is not None and token != rejected:
                return token
            grant = self._refresh(held) or self._log_in(self._held)
            return grant.access.value

    def failure(self, errcode: int, errmsg: str | None) -> PBXError:
        """Return the error for a refused request, its wait written down where it must last."""
        reaction = ERROR_CODES.get(errcode)
        if reaction is not None and reaction.reason == "auth":
            try:
                with self._locked():
                    return self._stay_away(self._file.read(self._wall()), errcode)
            except TryAgain as error:
                log.warning("wait not written down: %s", error, extra=self._say)
        return failures.of_errcode(errcode, errmsg)

    def accepted(self) -> None:
        """Note that the PBX serves us: the next trouble starts with a short wait again."""
        if self._held is None or self._held.hold is None:
            return
        try:
            with self._locked():
                self._keep(replace(self._file.read(self._wall()), hold=None))
        except TryAgain as error:
            log.warning("wait not struck out: %s", error, extra=self._say)

    def revoke(self, timeout_seconds: float) -> None:
        """Give the token back: forgotten once the PBX confirms, else used at the next start."""
        token = self._held and self._held.access
        if not token:
            return
        request = APIRequest("GET", "del_token", token=token.value)
        reply = token_rules.read_reply(
            self._transport.send(request, timeout_seconds, even_if_cancelled=True), self._wall()
        )
        if reply is None or reply.errcode not in (SUCCESS, TOKEN_EXPIRED):
            return
        with self._locked():
            held = self._file.read(self._wall())
            if held.access == token:
                self._keep(replace(held, access=None, refresh=None))

    def _mind_hold(self, held: Held) -> None:
        if held.hold is not None and held.hold.until > self._wall():
            raise failures.of_hold(held.hold.errcode, held.hold.until - self._wall())

    def _refresh(self, held: Held) -> Grant | None:
        """Exchange the refresh token for a new pair; None asks for a login."""
        if held.refresh is None or held.refresh.expires_at <= self._wall():
            return None
        reply = self._ask("refresh_token", {"refresh_token": held.refresh.value})
        if reply.grant is not None:
            self._keep(token_rules.granted(held, reply.grant))
            log.debug("token refreshed", extra=self._say)
            return reply.grant
        if _has_own_reaction(reply.errcode):
            raise self._failed(held, reply)
        # Written down: a kill before the login must not make us ask with it again.
        self._keep(replace(held, access=None, refresh=None))
        return None

    def _log_in(self, held: Held) -> Grant:
        """Spend one login of the budget, written down before it is sent."""
        secret = read_secret(self._pbx.secret)
        secret_mark = token_rules.mark(self._pbx.client_id, secret.reveal())
        _mind_budget(held, token_rules.login_wait(held, secret_mark, self._wall()))
        held = token_rules.trying(held, secret_mark, self._wall())
        self._keep(held)
        reply = self._send_login(held, secret)
        if reply.grant is not None:
            self._keep(token_rules.granted(held, reply.grant))
            log.info("logged in", extra=self._say)
            return reply.grant
        if _has_own_reaction(reply.errcode):
            raise self._failed(token_rules.taken_back(held), reply)
        held = token_rules.refused(held, self._wall())
        self._keep(held)
        raise _refusal(held, reply.errcode)

    def _send_login(self, held: Held, secret: Secret) -> Reply:
        failure: PBXError
        try:
            return self._ask("get_token", {"username": self._pbx.client_id, "password": secret})
        except PBXError as error:
            failure = error
        # What never left us, or was turned away by the web server, cost the PBX no login. No
        # answer, or one that nobody can read, may have been a refusal: it stays written down.
        if not self._transport.reached or failure.reason in _TURNED_AWAY:
            self._keep(token_rules.taken_back(held))
        raise failure

    def _ask(self, path: str, fields: dict[str, str | Secret]) -> Reply:
        body = Secret(msgspec.json.encode(fields, enc_hook=revealed).decode())
        request = APIRequest("POST", path, body=body)
        reply = token_rules.read_reply(
            self._transport.send(request, self._pbx.request_timeout), self._wall()
        )
        if reply is not None:
            self._transport.refused(reply.errcode)
        if reply is None or (reply.errcode == SUCCESS and reply.grant is None):
            raise TryAgain(f"the answer to {path} holds no usable token", reason="garbled")
        return reply

    def _failed(self, held: Held, reply: Reply) -> PBXError:
        if ERROR_CODES[reply.errcode].reason == "auth":
            return self._stay_away(held, reply.errcode)
        self._keep(held)
        return failures.of_errcode(reply.errcode)

    def _stay_away(self, held: Held, errcode: int) -> PBXError:
        held = token_rules.held_back(held, errcode, self._wall())
        self._keep(held)
        return failures.of_errcode(errcode, wait=held.hold.wait if held.hold else None)

    def _keep(self, held: Held) -> None:
        # In memory first: a token that cannot be written down is still there to be used.
        self._held = held
        self._file.write(held)

    def _locked(self) -> AbstractContextManager[None]:
        return self._file.locked(
            self._pbx.request_timeout, self._transport.cancelled, self._monotonic
        )


def _has_own_reaction(errcode: int) -> bool:
    """Tell whether a token endpoint's answer is about something else than what we presented."""
    return errcode in ERROR_CODES and errcode not in (FAILURE, TOKEN_EXPIRED)


def _mind_budget(held: Held, wait: float) -> None:
    if wait <= 0:
        return
    if held.refused:
        raise _refusal(held, None, wait)
    raise TryAgain(
        "the last login was not answered; waiting before the next one",
        reason="auth",
        retry_after=min(wait, _LOOK_AGAIN),
    )


def _refusal(held: Held, errcode: int | None, wait: float = _LOOK_AGAIN) -> PBXError:
    most = len(token_rules.REFUSED_WAITS) + 1
    return failures.of_refusal(len(held.refused), most, errcode, min(wait, _LOOK_AGAIN))
