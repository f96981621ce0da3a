"""`NAME.token`: what we hold of one PBX's logins, on disk.

Rule: a login that is not written down is not made, so a process that is killed in the middle of
one cannot forget it. Writing replaces the file at once or not at all (a new file beside it,
fsync, rename, fsync of the directory), and happens only under `locked`.

The lock is a file of its own, `NAME.token.lock`, since a rename gives the token file a new inode.
It is what keeps `check --connect` and a running exporter from logging in at the same time; the
kernel frees it when its holder dies.

What is found wrong is treated so:

- absent, or of another account (base_url or client_id): nothing is state.
- garbled, or of another version: nothing is state but one unanswered login, made now, since how
  many there were is not known. The first login then waits a minute.
- readable by others: made 0600 again and used, with a warning.
- not readable by us, or not writable: an error with reason `state`; there is no login without it.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from ..errors import TryAgain
from ..secret import Secret
from .connection import Cancelled
from .token_rules import TokenState, clamp_to_now

log = logging.getLogger(__name__)

_T = TypeVar("_T")
_VERSION = TokenState().version
_LOCK_POLL_SECONDS = 0.1
_OWNER_ONLY = 0o600
_REMEDY = (
    "; did another user run `check --connect`? make the exporter's user its owner with chown, "
    "and run the check as that user"
)


class TokenFile:
    """The token file of one account at one PBX."""

    def __init__(self, path: Path, account: str) -> None:
        self._path = path
        self._account = account
        self._log_extra = {"fields": {"file": path.name}}

    @contextmanager
    def locked(
        self,
        timeout_seconds: float,
        cancelled: threading.Event,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> Iterator[None]:
        """Hold the lock; raises `TryAgain` when another process keeps it that long."""
        ends_at = monotonic() + timeout_seconds
        descriptor = _with_state_error(
            lambda: _open(self._path.with_name(f"{self._path.name}.lock"))
        )
        try:
            while not _try_lock(descriptor):
                if cancelled.wait(_LOCK_POLL_SECONDS):
                    raise Cancelled("stopped", reason="connect")
                if monotonic() >= ends_at:
                    raise TryAgain("another process is busy logging in", reason="state")
            yield
        finally:
            os.close(descriptor)

    def read(self, now: float) -> TokenState:
        """Return what is state; see above for what is not as it should be. Under the lock only."""
        content = _with_state_error(self._read_bytes)
        if content is None:
            return TokenState(account=self._account)
        found = _decode(content)
        if found is None:
            log.warning("token file garbled, starting anew", extra=self._log_extra)
        elif found.account != self._account:
            return TokenState(account=self._account)
        state = clamp_to_now(found or TokenState(account=self._account, unanswered=(now,)), now)
        if state != found:
            self.write(state)
        return state

    def write(self, state: TokenState) -> None:
        """Replace the file; once this returns, it survives a power cut."""
        _with_state_error(
            lambda: self._replace_file(msgspec.json.encode(state, enc_hook=reveal_secret))
        )

    def _read_bytes(self) -> bytes | None:
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            return None
        with file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                log.warning("token file was open to others, mended", extra=self._log_extra)
                os.fchmod(file.fileno(), _OWNER_ONLY)
            return file.read()

    def _replace_file(self, content: bytes) -> None:
        beside = self._path.with_name(f"{self._path.name}.new")
        descriptor = _open(beside, os.O_TRUNC)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, _OWNER_ONLY)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        beside.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _open(path: Path, flags: int = 0) -> int:
    return os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC | flags, _OWNER_ONLY)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _with_state_error(act: Callable[[], _T]) -> _T:
    try:
        return act()
    except OSError as error:
        problem = (error.strerror or "input/output error").lower()
        where = error.filename or "in state_dir"
        remedy = _REMEDY if isinstance(error, PermissionError) else ""
    raise TryAgain(f"token file {where}: {problem}{remedy}", reason="state")


def _decode(content: bytes) -> TokenState | None:
    try:
        state = msgspec.json.decode(content, type=TokenState, dec_hook=_wrap_secret)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return state if state.version == _VERSION else None


def reveal_secret(value: object) -> str:
    """Encode a `Secret` for the wire or the token file (a hook of msgspec)."""
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError


def _wrap_secret(kind: type, value: object) -> Secret:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise NotImplementedError
