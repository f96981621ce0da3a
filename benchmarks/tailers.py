"""Tailers of a page-numbered list: what each loses, counts twice and reads, on one model PBX.

    newest-first    from page 1 until an id that is not above the last one counted
    de-duplicated   the same, and a row counts once within a poll
    total delta     `total_number` grew by n: the n newest rows
    ascending       oldest first, from the offset of the last row counted
    ours            the real thing: Poller, ledger and a state file on disk

What is modelled: a table of rows with ids in order, read by page number, 20 rows a page, polled
every 30 s, that changes between polls *and before every single answer*. Everybody begins at now,
on a quiet table. The loads are inserts, alone or beside one of

    retention       the table is full: each insert deletes the oldest row
    late commits    a quarter of the rows turn up after rows of higher ids, up to 2 minutes later
    admin deletes   single rows are deleted anywhere, and at times several of the newest

What is exaggerated, on purpose: a row or two before each answer and a dozen between polls is a
call centre, late commits of a quarter of the rows are a broken PBX, and nobody deletes that much.
The point is which way of tailing fails at what, and not by how many percent.

A row is *owed* if it stood in the table from the first to the last answer of at least one poll,
or when all was over (late rows committed, polls without changes). Lost is what is owed and was
never counted; a row that was deleted before a poll had a fair chance to read it is owed to nobody.
Doubled is every count of a row beyond its first. Both are percent of the rows owed.

Every run has its seed, so the figures are the same each time. Run it from the top directory:
`python -m benchmarks.tailers`.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.support.fake_pbx import FakePBX
from tests.support.poller_harness import PollerHarness

RUNS = 40
POLLS, QUIET_POLLS = 12, 25
INTERVAL = 30.0
PAGE = 20
TABLE = 120
COST_POLLS, BUSY_ROWS = 20, 60
MEMORY = Path("/dev/shm")  # noqa: S108 - each run makes a directory of its own in it
"""Where there is one, state is kept there: nothing of this is about disks."""


class Load(NamedTuple):
    """What happens beside inserts."""

    retention: bool = False
    late: float = 0.0
    deletes: float = 0.0


LOADS = {
    "inserts only": Load(),
    "retention": Load(retention=True),
    "late commits": Load(late=0.25),
    "admin deletes": Load(deletes=0.3),
}


class Office:
    """Changes the table of *pbx*, by chance; a row's trunk is named by its id and nobody else's."""

    def __init__(self, pbx: FakePBX, load: Load, seed: str) -> None:
        self.pbx = pbx
        self.busy = True
        self.owed: set[int] = set()
        self.owed_from = TABLE
        self._load = load
        self._jitter = random.Random(seed)
        self._late: list[tuple[float, int]] = []
        self._at_first_answer: set[int] | None = None
        for _ in range(TABLE):
            self._insert(self._next_id())

    def before_answer(self) -> None:
        """Let happen what happens between two answers."""
        if self.busy:
            self._happen(self._jitter.randint(0, 2))
        if self._at_first_answer is None:
            self._at_first_answer = set(self.pbx.rows)

    def between_polls(self) -> None:
        """Note what the poll before owed, and let the time until the next go by."""
        self.owed |= (self._at_first_answer or set()) & self.pbx.rows.keys()
        self._at_first_answer = None
        self.pbx.clock.pass_(INTERVAL)
        if self.busy:
            self._happen(self._jitter.randint(0, 24))

    def come_to_rest(self) -> None:
        """Commit what is late and change nothing from now on."""
        self.busy = False
        self._commit_late(until=float("inf"))

    def _happen(self, calls: int) -> None:
        for _ in range(calls):
            row_id, late = self._next_id(), self._jitter.random() < self._load.late
            if late:
                due = self.pbx.clock.now().steady + self._jitter.uniform(0, 120)
                self._late.append((due, row_id))
            else:
                self._insert(row_id)
        self._commit_late(until=self.pbx.clock.now().steady)
        if self._jitter.random() < self._load.deletes:
            self._delete()

    def _next_id(self) -> int:
        self.pbx.next_id += 1
        return self.pbx.next_id - 1

    def _insert(self, row_id: int) -> None:
        self.pbx.insert(row_id, src_trunk=f"row-{row_id}")
        while self._load.retention and len(self.pbx.rows) > TABLE:
            self.pbx.delete(min(self.pbx.rows))

    def _commit_late(self, until: float) -> None:
        due = [row_id for at, row_id in self._late if at <= until]
        self._late = [each for each in self._late if each[0] > until]
        for row_id in due:
            self._insert(row_id)

    def _delete(self) -> None:
        ids = sorted(self.pbx.rows)
        newest = self._jitter.random() < 0.3
        self.pbx.delete(*(ids[-self._jitter.randint(1, 4) :] if newest else [self._any(ids)]))

    def _any(self, ids: list[int]) -> int:
        # Recent rows more often: those are what a tailer reads.
        return ids[-min(len(ids), 1 + int(self._jitter.expovariate(1 / 30)))]


class Simple:
    """What the simple ones share: a way to ask for a page, and a count.

    The first poll is made on a quiet table, and only says where "now" is.
    """

    newest_first = True

    def __init__(self, pbx: FakePBX, directory: Path) -> None:
        self._pbx = pbx
        self._times: Counter[int] = Counter()
        self._total = 0

    def poll(self) -> None:
        """Read what is new."""
        self._times.update(self._plan())

    def counted(self) -> Counter[int]:
        """Return how often each row was counted, by id."""
        return self._times

    def close(self) -> None:
        """Nothing is held."""

    def _plan(self) -> Iterable[int]:
        raise NotImplementedError

    def _page(self, number: int) -> list[int]:
        """Return the ids on a page; *total_number* comes with every answer."""
        self._pbx.before_answer()
        ids = sorted(self._pbx.rows, reverse=self.newest_first)
        self._total = len(ids)
        page = ids[(number - 1) * PAGE : number * PAGE]
        self._pbx.rows_sent += len(page)
        return page

    def _ids(self, first_page: int = 1) -> Iterator[int]:
        """Yield ids to the end of the list; pages are read as they are asked for."""
        number = first_page
        while page := self._page(number):
            yield from page
            if len(page) < PAGE:
                return
            number += 1


class NewestFirst(Simple):
    """Down to the last id counted."""

    _cursor: int | None = None

    def _plan(self) -> Iterable[int]:
        if self._cursor is None:
            self._cursor = self._page(1)[0]
            return []
        new = []
        for row_id in self._ids():
            if row_id <= self._cursor:
                break
            new.append(row_id)
        self._cursor = max([self._cursor, *new])
        return new


class Deduplicated(NewestFirst):
    """A row that slid to the next page meanwhile is not new."""

    def _plan(self) -> Iterable[int]:
        return set(super()._plan())


class TotalDelta(Simple):
    """As many of the newest as there are more than at the last poll."""

    _known: int | None = None

    def _plan(self) -> Iterable[int]:
        ids = self._ids()
        head = next(ids)
        before, self._known = self._known, self._total
        more = 0 if before is None else self._known - before
        return [row_id for row_id, _ in zip(_chained(head, ids), range(more), strict=False)]


class Ascending(Simple):
    """From the offset on at which the last poll ended."""

    newest_first = False
    _offset: int | None = None

    def _plan(self) -> Iterable[int]:
        if self._offset is None:
            self._page(1)
            self._offset = self._total
            return []
        pages, within = divmod(self._offset, PAGE)
        new = list(self._ids(pages + 1))[within:]
        self._offset += len(new)
        return new


class Ours:
    """The poller of the exporter. How often a row was counted is what its trunk's counter says."""

    def __init__(self, pbx: FakePBX, directory: Path) -> None:
        self._harness = PollerHarness(directory, pbx, max_trunks=1_000_000, poll_interval=INTERVAL)

    def poll(self) -> None:
        """Poll, whatever comes of it."""
        self._harness.poll()

    def counted(self) -> Counter[int]:
        """Return how often each row was counted, by id."""
        return Counter(
            {
                int(key.labels[2].removeprefix("row-")): value[0]
                for key, value in self._harness.state.totals.series.items()
                if key.family == "cdr_records_total" and value[0]
            }
        )

    def close(self) -> None:
        """Let the state file go."""
        self._harness.store.close()


