"""State files: made, opened again, compared, and spoilt at every place."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cdr_exporter.calls import NO_CHANGE, CallChange, ClosedCall, OpenCall
from cdr_exporter.errors import StateUnusable
from cdr_exporter.ingest import (
    FirstShown,
    KeptState,
    LedgerChange,
    PBXState,
    StateChange,
    TotalsChange,
)
from cdr_exporter.ledger import Ledger, LedgerLimits, from_the_beginning
from cdr_exporter.metrics.catalogue import LATE_RECORDS
from cdr_exporter.metrics.quarters import QuarterChange
from cdr_exporter.metrics.row_metrics import PageCount, group_by_labels
from cdr_exporter.metrics.totals import Bounds, Series, Totals
from cdr_exporter.store import FileStore, Store
from cdr_exporter.store.checked_rows import ChangedRows
from cdr_exporter.store.file_rows import FileRows, read_all_rows, read_whole
from cdr_exporter.store.open_file import connect

from .rows import BOUNDS, EPOCH, page

NOW = EPOCH + 10_000.0
TERMS = LedgerLimits(late_window=600.0, longest_call=11_700.0)


class State(NamedTuple):
    """What a store holds, for comparing."""

    ledger: Ledger | None
    totals: Totals
    resets: dict[str, float]


class Content(NamedTuple):
    """What is kept, for comparing; times of reads are not."""

    ledger: Ledger | None
    series: dict[Series, tuple[int, ...]]
    born: dict[Series, float]
    trunks: frozenset[str]
    open: dict[str, OpenCall]
    closed: dict[str, ClosedCall]
    quarters: dict[int, dict[int, list[int]]]
    coverage: object
    first_shown: FirstShown | None


def content(kept: KeptState | PBXState) -> Content:
    """Return what *kept* holds that a store keeps."""
    quarters = {
        n: {kind: list(sums) for kind, sums in cells.items()} for n, cells in kept.quarters.cells()
    }
    return Content(
        kept.ledger,
        dict(kept.totals.series),
        dict(kept.totals.born),
        kept.totals.trunks,
        dict(kept.calls.open),
        dict(kept.calls.closed),
        quarters,
        kept.quarters.coverage,
        kept.first_shown,
    )


class Process:
    """A process that has loaded *store*, and goes on from what it has committed.

    *file* is the same store, for tests that reach into the state file. *unsure* is what would be
    kept where the last commit was.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.kept = self.unsure = store.load()

    @property
    def file(self) -> FileStore:
        assert isinstance(self.store, FileStore)
        return self.store

    def commit(
        self,
        ledger: Ledger | None = None,
        totals: Totals | None = None,
        calls: CallChange = NO_CHANGE,
        quarters: QuarterChange | None = None,
        first_shown: FirstShown | None = None,
    ) -> None:
        """Commit what is given, and go on from it. Raises `StateNotWritten`."""
        kept = self.kept
        self.unsure = replace(
            kept,
            ledger=ledger or kept.ledger,
            totals=totals or kept.totals,
            calls=kept.calls.after(calls),
            quarters=kept.quarters if quarters is None else quarters.after,
            first_shown=first_shown or kept.first_shown,
        )
        self.store.commit(
            StateChange(
                None if ledger is None else ledger_change(kept.ledger, ledger),
                None if totals is None else totals_change(kept, totals),
                calls,
                quarters,
                first_shown,
            )
        )
        self.kept = self.unsure

    def close(self) -> None:
        self.store.close()


def ledger_change(before: Ledger | None, after: Ledger) -> LedgerChange:
    """Return what differs in *after*, whatever came in between."""
    known = before.remembered if before is not None else {}
    id_ledger = before.id_ledger if before is not None else None
    return LedgerChange(
        after,
        dict(after.remembered.items() - known.items()),
        dict(known.items() - after.remembered.items()),
        after.id_ledger is not id_ledger,
    )


def totals_change(kept: KeptState, after: Totals) -> TotalsChange:
    """Return what differs in *after*; all series are new where no ledger was kept before."""
    before = kept.totals
    if kept.ledger is None:
        return TotalsChange(after, after.series)
    changed = [key for key, value in after.series.items() if before.series.get(key) != value]
    reborn = [key for key, born in after.born.items() if before.born.get(key, born) != born]
    return TotalsChange(after, changed, reborn)


