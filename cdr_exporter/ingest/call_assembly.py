"""Which legs a page brings, and which calls are over. Pure: the current time is an argument.

`calls` says when a call is over. Here pages and polls are put into its terms:

    after a page     its new rows become legs; while the series are hidden, calls may be over too
    after a poll     that read every new row, calls may be over
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ..calls import (
    NO_UNREAD_LEGS,
    UNREAD_LEGS_UNKNOWN,
    CallGroup,
    CallRules,
    CallVerdict,
    Leg,
    LegClassifier,
    LegTimes,
    Moment,
    ReachableTime,
    RowsOfAKind,
    SettleRules,
    TrackedCalls,
    UIDTime,
    UnreadLegs,
    group_of_lone_legs,
    is_plain,
    with_times_of,
)
from ..cdr import Record
from ..clock import Now
from ..ledger import Ledger, PageVerdict
from ..ledger.page import Page
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


def settle_rules_of(pbx: PBX) -> SettleRules:
    """Return the rules of *pbx* about when a call is over."""
    return SettleRules(pbx.call_settle, pbx.legs_appear == "one_by_one", pbx.longest_call)


@dataclass(frozen=True, slots=True)
class CallTimes:
    """What is known of the times by which calls are over.

    *poll_began* is when the last poll began, in epoch seconds. *clock_offset* is by how many
    seconds the PBX's clock is ahead of ours, None where it does not tell.
    """

    reachable: ReachableTime
    uid_time: UIDTime = field(default_factory=UIDTime)
    clock_offset: float | None = None
    poll_began: float = 0.0

    def after_poll_began(self, now: Now, *, was_silent: bool = False) -> CallTimes:
        """Return them once a poll has begun at *now*; *was_silent*: see `ReachableTime`."""
        reachable = self.reachable.poll_began(now.wall, now.steady, was_silent=was_silent)
        return replace(self, reachable=reachable, poll_began=now.wall)

    def with_clock_set(self, seconds: float) -> CallTimes:
        """Return them once the wall clock was set ahead by *seconds*, or back if negative."""
        return replace(self, reachable=self.reachable.with_clock_set(seconds))

    def after_page(self, page: Page, clock_offset: float | None) -> CallTimes:
        """Return them after *page*, whose rows may tell how the PBX's clock differs from UTC."""
        uid_time = self.uid_time
        if page.is_first and page.order.by_time:
            uid_time = uid_time.learnt_from(page.rows)
        return replace(self, uid_time=uid_time, clock_offset=clock_offset)

    def after_poll_ended(self) -> CallTimes:
        """Return them once the poll has succeeded: the time until the next one counts."""
        return replace(self, reachable=self.reachable.poll_ended())

    def settled_until(self, ledger: Ledger, rules: SettleRules) -> float:
        """Return up to which end (epoch seconds) every row is read, and every call counted.

        At the end of a poll that read every new row. It is a time by the PBX's clock as well as by
        ours, whichever is behind.
        """
        read = min(self.poll_began, ledger.watermark.newest_end, ledger.all_read_since)
        settle, one_by_one, longest_call = rules
        return read - (max(settle, longest_call) if one_by_one else settle)

    def moment(
        self,
        ledger: Ledger,
        now: Now,
        rules: SettleRules,
        *,
        catching_up: bool,
        unread: UnreadLegs = NO_UNREAD_LEGS,
    ) -> Moment:
        """Return the moment *now* for `TrackedCalls`, with *ledger* as what was read."""
        # By id, and by time above all that is to be rechecked, the first page shows all there is.
        newest_end = ledger.watermark.newest_end
        return Moment(
            reachable_now=self.reachable.at(now.steady),
            read_until=self.reachable.at_poll_start,
            uid_time=self.uid_time,
            read_by_start=[
                (key, self.reachable.read_until(since)) for key, since in ledger.read_since
            ],
            pbx_time=max(newest_end, self._shown_by_pbx(now)),
            # Bounded by our own clock: one end that is hours ahead would make all others old.
            # Where the PBX's whole clock is ahead, more calls are remembered, which harms nobody.
            oldest_end=min(newest_end, now.wall) - rules.longest_call,
            catching_up=catching_up,
            unread=unread,
        )

    def _shown_by_pbx(self, now: Now) -> float:
        return float("-inf") if self.clock_offset is None else now.wall + self.clock_offset


class PageCalls(NamedTuple):
    """What a page does to the calls, and how many of its legs are in doubt, by `calls.DOUBTS`."""

    verdict: CallVerdict
    doubts: Mapping[str, int]


