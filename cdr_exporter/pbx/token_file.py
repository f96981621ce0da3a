"""The token file of one PBX, `NAME.token`: its `TokenState` on disk. And what such files are.

Rule: writing replaces the whole file or nothing (a new file beside it, fsync, rename, fsync of the
directory), and happens only under `locked`.

The lock is a file of its own, `NAME.token.lock`, since each rename gives the token file a new
inode. It keeps `check --connect` and a running exporter from logging in at the same time. The
kernel releases it when its owner dies.

What happens when the file is not as expected:

- missing, of another account (base_url or client_id), damaged, or of another version: the state is
  empty. Which logins were refused is on record elsewhere, see `attempt_file`.
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


class LockedFile:
    """The small file at *path*, replaced as a whole under a lock. *kind* is what messages call it.

    Raises `TryAgain` with reason `state` where the operating system refuses to read, write or lock.
    """

    kind = "file"

    def __init__(self, path: Path) -> None:
        self._path = path
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
        descriptor = self._with_state_error(lambda: self._open_lock(lock))
        try:
            while not self._with_state_error(lambda: try_lock(descriptor, lock)):
                if cancelled.wait(_LOCK_POLL_SECONDS):
                    raise Cancelled("stopped", reason="connect")
                if monotonic() >= ends_at:
                    raise TryAgain("another process is busy logging in", reason="state")
            yield
        finally:
            os.close(descriptor)

    def read_content(self) -> bytes | None:
        """Return what is in the file; None where there is none."""
        return self._with_state_error(self._read_bytes)

    def replace_content(self, content: bytes) -> None:
        """Replace the file; once this returns, the content survives a power cut."""
        self._with_state_error(lambda: self._replace_file(content))

    def remove(self) -> None:
        """Remove the file, if there is one. After a power cut it may be back."""
        self._with_state_error(lambda: self._path.unlink(missing_ok=True))

    def _with_state_error(self, operation: Callable[[], _T]) -> _T:
        """Call *operation*; an `OSError` becomes a `TryAgain` without context."""
        try:
            return operation()
        except OSError as error:
            problem = (error.strerror or "input/output error").lower()
            where = error.filename or "in state_dir"
            remedy = _REMEDY if isinstance(error, PermissionError) else remedy_of(error)
        raise TryAgain(f"{self.kind} {where}: {problem}{remedy}", reason="state")

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
                    "%s was readable or writable by others; mode reset to 0600",
                    self.kind,
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


class TokenFile(LockedFile):
    """The token file at *path*. *account* is the digest of base_url and client_id.

    *now* is epoch seconds.
    """

    kind = "token file"

    def __init__(self, path: Path, account: str) -> None:
        super().__init__(path)
        self._account = account

    def read(self, now: float) -> TokenState:
        """Return the state on file (see above for a file that is not as expected).

        Call it under `locked` only: a state that had to be corrected is written at once.
        """
        content = self.read_content()
        if content is None:
            return TokenState(account=self._account)
        found = _decode(content)
        if found is None:
            log.warning("token file damaged; replaced", extra=self._log_extra)
        elif found.account != self._account:
            return TokenState(account=self._account)
        state = clamp_to_now(found or TokenState(account=self._account), now)
        if state != found:
            self.write(state)
        return state

    def write(self, state: TokenState) -> None:
        """Replace the file."""
        self.replace_content(msgspec.json.encode(state, enc_hook=reveal_secret))


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
