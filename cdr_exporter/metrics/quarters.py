"""Calls by quarter of an hour: what the exporter's own pages draw. Pure.

Rule: a call belongs to the quarter in which it *started*, however late it is counted. So a chart
shows when people telephoned, while counters, and Prometheus with them, go by when a call was
counted, which is after its end.

Quarters, and not hours, since time zones differ by quarters of an hour: the hours and days of any
zone are sums of quarters of UTC. A quarter is named by its number since 1970, `time // 900`.

| kept | how long |
|---|---|
| calls by call type and outcome, and sums of them | the running day of UTC and `KEPT_DAYS` before |
| in which quarters the PBX was reached | as long |
| since when calls are counted | for ever |

A call that started before that, or whose start is impossible, is in no quarter.

Memory: blocks of six hours are packed, about ten bytes for each call type and outcome of a quarter.
A PBX of 600 calls a day at all hours takes 130 kB, one of 20,000 calls a day 380 kB.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, product
from operator import add
from typing import NamedTuple

import msgspec

from ..calls import OUTCOMES, CallGroup
from ..cdr.contract import CALL_TYPES
from ..cdr.labels import OTHER_CALL_TYPE
from ..ledger.watermark import is_possible

QUARTER = 900
"""Seconds of a quarter of an hour."""

KEPT_DAYS = 32
"""Whole days before the running one (UTC): they hold 31 local days and the running one, wherever
the PBX stands, with a change of clocks among them."""

IN_TIME_SECONDS = 20
"""A call answered within these seconds is answered in time: the service level of the dashboards."""

SLIP_SECONDS = 5
"""Who gives up within these seconds is left out of the service level, as in the dashboards."""

KINDS = tuple(product((*CALL_TYPES, OTHER_CALL_TYPE), OUTCOMES))
"""Call type and outcome by their number. The order is part of the format of a state file."""

_DAY_SECONDS = 86_400
_DAY = _DAY_SECONDS // QUARTER
_BLOCK = 24
"""Quarters that are packed together: more take less memory, fewer are packed again sooner."""

_NUMBER_OF_KIND = {kind: number for number, kind in enumerate(KINDS)}


class Sums(NamedTuple):
    """Sums over calls of one call type and outcome; the order is part of the file's format.

    *in_time* are calls answered within `IN_TIME_SECONDS`, *gave_up* those that nobody answered and
    that were given up later than `SLIP_SECONDS` after they were handed to people. *wait* and *talk*
    are seconds; calls have a wait where their outcome is `answered`.
    """

    calls: int = 0
    in_time: int = 0
    gave_up: int = 0
    wait: int = 0
    talk: int = 0


Cells = Mapping[int, Sequence[int]]
"""The calls of one quarter: the numbers of `Sums` by the number of their kind."""


class CallSums:
    """The calls of some time, *by_kind* (call type, outcome).

    The shares are those of the recording rules and dashboards, over inbound calls: None where
    there is nothing to divide by. Calls that the PBX blocked are in none of them.
    """

    def __init__(self, by_kind: Mapping[tuple[str, str], Sums]) -> None:
        self.by_kind = by_kind

    @classmethod
    def together(cls, parts: Iterable[CallSums]) -> CallSums:
        """Return the calls of all *parts*."""
        both: dict[tuple[str, str], Sums] = {}
        for part in parts:
            for kind, sums in part.by_kind.items():
                both[kind] = Sums(*map(add, both.get(kind, Sums()), sums))
        return cls(both)

    @property
    def calls(self) -> int:
        """All calls."""
        return sum(sums.calls for sums in self.by_kind.values())

    def of_outcome(self, outcome: str) -> int:
        """Return the calls, of any type, with *outcome*."""
        return sum(s.calls for (_, each), s in self.by_kind.items() if each == outcome)

    def of_type(self, call_type: str) -> int:
        """Return the calls of *call_type*."""
        return sum(s.calls for (each, _), s in self.by_kind.items() if each == call_type)

    @property
    def answered_share(self) -> float | None:
        """Inbound calls that a person answered / all inbound calls but blocked ones."""
        offered = sum(s.calls for outcome, s in self._inbound if outcome != "blocked")
        return self._inbound_sum("answered").calls / offered if offered else None

    @property
    def in_time_share(self) -> float | None:
        """Inbound calls answered in time / those answered, or given up after more than a slip."""
        answered, missed = self._inbound_sum("answered"), self._inbound_sum("no_answer")
        judged = answered.calls + missed.gave_up
        return answered.in_time / judged if judged else None

    @property
    def mean_wait(self) -> float | None:
        """Seconds until a person answered an inbound call, on average."""
        answered = self._inbound_sum("answered")
        return answered.wait / answered.calls if answered.calls else None

    @property
    def mean_talk(self) -> float | None:
        """Seconds with people in an answered call of any type, on average."""
        answered = [s for (_, outcome), s in self.by_kind.items() if outcome == "answered"]
        calls = sum(sums.calls for sums in answered)
        return sum(sums.talk for sums in answered) / calls if calls else None

    @property
    def _inbound(self) -> Sequence[tuple[str, Sums]]:
        return [
            (outcome, s)
            for (call_type, outcome), s in self.by_kind.items()
            if call_type == "Inbound"
        ]

    def _inbound_sum(self, outcome: str) -> Sums:
        return self.by_kind.get(("Inbound", outcome), Sums())


@dataclass(frozen=True, slots=True)
class Coverage:
    """Of which time the calls are known.

    *counted_from* is when counting began, in epoch seconds: the first start of the exporter, or
    with `start: all` the start of the oldest call that the PBX still had; None before. *reached*
    are the first and last quarters of the times in which polls succeeded, oldest first. What a
    baseline holds counts as reached.
    """

    counted_from: int | None = None
    reached: tuple[tuple[int, int], ...] = ()

    def begun(self, now: float) -> Coverage:
        """Return the coverage once something is counted, or the PBX replied, at *now*.

        A beginning that lies ahead was noted by a clock that was ahead.
        """
        if self.counted_from is not None and self.counted_from <= now:
            return self
        return Coverage(int(now), self.reached)

    def with_baseline(self, start: int, now: float) -> Coverage:
        """Return the coverage of a baseline in which a call started at *start* (epoch seconds)."""
        start = min(start, int(now) if self.counted_from is None else self.counted_from)
        return Coverage(start, ((start // QUARTER, int(now) // QUARTER),))

    def reached_at(self, now: float, gap: float) -> Coverage:
        """Return the coverage after a poll that succeeded at *now*.

        Up to *gap* seconds since the last one count as reached, too.
        """
        quarter = int(now) // QUARTER
        if any(first <= quarter <= last for first, last in self.reached):
            return self
        # Our clock may have been ahead for a while: then spans lie ahead, and stay apart.
        before = [span for span in self.reached if span[1] < quarter]
        later = self.reached[len(before) :]
        if before and quarter - 1 - before[-1][1] <= gap // QUARTER:
            before[-1] = (before[-1][0], quarter)
        else:
            before.append((quarter, quarter))
        return Coverage(self.counted_from, (*before, *later))

    def since(self, oldest: int) -> Coverage:
        """Return the coverage without the times that ended before the quarter *oldest*."""
        kept = tuple(span for span in self.reached if span[1] >= oldest)
        return self if len(kept) == len(self.reached) else Coverage(self.counted_from, kept)

    def unreached(self, first: int, end: int) -> int:
        """Return in how many quarters from *first* to before *end* the PBX was not reached.

        Only since counting began.
        """
        if self.counted_from is None:
            return 0
        first = max(first, self.counted_from // QUARTER)
        spans = (min(end, last + 1) - max(first, since) for since, last in self.reached)
        return max(0, end - first) - sum(max(0, each) for each in spans)


@dataclass(frozen=True, slots=True)
class Quarters:
    """The calls of one PBX by quarter, in packed *blocks* by their number since 1970."""

    blocks: Mapping[int, bytes] = field(default_factory=dict)
    coverage: Coverage = Coverage()

    def after(
        self, calls: Iterable[CallGroup], now: float, *, baseline: bool = False
    ) -> QuarterChange:
        """Return what *calls*, which are over, change at *now* (epoch seconds).

        With *baseline*, they are from before the first start, and counting reaches back to them.
        """
        counted = _count(calls)
        added = {q: cells for q, cells in counted.items() if is_possible(q * QUARTER, now)}
        coverage = self.coverage.begun(now)
        if baseline and added:
            coverage = coverage.with_baseline(min(added) * QUARTER, now)
        oldest = (self._latest(added, now) // _DAY_SECONDS - KEPT_DAYS) * _DAY
        blocks = dict(self.blocks)
        dropped = [n for n in blocks if n < _block_of(oldest)]
        for n in dropped:
            del blocks[n]
        written: dict[int, Cells] = {}
        for n, quarters in groupby(sorted(q for q in added if q >= oldest), key=_block_of):
            cells = _unpack(blocks[n]) if n in blocks else {}
            for quarter in quarters:
                cells[quarter] = written[quarter] = _merged(cells.get(quarter), added[quarter])
            blocks[n] = _pack(cells)
        coverage = coverage.since(oldest)
        if not written and not dropped and coverage == self.coverage:
            return QuarterChange(self)
        covers_more = coverage != self.coverage
        after = Quarters(blocks, coverage)
        return QuarterChange(after, written, oldest if dropped else 0, covers_more)

    def _latest(self, added: Collection[int], now: float) -> int:
        """Return the time that decides what is old: a day after the last call, if *now* is later.

        Nothing is dropped because our clock is ahead for a while.
        """
        if not self.blocks:
            return int(now)
        last_known = max([(max(self.blocks) + 1) * _BLOCK, *added]) + _DAY
        return min(int(now), last_known * QUARTER)

    def reached_at(self, now: float, gap: float) -> QuarterChange:
        """Return what a poll changes that succeeded at *now*; for *gap* see `Coverage`."""
        coverage = self.coverage.begun(now).reached_at(now, gap)
        if coverage == self.coverage:
            return QuarterChange(self)
        return QuarterChange(Quarters(self.blocks, coverage), covers_more=True)

    def cells(self) -> Iterator[tuple[int, Cells]]:
        """Yield each quarter that has calls, in no order."""
        for packed in self.blocks.values():
            yield from _unpack(packed).items()

    def sums(self, bounds: Sequence[int]) -> list[CallSums]:
        """Return the calls from each of *bounds* to before the next; quarters, ascending."""
        found: list[dict[int, Sequence[int]]] = [{} for _ in bounds[1:]]
        blocks = range(_block_of(bounds[0]), _block_of(bounds[-1] - 1) + 1)
        for packed in (packed for n, packed in self.blocks.items() if n in blocks):
            for quarter, cells in _unpack(packed).items():
                if bounds[0] <= quarter < bounds[-1]:
                    _add(found[bisect_right(bounds, quarter) - 1], cells)
        return [
            CallSums({KINDS[kind]: Sums(*numbers) for kind, numbers in each.items()})
            for each in found
        ]


class QuarterChange(NamedTuple):
    """What a commit changes about the quarters.

    *written* holds the quarters that changed; those before *dropped_before* are kept no longer.
    *covers_more* says that the coverage has changed.
    """

    after: Quarters
    written: Mapping[int, Cells] = {}
    dropped_before: int = 0
    covers_more: bool = False


def quarters_of(rows: Iterable[tuple[int, Cells]], coverage: Coverage) -> Quarters:
    """Return the quarters of a state file: its *rows*, in the order of the quarters."""
    blocks = {n: _pack(dict(each)) for n, each in groupby(rows, key=lambda row: _block_of(row[0]))}
    return Quarters(blocks, coverage)


def _block_of(quarter: int) -> int:
    return quarter // _BLOCK


def _count(groups: Iterable[CallGroup]) -> Mapping[int, Cells]:
    """Return the calls of *groups* by quarter and kind."""
    of_kinds: dict[int, _ByQuarter] = {}
    for group in groups:
        kind = _NUMBER_OF_KIND[group.call_type, group.outcome]
        _count_group(of_kinds.setdefault(kind, defaultdict(_zeros)), group)
    counted: dict[int, dict[int, list[int]]] = defaultdict(dict)
    for kind, by_quarter in of_kinds.items():
        for quarter, numbers in by_quarter.items():
            counted[quarter][kind] = numbers
    return counted


_ByQuarter = defaultdict[int, list[int]]
"""The numbers of `Sums` by quarter."""

_CALLS, _IN_TIME, _GAVE_UP, _WAIT, _TALK = range(len(Sums._fields))


def _zeros() -> list[int]:
    return [0] * len(Sums._fields)


def _count_group(counted: _ByQuarter, group: CallGroup) -> None:
    """Add the calls of *group* to *counted*."""
    if group.outcome == "answered":
        for start, wait, talk in zip(group.starts, group.waits, group.talks, strict=True):
            sums = counted[start // QUARTER]
            sums[_CALLS] += 1
            sums[_IN_TIME] += wait <= IN_TIME_SECONDS
            sums[_WAIT] += wait
            sums[_TALK] += talk
        return
    for start in group.starts:
        counted[start // QUARTER][_CALLS] += 1
    if group.abandons:
        for start, abandon in zip(group.starts, group.abandons, strict=True):
            counted[start // QUARTER][_GAVE_UP] += abandon > SLIP_SECONDS


def _merged(known: Cells | None, added: Cells) -> Cells:
    cells = dict(known or {})
    _add(cells, added)
    return cells


def _add(cells: dict[int, Sequence[int]], added: Cells) -> None:
    """Add to *cells*, in which another sequence then stands for each of *added*."""
    for kind, numbers in added.items():
        known = cells.get(kind)
        cells[kind] = numbers if known is None else list(map(add, known, numbers))


def _pack(cells: Mapping[int, Cells]) -> bytes:
    """Return the quarters of one block as bytes; `_unpack` reads them."""
    return _packer.encode(cells)


def _unpack(packed: bytes) -> dict[int, Cells]:
    return _unpacker.decode(packed)


_packer = msgspec.msgpack.Encoder()
_unpacker: msgspec.msgpack.Decoder[dict[int, Cells]] = msgspec.msgpack.Decoder(
    dict[int, dict[int, tuple[int, ...]]]
)
