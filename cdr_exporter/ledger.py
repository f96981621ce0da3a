"""Which rows are new: every row counted once, whatever page it comes on. Pure: no I/O, no clock.

Rule 1: an id is done with only when a valid response spanned it. What no response has spanned is
a hole, and holes are kept until they are read, over restarts too.
Rule 2: judging changes nothing. `judge` returns another ledger, which holds from the commit on,
so that a page is counted and remembered together or not at all.

How it works
------------
The list is read newest first. One response is one consistent slice of the table sorted by id, so
it is *evidence* for the closed range of ids it spans: what is not in it does not exist now. The
first page is also evidence for everything above its top row, the last one for everything below
its lowest.

    ids    1 ....... floor ............ high
           covered   covered, and every     above: not seen yet
           (or hole) row seen remembered

A row is new when its id is

1. above `high`: the table grew;
2. in a hole: between what was read before and what was read now (after an outage, or in a first
   read of the whole table), or where rows moved from one page to another between two requests;
3. from `floor` up, and not remembered with this fingerprint: it became visible late (its writer
   was slower than that of a higher id), or it was given the id of a deleted row.

Everything else was counted, or lay before the start. Rows that moved down by insertions come
twice and fall under none of the three. Rows that moved up by deletions are in no response, so
their ids stay a hole and are read again. A crash at any point leaves the ledger of the last
committed page, whose holes say what is still to be read.

Pruning: the newest `REMEMBERED` identities are kept and `floor` rises to the lowest of them. A
hole below the floor stays a hole: its rows are counted by case 2, and not remembered.

When a first page shows older ids than we know and not one row we remember, it is not our table
(another PBX behind the address, a restored backup, a reset): nothing is counted and the ledger
stays, see `Verdict.suspect`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from .paging import Page
from .record import MAX_ID, Record, Rejected

REMEMBERED = 2_000
"""Identities kept: rows that turn up late within so many of the newest are counted."""

_SLACK = 500
_REJECTS_REMEMBERED = 256

Hole = tuple[int, int]
"""A closed range of ids, lowest and highest, of which no response gave evidence."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """What is known of one PBX's table.

    *recent* maps the id of every row seen from *floor* up to its fingerprint. *holes* are
    disjoint, newest first. *rejects* are fingerprints of the newest rows without a usable id.
    *baseline* holds while a first read of the whole table (`start: all`) goes on.
    """

    high: int = 0
    floor: int = 1
    recent: Mapping[int, int] = field(default_factory=dict)
    holes: tuple[Hole, ...] = ()
    rejects: tuple[int, ...] = ()
    baseline: bool = False

    @property
    def backlog(self) -> int:
        """Ids without evidence: at most so many rows are still to be read."""
        return sum(highest - lowest + 1 for lowest, highest in self.holes)

    def judge(self, page: Page) -> Verdict:
        """Say which rows of *page* are new and what is known after it."""
        grown = _union(self.holes, self.high + 1, page.top)
        new, rest = _split(page.rows, grown)
        if self._is_foreign(page, rest):
            return Verdict(self, suspect=True)
        late = [row for row in rest if row.id >= self.floor and row.id not in self.recent]
        reused = [row for row in rest if self._is_reused(row)]
        rejected = [row for row in page.rejected if self._is_new_reject(row, grown)]
        known = self._remembering([*new, *late, *reused], rejected)
        holes = _without(grown, *_evidence(page)) if page.top else grown
        after = replace(
            known,
            high=max(self.high, page.top),
            holes=holes,
            baseline=self.baseline and bool(holes),
        )
        return Verdict(after, [*new, *late, *reused], rejected, len(late), len(reused))

    def _is_foreign(self, page: Page, rest: Sequence[Record]) -> bool:
        # Rows in holes are not known either, and are expected.
        if not page.first or not rest or page.top >= self.high:
            return False
        return not any(self.recent.get(row.id) == row.fingerprint for row in rest)

    def _is_reused(self, row: Record) -> bool:
        known = self.recent.get(row.id)
        return known is not None and known != row.fingerprint

    def _is_new_reject(self, row: Rejected, holes: tuple[Hole, ...]) -> bool:
        """Say whether a row that cannot be counted is seen for the first time."""
        if row.id is None:
            return row.fingerprint not in self.rejects
        if any(lowest <= row.id <= highest for lowest, highest in holes):
            return True
        return row.id >= self.floor and self.recent.get(row.id) != row.fingerprint

    def _remembering(self, rows: Sequence[Record], rejected: Sequence[Rejected]) -> Ledger:
        nameless = (row.fingerprint for row in rejected if row.id is None)
        rejects = (*self.rejects, *nameless)[-_REJECTS_REMEMBERED:]
        seen = {row.id: row.fingerprint for row in rows if row.id >= self.floor}
        seen |= {row.id: row.fingerprint for row in rejected if row.id and row.id >= self.floor}
        if not seen:
            return replace(self, rejects=rejects)
        recent, floor = {**self.recent, **seen}, self.floor
        if len(recent) > REMEMBERED + _SLACK:
            newest = sorted(recent)[-REMEMBERED:]
            recent, floor = {row_id: recent[row_id] for row_id in newest}, newest[0]
        return replace(self, recent=recent, floor=floor, rejects=rejects)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a page brought: *ledger* holds once *counted* and *rejected* are committed with it.

    *late* and *reused* tell how many of *counted* were out of order. *suspect* means that the
    page is of a table we do not know; then nothing is counted and nothing changes.
    """

    ledger: Ledger
    counted: Sequence[Record] = ()
    rejected: Sequence[Rejected] = ()
    late: int = 0
    reused: int = 0
    suspect: bool = False


def from_now(page: Page) -> Ledger:
    """Begin after the first *page*: its rows are remembered and not counted."""
    rejected = {row.id: row.fingerprint for row in page.rejected if row.id is not None}
    recent = {row.id: row.fingerprint for row in page.rows} | rejected
    return Ledger(
        high=page.top,
        floor=page.lowest or 1,
        recent=recent,
        rejects=tuple(row.fingerprint for row in page.rejected if row.id is None),
    )


def from_the_beginning() -> Ledger:
    """Begin before the first row: what is on the PBX becomes the baseline."""
    return Ledger(baseline=True)


def _evidence(page: Page) -> Hole:
    """Return the range of ids that *page* proves; above a first page there is nothing."""
    return (1 if page.last else page.lowest, MAX_ID if page.first else page.top)


def _union(holes: tuple[Hole, ...], lowest: int, highest: int) -> tuple[Hole, ...]:
    return ((lowest, highest), *holes) if lowest <= highest else holes


def _without(holes: tuple[Hole, ...], lowest: int, highest: int) -> tuple[Hole, ...]:
    """Take the ids from *lowest* to *highest* out of *holes*."""
    left = []
    for low, high in holes:
        if high > highest:
            left.append((max(low, highest + 1), high))
        if low < lowest:
            left.append((low, min(high, lowest - 1)))
    return tuple(hole for hole in left if hole[0] <= hole[1])


def _split(rows: Sequence[Record], holes: tuple[Hole, ...]) -> tuple[list[Record], list[Record]]:
    """Part *rows* (ids descending) into those in *holes* (descending too) and the others."""
    inside: list[Record] = []
    outside: list[Record] = []
    at = 0
    for low, high in holes:
        start = bisect_left(rows, -high, lo=at, key=_descending)
        end = bisect_left(rows, 1 - low, lo=start, key=_descending)
        outside += rows[at:start]
        inside += rows[start:end]
        at = end
    return inside, [*outside, *rows[at:]]


def _descending(row: Record) -> int:
    return -row.id
