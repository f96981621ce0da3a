"""The CDR table: rows in the order of their ids, and pages of them in any order.

Rule: ids are given in the order in which calls end; a deleted row leaves a gap, unless it is
asked for that its id be given again. Beside the id each row has a serial number, given once and
never again, not even after a restore: it is the age of a row, and distinguishes two rows that had
the same id. A page by id or by time costs the page, whatever the size of the table.

Rows of newer firmware have no `id`; their key is their `new_id`. They are the new table and the
others the legacy one; a listing is of one of them or of both.

Assumed, the vendor being silent: `time` sorts by the instant, not by the digits displayed; a
missing value sorts as 0 or as the empty string; equal values stand in the order in which the
rows were written, and `desc` is `asc` read backwards. The clean-up deletes by age.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from .checks import checked_count
from .firmware import GENERATIONS, LAST, LEFT_OUT, LEGACY, NEW, Upgrade, new_format
from .rows import NUMBERS, Row, labels
from .truth import CallTracker

Key = int | str
"""What identifies a row: its `id`, or the `new_id` of a row without id."""

_Order = tuple[bool, float, str]
_Packed = tuple[Any, ...]  # key, names of the fields, their values: half the memory of a dict
_Part = tuple[Sequence[Any], Callable[[Any], int]]  # items in order, and an item's serial
_Generations = tuple[str, ...]  # of `GENERATIONS`

_FEW = 64  # up to here single deletions are cheaper than a new list


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A backup: the rows there were, by serial number, and the id that was next."""

    rows: Mapping[int, _Packed]
    next_id: int

    def __len__(self) -> int:
        return len(self.rows)


