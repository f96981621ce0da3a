"""The ledger and its judgment of a page; the theory is in the package's docstring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import NamedTuple

from ..cdr import MAX_ID, Record, Rejected
from . import recheck_ranges
from .order import BY_ID, BY_TIME, Order
from .page import HEAD_ROWS, Page
from .ranges import Range, inside, total, united, within, without
from .recheck_ranges import RecheckRange
from .watermark import Watermark, is_ahead

REMEMBERED = 2_000
"""Identities kept by id: rows that turn up late, or anew, within so many are told apart."""

MOST_BY_TIME = 100_000
"""Identities kept by time. More rows than that in `longest_call` make it shorter."""

MOST_UNREAD = 500

_SLACK = 500
_REJECTS_REMEMBERED = 1_000

_SWEEP_EVERY = 300.0
"""Seconds between two reads of what may still bring rows, by time."""


class LedgerLimits(NamedTuple):
    """What a user decides, in seconds: see `exporter.yml`."""

    late_window: float
    longest_call: float


class PageVerdict(NamedTuple):
    """What a page brought: *ledger* holds once *counted* and *rejected* are committed with it.

    *late* and *reused* tell how many of *counted* were out of order, *pre_break* how many rows
    were left out because they ended before the last break. *passed* are these and those from
    before the start: done with, and not counted. *broke* is set by a break.
    """

    ledger: Ledger
    counted: Sequence[Record] = ()
    rejected: Sequence[Rejected] = ()
    late: int = 0
    reused: int = 0
    pre_break: int = 0
    passed: Sequence[Record] = ()
    broke: bool = False


@dataclass(frozen=True, slots=True)
class Ledger:
    """What is known of one PBX's table.

    *remembered* maps the identity of each row that is done with to its key: of all rows from the
    key *remembered_from* up, and of those in an unread range. *lowest* is no higher than any of
    these keys, nor than *remembered_from*. *unread* ranges are disjoint, newest first. *rejects*
    are identities of the newest rows without a usable key.
    *first_read* says what a first read that still goes on is for: `all` (a baseline that counts),
    `now` (what was there is remembered only: up to the key *newest_at_start*, and up to the break
    of *watermark*), or nothing. *id_ledger* is the ledger by id that came before one by time.
    """

    order: Order = BY_ID
    newest_key: int = 0
    remembered_from: int = 1
    remembered: Mapping[int, int] = field(default_factory=dict)
    unread: tuple[Range, ...] = ()
    recheck: tuple[RecheckRange, ...] = ()
    rejects: tuple[int, ...] = ()
    watermark: Watermark = field(default_factory=Watermark)
    first_read: str = ""
    id_ledger: Ledger | None = None
    newest_at_start: int = 0
    lowest: int = field(default=0, compare=False)

    @property
    def backlog(self) -> int:
        """Keys without evidence: by id, at most so many rows are still to be read."""
        return total(self.unread)

    @property
    def swept_at(self) -> float:
        """When that was read (epoch seconds) which may bring rows and was read longest ago.

        Infinity by id, where a first page shows what is new, late rows aside.
        """
        if self.order is BY_ID:
            return float("inf")
        return min((each.read for each in self.recheck), default=float("inf"))

    @property
    def baseline(self) -> bool:
        """Whether a first read of the whole table goes on."""
        return self.first_read == "all"

    @property
    def is_blank(self) -> bool:
        """Whether no row was ever seen, so that any table is ours."""
        return not self.remembered and not self.newest_key

    def due(self, now: float, terms: LedgerLimits) -> tuple[Range, ...]:
        """Return the ranges to read again at *now*, newest first."""
        return recheck_ranges.due(self.recheck, now, self._every(terms))

    def rank(self, key: int) -> int | None:
        """Return how many rows are known above *key*, or None where not all are remembered."""
        if key < self.remembered_from:
            return None
        return sum(key < each <= self.newest_key for each in self.remembered.values())

    def knows(self, page: Page) -> bool:
        """Say whether *page* shows by one of its rows that it is of our table."""
        if self.is_blank and self.id_ledger is not None:
            return self.id_ledger.is_blank or any(map(self.recognises, page.rows))
        if self.is_blank or not page.top:
            return True
        rows: list[Record | Rejected] = [*page.rows, *page.rejected]
        return any(map(self.recognises, rows))

    def recognises(self, row: Record | Rejected) -> bool:
        """Say whether *row* was seen itself, and all that was counted above it is remembered."""
        if self.remembered.get(self.order.identity(row), -1) >= self.remembered_from:
            return True
        return self.id_ledger is not None and self.id_ledger.recognises(row)

    def remembers(self, row: Record | Rejected, now: float) -> bool:
        """Say whether *row* is done with, as far as that is remembered."""
        if self.order.identity(row) in self.remembered:
            return True
        return (
            self.id_ledger is not None and isinstance(row, Record) and self.id_ledger.has(row, now)
        )

    def has(self, row: Record, now: float) -> bool:
        """Say whether *row*, in any order, was done with by this ledger."""
        if row.id and self.order.identity(row) in self.remembered:
            return True
        # An end in the future tells nothing: the row may have been there before the start.
        told = self.watermark.reaches(row) or is_ahead(row, now)
        if not 0 < row.id < self.remembered_from or not told:
            return False
        open_to_it = [*self.unread, *recheck_ranges.spans(self.recheck)]
        return not any(low <= row.id <= high for low, high in open_to_it)

    def judge(
        self, page: Page, now: float, terms: LedgerLimits, *, anchor: int | None = None
    ) -> PageVerdict:
        """Say which rows of *page* are new and what is known after it.

        *page* is of our table. Where it is a first one with no row that is remembered, *anchor*
        is the key of the nearest row below that is. Otherwise it joins on to the newest key.
        """
        unread = self._joined(page, anchor)
        open_rows = self._open_rows(page.rows, unread)
        fresh = self._fresh(open_rows, now)
        hidden = (
            [row for row in fresh if self.watermark.hides(row)] if self.watermark.is_set else []
        )
        counted = [row for row in fresh if not self.watermark.hides(row)] if hidden else fresh
        passed = hidden
        if self.first_read == "now":
            counted, hidden = self._since_start(fresh, self.newest_at_start or page.top, now), []
            seen = set(map(id, counted))
            passed = [row for row in fresh if id(row) not in seen]
        rejected = [row for row in page.rejected if self._is_new_reject(row, unread, now)]
        late, reused = self._out_of_order(counted, unread)
        after = self._after(page, unread, fresh, rejected, now, terms)
        return PageVerdict(
            after,
            counted,
            rejected,
            late=late,
            reused=reused,
            pre_break=len(hidden),
            passed=passed,
        )

    def broken(self, terms: LedgerLimits) -> Ledger:
        """Return the ledger of a new lineage, of which nothing was read yet."""
        by_time = self.watermark.newest - int(terms.longest_call)
        floor = max(0, by_time) if self.order is BY_TIME else 1
        mark = self.watermark.broken()
        return Ledger(order=self.order, remembered_from=floor, watermark=mark, rejects=self.rejects)

    # --- which rows count ------------------------------------------------------------------------

    def _joined(self, page: Page, anchor: int | None) -> tuple[Range, ...]:
        """Return the holes with that which *page* shows between itself and what we know."""
        if self.is_blank and page.top:
            return ((self.remembered_from, page.top),)
        anchor = self.newest_key if anchor is None else anchor
        if page.lowest <= anchor:
            return self.unread
        # The second of the anchor may have more rows; what is on the page itself is read by it.
        lowest = anchor if self.order.by_time else anchor + 1
        unread = united([*self.unread, (lowest, page.top)])
        if len(unread) > MOST_UNREAD and unread[1][0] >= self.remembered_from:
            unread = united([(unread[1][0], unread[0][1]), *unread[2:]])
        return unread

    def _open_rows(self, rows: Sequence[Record], unread: tuple[Range, ...]) -> Sequence[Record]:
        """Return the *rows* whose keys may bring something new."""
        key, floor = self.order.key, self.remembered_from
        if rows and key(rows[-1]) >= floor:
            return rows
        upper = list(takewhile(lambda row: key(row) >= floor, rows))
        lower = within(united([*unread, *recheck_ranges.spans(self.recheck)]), 0, floor - 1)
        return [*upper, *inside(rows[len(upper) :], lower, key)]

    def _since_start(self, rows: Sequence[Record], newest: int, now: float) -> Sequence[Record]:
        """Return those of *rows* that were not there when *newest* was the newest key."""
        key, mark = self.order.key, self.watermark
        return [row for row in rows if key(row) > newest or mark.passed_by(row, now)]

    def _fresh(self, rows: Sequence[Record], now: float) -> Sequence[Record]:
        """Return those of *rows* that are not done with."""
        nothing_remembered = not self.remembered and self.id_ledger is None
        if nothing_remembered or (rows and self._is_below_memory(rows[0])):
            return _each_once(rows, self.order)
        return [row for row in _each_once(rows, self.order) if not self.remembers(row, now)]

    def _is_below_memory(self, row: Record) -> bool:
        # The way of a million rows: most of them lie below everything that is remembered.
        return self.order is BY_ID and row.id < self.lowest

    def _out_of_order(
        self, counted: Sequence[Record], unread: tuple[Range, ...]
    ) -> tuple[int, int]:
        """Count the late rows and those with the id of another row seen before."""
        if self.order is BY_TIME or not counted:
            return 0, 0
        if self._is_below_memory(counted[0]):
            return len(counted) - len(inside(counted, unread, self.order.key)), 0
        ids = set(self.remembered.values())
        reused = [row for row in counted if row.id in ids]
        others = [row for row in counted if row.id not in ids and row.id <= self.newest_key]
        return len(others) - len(inside(others, unread, self.order.key)), len(reused)

    def _is_new_reject(self, row: Rejected, unread: tuple[Range, ...], now: float) -> bool:
        """Say whether a row that cannot be counted is seen for the first time."""
        if row.id is None or self.order is BY_TIME:
            return row.fingerprint not in self.rejects
        if self.remembers(row, now):
            return False
        return row.id >= self.remembered_from or any(low <= row.id <= high for low, high in unread)

    # --- what is known after it ------------------------------------------------------------------

    def _after(
        self,
        page: Page,
        unread: tuple[Range, ...],
        fresh: Sequence[Record],
        rejected: Sequence[Rejected],
        now: float,
        terms: LedgerLimits,
    ) -> Ledger:
        left = without(unread, *page.evidence) if page.top else unread
        mark = self.watermark.after(fresh, now) if fresh else self.watermark
        top = page.top if page.size else 0
        high = top if page.first and top else max(self.newest_key, top)
        rejects = self._rejects(rejected)
        seen = self._identities(fresh, rejected)
        after = replace(
            self,
            newest_key=high,
            remembered={**self.remembered, **seen} if seen else self.remembered,
            unread=left,
            recheck=self._gaps(page, unread, mark, now, terms),
            rejects=rejects,
            watermark=mark if left or self.first_read != "now" else mark.whole(),
            first_read=self.first_read if left else "",
            newest_at_start=self.newest_at_start or (page.top if self.first_read == "now" else 0),
        )
        return after._pruned()

    def _rejects(self, rejected: Sequence[Rejected]) -> tuple[int, ...]:
        new = [row.fingerprint for row in rejected if row.id is None or self.order is BY_TIME]
        return (*self.rejects, *new)[-_REJECTS_REMEMBERED:] if new else self.rejects

    def _identities(self, fresh: Sequence[Record], rejected: Sequence[Rejected]) -> dict[int, int]:
        order = self.order
        if order is BY_TIME:
            return {order.identity(row): row.started_at for row in fresh}
        floor = self.remembered_from
        seen = {order.identity(row): row.id for row in fresh if row.id >= floor}
        bad = {order.identity(row): row.id for row in rejected if row.id and row.id >= floor}
        return seen | bad

    def _gaps(
        self,
        page: Page,
        unread: tuple[Range, ...],
        mark: Watermark,
        now: float,
        terms: LedgerLimits,
    ) -> tuple[RecheckRange, ...]:
        if not page.top:
            return self.recheck
        lowest, highest = page.evidence
        known = recheck_ranges.read_at(self.recheck, page.evidence, now, self._every(terms))
        if self.order is BY_TIME:
            # A row from the future must not end the time in which others may turn up.
            ended = min(mark.newest, int(now)) - int(terms.longest_call)
            return self._gaps_by_time(page, unread, known, ended, now)
        kept = tuple(each for each in known if not _is_over(each, now, terms.late_window))
        grown = [*unread, (self.newest_key + 1, page.top)] if page.first else unread
        newly = within(united(grown), lowest, min(highest, page.top))
        if newly and page.rows and _ended(page) < min(mark.newest, now) - terms.late_window:
            newly = ()
        if not newly and not kept:
            return ()
        bad = [row.id for row in page.rejected if row.id]
        there = sorted([*(row.id for row in page.rows), *bad], reverse=True)
        late = inside(there, recheck_ranges.spans(kept), int) if kept else []
        if not newly and not late:
            return kept
        for row_id in late:
            kept = recheck_ranges.cut(kept, row_id, row_id)
        missing = recheck_ranges.missing(newly, there)
        return recheck_ranges.tidy(
            [*kept, *(RecheckRange(low, high, int(now), now) for low, high in missing)]
        )

    def _gaps_by_time(
        self,
        page: Page,
        unread: tuple[Range, ...],
        known: tuple[RecheckRange, ...],
        ended: int,
        now: float,
    ) -> tuple[RecheckRange, ...]:
        """Return the seconds in which calls began that are still to end."""
        lowest, highest = page.evidence
        grown = [*unread, (self.newest_key + 1, page.top)]
        newly = within(united(grown), max(lowest, ended), min(highest, page.top))
        kept = recheck_ranges.cut(known, lowest, min(highest, ended - 1))
        return recheck_ranges.tidy(
            [*kept, *(RecheckRange(low, high, 0, now) for low, high in newly)]
        )

    def _every(self, terms: LedgerLimits) -> float:
        return _SWEEP_EVERY if self.order is BY_TIME else terms.late_window / 2

    # --- bounds ----------------------------------------------------------------------------------

    def _pruned(self) -> Ledger:
        return self._pruned_by_time() if self.order is BY_TIME else self._pruned_by_id()

    def _pruned_by_id(self) -> Ledger:
        if len(self.remembered) <= REMEMBERED + _SLACK:
            return self
        live = sorted(key for key in self.remembered.values() if key <= self.newest_key)[
            -REMEMBERED:
        ]
        vanished = sum(key > self.newest_key for key in self.remembered.values())
        floor = live[0] if live else self.remembered_from
        most = self.newest_key if vanished > REMEMBERED else MAX_ID
        mark = self.watermark.broken() if vanished > REMEMBERED else self.watermark
        kept = {each: key for each, key in self._needed(floor).items() if key <= most}
        lowest = min([floor, *kept.values()])
        return replace(self, remembered=kept, remembered_from=floor, watermark=mark, lowest=lowest)

    def _needed(self, floor: int) -> dict[int, int]:
        """Return the identities from *floor* up, and those in holes.

        A hole down to an anchor holds rows that were counted, too, where the anchor is not the
        newest of them. And by time, the second in which a hole ends may have rows on both sides.
        """
        unread = self.unread
        return {
            each: key
            for each, key in self.remembered.items()
            if key >= floor or any(low <= key <= high for low, high in unread)
        }

    def _pruned_by_time(self) -> Ledger:
        floor = min((each.low for each in self.recheck), default=self.newest_key)
        if len(self.remembered) > MOST_BY_TIME:
            floor = max(floor, sorted(self.remembered.values())[-MOST_BY_TIME])
        if floor == self.remembered_from and not self.unread:
            return self
        recheck = recheck_ranges.cut(self.recheck, 0, floor - 1)
        return replace(self, remembered_from=floor, remembered=self._needed(floor), recheck=recheck)


def _is_over(each: RecheckRange, now: float, late_window: float) -> bool:
    return each.read == now and now - each.since >= late_window


def _ended(page: Page) -> int:
    """Return about when the calls of *page* ended; its newest rows tell."""
    return max((row.ended_at for row in page.rows[:HEAD_ROWS]), default=0)


def _each_once(rows: Sequence[Record], order: Order) -> Sequence[Record]:
    """Return *rows*, by time without those that came twice; by id the page is void then."""
    if order is BY_ID:
        return rows
    return list({order.identity(row): row for row in rows}.values())
