"""Keeps the poller of one PBX running, in a thread of its own, with its own client and state.

Rule: whatever happens to one PBX ends in `cdr_up 0` for that PBX, a log line, and another attempt
after a wait. It never affects another PBX, and it never ends the program.

    open_state     by the main thread, before any thread starts: a directory that cannot be used, or
                   a state file that another process uses, ends the program while nobody polls yet
    start ─► _run  the thread: wait *delay*, then, until the clock is stopping,
                     open the state, if it is not open, and poll; close it at the end
                     a state that cannot be used   look again after a wait
                     a lease that is lost          end
                     any other exception           log it, back off, start a new poller
                   at the end give the token back, and say that it has ended
    stop, join     by the main thread, to end; abandon, where another takes its place

Where PBXs are polled under leases, a supervisor lives for one lease. Its clock is stopping as soon
as the lease is not valid, so it ends by itself then.

Failures of a known kind (no answer, wrong password, disk full) never get here: the poller counts
them and backs off by itself. The exporter's own metrics live here, so they survive a new poller.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from random import random
from typing import Protocol

from ..clock import Clock
from ..errors import DatabaseError, LeaseLost, StateInUse, StateNotWritten, StateUnusable
from ..ingest import PBXState, call_rules_of, counting_rules_of
from ..logs import for_pbx
from ..metrics.call_metrics import number_zeros
from ..metrics.catalogue import POLL_FAILURES, STATE_RESET, UP
from ..metrics.self_metrics import SelfMetrics
from ..metrics.snapshot import Snapshot
from ..metrics.totals import Bounds, Series, Value
from ..settings import PBX
from ..store import Store
from ..tail.page_reader import CDRList, PageReader
from . import backoff
from .board import SnapshotBoard
from .poller import Poller

FILE_RETRY = backoff.Steps(60.0, 60.0)
"""Until a state file that could not be used is tried again; trying costs almost nothing."""

OpenStore = Callable[[Bounds, Mapping[Series, Value]], Store]
"""Opens the store of one PBX; the arguments are those of `FileStore`.

