"""The state of one PBX: one frozen value, and what an event makes of it. Pure.

`PBXState.after` returns the next state, and what a commit has to write for it. The next state holds
once that is durable: where a commit fails, the state before it is the one to go on with, and the
same page may be judged and counted again.

What is kept over restarts is in `KeptState`. The rest is known anew after a start: whether the
series are shown, and the times by which calls are over.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, assert_never

from ..calls import CallChange, CallVerdict, ReachableTime, RowsOfAKind, TrackedCalls
from ..cdr import Record
from ..cdr.labels import labels_of
from ..clock import Now
from ..ledger import Ledger, PageVerdict, Range
from ..ledger.watermark import is_possible
from ..metrics.call_metrics import count_calls, number_zeros
from ..metrics.catalogue import (
    CUT_CALLS,
    DUPLICATE_IDS,
    LATE_LEGS,
    LATE_RECORDS,
    LINEAGE_BREAKS,
    PRE_BREAK_RECORDS,
    REUSED_IDS,
    UNRECOGNISED_CALLEES,
)
from ..metrics.quarters import QuarterChange, Quarters
from ..metrics.row_metrics import LabelledRows, PageCount
from ..metrics.totals import Series, Totals, Value, initial_totals, trunk_zeros
from .call_assembly import CallTimes
from .events import EmptyList, EndOfPoll, Event, JudgedPage, PollBegan, PollSucceeded
from .rules import CountingRules
from .state_change import NOTHING, LedgerChange, StateChange, TotalsChange, ledger_change
from .visibility import FirstShown, Visibility

_CLOCK_WAS_SET = 1.0
"""Seconds by which the two clocks differ more from one poll to the next where one was set: no clock
that is merely slow or quick comes near it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptState:
    """What a store keeps of one PBX.

    *ledger* is what is known of the table, None until the first row is seen; *totals* is what was
    counted, *quarters* the same calls by their start. *first_shown* is when the series of rows and
    calls were first shown, None before that, and where an earlier state was lost.

    *resets* maps each reason to when (epoch seconds, 0 for never) an unusable state was last set
    aside. *lost_commits* is how many commits were made after this one and are there no more: the
    disk has damaged them, or an older copy was put back. *dropped_histograms* are the families that
    begin again at 0, because their buckets in the configuration differ from those they were
    counted with.
    """

    ledger: Ledger | None = None
    totals: Totals
    calls: TrackedCalls = field(default_factory=TrackedCalls)
    quarters: Quarters = field(default_factory=Quarters)
    first_shown: FirstShown | None = None
    resets: Mapping[str, float] = field(default_factory=dict)
    lost_commits: int = 0
    dropped_histograms: tuple[str, ...] = ()

    @property
    def as_change(self) -> StateChange:
        """The change from nothing to all of this."""
        ledger, totals = self.ledger, TotalsChange(self.totals, self.totals.series)
        return StateChange(
            ledger=None if ledger is None else _all_of(ledger),
            totals=None if ledger is None else totals,
            calls=CallChange(self.calls.open, self.calls.closed),
            quarters=QuarterChange(self.quarters, dict(self.quarters.cells()), covers_more=True),
            first_shown=self.first_shown,
        )


