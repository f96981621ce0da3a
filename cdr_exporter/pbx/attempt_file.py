"""The logins on record at one PBX: files beside the token files, shared by all who log in there.

A PBX counts failed logins by the address they come from, so they are counted here for the PBX,
whatever entry of the configuration, client_id, secret or process they come from. A PBX is told by
each address and port that its host has when we log in, and by host and port as base_url writes
them: two names may lead to one PBX, and one name to another address tomorrow. So a login is
written to several files, `.logins-HOST-PORT` each, and allowed by what all of them hold. The name
of a PBX begins with a letter or digit, so none of its files is called so.

Rule: a login is sent only after it was written down, so a process that is killed during a login
does not forget the attempt.

There is such a file only while a login is on record; its lock stays. A damaged file counts as
`MOST_REFUSALS` refusals, since nobody knows how many there were.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from ..cdr.contract import FAILURE
from . import attempt_rules
from .attempt_rules import Attempt, Attempts
from .connection import Address
from .token_file import LockedFile
from .token_rules import digest

log = logging.getLogger(__name__)

_UNSAFE = re.compile(r"[^0-9a-z._%-]")
"""What becomes `_` in names of files: the colons of IPv6 addresses."""

_LONGEST_HOST = 200
"""Characters; names of files may have 255."""


def file_names(host: str, port: int, addresses: Sequence[Address]) -> list[str]:
    """Return the names of the files of a PBX whose *host* has these addresses, sorted."""
    hosts = {host, *(str(address[4][0]) for address in addresses)}
    return sorted({f".logins-{_safe(each.lower().rstrip('.'))}-{port}" for each in hosts})


def _safe(host: str) -> str:
    return digest(host) if len(host) > _LONGEST_HOST else _UNSAFE.sub("_", host)


class AttemptFiles:
    """The files in *directory* with these names. Raises `TryAgain` with reason `state`."""

    def __init__(self, directory: Path, names: Iterable[str]) -> None:
        self._files = [_AttemptFile(directory / name) for name in names]

    @contextmanager
    def locked(
        self,
        timeout_seconds: float,
        cancelled: threading.Event,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> Iterator[None]:
        """Lock the files while the `with` block runs; see `LockedFile.locked`.

        All take them in one order, by name, so that no two processes wait for each other.
        """
        ends_at = monotonic() + timeout_seconds
        with ExitStack() as stack:
            for file in self._files:
                stack.enter_context(file.locked(ends_at - monotonic(), cancelled, monotonic))
            yield

    def read(self, now: float) -> Attempts:
        """Return what is on record in any of the files."""
        found: dict[str, Attempt] = {}
        for file in self._files:
            for attempt in file.read(now):
                # After a kill between two writes, only one of them knows the answer.
                if attempt.errcode is not None or attempt.name not in found:
                    found[attempt.name] = attempt
        return tuple(found.values())

    def change(self, change: Callable[[Attempts], Attempts], now: float) -> None:
        """Change what each of the files holds; call it under `locked` only."""
        for file in self._files:
            file.write(change(file.read(now)))


class _Content(msgspec.Struct, frozen=True):
    version: int = 1
    attempts: Attempts = ()


class _AttemptFile(LockedFile):
    kind = "record of logins"

    def read(self, now: float) -> Attempts:
        content = self.read_content()
        if content is None:
            return ()
        found = _decode(content)
        if found is None:
            log.warning("record of logins damaged: nobody logs in there", extra=self._log_extra)
            found = tuple(map(_unknown, range(attempt_rules.MOST_REFUSALS)))
            self.write(found)
        return attempt_rules.clamped(found, now)

    def write(self, attempts: Attempts) -> None:
        if attempts:
            self.replace_content(msgspec.json.encode(_Content(attempts=attempts)))
        else:
            self.remove()


def _decode(content: bytes) -> Attempts | None:
    try:
        found = msgspec.json.decode(content, type=_Content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found.attempts if found.version == _Content().version else None


def _unknown(number: int) -> Attempt:
    return Attempt(name=f"unknown-{number}", client="", secret="", at=0.0, errcode=FAILURE)
