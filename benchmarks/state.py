"""What a page costs by how much was counted before, and what it writes, to a file or a database.

`PBXState.after` goes by the page, not by what is there: 500 rows against 900 and 90,000 series.
Ratios only, of processor time: the least of several rounds is taken, the two in turn within each
round.

What is written is counted and not timed: rows of the state, and bytes that reach the log of SQLite
or of PostgreSQL, which has to be installed for that (as in the tests; without, it is left out).
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from cdr_exporter.cdr import decode
from cdr_exporter.clock import Now
from cdr_exporter.commands.exporter import histogram_bounds
from cdr_exporter.ingest import (
    JudgedPage,
    KeptState,
    PBXState,
    PollBegan,
    call_rules_of,
    counting_rules_of,
)
from cdr_exporter.ledger import from_the_beginning
from cdr_exporter.ledger.page import page_of, query
from cdr_exporter.metrics.totals import SHOWN_FROM_START, Series, Totals, initial_totals
from cdr_exporter.settings import PBX, SecretSource, Settings
from cdr_exporter.store import FileStore, Store
from cdr_exporter.store.state_rows import StateRows
from tests.support.database_states import states_in
from tests.support.postgres import PostgresServer

from .ingest import NOW, PAGE, body, made_up_row

SERIES, ROUNDS, TIMES = (900, 90_000), 15, 5
BOUNDS = histogram_bounds(Settings(pbxs=()))
HQ = PBX(name="hq", base_url="http://127.0.0.1", client_id="me", secret=SecretSource(env="X"))


def main() -> None:
    """Print the ratio, and what is written."""
    event = judged_page()
    states = [state_with(number) for number in SERIES]
    best = [float("inf")] * len(states)
    for _ in range(ROUNDS):
        for number, state in enumerate(states):
            best[number] = min(best[number], timed(state, event))
    few, many = best
    print(f"{PAGE} rows against {SERIES[0]:,} series: {few * 1e3:.2f} ms, against {SERIES[1]:,}:")
    print(f"  {many * 1e3:.2f} ms, {many / few:.2f} times as much   (budget: at most 1.5)")
    print_written()


def print_written() -> None:
    """Print what a page writes once 50 others were committed, by the store and the rows in it."""
    for name, store in {"file": in_file, "database": in_database}.items():
        try:
            with store() as (made, logged):
                found = [written(made, logged, rows) for rows in (PAGE, 5)]
        except pytest.skip.Exception as missing:
            print(f"{name}: left out, {missing}")
            continue
        for rows, (changed, content, bytes_logged) in zip((PAGE, 5), found, strict=True):
            print(
                f"{name:8} a page of {rows:3} rows: {changed:3.0f} rows of the state written, "
                f"{content / 1e3:5.1f} kB in them, {bytes_logged / 1e3:6.1f} kB of log"
            )


PAGES = 50
"""Pages before those that are looked at, and as many that are."""


def written(store: Store, logged: Callable[[], int], rows: int) -> tuple[float, float, float]:
    """Return what a page of so many *rows* writes: rows, bytes in them, and bytes of the log."""
    chance = random.Random(1)
    rules = counting_rules_of(HQ, call_rules_of(HQ), BOUNDS)
    state = PBXState.of(store.load(), rules).after(PollBegan(), Now(NOW, 0.0)).state
    of_state, changed, content, before = StateRows("", BOUNDS, None), 0, 0, 0
    for number in range(2 * PAGES):
        low = (state.ledger.newest_key if state.ledger else 0) + 1
        page = page_of(
            query(1, rows),
            decode(body([made_up_row(chance, n) for n in range(low + rows - 1, low - 1, -1)])),
        )
        ledger = state.ledger or from_the_beginning()
        event = JudgedPage(page, ledger.judge(page, NOW, rules.limits), clock_offset=0.0)
        state, change = state.after(event, Now(NOW, 0.0))
        if number == PAGES:
            changed, content, before = 0, 0, logged()
        for table in of_state.of_change(change).tables.values():
            changed += len(table.rows) + len(table.deleted)
            content += sum(len(row[1]) for row in table.rows.values())
        store.commit(change)
    return changed / PAGES, content / PAGES, (logged() - before) / PAGES


@contextmanager
def in_file() -> Iterator[tuple[Store, Callable[[], int]]]:
    """Yield a store in a file, and what says how many bytes were written to its log."""
    with tempfile.TemporaryDirectory() as directory:
        store = FileStore(Path(directory), "bench", "me", BOUNDS)
        # The log is not merged into the file, so its length is what was written.
        store._db.execute("PRAGMA wal_autocheckpoint=0")
        log = Path(directory) / "bench.db-wal"
        yield store, lambda: log.stat().st_size
        store.close()


@contextmanager
def in_database() -> Iterator[tuple[Store, Callable[[], int]]]:
    """Yield the same of a store in a database, but for pages logged whole.

    That is done at the first change of a page after a checkpoint, so by how much others write.
    """
    with PostgresServer() as server, states_in(server) as states:
        yield (
            states.open(),
            lambda: int(states.run("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")[0][0]),
        )


def judged_page() -> JudgedPage:
    chance = random.Random(1)
    page = page_of(
        query(1, PAGE), decode(body([made_up_row(chance, n) for n in range(PAGE, 0, -1)]))
    )
    rules = counting_rules_of(HQ, call_rules_of(HQ), BOUNDS)
    return JudgedPage(page, from_the_beginning().judge(page, NOW, rules.limits), clock_offset=0.0)


def state_with(series: int) -> PBXState:
    """Return a state with so many series, of which the page changes those of four trunks."""
    rules = counting_rules_of(HQ, call_rules_of(HQ), BOUNDS)
    begun = PBXState.of(KeptState(totals=initial_totals()), rules).after(PollBegan(), Now(NOW, 0.0))
    known = begun.state.after(judged_page(), Now(NOW, 0.0)).state.totals
    more = {
        Series("cdr_did_calls_total", (f"number {n}", "answered")): (n,)
        for n in range(series - len(known.series))
    }
    born = {**known.born, **dict.fromkeys(more, SHOWN_FROM_START)}
    totals = Totals({**known.series, **more}, born, known.trunks)
    return replace(begun.state, totals=totals, ledger=from_the_beginning())


def timed(state: PBXState, event: JudgedPage) -> float:
    """Return the processor time of one page, in seconds."""
    began = time.process_time()
    for _ in range(TIMES):
        state.after(event, Now(NOW, 0.0))
    return (time.process_time() - began) / TIMES


if __name__ == "__main__":
    main()