def _all_of(ledger: Ledger) -> LedgerChange:
    return LedgerChange(ledger, ledger.remembered, id_ledger_changed=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class PBXState:
    """All that is known of one PBX but where to read on; see `KeptState` for the first fields.

    *newest_start* is when the newest call began, in epoch seconds, *last_poll* when this process
    began to poll last, None before that.
    """

    rules: CountingRules
    ledger: Ledger | None
    totals: Totals
    calls: TrackedCalls
    quarters: Quarters
    first_shown: FirstShown | None
    resets: Mapping[str, float]
    times: CallTimes
    visibility: Visibility = field(default_factory=Visibility)
    newest_start: int = 0
    last_poll: Now | None = None

    @classmethod
    def of(cls, kept: KeptState, rules: CountingRules) -> PBXState:
        """Return the state that a process begins with."""
        longest_call = rules.limits.longest_call
        return cls(
            rules=rules,
            ledger=kept.ledger,
            totals=kept.totals,
            calls=kept.calls,
            quarters=kept.quarters,
            first_shown=kept.first_shown,
            resets=kept.resets,
            times=CallTimes(ReachableTime.going_on_from(kept.calls.last_seen, longest_call)),
        )

    @property
    def kept(self) -> KeptState:
        """What a store keeps of it."""
        return KeptState(
            ledger=self.ledger,
            totals=self.totals,
            calls=self.calls,
            quarters=self.quarters,
            first_shown=self.first_shown,
            resets=self.resets,
        )

    @property
    def was_lost(self) -> bool:
        """Whether an earlier state was set aside.

        Then the series exist, and a second baseline would look like calls.
        """
        return any(self.resets.values())

    @property
    def start(self) -> str:
        """What a first read counts: `all`, or what comes from `now` on."""
        return "now" if self.was_lost else self.rules.start

    @property
    def in_first_read(self) -> bool:
        """Whether the whole table is being read for the first time."""
        return self.ledger is not None and self.ledger.in_baseline

    @property
    def unread(self) -> tuple[Range, ...]:
        """The ranges that nobody has read yet, newest first."""
        return self.ledger.unread if self.ledger is not None else ()

    def due(self, now: Now) -> tuple[Range, ...]:
        """Return the ranges whose next recheck is due, newest first."""
        return () if self.ledger is None else self.ledger.due(now.wall, self.rules.limits)

    @property
    def all_rechecked(self) -> bool:
        """Whether this process has read every range once that may bring late rows."""
        return self.ledger is None or all(each.last_read for each in self.ledger.recheck)

    def starts_to_read(self, now: Now) -> list[int]:
        """Return when the calls began that are over once all rows since then were read again.

        Epoch seconds, earliest first.
        """
        if self.ledger is None:
            return []
        return self.rules.assembler.starts_to_read(
            self.calls, self.times, self.ledger, now, shown=self.visibility.shown
        )

    # --- what an event makes of it ---------------------------------------------------------------

    def after(self, event: Event, now: Now) -> NextState:
        """Return the state after *event*, and what a commit has to write for it."""
        match event:
            case PollBegan():
                return NextState(self._with_clock_of(now)._after_poll_began(now))
            case JudgedPage():
                return self._after_page(event, now)
            case EmptyList():
                return self._after_empty_list(now)
            case EndOfPoll():
                return self._after_poll(now, all_read=event.all_read)
            case PollSucceeded():
                return self._after_success(now)
        assert_never(event)

    def _with_clock_of(self, now: Now) -> PBXState:
        """Return the state with all times moved as far as the wall clock was set since last poll.

        So how long ago something was stays the same. What a restart finds is bounded otherwise.
        """
        seconds = 0.0 if self.last_poll is None else now.set_by_since(self.last_poll)
        if abs(seconds) < _CLOCK_WAS_SET:
            return self
        ledger = self.ledger.with_clock_set(seconds) if self.ledger is not None else None
        return replace(self, ledger=ledger, times=self.times.with_clock_set(seconds))

    def _after_poll_began(self, now: Now) -> PBXState:
        was_silent = now.steady >= self.visibility.fresh_until
        times = self.times.after_poll_began(now, was_silent=was_silent)
        return replace(self, times=times, last_poll=now)

    def _after_page(self, event: JudgedPage, now: Now) -> NextState:
        """Count the new rows of a page, and the calls that are over."""
        page, verdict = event.page, event.verdict
        seen = replace(
            self,
            times=self.times.after_page(page, event.clock_offset),
            visibility=self.visibility.after_page(
                now,
                self.rules.stale_after,
                starts_reading=self.ledger is None and bool(verdict.first_read),
                in_baseline=verdict.in_baseline,
            ),
            newest_start=max(self.newest_start, _newest_start(page.rows, now)),
        )
        if verdict.ledger.differs_by_reads_only(self.ledger):
            # It brought no row. Only when ranges were read is taken over, which is not kept.
            return NextState(replace(seen, ledger=verdict.ledger))
        return seen._counted(event, now)

    def _counted(self, event: JudgedPage, now: Now) -> NextState:
        page, verdict = event.page, event.verdict
        groups = self.rules.assembler.classifier.by_kind(verdict.counted)
        calls, doubts = self.rules.assembler.after_page(
            self.calls,
            self.times,
            verdict,
            groups,
            page,
            now,
            newest_key=self.ledger.new_rows_above if self.ledger is not None else 0,
            shown=self.visibility.shown,
        )
        known = self.totals if self.ledger is not None else self._totals_at_first(verdict)
        count = self._count_from(known)
        _count_verdict(count, verdict, groups)
        for doubt, times in doubts.items():
            count.add_event(UNRECOGNISED_CALLEES, times, doubt)
        change = ledger_change(self.ledger, verdict.ledger, verdict.remembered)
        return self._with_calls(known, calls, count, now, change)

    def _totals_at_first(self, verdict: PageVerdict) -> Totals:
        """Return totals at 0, with series for the trunks of the rows that were there before."""
        trunks = dict.fromkeys(labels_of(row).trunk for row in verdict.left_out)
        known = list(trunks)[: self.rules.max_trunks]
        return initial_totals(known, number_zeros(self.rules.calls))

    def _with_calls(
        self,
        known: Totals,
        calls: CallVerdict,
        count: PageCount,
        now: Now,
        ledger: LedgerChange | None,
    ) -> NextState:
        """Return the state once what *calls* and *count* say is added to the totals *known*."""
        count.add_event(LATE_LEGS, calls.late)
        count.add_event(CUT_CALLS, calls.cut)
        values = count_calls(calls.finished, self.rules.bounds, count.trunks, known.series)
        values |= count.series()
        in_baseline = self.visibility.in_baseline
        totals = known.with_values(values, count.trunks, self.visibility.born_at(now))
        quarters = self.quarters.after(calls.finished, now.wall, baseline=in_baseline)
        state = replace(
            self,
            ledger=self.ledger if ledger is None else ledger.after,
            totals=totals,
            calls=self.calls.after(calls.change),
            quarters=quarters.after,
        )
        changed = totals.series if self.ledger is None else _changed(values, known, totals)
        return NextState(
            state,
            StateChange(
                ledger, TotalsChange(totals, changed), calls.change, _unless_same(self, quarters)
            ),
        )

    def _after_empty_list(self, now: Now) -> NextState:
        visibility = self.visibility.after_page(
            now, self.rules.stale_after, starts_reading=False, in_baseline=False
        )
        seen = replace(self, visibility=visibility)
        return seen._shown(now) if self.ledger is None else NextState(seen)

    def _after_poll(self, now: Now, *, all_read: bool) -> NextState:
        """Count the calls that are over, if the poll read every new row; then show the series."""
        state, change = self._with_finished_calls(now) if all_read else NextState(self)
        if all_read:
            state, shown = state._shown(now)
            change = change._replace(first_shown=shown.first_shown)
        state = replace(state, times=state.times.after_poll_ended())
        return state._with_births(now, change, self.totals)

    def _with_finished_calls(self, now: Now) -> NextState:
        if self.ledger is None:
            return NextState(self)
        calls = self.rules.assembler.after_all_was_read(
            self.calls, self.times, self.ledger, now, shown=self.visibility.shown
        )
        if not calls.finished:
            return NextState(self)
        return self._with_calls(self.totals, calls, self._count_from(self.totals), now, None)

    def _count_from(self, known: Totals) -> PageCount:
        return PageCount(self.rules.bounds, known.trunks, self.rules.max_trunks, known.series)

    def _shown(self, now: Now) -> NextState:
        """Show the series. When that was first is kept, unless they were shown by a lost state."""
        first = self.first_shown
        if not self.visibility.shown and first is None and not self.was_lost:
            first = self._first_shown_at(now)
        state = replace(self, visibility=self.visibility.after_all_was_read(), first_shown=first)
        return NextState(
            state, StateChange(first_shown=first if self.first_shown is None else None)
        )

    def _first_shown_at(self, now: Now) -> FirstShown:
        baseline = self.start == "all"
        if self.ledger is None:
            return FirstShown(now.wall, baseline, now.wall)
        if not baseline:
            return FirstShown(now.wall, baseline, self.ledger.watermark.newest_end + 1)
        # A row may be written late, and then be missing from the first values.
        settled_until = self.times.settled_until(self.ledger, self.rules.assembler.rules)
        return FirstShown(now.wall, baseline, settled_until - self.rules.limits.late_window)

    def _with_births(self, now: Now, change: StateChange, before: Totals) -> NextState:
        """Return the state with the births that the time alone has changed; *before* is kept."""
        totals = self.visibility.with_births(self.totals, now, self.rules.birth_hold)
        if self.ledger is None or totals is self.totals:
            return NextState(self, change)
        reborn = [key for key, born in totals.born.items() if before.born.get(key, born) != born]
        changed = change.totals.changed if change.totals is not None else ()
        return NextState(
            replace(self, totals=totals),
            change._replace(totals=TotalsChange(totals, changed, reborn)),
        )

    def _after_success(self, now: Now) -> NextState:
        """Note that the PBX was reached in this quarter of an hour."""
        quarters = self.quarters.reached_at(now.wall, self.rules.stale_after)
        state = replace(self, quarters=quarters.after)
        return NextState(state, StateChange(quarters=_unless_same(self, quarters)))


class NextState(NamedTuple):
    """What `PBXState.after` returns: the next state, which holds once *change* is durable."""

    state: PBXState
    change: StateChange = NOTHING


def _count_verdict(count: PageCount, verdict: PageVerdict, groups: Iterable[RowsOfAKind]) -> None:
    count.add_rows(LabelledRows(kind.labels, rows) for kind, rows in groups)
    count.add_rejected(verdict.rejected)
    count.add_event(LATE_RECORDS, verdict.late)
    count.add_event(REUSED_IDS, verdict.reused)
    count.add_event(DUPLICATE_IDS, verdict.duplicates)
    count.add_event(PRE_BREAK_RECORDS, verdict.pre_break)
    count.add_event(LINEAGE_BREAKS, int(verdict.lineage_broke))


def _newest_start(rows: Sequence[Record], now: Now) -> int:
    newest = max([row.started_at for row in rows], default=0)
    if is_possible(newest, now.wall):
        return newest
    starts = (row.started_at for row in rows if is_possible(row.started_at, now.wall))
    return max(starts, default=0)


def _changed(values: Mapping[Series, Value], before: Totals, after: Totals) -> Collection[Series]:
    """Return the series that are new, or have other *values*."""
    if after.trunks == before.trunks:
        return values.keys()
    return values.keys() | trunk_zeros(after.trunks - before.trunks).keys()


def _unless_same(state: PBXState, change: QuarterChange) -> QuarterChange | None:
    return None if change.after is state.quarters else change
