"""Pages from one PBX: one request at a time, with a rest in between, and what it cost noted.

Rule: an answer is either a valid page or an error; nothing of an invalid answer is used. An answer
that is too large is asked for in parts, which together are one page or an error (`oversized_rows`).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Protocol

from ..cdr import CDRAnswer, GarbledAnswer
from ..cdr.contract import CDRQuery
from ..clock import Clock
from ..errors import PageTooLarge, TryAgain
from ..ledger.page import Page, page_of
from ..logs import for_pbx
from ..metrics.catalogue import (
    API_ERRORS,
    CLOCK_OFFSET,
    ERRCODES,
    OTHER_ERRCODE,
    PBX_RECORDS,
    REQUESTS,
    ROWS_FETCHED,
)
from ..metrics.self_metrics import SelfMetrics
from .oversized_rows import OversizedPlaces, Reading

_MOST_READINGS = 3
"""How often a page is read in parts until they are one slice of the list."""

_MOST_LOGGED = 100
"""How many oversized rows are logged; all are counted as rejected."""

_LOG = logging.getLogger(__name__)

_MOST_OFFSET = 86_400.0
"""Seconds between the PBX's clock and ours up to which the PBX is believed."""


class Stopped(Exception):
    """The program is to end; what was committed until now holds."""


class CDRList(Protocol):
    """What is needed of a PBX's client, like that of `pbx`; both counts only grow."""

    @property
    def requests(self) -> int:
        """How many requests were sent so far, including those for tokens."""

    @property
    def errcodes(self) -> Mapping[int, int]:
        """How often the PBX answered with each errcode other than 0 so far."""

    @property
    def clock_offset(self) -> float | None:
        """By how many seconds the PBX's clock is ahead of ours; None where that is unknown."""

    def fetch(self, query: CDRQuery) -> CDRAnswer:
        """Return the answer to *query*. Raises `PBXError`."""


class PageReader:
    """Reads pages of one PBX. *last_duration* is how long the last request took, in seconds.

    *pbx_name* is named in log lines.
    """

    def __init__(
        self, cdr_list: CDRList, self_metrics: SelfMetrics, clock: Clock, pbx_name: str = ""
    ) -> None:
        self.last_duration = 0.0
        self._logger = for_pbx(_LOG, pbx_name)
        self._cdr_list = cdr_list
        self._self_metrics = self_metrics
        self._clock = clock
        self._requests = cdr_list.requests
        self._errcodes = Counter(cdr_list.errcodes)
        self._oversized_places = OversizedPlaces()
        self._oversized_logged: set[int] = set()
        """The fingerprints of oversized rows of which the log knows."""

    @property
    def clock_offset(self) -> float | None:
        """By how many seconds the PBX's clock is ahead of ours, as far as it is to be believed.

        None where the PBX does not tell it, and where it is days off: a PBX that is starting may
        not have set its clock yet.
        """
        offset = self._cdr_list.clock_offset
        return offset if offset is not None and abs(offset) <= _MOST_OFFSET else None

    def read(self, query: CDRQuery, *, is_look: bool = False) -> Page:
        """Return the page that *query* asks for, checked.

        Rows that are too large are rejected; the others are read around them (`oversized_rows`).
        Before any request but the first of a first page, waits as long as the last one took, so
        that the PBX is busy with us half of the time at most. With *is_look*, the query is for a
        list that is not followed, and its total is not shown. Raises `PBXError`, with the reason
        `garbled` for an invalid answer; `Stopped` where the program is to end.
        """
        garbled = ""
        try:
            page = self._read(query)
        except GarbledAnswer as error:
            garbled = str(error)
        if garbled:
            # Outside of `except`, so that the error does not carry the PBX's answer along.
            raise TryAgain(f"{garbled}; nothing of the answer was used", reason="garbled")
        if page.total is not None and not is_look:
            self._self_metrics.set(PBX_RECORDS, page.total)
        return page

    def _read(self, query: CDRQuery) -> Page:
        before: Reading | None = None
        for _ in range(_MOST_READINGS):
            reading = Reading(query, self._oversized_places)
            self._read_parts(reading, rest=bool(query.offset or before))
            if reading.is_one_slice(before):
                self._log_oversized(reading)
                return page_of(query, reading.answer)
            before = reading
        raise GarbledAnswer("rows were deleted or moved while the page was read in parts")

    def _read_parts(self, reading: Reading, *, rest: bool) -> None:
        """Read *reading* to its end; *rest* before the first request, too."""
        while (part := reading.next_part()) is not None:
            if rest or reading.requests:
                self._clock.wait(self.last_duration)
            if self._clock.stopping:
                raise Stopped
            try:
                reading.note(self._fetch(part))
            except PageTooLarge:
                reading.note_too_large()
                if reading.is_in_vain:
                    raise

    def _fetch(self, query: CDRQuery) -> CDRAnswer:
        began = self._clock.now().steady
        try:
            answer = self._cdr_list.fetch(query)
        finally:
            self.last_duration = self._clock.now().steady - began
            self._note_costs()
        self._self_metrics.add(ROWS_FETCHED, by=len(answer.rows) + len(answer.rejected))
        return answer

    def _log_oversized(self, reading: Reading) -> None:
        """Log which oversized rows *reading* has found, each once."""
        for row in reading.oversized:
            is_known = row.fingerprint in self._oversized_logged
            if not is_known and len(self._oversized_logged) < _MOST_LOGGED:
                self._oversized_logged.add(row.fingerprint)
                self._logger.warning(
                    "a CDR row is too large to be read: it counts as rejected and not as a call; "
                    "the rows around it are read in several requests",
                    id_of_next_row=row.next_id,
                )

    def _note_costs(self) -> None:
        """Add what the client has sent and received since the last time to our own metrics."""
        self._self_metrics.set_or_remove(CLOCK_OFFSET, self._cdr_list.clock_offset)
        requests, errcodes = self._cdr_list.requests, Counter(self._cdr_list.errcodes)
        self._self_metrics.add(REQUESTS, by=requests - self._requests)
        for errcode, times in (errcodes - self._errcodes).items():
            label = str(errcode)
            self._self_metrics.add(
                API_ERRORS, label if label in ERRCODES else OTHER_ERRCODE, by=times
            )
        self._requests, self._errcodes = requests, errcodes
