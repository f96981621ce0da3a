"""Answers that go wrong on purpose.

Rule: every public method holds the PBX's lock and takes and returns plain data, as in `office`.
A fault of `cdr/list` waits for requests that have a token and good parameters.

Of *times* and *after*: *after* such requests are answered normally, then the fault happens to
*times* of them; with None to all that follow.
"""

from __future__ import annotations

from typing import Any

from .fault_queue import FaultQueue
from .listing_faults import (
    EmptyAnswer,
    ForeignAnswer,
    ListingFaults,
    MalformedPage,
    StaleAnswer,
    TableShift,
)
from .locking import Lock
from .maintenance import Maintenance
from .office import Office
from .request_fault import RequestFault
from .table import CDRTable, Key


class Faults:
    """Adds faults to *listing* (answers to `cdr/list`) and to *requests* (any request)."""

    def __init__(
        self,
        listing: ListingFaults,
        requests: FaultQueue[RequestFault],
        table: CDRTable,
        office: Office,
        maintenance: Maintenance,
        lock: Lock,
    ) -> None:
        self._listing = listing
        self._requests = requests
        self._table = table
        self._office = office
        self._maintenance = maintenance
        self._lock = lock
        self._other_table: CDRTable | None = None

    def shift_before_each(self, times: int | None = 1, after: int = 0, **shift: Any) -> None:
        """Change the table just before each of *times* answers; *shift* is of `TableShift`."""
        with self._lock:
            self._listing.shifts.add(TableShift(**shift), times, after)

    def shift(self, shift: TableShift) -> None:
        """Carry out a `TableShift` now."""
        with self._lock:
            self._office.calls(shift.calls)
            self._maintenance.delete_oldest(shift.oldest)
            self._maintenance.delete_middle(shift.middle)
            self._maintenance.delete_newest(shift.newest, reuse_ids=shift.reuse_ids)
            self._office.release(oldest=shift.release)

    def empty(self, times: int | None = 1, errcode: int = 0, after: int = 0) -> None:
        """Answer *times* requests as if there were no rows.

        *errcode* 0 is a success with 0 rows, 60001 is DATA NOT FOUND.
        """
        with self._lock:
            self._listing.sources.add(EmptyAnswer(errcode), times, after)

    def foreign(
        self, times: int | None = 1, rows: int = 100, first_id: int = 1, after: int = 0
    ) -> None:
        """Answer *times* requests with rows of another PBX, which takes the same tokens.

        The first call makes its table: *rows* calls of the last hour, ids from *first_id*;
        later calls use the same table. Its rows are in none of the expected counts.
        """
        with self._lock:
            if self._other_table is None:
                self._other_table = self._office.other_table(rows, first_id)
            self._listing.sources.add(ForeignAnswer(self._other_table), times, after)

    def stale(self, times: int | None = 1, same_query: bool = False, after: int = 0) -> None:
        """Answer *times* requests with the last answer from this table, whatever they ask for.

        With *same_query*: with the last answer to the same query, as a cache does. A request
        for which there is none yet gets its true answer and is not one of the *times*.
        """
        with self._lock:
            self._listing.sources.add(StaleAnswer(same_query), times, after)

    def malform_pages(
        self, kind: str, n: Any = None, times: int | None = 1, after: int = 0
    ) -> None:
        """Send *times* pages malformed; for *kind* and *n* see `malformed_pages`."""
        with self._lock:
            self._listing.malformed_pages.add(MalformedPage(kind, n), times, after)

    def malform_row(self, kind: str, row: Key | None = None) -> Key:
        """Send one row, by default the newest, malformed from now on; see `malformed_rows`.

        Returns its key. The table and the expected counts keep the true row. KeyError: there is
        no such row. ValueError: no such kind, or no row at all.
        """
        with self._lock:
            (key,) = self._table.newest(1) if row is None else [row]
            if key not in self._table:
                raise KeyError(key)
            self._listing.malform_row(key, kind)
            return key

    def mend_rows(self) -> None:
        """Send every malformed row as it is in the table again."""
        with self._lock:
            self._listing.malformed_rows.clear()

    def slow(self, rows_per_second: float | None) -> None:
        """Delay each answer by its rows at *rows_per_second*; None: no delay. ValueError: ≤ 0."""
        if rows_per_second is not None and not rows_per_second > 0:
            raise ValueError(f"rows_per_second {rows_per_second!r} is not above 0")
        with self._lock:
            self._listing.rows_per_second = rows_per_second

    def fail_next(self, times: int = 1, **fault: Any) -> None:
        """Let the next *times* requests go wrong; *fault* holds the fields of a `RequestFault`.

        TypeError: there is no such field.
        """
        with self._lock:
            self._requests.add(RequestFault(**fault), times)

    def heal(self) -> None:
        """Forget the faults that wait for requests; malformed rows stay until `mend_rows`."""
        with self._lock:
            self._requests.clear()
            self._listing.clear_queues()
