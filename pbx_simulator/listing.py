"""What is answered to `cdr/list`, and what can be wrong with it.

Rule: whoever gets here was let in and asked well. What happens to one answer happens in this
order: the table moves under the reader, somebody else may answer, the page may be spoilt, the
answer takes its time. Without events it is the page of the table.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .fault_queue import FaultQueue
from .http_messages import APIRefusal, HTTPReply, success_reply
from .malformed_pages import NUMBERED, PAGE_KINDS, Body
from .malformed_rows import ROW_KINDS
from .rows import key_of
from .table import CDRTable, Key, whole

Asked = Mapping[str, Any]
"""`page`, `page_size`, `sort_by`, `order_by`, all of them good."""

_KEPT_ANSWERS = 32


@dataclass(frozen=True, slots=True)
class Shift:
    """What happens to the table just before an answer.

    *calls* calls end; then the *oldest*, the *middle* and the *newest* so many rows are deleted,
    these with *reuse_ids* so that their ids are given again; then *release* rows that were
    held back become visible.
    """

    calls: int = 0
    oldest: int = 0
    middle: int = 0
    newest: int = 0
    release: int = 0
    reuse_ids: bool = False

    def __post_init__(self) -> None:
        for count in (self.calls, self.oldest, self.middle, self.newest, self.release):
            whole(count)


@dataclass(frozen=True, slots=True)
class Empty:
    """No rows, while the database starts: *errcode* 0 is a success of none."""

    errcode: int = 0


@dataclass(frozen=True, slots=True)
class Foreign:
    """Another PBX answers, of the same credentials and another table."""

    table: CDRTable


@dataclass(frozen=True, slots=True)
class Stale:
    """An answer given before is given again: the last one, or the last to the *same_query*."""

    same_query: bool = False


@dataclass(frozen=True, slots=True)
class Spoilt:
    """A page is spoilt in the way of *kind*, see `pages`."""

    kind: str
    n: Any = None

    def __post_init__(self) -> None:
        if self.kind not in PAGE_KINDS:
            raise ValueError(f"kind {self.kind!r} is none of {', '.join(PAGE_KINDS)}")
        if self.kind in NUMBERED and (isinstance(self.n, bool) or not isinstance(self.n, int)):
            raise ValueError(f"{self.kind} needs a whole number n")


class Listing:
    """The answers to `cdr/list` over one *table*; *shift* carries out a `Shift`."""

    def __init__(self, table: CDRTable, shift: Callable[[Shift], None]) -> None:
        self.shifts: FaultQueue[Shift] = FaultQueue()
        self.sources: FaultQueue[Empty | Foreign | Stale] = FaultQueue()
        self.spoilt: FaultQueue[Spoilt] = FaultQueue()
        self.poisoned: dict[Key, str] = {}
        self.rows_per_second: float | None = None
        self._table = table
        self._shift = shift
        self._given: OrderedDict[tuple[Any, ...], HTTPReply] = OrderedDict()

    def answer(self, asked: Asked) -> HTTPReply:
        """Return the answer to one request. APIRefusal: there is none now."""
        for shift in self.shifts.take_all():
            self._shift(shift)
        source = self.sources.take_first(lambda waiting: self._can(waiting, asked))
        return self._slowed(self._answer(source, asked))

    def poison(self, key: Key, kind: str) -> None:
        """Send the row of *key* in the way of *kind*, see `poison`. KeyError, ValueError: none."""
        if kind not in ROW_KINDS:
            raise ValueError(f"kind {kind!r} is none of {', '.join(ROW_KINDS)}")
        if key not in self._table:
            raise KeyError(key)
        self.poisoned[key] = kind

    def clear(self) -> None:
        """Forget what still waits; poisoned rows stay so, and a slow box stays slow."""
        for waiting in (self.shifts, self.sources, self.spoilt):
            waiting.clear()

    def _answer(self, source: Empty | Foreign | Stale | None, asked: Asked) -> HTTPReply:
        if isinstance(source, Empty):
            return _empty(source.errcode)
        if isinstance(source, Stale):
            return self._given[self._cached(source, asked)]
        if isinstance(source, Foreign):
            return self._listed(source.table, asked)
        response = self._listed(self._table, asked)
        self._remember(asked, response)
        return response

    def _listed(self, table: CDRTable, asked: Asked) -> HTTPReply:
        rows = table.page(**asked)
        data = [self._sent(row) for row in rows] if table is self._table else rows
        body: Body = {"total_number": table.total(asked["sort_by"]), "data": data}
        for spoilt in self.spoilt.take_all():
            body = PAGE_KINDS[spoilt.kind](body, spoilt.n)
        sent = body.get("data")
        return success_reply(body, rows=len(sent) if isinstance(sent, list) else 0)

    def _sent(self, row: Any) -> Any:
        if not self.poisoned:
            return row
        kind = self.poisoned.get(key_of(row))
        return ROW_KINDS[kind](row) if kind else row

    def _can(self, source: Empty | Foreign | Stale, asked: Asked) -> bool:
        """Return whether *source* has an answer; a cache may have none yet."""
        return not isinstance(source, Stale) or self._cached(source, asked) in self._given

    def _cached(self, stale: Stale, asked: Asked) -> tuple[Any, ...]:
        if stale.same_query:
            return tuple(asked.values())
        return next(reversed(self._given), ())

    def _remember(self, asked: Asked, response: HTTPReply) -> None:
        query = tuple(asked.values())
        self._given[query] = response
        self._given.move_to_end(query)
        if len(self._given) > _KEPT_ANSWERS:
            self._given.popitem(last=False)

    def _slowed(self, response: HTTPReply) -> HTTPReply:
        if self.rows_per_second is None:
            return response
        return replace(response, delay_seconds=response.rows / self.rows_per_second)


def _empty(errcode: int) -> HTTPReply:
    if errcode:
        raise APIRefusal(errcode)
    return success_reply({"total_number": 0, "data": []})
