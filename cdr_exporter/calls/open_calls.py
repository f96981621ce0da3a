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

from .call import Call, call_of
from .leg import Leg

MOST_OPEN = 20_000
"""Open calls kept. Beyond, those seen first are counted as they stand: `cut`."""

MOST_CLOSED = 20_000
"""Calls remembered once they are counted. A late leg of one that is forgotten is a new call."""

_NOWHERE, _ANYWHERE = float("-inf"), float("inf")


class OpenCall(NamedTuple):
    """A call that is not counted yet. *seen* is when its newest leg was: answered time.

    *started_at* is the earliest start of its legs, *ended_at* the latest end: epoch seconds.
    """

    legs: tuple[Leg, ...]
    seen: float
    started_at: int
    ended_at: int

    @classmethod
    def of(cls, legs: Iterable[Leg], seen: float) -> OpenCall:
        """Return the open call of *legs*."""
        legs = tuple(legs)
        started_at = min([leg.started_at for leg in legs])
        return cls(legs, seen, started_at, max([leg.ended_at for leg in legs]))

    @property
    def may_go_on(self) -> bool:
        """Whether no person answered, and its last leg may hand it on to another."""
        last = max(self.legs, key=lambda leg: leg.ended_at)
        return last.hands_on and all(leg.outcome != "answered" for leg in self.legs)


class ClosedCall(NamedTuple):
    """A call whose legs are no longer put together; *ended_at* is in epoch seconds.

    *counted* is False for one from before the start or a break: what comes of it is rows only.
    """

    ended_at: int
    counted: bool = True


class UnreadLegs(NamedTuple):
    """Where legs of a call may lie that were not read yet, epoch seconds.

    Those of a call that began at *began* or before, or ended at *ended* or before.
    """

    began: float = _NOWHERE
    ended: float = _NOWHERE

    def may_hold_legs_of(self, call: OpenCall) -> bool:
        """Say whether *call* may not be whole."""
        return call.started_at <= self.began or call.ended_at <= self.ended


ALL_READ = UnreadLegs()
NOT_KNOWN = UnreadLegs(_ANYWHERE, _ANYWHERE)


class SettleRules(NamedTuple):
    """What a user decides; times in seconds, see `exporter.yml`."""

    settle: float
    one_by_one: bool
    longest_call: float


class Moment(NamedTuple):
    """When a page is judged, or the end of a poll.

    *reachable* and *covered* are answered times, see `answered`: now, and up to when all was read.
    *newest* is the latest time known, ours or the PBX's, in epoch seconds. *catching_up*:
    nothing is shown yet, so that what ended long ago was there long ago, answers or not.
    """

    reachable: float
    covered: float
    newest: float
    catching_up: bool = False
    unread: UnreadLegs = NOT_KNOWN

    def waited(self, call: OpenCall) -> float:
        """Return for how long all was read without another leg of *call*.

        One whose newest leg was seen in this poll may have come within it, and others above it
        be unread.
        """
        seen = call.seen
        if self.catching_up and seen <= self.covered:
            seen = min(seen, self.since(call.ended_at))
        return self.covered - seen

    def since(self, ended_at: int) -> float:
        """Return when, in answered time, what ended at *ended_at* (epoch seconds) did so."""
        return self.reachable - max(0.0, self.newest - ended_at)


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
        return max((call.seen for call in self.open.values()), default=0.0)

    def judge(
        self,
        legs: Sequence[tuple[str, Leg]],
        passed: Mapping[str, int],
        at: Moment,
        terms: SettleRules,
        fresh: Collection[str] = (),
    ) -> CallVerdict:
        """Say which calls are over once *legs*, new ones with their uids, are known.

        *passed* are the uids of rows that are not to be counted, with their ends (epoch seconds).
        *fresh* are those of rows that came after the poll began.
        """
        legs = [each for each in legs if each[0] not in passed or each[0] in self.open]
        alone = [call_of([leg]) for uid, leg in legs if not uid]
        opened, late = self._with(legs, at, fresh)
        over = {uid: call for uid, call in self._all(opened) if _is_over(call, at, terms)}
        cut = self._beyond_bound(opened, over)
        done = over | cut
        passed = {uid: end for uid, end in passed.items() if not self._has(uid, opened)}
        return CallVerdict(
            change=self._change(opened, done, passed, at.newest - terms.longest_call),
            finished=[*alone, *(call_of(call.legs) for call in done.values())],
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

    def _with(
        self, legs: Sequence[tuple[str, Leg]], at: Moment, fresh: Collection[str]
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
        opened = {uid: self._opened(uid, new, at, uid in fresh) for uid, new in come.items()}
        return opened, late

    def _opened(self, uid: str, new: Sequence[Leg], at: Moment, fresh: bool) -> OpenCall:
        known = self.open.get(uid)
        if at.catching_up and not fresh:
            seen = at.since(max(leg.ended_at for leg in new))
        else:
            seen = at.reachable
        if known is None:
            return OpenCall.of(new, seen)
        return OpenCall.of([*known.legs, *new], max(seen, known.seen))

    def _all(self, opened: Mapping[str, OpenCall]) -> Iterator[tuple[str, OpenCall]]:
        kept = ((uid, call) for uid, call in self.open.items() if uid not in opened)
        return chain(kept, opened.items())

    def _has(self, uid: str, opened: Mapping[str, OpenCall]) -> bool:
        return uid in self.closed or uid in self.open or uid in opened

    def _beyond_bound(
        self, opened: Mapping[str, OpenCall], over: Mapping[str, OpenCall]
    ) -> dict[str, OpenCall]:
        """Return the calls that are too many, those seen first."""
        if len(self.open) + len(opened) - len(over) <= MOST_OPEN:
            return {}
        left = [(uid, call) for uid, call in self._all(opened) if uid not in over]
        left.sort(key=lambda each: each[1].seen)
        return dict(left[: max(0, len(left) - MOST_OPEN)])

    def _change(
        self,
        opened: Mapping[str, OpenCall],
        done: Mapping[str, OpenCall],
        passed: Mapping[str, int],
        since: float,
    ) -> CallChange:
        """Return what is to be written down; of what ended before *since* no leg can come."""
        ended = {uid: ClosedCall(call.ended_at) for uid, call in done.items()}
        ended |= {uid: ClosedCall(end, counted=False) for uid, end in passed.items()}
        closed = {uid: each for uid, each in ended.items() if _is_recent(each, since)}
        too_old = [uid for uid in done if uid not in closed and uid in self.open]
        return CallChange(
            opened={uid: call for uid, call in opened.items() if uid not in done},
            closed=closed,
            forgotten=[*too_old, *self._to_forget(len(closed), since)],
        )

    def _to_forget(self, more: int, since: float) -> list[str]:
        surplus = list(islice(self.closed, max(0, len(self.closed) + more - MOST_CLOSED)))
        rest = islice(self.closed.items(), len(surplus), None)
        old = takewhile(lambda each: not _is_recent(each[1], since), rest)
        return [*surplus, *(uid for uid, _ in old)]


def _is_over(call: OpenCall, at: Moment, terms: SettleRules) -> bool:
    """Say whether no more legs of *call* are to be waited for."""
    if at.unread.may_hold_legs_of(call):
        return False
    goes_on = terms.one_by_one and call.may_go_on
    wait = max(terms.settle, terms.longest_call) if goes_on else terms.settle
    return at.waited(call) >= wait


def _is_recent(call: ClosedCall, since: float) -> bool:
    return not call.ended_at or call.ended_at >= since
