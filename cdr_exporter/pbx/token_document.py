"""The document with the tokens of one PBX, `NAME.token`: its `TokenState`, outside of memory.

Rule: it is written under `locked` only, and not where it is another than the one that was read: who
wrote it meanwhile, since our lock had ended, knows newer tokens.

Where there is none, or it is of another account (base_url or client_id), damaged, or of another
version, the state is empty. Which logins were refused is on record elsewhere, see `attempt_record`.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from ..errors import TryAgain
from ..secret import Secret
from ..state_files import open_file
from .documents import TOKEN, Contents, Documents, Lock, locked
from .token_rules import TokenState, clamp_to_now

log = logging.getLogger(__name__)

_VERSION = TokenState().version


class TokenDocument:
    """The document *name* in *documents*. *account* is the digest of base_url and client_id.

    *now* is epoch seconds.
    """

    def __init__(self, documents: Documents, name: str, account: str) -> None:
        self._name = name
        self._document = documents.open(TOKEN, name)
        self._account = account
        self._known: tuple[bytes | None, ...] | None = None
        """What may be there when it is written; None is whatever, since it was not read yet."""

    def locked(
        self,
        hold_seconds: float,
        timeout_seconds: float,
        cancelled: threading.Event,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> AbstractContextManager[Lock]:
        """Lock it against other processes while the `with` block runs; see `documents.locked`."""
        return locked(self._document, hold_seconds, timeout_seconds, cancelled, monotonic)

    def look(self, now: float) -> TokenState:
        """Return the state on record, as it is now. Needs no lock, and changes nothing.

        So it is there at once, also while a process that has died still has the lock.
        """
        return self._usable(_decode(self._document.read()[self._name]), now)

    def read(self, now: float) -> TokenState:
        """Return the state on record (see above for a document that is not as expected).

        Call it under `locked` only: a state that had to be corrected is written at once.
        """
        content = self._document.read()[self._name]
        self._known = (content, None)
        found = _decode(content)
        is_damaged = content is not None and found is None
        if is_damaged:
            log.warning(
                "%s damaged; replaced",
                self._document.title,
                extra={"fields": {"file": self._name}},
            )
        state = self._usable(found, now)
        is_ours = found is not None and found.account == self._account
        if is_damaged or (is_ours and state != found):
            self.write(state)
        return state

    def _usable(self, found: TokenState | None, now: float) -> TokenState:
        """Return what can be used of the state *found*: nothing of another account's."""
        if found is None or found.account != self._account:
            return TokenState(account=self._account)
        return clamp_to_now(found, now)

    def write(self, state: TokenState) -> None:
        """Replace it; raises `TryAgain` where another process did since `read`."""
        content = msgspec.json.encode(state, enc_hook=reveal_secret)

        def edit(found: Contents) -> Contents:
            if self._known is not None and found[self._name] not in self._known:
                raise TryAgain("another process has logged in meanwhile", reason="state")
            return {self._name: content}

        self._document.change(edit)
        self._known = (content, None)


def _decode(content: bytes | None) -> TokenState | None:
    if content is None:
        return None
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
        return expiry_in(file.read())


def expiry_in(content: bytes) -> float | None:
    """Return when the token in a document expires (epoch seconds), None where none does."""
    state = _decode(content)
    return state.access.expires_at if state is not None and state.access is not None else None


def reveal_secret(value: object) -> str:
    """Return a `Secret`'s text for a request body or the document (`enc_hook` of msgspec)."""
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError


def _wrap_secret(kind: type, value: object) -> Secret:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise NotImplementedError
