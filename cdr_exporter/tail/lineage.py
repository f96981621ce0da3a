"""Whether a first page is of the table we know, and where it joins on to what was read before.

Rule: nothing of a page is counted before one row that we remember was found on it or below it, or
the same strange table was seen in two polls in a row.
"""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

from ..ingest.pbx_state import PBXState
from ..ledger import Ledger
from ..ledger.page import Page, query
from ..metrics.catalogue import LINEAGE_SUSPECT
from ..metrics.self_metrics import SelfMetrics
from ..settings import PBX
from .anchor_search import AnchorSearch
from .page_reader import PageReader
from .read_plan import ReadPlan

_UNKNOWN_TABLE_ROWS = 200
"""Rows of a strange table to know it by in the next poll."""

log = logging.getLogger(__name__)


class KnownTable(NamedTuple):
    """How a first page joins on: *ledger* is the one to judge it by, *anchor* as there.

    *anchor_page* is the page the anchor was found on. *lineage_broke* says that a new lineage
    begins.
    """

    ledger: Ledger
    anchor: int | None = None
    anchor_page: Page | None = None
    lineage_broke: bool = False


class LineageCheck:
    """Of one PBX; remembers a strange table from one poll to the next."""

    def __init__(
        self, pbx: PBX, reader: PageReader, state: PBXState, self_metrics: SelfMetrics
    ) -> None:
        self._pbx = pbx
        self._reader = reader
        self._state = state
        self._self_metrics = self_metrics
        self._unknown_rows: frozenset[int] = frozenset()
        """Identities of the strange rows of the last poll."""

    def identify(self, first_page: Page, ledger: Ledger, plan: ReadPlan) -> KnownTable | None:
        """Say how *first_page* joins on to *ledger*; None while that is not known.

        Raises `PBXError`, `Stopped`.
        """
        if ledger.recognises(first_page):
            self.forget()
            return KnownTable(ledger)
        search = AnchorSearch(
            ledger, first_page, plan.guess_new_rows(first_page, ledger.newest_key)
        )
        while not search.done:
            search.observe(self._reader.read(search.next_query()))
        if search.anchor is not None:
            self.forget()
            return KnownTable(ledger, search.anchor, search.anchor_page)
        return self._confirm_unknown_table(first_page, ledger)

    def forget(self) -> None:
        """Note that the table is ours, or says nothing."""
        self._unknown_rows = frozenset()
        self._self_metrics.set(LINEAGE_SUSPECT, 0)

    def _confirm_unknown_table(self, first_page: Page, ledger: Ledger) -> KnownTable | None:
        # More than a first page, or a busy table never shows the same row twice.
        rows = frozenset(map(ledger.order.identity, self._larger_first_page(ledger).rows))
        if not rows & self._unknown_rows:
            log.warning(
                "unknown rows where known ones should be; not counting",
                extra=self._log_fields(first_page),
            )
            self._self_metrics.set(LINEAGE_SUSPECT, 1)
            self._unknown_rows = rows
            return None
        log.error(
            "the PBX has another table of records than before; what ended before the newest call "
            "counted is left out from here on",
            extra=self._log_fields(first_page),
        )
        self.forget()
        return KnownTable(ledger.new_lineage(self._state.limits), lineage_broke=True)

    def _larger_first_page(self, ledger: Ledger) -> Page:
        return self._reader.read(query(1, _UNKNOWN_TABLE_ROWS, ledger.order))

    def _log_fields(self, first_page: Page) -> dict[str, Any]:
        return {"fields": {"pbx": self._pbx.name, "top_id": first_page.highest}}
