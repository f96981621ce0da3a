"""Threads that do what would hold up the event loop: rendering, compressing, checking passwords.

Rule: they are daemons, so that one that hangs cannot keep the program from ending.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

_Job = tuple["asyncio.Future[Any]", Callable[[], Any]]


class Workers:
    """*count* threads for the event loop *loop*; they start with `start`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, count: int, name: str) -> None:
        self._loop = loop
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True)
            for number in range(count)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let each thread end after the jobs that wait now; does not wait for it."""
        for _ in self._threads:
            self._jobs.put(None)

    async def call(self, act: Callable[[], T]) -> T:
        """Return what *act* returns, called in one of the threads, or raise what it raises."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put((future, act))
        return await future

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, act = job
            if future.cancelled():
                continue
            result, error = _outcome(act)
            with suppress(RuntimeError):  # the loop has ended, and nobody waits any more
                self._loop.call_soon_threadsafe(_settle, future, result, error)


def _outcome(act: Callable[[], T]) -> tuple[T | None, Exception | None]:
    try:
        return act(), None
    except Exception as error:  # noqa: BLE001 - whoever called gets it
        return None, error


def _settle(future: asyncio.Future[Any], result: object, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
