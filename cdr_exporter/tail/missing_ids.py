"""When a table has to be followed by time: rows without an id, which the order by id may not show.

Newer firmware gives rows no integer id. Where `sort_by=id` puts such rows is unknown: first,
last, or nowhere. So now and then the newest rows by time are looked at.

| a look is taken | since |
|---|---|
| at the start | the PBX may have been upgraded meanwhile |
| every hour | it may be mixing both kinds |
| after 10 minutes without a new row | the new ones may be where we do not look |
| when the first page holds rows without id | they are to be counted |

A PBX that mixes both kinds may have none among its newest rows at any look. But `total_number`
counts both kinds, and so one row tells: that which has the last place by `total_number` is there,
and has an id, only if all rows have one. No clean-up hides that. Rows that are known to have none
(one may be broken, or the total too large for ever) are allowed for.

| it is looked at | since |
|---|---|
| at the start | there may be such rows from before |
| after 5 minutes, with the next new row | some may have come |
| when the total grew and the first page is the old one; after a minute | one must have |
| after 10 minutes without a new row, if any came since the last look | it is cheap then |

If it is missing, rows without id are searched for by time, among all that may have ended since
all had ids, in `_PAGES` pages at most; where that is too few, again in an hour. However late one
is found, it is read from there on that all rows had ids (`clean_at`).

Without `total_number`, and while the PBX takes 5 s to answer, rows without id that are not shown
are found by the looks by time only.
"""

from __future__ import annotations

import logging

from ..cdr import Record
from ..clock import Clock
from ..errors import TryAgain
from ..ledger import Ledger
from ..ledger.order import BY_ID, BY_TIME
from ..ledger.page import HEAD_ROWS, Page, query
from ..settings import PBX
from .page_reader import PageReader
from .page_size import LARGEST

_HOUR, _IDLE, _OFTEN, _MINUTE = 3600.0, 600.0, 300.0, 60.0

_SLOW = 5.0
"""Seconds of an answer of a PBX that is not asked for one row more."""

_PAGES = 10
"""Pages of `LARGEST` rows that are searched for a row without id."""

log = logging.getLogger(__name__)