Tailer = Simple | Ours
Maker = Callable[[FakePBX, Path], Tailer]

TAILERS: dict[str, Maker] = {
    "newest-first": NewestFirst,
    "de-duplicated": Deduplicated,
    "total delta": TotalDelta,
    "ascending": Ascending,
    "ours": Ours,
}


class Outcome(NamedTuple):
    """Rows, over some runs."""

    owed: int = 0
    lost: int = 0
    doubled: int = 0

    def __str__(self) -> str:
        return f"{self._percent(self.lost)} /{self._percent(self.doubled)}"

    def _percent(self, rows: int) -> str:
        return f"{100 * rows / self.owed:5.1f}" if rows else "    0"


def main() -> None:
    """Print the two tables."""
    titles = "".join(f"{name:>15}" for name in TAILERS)
    print(f"rows lost / counted twice, in percent; {RUNS} runs of {POLLS} polls each:")
    print(f"  {'':15}{titles}")
    for title, load in LOADS.items():
        outcomes = [outcome(name, title, load) for name in TAILERS]
        cells = "".join(f"{each!s:>15}" for each in outcomes)
        print(f"  {title:15}{cells}")
    costs = {name: cost(make) for name, make in TAILERS.items()}
    print(f"rows read, {PAGE} a page, with nothing happening meanwhile:")
    print(f"  {'':15}{titles}")
    print(f"  {'an idle poll':15}" + "".join(f"{idle:15.1f}" for idle, _ in costs.values()))
    print(f"  {'per new row':15}" + "".join(f"{busy:15.2f}" for _, busy in costs.values()))
    print(f"  (new rows: {BUSY_ROWS} a poll)")


