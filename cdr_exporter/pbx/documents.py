"""Small documents that outlive the process: the tokens of a PBX, and the logins on record.

Where they are kept is somebody else's to say: in files of a state directory (`file_documents`), or
in a database that several machines share (`database.documents`). Names are those of the files.

Rule: what is read and then written is so under a lock, and no other process does it meanwhile.

A lock in a database ends after a time, whether its owner has died or only stands still. So its
owner asks `is_held` before it sends what it took the lock for, and `change` holds by itself: nobody
else writes between its reading and its writing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from ..errors import TryAgain
from .connection import Cancelled

TOKEN, LOGINS = "token", "record of logins"
"""The kinds of documents, as messages call them."""

Contents = Mapping[str, bytes | None]
"""What is in documents, by name; None where there is none of that name."""

_LOOK_AGAIN_SECONDS = 0.1


class Lock(Protocol):
    """A lock on documents."""

    def is_held(self) -> bool:
        """Say whether nobody else can have it yet."""

    def release(self) -> None:
        """Let others have it; raises nothing."""


class Document(Protocol):
    """Some documents of one kind, which are locked, read and changed together.

    All methods raise `TryAgain` with reason `state` where the place they are kept in refuses.
    """

    @property
    def title(self) -> str:
        """Return what messages call them."""

    def try_lock(self, hold_seconds: float) -> Lock | None:
        """Lock all of them for *hold_seconds* at least; None where somebody has one of them."""

    def read(self) -> Contents:
        """Return what is in them."""

    def change(self, edit: Callable[[Contents], Contents]) -> None:
        """Replace what is in them by what *edit* makes of it; None removes a document.

        Those that *edit* leaves out stay as they are. Call it under the lock only. Once it returns,
        the new contents survive a power cut. What *edit* raises is passed on, and nothing is
        changed.
        """


class Documents(Protocol):
    """A place for documents."""

    def open(self, kind: str, *names: str) -> Document:
        """Return the documents of these names; nothing is asked of the place yet."""

    def turn(
        self,
        name: str,
        timeout_seconds: float,
        cancelled: threading.Event,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> AbstractContextManager[None]:
        """Wait for the turn *name*, and have it while the `with` block runs; see `turn`."""


@contextmanager
def locked(
    document: Document,
    hold_seconds: float,
    timeout_seconds: float,
    cancelled: threading.Event,
    monotonic: Callable[[], float] = time.monotonic,
) -> Iterator[Lock]:
    """Lock *document* against other processes while the `with` block runs.

    Raises `TryAgain` when another process keeps the lock for *timeout_seconds*, `Cancelled` when
    *cancelled* is set while waiting.
    """
    ends_at = monotonic() + timeout_seconds
    while (lock := document.try_lock(hold_seconds)) is None:
        if cancelled.wait(_LOOK_AGAIN_SECONDS):
            raise Cancelled("stopped", reason="connect")
        if monotonic() >= ends_at:
            raise TryAgain("another process is busy logging in", reason="state")
    try:
        yield lock
    finally:
        lock.release()
