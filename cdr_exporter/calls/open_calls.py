"""The open calls, of which more legs may come, and the closed ones, which were counted lately.

Rule: `judge` changes nothing. It returns a `CallChange`, which is committed together with the
counted rows and the totals. So a row is counted and its leg is kept together, or neither happens.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, takewhile
from typing import NamedTuple

from ..cdr.record import EARLIEST
from .call import assemble_call
from .call_group import CallGroup, group_calls
from .leg import Leg
from .uid_time import UIDTime

MAX_OPEN_CALLS = 20_000
"""How many calls may be open. Beyond, those whose legs were seen longest ago are counted early."""

MAX_LEGS, MAX_OPEN_LEGS = 1_000, 60_000
"""How many legs a call, and all open calls together, may have. A call that has more is counted as
it stands. All legs of a call are written anew with each one that comes."""

MAX_CLOSED_CALLS = 20_000
"""How many counted calls are remembered. A late leg of a forgotten one counts as a new call."""

_NOWHERE, _ANYWHERE = float("-inf"), float("inf")


class OpenCall(NamedTuple):
    """A call that is not counted yet.

    *last_seen* is when its newest leg was first seen, in reachable time (seconds). *started_at* is
    the earliest start of its legs, *ended_at* the latest end, both in epoch seconds.
    """

    legs: tuple[Leg, ...]
    last_seen: float
    started_at: int
    ended_at: int

    @classmethod
    def of(cls, legs: Iterable[Leg], last_seen: float) -> OpenCall:
        """Return the open call that *legs*, one or more, make."""
        legs = tuple(legs)
        if len(legs) == 1:  # as most calls have
            return cls(legs, last_seen, legs[0].started_at, legs[0].ended_at)
        started_at = min([leg.started_at for leg in legs])
        return cls(legs, last_seen, started_at, max([leg.ended_at for leg in legs]))

    @property
    def may_continue(self) -> bool:
        """Whether no person answered it, and its last leg may be followed by another."""
        last = max(self.legs, key=lambda leg: leg.ended_at)
        return last.another_may_follow and assemble_call(self.legs).outcome != "answered"


class ClosedCall(NamedTuple):
    """A call that takes no more legs; *closed_at* is since when, in reachable time (seconds).

    *counted* is False for a call with a row from before the start or before a break of lineage: it
    never counts as a call, and its further rows are not late legs.
    """

    closed_at: float
    counted: bool = True


class UnreadLegs(NamedTuple):
    """Which calls may have legs among the rows that are still unread. Epoch seconds.

    They are the calls that began at *started_by* or earlier, or ended at *ended_by* or earlier.
    """

    started_by: float = _NOWHERE
    ended_by: float = _NOWHERE

    def may_hold_legs_of(self, call: OpenCall) -> bool:
        """Say whether legs of *call* may still be unread."""
        return call.started_at <= self.started_by or call.ended_at <= self.ended_by


NO_UNREAD_LEGS = UnreadLegs()
UNREAD_LEGS_UNKNOWN = UnreadLegs(_ANYWHERE, _ANYWHERE)


class SettleRules(NamedTuple):
    """What the user configured about when a call is over; seconds. `exporter.yml` explains them.

    *settle* is `call_settle`; *one_by_one* is whether `legs_appear` is `one_by_one`.
    """

    settle: float
    one_by_one: bool
    longest_call: float


class Moment(NamedTuple):
    """The time at which a page, or the end of a poll, is judged, and what was read by then.

    *reachable_now* is the reachable time (seconds) of now; *read_until* is the latest one for
    which we know that every row the PBX had at that time was read. Where rows turn up at their
    start, *read_by_start* has it for the rows that began up to a time (epoch seconds, rising) and
    after: these may be read more often than older ones; *uid_time* then tells when a call began.
    *pbx_time* is the latest time, in epoch seconds, that the PBX's clock is known to have shown:
    how long ago a call ended is told by that clock alone, since it may be hours away from ours. No
    leg of a call can come that ended before *oldest_end*, by the same clock. *catching_up* is set
    while the PBX's series are hidden: then a row counts as seen when its call ended. *unread* says
    which calls may have unread legs.
    """

    reachable_now: float
    read_until: float
    pbx_time: float
    oldest_end: float
    catching_up: bool = False
    unread: UnreadLegs = UNREAD_LEGS_UNKNOWN
    read_by_start: Sequence[tuple[int, float]] = ()
    uid_time: UIDTime | None = None

    def start_of(self, uid: str, call: OpenCall) -> int:
        """Return when *call* began, at its first leg, which may not have been seen yet."""
        return self.uid_time.started_at(uid, call.started_at) if self.uid_time else call.started_at

    def read_until_for(self, uid: str, call: OpenCall) -> float:
        """Return until when every leg of *call* was read: all begin at its start or later."""
        if not self.read_by_start:
            return self.read_until
        at = bisect_left(self.read_by_start, (self.start_of(uid, call), _NOWHERE))
        return self.read_by_start[at][1] if at < len(self.read_by_start) else self.read_until

    def waited_for(self, uid: str, call: OpenCall) -> float:
        """Return for how many seconds every row was read and no further leg of *call* came.

        Below 0 where its newest leg was seen after `read_until`: that leg may have come during the
        poll, and others may lie above it, unread.
        """
        last_seen, read_until = call.last_seen, self.read_until_for(uid, call)
        if self.catching_up and last_seen <= read_until:
            last_seen = min(last_seen, self.reachable_at(call.ended_at))
        return read_until - last_seen

    def reachable_at(self, ended_at: int) -> float:
        """Return the reachable time of *ended_at* (epoch seconds); now for an impossible one.

        As if the PBX had replied ever since: used only where that is harmless, see `calls`.
        """
        ago = self.pbx_time - ended_at if ended_at >= EARLIEST else 0
        return self.reachable_now - max(0, ago)

    def ends_over_at_once(self, rules: SettleRules) -> tuple[float, float]:
        """Return between which ends (epoch seconds) a call is over once its one leg is seen.

        And too old to be remembered afterwards. Such calls are counted without being opened. A
        narrower range than could be is harmless: what ends outside is opened first. Nothing lies
        in it while the series are shown, and where rows turn up one by one.
        """
        if not self.catching_up or rules.one_by_one or self.unread.started_by != _NOWHERE:
            return _ANYWHERE, _NOWHERE
        read = min([self.read_until, *(read for _, read in self.read_by_start)])
        # The reachable time of such an end is `reachable_at`; see there and `waited_for`.
        waited_enough = self.pbx_time - self.reachable_now + read - rules.settle
        before = min(self.oldest_end, waited_enough, self.pbx_time)
        return max(float(EARLIEST - 1), self.unread.ended_by), before

    def is_old(self, ended_at: int) -> bool:
        """Say whether no leg can come of a call that ended at *ended_at* (epoch seconds)."""
        return EARLIEST <= ended_at < self.oldest_end


class CallChange(NamedTuple):
    """What a commit changes about the calls, by uid.

    *opened* are open calls that are new or got legs, *closed* calls that are open no more,
    *forgotten* calls that are neither from now on.
    """

    opened: Mapping[str, OpenCall] = {}
    closed: Mapping[str, ClosedCall] = {}
    forgotten: Sequence[str] = ()


NO_CHANGE = CallChange()


class CallVerdict(NamedTuple):
    """What follows from a page or the end of a poll; nothing of it has happened yet.

    *finished* are the calls to count when *change* is committed, in groups of calls that are alike.
    *late* is how many legs came after their call was counted, *cut* how many calls are counted
    early because too many are open.
    """

    change: CallChange = NO_CHANGE
    finished: Sequence[CallGroup] = ()
    late: int = 0
    cut: int = 0


@dataclass(frozen=True, slots=True)
class TrackedCalls:
    """The calls of one PBX, by uid. *closed* is in the order in which they were closed."""

    open: Mapping[str, OpenCall] = field(default_factory=dict)
    closed: Mapping[str, ClosedCall] = field(default_factory=dict)

    @property
    def last_seen(self) -> float:
        """The newest reachable time that is kept, of an open or a closed call; 0 without any."""
        opened = (call.last_seen for call in self.open.values())
        return max(chain(opened, (call.closed_at for call in self.closed.values())), default=0.0)

    def judge(
        self,
        legs: Sequence[tuple[str, Leg]],
        left_out: Mapping[str, int],
        at: Moment,
        rules: SettleRules,
        new_in_poll: Collection[str] = (),
    ) -> CallVerdict:
        """Say which calls are over once *legs*, new ones with their uids, are added.

        *left_out* maps the uids of rows that were skipped, because they lay before the start or
        before a break of lineage, to the ends of the rows (epoch seconds). *new_in_poll* are the
        uids of rows that the PBX wrote after the poll began.
        """
        legs = [each for each in legs if each[0] not in left_out or each[0] in self.open]
        alone = [assemble_call([leg]) for uid, leg in legs if not uid]
        opened, late = self._add_legs(legs, at, new_in_poll)
        all_open = self._all_open(opened)
        over = {uid: call for uid, call in all_open if _is_over(uid, call, at, rules)}
        cut = self._surplus(opened, over)
        done = over | cut
        left_out = {uid: end for uid, end in left_out.items() if not self._is_known(uid, opened)}
        return CallVerdict(
            change=self._change_for(opened, done, left_out, at, rules.longest_call),
            finished=group_calls(chain(alone, (assemble_call(c.legs) for c in done.values()))),
            late=late,
            cut=len(cut),
        )

    def starts_to_read(self, at: Moment, rules: SettleRules, since: int) -> list[int]:
        """Return when the calls began that are over once all rows since then were read.

        Earliest first, *since* at the earliest. All times are in epoch seconds.
        """
        all_read = at._replace(read_by_start=())
        waiting = (
            at.start_of(uid, call)
            for uid, call in self.open.items()
            if call.started_at >= since
            and _is_over(uid, call, all_read, rules)
            and not _is_over(uid, call, at, rules)
        )
        return sorted(max(start, since) for start in waiting)

    def after(self, change: CallChange) -> TrackedCalls:
        """Return the calls once *change* is made."""
        if not any(change):
            return self
        opened, closed = dict(self.open), dict(self.closed)
        for uid in (*change.closed, *change.forgotten):
            opened.pop(uid, None)
        for uid in (*change.opened, *change.forgotten):
            closed.pop(uid, None)
        opened.update(change.opened)
        closed.update(change.closed)
        return TrackedCalls(opened, closed)

    def _add_legs(
        self, legs: Sequence[tuple[str, Leg]], at: Moment, new_in_poll: Collection[str]
    ) -> tuple[dict[str, OpenCall], int]:
        """Return the open calls that *legs* make or add to, and how many legs came too late."""
        come: dict[str, list[Leg]] = defaultdict(list)
        late = 0
        for uid, leg in legs:
            closed = self.closed.get(uid)
            if closed is not None:
                late += closed.counted
            elif uid:
                come[uid].append(leg)
        opened = {
            uid: self._updated_call(uid, new, at, uid in new_in_poll) for uid, new in come.items()
        }
        return opened, late

    def _updated_call(
        self, uid: str, new: Sequence[Leg], at: Moment, new_in_poll: bool
    ) -> OpenCall:
        known = self.open.get(uid)
        if at.catching_up and not new_in_poll:
            last_seen = at.reachable_at(max([leg.ended_at for leg in new]))
        else:
            last_seen = at.reachable_now
        if known is None:
            return OpenCall.of(new, last_seen)
        return OpenCall.of([*known.legs, *new], max(last_seen, known.last_seen))

    def _all_open(self, opened: Mapping[str, OpenCall]) -> Iterator[tuple[str, OpenCall]]:
        kept = ((uid, call) for uid, call in self.open.items() if uid not in opened)
        return chain(kept, opened.items())

    def _is_known(self, uid: str, opened: Mapping[str, OpenCall]) -> bool:
        return uid in self.closed or uid in self.open or uid in opened

    def _surplus(
        self, opened: Mapping[str, OpenCall], over: Mapping[str, OpenCall]
    ) -> dict[str, OpenCall]:
        """Return the calls with too many legs, and those beyond `MAX_OPEN_CALLS`.

        And those beyond `MAX_OPEN_LEGS`. Of these two, those whose legs were seen longest ago.
        """
        cut = {
            uid: call
            for uid, call in opened.items()
            if len(call.legs) > MAX_LEGS and uid not in over
        }
        if len(self.open) + len(opened) <= min(MAX_OPEN_CALLS, MAX_OPEN_LEGS // MAX_LEGS):
            return cut  # the others cannot have too many legs together
        done = over.keys() | cut.keys()
        left = [each for each in self._all_open(opened) if each[0] not in done]
        legs = sum([len(call.legs) for _, call in left])
        if len(left) > MAX_OPEN_CALLS or legs > MAX_OPEN_LEGS:
            cut |= _seen_longest_ago(left, legs)
        return cut

    def _change_for(
        self,
        opened: Mapping[str, OpenCall],
        done: Mapping[str, OpenCall],
        left_out: Mapping[str, int],
        at: Moment,
        longest_call: float,
    ) -> CallChange:
        """Return what to commit. A call is remembered for *longest_call* seconds from now on.

        Old calls are not remembered where they are read in bulk: while catching up, and of rows
        from before the start or a break. A baseline would keep thousands for nothing.
        """
        # What was counted while the series are shown came just now, by whatever clock.
        closed = {
            uid: ClosedCall(at.reachable_now)
            for uid, call in done.items()
            if not (at.catching_up and at.is_old(call.ended_at))
        }
        too_old = [uid for uid in done if uid not in closed and uid in self.open]
        closed |= {
            uid: ClosedCall(at.reachable_now, counted=False)
            for uid, end in left_out.items()
            if not at.is_old(end)
        }
        return CallChange(
            opened={uid: call for uid, call in opened.items() if uid not in done},
            closed=closed,
            forgotten=[*too_old, *self._to_forget(len(closed), at.reachable_now - longest_call)],
        )

    def _to_forget(self, more: int, closed_before: float) -> list[str]:
        surplus = list(islice(self.closed, max(0, len(self.closed) + more - MAX_CLOSED_CALLS)))
        rest = islice(self.closed.items(), len(surplus), None)
        old = takewhile(lambda each: each[1].closed_at < closed_before, rest)
        return [*surplus, *(uid for uid, _ in old)]


def _seen_longest_ago(calls: list[tuple[str, OpenCall]], legs: int) -> dict[str, OpenCall]:
    """Return those of *calls*, with so many *legs*, without which the rest may stay open."""
    found: dict[str, OpenCall] = {}
    for uid, call in sorted(calls, key=lambda each: each[1].last_seen):
        if len(calls) - len(found) <= MAX_OPEN_CALLS and legs <= MAX_OPEN_LEGS:
            break
        found[uid] = call
        legs -= len(call.legs)
    return found


def _is_over(uid: str, call: OpenCall, at: Moment, rules: SettleRules) -> bool:
    """Say whether no more legs of *call* are expected; see `calls` for the two rules."""
    if at.unread.may_hold_legs_of(call):
        return False
    goes_on = rules.one_by_one and call.may_continue
    wait = max(rules.settle, rules.longest_call) if goes_on else rules.settle
    return at.waited_for(uid, call) >= wait
