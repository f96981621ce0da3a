"""What is to go wrong with answers to `cdr/list`, as data.

Rule: nothing here carries anything out; `faults` adds to it and `listing` asks it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .checks import checked_count
from .fault_queue import FaultQueue
from .malformed_pages import NUMBERED, PAGE_KINDS
from .malformed_rows import ROW_KINDS
from .table import CDRTable, Key


@dataclass(frozen=True, slots=True)
class TableShift:
    """What happens to the table just before an answer, in this order.

    *calls* calls end; the *oldest*, *middle* and *newest* so many rows are deleted, of the
    newest with *reuse_ids* the ids are given to later rows; *release* rows that were held back
    become visible.
    """

    calls: int = 0
    oldest: int = 0
    middle: int = 0
    newest: int = 0
    release: int = 0
    reuse_ids: bool = False

    def __post_init__(self) -> None:
        for count in (self.calls, self.oldest, self.middle, self.newest, self.release):
            checked_count(count)


@dataclass(frozen=True, slots=True)
class EmptyAnswer:
    """No rows, as while the database starts: *errcode* 0 is a success with none."""

    errcode: int = 0


@dataclass(frozen=True, slots=True)
class ForeignAnswer:
    """Another PBX answers: it takes the same credentials and has another *table*."""

    table: CDRTable


@dataclass(frozen=True, slots=True)
class StaleAnswer:
    """An earlier answer is sent again: the last one, or the last to the *same_query*."""

    same_query: bool = False


AnswerSource = EmptyAnswer | ForeignAnswer | StaleAnswer


@dataclass(frozen=True, slots=True)
class MalformedPage:
    """A page breaks the contract: *kind* and *n* as in `malformed_pages`."""

    kind: str
    n: Any = None

    def __post_init__(self) -> None:
        if self.kind not in PAGE_KINDS:
            raise ValueError(f"kind {self.kind!r} is none of {', '.join(PAGE_KINDS)}")
        if self.kind in NUMBERED and (isinstance(self.n, bool) or not isinstance(self.n, int)):
            raise ValueError(f"{self.kind} needs a whole number n")


@dataclass(slots=True)
class ListingFaults:
    """The faults that wait for requests, and those that last.

    *malformed_rows* has the kind (see `malformed_rows`) of each row that is sent malformed, by
    its key. *rows_per_second* is the speed of a slow PBX, None for no delay.
    """

    shifts: FaultQueue[TableShift] = field(default_factory=FaultQueue)
    sources: FaultQueue[AnswerSource] = field(default_factory=FaultQueue)
    malformed_pages: FaultQueue[MalformedPage] = field(default_factory=FaultQueue)
    malformed_rows: dict[Key, str] = field(default_factory=dict)
    rows_per_second: float | None = None

    def malform_row(self, key: Key, kind: str) -> None:
        """Send the row of *key* malformed from now on. ValueError: there is no such *kind*."""
        if kind not in ROW_KINDS:
            raise ValueError(f"kind {kind!r} is none of {', '.join(ROW_KINDS)}")
        self.malformed_rows[key] = kind

    def clear_queues(self) -> None:
        """Forget the faults that wait for requests; those that last stay."""
        self.shifts.clear()
        self.sources.clear()
        self.malformed_pages.clear()
