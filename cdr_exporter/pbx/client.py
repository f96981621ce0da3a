"""What the rest of the program asks a PBX for: a page of CDRs.

Rule: one request at a time per PBX, from all processes that share its token file. A request whose
token the PBX no longer knows is repeated once, with another token; the answer to the repeated
request is final. Nothing is sent, and no token written, once *may_send* says no. How long an answer
may be goes by the rows asked for, and of large ones the process decodes one at a time.

Source: the P-Series developer guide's "Query CDR List" and "Get/Refresh/Revoke Access Token".
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from ..cdr import CDRAnswer, GarbledAnswer, decode, largest_answer
from ..cdr.contract import DATA_NOT_FOUND, SUCCESS, CDRQuery
from ..cdr.error_codes import ERROR_CODES
from ..errors import PageTooLarge, PBXError, TryAgain
from ..secret import Secret
from ..settings import PBX
from ..state_files import file_name
from .connection import Cancelled, always
from .documents import Documents
from .failures import AccessRefused
from .login import Logins, Person
from .transport import APIRequest, Transport

log = logging.getLogger(__name__)

LARGE_BYTES = 1 << 20
"""Of longer answers, all PBXs' together, one is decoded at a time: each takes three times that."""

_OK = 200
LARGE_DECODE = threading.Lock()
"""Held while one is decoded."""


class Client:
    """The part of one PBX's Open API that this program uses.

    *documents* are where tokens and refused logins are kept, files in `state_dir` or rows of a
    database. Nothing is sent, and they are not read, before the first `fetch`. *may_send* says
    whether this process still has the PBX for itself: it is asked from any thread, immediately
    before each request and before each write of a token. *person* is who asks, None is the
    exporter. *wall* returns epoch seconds, *monotonic* seconds for deadlines; *transport* is for
    tests. Raises `ConfigError` for an unusable `tls.ca_file`.
    """

    def __init__(
        self,
        pbx: PBX,
        documents: Documents,
        *,
        may_send: Callable[[], bool] = always,
        person: Person | None = None,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        transport: Transport | None = None,
    ) -> None:
        self._pbx = pbx
        self._monotonic = monotonic
        self._transport = transport or Transport(
            f"{pbx.base_url}/{pbx.api_path}", pbx.tls, wall=wall, monotonic=monotonic
        )
        self._logins = Logins(
            *(pbx, documents, self._transport),
            may_send=may_send,
            person=person,
            wall=wall,
            monotonic=monotonic,
        )
        self._may_send = may_send
        self._documents = documents
        self._request_lock = threading.Lock()

    @property
    def requests(self) -> int:
        """The number of HTTP requests sent so far, including those for tokens."""
        return self._transport.requests

    @property
    def errcodes(self) -> Mapping[int, int]:
        """How often the PBX answered each errcode other than 0, to token requests too."""
        return self._transport.errcodes

    @property
    def clock_offset(self) -> float | None:
        """By how many seconds the PBX's clock is ahead of ours; None where it does not tell."""
        return self._transport.clock_offset

    def fetch(self, query: CDRQuery) -> CDRAnswer:
        """Return one page of the CDR list; its errcode is always 0. Logs in first where necessary.

        Raises `TryAgain` or `WaitLong`, nothing else: `PageTooLarge`, which is a `TryAgain`, where
        the answer is too large for the rows asked for, and `Cancelled`, which is one too, where
        nothing may be sent any more. A fetch takes one HTTP request, or up to
        six when the tokens were lost; each has its own `request_timeout` seconds.
        """
        with self._request_lock, self._turn():
            token = self._logins.token()
            answer = self._request_page(query, token)
            if self._logins.is_lost(token, *_status_and_errcode(answer)):
                token = self._logins.token_other_than(token)
                answer = self._request_page(query, token)
            if isinstance(answer, AccessRefused):
                raise self._access_error(answer)
            if answer.errcode not in (SUCCESS, DATA_NOT_FOUND):
                raise self._logins.request_error(answer.errcode)
            self._logins.request_accepted(token)
        # "Data not found" is how some firmware reports an empty list.
        return replace(answer, errcode=SUCCESS)

    def revoke(self, timeout_seconds: float = 3.0) -> None:
        """Revoke the token at a clean exit, if the PBX answers in time; raises no `PBXError`.

        Works after `cancel`, too. When the PBX does not confirm, the token stays valid and in the
        token file, and the next start uses it.
        """
        ends_at = self._monotonic() + timeout_seconds
        if not self._request_lock.acquire(timeout=timeout_seconds):
            return
        try:
            self._logins.revoke(ends_at - self._monotonic())
        except PBXError as error:
            log.info("token not revoked: %s", error, extra={"fields": {"pbx": self._pbx.name}})
        finally:
            self._request_lock.release()

    def cancel(self) -> None:
        """Make the running `fetch` and every later one raise `Cancelled`; thread-safe."""
        self._transport.cancel()

    def close(self) -> None:
        """Stop for good. No connection outlives its request, so nothing else is left to close."""
        self.cancel()

    def _turn(self) -> AbstractContextManager[None]:
        name, timeout = file_name(self._pbx.name, "requests"), self._pbx.request_timeout
        return self._documents.turn(name, timeout, self._transport.cancelled, self._monotonic)

    def _request_page(self, query: CDRQuery, token: Secret) -> CDRAnswer | AccessRefused:
        request = APIRequest(
            *("GET", "cdr/list", query.parameters, token),
            most_bytes=largest_answer(query.limit),
            may_send=self._may_send,
        )
        try:
            answer = self._decode(
                self._transport.send(request, self._pbx.request_timeout), query.limit
            )
        except AccessRefused as error:
            self._transport.count_errcode(error.errcode or SUCCESS)
            return error
        except GarbledAnswer as error:
            failure = TryAgain(str(error), reason="garbled")
        except TryAgain as error:
            # Told apart from a login with such an answer, which no smaller query helps against.
            failure = PageTooLarge(str(error)) if error.reason == "too_large" else error
        else:
            self._transport.count_errcode(answer.errcode)
            return replace(answer, errmsg=None)  # the PBX's free text; nobody reads it
        raise failure

    def _decode(self, body: bytes, most_rows: int) -> CDRAnswer:
        with LARGE_DECODE if len(body) > LARGE_BYTES else nullcontext():
            # Others may have been decoded meanwhile, for a second each.
            if self._transport.cancelled.is_set():
                raise Cancelled("stopped", reason="connect")
            return decode(body, most_rows)

    def _access_error(self, refused: AccessRefused) -> PBXError:
        if refused.errcode is not None and refused.errcode in ERROR_CODES:
            return self._logins.request_error(refused.errcode)
        return refused


def _status_and_errcode(answer: CDRAnswer | AccessRefused) -> tuple[int, int | None]:
    status = answer.status if isinstance(answer, AccessRefused) else _OK
    return status, answer.errcode
