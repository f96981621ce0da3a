"""Who holds each PBX, where several replicas share them: asked of the database, for few at a time.

Rule: whoever wants to know waits a bounded time, whatever the database does, and few threads do so
at once: a database that does not answer holds up no scrape. The age of an answer is counted from
before it was asked for, and none is given that is older than a lease. No PBX is ever left out of an
answer: where something is not known, all of it is `HoldersUnknown`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future

from ..clock import Now
from ..errors import ExporterError
from ..leases import Holder
from .discovery import is_address

HolderMap = Mapping[str, Holder | None]
"""Who holds each PBX, or held it last; None where nobody ever did."""

_RECENT_SECONDS = 1.0
"""For how long an answer, also that the database cannot be asked, is given to others too."""

_MOST_SECONDS = 5.0
"""The most that an answer may be old, and so the longest that anybody waits for it."""

_PLACES = 2
"""How many threads wait so long; half of those that respond, so that scrapes have the others."""

_BRIEF_SECONDS = 0.2
"""How long the others wait: long for a database that works."""

_UNKNOWN = "the database cannot be asked which replica holds which PBX, see the log"


class HoldersUnknown(ExporterError):
    """Who holds the PBXs is not known at the moment."""


class Replicas:
    """This replica and the others; any number of threads may ask.

    *names* are the PBXs of the configuration, *address* is where this replica is scraped, as
    `host:port`. *ask* returns the holders of the PBXs it is given and raises `ExporterError` where
    the database does not tell; it may take long. *lease* is how long a lease lasts, in seconds.
    """

    def __init__(
        self,
        names: Sequence[str],
        address: str,
        ask: Callable[[Collection[str]], HolderMap],
        lease: float,
        now: Callable[[], Now],
    ) -> None:
        self.names = tuple(names)
        self.address = address
        self._ask = ask
        self._oldest = min(lease, _MOST_SECONDS)
        self._now = now
        self._places = threading.BoundedSemaphore(_PLACES)
        self._lock = threading.Lock()
        self._newest: _Question | None = None

    def holders(self, patience: float = _MOST_SECONDS) -> HolderMap:
        """Return the holder of each PBX of the configuration, in its order.

        Waits for at most *patience* seconds. Raises `HoldersUnknown`.
        """
        question = self._question()
        try:
            answer = self._wait(question, min(patience, self._left(question)))
        except (ExporterError, TimeoutError):
            raise HoldersUnknown(_UNKNOWN) from None
        # The machine may have been suspended meanwhile.
        if self._left(question) < 0:
            raise HoldersUnknown(_UNKNOWN)
        return {name: answer.get(name) for name in self.names}

    def _wait(self, question: _Question, seconds: float) -> HolderMap:
        if not self._places.acquire(blocking=False):
            return question.answer.result(min(seconds, _BRIEF_SECONDS))
        try:
            return question.answer.result(seconds)
        finally:
            self._places.release()

    def _left(self, question: _Question) -> float:
        """Return for how many seconds the answer to *question* may still be given."""
        return question.asked_at + self._oldest - self._now().steady

    def _question(self) -> _Question:
        """Return the question that is being asked or was answered just now, or ask anew."""
        with self._lock:
            now = self._now().steady
            if self._newest is None or self._newest.is_over(now):
                question = _Question(now)
                # In a thread of its own, which may wait as long as the database lets it.
                threading.Thread(
                    target=question.put,
                    args=(self._ask, self.names),
                    name="holders",
                    daemon=True,
                ).start()
                self._newest = question
            return self._newest


class _Question:
    """Asked of the database once, for all that want to know; *asked_at* is on the steady clock."""

    def __init__(self, asked_at: float) -> None:
        self.asked_at = asked_at
        self.answer: Future[HolderMap] = Future()

    def put(self, ask: Callable[[Collection[str]], HolderMap], names: Sequence[str]) -> None:
        """Ask, and keep the answer, or the error in its place."""
        try:
            self.answer.set_result(_checked(ask(names)))
        except Exception as error:  # noqa: BLE001 - whoever wants to know gets it
            self.answer.set_exception(error)

    def is_over(self, now: float) -> bool:
        """Say whether it has its answer, and that is no longer for others."""
        return self.answer.done() and now >= self.asked_at + _RECENT_SECONDS


def _checked(holders: HolderMap) -> HolderMap:
    """Return *holders*, whose addresses become targets and links; raises `HoldersUnknown`."""
    if all(holder is None or is_address(holder.address) for holder in holders.values()):
        return holders
    raise HoldersUnknown("the address of a replica in the database is not of the form host:port")
