"""The logins on record at one PBX: documents beside the tokens, shared by all who log in there.

A PBX counts failed logins by the address they come from, so they are counted here for the PBX,
whatever entry of the configuration, client_id, secret or process they come from. A PBX is told by
each address and port that its host has when we log in, and by host and port as base_url writes
them: two names may lead to one PBX, and one name to another address tomorrow. So a login is
written to several documents, `.logins-HOST-PORT` each, and allowed by what all of them hold. The
name of a PBX begins with a letter or digit, so none of its files is called so.

Rule: a login is sent only after it was written down, so a process that is killed during a login
does not forget the attempt. What is on record is read, what follows from it decided, and that
written down in one `change`: also of two processes that stood still for as long as they like, the
second knows of the first.

There is such a document only while a login is on record; the lock of a file stays. A damaged one
counts as `MOST_REFUSALS` refusals, since nobody knows how many there were.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager

import msgspec

from ..cdr.contract import FAILURE
from ..errors import PBXError
from . import attempt_rules
from .attempt_rules import Attempt, Attempts
from .connection import Address
from .documents import LOGINS, Contents, Documents, Lock, locked
from .token_rules import digest

log = logging.getLogger(__name__)

Edit = Callable[[Attempts], Attempts]
"""What becomes of the attempts on record."""

_UNSAFE = re.compile(r"[^0-9a-z._%-]")
"""What becomes `_` in names of documents: the colons of IPv6 addresses."""

LOGINS_PREFIX = ".logins-"
"""With what the names of all records begin."""

_LONGEST_HOST = 200
"""Characters; names of files may have 255."""


def record_names(host: str, port: int, addresses: Sequence[Address]) -> list[str]:
    """Return the names of the documents of a PBX whose *host* has these addresses, sorted."""
    hosts = {host, *(str(address[4][0]) for address in addresses)}
    return sorted({f"{LOGINS_PREFIX}{_safe(each.lower().rstrip('.'))}-{port}" for each in hosts})


def _safe(host: str) -> str:
    return digest(host) if len(host) > _LONGEST_HOST else _UNSAFE.sub("_", host)


class AttemptRecord:
    """The documents with these *names*. Raises `TryAgain` with reason `state`."""

    def __init__(self, documents: Documents, names: Sequence[str]) -> None:
        self._document = documents.open(LOGINS, *names)

    def locked(
        self,
        hold_seconds: float,
        timeout_seconds: float,
        cancelled: threading.Event,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> AbstractContextManager[Lock]:
        """Lock it against other processes while the `with` block runs; see `documents.locked`."""
        return locked(self._document, hold_seconds, timeout_seconds, cancelled, monotonic)

    def change(self, decide: Callable[[Attempts], Edit], now: float) -> Attempts:
        """Change what is on record as *decide* says, which is told what that is; return the new.

        It is one step: nobody else writes in between. A `PBXError` that *decide* raises is raised
        once damaged documents are mended, and nothing else is changed.
        """
        refusals: list[PBXError] = []
        changed: list[Attempts] = []

        def edit(contents: Contents) -> Contents:
            found = {
                name: self._attempts_in(name, content, now) for name, content in contents.items()
            }
            try:
                change = decide(_together(found.values()))
            except PBXError as error:
                refusals.append(error)
                change = _unchanged
            after = {name: change(attempts) for name, attempts in found.items()}
            changed.append(_together(after.values()))
            return _differing(contents, {name: _encoded(each) for name, each in after.items()})

        self._document.change(edit)
        if refusals:
            raise refusals.pop()
        return changed.pop()

    def _attempts_in(self, name: str, content: bytes | None, now: float) -> Attempts:
        if content is None:
            return ()
        found = _decode(content)
        if found is None:
            log.warning(
                "%s damaged: nobody logs in there",
                self._document.title,
                extra={"fields": {"file": name}},
            )
            return _UNKNOWN
        return attempt_rules.clamped(found, now)


def joined(one: bytes | None, other: bytes) -> bytes | None:
    """Return what a document has to hold that knows the attempts of two of them.

    A damaged one is kept as it is: nobody logs in there.
    """
    if one is None:
        return other
    ones, others = _decode(one), _decode(other)
    if ones is None or others is None:
        return one if ones is None else other
    return _encoded(_together([ones, others]))


def _together(records: Iterable[Attempts]) -> Attempts:
    found: dict[str, Attempt] = {}
    for attempt in (each for attempts in records for each in attempts):
        # After a kill between two writes, only one of them knows the answer.
        if attempt.errcode is not None or attempt.name not in found:
            found[attempt.name] = attempt
    return tuple(found.values())


def _differing(before: Contents, after: Contents) -> Contents:
    return {name: content for name, content in after.items() if content != before[name]}


def _unchanged(attempts: Attempts) -> Attempts:
    return attempts


class _Content(msgspec.Struct, frozen=True):
    version: int = 1
    attempts: Attempts = ()


def _encoded(attempts: Attempts) -> bytes | None:
    return msgspec.json.encode(_Content(attempts=attempts)) if attempts else None


def _decode(content: bytes) -> Attempts | None:
    try:
        found = msgspec.json.decode(content, type=_Content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found.attempts if found.version == _Content().version else None


_UNKNOWN = tuple(
    Attempt(name=f"unknown-{number}", client="", secret="", at=0.0, errcode=FAILURE)
    for number in range(attempt_rules.MOST_REFUSALS)
)
