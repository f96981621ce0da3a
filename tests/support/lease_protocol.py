"""Two replicas and the row of one PBX in a database: every way in which their steps can mix.

Time is in sixths of a lease, by the clock of the database. What the network, the operating system
and the server may do is a step like any other: an answer is lost, a process stands still between
any two steps, a COMMIT lands long after it was sent, the server undoes what is open (a timeout, a
restart), and the clock of a replica loses a sixth of a lease in a lease.

`Protocol` says what the replicas do; each of its fields weakens it in one place, so that a test can
show that the search finds what goes wrong then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

from cdr_exporter.leases import rules

_T = TypeVar("_T")

LEASE = 6
REPLICAS = (0, 1)
ENDED = 0
"""What is left of something: nothing, and for how long is no matter."""


class Bounds(NamedTuple):
    """How far to look: at how many commits of the state, and whether clocks may be slow."""

    commits: int = 2
    slow_clocks: bool = True


class Protocol(NamedTuple):
    """What holds: all of it, in the program."""

    fence_locks: bool = True
    """A commit locks the row of its lease before it writes."""
    fence_compares: bool = True
    """A commit compares the epoch."""
    counts_from_asking: bool = True
    """A lease counts from before it was asked for, and not from its answer."""
    valid_for: int = round(rules.valid_until(0, LEASE))
    """How long a lease counts here."""
    takes_only_what_ended: bool = True
    """By the clock of the database."""
    loads_after_taking: bool = True
    """The state is read after the takeover was committed."""


class Row(NamedTuple):
    """The row, as it is committed; *left* until it ends."""

    holder: int
    epoch: int
    left: int


class Held(NamedTuple):
    """A lease as it counts at a replica; *known* is what it knows of the state, None if nothing."""

    epoch: int
    left: int
    slips: int
    known: tuple[int, ...] | None


class Asked(NamedTuple):
    """A renewal or takeover under way: *since* when by the replica's clock, and how far.

    *done* is False while the database has not begun with it, or has not committed it.
    """

    takes: bool
    since: int
    slips: int
    epoch: int
    begun: bool
    done: bool
    seen: tuple[int, ...]


class Open(NamedTuple):
    """A transaction in the server, whose COMMIT may be done at any time.

    *page* is what a commit of the state was made from, None where it renews or takes. *waits* says
    that its replica waits for the answer.
    """

    replica: int
    epoch: int
    left: int
    page: tuple[int, ...] | None
    waits: bool


class World(NamedTuple):
    """All there is; *landed* are the epochs of the commits of the state, in their order."""

    row: Row
    landed: tuple[int, ...]
    held: tuple[Held | None, Held | None]
    asked: tuple[Asked | None, Asked | None]
    open: frozenset[Open]


_TAKEN = Asked(True, 0, 1, 1, begun=True, done=True, seen=())
START = World(Row(0, 1, LEASE), (), (None, None), (_TAKEN, None), frozenset())
"""The first has just taken the PBX, and waits for the answer; the second will take it from him."""


class Violation(Exception):
    """A promise is broken."""


def search(protocol: Protocol, bounds: Bounds) -> int:
    """Look at every world that can come about, and return how many; raises `Violation`."""
    seen, new = {START}, [START]
    while new:
        world = new.pop()
        for after in steps(world, protocol, bounds):
            if after not in seen:
                check(after)
                seen.add(after)
                new.append(after)
    return len(seen)


def check(world: World) -> None:
    """Raise `Violation` where both replicas have a lease that counts."""
    if all(held is not None and held.left > 0 for held in world.held):
        raise Violation("two replicas show the PBX")


def steps(world: World, protocol: Protocol, bounds: Bounds) -> Iterator[World]:
    """Yield every world that may come next."""
    yield from _time_passes(world, bounds)
    for each in world.open:
        yield from _lands(world, each, bounds)
        yield _without(world, each, waits_on=True)  # the server undoes it
        if each.waits:
            yield _answer_lost(world, each)
    for replica in REPLICAS:
        yield from _of_the_keeper(world, replica, protocol)
        if bounds.commits:
            yield from _of_the_poller(world, replica, protocol)


def _time_passes(world: World, bounds: Bounds) -> Iterator[World]:
    """A sixth of a lease: by all clocks, or by all but the one of a replica that is slow."""
    yield _later(world, None)
    for slow in REPLICAS if bounds.slow_clocks else ():
        held, asked = world.held[slow], world.asked[slow]
        if (held is None or held.slips) and (asked is None or asked.slips) and (held or asked):
            yield _later(world, slow)


def _later(world: World, slow: int | None) -> World:
    return world._replace(
        row=world.row._replace(left=_less(world.row.left)),
        held=_pair(lambda n: _held_later(world.held[n], n == slow)),
        asked=_pair(lambda n: _asked_later(world.asked[n], n == slow)),
        open=frozenset(each._replace(left=_less(each.left)) for each in world.open),
    )


def _less(left: int) -> int:
    return max(ENDED, left - 1)


def _held_later(held: Held | None, slow: bool) -> Held | None:
    if held is None:
        return None
    if slow:
        return held._replace(slips=held.slips - 1)
    return held._replace(left=_less(held.left))


def _asked_later(asked: Asked | None, slow: bool) -> Asked | None:
    if asked is None:
        return None
    if slow:
        return asked._replace(slips=asked.slips - 1)
    return asked._replace(since=min(LEASE, asked.since + 1))


def _lands(world: World, each: Open, bounds: Bounds) -> Iterator[World]:
    """A COMMIT is done; its answer is another step, or comes with it."""
    if each.page is None:
        after = _without(world, each)
        after = after._replace(row=Row(each.replica, each.epoch, each.left))
        asked = world.asked[each.replica]
        if each.waits and asked is not None:
            after = _with_asked(after, each.replica, asked._replace(done=True))
        yield after
    elif len(world.landed) < bounds.commits:
        yield from _page_lands(world, each, each.page)


def _page_lands(world: World, each: Open, page: tuple[int, ...]) -> Iterator[World]:
    after = _without(world, each)
    unknown = world.landed[len(page) :]
    if any(epoch != each.epoch for epoch in unknown):
        raise Violation("a commit was made without what another replica had committed")
    if unknown:
        # The state is not the one it knows: nothing is written.
        yield _doubting(after, each)
        return
    if each.epoch != world.row.epoch:
        raise Violation("a commit under an old lease landed after the takeover")
    after = after._replace(landed=(*world.landed, each.epoch))
    held = world.held[each.replica]
    if each.waits and held is not None:
        yield _with_held(after, each.replica, held._replace(known=after.landed))
    yield _doubting(after, each)


def _doubting(world: World, each: Open) -> World:
    """The poller does not know what became of its commit: it reads the state again."""
    held = world.held[each.replica]
    if not each.waits or held is None:
        return world
    return _with_held(world, each.replica, held._replace(known=None))


def _without(world: World, each: Open, *, waits_on: bool = False) -> World:
    after = world._replace(open=world.open - {each})
    if waits_on and each.waits and each.page is None:
        return _with_asked(after, each.replica, None)
    return after


def _answer_lost(world: World, each: Open) -> World:
    """The replica gives up; the transaction is still in the server."""
    after = world._replace(open=world.open - {each} | {each._replace(waits=False)})
    if each.page is None:
        return _with_asked(after, each.replica, None)
    return _doubting(after, each)


def _of_the_keeper(world: World, replica: int, protocol: Protocol) -> Iterator[World]:
    held, asked = world.held[replica], world.asked[replica]
    if asked is None:
        yield from _asks(world, replica, held)
        if held is not None and held.left == ENDED:
            yield _with_held(world, replica, None)  # its thread has ended
    elif not asked.begun:
        yield from _begins(world, replica, asked, protocol)
    elif asked.done:
        yield _with_asked(world, replica, None)  # the answer is lost
        yield _answered(world, replica, asked, protocol)


def _asks(world: World, replica: int, held: Held | None) -> Iterator[World]:
    if held is None and replica == 1:
        asked = Asked(True, 0, 0, 0, begun=False, done=False, seen=world.landed)
    elif held is not None and held.left > 0 and replica == 0:
        asked = Asked(False, 0, 1, held.epoch, begun=False, done=False, seen=())
    else:
        return
    yield _with_asked(world, replica, asked)


def _begins(world: World, replica: int, asked: Asked, protocol: Protocol) -> Iterator[World]:
    """The server runs the statement, which locks the row; not where somebody else has."""
    if any(each.page is None or protocol.fence_locks for each in world.open):
        return
    row = world.row
    if asked.takes:
        free = row.left == ENDED or not protocol.takes_only_what_ended
        allowed, epoch = free and row.epoch == 1, row.epoch + 1
    else:
        allowed, epoch = (row.holder, row.epoch) == (replica, asked.epoch), asked.epoch
    if allowed:
        opened = Open(replica, epoch, LEASE, None, waits=True)
        after = world._replace(open=world.open | {opened})
        yield _with_asked(after, replica, asked._replace(begun=True, epoch=epoch))


def _answered(world: World, replica: int, asked: Asked, protocol: Protocol) -> World:
    after = _with_asked(world, replica, None)
    held = world.held[replica]
    since = asked.since if protocol.counts_from_asking else 0
    left, slips = max(ENDED, protocol.valid_for - since), asked.slips
    if asked.takes:
        known = None if protocol.loads_after_taking else asked.seen
        return _with_held(after, replica, Held(asked.epoch, left, slips, known))
    if held is None or held.epoch != asked.epoch:
        return after
    if left <= held.left or held.left == ENDED:
        return after
    return _with_held(after, replica, held._replace(left=left, slips=slips))


def _of_the_poller(world: World, replica: int, protocol: Protocol) -> Iterator[World]:
    """It goes on as long as its thread does, whether or not the lease still counts."""
    held = world.held[replica]
    if held is None or replica in {each.replica for each in world.open if each.page is not None}:
        return
    is_locked = any(each.page is None for each in world.open)
    may_commit = not protocol.fence_compares or held.epoch == world.row.epoch
    if held.known is None:
        yield _with_held(world, replica, held._replace(known=world.landed))
    elif may_commit and not is_locked:
        opened = Open(replica, held.epoch, ENDED, held.known, waits=True)
        yield world._replace(open=world.open | {opened})


def _with_held(world: World, replica: int, held: Held | None) -> World:
    return world._replace(held=_pair(lambda n: held if n == replica else world.held[n]))


def _with_asked(world: World, replica: int, asked: Asked | None) -> World:
    return world._replace(asked=_pair(lambda n: asked if n == replica else world.asked[n]))


def _pair(of: Callable[[int], _T]) -> tuple[_T, _T]:
    return of(0), of(1)
