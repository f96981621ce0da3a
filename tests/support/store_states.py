"""State files: made, opened again, compared, and spoilt at every place."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cdr_exporter.errors import StateUnusable
from cdr_exporter.ledger import Ledger, LedgerLimits, from_the_beginning
from cdr_exporter.metrics.catalogue import LATE_RECORDS
from cdr_exporter.metrics.row_metrics import PageCount, group_by_labels
from cdr_exporter.metrics.totals import Bounds, Totals
from cdr_exporter.store import Store

from .rows import BOUNDS, EPOCH, page

NOW = EPOCH + 10_000.0
TERMS = LedgerLimits(late_window=600.0, longest_call=11_700.0)


class State(NamedTuple):
    """What a store holds, for comparing."""

    ledger: Ledger | None
    totals: Totals
    resets: dict[str, float]


@contextmanager
def opened(
    directory: Path, name: str = "hq", client_id: str = "me", bounds: Bounds = BOUNDS
) -> Iterator[Store]:
    with closing(Store(directory, name, client_id, bounds)) as store:
        yield store


def state_of(store: Store) -> State:
    return State(store.ledger, store.totals, dict(store.resets))


def reopened(directory: Path, **settings: Any) -> State:
    with opened(directory, **settings) as store:
        return state_of(store)


def judged(store: Store, *row_ids: int, born_at: float = 100.0, **fields: Any) -> Any:
    """Return ledger and totals after a page of these rows, as a poller would commit them."""
    before = store.ledger or from_the_beginning()
    verdict = before.judge(page(*row_ids, size=10_000, **fields), NOW, TERMS)
    count = PageCount(BOUNDS, store.totals.trunks, 200)
    count.add_rows(group_by_labels(verdict.counted))
    count.add_event(LATE_RECORDS, verdict.late)
    return verdict.ledger, store.totals.merged(count.series(), count.trunks, born_at)


def add(store: Store, *row_ids: int, born_at: float = 100.0, **fields: Any) -> None:
    store.commit(*judged(store, *row_ids, born_at=born_at, **fields))


def asides(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.corrupt-*"))


def outcome(directory: Path) -> State | str:
    """Open the state of `hq`; say what is there, or that it was set aside or refused."""
    try:
        found = reopened(directory)
    except StateUnusable:
        # Refused again, not in use: the lock was let go.
        with pytest.raises(StateUnusable):
            Store(directory, "hq", "me", BOUNDS)
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