class CDRTable:
    """Rows by key. Not locked: the owner sees to that.

    *next_id* is the id of the next row; raise it to leave a gap. *limit* is the most rows that
    are kept, None any number; *upgrade* is set once newer firmware writes the rows. *ever*
    counts, by (disposition, call_type, trunk), the rows that were ever there, as they were when
    they came; rows that a restore brings back do not count. *calls* is informed of each
    row that appears.
    """

    def __init__(self, first_id: int = 1, seed: int = 1) -> None:
        self.next_id = first_id
        self.next_serial = 1
        self.limit: int | None = None
        self.upgrade: Upgrade | None = None
        self.ever: Counter[tuple[str, str, str]] = Counter()
        self.calls = CallTracker()
        self._chance = Random(f"{seed}/mixed")
        self._held: dict[Key, tuple[int, Row]] = {}
        self._rows: dict[int, _Packed] = {}  # by serial
        self._serials: dict[Key, int] = {}
        self._ages: list[int] = []  # serials, ascending
        self._ids: list[int] = []  # ascending
        self._others: list[int] = []  # serials of the rows without id, ascending
        # By what is listed: (instant, serial), once asked for.
        self._times: dict[_Generations, list[tuple[float, int]]] = {}
        # Serials by sort field and by what is listed, until the next change.
        self._orders: dict[tuple[str, _Generations], list[int]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        """Iterate over the rows by ascending id, those without an id after the others."""
        serials = [*map(self._serials.__getitem__, self._ids), *self._others]
        return (_unpacked(self._rows[serial]) for serial in serials)

    def __contains__(self, key: Key) -> bool:
        return key in self._serials

    def __getitem__(self, key: Key) -> Row:
        return _unpacked(self._rows[self._serials[key]])

    @property
    def ids(self) -> tuple[int, ...]:
        """The ids of the rows that have one, ascending."""
        return tuple(self._ids)

    @property
    def last_id(self) -> int | None:
        """The highest id, None without any."""
        return self._ids[-1] if self._ids else None

    @property
    def keys(self) -> list[Key]:
        """The keys of all rows, the oldest first."""
        return self._keys(self._ages)

    @property
    def held(self) -> list[Key]:
        """The keys of the rows held back, the oldest first."""
        return list(self._held)

    def oldest(self, count: int) -> list[Key]:
        """Return the keys of the *count* oldest rows."""
        return self._keys(self._ages[: checked_count(count)])

    def newest(self, count: int) -> list[Key]:
        """Return the keys of the *count* newest rows, the older first."""
        return self._keys(self._ages[max(0, len(self) - checked_count(count)) :])

    def middle(self, count: int) -> list[Key]:
        """Return the keys of the *count* rows in the middle between oldest and newest."""
        begin = max(0, (len(self) - checked_count(count)) // 2)
        return self._keys(self._ages[begin : begin + count])

    def insert(self, rows: Iterable[Row]) -> list[Key]:
        """Add *rows* and return their keys; a row that has an `id` keeps it.

        ValueError: a key is taken or an `id` no whole number; the rows before it are in.
        """
        keys = [self._place(*self._numbered(row)) for row in rows]
        self.trim()
        return keys

    def hold_back(self, rows: Iterable[Row]) -> list[Key]:
        """Give *rows* their keys and ages now without showing them, and return the keys."""
        held = [self._numbered(row) for row in rows]
        self._held |= {key: (serial, row) for key, serial, row in held}
        return [key for key, _, _ in held]

    def release(self, keys: Iterable[Key]) -> list[Key]:
        """Show the rows of *keys* that are held back, and return the keys. KeyError: is not."""
        shown = [self._place(key, *self._held.pop(key)) for key in keys]
        self.trim()
        return shown

    def change(self, key: Key, fields: Mapping[str, Any]) -> Row:
        """Overwrite *fields* of one row word for word and return it; None removes a field.

        The row keeps its key, and its place by it, even where its `id` is changed or removed.
        KeyError: no such row.
        """
        serial = self._serials[key]
        changed = {**self[key], **fields}
        self._untimed([serial])
        self._write(
            key, serial, {name: changed[name] for name in changed if changed[name] is not None}
        )
        return self[key]

    def delete(self, keys: Iterable[Key]) -> int:
        """Remove the rows of *keys*, as far as there are any, and return how many there were."""
        found = {key: self._serials[key] for key in set(keys) if key in self._serials}
        gone = list(found.values())
        self._untimed(gone)
        _remove(self._ages, gone)
        _remove(self._ids, [key for key in found if isinstance(key, int)])
        _remove(self._others, [found[key] for key in found if isinstance(key, str)])
        for key, serial in found.items():
            del self._rows[serial], self._serials[key]
        return len(found)

    def reuse_ids(self) -> None:
        """Let the next row have the id after the highest that is taken or held back."""
        taken = [self.last_id or 0, *(key for key in self._held if isinstance(key, int))]
        self.next_id = max(taken) + 1

    def trim(self) -> int:
        """Delete the oldest rows above `limit` and return how many they were."""
        if self.limit is None or len(self) <= self.limit:
            return 0
        return self.delete(self.oldest(len(self) - self.limit))

    def clear(self, first_id: int = 1) -> None:
        """Remove every row and count ids from *first_id* again, as a factory reset may do."""
        self.restore(Snapshot({}, first_id))

    def snapshot(self) -> Snapshot:
        """Return a backup of the rows there are."""
        return Snapshot(dict(self._rows), self.next_id)

    def restore(self, snapshot: Snapshot) -> None:
        """Put a backup in place of all rows; ids go on from its highest one.

        Rows held back are lost.
        """
        for serial, _ in self._held.values():
            self.calls.lose(serial)
        self._held.clear()
        self._orders.clear()
        self._times.clear()
        self._rows = dict(snapshot.rows)
        self._ages = sorted(self._rows)
        self._serials = {self._rows[serial][0]: serial for serial in self._ages}
        self._ids = sorted(key for key in self._serials if isinstance(key, int))
        self._others = [s for s in self._ages if isinstance(self._rows[s][0], str)]
        self.next_id = self._ids[-1] + 1 if self._ids else snapshot.next_id
        self.next_serial = max(self.next_serial, *(serial + 1 for serial in self._ages[-1:]), 1)
        self.trim()

    def total(self, sort_by: str, generation: str = "") -> int:
        """Return the `total_number` of a listing by *sort_by*; for *generation* see `page`."""
        if self.upgrade is None or (self.upgrade.count_both and not generation):
            return len(self)
        listed = self._generations(generation)
        if self.upgrade.count_listed:
            return sum(len(items) for items, _ in self._parts(sort_by, listed))
        return len(self._ids) * (LEGACY in listed) + len(self._others) * (NEW in listed)

    def page(
        self, sort_by: str, order_by: str, page: int, page_size: int, generation: str = ""
    ) -> list[Row]:
        """Return page number *page* (from 1) of *page_size* rows; empty past the end.

        *generation* is the table asked for, `new` or `legacy`; it is ignored before an upgrade,
        and without it the upgrade decides what is listed.
        """
        parts = self._parts(sort_by, self._generations(generation))
        begin = (page - 1) * page_size
        if order_by == "asc":
            serials = _cut(parts, begin, begin + page_size)
        else:
            stop = max(0, sum(len(items) for items, _ in parts) - begin)
            serials = _cut(parts, max(0, stop - page_size), stop)[::-1]
        return [_unpacked(self._rows[serial]) for serial in serials]

    def _generations(self, asked: str) -> _Generations:
        return self.upgrade.generations(asked) if self.upgrade else GENERATIONS

    def _keys(self, serials: Iterable[int]) -> list[Key]:
        return [self._rows[serial][0] for serial in serials]

    def _numbered(self, row: Row) -> tuple[Key, int, Row]:
        """Return the key and the serial that are *row*'s from now on, and the row with them."""
        serial = self.next_serial
        key, numbered = self._identified(row, serial)
        if key in self._serials or key in self._held:
            raise ValueError(f"{'new_' * isinstance(key, str)}id {key!r} is taken")
        self.next_serial += 1
        if isinstance(key, int):
            self.next_id = max(self.next_id, key + 1)
        return key, serial, numbered

    def _identified(self, row: Row, serial: int) -> tuple[Key, Row]:
        if "id" not in row and self._writes_new():
            numbered = new_format(row, serial)
            return numbered["new_id"], numbered
        row_id = row.get("id", self.next_id)
        if not isinstance(row_id, int):
            raise ValueError(f"id {row_id!r} is no whole number")
        return row_id, {"id": row_id, **row}

    def _writes_new(self) -> bool:
        return self.upgrade is not None and self._chance.random() >= self.upgrade.mixed

    def _place(self, key: Key, serial: int, row: Row) -> Key:
        self._serials[key] = serial
        insort(self._ages, serial)
        if isinstance(key, int):
            insort(self._ids, key)
        else:
            insort(self._others, serial)
        self._write(key, serial, row)
        self.ever[labels(row)] += 1
        self.calls.appeared(serial)
        return key

    def _write(self, key: Key, serial: int, row: Row) -> None:
        self._rows[serial] = (key, _NAMES.setdefault(names := tuple(row), names), *row.values())
        self._orders.clear()
        for listed, times in self._times.items():
            if _generation(key) in listed:
                insort(times, (_instant(row), serial))

    def _untimed(self, serials: list[int]) -> None:
        """Take *serials* out of every order by content; they are still in the table."""
        self._orders.clear()
        for listed, times in self._times.items():
            gone = self._of(listed, serials)
            _remove(times, [(_instant(_unpacked(self._rows[serial])), serial) for serial in gone])

    def _of(self, listed: _Generations, serials: Iterable[int]) -> list[int]:
        """Return those of *serials* whose rows stand in the tables *listed*."""
        return [serial for serial in serials if _generation(self._rows[serial][0]) in listed]

    def _parts(self, sort_by: str, listed: _Generations) -> list[_Part]:
        """Return what, one after the other, is the ascending order by *sort_by*."""
        if sort_by == "id":
            return self._parts_by_id(listed)
        if sort_by == "time":
            return [(self._by_time(listed), _second)]
        return [(self._order(sort_by, listed), int)]

    def _parts_by_id(self, listed: _Generations) -> list[_Part]:
        with_id: _Part = (self._ids if LEGACY in listed else [], self._serials.__getitem__)
        without: _Part = (self._others if NEW in listed else [], int)
        order = self.upgrade.order if self.upgrade else LAST
        if order == LEFT_OUT:
            return [with_id]
        return [without, with_id] if order == LAST else [with_id, without]

    def _by_time(self, listed: _Generations) -> list[tuple[float, int]]:
        if listed not in self._times:
            serials = self._of(listed, self._ages)
            self._times[listed] = sorted((_instant(_unpacked(self._rows[s])), s) for s in serials)
        return self._times[listed]

    def _order(self, sort_by: str, listed: _Generations) -> list[int]:
        if (sort_by, listed) not in self._orders:
            keys = {serial: _order_key(_unpacked(p), sort_by) for serial, p in self._rows.items()}
            serials = self._of(listed, self._ages)
            self._orders[sort_by, listed] = sorted(serials, key=keys.__getitem__)
        return self._orders[sort_by, listed]


_NAMES: dict[tuple[str, ...], tuple[str, ...]] = {}


def _generation(key: Key) -> str:
    return LEGACY if isinstance(key, int) else NEW


def _unpacked(packed: _Packed) -> Row:
    return dict(zip(packed[1], packed[2:], strict=True))


def _second(pair: tuple[float, int]) -> int:
    return pair[1]


def _cut(parts: Iterable[_Part], begin: int, end: int) -> list[int]:
    """Return the serials at the places *begin* to *end* of the *parts* put together."""
    found: list[int] = []
    for items, serial_of in parts:
        found += map(serial_of, items[max(0, begin) : max(0, end)])
        begin, end = begin - len(items), end - len(items)
    return found


def _remove(ordered: list[Any], gone: Sequence[Any]) -> None:
    """Take *gone*, all of which are there, out of an ascending list."""
    if len(gone) > _FEW:
        dropped = set(gone)
        ordered[:] = [item for item in ordered if item not in dropped]
        return
    for item in gone:
        del ordered[bisect_left(ordered, item)]


def _instant(row: Row) -> float:
    """Return what *row* is sorted by in time; an odd `timestamp` comes after every other."""
    value = row.get("timestamp", 0)
    return value if isinstance(value, int | float) and value == value else math.inf


def _order_key(row: Row, sort_by: str) -> _Order:
    value = row.get(sort_by, 0 if sort_by in NUMBERS else "")
    # Numbers before texts: a row made odd on purpose must not stop the others being sorted.
    return (False, value, "") if isinstance(value, int | float) else (True, 0, str(value))
