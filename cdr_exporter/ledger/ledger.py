"""The ledger and its judgment of a page; the theory is in the package's docstring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import NamedTuple

from ..cdr import MAX_ID, Record, Rejected
from . import recheck_ranges
from .order import BY_ID, BY_TIME, Order
from .page import FIRST_PAGE_ROWS, Page
from .ranges import Range, count_keys, intersect, merge, rows_in, subtract
from .recheck_ranges import RecheckRange
from .watermark import Watermark, is_in_future

REMEMBERED_BY_ID = 2_000
"""Identities kept by id: rows that turn up late, or anew, within so many are told apart."""

REMEMBERED_BY_TIME = 100_000
"""Identities kept by time. More rows than that in `longest_call` make it shorter."""

MAX_UNREAD_RANGES = 500

_PRUNE_MARGIN = 500
_MAX_REJECTS = 1_000

_RECHECK_INTERVAL_BY_TIME = 300.0
"""Seconds between two reads of what may still bring rows, by time."""


class LedgerLimits(NamedTuple):
    """What a user decides, in seconds: see `exporter.yml`."""

    late_window: float
    longest_call: float


class PageVerdict(NamedTuple):
    """What a page brought: *ledger* holds once *counted* and *rejected* are committed with it.

    *late* and *reused* tell how many of *counted* were out of order, *pre_break* how many rows
    were left out because they ended before the last break. *left_out* are these and those from
    before the start: done with, and not counted. *lineage_broke* is set by a break.
    """

    ledger: Ledger
    counted: Sequence[Record] = ()
    rejected: Sequence[Rejected] = ()
    late: int = 0
    reused: int = 0
    pre_break: int = 0
    left_out: Sequence[Record] = ()
    lineage_broke: bool = False


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
    lowest_remembered: int = field(default=0, compare=False)

    @property
    def backlog(self) -> int:
        """Keys without evidence: by id, at most so many rows are still to be read."""
        return count_keys(self.unread)

    @property
    def all_read_since(self) -> float:
        """When that was read (epoch seconds) which may bring rows and was read longest ago.

        Infinity by id, where a first page shows what is new, late rows aside.
        """
        if self.order is BY_ID:
            return float("inf")
        return min((each.last_read for each in self.recheck), default=float("inf"))

    @property
    def in_baseline(self) -> bool:
        """Whether a first read of the whole table goes on."""
        return self.first_read == "all"

    @property
    def is_empty(self) -> bool:
        """Whether no row was ever seen, so that any table is ours."""
        return not self.remembered and not self.newest_key

    def due(self, now: float, limits: LedgerLimits) -> tuple[Range, ...]:
        """Return the ranges to read again at *now*, newest first."""
        return recheck_ranges.due(self.recheck, now, self._recheck_interval(limits))

    def known_rows_above(self, key: int) -> int | None:
        """Return how many rows are known above *key*, or None where not all are remembered."""
        if key < self.remembered_from:
            return None
        return sum(key < each <= self.newest_key for each in self.remembered.values())

    def recognises(self, page: Page) -> bool:
        """Say whether *page* shows by one of its rows that it is of our table."""
        if self.is_empty and self.id_ledger is not None:
            return self.id_ledger.is_empty or any(map(self.is_anchor, page.rows))
        if self.is_empty or not page.highest:
            return True
        rows: list[Record | Rejected] = [*page.rows, *page.rejected]
        return any(map(self.is_anchor, rows))

    def is_anchor(self, row: Record | Rejected) -> bool:
        """Say whether *row* was seen itself, and all that was counted above it is remembered."""
        if self.remembered.get(self.order.identity(row), -1) >= self.remembered_from:
            return True
        return self.id_ledger is not None and self.id_ledger.is_anchor(row)

    def is_processed(self, row: Record | Rejected, now: float) -> bool:
        """Say whether *row* is done with, as far as that is remembered."""
        if self.order.identity(row) in self.remembered:
            return True
        return (
            self.id_ledger is not None
            and isinstance(row, Record)
            and self.id_ledger.was_processed_by_id(row, now)
        )

    def was_processed_by_id(self, row: Record, now: float) -> bool:
        """Say whether *row*, in any order, was done with by this ledger."""
        if row.id and self.order.identity(row) in self.remembered:
            return True
        # An end in the future tells nothing: the row may have been there before the start.
        may_be_old = self.watermark.may_be_processed(row) or is_in_future(row, now)
        if not 0 < row.id < self.remembered_from or not may_be_old:
            return False
        open_ranges = [*self.unread, *recheck_ranges.spans(self.recheck)]
        return not any(low <= row.id <= high for low, high in open_ranges)

    def judge(
        self, page: Page, now: float, limits: LedgerLimits, *, anchor: int | None = None
    ) -> PageVerdict:
        """Say which rows of *page* are new and what is known after it.

        *page* is of our table. Where it is a first one with no row that is remembered, *anchor*
        is the key of the nearest row below that is. Otherwise it joins on to the newest key.
        """
        unread = self._unread_up_to(page, anchor)
        candidates = self._candidates(page.rows, unread)
        new_rows = self._new_rows(candidates, now)
        pre_break_rows = (
            [row for row in new_rows if self.watermark.may_predate_break(row)]
            if self.watermark.has_break
            else []
        )
        counted = (
            [row for row in new_rows if not self.watermark.may_predate_break(row)]
            if pre_break_rows
            else new_rows
        )
        left_out = pre_break_rows
        if self.first_read == "now":
            counted, pre_break_rows = (
                self._since_start(new_rows, self.newest_at_start or page.highest, now),
                [],
            )
            counted_rows = set(map(id, counted))
            left_out = [row for row in new_rows if id(row) not in counted_rows]
        rejected = [row for row in page.rejected if self._is_new_reject(row, unread, now)]
        late, reused = self._count_out_of_order(counted, unread)
        after = self._after_page(page, unread, new_rows, rejected, now, limits)
        return PageVerdict(
            after,
            counted,
            rejected,
            late=late,
            reused=reused,
            pre_break=len(pre_break_rows),
            left_out=left_out,
        )

    def new_lineage(self, limits: LedgerLimits) -> Ledger:
        """Return the ledger of a new lineage, of which nothing was read yet."""
        by_time = self.watermark.newest_end - int(limits.longest_call)
        remembered_from = max(0, by_time) if self.order is BY_TIME else 1
        watermark = self.watermark.with_break()
        return Ledger(
            order=self.order,
            remembered_from=remembered_from,
            watermark=watermark,
            rejects=self.rejects,
        )

    # --- which rows count ------------------------------------------------------------------------

    def _unread_up_to(self, page: Page, anchor: int | None) -> tuple[Range, ...]:
        """Return the holes with that which *page* shows between itself and what we know."""
        if self.is_empty and page.highest:
            return ((self.remembered_from, page.highest),)
        anchor = self.newest_key if anchor is None else anchor
        if page.lowest <= anchor:
            return self.unread
        # The second of the anchor may have more rows; what is on the page itself is read by it.
        lowest = anchor if self.order.by_time else anchor + 1
        unread = merge([*self.unread, (lowest, page.highest)])
        if len(unread) > MAX_UNREAD_RANGES and unread[1][0] >= self.remembered_from:
            unread = merge([(unread[1][0], unread[0][1]), *unread[2:]])
        return unread

    def _candidates(self, rows: Sequence[Record], unread: tuple[Range, ...]) -> Sequence[Record]:
        """Return the *rows* whose keys may bring something new."""
        key, remembered_from = self.order.key, self.remembered_from
        if rows and key(rows[-1]) >= remembered_from:
            return rows
        upper = list(takewhile(lambda row: key(row) >= remembered_from, rows))
        lower = intersect(
            merge([*unread, *recheck_ranges.spans(self.recheck)]), 0, remembered_from - 1
        )
        return [*upper, *rows_in(rows[len(upper) :], lower, key)]

    def _since_start(self, rows: Sequence[Record], newest: int, now: float) -> Sequence[Record]:
        """Return those of *rows* that were not there when *newest_end* was the newest key."""
        key, watermark = self.order.key, self.watermark
        return [row for row in rows if key(row) > newest or watermark.is_after_break(row, now)]

    def _new_rows(self, rows: Sequence[Record], now: float) -> Sequence[Record]:
        """Return those of *rows* that are not done with."""
        remembers_nothing = not self.remembered and self.id_ledger is None
        if remembers_nothing or (rows and self._is_below_remembered(rows[0])):
            return _without_duplicates(rows, self.order)
        return [
            row for row in _without_duplicates(rows, self.order) if not self.is_processed(row, now)
        ]

    def _is_below_remembered(self, row: Record) -> bool:
        # The way of a million rows: most of them lie below everything that is remembered.
        return self.order is BY_ID and row.id < self.lowest_remembered

    def _count_out_of_order(
        self, counted: Sequence[Record], unread: tuple[Range, ...]
    ) -> tuple[int, int]:
        """Count the late rows and those with the id of another row seen before."""
        if self.order is BY_TIME or not counted:
            return 0, 0
        if self._is_below_remembered(counted[0]):
            return len(counted) - len(rows_in(counted, unread, self.order.key)), 0
        ids = set(self.remembered.values())
        reused = [row for row in counted if row.id in ids]
        others = [row for row in counted if row.id not in ids and row.id <= self.newest_key]
        return len(others) - len(rows_in(others, unread, self.order.key)), len(reused)

    def _is_new_reject(self, row: Rejected, unread: tuple[Range, ...], now: float) -> bool:
        """Say whether a row that cannot be counted is seen for the first time."""
        if row.id is None or self.order is BY_TIME:
            return row.fingerprint not in self.rejects
        if self.is_processed(row, now):
            return False
        return row.id >= self.remembered_from or any(low <= row.id <= high for low, high in unread)

    # --- what is known after it ------------------------------------------------------------------

    def _after_page(
        self,
        page: Page,
        unread: tuple[Range, ...],
        new_rows: Sequence[Record],
        rejected: Sequence[Rejected],
        now: float,
        limits: LedgerLimits,
    ) -> Ledger:
        still_unread = subtract(unread, *page.evidence) if page.highest else unread
        watermark = self.watermark.after(new_rows, now) if new_rows else self.watermark
        highest = page.highest if page.size else 0
        newest_key = highest if page.is_first and highest else max(self.newest_key, highest)
        rejects = self._rejects(rejected)
        identities = self._identities(new_rows, rejected)
        after = replace(
            self,
            newest_key=newest_key,
            remembered={**self.remembered, **identities} if identities else self.remembered,
            unread=still_unread,
            recheck=self._recheck_after_page(page, unread, watermark, now, limits),
            rejects=rejects,
            watermark=watermark
            if still_unread or self.first_read != "now"
            else watermark.without_break(),
            first_read=self.first_read if still_unread else "",
            newest_at_start=self.newest_at_start
            or (page.highest if self.first_read == "now" else 0),
        )
        return after._pruned()

    def _rejects(self, rejected: Sequence[Rejected]) -> tuple[int, ...]:
        new = [row.fingerprint for row in rejected if row.id is None or self.order is BY_TIME]
        return (*self.rejects, *new)[-_MAX_REJECTS:] if new else self.rejects

    def _identities(
        self, new_rows: Sequence[Record], rejected: Sequence[Rejected]
    ) -> dict[int, int]:
        order = self.order
        if order is BY_TIME:
            return {order.identity(row): row.started_at for row in new_rows}
        remembered_from = self.remembered_from
        accepted = {order.identity(row): row.id for row in new_rows if row.id >= remembered_from}
        refused = {
            order.identity(row): row.id for row in rejected if row.id and row.id >= remembered_from
        }
        return accepted | refused

    def _recheck_after_page(
        self,
        page: Page,
        unread: tuple[Range, ...],
        watermark: Watermark,
        now: float,
        limits: LedgerLimits,
    ) -> tuple[RecheckRange, ...]:
        if not page.highest:
            return self.recheck
        lowest, highest = page.evidence
        updated = recheck_ranges.after_page(
            self.recheck, page.evidence, now, self._recheck_interval(limits)
        )
        if self.order is BY_TIME:
            # A row from the future must not end the time in which others may turn up.
            settled_before = min(watermark.newest_end, int(now)) - int(limits.longest_call)
            return self._recheck_by_time(page, unread, updated, settled_before, now)
        kept = tuple(each for each in updated if not _is_expired(each, now, limits.late_window))
        never_read = [*unread, (self.newest_key + 1, page.highest)] if page.is_first else unread
        newly_read = intersect(merge(never_read), lowest, min(highest, page.highest))
        if (
            newly_read
            and page.rows
            and _newest_end(page) < min(watermark.newest_end, now) - limits.late_window
        ):
            newly_read = ()
        if not newly_read and not kept:
            return ()
        rejected_ids = [row.id for row in page.rejected if row.id]
        present_ids = sorted([*(row.id for row in page.rows), *rejected_ids], reverse=True)
        late_ids = rows_in(present_ids, recheck_ranges.spans(kept), int) if kept else []
        if not newly_read and not late_ids:
            return kept
        for row_id in late_ids:
            kept = recheck_ranges.without_keys(kept, row_id, row_id)
        missing = recheck_ranges.missing_ranges(newly_read, present_ids)
        return recheck_ranges.normalized(
            [*kept, *(RecheckRange(low, high, int(now), now) for low, high in missing)]
        )

    def _recheck_by_time(
        self,
        page: Page,
        unread: tuple[Range, ...],
        updated: tuple[RecheckRange, ...],
        settled_before: int,
        now: float,
    ) -> tuple[RecheckRange, ...]:
        """Return the seconds in which calls began that are still to end."""
        lowest, highest = page.evidence
        never_read = [*unread, (self.newest_key + 1, page.highest)]
        newly_read = intersect(
            merge(never_read), max(lowest, settled_before), min(highest, page.highest)
        )
        kept = recheck_ranges.without_keys(updated, lowest, min(highest, settled_before - 1))
        return recheck_ranges.normalized(
            [*kept, *(RecheckRange(low, high, 0, now) for low, high in newly_read)]
        )

    def _recheck_interval(self, limits: LedgerLimits) -> float:
        return _RECHECK_INTERVAL_BY_TIME if self.order is BY_TIME else limits.late_window / 2

    # --- bounds ----------------------------------------------------------------------------------

    def _pruned(self) -> Ledger:
        return self._pruned_by_time() if self.order is BY_TIME else self._pruned_by_id()

    def _pruned_by_id(self) -> Ledger:
        if len(self.remembered) <= REMEMBERED_BY_ID + _PRUNE_MARGIN:
            return self
        present_keys = sorted(key for key in self.remembered.values() if key <= self.newest_key)[
            -REMEMBERED_BY_ID:
        ]
        vanished = sum(key > self.newest_key for key in self.remembered.values())
        remembered_from = present_keys[0] if present_keys else self.remembered_from
        max_key = self.newest_key if vanished > REMEMBERED_BY_ID else MAX_ID
        watermark = self.watermark.with_break() if vanished > REMEMBERED_BY_ID else self.watermark
        kept = {
            each: key
            for each, key in self._identities_to_keep(remembered_from).items()
            if key <= max_key
        }
        lowest_remembered = min([remembered_from, *kept.values()])
        return replace(
            self,
            remembered=kept,
            remembered_from=remembered_from,
            watermark=watermark,
            lowest_remembered=lowest_remembered,
        )

    def _identities_to_keep(self, remembered_from: int) -> dict[int, int]:
        """Return the identities from *remembered_from* up, and those in holes.

        A hole down to an anchor holds rows that were counted, too, where the anchor is not the
        newest of them. And by time, the second in which a hole ends may have rows on both sides.
        """
        unread = self.unread
        return {
            each: key
            for each, key in self.remembered.items()
            if key >= remembered_from or any(low <= key <= high for low, high in unread)
        }

    def _pruned_by_time(self) -> Ledger:
        remembered_from = min((each.low for each in self.recheck), default=self.newest_key)
        if len(self.remembered) > REMEMBERED_BY_TIME:
            remembered_from = max(
                remembered_from, sorted(self.remembered.values())[-REMEMBERED_BY_TIME]
            )
        if remembered_from == self.remembered_from and not self.unread:
            return self
        recheck = recheck_ranges.without_keys(self.recheck, 0, remembered_from - 1)
        return replace(
            self,
            remembered_from=remembered_from,
            remembered=self._identities_to_keep(remembered_from),
            recheck=recheck,
        )


def _is_expired(each: RecheckRange, now: float, late_window: float) -> bool:
    return each.last_read == now and now - each.missing_since >= late_window


def _newest_end(page: Page) -> int:
    """Return about when the calls of *page* ended; its newest rows tell."""
    return max((row.ended_at for row in page.rows[:FIRST_PAGE_ROWS]), default=0)


def _without_duplicates(rows: Sequence[Record], order: Order) -> Sequence[Record]:
    """Return *rows*, by time without those that came twice; by id the page is void then."""
    if order is BY_ID:
        return rows
    return list({order.identity(row): row for row in rows}.values())
