"""The CDR table: rows in the order of their ids, and pages of them in any order.

Rule: ids are given in the order in which calls end and are never given twice; a deleted row
leaves a gap. A page by id costs the page, whatever the size of the table.

Assumed, the vendor being silent: `time` sorts by the instant, not by the digits displayed; a
missing value sorts as 0 or as the empty string; equal values stand in the order of their ids,
and `desc` is `asc` read backwards.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .rows import NUMBERS, Row

_Key = tuple[bool, float, str]


class CDRTable:
    """Rows by id. Not locked: the owner sees to that.

    *next_id* is the id of the next row; raise it to leave a gap, for instance for a row that
    turns up late (`insert` takes an `id` of its own).
    """

    def __init__(self, first_id: int = 1) -> None:
        self.next_id = first_id
        self._rows: dict[int, Row] = {}
        self._ids: list[int] = []  # ascending
        self._orders: dict[str, list[int]] = {}  # by sort field, until the next change

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[Row]:
        """Iterate over the rows by ascending id."""
        return (self._rows[row_id] for row_id in self._ids)

    def __contains__(self, row_id: int) -> bool:
        return row_id in self._rows

    def __getitem__(self, row_id: int) -> Row:
        return self._rows[row_id]

    @property
    def ids(self) -> tuple[int, ...]:
        """The ids of the rows there are, ascending."""
        return tuple(self._ids)

    def insert(self, rows: Iterable[Row]) -> list[int]:
        """Add *rows* and return their ids; a row that has an `id` keeps it.

        ValueError: an `id` is taken or no whole number; the rows before it are in.
        """
        self._orders.clear()
        return [self._insert(row) for row in rows]

    def _insert(self, row: Row) -> int:
        row_id = row.get("id", self.next_id)
        if not isinstance(row_id, int) or row_id in self._rows:
            raise ValueError(f"id {row_id!r} is taken or no whole number")
        self._rows[row_id] = {"id": row_id, **row}
        insort(self._ids, row_id)
        self.next_id = max(self.next_id, row_id + 1)
        return row_id

    def change(self, row_id: int, fields: Mapping[str, Any]) -> Row:
        """Overwrite *fields* of one row word for word and return it; None removes a field.

        The row keeps its place even where its `id` is changed or removed. KeyError: no such row.
        """
        changed = {**self._rows[row_id], **fields}
        self._rows[row_id] = {name: changed[name] for name in changed if changed[name] is not None}
        self._orders.clear()
        return self._rows[row_id]

    def delete(self, ids: Iterable[int]) -> int:
        """Remove the rows of *ids*, as far as there are any, and return how many there were."""
        gone = self._rows.keys() & set(ids)
        for row_id in gone:
            del self._rows[row_id]
        self._ids = [row_id for row_id in self._ids if row_id not in gone]
        self._orders.clear()
        return len(gone)

    def clear(self, first_id: int = 1) -> None:
        """Remove every row and count ids from *first_id* again, as a factory reset may do."""
        self.delete(self._ids)
        self.next_id = first_id

    def page(self, sort_by: str, order_by: str, page: int, page_size: int) -> list[Row]:
        """Return page number *page* (from 1) of *page_size* rows; empty past the end."""
        order = self._order(sort_by)
        skipped = (page - 1) * page_size
        if order_by == "asc":
            ids = order[skipped : skipped + page_size]
        else:
            stop = max(0, len(order) - skipped)
            ids = order[max(0, stop - page_size) : stop][::-1]
        return [self._rows[row_id] for row_id in ids]

    def _order(self, sort_by: str) -> list[int]:
        if sort_by == "id":
            return self._ids
        if sort_by not in self._orders:
            keys = {row_id: _key(row, sort_by) for row_id, row in self._rows.items()}
            self._orders[sort_by] = sorted(self._ids, key=keys.__getitem__)
        return self._orders[sort_by]


def _key(row: Row, sort_by: str) -> _Key:
    field = "timestamp" if sort_by == "time" else sort_by
    value = row.get(field, 0 if field in NUMBERS else "")
    # Numbers before texts: a row made odd on purpose must not stop the others being sorted.
    return (False, value, "") if isinstance(value, int | float) else (True, 0, str(value))
