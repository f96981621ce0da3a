"""The simulated PBX: its parts put together.

Rule: one lock for all parts. Whatever changes the PBX (a test in the same process, the control
path, live calls) does so between two requests, never during one; only a `TableShift` happens
within a request, before its answer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from .api import API
from .expected_counts import ExpectedCounts, state
from .fault_queue import FaultQueue
from .faults import Faults
from .firmware import Upgrade
from .http_messages import HTTPReply, HTTPRequest
from .listing import CDRListing
from .listing_faults import ListingFaults
from .maintenance import Maintenance
from .office import Office, OfficeSettings
from .pbx_clock import PBXClock
from .request_fault import RequestFault
from .request_log import RequestLog
from .table import CDRTable
from .token_issuer import TokenIssuer

CLIENT_ID = "simulated"
CLIENT_SECRET = "simulated-secret"  # noqa: S105 (public: it guards nothing)
API_PATH = "openapi/v1.0"

_DAY_SECONDS = 86_400


@dataclass(frozen=True, kw_only=True, slots=True)
class APISettings:
    """Who may use the Open API, where it is, and how long its tokens live (seconds)."""

    client_id: str = CLIENT_ID
    client_secret: str = CLIENT_SECRET
    token_seconds: int = 1800
    refresh_seconds: int = 86_400
    api_path: str = API_PATH


_DEFAULT_OFFICE, _DEFAULT_API = OfficeSettings(), APISettings()


class SimulatedPBX:
    """A PBX with the calls that *office* made in the last *days*.

    Its parts are public: `office` makes calls, `maintenance` changes the table, `faults` lets
    answers go wrong, `tokens` decides who may ask, `expected` counts what a correct reader must
    have counted, `request_log` has what was asked, `table` the rows.

    *clock* returns the true time (UTC epoch seconds); nothing else reads a clock. The PBX's own
    clock is *clock_ahead* seconds ahead of it, or behind where that is negative. *first_id* is
    the id of the oldest row, *limit* the most rows that are kept. With *upgrade* it has newer
    firmware since *upgraded_days* ago. *check_stop* is called often while the history is made up,
    and may raise to end that. ValueError: a setting is invalid.
    """

    def __init__(
        self,
        office: OfficeSettings = _DEFAULT_OFFICE,
        api: APISettings = _DEFAULT_API,
        *,
        clock: Callable[[], float] = time.time,
        clock_ahead: int = 0,
        days: float = 0,
        first_id: int = 1,
        limit: int | None = None,
        upgrade: Upgrade | None = None,
        upgraded_days: float = 0,
        check_stop: Callable[[], None] = lambda: None,
    ) -> None:
        self._lock = threading.RLock()
        self.client_id = api.client_id
        self.table = CDRTable(first_id, office.seed)
        self.request_log = RequestLog()
        self.expected = ExpectedCounts(self.table, self._lock)
        self.tokens = TokenIssuer(
            api.client_id,
            api.client_secret,
            clock,
            api.token_seconds,
            api.refresh_seconds,
            lock=self._lock,
        )
        self._clock = pbx_clock = PBXClock(clock, office.utc_offset_seconds, clock_ahead)
        self.office = Office(office, self.table, pbx_clock, self._lock, check_stop)
        self.maintenance = Maintenance(self.table, pbx_clock, self._lock)
        listing_faults, request_faults = ListingFaults(), FaultQueue[RequestFault]()
        self.faults = Faults(
            listing_faults, request_faults, self.table, self.office, self.maintenance, self._lock
        )
        listing = CDRListing(
            self.table, listing_faults, self.faults.shift, office.utc_offset_seconds
        )
        self._api = API(listing, self.tokens, request_faults, api.api_path)
        self.maintenance.limit(limit)
        upgraded_ago = min(days, upgraded_days) * _DAY_SECONDS if upgrade else 0.0
        self.office.write_history(days * _DAY_SECONDS, upgraded_ago)
        self.table.upgrade = upgrade
        self.office.write_history(upgraded_ago)

    def answer(self, request: HTTPRequest) -> HTTPReply:
        """Answer one request to the Open API, and log it."""
        with self._lock:
            reply = self._api.answer(request)
            reply = replace(reply, headers={"Date": self._clock.http_date(), **reply.headers})
        self.request_log.add(request, reply, self._api.endpoint(request))
        return reply

    def state(self) -> dict[str, Any]:
        """Return the state as JSON objects, for tests in other processes: see `expected_counts`."""
        with self._lock:
            return state(self.table, self.tokens, self.request_log)
