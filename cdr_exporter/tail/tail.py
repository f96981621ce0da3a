"""One PBX's table, followed: the steps of one poll, and the first start.

    follow
      _read_first_page     in the order that shows every row        MissingIdDetector, ReadPlan
      _start               where there is no ledger yet
      _count_first_page    if it is of the table we know            LineageCheck
      _read_unread         newest range first                       ReadPlan
      _sweep               by time: for unseen rows, for calls      UnseenRows, PBXState
      _recheck_due         ranges that may bring late rows          ReadPlan
      _change_to_new_table where only that shows all rows           MissingIdDetector
      count_finished_calls, end_poll, commit_births                 PBXState
      check_total          are rows missing from the order by id?   MissingIdDetector

    every page:  PageReader.read → Ledger.judge → PBXState.apply_page → ReadPlan.record_page

Rule: what can be decided without a PBX and a clock is decided in `ledger`, `read_plan`,
`end_of_list` and `page_size`. The theory of a poll is in the docstring of the package.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace

from ..cdr import Record
from ..cdr.labels import labels_of
from ..clock import Clock, Now
from ..errors import PBXError, TryAgain
from ..ingest.pbx_state import PBXState
from ..ledger import (
    Ledger,
    PageVerdict,
    Range,
    from_now,
    from_the_beginning,
    new_table,
    start_by_time,
    without_from,
    without_new_table,
)
from ..ledger.order import BY_ID, BY_TIME, NEW_BY_TIME, Order
from ..ledger.page import FIRST_PAGE_ROWS, Page, query
from ..logs import for_pbx
from ..metrics.self_metrics import SelfMetrics
from ..metrics.totals import Totals
from ..settings import PBX
from .lineage import KnownTable, LineageCheck
from .missing_ids import MissingIdDetector, is_refusal
from .page_reader import PageReader
from .read_plan import ReadPlan
from .unseen_rows import UnseenRows

START_PAGE_ROWS = 200
"""How many rows are remembered at the very first start: more than a first page has, so that some
are still there when others were deleted."""

_CLOCK_TOLERANCE = 300
"""Seconds by which the PBX's clock may be behind what it tells, or behind ours where it tells none,
where it is decided whether the first calls of a PBX ended before we watched it."""

_MAX_TRIES = 2
"""How often a range is read in vain before its position is forgotten and searched for anew."""

_MANY_CALLS = 5
"""So many calls are many. All but one in so many are swept for in each poll."""

_LONGEST_SWEEP = 300.0
"""Seconds after which a sweep that has not come to its end begins anew at the top of the list."""

_MAX_NEIGHBOURS = 5
"""How many rows in a row are read, one by one, until one has a usable key."""

_LOG = logging.getLogger(__name__)


class Tail:
    """Follows one PBX from page to page, and gives what it brings to *state*."""

    def __init__(
        self,
        pbx: PBX,
        reader: PageReader,
        state: PBXState,
        *,
        self_metrics: SelfMetrics,
        clock: Clock,
    ) -> None:
        self._pbx = pbx
        self._logger = for_pbx(_LOG, pbx.name)
        self._reader = reader
        self._state = state
        self._clock = clock
        self._lineage = LineageCheck(pbx, reader, state, self_metrics)
        self._missing_ids = MissingIdDetector(pbx, reader, clock)
        self._plan = ReadPlan(self._order)
        self._empty_since: float | None = None
        """When the list was first seen empty (epoch seconds), before any row was seen."""
        self._range_given_up: Range | None = None
        """The unread range that was last left to the next poll."""
        self._poll_began = clock.now()
        self._new_table_is_gone = False
        """Whether the last poll found no row of the new table, which is followed."""
        self._unseen = UnseenRows()
        self._sweep: tuple[int, float] | None = None
        """While a sweep goes on: down to which key it reads what was not read since when."""
        self._unfinished_sweep: Now | None = None
        """When the sweep began that the time of its poll did not suffice for."""
        self._next_sweep = float("-inf")
        """When calls may be swept for again (steady clock)."""
        self._misplaced: set[Range] = set()
        """Ranges that are not at the position that the remembered rows above them suggest."""

    def follow(self, deadline: float) -> bool:
        """Poll once, until *deadline* (seconds, steady clock); the first page is read in any case.

        Returns whether there is more to be read at once, without waiting for the next poll.
        Raises `PBXError` or `StateNotWritten` where the poll failed, and `Stopped` where the
        program is to end; what was committed until then holds.
        """
        self._poll_began = self._clock.now()
        self._state.assembler.begin_poll(self._poll_began)
        first_page, ledger = self._read_first_page()
        self._state.assembler.clock_offset = self._reader.clock_offset
        if not first_page.size:
            self._note_empty()
            if not self._new_table_waits(first_page):
                return False
        elif ledger is None:
            self._start(first_page)
        elif not self._count_first_page(first_page, ledger):
            return False
        # Where the first page took all the time, one more request is made: each poll gets further.
        deadline = max(deadline, self._clock.now().steady + 0.001)
        more = bool(first_page.size) and self._read_ranges(deadline)
        if self._new_table_waits(first_page):
            more = self._change_to_new_table() and self._read_ranges(deadline)
        if not more and not self._state.unread:
            self._state.count_finished_calls()
            self._state.show()
        self._state.assembler.end_poll()
        self._state.commit_births()
        if self._order is BY_ID and self._state.ledger is not None and not more:
            self._missing_ids.check_total(first_page, self._state.ledger)
        return more

    def timed_out(self) -> None:
        """Note that a request timed out, so that less is asked for from now on."""
        self._plan.timed_out(self._pbx.request_timeout)

    # --- the order -------------------------------------------------------------------------------

    @property
    def _order(self) -> Order:
        return self._state.ledger.order if self._state.ledger is not None else BY_ID

    def _read_first_page(self) -> tuple[Page, Ledger | None]:
        """Return the first page, in the order that shows every row, and the ledger for it.

        The new table comes later where another list is to be read to its end before.
        """
        ledger, rows = self._state.ledger, FIRST_PAGE_ROWS
        if ledger is None:
            rows = START_PAGE_ROWS
        if self._plan.order is not self._order:
            self._plan = ReadPlan(self._order)
        if ledger is not None and self._order is NEW_BY_TIME:
            return self._read_first_of_new_table(ledger)
        first_page = self._reader.read(query(1, rows, self._order))
        order = self._missing_ids.order_to_follow(first_page, ledger)
        if ledger is not None and order is not NEW_BY_TIME:
            ledger = without_new_table(ledger)
        if order is self._order or (order is NEW_BY_TIME and self._is_second(first_page, ledger)):
            return first_page, ledger
        self._plan = ReadPlan(order)
        page = self._reader.read(query(1, rows, order))
        started = self._start_by_time(page, ledger)
        if order is NEW_BY_TIME and first_page.size:
            # So that rows of the other list are known, should the PBX show them one day.
            other = from_now(_reject_without_id(first_page), self._clock.now().wall)
            started = replace(started, id_ledger=other)
        return page, started

    def _is_second(self, first_page: Page, ledger: Ledger | None) -> bool:
        """Say whether the new table comes after the list of *first_page*, whose rows count, too."""
        counts = self._first_start == "all" or self._empty_since is not None
        return ledger is not None or (counts and first_page.size > 0)

    @property
    def _first_start(self) -> str:
        # After a state was lost, the series exist: a second baseline would look like calls.
        return "now" if self._state.state_was_lost else self._pbx.start

    def _start_by_time(self, first_page: Page, ledger: Ledger | None) -> Ledger:
        """Return the ledger to go on with by time. It holds once a page is committed with it."""
        shown_at = self._missing_ids.all_had_ids_at
        if first_page.order is NEW_BY_TIME:
            self._logger.warning(
                "the PBX shows new CDR rows only when asked for them (from=new); reading its new "
                "table by start time from here on"
            )
            shown_at = self._missing_ids.all_shown_at
        else:
            self._logger.warning(
                "some CDR rows have no id; reading the list by start time from here on"
            )
        if ledger is None:
            self._state.visibility.shown = False
        elif ledger.order.by_time:
            return new_table(ledger)
        return start_by_time(
            ledger,
            first_page.rows,
            self._clock.now().wall,
            self._state.limits,
            self._first_start,
            shown_at,
            self._empty_at,
            order=first_page.order,
        )

    # --- the new table ---------------------------------------------------------------------------

    def _new_table_waits(self, first_page: Page) -> bool:
        """Say whether to change over to the new table now: nothing else is to be read.

        Raises `TryAgain` where the list so far is empty, so that what is unread of it cannot be.
        """
        if self._state.ledger is None or self._order is NEW_BY_TIME:
            return False
        if not self._missing_ids.new_table_waits:
            return False
        if not first_page.size and self._state.unread:
            raise TryAgain(
                "the list without from=new is empty, though rows of it are still to be read",
                reason="garbled",
            )
        return not self._state.unread and (self._state.all_rechecked or not first_page.size)

    def _change_to_new_table(self) -> bool:
        """Follow the new table from here on; say whether it has a row.

        What was followed so far was read to its end in this poll. Raises `PBXError`,
        `StateNotWritten`, `Stopped`.
        """
        page = self._reader.read(query(1, FIRST_PAGE_ROWS, NEW_BY_TIME))
        if not page.size or self._state.ledger is None:
            self._missing_ids.forget()
            return False
        self._plan = ReadPlan(NEW_BY_TIME)
        # No row of the table is known yet, so there is nothing to recognise it by.
        self._count_page(page, KnownTable(self._start_by_time(page, self._state.ledger)))
        return True

    def _read_first_of_new_table(self, ledger: Ledger) -> tuple[Page, Ledger]:
        """Return the first page of the new table; or that of the list without `from`.

        That is read where the new table is gone for the second poll in a row: empty, or refused.
        Raises `PBXError`, `Stopped`.
        """
        was_gone, self._new_table_is_gone = self._new_table_is_gone, True
        try:
            page = self._reader.read(query(1, FIRST_PAGE_ROWS, NEW_BY_TIME))
        except PBXError as error:
            if not was_gone or not is_refusal(error):
                self._new_table_is_gone = is_refusal(error)
                raise
            page = None
        if page is not None and (page.size or not was_gone):
            self._new_table_is_gone = not page.size
            return page, ledger
        other = self._reader.read(query(1, FIRST_PAGE_ROWS, BY_TIME))
        return other, self._leave_new_table(ledger) if other.size else ledger

    def _leave_new_table(self, ledger: Ledger) -> Ledger:
        """Return the ledger for the list without `from`. Raises `TryAgain`."""
        if ledger.unread:
            raise TryAgain(
                "the PBX shows its new table (from=new) no more, though rows of it are still to be "
                "read",
                reason="garbled",
            )
        self._logger.warning(
            "the PBX shows its new table (from=new) no more; reading the list without it by start "
            "time from here on"
        )
        self._new_table_is_gone = False
        self._missing_ids.forget()
        self._plan = ReadPlan(BY_TIME)
        return without_from(ledger)

    # --- reading ---------------------------------------------------------------------------------

    def _read_ranges(self, deadline: float) -> bool:
        """Read what is unread or to be rechecked; return True where there is more to read at once.

        Rechecks are read on at once only until each was read once since the start.
        """
        self._misplaced &= {*self._state.unread, *self._state.due}
        if self._read_unread(deadline):
            return True
        if self._order.by_time and not self._state.unread:
            self._sweep_for_calls(deadline)
            self._sweep_for_unseen_rows(deadline)
            self._unseen.end_poll()
        return self._recheck_due(deadline) and not self._state.all_rechecked

    def _read_unread(self, deadline: float) -> bool:
        """Read the unread ranges, newest first; return True where only time was missing."""
        tries = 0
        while self._state.unread:
            wanted = self._state.unread[0]
            position = self._find_position(wanted, deadline)
            if position is None or (not tries and self._clock.now().steady >= deadline):
                return True
            tries = 0 if self._read_page_of(wanted, position) else tries + 1
            if tries == _MAX_TRIES:
                self._leave_to_next_poll(wanted)
                return False
        return False

    def _read_page_of(self, wanted: Range, position: int) -> bool:
        """Read one page for *wanted*; say whether keys were read, or how to read on was learnt."""
        before = self._state.unread
        self._read_at(wanted, position)
        return self._state.unread != before or self._plan.made_progress

    def _read_at(self, wanted: Range, position: int, *, rereading: bool = False) -> None:
        page = self._reader.read(self._plan.next_query(wanted, position, rereading=rereading))
        self._plan.adapt_size(self._reader.last_duration)
        if self._state.ledger is not None:
            self._count_page(page, KnownTable(self._state.ledger))

    def _recheck_due(self, deadline: float) -> bool:
        """Read the ranges to be rechecked that are due; return True where time was missing."""
        given_up: set[Range] = set()
        tries = 0
        open_ranges = self._due
        while open_ranges:
            wanted = open_ranges[0]
            position = self._find_position(wanted, deadline)
            if position is None or self._clock.now().steady >= deadline:
                return True
            self._read_at(wanted, position, rereading=True)
            due = self._due
            tries = 0 if wanted not in due or self._plan.made_progress else tries + 1
            if tries == _MAX_TRIES:
                # There are rows above it that we do not remember, so the position was wrong. It is
                # searched for anew once a poll; the second time it is left to the next poll.
                given_up |= {wanted} & self._misplaced
                self._misplaced.add(wanted)
                self._plan.forget_positions()
                tries = 0
            elif wanted not in due:
                self._misplaced.discard(wanted)
            open_ranges = tuple(span for span in due if span not in given_up)
        return False

    @property
    def _due(self) -> tuple[Range, ...]:
        """The ranges that are to be read again now, newest first."""
        ledger = self._state.ledger
        if self._sweep is None or ledger is None:
            return self._state.due
        lowest, since = self._sweep
        if not lowest and not self._unseen.are_there(self._clock.now().steady):
            return ()
        return ledger.not_read_since(lowest, since, self._clock.now().wall)

    def _sweep_for_unseen_rows(self, deadline: float) -> None:
        """Read down until the rows are found that `total_number` counts and no page has shown."""
        if not self._unseen.are_there(self._clock.now().steady):
            return
        self._reread_from(0, deadline)
        self._unseen.end_search(self._clock.now().steady)

    def _sweep_for_calls(self, deadline: float) -> None:
        """Read down to where the oldest call began that only waits for that, to be over.

        Where many wait, first to where most of them began, in each poll: a few long calls on a busy
        PBX take several polls, and the others need not wait for them.
        """
        starts = self._state.starts_to_read
        if len(starts) >= _MANY_CALLS:
            self._reread(starts[len(starts) // _MANY_CALLS], self._poll_began, deadline)
            starts = self._state.starts_to_read
        if not starts or self._clock.now().steady < self._next_sweep:
            return
        began = self._reread_from(starts[0], deadline).steady
        # Where the PBX is slow, or calls are many and long, half of the time is left to the rest.
        if self._unfinished_sweep is None:
            ended = self._clock.now().steady
            self._next_sweep = ended + (ended - began)

    def _reread_from(self, lowest: int, deadline: float) -> Now:
        """Read again what this sweep has not read, from the key *lowest* up, newest first.

        A sweep goes on in the next poll where its time does not suffice. The whole window (*lowest*
        0) is read only while rows are unseen. Returns when the sweep began. Raises `PBXError`,
        `StateNotWritten`, `Stopped`.
        """
        began = self._unfinished_sweep or self._poll_began
        if not 0 <= self._clock.now().steady - began.steady < _LONGEST_SWEEP:
            began = self._poll_began
        self._unfinished_sweep = began
        if self._reread(lowest, began, deadline):
            self._unfinished_sweep = None
        return began

    def _reread(self, lowest: int, since: Now, deadline: float) -> bool:
        """Read again, from *lowest* up, what was not read *since*; say whether all of it was."""
        self._sweep = (lowest, since.wall)
        try:
            self._recheck_due(deadline)
            return not self._due
        finally:
            self._sweep = None

    def _leave_to_next_poll(self, wanted: Range) -> None:
        """Leave *wanted* to the next poll; raise `TryAgain` where this range was left before."""
        self._plan.forget_positions()
        self._misplaced.add(wanted)
        if self._range_given_up == wanted:
            raise TryAgain(
                f"no page shows the {self._order.sort_by}s {wanted[0]} to {wanted[1]}, though the "
                "list goes on below them; reading them will be tried again",
                reason="garbled",
            )
        self._range_given_up = wanted

    def _find_position(self, wanted: Range, deadline: float) -> int | None:
        """Return the position where *wanted* begins, None where time was missing.

        Keys fall as positions rise, so a binary search takes about 30 single rows at most.
        """
        ledger = self._state.ledger
        if ledger is not None and wanted not in self._misplaced:
            known_above = ledger.known_rows_above(wanted[1])
            if known_above is not None:
                self._plan.set_position(wanted, known_above)
        while (position := self._plan.position(wanted)) is None:
            if self._clock.now().steady >= deadline:
                return None
            probe = self._plan.next_probe(wanted)
            self._plan.narrow_search(probe, self._key_near(probe))
        return position

    def _key_near(self, position: int) -> int:
        """Return the key at *position*, or of the next row with a usable one; 0 past the end."""
        for at in range(position, position + _MAX_NEIGHBOURS):
            page = self._reader.read(query(at + 1, 1, self._order))
            if page.highest or not page.size:
                return page.highest
        return 0

    # --- the first page --------------------------------------------------------------------------

    def _note_empty(self) -> None:
        """Note an empty list and begin nothing: the PBX may still be starting."""
        self._state.visibility.hide_if_stale(self._clock.now())
        self._lineage.forget()
        if self._state.ledger is None:
            self._empty_since = self._empty_since or self._clock.now().wall
            self._state.show()
        self._state.saw_page(())

    def _start(self, first_page: Page) -> None:
        """Begin a ledger with the first rows ever seen.

        With `start: now`, only rows count that ended since the list was seen empty, if it was.
        """
        new = [row for row in first_page.rows if self._ended_since_empty(row)]
        if new and len(new) == first_page.size:
            # All of them ended after the list was seen empty, so what lies below is new, too.
            self._count_page(first_page, KnownTable(Ledger()))
        elif self._first_start == "now":
            old = [row for row in first_page.rows if not self._ended_since_empty(row)]
            verdict = PageVerdict(
                from_now(_reject_without_id(first_page), self._clock.now().wall), new, left_out=old
            )
            self._state.apply_page(verdict, first_page, self._totals_at_zero(old), baseline=False)
            self._plan.record_page(first_page, 0, ())
        else:
            self._state.visibility.shown = False
            both = self._missing_ids.new_table_waits
            self._count_page(first_page, KnownTable(from_the_beginning(both_tables=both)))

    @property
    def _empty_at(self) -> int | None:
        """When the table was empty (epoch seconds), by the slowest clock that the PBX may have."""
        if self._empty_since is None:
            return None
        return int(self._empty_since + (self._reader.clock_offset or 0.0)) - _CLOCK_TOLERANCE

    def _ended_since_empty(self, row: Record) -> bool:
        return self._empty_at is not None and row.ended_at > self._empty_at

    def _totals_at_zero(self, old: Iterable[Record]) -> Totals:
        """Return totals at 0 for the trunks of *old* rows, newest first, up to `max_trunks`."""
        trunks = dict.fromkeys(labels_of(row).trunk for row in old)
        return self._state.initial_totals(list(trunks)[: self._pbx.max_trunks])

    # --- any page --------------------------------------------------------------------------------

    def _count_first_page(self, first_page: Page, ledger: Ledger) -> bool:
        """Count *first_page* where it is of the table we know; say whether it is.

        Reads more pages where that is in doubt. Raises `PBXError`, `StateNotWritten`, `Stopped`.
        """
        table = self._lineage.identify(first_page, ledger, self._plan)
        if table is None:
            return False
        self._count_page(first_page, table)
        if table.anchor_page is not None and self._state.ledger is not None:
            self._count_page(table.anchor_page, KnownTable(self._state.ledger))
        return True

    def _count_page(self, page: Page, table: KnownTable) -> None:
        page = self._mark_if_last(page)
        ledger, now = table.ledger, self._clock.now().wall
        verdict = ledger.judge(page, now, self._state.limits, anchor=table.anchor)
        totals = self._state.totals
        if ledger.first_read == "now" and ledger.is_empty:
            totals = self._totals_at_zero(
                row for row in page.rows if ledger.watermark.may_predate_break(row)
            )
        baseline = ledger.in_baseline
        self._state.apply_page(
            verdict._replace(lineage_broke=table.lineage_broke), page, totals, baseline=baseline
        )
        self._plan.record_page(page, len(verdict.counted), self._state.unread, self._due)
        new_rows = len(verdict.counted) + len(verdict.left_out) + len(verdict.rejected)
        self._unseen.record_page(page, new_rows)

    def _mark_if_last(self, page: Page) -> Page:
        marked = self._plan.mark_if_last(page)
        if marked.is_last and not page.is_last and page.total is not None:
            end = page.offset + page.size
            self._logger.warning(
                "the CDR list is shorter than its total_number", rows=end, total_number=page.total
            )
        return _reject_without_id(marked)


def _reject_without_id(page: Page) -> Page:
    """Return *page* with its rows without id rejected.

    By id only: `MissingIdDetector` has looked by then, and the order by time shows no more.
    """
    return page.with_missing_ids_rejected()
