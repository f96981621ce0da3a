"""The answer to `cdr/list`.

Rule: requests that get here have a token and good parameters. Faults apply to one answer in this
order: the table changes, another source may answer, the page may be malformed, the answer is
delayed. Without faults it is the page of the table, on newer firmware with the fields that this
adds to each row.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from .added_fields import all_fields
from .http_messages import APIRefusal, HTTPReply, success_reply
from .listing_faults import (
    AnswerSource,
    EmptyAnswer,
    ForeignAnswer,
    ListingFaults,
    StaleAnswer,
    TableShift,
)
from .malformed_pages import PAGE_KINDS, Body
from .malformed_rows import ROW_KINDS
from .rows import Row, key_of
from .table import CDRTable

Query = Mapping[str, Any]
"""`page`, `page_size`, `sort_by`, `order_by` and `generation` ("" for none), all checked."""

_KEPT_REPLIES = 32
_LARGEST_KEPT = 1 << 20  # bytes of a reply's body


class CDRListing:
    """Answers `cdr/list` from one *table*; *shift* carries out a `TableShift`.

    *utc_offset_seconds* is that of the times the rows display.
    """

    def __init__(
        self,
        table: CDRTable,
        faults: ListingFaults,
        shift: Callable[[TableShift], None],
        utc_offset_seconds: int = 0,
    ) -> None:
        self._table = table
        self._faults = faults
        self._shift = shift
        self._utc_offset_seconds = utc_offset_seconds
        self._sent: OrderedDict[tuple[Any, ...], HTTPReply] = OrderedDict()  # by query, last last

    @property
    def knows_from(self) -> bool:
        """Whether the firmware knows the parameter `from`."""
        return self._table.upgrade is not None

    def answer(self, query: Query) -> HTTPReply:
        """Return the answer to one request. APIRefusal: the fault is a refusal."""
        for shift in self._faults.shifts.take_all():
            self._shift(shift)
        source = self._faults.sources.take_first(lambda waiting: self._can_answer(waiting, query))
        return self._delayed(self._answer_from(source, query))

    def _answer_from(self, source: AnswerSource | None, query: Query) -> HTTPReply:
        if isinstance(source, EmptyAnswer):
            return _empty(source.errcode)
        if isinstance(source, StaleAnswer):
            return self._sent[self._query_sent(source, query)]
        if isinstance(source, ForeignAnswer):
            return self._page(source.table, query)
        reply = self._page(self._table, query)
        self._remember(query, reply)
        return reply

    def _page(self, table: CDRTable, query: Query) -> HTTPReply:
        rows = table.page(**query)
        data = [self._as_sent(row) for row in rows] if table is self._table else rows
        total = table.total(query["sort_by"], query["generation"])
        body: Body = {"total_number": total, "data": data}
        for malformed in self._faults.malformed_pages.take_all():
            body = PAGE_KINDS[malformed.kind](body, malformed.n)
        sent = body.get("data")
        return success_reply(body, rows=len(sent) if isinstance(sent, list) else 0)

    def _as_sent(self, row: Row) -> Any:
        sent = all_fields(row, self._utc_offset_seconds) if self._table.upgrade else row
        if not self._faults.malformed_rows:
            return sent
        kind = self._faults.malformed_rows.get(key_of(row))
        return ROW_KINDS[kind](sent) if kind else sent

    def _can_answer(self, source: AnswerSource, query: Query) -> bool:
        """Return whether *source* has an answer; there may be no earlier one yet."""
        return not isinstance(source, StaleAnswer) or self._query_sent(source, query) in self._sent

    def _query_sent(self, stale: StaleAnswer, query: Query) -> tuple[Any, ...]:
        if stale.same_query:
            return tuple(query.values())
        return next(reversed(self._sent), ())

    def _remember(self, query: Query, reply: HTTPReply) -> None:
        if len(reply.body) > _LARGEST_KEPT:
            return
        key = tuple(query.values())
        self._sent[key] = reply
        self._sent.move_to_end(key)
        if len(self._sent) > _KEPT_REPLIES:
            self._sent.popitem(last=False)

    def _delayed(self, reply: HTTPReply) -> HTTPReply:
        if self._faults.rows_per_second is None:
            return reply
        return replace(reply, delay_seconds=reply.rows / self._faults.rows_per_second)


def _empty(errcode: int) -> HTTPReply:
    if errcode:
        raise APIRefusal(errcode)
    return success_reply({"total_number": 0, "data": []})
