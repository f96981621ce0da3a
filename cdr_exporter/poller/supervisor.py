"""Keeps one PBX's poller going: a thread, a client, a state file, and trouble of its own.

Rule: whatever happens to one PBX ends in `cdr_up 0` for that PBX, a log line, and another try
after a wait. It never reaches another PBX, and it never ends the program.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import random
from typing import Protocol

from ..clock import Clock
from ..errors import StateInUse, StateUnusable
from ..ingest.call_assembly import call_rules_of
from ..logs import for_pbx
from ..metrics.call_metrics import number_zeros
from ..metrics.catalogue import POLL_FAILURES, STATE_RESET, UP
from ..metrics.self_metrics import SelfMetrics
from ..metrics.snapshot import Snapshot
from ..metrics.totals import Bounds
from ..settings import PBX
from ..store import Store
from ..tail.page_reader import CDRList, PageReader
from . import backoff
from .board import SnapshotBoard
from .poller import Poller

_STATE_RETRY = 60.0
"""Seconds until a state file that could not be used is looked at again: it costs nobody."""

_RAN_WELL = 600.0
"""Seconds after which a poller that fails is started again as if for the first time."""

log = logging.getLogger(__name__)


class Client(CDRList, Protocol):
    """What a supervisor needs of the client of `pbx`."""

    def cancel(self) -> None:
        """End the request under way, and refuse more."""

    def revoke(self, timeout_seconds: float = 3.0) -> None:
        """Give the token back, if the PBX answers in time."""


class Supervisor:
    """One PBX, from the start of the program to its end; *delay* seconds pass before a poll."""

    def __init__(
        self,
        pbx: PBX,
        client: Client,
        state_dir: Path,
        *,
        machines: Sequence[str],
        bounds: Bounds,
        clock: Clock,
        board: SnapshotBoard,
        delay: float = 0.0,
    ) -> None:
        self._delay = delay
        self._pbx = pbx
        self._logger = for_pbx(log, pbx.name)
        self._client = client
        self._state_dir = state_dir
        self._call_rules = call_rules_of(pbx, machines)
        self._bounds = bounds
        self._clock = clock
        self._board = board
        self._self_metrics = SelfMetrics(bounds)
        self._store: Store | None = None
        self._thread = threading.Thread(target=self._run, name=f"poller-{pbx.name}", daemon=True)
        board.put(self._snapshot(Snapshot(pbx=pbx.name, birth_hold=pbx.birth_hold)))

    def open_state(self) -> None:
        """Take the state file before the thread starts.

        Raises `StateInUse` and OSError, which end the program. A state that must not be touched
        ends nothing: the thread will say so.
        """
        try:
            self._store = self._open_store()
        except StateUnusable:
            self._store = None

    def start(self) -> None:
        """Begin to poll, in a thread."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Cut short the request under way; the clock has to be stopping."""
        self._client.cancel()

    def join(self, seconds: float) -> None:
        """Wait until the state is closed and the token given back, *seconds* at most."""
        self._thread.join(seconds)

    def _run(self) -> None:
        self._clock.wait(self._delay)
        times = 0
        while not self._clock.stopping:
            began = self._clock.now().steady
            try:
                self._poll_until_stopped()
            except (StateUnusable, StateInUse, OSError) as error:
                wait = _STATE_RETRY
                self._self_metrics.add(POLL_FAILURES, "state")
                self._logger.error("not polled: %s", error)
                self._publish_failure(str(error))
            except Exception as error:
                ran_well = self._clock.now().steady - began > _RAN_WELL
                times = 1 if ran_well else times + 1
                wait = max(1.0, backoff.after_failure(error, times, random()))
                self._logger.exception("the poller failed and is started again", wait=wait)
                self._publish_failure(f"unexpected {type(error).__name__}, see the log")
            else:
                break
            self._clock.wait(wait)
        self._client.revoke()

    def _poll_until_stopped(self) -> None:
        store = self._store or self._open_store()
        try:
            Poller(
                self._pbx,
                PageReader(self._client, self._self_metrics, self._clock),
                store,
                call_rules=self._call_rules,
                self_metrics=self._self_metrics,
                bounds=self._bounds,
                clock=self._clock,
                publish=self._board.put,
                attempted=self._board.of(self._pbx.name).attempted,
            ).run()
        finally:
            self._store = None
            store.close()

    def _open_store(self) -> Store:
        store = Store(
            self._state_dir,
            self._pbx.name,
            self._pbx.client_id,
            self._bounds,
            number_zeros(self._call_rules),
        )
        for reason, when in store.resets.items():
            self._self_metrics.set(STATE_RESET, when, reason)
            if when and store.ledger is None:
                self._logger.error("state set aside, counting anew from now", reason=reason)
        for family in store.dropped_histograms:
            self._logger.warning("buckets changed, histogram begins anew", family=family)
        return store

    def _publish_failure(self, trouble: str) -> None:
        self._self_metrics.set(UP, 0)
        last = self._board.of(self._pbx.name)
        self._board.put(self._snapshot(replace(last, attempted=True, trouble=trouble)))

    def _snapshot(self, snapshot: Snapshot) -> Snapshot:
        return replace(snapshot, own=self._self_metrics.own, gauges=self._self_metrics.gauges)
