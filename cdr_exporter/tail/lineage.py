"""Whether a first page is of the table we know, and which row of that table lies below it.

Rule: nothing of a page is counted before a row that we remember was found on it or below it, or
the same unknown table was seen in two polls in a row.

Known: which rows the ledger remembers. Guessed: how many rows are new, to look for the nearest
remembered row at the right place first; a wrong guess costs a few small requests. Not guessed:
whether the table is another one. While that is in doubt nothing is counted, so rows are counted a
poll later; once it is confirmed, rows that may have been counted before are left out.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

from ..ledger import KnownTable, Ledger, LedgerLimits
from ..ledger.page import Page, query
from ..logs import for_pbx
from ..metrics.catalogue import LINEAGE_SUSPECT
from ..metrics.self_metrics import SelfMetrics
from ..settings import PBX
from .anchor_search import AnchorSearch
from .page_reader import PageReader
from .read_plan import ReadPlan

_UNKNOWN_TABLE_ROWS = 200
"""How many rows of an unknown table are compared with those of the next poll: more than a first
page has, because on a busy PBX two first pages may have no row in common."""

_LOG = logging.getLogger(__name__)


class Identified(NamedTuple):
    """What to judge a first page by, and the page that the anchor was found on, if it was below."""

    table: KnownTable
    anchor_page: Page | None = None


class LineageCheck:
    """Checks the first pages of one PBX; remembers an unknown table until the next poll."""

    def __init__(self, pbx: PBX, reader: PageReader, self_metrics: SelfMetrics) -> None:
        self._logger = for_pbx(_LOG, pbx.name)
        self._reader = reader
        self._limits = LedgerLimits(pbx.late_window, pbx.longest_call)
        self._self_metrics = self_metrics
        self._unknown_rows: frozenset[int] = frozenset()
        """Identities of the rows of the unknown table that the last poll saw, if it saw one."""

    def identify(self, first_page: Page, ledger: Ledger, plan: ReadPlan) -> Identified | None:
        """Return what to judge *first_page* by; None while it may be of another table.

        Reads more pages where no row of *first_page* is remembered by *ledger*. Raises `PBXError`,
        `Stopped`.
        """
        if ledger.recognises(first_page):
            self.forget()
            return Identified(KnownTable(ledger))
        search = AnchorSearch(
            ledger, first_page, plan.guess_rows_above(first_page, ledger.new_rows_above)
        )
        while not search.done:
            search.observe(self._reader.read(search.next_query()))
        if search.anchor is not None:
            self.forget()
            return Identified(KnownTable(ledger, search.anchor), search.anchor_page)
        return self._confirm_unknown_table(first_page, ledger)

    def forget(self) -> None:
        """Forget an unknown table: this poll saw the one we know, or an empty one."""
        self._unknown_rows = frozenset()
        self._self_metrics.set(LINEAGE_SUSPECT, 0)

    def _confirm_unknown_table(self, first_page: Page, ledger: Ledger) -> Identified | None:
        rows = frozenset(map(ledger.order.identity, self._larger_first_page(ledger).rows))
        if not rows & self._unknown_rows:
            self._logger.warning(
                "no known record found on the PBX; not counting until a second poll confirms it",
                top_id=first_page.highest,
            )
            self._self_metrics.set(LINEAGE_SUSPECT, 1)
            self._unknown_rows = rows
            return None
        self._logger.error(
            "the records on the PBX were replaced (reset, restored backup, or another PBX); "
            "records that ended before the newest one counted are left out from here on",
            top_id=first_page.highest,
        )
        self.forget()
        return Identified(KnownTable(ledger.new_lineage(self._limits), lineage_broke=True))

    def _larger_first_page(self, ledger: Ledger) -> Page:
        return self._reader.read(query(1, _UNKNOWN_TABLE_ROWS, ledger.order))
