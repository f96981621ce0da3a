"""Calls that are open, since more legs may come, and those that were counted a while ago.

Rule: judging changes nothing. It returns a `CallChange`, which is applied once it was committed
together with rows and totals, so that a leg is counted as a row and kept as a leg together or
not at all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, takewhile
from typing import NamedTuple

from .call import Call, assemble_call
from .leg import Leg

MAX_OPEN_CALLS = 20_000
"""Open calls kept. Beyond, those seen first are counted as they stand: `cut`."""

MAX_CLOSED_CALLS = 20_000
"""Calls remembered once they are counted. A late leg of one that is forgotten is a new call."""

_NOWHERE, _ANYWHERE = float("-inf"), float("inf")


class OpenCall(NamedTuple):
    """A call that is not counted yet. *last_seen* is when its newest leg was: answered time.

    *started_at* is the earliest start of its legs, *ended_at* the latest end: epoch seconds.
    """

    legs: tuple[Leg, ...]
    last_seen: float
    started_at: int
    ended_at: int

    @classmethod
    def of(cls, legs: Iterable[Leg], last_seen: float) -> OpenCall:
        """Return the open call of *legs*."""
        legs = tuple(legs)
        started_at = min([leg.started_at for leg in legs])
        return cls(legs, last_seen, started_at, max([leg.ended_at for leg in legs]))

    @property
    def may_continue(self) -> bool:
        """Whether no person answered, and its last leg may hand it on to another."""
        last = max(self.legs, key=lambda leg: leg.ended_at)
        return last.another_may_follow and all(leg.outcome != "answered" for leg in self.legs)


class ClosedCall(NamedTuple):
    """A call whose legs are no longer put together; *ended_at* is in epoch seconds.

    *counted* is False for one from before the start or a break: what comes of it is rows only.
    """

    ended_at: int
    counted: bool = True


class UnreadLegs(NamedTuple):
    """Where legs of a call may lie that were not read yet, epoch seconds.

    Those of a call that began at *started_by* or before, or ended at *ended_by* or before.
    """

    started_by: float = _NOWHERE
    ended_by: float = _NOWHERE

    def may_hold_legs_of(self, call: OpenCall) -> bool:
        """Say whether *call* may not be whole."""
        return call.started_at <= self.started_by or call.ended_at <= self.ended_by


NO_UNREAD_LEGS = UnreadLegs()
UNREAD_LEGS_UNKNOWN = UnreadLegs(_ANYWHERE, _ANYWHERE)


class SettleRules(NamedTuple):
    """What a user decides; times in seconds, see `exporter.yml`."""

    settle: float
    one_by_one: bool
    longest_call: float


class Moment(NamedTuple):
    """When a page is judged, or the end of a poll.

    *reachable_now* and *read_until* are reachable times: now, and up to when all was read.
    *latest_time* is the latest time known, ours or the PBX's, in epoch seconds. *catching_up*:
    nothing is shown yet, so that what ended long ago was there long ago, answers or not.
    """

    reachable_now: float
    read_until: float
    latest_time: float
    catching_up: bool = False
    unread: UnreadLegs = UNREAD_LEGS_UNKNOWN

    def waited_for(self, call: OpenCall) -> float:
        """Return for how long all was read without another leg of *call*.

        One whose newest leg was seen in this poll may have come within it, and others above it
        be unread.
        """
        last_seen = call.last_seen
        if self.catching_up and last_seen <= self.read_until:
            last_seen = min(last_seen, self.reachable_at(call.ended_at))
        return self.read_until - last_seen

    def reachable_at(self, ended_at: int) -> float:
        """Return when, in answered time, what ended at *ended_at* (epoch seconds) did so."""
        return self.reachable_now - max(0.0, self.latest_time - ended_at)


class CallChange(NamedTuple):
    """What a commit does to the calls, by uid."""

    opened: Mapping[str, OpenCall] = {}
    closed: Mapping[str, ClosedCall] = {}
    forgotten: Sequence[str] = ()


NO_CHANGE = CallChange()


class CallVerdict(NamedTuple):
    """*finished* calls count with *change*; *late* legs and *cut* calls are how many there were."""

    change: CallChange = NO_CHANGE
    finished: Sequence[Call] = ()
    late: int = 0
    cut: int = 0


@dataclass
class TrackedCalls:
    """Of one PBX, by uid. *closed* is in the order in which they were closed."""

    open: dict[str, OpenCall] = field(default_factory=dict)
    closed: dict[str, ClosedCall] = field(default_factory=dict)

    @property
    def last_seen(self) -> float:
        """Answered time at which the newest leg was seen."""
        return max((call.last_seen for call in self.open.values()), default=0.0)

    def judge(
        self,
        legs: Sequence[tuple[str, Leg]],
        passed: Mapping[str, int],
        at: Moment,
        rules: SettleRules,
        new_in_poll: Collection[str] = (),
    ) -> CallVerdict:
        """Say which calls are over once *legs*, new ones with their uids, are known.

        *passed* are the uids of rows that are not to be counted, with their ends (epoch seconds).
        *new_in_poll* are those of rows that came after the poll began.
        """
        legs = [each for each in legs if each[0] not in passed or each[0] in self.open]
        alone = [assemble_call([leg]) for uid, leg in legs if not uid]
        opened, late = self._add_legs(legs, at, new_in_poll)
        over = {uid: call for uid, call in self._all_open(opened) if _is_over(call, at, rules)}
        cut = self._surplus(opened, over)
        done = over | cut
        passed = {uid: end for uid, end in passed.items() if not self._is_known(uid, opened)}
        return CallVerdict(
            change=self._change_for(opened, done, passed, at.latest_time - rules.longest_call),
            finished=[*alone, *(assemble_call(call.legs) for call in done.values())],
            late=late,
            cut=len(cut),
        )

    def apply(self, change: CallChange) -> None:
        """Do what was committed."""
        for uid in (*change.closed, *change.forgotten):
            self.open.pop(uid, None)
        for uid in (*change.opened, *change.forgotten):
            self.closed.pop(uid, None)
        self.open.update(change.opened)
        self.closed.update(change.closed)

    def _add_legs(
        self, legs: Sequence[tuple[str, Leg]], at: Moment, new_in_poll: Collection[str]
    ) -> tuple[dict[str, OpenCall], int]:
        """Return the open calls that *legs* make or change, and how many legs come too late."""
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
            last_seen = at.reachable_at(max(leg.ended_at for leg in new))
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
        """Return the calls that are too many, those seen first."""
        if len(self.open) + len(opened) - len(over) <= MAX_OPEN_CALLS:
            return {}
        left = [(uid, call) for uid, call in self._all_open(opened) if uid not in over]
        left.sort(key=lambda each: each[1].last_seen)
        return dict(left[: max(0, len(left) - MAX_OPEN_CALLS)])

    def _change_for(
        self,
        opened: Mapping[str, OpenCall],
        done: Mapping[str, OpenCall],
        passed: Mapping[str, int],
        earliest_end: float,
    ) -> CallChange:
        """Return what to write down; of what ended before *earliest_end* no leg can come."""
        ended = {uid: ClosedCall(call.ended_at) for uid, call in done.items()}
        ended |= {uid: ClosedCall(end, counted=False) for uid, end in passed.items()}
        closed = {uid: each for uid, each in ended.items() if _is_recent(each, earliest_end)}
        too_old = [uid for uid in done if uid not in closed and uid in self.open]
        return CallChange(
            opened={uid: call for uid, call in opened.items() if uid not in done},
            closed=closed,
            forgotten=[*too_old, *self._to_forget(len(closed), earliest_end)],
        )

    def _to_forget(self, more: int, earliest_end: float) -> list[str]:
        surplus = list(islice(self.closed, max(0, len(self.closed) + more - MAX_CLOSED_CALLS)))
        rest = islice(self.closed.items(), len(surplus), None)
        old = takewhile(lambda each: not _is_recent(each[1], earliest_end), rest)
        return [*surplus, *(uid for uid, _ in old)]


def _is_over(call: OpenCall, at: Moment, rules: SettleRules) -> bool:
    """Say whether no more legs of *call* are to be waited for."""
    if at.unread.may_hold_legs_of(call):
        return False
    goes_on = rules.one_by_one and call.may_continue
    wait = max(rules.settle, rules.longest_call) if goes_on else rules.settle
    return at.waited_for(call) >= wait


def _is_recent(call: ClosedCall, earliest_end: float) -> bool:
    return not call.ended_at or call.ended_at >= earliest_end
