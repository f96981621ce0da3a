"""The one PBX that runs inside a test's process: its CDR list, and all that can happen to it.

It is the poller's `CDRList`. Calls end, rows turn up late, are deleted, get used ids again; the
table is reset, or replaced by a backup. Each of these is one method here, so that a test says what
happens and not how a table shows it. `pbx_simulator` is another PBX: a product, that speaks HTTP.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from operator import attrgetter
from random import Random
from typing import Any, NamedTuple

from cdr_exporter.cdr import CDRAnswer, Record
from cdr_exporter.cdr.contract import NEW, CDRQuery

from .fake_clock import FakeClock


def _forgetting_orders(change: Callable[..., Any]) -> Callable[..., Any]:
    def changed(table: Table, *arguments: Any) -> Any:
        table.orders.clear()
        return change(table, *arguments)

    return changed


class Table(dict[int, Record]):
    """Rows by serial number. Each of its *orders* is kept until the table changes.

    Sorting 100,000 rows for each answer would take most of a test's time.
    """

    def __init__(self, rows: Mapping[int, Record] | None = None) -> None:
        super().__init__(rows or {})
        self.orders: dict[str, list[Record]] = {}

    @property
    def with_id(self) -> int:
        """How many rows have an id."""
        if "with id" not in self.orders:
            self.orders["with id"] = [row for row in self.values() if row.id]
        return len(self.orders["with id"])

    __setitem__ = _forgetting_orders(dict.__setitem__)
    __delitem__ = _forgetting_orders(dict.__delitem__)
    __ior__ = _forgetting_orders(dict.__ior__)
    clear = _forgetting_orders(dict.clear)
    pop = _forgetting_orders(dict.pop)
    popitem = _forgetting_orders(dict.popitem)
    setdefault = _forgetting_orders(dict.setdefault)
    update = _forgetting_orders(dict.update)


class Backup(NamedTuple):
    """The table as it was once, and the id that the next row would have got."""

    rows: dict[int, Record]
    next_id: int


OLD, BOTH_TABLES, LEGACY_ONLY, TOTAL_OF_BOTH = FIRMWARES = (
    "old",
    "both-tables",
    "legacy-only",
    "legacy-only-total-of-both",
)
"""The kinds of firmware, as the simulated PBX calls them. All but the old one have two tables, the
legacy one of rows with id and the new one of those without, and show both or the legacy one."""


class FakePBX:
    """The CDR list as a table in memory; an answer takes 20 ms of its *clock*.

    *before_answer* runs before each answer is made, and *edit_answer* returns what is sent in its
    place, or raises. Each of the *failures* is raised once instead of an answer. Rows without id
    stand `first` or `last` by id, or are `left_out`, as *without_id* says. With *shuffle*, what
    began in one second stands in another order in each answer by time. *firmware* is one of
    `FIRMWARES`; *answer_to_new* is what a query with `from=new` gets in place of the new table.
    """

    def __init__(self, *, tells_total: bool = True) -> None:
        self._rows = Table()
        self.next_id = 1
        self.tells_total = tells_total
        self.without_id = "last"
        self.firmware = OLD
        self.hides_new_table = False
        self.refuses_from: Exception | None = None
        self.shuffle: Random | None = None
        self.clock = FakeClock()
        self.queries: list[CDRQuery] = []
        self.rows_sent = 0
        self.errcodes: Counter[int] = Counter()
        self.clock_offset: float | None = 0.0
        self.before_answer: Callable[[], None] = lambda: None
        self.edit_answer: Callable[[CDRQuery, CDRAnswer], CDRAnswer] = lambda query, answer: answer
        self.failures: list[Exception] = []

    @property
    def rows(self) -> dict[int, Record]:
        """Return the table, by serial number; it may be changed."""
        return self._rows

    @property
    def requests(self) -> int:
        return len(self.queries)

    # --- what happens to the table ---------------------------------------------------------------

    def call(self, times: int = 1, **fields: Any) -> None:
        """Let calls end: each gets a row with the next id."""
        for _ in range(times):
            self.insert(self.next_id, **fields)
            self.next_id += 1

    def insert(self, row_id: int, **fields: Any) -> None:
        """Put a row into the table, also in the place of another: late, or with a used id."""
        defaults = {
            "uid": f"uid-{row_id}",
            "started_at": 1_700_000_000 + row_id,
            "duration": 60,
            "ring_duration": 5,
            "talk_duration": 55,
            "disposition": "ANSWERED",
            "call_type": "Inbound",
            "src_trunk": f"trunk-{row_id % 3}",
        }
        self.rows[row_id] = Record(**{"id": row_id, **defaults, **fields})

    def call_without_id(self, times: int = 1, **fields: Any) -> None:
        """Let calls end whose rows have no id but a `new_id`."""
        for _ in range(times):
            self.insert(self.next_id, id=0, **{"new_id": f"A-{self.next_id}", **fields})
            self.next_id += 1

    def reserve_id(self) -> int:
        """Return the id of a row that is being written: it is visible when it is inserted."""
        self.next_id += 1
        return self.next_id - 1

    def skip_ids(self, count: int) -> None:
        """Use up ids for rows that were never committed."""
        self.next_id += count

    def delete(self, *row_ids: int) -> None:
        """Delete the rows that are there."""
        for row_id in row_ids:
            self.rows.pop(row_id, None)

    def roll_back(self, newest: int) -> None:
        """Be as when *newest* was the newest id; the ids above it are given again."""
        self.delete(*range(newest + 1, self.next_id))
        self.next_id = newest + 1

    def reset(self) -> None:
        """Empty the table and number from 1 again, as a factory reset does."""
        self._rows, self.next_id = Table(), 1

    def backup(self) -> Backup:
        """Return the table as it is now."""
        return Backup(dict(self.rows), self.next_id)

    def restore(self, backup: Backup) -> None:
        """Put the table of a backup in the place of this one."""
        self._rows, self.next_id = Table(backup.rows), backup.next_id

    # --- what it answers -------------------------------------------------------------------------

    def kill_after(self, requests: int) -> None:
        """Let the process die while it waits for the answer so many requests from now."""
        last = len(self.queries) + requests

        def kill() -> None:
            if len(self.queries) == last:
                raise SystemExit

        self.before_answer = kill

    def fetch(self, query: CDRQuery) -> CDRAnswer:
        """Return a page; raises the first of *failures*, if there is one."""
        self.queries.append(query)
        self.clock.pass_(0.02)
        self.before_answer()
        if self.failures:
            raise self.failures.pop(0)
        assert query.order_by == "desc"
        if self.refuses_from is not None and query.from_ is not None:
            raise self.refuses_from
        newest_first = self._by_time() if query.sort_by == "time" else self._by_id()
        listed = newest_first if self.firmware == OLD else self._listed(newest_first, query)
        page = listed[query.offset : query.offset + query.limit]
        self.rows_sent += len(page)
        total = self._total(query) if self.tells_total else None
        return self.edit_answer(query, CDRAnswer(errcode=0, total=total, rows=page))

    def _listed(self, rows: list[Record], query: CDRQuery) -> list[Record]:
        """Return those of *rows* that newer firmware lists for *query*."""
        if query.from_ == NEW and self.hides_new_table:
            return []
        if query.from_ is None and self.firmware == BOTH_TABLES:
            return rows
        orders, name = self._rows.orders, f"{query.sort_by} from {query.from_}"
        if name not in orders:
            orders[name] = [row for row in rows if bool(row.id) == (query.from_ is None)]
        return orders[name]

    def _total(self, query: CDRQuery) -> int:
        shows_all = self.firmware in (BOTH_TABLES, TOTAL_OF_BOTH)
        if self.firmware == OLD or (query.from_ is None and shows_all):
            return len(self.rows)
        with_id = self._rows.with_id
        return with_id if query.from_ is None else len(self.rows) - with_id

    def _by_time(self) -> list[Record]:
        orders = self._rows.orders
        if "time" not in orders:
            serials = sorted(sorted(self.rows), key=lambda each: self.rows[each].started_at)
            orders["time"] = [self.rows[each] for each in reversed(serials)]
        if self.shuffle is None:
            return orders["time"]
        chance = self.shuffle.random
        return sorted(orders["time"], key=lambda row: (row.started_at, chance()), reverse=True)

    def _by_id(self) -> list[Record]:
        orders = self._rows.orders
        if self.without_id not in orders:
            orders[self.without_id] = self._sort_by_id()
        return orders[self.without_id]

    def _sort_by_id(self) -> list[Record]:
        serials = sorted((each for each, row in self.rows.items() if not row.id), reverse=True)
        without_id = [self.rows[each] for each in serials]
        with_id = [row for row in self.rows.values() if row.id]
        with_id.sort(key=attrgetter("id"), reverse=True)
        places = {
            "first": (without_id, with_id),
            "last": (with_id, without_id),
            "left_out": (with_id, []),
        }
        first, second = places[self.without_id]
        return [*first, *second]