@contextmanager
def opened(
    directory: Path, name: str = "hq", client_id: str = "me", bounds: Bounds = BOUNDS
) -> Iterator[Process]:
    with closing(FileStore(directory, name, client_id, bounds)) as store:
        yield Process(store)


def state_of(process: Process) -> State:
    return State(process.kept.ledger, process.kept.totals, dict(process.kept.resets))


def reopened(directory: Path, **settings: Any) -> State:
    with opened(directory, **settings) as process:
        return state_of(process)


def judged(
    process: Process, *row_ids: int, born_at: float = 100.0, bounds: Bounds = BOUNDS, **fields: Any
) -> Any:
    """Return ledger and totals after a page of these rows, as a poller would commit them."""
    before = process.kept.ledger or from_the_beginning()
    verdict = before.judge(page(*row_ids, size=10_000, **fields), NOW, TERMS)
    known = process.kept.totals
    count = PageCount(bounds, known.trunks, 200)
    count.add_rows(group_by_labels(verdict.counted))
    count.add_event(LATE_RECORDS, verdict.late)
    return verdict.ledger, known.merged(count.series(), count.trunks, born_at)


def add(process: Process, *row_ids: int, **settings: Any) -> None:
    process.commit(*judged(process, *row_ids, **settings))


def write_rows(directory: Path, table: str, rows: Mapping[Any, bytes | None]) -> None:
    """Write *rows* of the state of `hq` with the right checksums; None deletes.

    So what stands in them is all that may be wrong.
    """
    with closing(connect(directory / "hq.db")) as db:
        changed = ChangedRows()
        changed.put(table, [(key, text) for key, text in rows.items() if text is not None])
        changed.delete(table, [key for key, text in rows.items() if text is None])
        file = FileRows(db, read_whole(db))
        with file.transaction():
            file.write(changed)


def set_version(directory: Path, version: int) -> None:
    """Let the state of `hq` be of *version*, in the header and in its rows."""
    with closing(connect(directory / "hq.db")) as db:
        file = FileRows(db, read_whole(db)._replace(version=version))
        with file.transaction():
            db.execute(f"PRAGMA user_version={version}")


def replace_in_rows(directory: Path, table: str, old: str, new: str) -> None:
    """Replace *old* in each row of *table*, as `write_rows` does."""
    with closing(connect(directory / "hq.db")) as db:
        rows = read_all_rows(db)[table]
    changed = {key: text.replace(old.encode(), new.encode()) for key, text in rows.items()}
    assert changed != rows
    write_rows(directory, table, changed)


def asides(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.corrupt-*"))


def outcome(directory: Path) -> State | str:
    """Open the state of `hq`; say what is there, or that it was set aside or refused."""
    try:
        found = reopened(directory)
    except StateUnusable:
        # Refused again, not in use: the lock was let go.
        with pytest.raises(StateUnusable):
            FileStore(directory, "hq", "me", BOUNDS)
        return "refused"
    if any(found.resets.values()):
        assert found.ledger is None
        assert asides(directory)
        return "set aside"
    return found


def spoilt_copies(
    directory: Path, name: str, spoil: Callable[[bytes, int], bytes], step: int
) -> Iterator[State | str]:
    """Open copies of *directory* in which the file *name* was spoilt, at each *step* of bytes."""
    whole = (directory / name).read_bytes()
    for at in range(0, len(whole), step):
        copy = directory.with_name("copy")
        shutil.copytree(directory, copy)
        (copy / name).write_bytes(spoil(whole, at))
        yield outcome(copy)
        shutil.rmtree(copy)


def truncated(whole: bytes, at: int) -> bytes:
    return whole[:at]


def killed_in(directory: Path) -> Path:
    with opened(directory / "alive") as store:
        add(store, *range(30, 0, -1))
        for number in range(31, 34):
            add(store, number, src_trunk=f"trunk {number}")
        shutil.copytree(directory / "alive", directory / "state")
    assert (directory / "state" / "hq.db-wal").stat().st_size > 0
    return directory / "state"


def files(directory: Path) -> dict[str, bytes]:
    """Return the content of each file."""
    return {each.name: each.read_bytes() for each in sorted(directory.iterdir())}
