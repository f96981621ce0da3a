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

_STRANGE_ROWS = 200
"""Rows of a strange table to know it by in the next poll."""

log = logging.getLogger(__name__)


class KnownTable(NamedTuple):
    """How a first page joins on: *ledger* is the one to judge it by, *anchor* as there.

    *beyond* is the page the anchor was found on. *broke* says that a new lineage begins.
    """

    ledger: Ledger
    anchor: int | None = None
    beyond: Page | None = None
    broke: bool = False


class LineageCheck:
    """Of one PBX; remembers a strange table from one poll to the next."""

    def __init__(
        self, pbx: PBX, reader: PageReader, state: PBXState, self_metrics: SelfMetrics
    ) -> None:
        self._pbx = pbx
        self._reader = reader
        self._state = state
        self._self_metrics = self_metrics
        self._seen: frozenset[int] = frozenset()
        """Identities of the strange rows of the last poll."""

    def identify(self, head: Page, ledger: Ledger, plan: ReadPlan) -> KnownTable | None:
        """Say how *head* joins on to *ledger*; None while that is not known.

        Raises `PBXError`, `Stopped`.
        """
        if ledger.knows(head):
            self.forget()
            return KnownTable(ledger)
        search = AnchorSearch(ledger, head, plan.new_rows(head, ledger.newest_key))
        while not search.done:
            search.observe(self._reader.read(search.next_query()))
        if search.anchor is not None:
            self.forget()
            return KnownTable(ledger, search.anchor, search.page)
        return self._strange(head, ledger)

    def forget(self) -> None:
        """Note that the table is ours, or says nothing."""
        self._seen = frozenset()
        self._self_metrics.set(LINEAGE_SUSPECT, 0)

    def _strange(self, head: Page, ledger: Ledger) -> KnownTable | None:
        # More than a first page, or a busy table never shows the same row twice.
        rows = frozenset(map(ledger.order.identity, self._more(ledger).rows))
        if not rows & self._seen:
            log.warning(
                "unknown rows where known ones should be; not counting", extra=self._say(head)
            )
            self._self_metrics.set(LINEAGE_SUSPECT, 1)
            self._seen = rows
            return None
        log.error(
            "the PBX has another table of records than before; what ended before the newest call "
            "counted is left out from here on",
            extra=self._say(head),
        )
        self.forget()
        return KnownTable(ledger.broken(self._state.terms), broke=True)

    def _more(self, ledger: Ledger) -> Page:
        return self._reader.read(query(1, _STRANGE_ROWS, ledger.order))

    def _say(self, head: Page) -> dict[str, Any]:
        return {"fields": {"pbx": self._pbx.name, "top_id": head.top}}
