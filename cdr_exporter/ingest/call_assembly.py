"""Of one PBX: what its rows are as legs, and when its calls are over. Pure: *now* is told.

The theory is in `calls`; here it meets pages and polls.

    a page     its new rows become legs; while nothing is shown yet, calls end with it, too
    a poll     that read all there was ends calls
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence

from ..calls import ALL_READ, NOT_KNOWN, Answered, Calls, LegReader, Moment, Reading, Unread
from ..calls import Terms as CallTerms
from ..calls import Verdict as CallVerdict
from ..clock import Now
from ..ledger import Ledger, Verdict
from ..ledger.page import Page
from ..metrics.call_metrics import WholeCalls
from ..metrics.row_metrics import RowGroup
from ..settings import PBX

_EDGE = 8
"""Rows that tell when those at the end of a page were written: some end before their calls."""


def reading_of(pbx: PBX, machines: Iterable[str]) -> Reading:
    """Return how the rows of *pbx* are read; *machines* are beginnings of callees' names."""
    return Reading(tuple(machines), pbx.dids, pbx.queues, pbx.destinations)


class Settling:
    """The calls of *pbx*; *last_seen* is the answered time that its state knows of."""

    def __init__(self, pbx: PBX, reading: Reading, last_seen: float) -> None:
        self._answered = Answered(last_seen, pbx.longest_call)
        self._reader = LegReader(reading)
        self._terms = CallTerms(pbx.call_settle, pbx.legs_appear == "one_by_one", pbx.longest_call)

    def begin_poll(self, now: Now) -> None:
        """Note that a poll begins."""
        self._answered.begin(now.wall, now.steady)

    def end_poll(self) -> None:
        """Note that the poll which began last read what is new, or as much as time allowed."""
        self._answered.succeed()

    def after_page(
        self,
        calls: Calls,
        verdict: Verdict,
        groups: Sequence[RowGroup],
        page: Page,
        now: Now,
        *,
        high: int,
        shown: bool,
    ) -> tuple[CallVerdict, Sequence[WholeCalls]]:
        """Say what *page* does to *calls*; *groups* are the rows that *verdict* counts.

        *high* was the newest key before. Returns beside the verdict the rows that are a whole
        call each and over by now.
        """
        # Rows without uid have nothing in common.
        passed = {row.uid: row.ended_at for row in verdict.passed if row.uid}
        unread = NOT_KNOWN if shown else self._unread(page, verdict.ledger)
        at = self._moment(verdict.ledger, now, catching_up=not shown, unread=unread)
        fresh = _fresh(page, verdict, high)
        manifold = self._manifold(calls, verdict, passed) | fresh
        whole, parts = self._parted(groups, manifold, at)
        legs = [(row.uid, self._reader.leg(row, labels)) for labels, rows in parts for row in rows]
        return calls.judge(legs, passed, at, self._terms, fresh), whole

    def after_poll(self, calls: Calls, ledger: Ledger, now: Now, *, shown: bool) -> CallVerdict:
        """Say which of *calls* are over now that everything is read."""
        at = self._moment(ledger, now, catching_up=not shown, unread=ALL_READ)
        return calls.judge((), {}, at, self._terms)

    # Most of a long table are calls of one leg that were over long ago. They need no leg and no
    # book: this way is short for the sake of a million of them, and leads to the same counts.

    def _parted(
        self, groups: Sequence[RowGroup], manifold: Collection[str], at: Moment
    ) -> tuple[Sequence[WholeCalls], Sequence[RowGroup]]:
        """Part rows that are whole calls, and over, from legs; *manifold* are the others' uids."""
        if self._terms.one_by_one or at.unread is NOT_KNOWN:
            return [], groups
        # Where not each leg has its own place, only ends tell what may be unread: see `_unread`.
        ended = at.unread.ended
        whole: list[WholeCalls] = []
        parts: list[RowGroup] = []
        latest = at.newest - self._terms.settle - (at.answered - at.covered)
        for labels, rows in groups:
            over = [
                row
                for row in rows
                if ended < row.started_at + row.duration <= latest and row.uid not in manifold
            ]
            if len(over) < len(rows):
                taken = set(map(id, over))
                parts.append(RowGroup(labels, [row for row in rows if id(row) not in taken]))
            whole += self._whole(RowGroup(labels, over))
        return whole, parts

    def _whole(self, group: RowGroup) -> Iterator[WholeCalls]:
        for kind, rows in self._reader.kinds(group.rows, group.labels):
            yield WholeCalls(kind, RowGroup(group.labels, rows))

    def _manifold(self, calls: Calls, verdict: Verdict, passed: Collection[str]) -> set[str]:
        """Return the uids that may have more than one leg, or none that counts."""
        uids = [row.uid for row in verdict.counted]
        known = set(uids)
        several = {u for u in known if u in calls.open or u in calls.closed or u in passed} | {""}
        if len(known) < len(uids):
            several |= {uid for uid, times in Counter(uids).items() if times > 1}
        return several

    def _moment(self, ledger: Ledger, now: Now, *, unread: Unread, catching_up: bool) -> Moment:
        return Moment(
            answered=self._answered.at(now.steady),
            covered=self._answered.covered(ledger.swept_at),
            newest=max(now.wall, ledger.mark.newest),
            catching_up=catching_up,
            unread=unread,
        )

    def _unread(self, page: Page, ledger: Ledger) -> Unread:
        """Say which calls may have legs below *page*, where older rows are still to be read.

        By id, rows stand in the order in which they were written. That is soon after the end of
        the call, or one by one soon after the end of the leg, which is no earlier than the start
        of the next. By time, they stand in the order of their starts.
        """
        below = ledger.holes[0][1] if ledger.holes else 0
        if not below or below > page.lowest:
            return NOT_KNOWN
        if ledger.order.open_ends:
            return Unread(ended=below + self._terms.longest_call)
        written = max((row.ended_at for row in page.rows[-_EDGE:]), default=None)
        if written is None:
            return NOT_KNOWN
        latest = written + self._terms.settle
        return Unread(began=latest) if self._terms.one_by_one else Unread(ended=latest)


def _fresh(page: Page, verdict: Verdict, high: int) -> set[str]:
    """Return the uids of the rows that came after the first page of the poll was read.

    They moved the others down, and *page* may begin within a call. By time nothing tells them
    from those that were there.
    """
    if page.first or page.top <= high or page.order.open_ends:
        return set()
    return {row.uid for row in verdict.counted if row.id > high}
