"""One PBX's loop: read the table, publish the result, wait.

Rule: a poll succeeds, or fails with `PBXError`, `StateNotWritten` or `StateInDoubt`. Either way a
snapshot says so, and `backoff` decides how long to wait. What was committed before a failure stays,
and is shown. Where the answer to a commit was lost, the next poll asks the store first whether it
is kept: so no row is counted twice, and none is lost.
Any other exception is a bug: it ends the poller, and the supervisor starts another one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from random import random
from typing import NamedTuple

from ..clock import Clock
from ..errors import PBXError, StateInDoubt, StateNotWritten, StateReplaced
from ..ingest import Event, JudgedPage, PBXState, PollBegan, PollSucceeded, StateChange
from ..ledger.watermark import is_possible
from ..logs import for_pbx
from ..metrics.catalogue import (
    AUTH_BLOCKED,
    BACKLOG,
    INGEST_DELAY,
    LAST_RECORD,
    LAST_SUCCESS,
    OPEN_CALLS,
    POLL_DURATION,
    POLL_FAILURES,
    POLLS,
    STATE_WRITE_OK,
    UP,
)
from ..metrics.self_metrics import SelfMetrics
from ..metrics.snapshot import Snapshot
from ..settings import PBX
from ..store import Store
from ..tail import Tail
from ..tail.page_reader import PageReader, Stopped
from . import backoff

log = logging.getLogger(__name__)


class _InDoubt(NamedTuple):
    """A commit whose answer was lost: *state* is the one to go on with where it is kept."""

    state: PBXState
    event: Event
    change: StateChange


class Poller:
    """Polls one PBX, from *state* on, and commits what it brings to *store*.

    `run` and `poll` raise `StateInUse` where the state is gone and another process is counting, and
    `LeaseLost` where another replica counts.

    *publish* is called with each new snapshot: at the start, after each committed page, and after
    each poll.
    *attempted* says that a poller before this one ended a poll. *random_fraction* returns a random
    number from 0 up to 1, for jitter.
    """

    def __init__(
        self,
        pbx: PBX,
        reader: PageReader,
        store: Store,
        state: PBXState,
        *,
        self_metrics: SelfMetrics,
        clock: Clock,
        publish: Callable[[Snapshot], None],
        attempted: bool = False,
        random_fraction: Callable[[], float] = random,
    ) -> None:
        self.state = state
        """What was committed last: the only copy."""
        self._pbx = pbx
        self._logger = for_pbx(log, pbx.name)
        self._reader = reader
        self._store = store
        self._self_metrics = self_metrics
        self._clock = clock
        self._put_snapshot = publish
        self._attempted = attempted
        self._random_fraction = random_fraction
        self._failures = backoff.NO_FAILURES
        self._in_doubt: _InDoubt | None = None
        self._tail = Tail(pbx, reader, self, self_metrics=self_metrics, clock=clock)
        self_metrics.set(STATE_WRITE_OK, 1)
        self_metrics.set(OPEN_CALLS, len(state.calls.open))

    def run(self) -> None:
        """Poll until the program is to end."""
        self.publish()
        while not self._clock.stopping:
            try:
                wait = self.poll()
            except Stopped:
                return
            self._clock.wait(wait)

    def poll(self) -> float:
        """Poll once, publish, and return how many seconds to wait before the next poll.

        Raises `Stopped` where the program is to end.
        """
        began = self._clock.now().steady
        self._self_metrics.add(POLLS)
        try:
            self._follow(began + self._pbx.poll_interval)
        except (PBXError, StateNotWritten, StateInDoubt) as error:
            if self._clock.stopping:
                raise Stopped from None
            wait = self._failed(error)
        else:
            wait = self._succeeded()
        self._attempted = True
        self._self_metrics.set(POLL_DURATION, self._clock.now().steady - began)
        self.publish()
        return wait

    def _follow(self, deadline: float) -> None:
        """Read the table: (page → new state → commit → publish)*, until *deadline* (steady clock).

        Raises `PBXError`, `StateNotWritten`, `StateInDoubt`, `Stopped`.
        """
        self._settle()
        self._take(PollBegan())
        for event in self._tail.follow(deadline):
            if not self._take(event).is_empty:
                self.publish()
        self._take(PollSucceeded())

    def _take(self, event: Event) -> StateChange:
        """Commit what *event* changes, and take the new state.

        Raises `StateNotWritten` and `StateInDoubt`.
        """
        state, change = self.state.after(event, self._clock.now())
        if not change.is_empty:
            self._self_metrics.set(STATE_WRITE_OK, 0)
            try:
                self._commit(change)
            except StateInDoubt:
                self._in_doubt = _InDoubt(state, event, change)
                raise
            self._self_metrics.set(STATE_WRITE_OK, 1)
        self.state = state
        self._measure(event, change)
        return change

    def _commit(self, change: StateChange) -> None:
        """Commit *change*; where the state is gone, write all of it anew before."""
        try:
            self._store.commit(change)
        except StateReplaced as error:
            self._write_anew(error)
            self._store.commit(change)

    def _write_anew(self, error: StateReplaced) -> None:
        self._logger.error("%s; the state is written anew, nothing is lost", error)
        self._store.rewrite(self.state.kept)

    def _settle(self) -> None:
        """Take the state whose commit was in doubt, if it is kept. Raises `StateNotWritten`."""
        if self._in_doubt is None:
            return
        try:
            is_kept = self._store.landed()
        except StateReplaced as error:
            self._write_anew(error)
            is_kept = False
        doubt, self._in_doubt = self._in_doubt, None
        self._logger.info("the answer to a commit was lost, and it is known now", kept=is_kept)
        self._self_metrics.set(STATE_WRITE_OK, 1)
        if is_kept:
            self.state = doubt.state
            self._measure(doubt.event, doubt.change)

    def _measure(self, event: Event, change: StateChange) -> None:
        """Note what *event* says about the exporter itself."""
        self._self_metrics.set(OPEN_CALLS, len(self.state.calls.open))
        if self.state.newest_start:
            self._self_metrics.set(LAST_RECORD, self.state.newest_start)
        if isinstance(event, JudgedPage) and change.ledger and not event.verdict.in_baseline:
            now = int(self._clock.now().wall)
            ended = (row.ended_at for row in event.verdict.counted)
            delays = (max(0, now - at) for at in ended if is_possible(at, now))
            self._self_metrics.observe(INGEST_DELAY, delays)

    def publish(self) -> None:
        """Publish a new snapshot: the totals committed last, and the exporter's own metrics."""
        state = self.state
        self._self_metrics.set(BACKLOG, self._backlog)
        self._put_snapshot(
            Snapshot(
                pbx=self._pbx.name,
                totals=state.totals,
                own=self._self_metrics.own,
                gauges=self._self_metrics.gauges,
                shown=state.visibility.shown,
                fresh_until=state.visibility.fresh_until,
                birth_hold=self._pbx.birth_hold,
                attempted=self._attempted,
                failure=self._failures.message,
                failure_reason=self._failures.reason,
                quarters=state.quarters,
                in_first_read=state.in_first_read,
            )
        )

    @property
    def _backlog(self) -> int:
        return self.state.ledger.backlog if self.state.ledger is not None else 0

    def _succeeded(self) -> float:
        if self._failures.polls:
            self._logger.info("the PBX answers again", failed_polls=self._failures.polls)
        self._failures = backoff.NO_FAILURES
        self._self_metrics.set(UP, 1)
        self._self_metrics.set(LAST_SUCCESS, self._clock.now().wall)
        self._self_metrics.set_only(AUTH_BLOCKED, None)
        if self._tail.has_more:
            self._logger.info("catching up", backlog=self._backlog)
            return self._reader.last_duration
        return backoff.after_success(self._pbx.poll_interval, self._random_fraction())

    def _failed(self, error: PBXError | StateNotWritten | StateInDoubt) -> float:
        """Count the failure, log it unless it is the same as before, return seconds to wait."""
        before, self._failures = self._failures, self._failures.after(error)
        if self._failures.cause != before.cause:
            self._logger.warning(str(error), reason=self._failures.reason)
        self._self_metrics.set(UP, 0)
        self._self_metrics.add(POLL_FAILURES, self._failures.reason)
        if isinstance(error, PBXError) and error.blocked:
            self._self_metrics.set_only(AUTH_BLOCKED, error.blocked)
        if self._failures.reason == "timeout":
            self._tail.timed_out()
        return self._failures.delay(error, self._random_fraction())
