"""Rows that no answer can hold, and how the rows around them are read. Pure.

An answer may be so long and no longer (`cdr.largest_answer`). Where the answer to a query is
longer, the same positions of the list are read in *parts*, smaller and smaller ones, until it is
known which row it is. A row that is too large alone is *oversized*. It is rejected, with the reason
`shape`, at its place between the others, and all parts together are the answer to the query.

Which part next: a page begins at a multiple of its size. So a part has the largest size that
divides its position, and at most half of what is known to have such a row in it.
`OversizedPlaces` remembers from poll to poll where oversized rows were, and parts are made around
them. So a poll with one among its rows asks for that row alone, and for each of the others once.

One row, rejected once: nothing of an oversized row is known, not even its id. It is recognised by
the first record below it, which stays the same when rows are added above, and by how many oversized
rows are between them. Where no record follows, the end of the list stands for it. When the record
below is deleted, when a late one turns up between, or when the list is followed in another order,
it is counted as rejected once more.

One answer is one slice of the list; parts are several, between which the list may change:

| change between two parts | what is done |
|---|---|
| rows are added above | the rest moves down, and what comes twice is left out |
| rows are deleted above | the rest moves up, and a row is missed: `total_number` falls |
| rows of one second change places | by time a row may be missed: another one comes twice |

Where one of the last two was seen, all parts are read again. Without `total_number`, parts are
believed once two readings show the same rows. Not noticed: rows deleted above a part and as many
added below it between the same two requests; and by time, where the PBX lists the rows of one
second in another order each time, a row that changes places with the oversized one. By time such a
row is found when its second is rechecked, as every second of the last `longest_call` is.

A row may be too large for a small page, and not for a larger one: an answer may be longer, the more
rows are asked for. Once it is known as oversized it is read around in pages of any size. Where it
comes with a larger page all the same, as after a restart, it is counted, and not again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from ..cdr import MAX_ID, CDRAnswer, GarbledAnswer, Record, Rejected
from ..cdr.contract import CDRQuery
from ..ledger.order import ORDER_BY_NAME, Order, order_of

_MOST_IN_VAIN = 10
"""A first page is given up when so many answers were too large and none was not: the PBX may answer
so to everything. Any other page comes after a first page that was readable."""

_MOST_REQUESTS = 60
"""The most requests of one reading. Where these do not do, the page ends early, as if the PBX had
cut it short, and the next one begins there."""

_MOST_PLACES = 1_000
"""How many places are remembered; the deepest are forgotten first."""

_SPREAD = 0xD6E8_FEB8_6659_FD93
"""An odd number with many bits, so that neighbours' fingerprints differ in many bits."""


class OversizedRow(NamedTuple):
    """One that was found. *next_id* is the id of the record below it, 0 where there is none."""

    fingerprint: int
    next_id: int


class OversizedPlaces:
    """Where oversized rows were when last read, as positions in the list of each order.

    They move down as `total_number` grows. All of it is guessed: a wrong place costs requests.
    """

    def __init__(self) -> None:
        self._places: dict[Order, set[int]] = {order: set() for order in ORDER_BY_NAME.values()}
        self._total: int | None = None

    def next_at(self, position: int, order: Order) -> int | None:
        """Return the first place at *position* or below it."""
        return min((at for at in self._places[order] if at >= position), default=None)

    def note(self, position: int, order: Order) -> None:
        """Note that the row at *position* is oversized."""
        self._places[order] = set(sorted({*self._places[order], position})[:_MOST_PLACES])

    def note_readable(self, first: int, end: int, order: Order) -> None:
        """Note that the rows from *first* up to before *end* are not oversized."""
        if self._places[order]:
            self._places[order].difference_update(range(first, end))

    def note_total(self, total: int | None) -> None:
        """Note the `total_number` of an answer: what it grew by was added above all places."""
        if total is None:
            return
        grown = total - (self._total or total)
        self._total = total
        if grown > 0:
            self._places = {
                order: {at + grown for at in places} for order, places in self._places.items()
            }


