"""A log line for what may happen thousands of times a second."""

from __future__ import annotations

import logging
import time

_INTERVAL = 60.0


class CountedLog:
    """Logs *message* at once, and then once a minute at most, with how often it happened.

    The field *noun* of the line is that number, `reason` what was noted.
    """

    def __init__(self, log: logging.Logger, message: str, noun: str) -> None:
        self._log = log
        self._message = message
        self._noun = noun
        self._counts: dict[str, int] = {}
        self._next = float("-inf")

    def note(self, reason: str) -> None:
        """Note that it has happened, for one of a few reasons."""
        self._counts[reason] = self._counts.get(reason, 0) + 1
        if (now := time.monotonic()) < self._next:
            return
        self._next = now + _INTERVAL
        for each, count in self._counts.items():
            fields = {"reason": each, self._noun: count}
            self._log.warning(self._message, extra={"fields": fields})
        self._counts.clear()
