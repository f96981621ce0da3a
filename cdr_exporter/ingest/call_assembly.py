"""Which legs a page brings, and which calls are over. Pure: the current time is an argument.

`calls` says when a call is over. Here pages and polls are put into its terms:

    after a page     its new rows become legs; while the series are hidden, calls may be over too
    after a poll     that read every new row, calls may be over
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from ..calls import (
    NO_UNREAD_LEGS,
    UNREAD_LEGS_UNKNOWN,
    CallRules,
    CallVerdict,
    LegClassifier,
    Moment,
    ReachableTime,
    SettleRules,
    TrackedCalls,
    UIDTime,
    UnreadLegs,
)
from ..clock import Now
from ..ledger import Ledger, PageVerdict
from ..ledger.page import Page
from ..metrics.row_metrics import LabelledRows
from ..settings import PBX

_ROWS_AT_PAGE_END = 8
"""How many of a page's last rows are used to estimate when its lowest row was written.

More than one, since a single row may end before its call does, when it is written.
"""


def call_rules_of(pbx: PBX, machines: Iterable[str] = ()) -> CallRules:
    """Return the rules for the rows of *pbx*; *machines* are beginnings of machines' names."""
    return CallRules(
        pbx.number_plan,
        tuple(machines),
        pbx.emergency_numbers,
        pbx.dids,
        pbx.queues,
        pbx.destinations,
    )


class CallAssembler:
    """Assembles the calls of *pbx*; *last_seen* is the newest reachable time in its state.

    *clock_offset* is by how many seconds the PBX's clock is ahead of ours, None where it does not
    tell; to be set whenever it is known anew.
    """

    def __init__(self, pbx: PBX, call_rules: CallRules, last_seen: float) -> None:
        self._poll_began = 0.0
        self.clock_offset: float | None = None
        self._reachable = ReachableTime(last_seen, pbx.longest_call)
        self._uid_time = UIDTime()
        self._classifier = LegClassifier(call_rules)
        self._rules = SettleRules(
            pbx.call_settle, pbx.legs_appear == "one_by_one", pbx.longest_call
        )

    def begin_poll(self, now: Now) -> None:
        """Note that a poll begins at *now*."""
        self._poll_began = now.wall
        self._reachable.begin_poll(now.wall, now.steady)

    def end_poll(self) -> None:
        """Note that the poll succeeded: it read every new row, or as many as its time allowed."""
        self._reachable.end_poll()

    def settled_until(self, ledger: Ledger) -> float:
        """Return up to which end (epoch seconds) every row is read, and every call counted.

        At the end of a poll that read every new row. It is a time by the PBX's clock as well as by
        ours, whichever is behind.
        """
        read = min(self._poll_began, ledger.watermark.newest_end, ledger.all_read_since)
        settle, one_by_one, longest_call = self._rules
        return read - (max(settle, longest_call) if one_by_one else settle)

    def saw_page(self, page: Page) -> None:
        """Note *page*, whose rows may tell how the PBX's clock differs from UTC."""
        if page.is_first and page.order.by_time:
            self._uid_time.learn(page.rows)

    def judge_page(
        self,
        calls: TrackedCalls,
        verdict: PageVerdict,
        groups: Sequence[LabelledRows],
        page: Page,
        now: Now,
        *,
        newest_key: int,
        shown: bool,
    ) -> tuple[CallVerdict, Mapping[str, int]]:
        """Say what *page* does to *calls*; *groups* are the rows that *verdict* counts.

        *newest_key* is the newest key that was known before the page. Returns the verdict on the
        calls, and how many legs are in doubt, by `calls.DOUBTS`.
        """
        # Rows without a uid do not belong together.
        left_out = {row.uid: row.ended_at for row in verdict.left_out if row.uid}
        unread = UNREAD_LEGS_UNKNOWN if shown else unread_below(page, verdict.ledger, self._rules)
        at = self._moment(verdict.ledger, now, catching_up=not shown, unread=unread)
        new_in_poll = _uids_added_during_poll(page, verdict, newest_key)
        legs = [
            (row.uid, self._classifier.classify(row, labels))
            for labels, rows in groups
            for row in rows
        ]
        doubts = Counter(
            doubt
            for labels, rows in groups
            for row in rows
            if (doubt := self._classifier.doubt_about(row, labels))
        )
        return calls.judge(legs, left_out, at, self._rules, new_in_poll), doubts

    def judge_end_of_poll(
        self, calls: TrackedCalls, ledger: Ledger, now: Now, *, shown: bool
    ) -> CallVerdict:
        """Say which of *calls* are over, now that every new row was read."""
        at = self._moment(ledger, now, catching_up=not shown, unread=NO_UNREAD_LEGS)
        return calls.judge((), {}, at, self._rules)

    def _shown_by_pbx(self, now: Now) -> float:
        return float("-inf") if self.clock_offset is None else now.wall + self.clock_offset

    def starts_to_read(
        self, calls: TrackedCalls, ledger: Ledger, now: Now, *, shown: bool
    ) -> list[int]:
        """Return when the calls began that are over once all rows since then were read again.

        Epoch seconds, earliest first. Calls that began before what is to be rechecked are not among
        them: they wait for the next read of all of it.
        """
        at = self._moment(ledger, now, catching_up=not shown, unread=NO_UNREAD_LEGS)
        return calls.starts_to_read(at, self._rules, ledger.remembered_from)

    def _moment(self, ledger: Ledger, now: Now, *, unread: UnreadLegs, catching_up: bool) -> Moment:
        # By id, and by time above all that is to be rechecked, the first page shows all there is.
        newest_end = ledger.watermark.newest_end
        return Moment(
            reachable_now=self._reachable.at(now.steady),
            read_until=self._reachable.at_poll_start,
            uid_time=self._uid_time,
            read_by_start=[
                (key, self._reachable.read_until(since)) for key, since in ledger.read_since
            ],
            pbx_time=max(newest_end, self._shown_by_pbx(now)),
            # Bounded by our own clock: one end that is hours ahead would make all others old.
            # Where the PBX's whole clock is ahead, more calls are remembered, which harms nobody.
            oldest_end=min(newest_end, now.wall) - self._rules.longest_call,
            catching_up=catching_up,
            unread=unread,
        )


def unread_below(page: Page, ledger: Ledger, rules: SettleRules) -> UnreadLegs:
    """Say which calls may have legs below *page*, where older rows are still unread.

    By id, rows are in the order in which the PBX wrote them: soon after the end of the call,
    or, one by one, soon after the end of the leg, and a leg ends no earlier than the next one
    starts. By time, rows are in the order of their starts.
    """
    below = ledger.unread[0][1] if ledger.unread else 0
    if not below or below > page.lowest:
        return UNREAD_LEGS_UNKNOWN
    if ledger.order.by_time:
        return UnreadLegs(ended_by=below + rules.longest_call)
    written = max((row.ended_at for row in page.rows[-_ROWS_AT_PAGE_END:]), default=None)
    if written is None:
        return UNREAD_LEGS_UNKNOWN
    latest = written + rules.settle
    return UnreadLegs(started_by=latest) if rules.one_by_one else UnreadLegs(ended_by=latest)


def _uids_added_during_poll(page: Page, verdict: PageVerdict, newest_key: int) -> set[str]:
    """Return the uids of the rows that the PBX wrote after the first page of the poll was read.

    Such rows move the others down, so *page* may begin in the middle of their call. By time they
    cannot be told from rows that were there before.
    """
    if page.is_first or page.highest <= newest_key or page.order.by_time:
        return set()
    return {row.uid for row in verdict.counted if row.id > newest_key}