class Reading:
    """One reading of the rows that *query* asks for: of one part, or of as many as it takes.

    The caller sends `next_part` until there is none, and after each says what came of it.
    *oversized* are the rows of that kind, *requests* how many parts were asked for.
    """

    def __init__(self, query: CDRQuery, places: OversizedPlaces) -> None:
        self.oversized: list[OversizedRow] = []
        self.requests = 0
        self._query = query
        self._order = order_of(query)
        self._places = places
        self._position = query.offset
        """Where the next part begins."""
        self._part_size = 0
        self._too_large_until = 0
        """The last part that was too large ended before this position."""
        self._rows: Sequence[Record] = ()
        self._came_twice: list[Record] = []
        self._rejected: list[Rejected] = []
        self._unnamed: list[int] = []
        """The positions of the oversized rows that were found since the last record."""
        self._totals: list[int | None] = []
        self._ended = self._shifted = False

    @property
    def answer(self) -> CDRAnswer:
        """All parts as one answer, with the total of the first; what comes twice is left out."""
        total = None if None in self._totals else next(iter(self._totals), None)
        return CDRAnswer(errcode=0, total=total, rows=self._rows, rejected=self._rejected)

    @property
    def is_in_vain(self) -> bool:
        """Whether so many parts were too large, and none was not, that it is to be given up."""
        most = _MOST_REQUESTS if self._query.offset else _MOST_IN_VAIN
        return not self._totals and self.requests >= most

    @property
    def _size(self) -> int:
        return len(self._rows) + len(self._rejected) + len(self._unnamed)

    # --- the next part ---------------------------------------------------------------------------

    def next_part(self) -> CDRQuery | None:
        """Return the query to send next; None once there is no more to be read."""
        wanted = self._query.limit - self._size
        is_complete = wanted <= 0 and not self._unnamed
        if self._ended or is_complete or self.requests == _MOST_REQUESTS:
            return None
        self._part_size = self._size_of_part(max(1, wanted))
        page = self._position // self._part_size + 1
        return replace(self._query, page=page, page_size=self._part_size)

    def _size_of_part(self, most: int) -> int:
        oversized_at = self._places.next_at(self._position, self._order)
        if oversized_at is not None:
            most = min(most, oversized_at - self._position)
        # Where nothing was readable yet, it may be that nothing is: that is to be known soon.
        nothing_yet = not self._totals
        if self._position < self._too_large_until:
            divisor = 4 if nothing_yet else 2
            most = min(most, (self._too_large_until - self._position) // divisor)
        elif nothing_yet and self._unnamed:
            most = 1
        return next((size for size in range(most, 1, -1) if self._position % size == 0), 1)

    # --- what came of it -------------------------------------------------------------------------

    def note_too_large(self) -> None:
        """Note that the answer to the last part was too large."""
        self.requests += 1
        self._too_large_until = self._position + self._part_size
        if self._part_size == 1:
            self._unnamed.append(self._position)
            self._position += 1

    def note(self, answer: CDRAnswer) -> None:
        """Note the *answer* to the last part; raises `GarbledAnswer`."""
        sent = len(answer.rows) + len(answer.rejected)
        if sent > self._part_size:
            raise GarbledAnswer(f"{self._part_size} rows were asked for, and {sent} came")
        self.requests += 1
        self._ended = sent < self._part_size
        self._places.note_total(answer.total)
        self._places.note_readable(self._position, self._position + sent, self._order)
        self._totals.append(answer.total)
        self._position += sent
        new = self._not_seen_before(answer.rows)
        if self._unnamed and (answer.rows or self._ended):
            self._name_oversized(answer.rows[0] if answer.rows else None, new)
        if self._size < self._query.limit:
            self._rows = [*self._rows, *new] if self._rows else new
            self._rejected += answer.rejected

    def _not_seen_before(self, rows: Sequence[Record]) -> Sequence[Record]:
        if not self._rows:
            return rows
        identity = self._order.identity
        seen = set(map(identity, self._rows))
        self._came_twice += [row for row in rows if identity(row) in seen]
        return [row for row in rows if identity(row) not in seen]

    def _name_oversized(self, below: Record | None, new: Sequence[Record]) -> None:
        """Make the oversized rows since the last record rejected rows, known by that *below*."""
        self._shifted = self._shifted or self._may_be_met_twice(below, new)
        for number, position in zip(range(len(self._unnamed), 0, -1), self._unnamed, strict=True):
            self._places.note(position, self._order)
            fingerprint = self._order.identity(below) if below is not None else 0
            row = OversizedRow((fingerprint ^ number * _SPREAD) & MAX_ID, below.id if below else 0)
            if len(self._rows) + len(self._rejected) < self._query.limit:
                self.oversized.append(row)
                self._rejected.append(Rejected("shape", row.fingerprint))
        self._unnamed = []

    def _may_be_met_twice(self, below: Record | None, new: Sequence[Record]) -> bool:
        """Say whether an oversized row moved down after it was met, and then was met again."""
        several = len(self._unnamed) > 1
        if len(self._totals) == 1:
            # No answer from before tells whether the list grew.
            return several and not all(
                self._places.next_at(position, self._order) == position
                for position in self._unnamed
            )
        grown = self._totals[-2] != self._totals[-1]
        return grown and (several or (below is not None and below not in new))

    # --- is it one slice of the list? ------------------------------------------------------------

    def is_one_slice(self, before: Reading | None) -> bool:
        """Say whether the list did not change in a way by which a row may be missing.

        *before* is the reading of the same query before this one, None at the first.
        """
        if len(self._totals) == 1:
            return True
        if self._shifted or self._may_have_changed_places():
            return False
        totals = [total for total in self._totals if total is not None]
        if len(totals) < len(self._totals):
            return before is not None and list(before._identities()) == list(self._identities())
        return all(earlier <= later for earlier, later in pairwise(totals))

    def _may_have_changed_places(self) -> bool:
        """Say whether, by time, a row came twice in the place of another one of its second."""
        if not self._order.by_time:
            return False
        seconds = [row.started_at for row in self._rows]
        return any(seconds.count(row.started_at) > 1 for row in self._came_twice)

    def _identities(self) -> Iterator[int]:
        yield from map(self._order.identity, self._rows)
        yield from map(self._order.identity, self._rejected)
