"""One PBX's table, followed: the steps of one poll, and the first start.

    follow
      first_page           in the order that shows every row        FollowedList
      begin, or identify   is it the table we know?                 FollowedList
      read_unread          newest range first                       RangeReader, ReadPlan
      sweep                by time: for unseen rows, for calls      Sweeps
      recheck_due          ranges that may bring late rows          RangeReader, ReadPlan
      change_to_new_table  where only that shows all rows           FollowedList

Rule: what can be decided without a PBX and a clock is decided in `ledger`, `read_plan`,
`end_of_list` and `page_size`. The theory of a poll is in the docstring of the package.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..clock import Clock
from ..ingest import EmptyList, EndOfPoll, Event
from ..ledger import KnownTable, Ledger
from ..ledger.page import Page
from ..metrics.self_metrics import SelfMetrics
from ..settings import PBX
from .followed_list import FirstPage, FollowedList
from .page_reader import PageReader
from .range_reader import Following, Pages, RangeReader
from .sweeps import Sweeps


class Tail:
    """Reads one PBX's table for *following*, from page to page."""

    def __init__(
        self,
        pbx: PBX,
        reader: PageReader,
        following: Following,
        *,
        self_metrics: SelfMetrics,
        clock: Clock,
    ) -> None:
        self.has_more = False
        """Whether there is more to be read at once, without waiting for the next poll."""
        self._request_timeout = pbx.request_timeout
        self._following = following
        self._clock = clock
        self._list = FollowedList(pbx, reader, self_metrics, clock)
        self._ranges = RangeReader(pbx, reader, following, clock)
        self._sweeps = Sweeps(self._ranges, following, clock)

    def follow(self, deadline: float) -> Iterator[Event]:
        """Poll once, until *deadline* (seconds, steady clock); the first page is read in any case.

        Yields what follows for the state; what was committed holds, whatever comes after. Raises
        `PBXError` where the poll fails, and `Stopped` where the program is to end.
        """
        self.has_more = False
        self._sweeps.begin_poll()
        first = self._list.first_page(self._following.state)
        self._ranges.note_order(first.page)
        if first.page.size:
            if not (yield from self._count_first_page(first)):
                return
        else:
            self._list.note_empty(self._following.state)
            yield EmptyList()
            if not self._list.new_table_waits(first.page, self._following.state):
                return
        yield from self._read_the_rest(first.page, deadline)
        all_read = not self.has_more and not self._following.state.unread
        yield EndOfPoll(all_read)

    def timed_out(self) -> None:
        """Note that a request timed out, so that less is asked for from now on."""
        self._ranges.plan.timed_out(self._request_timeout)

    # --- the first page --------------------------------------------------------------------------

    def _count_first_page(self, first: FirstPage) -> Pages[bool]:
        """Count the first page where it is of the table we know; return whether it is.

        Reads more pages where that is in doubt.
        """
        if first.ledger is None:
            yield from self._begin(first.page)
            return True
        found = self._list.identify(first.page, first.ledger, self._ranges.plan)
        if found is None:
            return False
        yield from self._ranges.count(first.page, found.table)
        ledger = self._following.state.ledger
        if found.anchor_page is not None and ledger is not None:
            yield from self._ranges.count(found.anchor_page, KnownTable(ledger))
        return True

    def _begin(self, first_page: Page) -> Pages[None]:
        """Begin a ledger with the first rows ever seen.

        With `start: now`, only rows count that ended since the list was seen empty, if it was.
        """
        empty_at = self._list.empty_at
        new = [row for row in first_page.rows if empty_at is not None and row.ended_at > empty_at]
        if new and len(new) == first_page.size:
            # All of them ended after the list was seen empty, so what lies below is new, too.
            yield from self._ranges.count(first_page, KnownTable(Ledger()))
        elif self._following.state.start == "all":
            yield from self._ranges.count(first_page, KnownTable(self._list.baseline_ledger()))
        else:
            old = [row for row in first_page.rows if empty_at is None or row.ended_at <= empty_at]
            yield from self._ranges.remember(first_page, old, new)

    # --- what lies below it ----------------------------------------------------------------------

    def _read_the_rest(self, first_page: Page, deadline: float) -> Pages[None]:
        # Where the first page took all the time, one more request is made: each poll gets further.
        deadline = max(deadline, self._clock.now().steady + 0.001)
        if first_page.size:
            self.has_more = yield from self._read_ranges(deadline)
        if self._list.new_table_waits(first_page, self._following.state):
            self.has_more = yield from self._read_new_table(deadline)

    def _read_new_table(self, deadline: float) -> Pages[bool]:
        first = self._list.change_to_new_table(self._following.state)
        if first is None or first.ledger is None:
            return False
        self._ranges.note_order(first.page)
        # No row of the table is known yet, so there is nothing to recognise it by.
        yield from self._ranges.count(first.page, KnownTable(first.ledger))
        return (yield from self._read_ranges(deadline))

    def _read_ranges(self, deadline: float) -> Pages[bool]:
        """Read what is unread or to be rechecked; return True where there is more to read at once.

        Rechecks are read on at once only until each was read once since the start.
        """
        if (yield from self._ranges.read_unread(deadline)):
            return True
        state = self._following.state
        if state.ledger is not None and state.ledger.order.by_time and not state.unread:
            yield from self._sweeps.sweep(deadline)
        time_was_missing = yield from self._ranges.recheck_due(deadline)
        return time_was_missing and not self._following.state.all_rechecked
