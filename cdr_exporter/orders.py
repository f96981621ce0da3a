"""When a table has to be followed by time: rows without an id, which the order by id may not show.

Newer firmware gives rows no integer id. Where `sort_by=id` puts such rows is unknown: first,
last, or nowhere. So now and then the newest rows by time are looked at.

| a look is taken | since |
|---|---|
| at the start | the PBX may have been upgraded meanwhile |
| every hour | it may be mixing both kinds |
| after 10 minutes without a new row | the new ones may be where we do not look |
| when the first page holds rows without id | they are to be counted |
| when the table grew and the first page is the old one | likewise; once a minute at most |
"""

from __future__ import annotations

import logging

from .clock import Clock
from .errors import TryAgain
from .ledger import Ledger
from .order import BY_TIME
from .paging import HEAD_ROWS, Page, query
from .reader import Reader
from .settings import PBX

_HOUR, _IDLE, _MINUTE = 3600.0, 600.0, 60.0

log = logging.getLogger(__name__)


class OrderCheck:
    """Of one PBX. *clean_at* is the newest end counted when no row was without id, or None."""

    def __init__(self, pbx: PBX, reader: Reader, clock: Clock) -> None:
        self.clean_at: int | None = None
        self._pbx = pbx
        self._reader = reader
        self._clock = clock
        self._looked = self._looked_well = float("-inf")
        self._grew = 0.0
        self._top = 0
        self._total: int | None = None
        self._found = False
        """Whether the last look showed that the order by time is needed."""

    def due(self, head: Page) -> int:
        """Return how many rows to look at, now that *head* is the first page by id; mostly 0."""
        now = self._clock.now().steady
        if head.top != self._top:
            self._top, self._grew = head.top, now
        hidden = self._total is not None and (head.total or 0) > self._total
        hidden = hidden and self._grew != now
        self._total = head.total
        ago = now - self._looked
        # What was found holds only once a page is kept with it; until then it is found again.
        well_ago = now - self._looked_well
        if self._found or head.nameless or well_ago >= _HOUR or (hidden and ago >= _MINUTE):
            return HEAD_ROWS
        return 1 if min(ago, now - self._grew) >= _IDLE else 0

    def newest(self, rows: int) -> Page | None:
        """Return the newest *rows* by time; None where the PBX does not sort by time.

        Raises `PBXError`, `Stopped`.
        """
        try:
            page = self._reader.read(query(1, rows, BY_TIME))
        except TryAgain as error:
            if error.reason != "garbled":
                raise
            page = None
        self._looked = self._clock.now().steady
        if rows > 1:
            self._looked_well = self._looked
        return page

    def needs_time(self, newest: Page, head: Page, ledger: Ledger | None) -> bool:
        """Say whether *newest*, by time, shows what the order by id (*head*) does not."""
        self._found = self._shows_more(newest, head)
        if not self._found:
            self.clean_at = ledger.mark.newest if ledger is not None else None
        return self._found

    def _shows_more(self, newest: Page, head: Page) -> bool:
        nameless = [row for row in newest.rows if not row.id]
        if any(row.new_id for row in (*nameless, *head.nameless)):
            return True
        first = newest.rows[0] if newest.rows else None
        # One row may just be broken; then it is rejected.
        alone = newest.size == 1 and newest.total == 1
        if first is not None and not first.id and (len(nameless) > 1 or alone):
            return True
        if first is not None and head.rows and first.id > head.top:
            latest = max(row.started_at for row in head.rows) + self._pbx.longest_call
            return first.started_at > latest
        return False
