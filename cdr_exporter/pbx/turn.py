"""One request at a time to one PBX, from all processes of this machine that share a state_dir.

`check --connect` and `history` ask a PBX that a running exporter polls. Each request is made while
its process holds a lock on the file `NAME.requests`, beside the token. The kernel releases it when
its owner dies.

Rule: waiting has an end. A process that was stopped in the middle of a request (Ctrl-Z) would keep
the others from their PBX; so they go on without the lock after *timeout_seconds*, and also where
there can be no such file.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

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
        descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        yield
        return
    try:
        ends_at = monotonic() + timeout_seconds
        while not try_lock(descriptor) and monotonic() < ends_at:
            if cancelled.wait(_LOOK_AGAIN_SECONDS):
                break
        yield
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Lock the open file *descriptor*, unless another process has it locked; say whether."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
