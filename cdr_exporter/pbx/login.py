"""Which token a request uses: reuse one, refresh it, or log in.

Rule: every refresh, login and wait is decided under the lock of the document with the tokens, from
what it says at that moment. So a restarted exporter, a second process (`check --connect`) and a
replica on another machine share one token, and all that log in to one PBX share one record of
refused logins.

How it works
------------
Two limits of the PBX are behind all of this. After five failed logins in a row it blocks our
address until an administrator frees it; and while eight tokens of one client_id are valid it
issues no ninth. A token is valid for 30 minutes, and a killed process cannot revoke its own. So
a token is kept (see `documents`) and used as long as it lives, and every login is counted.

`Logins.token` takes the first of these that works:

1. the access token in memory, up to 80 % of its life; nothing is read;
2. the access token on record, which another process may have renewed; from here on under the lock,
   but for the first look: a process that died during a login may still have it;
3. a refresh, while the refresh token is valid. If the PBX refuses it, both tokens are removed
   from the record, so that the refused one is never sent again, and a login follows. An error code
   about something else than the token is raised, and the tokens stay. "Access denied" and the
   like, and HTTP 401, are about the token where the access token had worked;
4. a login, if the logins on record allow one now.

When the PBX no longer knows the token of a request (`is_lost`), `Client` calls
`token_other_than`, which starts at step 2 and passes over that token, and repeats the request
once.

Which logins may be sent (the numbers are in `attempt_rules`):

- An attempt is written down as *unanswered* before it is sent (`attempt_record`), for the PBX and
  not for this entry of the configuration, so that a crash cannot forget it and all others see it.
  Whether it may be sent is decided in the same step. What became of it is written down in any case,
  also by a process that stood still until the PBX was another's.
- An error code that is not about something else makes it a *refused* one: "wrong credentials", and
  any code that is not known. One secret is tried three times, at once, after 15 minutes and after
  2 hours. Four refusals in a row, of whatever secrets, and nobody tries until a person says so.
- A login that returns tokens takes those of its client_id off the record that stood there before it
  was sent: one that another process sent since may have been refused later. No more than five are
  sent in half an hour, or a PBX that loses each token after one page would cost a login a page.
- Where the credentials were certainly not judged (nothing was sent, an HTTP status other than 200
  and 401, an error code about something else), the attempt is taken off the record again.
- In any other case (no answer, or one that cannot be read) it stays *unanswered*. The PBX may
  have counted it as failed, so the next attempt waits 1 minute, then 15 minutes, then 2 hours
  each. `attempt_rules` says which of these count as refusals.

Error codes with reason `auth` in `ERROR_CODES` (token limit reached, address blocked, API
disabled, ...) come from logins and from pages alike. They impose a wait that is kept with the token
and doubles when the same code comes again. Until it ends nothing is sent, not by a restarted
process either; the first page that is served afterwards clears it. The PBX counts no tries of
these, so a person who asks (`Person`) is not held up.

Where locks end by themselves, a process that stood still may go on after its lock has ended. So the
lock is asked, as *may_send* is, before each request made under it, and a token is not written over
one that another process wrote meanwhile.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from secrets import token_hex
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from ..cdr.contract import FAILURE, SUCCESS, TOKEN_EXPIRED
from ..cdr.error_codes import ERROR_CODES, LOST_TOKEN_CODES
from ..errors import PBXError, TryAgain
from ..secret import Secret
from ..settings import PBX
from ..state_files import file_name
from . import attempt_rules, failures, token_rules
from .attempt_record import AttemptRecord, Edit, record_names
from .attempt_rules import Attempt, Attempts
from .connection import Address, Cancelled, always, not_allowed
from .credentials import read_secret
from .documents import Documents, Lock
from .failures import AccessRefused
from .token_document import TokenDocument, reveal_secret
from .token_rules import IssuedTokens, TokenReply, TokenState
from .transport import APIRequest, Transport

log = logging.getLogger(__name__)

_UNAUTHORIZED = 401

_TOKEN_HOLD, _RECORD_HOLD = 4, 2
"""For how many times `request_timeout` the locks are taken: the lock of the tokens for a refresh,
the wait for the other lock, and a login; the lock of the record for a login. One more each."""

_NOT_JUDGED = ("http", "redirect", "throttled")
"""Reasons of failed logins where the HTTP status shows that the credentials were not judged."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who waits for the answer, and is not held up where the PBX counts no tries.

    With *last_try_since*, in epoch seconds, one login is sent to each PBX whatever is on record
    from before: it may be the one for which the PBX blocks our address.
    """

    last_try_since: float | None = None

    def takes_the_risk(self, attempts: Attempts) -> bool:
        """Whether a login is to be sent in spite of *attempts*."""
        since = self.last_try_since
        return since is not None and all(attempt.at < since for attempt in attempts)


class _Login(NamedTuple):
    """A login that is on record and may be sent: *before* is what was on record already.

    With *at_risk* it is sent in spite of that.
    """

    attempt: Attempt
    before: Attempts
    at_risk: bool


class Logins:
    """The tokens and logins of one PBX: returns a token, or an error that says how long to wait.

    *may_send* is asked before each request and before a token is written; a no raises `Cancelled`.
    *person* is who asks, None is the exporter. *wall* returns epoch seconds, *monotonic* seconds
    for deadlines. Errors are `TryAgain` and `WaitLong`.
    """

    def __init__(
        self,
        pbx: PBX,
        documents: Documents,
        transport: Transport,
        *,
        may_send: Callable[[], bool] = always,
        person: Person | None = None,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pbx = pbx
        self._transport = transport
        self._may_send = may_send
        self._person = person
        self._documents = documents
        self._wall = wall
        self._monotonic = monotonic
        account = token_rules.digest(pbx.base_url, pbx.client_id)
        self._kept = TokenDocument(documents, file_name(pbx.name, "token"), account)
        self._state: TokenState | None = None
        self._log_extra = {"fields": {"pbx": pbx.name}}

    def token(self) -> Secret:
        """Return a token for the next request: from memory, the record, a refresh or a login."""
        if token := self._without_login(self._state):
            return token
        # Without the lock: the process that had the PBX before may have died with it.
        state = self._kept.look(self._wall())
        if token := self._without_login(state):
            self._state = state
            return token
        return self.token_other_than(None)

    def _without_login(self, state: TokenState | None) -> Secret | None:
        """Return the token of *state*, None where it has none for the next request."""
        if state is None or state.imposed_wait is not None:
            return None
        return token_rules.usable_token(state, self._wall())

    def token_other_than(self, rejected: Secret | None) -> Secret:
        """Return a token that is not *rejected*, which the PBX lost; None rules out none.

        Not from memory: what is on record is read under the lock.
        """
        with self._locked() as lock:
            state = self._state = self._kept.read(self._wall())
            self._check_imposed_wait(state)
            # Another process may have renewed it while we waited for the lock.
            token = token_rules.usable_token(state, self._wall())
            if token is not None and token != rejected:
                return token
            tokens = self._refresh(state, lock) or self._log_in(self._state, lock)
            return tokens.access.value

    def is_lost(self, token: Secret, status: int, errcode: int | None) -> bool:
        """Return whether such an answer to a request with *token* says that the PBX lost it."""
        state = self._state or TokenState()
        return token_rules.is_lost(state, token, status, errcode)

    def request_error(self, errcode: int) -> PBXError:
        """Return the error for a request that was answered with *errcode*.

        A wait that has to outlive a restart is kept with the token.
        """
        error_code = ERROR_CODES.get(errcode)
        if error_code is not None and error_code.reason == "auth":
            try:
                with self._locked():
                    return self._impose_wait(self._kept.read(self._wall()), errcode)
            except TryAgain as error:
                log.warning(
                    "could not write down how long to wait: %s",
                    error,
                    extra=self._log_extra,
                )
        return failures.errcode_error(errcode)

    def request_accepted(self, token: Secret) -> None:
        """Write down that a page was served with *token*: it works, and an imposed wait is over."""
        state = self._state
        if state is None or (state.imposed_wait is None and token_rules.has_worked(state, token)):
            return
        # In memory first: what cannot be written is tried once for each token.
        self._state = token_rules.record_page(state, token)
        try:
            with self._locked():
                self._save(token_rules.record_page(self._kept.read(self._wall()), token))
        except Cancelled:
            pass  # The page is good all the same.
        except TryAgain as error:
            log.warning(
                "could not write down that the token works: %s",
                error,
                extra=self._log_extra,
            )

    def revoke(self, timeout_seconds: float) -> None:
        """Ask the PBX to revoke the token; only when it confirms, the token leaves the record.

        Works after a cancel. Raises `TryAgain` or `WaitLong` when the PBX does not answer, or
        another process keeps the lock, within *timeout_seconds* for both.
        """
        ends_at = self._monotonic() + timeout_seconds
        token = self._state and self._state.access
        if not token:
            return
        request = APIRequest("GET", "del_token", token=token.value, may_send=self._may_send)
        reply = token_rules.read_reply(
            self._transport.send(request, timeout_seconds, even_if_cancelled=True), self._wall()
        )
        if reply is None or reply.errcode not in (SUCCESS, TOKEN_EXPIRED):
            return
        seconds_left, not_cancelled = ends_at - self._monotonic(), threading.Event()
        with self._locked(seconds_left, not_cancelled):
            state = self._kept.read(self._wall())
            if state.access == token:
                self._save(token_rules.record_revocation(state))

    def _check_imposed_wait(self, state: TokenState) -> None:
        if (
            self._person is None
            and state.imposed_wait is not None
            and state.imposed_wait.until > self._wall()
        ):
            raise failures.imposed_wait_error(
                state.imposed_wait.errcode, state.imposed_wait.until - self._wall()
            )

    def _refresh(self, state: TokenState, lock: Lock) -> IssuedTokens | None:
        """Exchange the refresh token for a new pair; None means that a login is needed."""
        if state.refresh is None or state.refresh.expires_at <= self._wall():
            return None
        worked = state.access is not None and state.access.worked
        reply = self._send_refresh(state.refresh.value, worked, lock)
        if reply.tokens is not None:
            self._save(token_rules.record_tokens(state, reply.tokens))
            log.debug("token refreshed", extra=self._log_extra)
            return reply.tokens
        is_lost = worked and reply.errcode in LOST_TOKEN_CODES
        if _is_unrelated_to_credentials(reply.errcode) and not is_lost:
            raise self._unrelated_error(state, reply)
        # On record before the login: after a crash in between, the refused token is not sent again.
        self._save(replace(state, access=None, refresh=None))
        return None

    def _send_refresh(self, token: Secret, worked: bool, lock: Lock) -> TokenReply:
        try:
            return self._post("refresh_token", {"refresh_token": token}, self._under(lock))
        except AccessRefused as error:
            if error.status != _UNAUTHORIZED or not worked:
                raise
        return TokenReply(TOKEN_EXPIRED)

    def _log_in(self, state: TokenState, lock: Lock) -> IssuedTokens:
        """Log in, if what is on record allows it; the attempt is written down before it is sent."""
        secret = read_secret(self._pbx.secret)
        _check_lost_logins(state, self._wall())
        timeout = self._pbx.request_timeout
        ends_at = self._monotonic() + timeout
        addresses = self._transport.addresses(timeout)
        names = record_names(self._transport.host, self._transport.port, addresses)
        record = AttemptRecord(self._documents, names)
        seconds_left, cancelled = ends_at - self._monotonic(), self._transport.cancelled
        with record.locked(
            _RECORD_HOLD * timeout, seconds_left, cancelled, self._monotonic
        ) as record_lock:
            login = self._write_down(record, state, secret)
            may_send = self._under(lock, record_lock)
            try:
                reply = self._send_login(secret, addresses, may_send)
            except PBXError as error:
                failure = error
            else:
                return self._answered(login, record, state, reply)
            # Nothing was sent, or the web server refused the request: the PBX counted no login. An
            # answer that is missing or unreadable may have been a refusal: that attempt stays.
            if not self._transport.last_was_sent or _is_not_judged(failure):
                self._undo(record, login.attempt)
            raise failure

    def _write_down(self, record: AttemptRecord, state: TokenState, secret: Secret) -> _Login:
        """Write a login down, if what is on record allows it now, and return it."""
        name = token_hex(8)
        written: list[_Login] = []

        def decide(before: Attempts) -> Edit:
            attempt = self._attempt(name, state, secret, before)
            at_risk = self._person is not None and self._person.takes_the_risk(before)
            if not at_risk:
                self._check_record(before, attempt)
            written.append(_Login(attempt, before, at_risk))
            return lambda known: attempt_rules.added(known, attempt)

        failure: PBXError
        try:
            record.change(decide, self._wall())
        except PBXError as error:
            failure = error
        else:
            return written.pop()
        if written:
            # It is not sent, so none of the documents that took it is to keep it.
            with suppress(TryAgain):
                self._undo(record, written.pop().attempt)
        raise failure

    def _answered(
        self, login: _Login, record: AttemptRecord, state: TokenState, reply: TokenReply
    ) -> IssuedTokens:
        """Write down what the PBX answered to *login*; return its tokens, or raise its refusal."""
        attempt, errcode = login.attempt, reply.errcode
        if reply.tokens is not None:
            after = token_rules.record_login(state, reply.tokens, attempt.secret, self._wall())
            with _in_any_case(lambda: self._free(record, login)):
                self._save(after)
            log.info("logged in", extra=self._log_extra)
            return reply.tokens
        if _is_unrelated_to_credentials(errcode):
            self._undo(record, attempt)
            raise self._unrelated_error(state, reply)
        refused = record.change(
            lambda _: lambda attempts: attempt_rules.refused(attempts, attempt, errcode),
            self._wall(),
        )
        raise self._refusal(refused, attempt.secret, errcode)

    def _attempt(self, name: str, state: TokenState, secret: Secret, before: Attempts) -> Attempt:
        """Return the login that is about to be sent."""
        client_id = self._pbx.client_id
        secret_digest = token_rules.digest(client_id, secret.reveal())
        refused = attempt_rules.refused_with(before, secret_digest)
        return Attempt(
            name=name,
            client=token_rules.digest(client_id),
            secret=secret_digest,
            at=self._wall(),
            proven=state.proven == secret_digest and not refused,
        )

    def _check_record(self, attempts: Attempts, attempt: Attempt) -> None:
        """Raise the error for a login that what is on record does not allow now."""
        refusals = attempt_rules.refusals_at_most(attempts)
        if refusals >= attempt_rules.MOST_REFUSALS:
            raise failures.used_up_error(self._transport.server, refusals)
        due = attempt_rules.next_try(attempts, attempt.secret)
        if due <= self._wall():
            return
        refused = attempt_rules.refused_with(attempts, attempt.secret)
        if refused:
            raise self._refusal(attempts, attempt.secret, None)
        problem = f"the last login to {self._transport.server} was not answered, or not readably"
        raise _too_soon(problem, due, self._wall())

    def _refusal(self, attempts: Attempts, secret: str, errcode: int | None) -> PBXError:
        """Return the error for a *secret* that was refused, just now if there is an *errcode*."""
        server, refusals = self._transport.server, attempt_rules.refusals_at_most(attempts)
        if refusals >= attempt_rules.MOST_REFUSALS:
            return failures.used_up_error(server, refusals, errcode)
        refused = attempt_rules.refused_with(attempts, secret)
        tries = f"try {len(refused)} of {attempt_rules.MOST_TRIES}"
        code = errcode if errcode is not None else refused[-1].errcode or FAILURE
        due = attempt_rules.next_try(attempts, secret)
        return failures.refused_login_error(server, code, tries, due, answered=errcode is not None)

    def _free(self, record: AttemptRecord, login: _Login) -> None:
        freed = [login.attempt, *login.before]
        if not login.at_risk:
            freed = attempt_rules.of_client(freed, login.attempt.client)
        record.change(
            lambda _: lambda attempts: attempt_rules.without(attempts, freed), self._wall()
        )

    def _undo(self, record: AttemptRecord, attempt: Attempt) -> None:
        record.change(
            lambda _: lambda attempts: attempt_rules.without(attempts, [attempt]), self._wall()
        )

    def _send_login(
        self, secret: Secret, addresses: Sequence[Address], may_send: Callable[[], bool]
    ) -> TokenReply:
        credentials: dict[str, str | Secret] = {
            "username": self._pbx.client_id,
            "password": secret,
        }
        return self._post("get_token", credentials, may_send, addresses)

    def _post(
        self,
        path: str,
        fields: Mapping[str, str | Secret],
        may_send: Callable[[], bool],
        addresses: Sequence[Address] = (),
    ) -> TokenReply:
        body = Secret(msgspec.json.encode(fields, enc_hook=reveal_secret).decode())
        request = APIRequest("POST", path, body=body, addresses=addresses, may_send=may_send)
        reply: TokenReply | None
        try:
            # In no variable: the traceback of an error raised here would hold the tokens.
            reply = token_rules.read_reply(
                self._transport.send(request, self._pbx.request_timeout), self._wall()
            )
        except AccessRefused as error:
            if error.errcode is None:
                raise
            reply = TokenReply(error.errcode)
        if reply is not None:
            self._transport.count_errcode(reply.errcode)
        if reply is None or (reply.errcode == SUCCESS and reply.tokens is None):
            raise TryAgain(f"the answer to {path} holds no usable token", reason="garbled")
        return reply

    def _unrelated_error(self, state: TokenState, reply: TokenReply) -> PBXError:
        if ERROR_CODES[reply.errcode].reason == "auth":
            return self._impose_wait(state, reply.errcode)
        return failures.errcode_error(reply.errcode)

    def _impose_wait(self, state: TokenState, errcode: int) -> PBXError:
        # The same answer to a person makes no wait longer.
        is_known = state.imposed_wait is not None and state.imposed_wait.errcode == errcode
        if self._person is None or not is_known:
            state = token_rules.record_wait(state, errcode, self._wall())
        self._save(state)
        return failures.errcode_error(
            errcode, wait=state.imposed_wait.wait if state.imposed_wait else None
        )

    def _save(self, state: TokenState) -> None:
        if not self._may_send():
            raise not_allowed()
        # Memory first: a new token that cannot be written can still be used.
        self._state = state
        self._kept.write(state)

    def _under(self, *locks: Lock) -> Callable[[], bool]:
        """Return what is asked before a request that is made under *locks*."""
        return lambda: self._may_send() and all(lock.is_held() for lock in locks)

    def _locked(
        self, timeout_seconds: float | None = None, cancelled: threading.Event | None = None
    ) -> AbstractContextManager[Lock]:
        timeout = self._pbx.request_timeout
        return self._kept.locked(
            _TOKEN_HOLD * timeout,
            timeout if timeout_seconds is None else timeout_seconds,
            cancelled or self._transport.cancelled,
            self._monotonic,
        )


@contextmanager
def _in_any_case(action: Callable[[], None]) -> Iterator[None]:
    """Do *action* after the block, also where that raises a `PBXError`."""
    failure: PBXError | None = None
    try:
        yield
    except PBXError as error:
        failure = error
    action()
    if failure is not None:
        raise failure


def _is_unrelated_to_credentials(errcode: int) -> bool:
    """Return whether an error code on a token endpoint is about something else than credentials.

    FAILURE, TOKEN_EXPIRED and codes that are not in the table count as a refusal of what was sent.
    """
    return errcode in ERROR_CODES and errcode not in (FAILURE, TOKEN_EXPIRED)


def _is_not_judged(failure: PBXError) -> bool:
    """Return whether an HTTP status shows that the credentials of a login were not judged.

    HTTP 401 does not: that is how a web server refuses credentials.
    """
    if isinstance(failure, AccessRefused):
        return failure.status != _UNAUTHORIZED
    return failure.reason in _NOT_JUDGED


def _check_lost_logins(state: TokenState, now: float) -> None:
    due = token_rules.next_login(state)
    if due > now:
        raise _too_soon("the PBX lost the tokens of the last logins", due, now)


def _too_soon(problem: str, due: float, now: float) -> PBXError:
    return TryAgain(
        f"{problem}; the next login is due at {failures.clock_time(due)}",
        reason="auth",
        retry_after=min(due - now, failures.LOOK_AGAIN),
    )
