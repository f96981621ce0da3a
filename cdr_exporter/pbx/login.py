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
from .token_file import TokenFile, reveal_secret
from .token_rules import IssuedTokens, TokenReply, TokenState
from .transport import APIRequest, Transport

log = logging.getLogger(__name__)

_SECRET_CHECK_SECONDS = 60.0
"""Seconds until we see whether the secret was changed; that costs the PBX nothing."""

_NOT_JUDGED = ("http", "redirect", "throttled", "auth")
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
        self._file = TokenFile(token_path, token_rules.digest(pbx.base_url, pbx.client_id))
        self._state: TokenState | None = None
        self._log_extra = {"fields": {"pbx": pbx.name}}

    def token(self) -> Secret:
        """Return a token to use now, from memory, the file, a refresh or a login, in this order."""
        state = self._state
        if state is not None and state.imposed_wait is None:
            token = token_rules.usable_token(state, self._wall())
            if token is not None:
                return token
        return self.token_other_than(None)

    def token_other_than(self, rejected: Secret | None) -> Secret:
        """Return a token that is not *rejected*, which the PBX calls expired."""
        with self._locked():
            state = self._state = self._file.read(self._wall())
            self._check_imposed_wait(state)
            # Another process may have renewed it while we waited for the lock.
            token = token_rules.usable_token(state, self._wall())
            if token is not None and token != rejected:
                return token
            tokens = self._refresh(state) or self._log_in(self._state)
            return tokens.access.value

    def request_error(self, errcode: int, errmsg: str | None) -> PBXError:
        """Return the error for a refused request, its wait written down where it must last."""
        error_code = ERROR_CODES.get(errcode)
        if error_code is not None and error_code.reason == "auth":
            try:
                with self._locked():
                    return self._impose_wait(self._file.read(self._wall()), errcode)
            except TryAgain as error:
                log.warning("wait not written down: %s", error, extra=self._log_extra)
        return failures.errcode_error(errcode, errmsg)

    def request_accepted(self) -> None:
        """Note that the PBX serves us: the next trouble starts with a short wait again."""
        if self._state is None or self._state.imposed_wait is None:
            return
        try:
            with self._locked():
                self._save(replace(self._file.read(self._wall()), imposed_wait=None))
        except TryAgain as error:
            log.warning("wait not struck out: %s", error, extra=self._log_extra)

    def revoke(self, timeout_seconds: float) -> None:
        """Give the token back: forgotten once the PBX confirms, else used at the next start."""
        token = self._state and self._state.access
        if not token:
            return
        request = APIRequest("GET", "del_token", token=token.value)
        reply = token_rules.read_reply(
            self._transport.send(request, timeout_seconds, even_if_cancelled=True), self._wall()
        )
        if reply is None or reply.errcode not in (SUCCESS, TOKEN_EXPIRED):
            return
        with self._locked():
            state = self._file.read(self._wall())
            if state.access == token:
                self._save(replace(state, access=None, refresh=None))

    def _check_imposed_wait(self, state: TokenState) -> None:
        if state.imposed_wait is not None and state.imposed_wait.until > self._wall():
            raise failures.imposed_wait_error(
                state.imposed_wait.errcode, state.imposed_wait.until - self._wall()
            )

    def _refresh(self, state: TokenState) -> IssuedTokens | None:
        """Exchange the refresh token for a new pair; None asks for a login."""
        if state.refresh is None or state.refresh.expires_at <= self._wall():
            return None
        reply = self._post("refresh_token", {"refresh_token": state.refresh.value})
        if reply.tokens is not None:
            self._save(token_rules.record_tokens(state, reply.tokens))
            log.debug("token refreshed", extra=self._log_extra)
            return reply.tokens
        if _is_unrelated_to_credentials(reply.errcode):
            raise self._unrelated_error(state, reply)
        # Written down: a kill before the login must not make us ask with it again.
        self._save(replace(state, access=None, refresh=None))
        return None

    def _log_in(self, state: TokenState) -> IssuedTokens:
        """Spend one login of the budget, written down before it is sent."""
        secret = read_secret(self._pbx.secret)
        secret_digest = token_rules.digest(self._pbx.client_id, secret.reveal())
        _check_budget(state, token_rules.seconds_until_login(state, secret_digest, self._wall()))
        state = token_rules.record_attempt(state, secret_digest, self._wall())
        self._save(state)
        reply = self._send_login(state, secret)
        if reply.tokens is not None:
            self._save(token_rules.record_tokens(state, reply.tokens))
            log.info("logged in", extra=self._log_extra)
            return reply.tokens
        if _is_unrelated_to_credentials(reply.errcode):
            raise self._unrelated_error(token_rules.undo_attempt(state), reply)
        state = token_rules.record_refusal(state, self._wall())
        self._save(state)
        raise _credentials_refused(state, reply.errcode)

    def _send_login(self, state: TokenState, secret: Secret) -> TokenReply:
        failure: PBXError
        try:
            return self._post("get_token", {"username": self._pbx.client_id, "password": secret})
        except PBXError as error:
            failure = error
        # What never left us, or was turned away by the web server, cost the PBX no login. No
        # answer, or one that nobody can read, may have been a refusal: it stays written down.
        if not self._transport.last_was_sent or failure.reason in _NOT_JUDGED:
            self._save(token_rules.undo_attempt(state))
        raise failure

    def _post(self, path: str, fields: dict[str, str | Secret]) -> TokenReply:
        body = Secret(msgspec.json.encode(fields, enc_hook=reveal_secret).decode())
        request = APIRequest("POST", path, body=body)
        reply = token_rules.read_reply(
            self._transport.send(request, self._pbx.request_timeout), self._wall()
        )
        if reply is not None:
            self._transport.count_errcode(reply.errcode)
        if reply is None or (reply.errcode == SUCCESS and reply.tokens is None):
            raise TryAgain(f"the answer to {path} holds no usable token", reason="garbled")
        return reply

    def _unrelated_error(self, state: TokenState, reply: TokenReply) -> PBXError:
        if ERROR_CODES[reply.errcode].reason == "auth":
            return self._impose_wait(state, reply.errcode)
        self._save(state)
        return failures.errcode_error(reply.errcode)

    def _impose_wait(self, state: TokenState, errcode: int) -> PBXError:
        state = token_rules.record_wait(state, errcode, self._wall())
        self._save(state)
        return failures.errcode_error(
            errcode, wait=state.imposed_wait.wait if state.imposed_wait else None
        )

    def _save(self, state: TokenState) -> None:
        # In memory first: a token that cannot be written down is still there to be used.
        self._state = state
        self._file.write(state)

    def _locked(self) -> AbstractContextManager[None]:
        return self._file.locked(
            self._pbx.request_timeout, self._transport.cancelled, self._monotonic
        )


def _is_unrelated_to_credentials(errcode: int) -> bool:
    """Tell whether a token endpoint's answer is about something else than what we presented."""
    return errcode in ERROR_CODES and errcode not in (FAILURE, TOKEN_EXPIRED)


def _check_budget(state: TokenState, wait: float) -> None:
    if wait <= 0:
        return
    if state.refused:
        raise _credentials_refused(state, None, wait)
    raise TryAgain(
        "the last login was not answered; waiting before the next one",
        reason="auth",
        retry_after=min(wait, _SECRET_CHECK_SECONDS),
    )


def _credentials_refused(
    state: TokenState, errcode: int | None, wait: float = _SECRET_CHECK_SECONDS
) -> PBXError:
    most = len(token_rules.REFUSED_WAITS) + 1
    return failures.refused_login_error(
        len(state.refused), most, errcode, min(wait, _SECRET_CHECK_SECONDS)
    )
