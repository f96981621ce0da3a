"""A PBX and a clock that tests move by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from cdr_exporter.cdr import CDRAnswer, Record
from cdr_exporter.cdr.contract import CDRQuery
from cdr_exporter.clock import Now


class FakeClock:
    """Both clocks of a poller; waiting moves them and takes no time."""

    def __init__(self, wall: float = 1_700_000_000.0) -> None:
        self.wall = wall
        self.steady = 1_000.0
        self.waited: list[float] = []
        self.stopping = False

    def now(self) -> Now:
        return Now(self.wall, self.steady)

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.pass_(seconds)

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


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

    __setitem__ = _forgetting_orders(dict.__setitem__)
    __delitem__ = _forgetting_orders(dict.__delitem__)
    __ior__ = _forgetting_orders(dict.__ior__)
    clear = _forgetting_orders(dict.clear)
    pop = _forgetting_orders(dict.pop)
    popitem = _forgetting_orders(dict.popitem)
    setdefault = _forgetting_orders(dict.setdefault)
    update = _forgetting_orders(dict.update)


class FakePBX:
    """The CDR list as a table in memory; an answer takes 20 ms of its *clock*.

    *before_answer* runs before each answer is made. Rows without id stand `first` or `last` by
    id, or are `left_out`, as *without_id* says.
    """

    def __init__(self, *, tells_total: bool = True) -> None:
        self.rows = {}
        self.next_id = 1
        self.tells_total = tells_total
        self.without_id = "last"
        self.clock = FakeClock()
        self.queries: list[CDRQuery] = []
        self.rows_sent = 0
        self.errcodes: Counter[int] = Counter()
        self.before_answer: Callable[[], None] = lambda: None
        self.failures: list[Exception] = []

    @property
    def rows(self) -> Table:
        return self._rows

    @rows.setter
    def rows(self, rows: Mapping[int, Record]) -> None:
        self._rows = rows if isinstance(rows, Table) else Table(rows)

    @property
    def requests(self) -> int:
        return len(self.queries)

    def call(self, times: int = 1, **fields: Any) -> None:
        for _ in range(times):
            self.insert(self.next_id, **fields)
            self.next_id += 1

    def insert(self, row_id: int, **fields: Any) -> None:
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

    def kill_after(self, requests: int) -> None:
        """Let the process die while it waits for the answer so many requests from now."""
        last = len(self.queries) + requests

        def kill() -> None:
            if len(self.queries) == last:
                raise SystemExit

        self.before_answer = kill

    def delete(self, *row_ids: int) -> None:
        for row_id in row_ids:
            self.rows.pop(row_id, None)

    def fetch(self, query: CDRQuery) -> CDRAnswer:
        self.queries.append(query)
        self.clock.pass_(0.02)
        self.before_answer()
        if self.failures:
            raise self.failures.pop(0)
        assert query.order_by == "desc"
        newest_first = self._by_time() if query.sort_by == "time" else self._by_id()
        page = newest_first[query.offset : query.offset + query.limit]
        self.rows_sent += len(page)
        return CDRAnswer(errcode=0, total=len(self.rows) if self.tells_total else None, rows=page)

    def _by_time(self) -> list[Record]:
        orders = self.rows.orders
        if "time" not in orders:
            serials = sorted(self.rows, key=lambda each: (self.rows[each].started_at, each))
            orders["time"] = [self.rows[each] for each in reversed(serials)]
        return orders["time"]

    def _by_id(self) -> list[Record]:
        orders = self.rows.orders
        if self.without_id not in orders:
            orders[self.without_id] = self._sort_by_id()
        return orders[self.without_id]

    def _sort_by_id(self) -> list[Record]:
        without_id = [row for _, row in sorted(self.rows.items(), reverse=True) if not row.id]
        named = sorted((row for row in self.rows.values() if row.id), key=lambda row: -row.id)
        places = {
            "first": (without_id, named),
            "last": (named, without_id),
            "left_out": (named, []),
        }
        first, second = places[self.without_id]
        return [*first, *second]
