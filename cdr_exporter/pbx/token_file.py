"""The token file of one PBX, `NAME.token`: its `TokenState` on disk.

Rule: a login is sent only after it was written to the file, so a process that is killed during a
login does not forget the attempt. Writing replaces the whole file or nothing (a new file beside
it, fsync, rename, fsync of the directory), and happens only under `locked`.

The lock is a file of its own, `NAME.token.lock`, since each rename gives the token file a new
inode. It keeps `check --connect` and a running exporter from logging in at the same time. The
kernel releases it when its owner dies.

What happens when the file is not as expected:

- missing, or of another account (base_url or client_id): the state is empty.
- damaged, or of another version: the state is empty but for one unanswered login at the current
  time, since the number of earlier attempts is unknown. So the next login waits a minute.
- readable by others: its mode is reset to 0600 and the file used, with a warning.
- not readable or not writable by us: an error with reason `state`, and no login.
"""

from __future__ import annotations

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
from ..state_files import OWNER_ONLY, open_file, remedy_of, try_lock
from .connection import Cancelled
from .token_rules import TokenState, clamp_to_now

log = logging.getLogger(__name__)

_T = TypeVar("_T")
_VERSION = TokenState().version
_LOCK_POLL_SECONDS = 0.1
_REMEDY = (
    "; did another user run `check --connect`? make the exporter's user its owner with chown, "
    "and run the check as that user"
)


class TokenFile:
    """The token file at *path*. *account* is the digest of base_url and client_id.

    *now* is epoch seconds, here and below. Raises `TryAgain` with reason `state` where the
    operating system refuses to read, write or lock.
    """

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
        """Lock the file against other processes while the `with` block runs.

        Raises `TryAgain` when another process keeps the lock for *timeout_seconds*, `Cancelled`
        when *cancelled* is set while waiting.
        """
        ends_at = monotonic() + timeout_seconds
        lock = self._path.with_name(f"{self._path.name}.lock")
        descriptor = _with_state_error(lambda: self._open_lock(lock))
        try:
            while not _with_state_error(lambda: try_lock(descriptor, lock)):
                if cancelled.wait(_LOCK_POLL_SECONDS):
                    raise Cancelled("stopped", reason="connect")
                if monotonic() >= ends_at:
                    raise TryAgain("another process is busy logging in", reason="state")
            yield
        finally:
            os.close(descriptor)

    def read(self, now: float) -> TokenState:
        """Return the state on file (see above for a file that is not as expected).

        Call it under `locked` only: a state that had to be corrected is written at once.
        """
        content = _with_state_error(self._read_bytes)
        if content is None:
            return TokenState(account=self._account)
        found = _decode(content)
        if found is None:
            log.warning(
                "token file damaged; replaced, the next login waits a minute", extra=self._log_extra
            )
        elif found.account != self._account:
            return TokenState(account=self._account)
        state = clamp_to_now(found or TokenState(account=self._account, unanswered=(now,)), now)
        if state != found:
            self.write(state)
        return state

    def write(self, state: TokenState) -> None:
        """Replace the file; once this returns, the content survives a power cut."""
        _with_state_error(
            lambda: self._replace_file(msgspec.json.encode(state, enc_hook=reveal_secret))
        )

    def _open_lock(self, lock: Path) -> int:
        # Its directory may have been deleted while the process runs.
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return open_file(lock, os.O_WRONLY | os.O_CREAT)

    def _read_bytes(self) -> bytes | None:
        try:
            descriptor = open_file(self._path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                log.warning(
                    "token file was readable or writable by others; mode reset to 0600",
                    extra=self._log_extra,
                )
                os.fchmod(file.fileno(), OWNER_ONLY)
            return file.read()

    def _replace_file(self, content: bytes) -> None:
        beside = self._path.with_name(f"{self._path.name}.new")
        beside.unlink(missing_ok=True)
        descriptor = open_file(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        beside.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _with_state_error(operation: Callable[[], _T]) -> _T:
    """Call *operation*; an `OSError` becomes a `TryAgain` with reason `state`, without context."""
    try:
        return operation()
    except OSError as error:
        problem = (error.strerror or "input/output error").lower()
        where = error.filename or "in state_dir"
        remedy = _REMEDY if isinstance(error, PermissionError) else remedy_of(error)
    raise TryAgain(f"token file {where}: {problem}{remedy}", reason="state")


def _decode(content: bytes) -> TokenState | None:
    try:
        state = msgspec.json.decode(content, type=TokenState, dec_hook=_wrap_secret)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return state if state.version == _VERSION else None


def read_expiry(path: Path) -> float | None:
    """Return when the token in the file at *path* expires (epoch seconds), None where none does.

    Without its lock, and without a change to the file. Raises OSError.
    """
    with os.fdopen(open_file(path, os.O_RDONLY), "rb") as file:
        state = _decode(file.read())
    return state.access.expires_at if state is not None and state.access is not None else None


def reveal_secret(value: object) -> str:
    """Return a `Secret`'s text for a request body or the token file (`enc_hook` of msgspec)."""
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError


def _wrap_secret(kind: type, value: object) -> Secret:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise NotImplementedError
