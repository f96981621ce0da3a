"""Repeating something in a thread.

Rule: it ends with the `with` block that began it, and has ended when that block is left.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def repeating(do: Callable[[], object], seconds: float) -> Iterator[None]:
    """Call *do* every *seconds* in a thread of its own until the block is left."""
    stop = threading.Event()

    def repeat() -> None:
        while not stop.wait(seconds):
            do()

    thread = threading.Thread(target=repeat, name="simulated-office", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