def outcome(name: str, title: str, load: Load) -> Outcome:
    """Let one tailer run under one load, again and again."""
    runs = [one_run(TAILERS[name], load, f"{title} {number}") for number in range(RUNS)]
    return Outcome(*map(sum, zip(*runs, strict=True)))


def one_run(make: Maker, load: Load, seed: str) -> Outcome:
    """Poll under load, then until nothing more can come, and compare with what was owed."""
    pbx = FakePBX()
    office = Office(pbx, load, seed)
    with _state() as directory, closing(make(pbx, directory)) as tailer:
        tailer.poll()
        pbx.before_answer = office.before_answer
        for _ in range(POLLS):
            office.between_polls()
            tailer.poll()
        office.come_to_rest()
        for _ in range(QUIET_POLLS):
            office.between_polls()
            tailer.poll()
        times = tailer.counted()
    owed = {row_id for row_id in office.owed | pbx.rows.keys() if row_id > TABLE}
    return Outcome(
        owed=len(owed),
        lost=len(owed - times.keys()),
        doubled=sum(n - 1 for n in times.values()),
    )


def cost(make: Maker) -> tuple[float, float]:
    """Return rows read by an idle poll, and per new row by a busy one; nothing happens during."""
    pbx = FakePBX()
    pbx.call(1010)
    with _state() as directory, closing(make(pbx, directory)) as tailer:
        tailer.poll()
        idle = _rows_read(pbx, tailer, 0)
        busy = _rows_read(pbx, tailer, BUSY_ROWS)
    return idle / COST_POLLS, busy / COST_POLLS / BUSY_ROWS


def _rows_read(pbx: FakePBX, tailer: Tailer, new: int) -> int:
    before = pbx.rows_sent
    for _ in range(COST_POLLS):
        pbx.clock.pass_(INTERVAL)
        pbx.call(new)
        tailer.poll()
    return pbx.rows_sent - before


@contextmanager
def _state() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as directory:
        yield Path(directory)


def _chained(first: int, others: Iterator[int]) -> Iterator[int]:
    yield first
    yield from others


if __name__ == "__main__":
    main()
