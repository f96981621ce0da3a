"""Of one PBX: what its rows are as legs, and when its calls are over. Pure: *now* is told.

The theory is in `calls`; here it meets pages and polls.

    a page     its new rows become legs; while nothing is shown yet, calls end with it, too
    a poll     that read all there was ends calls
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence

from ..calls import (
    ALL_READ,
    NOT_KNOWN,
    CallRules,
    CallVerdict,
    LegClassifier,
    Moment,
    ReachableTime,
    SettleRules,
    TrackedCalls,
    UnreadLegs,
)
from ..clock import Now
from ..ledger import Ledger, PageVerdict
from ..ledger.page import Page
from ..metrics.call_metrics import WholeCalls
from ..metrics.row_metrics import RowGroup
from ..settings import PBX

_EDGE = 8
"""Rows that tell when those at the end of a page were written: some end before their calls."""


def call_rules_of(pbx: PBX, machines: Iterable[str]) -> CallRules:
    """Return how the rows of *pbx* are read; *machines* are beginnings of callees' names."""
    return CallRules(tuple(machines), pbx.dids, pbx.queues, pbx.destinations)


class CallAssembler:
    """The calls of *pbx*; *last_seen* is the answered time that its state knows of."""

    def __init__(self, pbx: PBX, call_rules: CallRules, last_seen: float) -> None:
        self._reachable = ReachableTime(last_seen, pbx.longest_call)
        self._reader = LegClassifier(call_rules)
        self._terms = SettleRules(
            pbx.call_settle, pbx.legs_appear == "one_by_one", pbx.longest_call
        )

    def begin_poll(self, now: Now) -> None:
        """Note that a poll begins."""
        self._reachable.begin(now.wall, now.steady)

    def end_poll(self) -> None:
        """Note that the poll which began last read what is new, or as much as time allowed."""
        self._reachable.succeed()

    def after_page(
        self,
        calls: TrackedCalls,
        verdict: PageVerdict,
        groups: Sequence[RowGroup],
        page: Page,
        now: Now,
        *,
        newest_key: int,
        shown: bool,
    ) -> tuple[CallVerdict, Sequence[WholeCalls]]:
        """Say what *page* does to *calls*; *groups* are the rows that *verdict* counts.

        *newest_key* was the newest key before. Returns beside the verdict the rows that are a whole
        call each and over by now.
        """
        # Rows without uid have nothing in common.
        passed = {row.uid: row.ended_at for row in verdict.left_out if row.uid}
        unread = NOT_KNOWN if shown else self._unread(page, verdict.ledger)
        at = self._moment(verdict.ledger, now, catching_up=not shown, unread=unread)
        fresh = _fresh(page, verdict, newest_key)
        several_legs = self._several_legs(calls, verdict, passed) | fresh
        whole, parts = self._split_whole_calls(groups, several_legs, at)
        legs = [(row.uid, self._reader.leg(row, labels)) for labels, rows in parts for row in rows]
        return calls.judge(legs, passed, at, self._terms, fresh), whole

    def after_poll(
        self, calls: TrackedCalls, ledger: Ledger, now: Now, *, shown: bool
    ) -> CallVerdict:
        """Say which of *calls* are over now that everything is read."""
        at = self._moment(ledger, now, catching_up=not shown, unread=ALL_READ)
        return calls.judge((), {}, at, self._terms)

    # Most of a long table are calls of one leg that were over long ago. They need no leg and no
    # book: this way is short for the sake of a million of them, and leads to the same counts.

    def _split_whole_calls(
        self, groups: Sequence[RowGroup], several_legs: Collection[str], at: Moment
    ) -> tuple[Sequence[WholeCalls], Sequence[RowGroup]]:
        """Split off the rows that are whole calls and over.

        *several_legs* are uids that may have more legs; their rows are legs.
        """
        if self._terms.one_by_one or at.unread is NOT_KNOWN:
            return [], groups
        # Where not each leg has its own place, only ends tell what may be unread: see `_unread`.
        ended = at.unread.ended
        whole: list[WholeCalls] = []
        parts: list[RowGroup] = []
        latest = at.newest - self._terms.settle - (at.reachable - at.covered)
        for labels, rows in groups:
            over = [
                row
                for row in rows
                if ended < row.started_at + row.duration <= latest and row.uid not in several_legs
            ]
            if len(over) < len(rows):
                taken = set(map(id, over))
                parts.append(RowGroup(labels, [row for row in rows if id(row) not in taken]))
            whole += self._whole(RowGroup(labels, over))
        return whole, parts

    def _whole(self, group: RowGroup) -> Iterator[WholeCalls]:
        for kind, rows in self._reader.kinds(group.rows, group.labels):
            yield WholeCalls(kind, RowGroup(group.labels, rows))

    def _several_legs(
        self, calls: TrackedCalls, verdict: PageVerdict, passed: Collection[str]
    ) -> set[str]:
        """Return the uids that may have more than one leg, or none that counts."""
        uids = [row.uid for row in verdict.counted]
        known = set(uids)
        several = {u for u in known if u in calls.open or u in calls.closed or u in passed} | {""}
        if len(known) < len(uids):
            several |= {uid for uid, times in Counter(uids).items() if times > 1}
        return several

    def _moment(self, ledger: Ledger, now: Now, *, unread: UnreadLegs, catching_up: bool) -> Moment:
        return Moment(
            reachable=self._reachable.at(now.steady),
            covered=self._reachable.covered(ledger.all_read_since),
            newest=max(now.wall, ledger.watermark.newest_end),
            catching_up=catching_up,
            unread=unread,
        )

    def _unread(self, page: Page, ledger: Ledger) -> UnreadLegs:
        """Say which calls may have legs below *page*, where older rows are still to be read.

        By id, rows stand in the order in which they were written. That is soon after the end of
        the call, or one by one soon after the end of the leg, which is no earlier than the start
        of the next. By time, they stand in the order of their starts.
        """
        below = ledger.unread[0][1] if ledger.unread else 0
        if not below or below > page.lowest:
            return NOT_KNOWN
        if ledger.order.by_time:
            return UnreadLegs(ended=below + self._terms.longest_call)
        written = max((row.ended_at for row in page.rows[-_EDGE:]), default=None)
        if written is None:
            return NOT_KNOWN
        latest = written + self._terms.settle
        return UnreadLegs(began=latest) if self._terms.one_by_one else UnreadLegs(ended=latest)


def _fresh(page: Page, verdict: PageVerdict, newest_key: int) -> set[str]:
    """Return the uids of the rows that came after the first page of the poll was read.

    They moved the others down, and *page* may begin within a call. By time nothing tells them
    from those that were there.
    """
    if page.is_first or page.highest <= newest_key or page.order.by_time:
        return set()
    return {row.uid for row in verdict.counted if row.id > newest_key}
