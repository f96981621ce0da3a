"""The ledger, and its judgment of a page. The theory is in the docstring of the package."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import NamedTuple

from ..cdr import MAX_ID, Record, Rejected
from ..cdr.record import EARLIEST
from . import recheck_ranges
from .identities import packed, with_added
from .order import BY_ID, NEW_BY_TIME, Order
from .page import FIRST_PAGE_ROWS, Page
from .ranges import Range, count_keys, intersect, merge, rows_in, subtract
from .recheck_ranges import RecheckRange
from .watermark import Watermark, is_in_future, is_possible

REMEMBERED_BY_ID = 2_000
"""How many identities are kept by id. Among that many newest rows, late rows and ids that were used
again are recognised everywhere; further down only in unread ranges and ranges to be rechecked."""

REMEMBERED_BY_TIME = 100_000
"""How many identities are kept by time. If there are more rows within `longest_call`, late rows are
looked for over a shorter time."""

MAX_UNREAD_RANGES = 500
"""Unread ranges kept apart; beyond that the two newest become one, where all rows between them are
remembered. Where they are not, another is kept: that takes a PBX which for hours writes more than
`REMEMBERED_BY_ID` rows a poll and more than can be read."""

ALL_OF_BOTH = "all of both"
"""A value of `Ledger.first_read`."""

_BASELINES = ("all", ALL_OF_BOTH)

_PRUNE_MARGIN = 500
"""Identities kept beyond `REMEMBERED_BY_ID` before all beyond it are dropped at once."""

_MAX_REJECTS = 1_000
"""How many rejected rows without a usable key are remembered."""

_FAR_ABOVE = 100_000
"""An id so much higher than that of a new row does not make it a late one."""

_RECHECK_INTERVAL_BY_TIME = 300.0
"""Seconds between two reads of all ranges to be rechecked, by time. By id see `late_window`."""

_SAME_READ_BY_TIME = 5.0
"""Seconds between two reads that count as one, by time: so precisely it is known when each range
was read, which decides when a call is over."""

_AHEAD_OF_US = 300
"""Seconds. By time, below rows of an impossible time new ones are looked for up to so far ahead of
our clock, or of the newest row."""


class LedgerLimits(NamedTuple):
    """Settings of the user, in seconds: `late_window` and `longest_call` of `exporter.yml`."""

    late_window: float
    longest_call: float


class PageVerdict(NamedTuple):
    """What a page brought: *ledger* holds once *counted* and *rejected* are committed with it.

    *counted* are the rows to count, *rejected* the malformed ones seen for the first time.
    *left_out* are the rows processed and not counted: those of before the start, and the
    *pre_break* many that may have been counted before the last break of the lineage. *late* is how
    many of *counted* appeared below rows that were read before, *reused* how many have an id that
    another row had, *duplicates* how many share theirs with another row of the page.
    *remembered* are the identities that *ledger* has beyond the one before, with their keys; it
    may have forgotten others. *first_read* is that of the ledger before, see `Ledger`.
    *lineage_broke* says that a new lineage began with this page.
    """

    ledger: Ledger
    counted: Sequence[Record] = ()
    rejected: Sequence[Rejected] = ()
    late: int = 0
    reused: int = 0
    pre_break: int = 0
    left_out: Sequence[Record] = ()
    duplicates: int = 0
    remembered: Mapping[int, int] = {}
    first_read: str = ""
    lineage_broke: bool = False

    @property
    def in_baseline(self) -> bool:
        """Whether the page belongs to a first read that counts the whole table."""
        return self.first_read in _BASELINES

    @property
    def new_rows(self) -> int:
        """How many rows of the page were seen for the first time."""
        return len(self.counted) + len(self.left_out) + len(self.rejected)


class KnownTable(NamedTuple):
    """What to judge a page by.

    *ledger* is the one to use. *anchor* is the key of the nearest remembered row, where that was
    found below the page; see `Ledger.judge`. *lineage_broke* says that *ledger* begins a new
    lineage.
    """

    ledger: Ledger
    anchor: int | None = None
    lineage_broke: bool = False

    def judge(self, page: Page, now: float, limits: LedgerLimits) -> PageVerdict:
        """Say which rows of *page*, read at *now* (epoch seconds), are new; nothing changes."""
        verdict = self.ledger.judge(page, now, limits, anchor=self.anchor)
        return verdict._replace(lineage_broke=True) if self.lineage_broke else verdict


@dataclass(frozen=True, slots=True)
class Ledger:
    """What is known of one PBX's table.

    *newest_key* is the highest key when a first page was last read. *remembered* maps the identity
    of each processed row to its key, for all rows from the key *remembered_from* up, and for those
    in unread ranges. *lowest_remembered* is a lower bound of *remembered_from* and of all these
    keys. *unread* are the ranges that no response has covered, disjoint and newest first;
    *recheck* those that were read and may still bring rows. *rejects* are the fingerprints of the
    newest rejected rows without a usable key.

    *new_rows_above* is the key down to which each poll looks for new rows: half a first page below
    the newest, as `Page.new_rows_above` says of the first page that was read last. By time it is
    the newest key, unless that is ahead of us. *newest_possible* is the newest that is no
    impossible time, 0 where none is known: where a first page does not reach down to it, new rows
    are looked for down to there, too.

    *first_read* says what a first read of the table is for while it goes on: `all` counts every
    row, as a baseline; `ALL_OF_BOTH` likewise, and goes on until the new table, which only
    `from=new` shows, is followed: that is read as `all` then. `now` only remembers what was there,
    which is the rows up to the key *newest_at_start* that ended up to the break of *watermark*;
    empty once it is done. *id_ledger* is the ledger by id that came before this one by time.
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
    new_rows_above: int = 0
    newest_possible: int = 0
    lowest_remembered: int = field(default=0, compare=False)

    @property
    def backlog(self) -> int:
        """How many keys are unread: by id the most rows still to be read, by time seconds."""
        return count_keys(self.unread)

    @property
    def all_read_since(self) -> float:
        """The time (epoch seconds) since which every range to be rechecked was read.

        Infinity by id, where a first page shows what is new but for rare late rows.
        """
        return min((since for _, since in self.read_since), default=float("inf"))

    @property
    def read_since(self) -> tuple[tuple[int, float], ...]:
        """Since when every row of a call is read, by when that began: see `recheck_ranges`.

        Empty by id, where a first page shows what is new but for rare late rows.
        """
        return () if self.order is BY_ID else recheck_ranges.read_since(self.recheck)

    def not_read_since(self, lowest: int, since: float, now: float) -> tuple[Range, ...]:
        """Return the ranges to be rechecked from *lowest* up that were not read from *since* on.

        Both times are epoch seconds.
        """
        return recheck_ranges.not_read_since(self.recheck, lowest, since, now)

    def differs_by_reads_only(self, other: Ledger | None) -> bool:
        """Say whether *other* holds the same, but for when ranges to be rechecked were read.

        By time, these are cut where one read ends and another begins.
        """
        if other is None or not self.order.by_time:
            return self == other
        ranges = [merge(recheck_ranges.spans(each.recheck)) for each in (self, other)]
        return ranges[0] == ranges[1] and self == replace(other, recheck=self.recheck)

    @property
    def in_baseline(self) -> bool:
        """Whether a first read goes on that counts the whole table, or both tables."""
        return self.first_read in _BASELINES

    @property
    def is_empty(self) -> bool:
        """Whether no row was ever seen, so that any table can be the one we follow."""
        return not self.remembered and not self.newest_key

    def due(self, now: float, limits: LedgerLimits) -> tuple[Range, ...]:
        """Return the ranges to be rechecked by *now* (epoch seconds), newest first."""
        return recheck_ranges.due(self.recheck, now, self._recheck_interval(limits))

    def known_rows_above(self, key: int) -> int | None:
        """Return how many remembered rows have a higher key; None where some are forgotten."""
        if key < self.remembered_from:
            return None
        return sum(key < each <= self.newest_key for each in self.remembered.values())

    def recognises(self, page: Page) -> bool:
        """Say whether *page* is of the table we know, and all that is new lies on or above it."""
        if self.is_empty and self.id_ledger is not None:
            # The new table alone has no row that was counted by id.
            if self.order is NEW_BY_TIME or self.id_ledger.is_empty:
                return True
            return any(map(self.is_anchor, page.rows))
        return self.is_empty or not page.highest or bool(self.known_keys(page))

    def known_keys(self, page: Page) -> Sequence[int]:
        """Return the keys of the anchors on *page*, or none where these are too few.

        Too few are less than half of its rows, unless the list may end with it: some rows may have
        ids that say nothing of the rows below them. By time one is enough, as the whole time in
        which there can be new rows is read again and again.
        """
        rows: list[Record | Rejected] = [*page.rows, *page.rejected]
        known = [row for row in rows if self.is_anchor(row)]
        one_is_enough = self.order.by_time or page.may_be_last
        if not one_is_enough and 2 * len(known) < len(page.keys):
            return ()
        return [self.order.key(row) if isinstance(row, Record) else row.id or 0 for row in known]

    def is_anchor(self, row: Record | Rejected) -> bool:
        """Say whether *row* is remembered, and so is every row that was counted above it."""
        if self.remembered.get(self.order.identity(row), -1) >= self.remembered_from:
            return True
        return self.id_ledger is not None and self.id_ledger.is_anchor(row)

    def is_processed(self, row: Record | Rejected, now: float) -> bool:
        """Say whether *row* is remembered as processed, here or by the ledger by id before."""
        if self.order.identity(row) in self.remembered:
            return True
        return (
            self.id_ledger is not None
            and isinstance(row, Record)
            and self.id_ledger.was_processed_by_id(row, now)
        )

    def was_processed_by_id(self, row: Record, now: float) -> bool:
        """Say, for the ledger by time that follows this one, whether *row* was processed here."""
        if row.id and self.order.identity(row) in self.remembered:
            return True
        # Below `remembered_from` only the watermark helps. An end in the future does not show
        # that the row is new: it may have been there before the start.
        may_be_old = self.watermark.may_be_processed(row) or is_in_future(row, now)
        if not 0 < row.id < self.remembered_from or not may_be_old:
            return False
        open_ranges = [*self.unread, *recheck_ranges.spans(self.recheck)]
        return not any(low <= row.id <= high for low, high in open_ranges)

    def judge(
        self, page: Page, now: float, limits: LedgerLimits, *, anchor: int | None = None
    ) -> PageVerdict:
        """Say which rows of *page*, read at *now* (epoch seconds), are new; nothing changes.

        The caller has made sure that *page* is of our table. *anchor* is the key of the anchor
        that was found below a first page without one; what lies between them becomes unread.
        Without *anchor*, everything up to the newest key was read, or is unread already.
        """
        unread = self._unread_up_to(page, anchor, now)
        candidates = self._candidates(_without_duplicates(page), unread)
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
        late, reused = self._count_out_of_order(counted)
        identities = self._identities(new_rows, rejected)
        after = self._after_page(page, unread, new_rows, rejected, identities, now, limits)
        return PageVerdict(
            after,
            counted,
            rejected,
            late=late,
            reused=reused,
            pre_break=len(pre_break_rows),
            left_out=left_out,
            duplicates=_count_duplicates(page, counted),
            remembered=identities,
            first_read=self.first_read,
        )

    def new_lineage(self, limits: LedgerLimits) -> Ledger:
        """Return the ledger of a new lineage, of which nothing was read yet.

        The rows that ended up to now, by the watermark, will be left out.
        """
        by_time = self.watermark.newest_end - int(limits.longest_call)
        remembered_from = max(0, by_time) if self.order.by_time else 1
        watermark = self.watermark.with_break()
        return Ledger(
            order=self.order,
            remembered_from=remembered_from,
            watermark=watermark,
            rejects=self.rejects,
        )

    def with_clock_set(self, seconds: float) -> Ledger:
        """Return the ledger once our clock was set ahead by *seconds*, or back if negative."""
        return replace(self, recheck=recheck_ranges.with_clock_set(self.recheck, seconds))

    # --- which rows count ------------------------------------------------------------------------

    def _unread_up_to(self, page: Page, anchor: int | None, now: float) -> tuple[Range, ...]:
        """Return the unread ranges, with the one between the *anchor* and the top of *page*."""
        if self.is_empty and page.highest:
            return ((self.remembered_from, page.highest),)
        # Below `remembered_from` nothing new can be told from what was processed. By time, a row
        # that was counted by id long ago may be the anchor; all below was read since.
        by_time = self.order.by_time
        least = min(self.remembered_from, self.newest_key) if by_time else self.remembered_from - 1
        new_rows_above = max(self.new_rows_above, least)
        anchor = new_rows_above if anchor is None else max(least, min(anchor, new_rows_above))
        if page.lowest <= anchor:
            return self._unread_below_impossible(page, now)
        # By time, the second of the anchor may have more rows than were read. The keys of the page
        # itself are included, too: they are taken out again as its evidence.
        lowest = anchor if by_time else anchor + 1
        unread = merge([*self._unread_below_impossible(page, now), (lowest, page.highest)])
        # Between the two newest, all processed rows are remembered, so reading them again is safe.
        if len(unread) > MAX_UNREAD_RANGES and unread[1][0] >= self.remembered_from:
            unread = merge([(unread[1][0], unread[0][1]), *unread[2:]])
        return unread

    def _unread_below_impossible(self, page: Page, now: float) -> tuple[Range, ...]:
        """Return the unread ranges; with what may be new below a first page of impossible times.

        By time, such rows stand on top for years. Where so many do that `new_rows_above` is one of
        them, new rows are looked for down to the newest key that is possible.
        """
        hides = self.order.by_time and page.is_first and not page.is_last
        shows_newest = page.highest and page.lowest <= self.newest_possible
        if not hides or shows_newest or not self.newest_possible:
            return self.unread
        ahead_of_us = max(self.newest_possible, int(now)) + _AHEAD_OF_US
        highest = page.lowest if is_possible(page.lowest, now) else ahead_of_us
        # With our clock set back by days, everything of now is impossible. What was processed long
        # ago is forgotten all the same, and would count again.
        lowest = max(self.newest_possible, self.remembered_from if self.recheck else 0)
        return merge([*self.unread, (lowest, highest)]) if lowest <= highest else self.unread

    def _candidates(self, rows: Sequence[Record], unread: tuple[Range, ...]) -> Sequence[Record]:
        """Return those of *rows* that may be new by their key: see the rules in the package."""
        key, remembered_from = self.order.key, self.remembered_from
        if rows and key(rows[-1]) >= remembered_from:
            return rows
        upper = list(takewhile(lambda row: key(row) >= remembered_from, rows))
        lower = intersect(
            merge([*unread, *recheck_ranges.spans(self.recheck)]), 0, remembered_from - 1
        )
        return [*upper, *rows_in(rows[len(upper) :], lower, key)]

    def _since_start(self, rows: Sequence[Record], newest: int, now: float) -> Sequence[Record]:
        """Return those of *rows* that were not there yet when *newest* was the newest key."""
        key, watermark = self.order.key, self.watermark
        return [row for row in rows if key(row) > newest or watermark.is_after_break(row, now)]

    def _new_rows(self, rows: Sequence[Record], now: float) -> Sequence[Record]:
        """Return those of *rows* that are not processed yet."""
        remembers_nothing = not self.remembered and self.id_ledger is None
        if remembers_nothing or (rows and self._is_below_remembered(rows[0])):
            return rows
        return [row for row in rows if not self.is_processed(row, now)]

    def _is_below_remembered(self, row: Record) -> bool:
        # A shortcut for the first read of a long table: nearly all of its rows lie below everything
        # that is remembered, and need no look-up of their identity.
        return self.order is BY_ID and row.id < self.lowest_remembered

    def _count_out_of_order(self, counted: Sequence[Record]) -> tuple[int, int]:
        """Return how many rows are late, and how many have the id of another row seen before."""
        if self.order.by_time or not counted:
            return 0, 0
        if self._is_below_remembered(counted[0]):
            return len(counted) - len(rows_in(counted, self.unread, self.order.key)), 0
        ids = set(self.remembered.values())
        reused = [row for row in counted if row.id in ids]
        others = [row for row in counted if row.id not in ids and row.id <= self.newest_key]
        others = _close_below(others, ids) if others else []
        return len(others) - len(rows_in(others, self.unread, self.order.key)), len(reused)

    def _is_new_reject(self, row: Rejected, unread: tuple[Range, ...], now: float) -> bool:
        """Say whether a rejected row is seen for the first time."""
        if row.id is None or self.order.by_time:
            return row.fingerprint not in self.rejects
        if self.is_processed(row, now):
            return False
        open_ranges = [*unread, *recheck_ranges.spans(self.recheck)]
        return row.id >= self.remembered_from or any(
            low <= row.id <= high for low, high in open_ranges
        )

    # --- what is known after the page ------------------------------------------------------------

    def _after_page(
        self,
        page: Page,
        unread: tuple[Range, ...],
        new_rows: Sequence[Record],
        rejected: Sequence[Rejected],
        identities: Mapping[int, int],
        now: float,
        limits: LedgerLimits,
    ) -> Ledger:
        # An empty page is evidence for nothing: a PBX that is starting may answer so.
        still_unread = subtract(unread, *page.evidence) if page.highest else unread
        watermark = self.watermark.after(new_rows, now) if new_rows else self.watermark
        highest = page.highest if page.size else 0
        # Above a first page there is nothing: after a restored backup the newest key goes down.
        newest_key = highest if page.is_first and highest else max(self.newest_key, highest)
        rejects = self._rejects(rejected)
        after = replace(
            self,
            newest_key=newest_key,
            new_rows_above=self._new_rows_above(page, now),
            newest_possible=self._newest_possible(page, now),
            remembered=with_added(self.remembered, identities) if identities else self.remembered,
            unread=still_unread,
            recheck=self._recheck_after_page(page, unread, watermark, now, limits),
            rejects=rejects,
            watermark=watermark
            if still_unread or self.first_read != "now"
            else watermark.without_break(),
            first_read=self.first_read if still_unread or self.first_read == ALL_OF_BOTH else "",
            newest_at_start=self.newest_at_start
            or (page.highest if self.first_read == "now" else 0),
        )
        return after._pruned()

    def _new_rows_above(self, page: Page, now: float) -> int:
        if not page.is_first or not page.highest:
            return self.new_rows_above
        # By time, a row that is not ahead of us cannot be far above those that are written now.
        is_newest = self.order.by_time and page.highest <= now
        return page.highest if is_newest else page.new_rows_above

    def _newest_possible(self, page: Page, now: float) -> int:
        newest = page.newest_possible(now) if self.order.by_time else 0
        return newest if page.is_first and newest else max(self.newest_possible, newest)

    def _rejects(self, rejected: Sequence[Rejected]) -> tuple[int, ...]:
        new = [row.fingerprint for row in rejected if row.id is None or self.order.by_time]
        return (*self.rejects, *new)[-_MAX_REJECTS:] if new else self.rejects

    def _identities(
        self, new_rows: Sequence[Record], rejected: Sequence[Rejected]
    ) -> dict[int, int]:
        order = self.order
        if order.by_time:
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
        interval = _SAME_READ_BY_TIME if self.order.by_time else self._recheck_interval(limits)
        updated = recheck_ranges.after_page(self.recheck, page.evidence, now, interval)
        if self.order.by_time:
            # Every call that began before this has ended. Bounded by our own clock: a row that
            # ended in the future, by a wrong clock, would drop ranges too early.
            settled_before = min(watermark.newest_end, int(now)) - int(limits.longest_call)
            return self._recheck_by_time(page, unread, updated, settled_before, now)
        kept = tuple(
            each for each in updated if not _is_expired(each, page, now, limits.late_window)
        )
        # What this page covers for the first time: ids missing there may belong to slow writers,
        # unless the page is so old that these would long have finished.
        never_read = [*unread, (self.newest_key + 1, page.highest)] if page.is_first else unread
        newly_read = intersect(merge(never_read), lowest, min(highest, page.highest))
        if (
            newly_read
            and 0 < _newest_end(page) < min(watermark.newest_end, now) - limits.late_window
        ):
            newly_read = ()
        if not newly_read and not kept:
            return ()
        rejected_ids = [row.id for row in page.rejected if row.id]
        present_ids = sorted([*(row.id for row in page.rows), *rejected_ids], reverse=True)
        late_ids = rows_in(present_ids, recheck_ranges.spans(kept), int) if kept else []
        if not newly_read and not late_ids:
            return kept
        kept = recheck_ranges.without_rows(kept, late_ids, now)
        # What lies below the newest rows is read again by each poll that brings many new ones.
        for each in kept:
            newly_read = subtract(newly_read, *each.span())
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
        """Return the seconds in which calls may have begun that have not ended yet."""
        lowest, highest = page.evidence
        never_read = [*unread, (self.newest_key + 1, page.highest)]
        newly_read = intersect(
            merge(never_read), max(lowest, settled_before), min(highest, page.highest)
        )
        kept = recheck_ranges.without_keys(updated, lowest, min(highest, settled_before - 1))
        # What was unread may be to be rechecked already, as after a change to the new table.
        for low, high in newly_read:
            kept = recheck_ranges.without_keys(kept, low, high)
        return recheck_ranges.normalized(
            [*kept, *(RecheckRange(low, high, 0, now) for low, high in newly_read)],
            _SAME_READ_BY_TIME,
        )

    def _recheck_interval(self, limits: LedgerLimits) -> float:
        return _RECHECK_INTERVAL_BY_TIME if self.order.by_time else limits.late_window / 2

    # --- bounds ----------------------------------------------------------------------------------

    def _pruned(self) -> Ledger:
        return self._pruned_by_time() if self.order.by_time else self._pruned_by_id()

    def _pruned_by_id(self) -> Ledger:
        if len(self.remembered) <= REMEMBERED_BY_ID + _PRUNE_MARGIN:
            return self
        # Not up to the newest: below an outlier may be many ids that no row has any more.
        top = self.new_rows_above or self.newest_key
        present_keys = sorted(key for key in self.remembered.values() if key <= top)[
            -REMEMBERED_BY_ID:
        ]
        # Identities of rows that vanished (a restored backup) are kept, as the rows may come back.
        # When there are too many, a break replaces them: what ended up to now is left out.
        vanished = sum(key > self.newest_key for key in self.remembered.values())
        # Never lower than before: what was forgotten in between would count again.
        remembered_from = max([self.remembered_from, *present_keys[:1]])
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
            remembered=packed(kept),
            remembered_from=remembered_from,
            watermark=watermark,
            lowest_remembered=lowest_remembered,
        )

    def _identities_to_keep(self, remembered_from: int) -> dict[int, int]:
        """Return the identities from the key *remembered_from* up, and those in unread ranges.

        An unread range may hold processed rows: where it reaches down to an anchor that is not the
        newest of them, and by time in the second in which it ends.
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
            remembered=packed(self._identities_to_keep(remembered_from)),
            recheck=recheck,
        )


def _is_expired(each: RecheckRange, page: Page, now: float, late_window: float) -> bool:
    """Say whether *each* was read by *page* after `late_window`, and is to be rechecked no more.

    Not while so few rows stand above it that the ids may go on in it: they are shown by each first
    page, so it costs nothing.
    """
    is_old = each.last_read == now and now - each.missing_since >= late_window
    above = page.offset + sum(key > each.high for key in page.keys)
    return is_old and above >= FIRST_PAGE_ROWS


def _newest_end(page: Page) -> int:
    """Return about when the calls of *page* ended (epoch seconds), from its newest rows.

    0 where they do not show it, since they were written by a clock that was not set.
    """
    newest = max((row.ended_at for row in page.rows[:FIRST_PAGE_ROWS]), default=0)
    return newest if newest >= EARLIEST else 0


def _close_below(rows: Sequence[Record], ids: Collection[int]) -> list[Record]:
    """Return those of *rows* whose next higher id in *ids* is near: another is an outlier."""
    rising = sorted(ids)
    places = ((row, bisect_right(rising, row.id)) for row in rows)
    return [row for row, at in places if at < len(rising) and rising[at] - row.id <= _FAR_ABOVE]


def _count_duplicates(page: Page, counted: Sequence[Record]) -> int:
    return sum(row.id in page.shared_ids for row in counted) if page.shared_ids else 0


def _without_duplicates(page: Page) -> Sequence[Record]:
    """Return the rows of *page* without those that came twice."""
    if page.order is BY_ID and not page.shared_ids:
        return page.rows
    return list({page.order.identity(row): row for row in page.rows}.values())