Raises `StateInUse`, `StateUnusable`, `DatabaseError` and OSError.
"""

_UNUSABLE = (StateUnusable, StateInUse, StateNotWritten, DatabaseError, OSError)

_RAN_WELL = 600.0
"""Seconds: when a poller that ran for longer fails, it is the first failure in a row."""

_AT_ONCE = 32
"""So many PBXs at most end at once. With a thousand that all want the processor, the thread that
ends the program waits for each of them again and again, and takes half a minute."""

_ending = threading.BoundedSemaphore(_AT_ONCE)

log = logging.getLogger(__name__)


class Client(CDRList, Protocol):
    """What a supervisor needs of `pbx.Client`."""

    def cancel(self) -> None:
        """Abort the request that is being made, and refuse further ones; from any thread."""

    def revoke(self, timeout_seconds: float = 3.0) -> None:
        """Give the token back to the PBX, if it replies within *timeout_seconds*."""


class Supervisor:
    """One PBX, from the start of the program to its end.

    *machines* are the first words of machines' names, *bounds* those of histograms. *delay* is how
    many seconds pass before the first poll, so that many PBXs are not polled at the same instant.
    *retry* is how long it waits where the state cannot be used. *lost* is called where a commit was
    refused since another holds the lease; *ended* at the very end of the thread.
    """

    def __init__(
        self,
        pbx: PBX,
        client: Client,
        open_store: OpenStore,
        *,
        machines: Sequence[str],
        bounds: Bounds,
        clock: Clock,
        board: SnapshotBoard,
        delay: float = 0.0,
        retry: backoff.Steps = FILE_RETRY,
        lost: Callable[[], None] = lambda: None,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        self._delay = delay
        self._retry = retry
        self._lost = lost
        self._ended = ended
        self._pbx = pbx
        self._logger = for_pbx(log, pbx.name)
        self._client = client
        self._open = open_store
        self._rules = counting_rules_of(pbx, call_rules_of(pbx, machines), bounds)
        self._clock = clock
        self._board = board
        self._self_metrics = SelfMetrics(bounds)
        self._store: Store | None = None
        self._said = ""
        self._abandoned = False
        self._gives_token_back = True
        self._thread = threading.Thread(target=self._run, name=f"poller-{pbx.name}", daemon=True)
        self._newest = Snapshot(pbx=pbx.name, birth_hold=pbx.birth_hold)
        # What is on the board may be forgotten before this has ended.
        self._publish(self._with_self_metrics(self._newest))

    def open_state(self) -> None:
        """Open the state file before the thread starts.

        Raises `StateInUse` and OSError, which end the program. `StateUnusable` does not: the thread
        tries again and reports it, and other PBXs are polled meanwhile.
        """
        try:
            self._store = self._open_store()
        except StateUnusable:
            self._store = None

    def start(self) -> None:
        """Start the thread, which polls."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread is running."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Abort the request that is being made; the clock must be stopping already."""
        self._client.cancel()

    def keep_token(self) -> None:
        """Do not give the token back at the end: another supervisor or process goes on with it."""
        self._gives_token_back = False

    def abandon(self) -> None:
        """Publish nothing more, even if the thread has not ended: another takes this place."""
        self._abandoned = True

    def join(self, seconds: float) -> None:
        """Wait, *seconds* at most, until the state is closed and the token given back."""
        self._thread.join(seconds)

    def _run(self) -> None:
        try:
            self._clock.wait(self._delay)
            self._poll_whatever_happens()
            with _ending:
                if self._store is not None:  # it was told to end before the first poll
                    self._store.close()
                if self._gives_token_back:
                    self._client.revoke()
        finally:
            self._ended()

    def _poll_whatever_happens(self) -> None:
        failures = 0
        while not self._clock.stopping:
            began = self._clock.now().steady
            try:
                self._poll_until_stopped()
            except LeaseLost:
                self._abandoned = True
                self._lost()
                return
            except Exception as error:  # noqa: BLE001 - whatever it is, there is another attempt
                ran_well = self._clock.now().steady - began > _RAN_WELL
                failures = 1 if ran_well else failures + 1
                wait = self._failed(error, failures)
            else:
                return
            self._clock.wait(wait)

    def _failed(self, error: Exception, failures: int) -> float:
        """Say that polling has failed, *failures* times in a row; return the seconds to wait."""
        if isinstance(error, _UNUSABLE):
            self._self_metrics.add(POLL_FAILURES, "state")
            if str(error) != self._said:
                self._logger.error("the PBX is not polled: %s", error)
            self._said = str(error)
            self._publish_failure(self._said, "state")
            return self._retry.after(failures)
        wait = max(1.0, backoff.after_failure(error, failures, random()))
        self._logger.error("the poller failed and is started again", exc_info=error, wait=wait)
        self._publish_failure(f"unexpected {type(error).__name__}, see the log")
        return wait

    def _poll_until_stopped(self) -> None:
        store = self._store or self._open_store()
        self._said = ""
        try:
            Poller(
                self._pbx,
                PageReader(self._client, self._self_metrics, self._clock, self._pbx.name),
                store,
                self._loaded_state(store),
                self_metrics=self._self_metrics,
                clock=self._clock,
                publish=self._publish,
                attempted=self._newest.attempted,
            ).run()
        finally:
            self._store = None
            with _ending:
                store.close()

    def _open_store(self) -> Store:
        return self._open(self._rules.bounds, number_zeros(self._rules.calls))

    def _loaded_state(self, store: Store) -> PBXState:
        kept = store.load()
        for reason, when in kept.resets.items():
            self._self_metrics.set(STATE_RESET, when, reason)
            if when and kept.ledger is None:
                self._logger.error(
                    "state file set aside, counting begins again from now", reason=reason
                )
        if kept.lost_commits:
            self._logger.warning(
                "the state is an older one: its log is damaged, or a copy was put back; "
                "what is missing is read again",
                lost_commits=kept.lost_commits,
            )
        for family in kept.dropped_histograms:
            self._logger.warning("buckets changed, the histogram begins again at 0", family=family)
        return PBXState.of(kept, self._rules)

    def _publish_failure(self, failure: str, reason: str = "") -> None:
        self._self_metrics.set(UP, 0)
        failed = replace(self._newest, attempted=True, failure=failure, failure_reason=reason)
        self._publish(self._with_self_metrics(failed))

    def _publish(self, snapshot: Snapshot) -> None:
        self._newest = snapshot
        if not self._abandoned:
            self._board.put(snapshot)

    def _with_self_metrics(self, snapshot: Snapshot) -> Snapshot:
        return replace(snapshot, own=self._self_metrics.own, gauges=self._self_metrics.gauges)
