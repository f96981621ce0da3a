"""Pages from one PBX: one request at a time, with a rest in between, and what it cost noted.

Rule: an answer is either a valid page or an error; nothing of an invalid answer is used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Protocol

from ..cdr import CDRAnswer, GarbledAnswer
from ..cdr.contract import CDRQuery
from ..clock import Clock
from ..errors import TryAgain
from ..ledger.page import Page, page_of
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
    """Reads pages of one PBX. *last_duration* is how long the last request took, in seconds."""

    def __init__(self, cdr_list: CDRList, self_metrics: SelfMetrics, clock: Clock) -> None:
        self.last_duration = 0.0
        self._cdr_list = cdr_list
        self._self_metrics = self_metrics
        self._clock = clock
        self._requests = cdr_list.requests
        self._errcodes = Counter(cdr_list.errcodes)

    @property
    def clock_offset(self) -> float:
        """By how many seconds the PBX's clock is ahead of ours, as far as it is to be believed.

        0 where the PBX does not tell it, and where it is days off: a PBX that is starting may not
        have set its clock yet.
        """
        offset = self._cdr_list.clock_offset
        return offset if offset is not None and abs(offset) <= _MOST_OFFSET else 0.0

    def read(self, query: CDRQuery) -> Page:
        """Return the page that *query* asks for, checked.

        Before any page but the first of the list, waits as long as the last request took, so that
        the PBX is busy with us half of the time at most. Raises `PBXError`, with the reason
        `garbled` for an invalid answer; `Stopped` where the program is to end.
        """
        if query.offset:
            self._clock.wait(self.last_duration)
        if self._clock.stopping:
            raise Stopped
        page = self._fetch(query)
        self._self_metrics.add(ROWS_FETCHED, by=page.size)
        if page.total is not None:
            self._self_metrics.set(PBX_RECORDS, page.total)
        return page

    def _fetch(self, query: CDRQuery) -> Page:
        began = self._clock.now().steady
        garbled = ""
        try:
            return page_of(query, self._cdr_list.fetch(query))
        except GarbledAnswer as error:
            garbled = str(error)
        finally:
            self.last_duration = self._clock.now().steady - began
            self._note_costs()
        # Raised outside of `except`, so that the error does not carry the PBX's answer along.
        raise TryAgain(f"{garbled}; nothing of the answer was used", reason="garbled")

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