class MissingIdDetector:
    """Of one PBX. *clean_at* is the newest end counted when no row was without id, or None."""

    def __init__(self, pbx: PBX, reader: PageReader, clock: Clock) -> None:
        self.clean_at: int | None = None
        self._pbx = pbx
        self._reader = reader
        self._clock = clock
        self._looked = self._looked_well = self._counted = float("-inf")
        self._grew = 0.0
        self._is_fresh = self._looks = False
        self._top: int | None = None
        self._total: int | None = None
        """What the total was when the newest id was new."""
        self._counted_for: tuple[int, int] | None = None
        """The newest id, and the total, when rows were counted last."""
        self._unnamed = 0
        """How many rows of the total are known not to be shown, or to have no id."""
        self._found = False

    def needs_time(self, head: Page, ledger: Ledger | None) -> bool:
        """Say whether there are rows that the order by id, with the first page *head*, hides.

        Raises `PBXError`, `Stopped`.
        """
        # What was found holds only once a page is kept with it; until then it stays found.
        if not self._found:
            self._is_fresh = head.top != self._top
            if self._is_fresh:
                self._top, self._total = head.top, head.total
                self._grew = self._clock.now().steady
            rows = self._due(head)
            self._looks = bool(rows)
            self._found = self._looks and self._is_seen(rows, head, ledger)
            # Before anything is begun with: what is there lies before the start.
            if ledger is None and not self._found:
                self._found = self._is_missed(head, ledger)
        if self._found and self.clean_at is None and ledger is not None:
            self.clean_at = int(ledger.watermark.newest - _IDLE)
        return self._found

    def count(self, head: Page, ledger: Ledger) -> None:
        """Look for what `needs_time` will tell at the next poll, after all with *head* is read.

        Raises `PBXError`, `Stopped`.
        """
        if self._reader.took > _SLOW:
            return
        # Not in a poll that has looked by time, but at the start.
        if self._counted_for is None or (not self._looks and self._count_is_due(head)):
            self._found = self._found or self._is_missed(head, ledger)

    def _note_clean(self, head: Page, ledger: Ledger | None) -> None:
        now = self._clock.now().wall
        ends = [row.ended_at for row in head.rows if row.ended_at <= now]
        self.clean_at = ledger.watermark.newest if ledger is not None else max(ends, default=None)

    # --- by time ---------------------------------------------------------------------------------

    def _is_seen(self, rows: int, head: Page, ledger: Ledger | None) -> bool:
        """Say whether the newest *rows* by time show that ids do not tell all."""
        newest = self._newest(rows)
        if newest is None:
            return False
        found = self._shows_more(newest, head)
        if head.total is None and not found:
            self._note_clean(head, ledger)
        return found

    def _due(self, head: Page) -> int:
        """Return how many rows to look at by time; mostly 0."""
        now = self._clock.now().steady
        if head.without_id or now - self._looked_well >= _HOUR:
            return HEAD_ROWS
        return 1 if min(now - self._looked, now - self._grew) >= _IDLE else 0

    def _newest(self, rows: int, number: int = 1) -> Page | None:
        """Return page *number* of so many *rows* by time; None where they are not sorted so."""
        try:
            page = self._reader.read(query(number, rows, BY_TIME))
        except TryAgain as error:
            if error.reason != "garbled":
                raise
            page = None
        self._looked = self._clock.now().steady
        if rows > 1:
            self._looked_well = self._looked
        return page

    def _shows_more(self, newest: Page, head: Page) -> bool:
        without_id = [row for row in newest.rows if not row.id]
        if any(row.new_id for row in (*without_id, *head.without_id)):
            return True
        first = newest.rows[0] if newest.rows else None
        # One row may just be broken; then it is rejected.
        alone = newest.size == 1 and newest.total == 1
        if first is not None and not first.id and (len(without_id) > 1 or alone):
            return True
        if first is not None and head.rows and first.id > head.top:
            latest = max(row.started_at for row in head.rows) + self._pbx.longest_call
            return first.started_at > latest
        return False

    # --- by count --------------------------------------------------------------------------------

    def _is_missed(self, head: Page, ledger: Ledger | None) -> bool:
        """Say whether a row without id is there that no look has shown."""
        if head.total is None:
            return False
        grown = self._has_grown(head, head.total)
        if grown is None:
            return False
        self._counted, self._counted_for = self._clock.now().steady, (head.top, head.total)
        found = self._search(ledger) if grown else False
        if found is None:
            self._counted += _HOUR
            return False
        if grown and not found:
            self._unnamed = self._measured(head)
        if not found:
            self._note_clean(head, ledger)
        return found

    def _count_is_due(self, head: Page) -> bool:
        if self._counted_for == (head.top, head.total):
            return False
        now = self._clock.now().steady
        ago = now - self._counted
        if self._is_fresh:
            return ago >= _OFTEN
        if self._total is not None and head.total is not None and head.total > self._total:
            return ago >= _MINUTE
        return min(ago, now - self._grew) >= _IDLE

    def _has_grown(self, head: Page, total: int) -> bool | None:
        """Say whether more rows than known are not shown with an id; None where that is not told.

        *head* tells by itself where it is the whole list.
        """
        if head.last:
            before, self._unnamed = self._unnamed, min(self._unnamed, len(head.without_id))
            return len(head.without_id) > before
        shown = self._is_named(total - 1 - self._unnamed, total)
        if shown and self._unnamed and self._is_named(total - self._unnamed, total):
            self._unnamed = self._measured(head)
        return None if shown is None else not shown

    def _is_named(self, place: int, total: int | None = None) -> bool | None:
        """Say whether a row with an id has that *place*; None if the total is another by now."""
        if place < 0:
            return True
        page = self._reader.read(query(place + 1, 1, BY_ID))
        if total is not None and page.total != total:
            return None
        return bool(page.rows or page.rejected)

    def _measured(self, head: Page) -> int:
        """Return how many rows of the total are not shown with an id."""
        total = head.total or 0
        if head.last:
            return len(head.without_id)
        if self._is_named(total - 1):
            return 0
        step = 1
        while step < total and not self._is_named(total - 1 - step):
            step *= 2
        few, many = step // 2, min(step, total)
        while few + 1 < many:
            middle = (few + many) // 2
            few, many = (few, middle) if self._is_named(total - 1 - middle) else (middle, many)
        return many

    def _search(self, ledger: Ledger | None) -> bool | None:
        """Say whether a row without id may have ended since all had ids; None where untold."""
        now = self._clock.now().wall
        last = min(now, ledger.watermark.newest) if ledger is not None else now
        since = (last if self.clean_at is None else min(last, self.clean_at)) - self._since()
        without_id: list[Record] = []
        cut = 0
        for number in range(1, _PAGES + 1):
            page = self._newest(LARGEST, number)
            if page is None:
                return False
            without_id += [row for row in page.rows if not row.id and row.started_at >= since]
            if len(without_id) > 1 or any(row.new_id for row in without_id):
                return True
            if page.last or not page.size or page.lowest < since:
                # A page cut short, but for the last one, has left rows out.
                return None if cut > (not page.size) else False
            cut += page.short
        return None

    def _since(self) -> float:
        return self._pbx.longest_call + _IDLE
