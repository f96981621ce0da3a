"""Reads what a PBX still has of its past into a file of legs.

Rule: which page to ask for next, and which of its rows are new, is decided by the code that reads a
baseline (`tail`, `ledger`). Only what becomes of the rows is other: they are kept as legs.

A page's legs are on the disk before the ledger that takes them as read. So a process may be killed
at any point: what the ledger of the last commit has not is read again, and a leg that comes twice
is kept once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypeVar

from ..calls import LegClassifier
from ..cdr import CDRAnswer
from ..cdr.contract import NEW, CDRQuery
from ..clock import Clock
from ..errors import ExporterError, TryAgain
from ..ingest import (
    JudgedPage,
    PBXState,
    StateChange,
    call_rules_of,
    counting_rules_of,
    ledger_change,
)
from ..ledger import PageVerdict
from ..ledger.order import BY_TIME, NEW_BY_TIME
from ..ledger.page import FIRST_PAGE_ROWS, Page, query
from ..metrics.row_metrics import group_by_labels
from ..metrics.self_metrics import SelfMetrics
from ..metrics.totals import Bounds
from ..settings import PBX
from ..store import FileStore, KeptLeg, LegFile, Store
from ..tail import Tail
from ..tail.page_reader import CDRList, PageReader

_T = TypeVar("_T")

_MOST_FAILURES = 6
"""How many requests in a row may fail before reading is given up; a later run goes on."""

_EVERYTHING = "everything"
"""The mark that every list was read."""

_FIRST_WAIT, _LONGEST_WAIT = 2.0, 300.0
"""Seconds to wait after the first failure, twice as long after each further one, and the most."""


class ReadingFailed(ExporterError):
    """The past of a PBX could not be read to its end: exit 1; a later run goes on."""


class _FarEnough(Exception):
    """All that is wanted was read."""


class Source(NamedTuple):
    """A PBX, its CDR list, and what its rows are to be taken for.

    *machines* are beginnings of machines' names, *noted* is called with how many rows were read.
    """

    pbx: PBX
    cdr_list: CDRList
    machines: tuple[str, ...]
    bounds: Bounds
    clock: Clock
    noted: Callable[[int], None]


def read_past(source: Source, legs: LegFile, directory: Path, not_before: float | None) -> None:
    """Read the rows that ended at *not_before* (epoch seconds) or later into *legs*, or all.

    What is needed to go on after a kill is kept in *directory*. Newer firmware has two tables, and
    which of them it shows without being asked is unknown: so its new one is asked for as well,
    unless the first list has shown it. Raises `PBXError`, `ReadingFailed`, `StateNotWritten`,
    `Stopped`.
    """
    if legs.is_read(_EVERYTHING):
        return
    newest_of_new = _newest_of_new_table(source)
    _read_list(source, legs, directory / "all", not_before)
    if newest_of_new and not legs.holds(newest_of_new):
        new_only = source._replace(cdr_list=_NewTable(source.cdr_list))
        _read_list(new_only, legs, directory / "new", not_before)
    legs.sort()
    legs.mark_read(_EVERYTHING)


def _newest_of_new_table(source: Source) -> list[int]:
    """Return the identities of the newest rows of the new table; none where there is no such table.

    Older firmware ignores the question, and answers with rows that have an id.
    """
    newest = query(1, FIRST_PAGE_ROWS, NEW_BY_TIME)
    reader = _reader_of(source, SelfMetrics(source.bounds))
    try:
        page = _with_retries(source, lambda: reader.read(newest))
    except TryAgain as error:
        if error.reason != "garbled":
            raise
        return []  # it does not sort by time
    return [BY_TIME.identity(row) for row in page.rows if not row.id]


def _read_list(source: Source, legs: LegFile, directory: Path, not_before: float | None) -> None:
    if legs.is_read(directory.name):
        return
    pbx = source.pbx
    with closing(FileStore(directory, pbx.name, pbx.client_id, source.bounds)) as store:
        past = _PastReader(source, legs, store, not_before)
        with suppress(_FarEnough):
            _with_retries(source, past.follow, lambda: past.pages)
    legs.mark_read(directory.name)


def _reader_of(source: Source, self_metrics: SelfMetrics) -> PageReader:
    return PageReader(source.cdr_list, self_metrics, source.clock, source.pbx.name)


def _with_retries(
    source: Source, action: Callable[[], _T], progress: Callable[[], int] = lambda: 0
) -> _T:
    failures, reached = 0, progress()
    while True:
        try:
            return action()
        except TryAgain as error:
            failures = 1 if progress() > reached else failures + 1
            reached = progress()
            if failures == _MOST_FAILURES or source.clock.stopping:
                raise
            wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** (failures - 1))
            source.clock.wait(max(wait, error.retry_after or 0.0))


class _NewTable:
    """The list of the new table alone."""

    def __init__(self, cdr_list: CDRList) -> None:
        self._cdr_list = cdr_list

    @property
    def requests(self) -> int:
        return self._cdr_list.requests

    @property
    def errcodes(self) -> Mapping[int, int]:
        return self._cdr_list.errcodes

    @property
    def clock_offset(self) -> float | None:
        return self._cdr_list.clock_offset

    def fetch(self, query: CDRQuery) -> CDRAnswer:
        return self._cdr_list.fetch(replace(query, from_=NEW))


class _PastReader:
    """Follows a PBX to read its past: the new rows of each page are kept as legs, not counted."""

    def __init__(
        self, source: Source, legs: LegFile, store: Store, not_before: float | None
    ) -> None:
        pbx = replace(source.pbx, start="all")
        rules = counting_rules_of(pbx, call_rules_of(pbx, source.machines), source.bounds)
        self_metrics = SelfMetrics(source.bounds)
        self.state = PBXState.of(store.load(), rules)
        """Of it, only the ledger is gone on with."""
        self.pages = 0
        """How many pages brought new rows."""
        self._name = pbx.name
        self._store = store
        self._legs = legs
        self._noted = source.noted
        self._rows = len(legs)
        self._not_before = not_before
        self._classifier = LegClassifier(rules.calls)
        reader = _reader_of(source, self_metrics)
        self._tail = Tail(pbx, reader, self, self_metrics=self_metrics, clock=source.clock)

    def follow(self) -> None:
        """Read the list to its end; raises `_FarEnough` once all rows wanted were read."""
        for event in self._tail.follow(float("inf")):
            if isinstance(event, JudgedPage):
                self._keep(event)
        if self.state.unread:
            raise TryAgain("the list changed while it was read", reason="garbled")

    def _keep(self, event: JudgedPage) -> None:
        page, verdict = event.page, event.verdict
        if verdict.lineage_broke:
            raise ReadingFailed(
                f"{self._name}: the records on the PBX were replaced while they were read; begin "
                "anew with an empty folder"
            )
        before, after = self.state.ledger, replace(self.state, ledger=verdict.ledger)
        if verdict.ledger == before:
            self.state = after
            return
        self._legs.add(self._kept_legs(verdict))
        self._store.commit(StateChange(ledger_change(before, verdict.ledger, verdict.remembered)))
        self.state = after
        self.pages += 1
        self._rows += len(verdict.counted)
        self._noted(self._rows)
        if self._not_before is not None and _ended_before(page, self._not_before):
            raise _FarEnough

    def _kept_legs(self, verdict: PageVerdict) -> Iterator[KeptLeg]:
        order = verdict.ledger.order
        for labels, rows in group_by_labels(verdict.counted):
            for row in rows:
                leg = self._classifier.classify(row)
                identity = order.identity(row)
                yield KeptLeg(identity, row.uid, row.ended_at, labels.disposition, leg)


def _ended_before(page: Page, time: float) -> bool:
    """Say whether every row of *page*, and so each one below it, ended before *time*.

    By id the rows stand in the order in which they were written. By time they stand in the order
    of their starts, where a call that ended after *time* may have begun before it.
    """
    if page.order.by_time:
        return 0 < page.highest < time
    return bool(page.rows) and max(row.ended_at for row in page.rows) < time
