"""One request at a time to one PBX, from all processes of this machine that share a state_dir.

`check --connect` and `history` ask a PBX that a running exporter polls. Each request is made while
its process holds a lock on the file `NAME.requests`, beside the token. The kernel releases it when
its owner dies.

Rule: waiting has an end. A process that was stopped in the middle of a request (Ctrl-Z) would keep
the others from their PBX; so they go on without the lock after *timeout_seconds*, and also where
there can be no such file.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..state_files import StateFileError, open_file, try_lock

_LOOK_AGAIN_SECONDS = 0.05


@contextmanager
def turn(
    path: Path,
    timeout_seconds: float,
    cancelled: threading.Event,
    monotonic: Callable[[], float] = time.monotonic,
) -> Iterator[None]:
    """Hold the lock on *path* while the `with` block runs; wait for it until *cancelled* is set."""
    try:
        descriptor = open_file(path, os.O_WRONLY | os.O_CREAT)
    except OSError:
        yield
        return
    try:
        _wait(descriptor, path, monotonic() + timeout_seconds, cancelled, monotonic)
        yield
    finally:
        os.close(descriptor)


def _wait(
    descriptor: int,
    path: Path,
    ends_at: float,
    cancelled: threading.Event,
    monotonic: Callable[[], float],
) -> None:
    # A file system without locks has no turns.
    with suppress(StateFileError):
        while not try_lock(descriptor, path) and monotonic() < ends_at:
            if cancelled.wait(_LOOK_AGAIN_SECONDS):
                return