@dataclass(frozen=True)
class CallAssembler:
    """Puts the rows of one PBX together to calls; it keeps nothing of them."""

    classifier: LegClassifier
    rules: SettleRules

    def after_page(
        self,
        calls: TrackedCalls,
        times: CallTimes,
        verdict: PageVerdict,
        groups: Sequence[RowsOfAKind],
        page: Page,
        now: Now,
        *,
        newest_key: int,
        shown: bool,
    ) -> PageCalls:
        """Say what *page* does to *calls*; *groups* are the rows that *verdict* counts.

        *newest_key* is the newest key that was known before the page.
        """
        # Rows without a uid do not belong together.
        left_out = {row.uid: row.ended_at for row in verdict.left_out if row.uid}
        unread = UNREAD_LEGS_UNKNOWN if shown else unread_below(page, verdict.ledger, self.rules)
        at = times.moment(verdict.ledger, now, self.rules, catching_up=not shown, unread=unread)
        new_in_poll = _uids_added_during_poll(page, verdict, newest_key)
        known = ({""}, left_out, new_in_poll, calls.open, calls.closed)
        not_over = _uids_not_over(verdict.counted, known, at.ends_over_at_once(self.rules))
        legs, lone = _legs_and_lone_calls(groups, not_over)
        judged = calls.judge(legs, left_out, at, self.rules, new_in_poll)
        finished = [*judged.finished, *lone]
        return PageCalls(judged._replace(finished=finished), _doubts_of(groups))

    def after_all_was_read(
        self, calls: TrackedCalls, times: CallTimes, ledger: Ledger, now: Now, *, shown: bool
    ) -> CallVerdict:
        """Say which of *calls* are over, now that every new row was read."""
        at = times.moment(ledger, now, self.rules, catching_up=not shown)
        return calls.judge((), {}, at, self.rules)

    def starts_to_read(
        self, calls: TrackedCalls, times: CallTimes, ledger: Ledger, now: Now, *, shown: bool
    ) -> list[int]:
        """Return when the calls began that are over once all rows since then were read again.

        Epoch seconds, earliest first; none by id, where nothing is read again for that. Calls that
        began before what is to be rechecked are not among them: they wait for the next read of all
        of it.
        """
        if not ledger.order.by_time:
            return []
        at = times.moment(ledger, now, self.rules, catching_up=not shown)
        return calls.starts_to_read(at, self.rules, ledger.remembered_from)


def _uids_not_over(
    rows: Sequence[Record], known: Iterable[Collection[str]], ends: tuple[float, float]
) -> Set[str]:
    """Return the uids of *rows* that are not each a call of one leg, which is over at once.

    Such a call ended between the two *ends*, and its uid is not among the *known* ones, which may
    have other legs.
    """
    after, before = ends
    not_over = {row.uid for row in rows if not after < row.started_at + row.duration < before}
    uids = [row.uid for row in rows]
    found = set(uids)
    if len(found) < len(uids):
        not_over |= {uid for uid, times in Counter(uids).items() if times > 1}
    # Not their intersection, which goes by how many calls are kept.
    return not_over | {uid for each in known if each for uid in found if uid in each}


def _legs_and_lone_calls(
    groups: Sequence[RowsOfAKind], not_over: Set[str]
) -> tuple[list[tuple[str, Leg]], list[CallGroup]]:
    """Return the legs of *groups* with their uids, and the calls that are over at once.

    Those have one leg each, and are what they would be one by one.
    """
    legs: list[tuple[str, Leg]] = []
    lone: list[CallGroup] = []
    for kind, rows in groups:
        over, others = _split(rows, not_over) if is_plain(kind.leg) else ([], rows)
        legs += [(row.uid, with_times_of(row, kind.leg)) for row in others]
        if over:
            lone.append(group_of_lone_legs(kind.leg, _times_of(over)))
    return legs, lone


def _split(rows: Sequence[Record], uids: Set[str]) -> tuple[Sequence[Record], Sequence[Record]]:
    """Return the *rows* with none of *uids*, and those with one of them."""
    if uids.isdisjoint([row.uid for row in rows]):
        return rows, ()
    return [row for row in rows if row.uid not in uids], [row for row in rows if row.uid in uids]


def _doubts_of(groups: Iterable[RowsOfAKind]) -> Mapping[str, int]:
    doubts: Counter[str] = Counter()
    for kind, rows in groups:
        if kind.doubt:
            doubts[kind.doubt] += len(rows)
    return doubts


def _times_of(rows: Sequence[Record]) -> LegTimes:
    return LegTimes(
        [row.started_at for row in rows],
        [row.duration for row in rows],
        [row.ring_duration for row in rows],
        [row.talk_duration for row in rows],
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
