"""What a store keeps: whole pages or nothing of them, over any restart."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdr_exporter.cdr import Rejected
from cdr_exporter.errors import StateNotWritten
from cdr_exporter.ledger import Ledger, from_the_beginning
from cdr_exporter.ledger.order import BY_ID
from cdr_exporter.metrics.catalogue import RECORDS
from cdr_exporter.metrics.row_metrics import PageCount, group_by_labels
from cdr_exporter.metrics.totals import Bounds, Series, Totals, initial_totals
from cdr_exporter.store import FileStore, file_store, open_file
from cdr_exporter.store.checked_rows import ChangedRows
from cdr_exporter.store.file_rows import FileRows, read_whole
from cdr_exporter.store.load import SavedState
from cdr_exporter.store.open_file import connect, read_state
from cdr_exporter.store.schema import META

from ..support.counts import records
from ..support.paths import ROOT
from ..support.rows import BOUNDS, page
from ..support.store_states import (
    NOW,
    TERMS,
    Process,
    State,
    add,
    asides,
    judged,
    opened,
    reopened,
    state_of,
)

# --- stop, open, compare -------------------------------------------------------------------------


def test_the_life_of_a_state(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        assert store.file.path == tmp_path / "hq.db"
        assert state_of(store) == State(
            None, initial_totals(), {"corrupt": 0.0, "empty": 0.0, "foreign": 0.0}
        )
        assert store.kept.dropped_histograms == ()

    # Opened and closed without a page it is still a first start.
    assert reopened(tmp_path).ledger is None

    with opened(tmp_path) as store:
        add(store, 3, 2, 1)
        first = state_of(store)
    assert records(first.totals) == 3
    assert reopened(tmp_path) == first

    with opened(tmp_path) as store:
        # An unread range, a new trunk, and many series: more than fit into one row of the file.
        add(store, 20, 19, 18, src_trunk="gsm", born_at=200.5)
        for number in range(12):
            add(store, 21 + number, src_trunk=f"trunk {number}", born_at=300.0 + number)
        second = state_of(store)
    assert second.ledger is not None
    assert second.ledger.unread
    assert records(second.totals) == 18
    assert len(second.totals.series) > 200
    assert reopened(tmp_path) == second

    with opened(tmp_path) as store:
        # More rows than are remembered: the oldest identities are forgotten.
        add(store, *range(3_000, 17, -1))
        # Rows of the unread range, and one of many series that rose.
        add(store, 10, 9, 8, src_trunk="gsm", number=2)
        ledger = replace(store.kept.ledger or Ledger(), rejects=(1, 2**63 - 1), first_read="all")
        store.commit(ledger, store.kept.totals)
        third = state_of(store)
    assert third.ledger is not None
    assert third.ledger.remembered_from > 1
    assert (third.ledger.rejects, third.ledger.in_baseline) == ((1, 2**63 - 1), True)
    assert reopened(tmp_path) == third
    assert reopened(tmp_path) == third
    assert asides(tmp_path) == []


def test_closing_twice_is_once(tmp_path: Path) -> None:
    store = FileStore(tmp_path, "hq", "me", BOUNDS)
    store.close()
    store.close()

    assert reopened(tmp_path).ledger is None


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 40), st.sampled_from(["", "a", "b", "c", "d"]), st.booleans()),
        min_size=1,
        max_size=8,
    )
)
def test_whatever_was_committed_is_there_after_any_restart(
    pages: list[tuple[int, str, bool]],
) -> None:
    with TemporaryDirectory() as name:
        directory, high = Path(name), 0
        store = Process(FileStore(directory, "hq", "me", BOUNDS))
        for rows, trunk, restart in pages:
            high += rows
            add(store, *range(high, high - rows, -1), src_trunk=trunk, born_at=float(high))
            if restart:
                committed = state_of(store)
                store.close()
                store = Process(FileStore(directory, "hq", "me", BOUNDS))
                assert state_of(store) == committed
        store.close()

        final = reopened(directory)
        assert records(final.totals) == high
        assert final.ledger is not None
        assert final.ledger.newest_key == high


def test_births_are_durable(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        add(store, 1, born_at=0.0)
        add(store, 2, disposition="BUSY", src_trunk="gsm", born_at=1_700_000_000.123456)
        born = dict(store.kept.totals.born)

    after = reopened(tmp_path).totals.born
    assert after == born
    assert after[Series(RECORDS.name, ("BUSY", "Inbound", "gsm"))] == 1_700_000_000.123456


def test_the_known_trunks_are_durable_and_other_is_not_one_of_them(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        verdict = from_the_beginning().judge(page(3, 2, 1), NOW, TERMS)
        count = PageCount(BOUNDS, frozenset({"none"}), 0)
        count.add_rows(group_by_labels(verdict.counted))
        totals = store.kept.totals.merged(count.series(), count.trunks | {"gsm"}, 1.0)
        store.commit(verdict.ledger, totals)

    after = reopened(tmp_path).totals
    assert after.trunks == {"none", "gsm"}
    assert Series(RECORDS.name, ("ANSWERED", "Inbound", "other")) in after.series


@pytest.mark.parametrize("name", ["hq", "a.b", "a.db", "a.new", "x.corrupt-1", "0", "A_-.z"])
def test_any_name_of_a_pbx_has_files_of_its_own(tmp_path: Path, name: str) -> None:
    with opened(tmp_path, "a"), opened(tmp_path, name) as store:
        add(store, 2, 1)

    assert records(reopened(tmp_path, name=name).totals) == 2
    assert records(reopened(tmp_path, name="a").totals) == 0


def test_an_unusable_file_with_dots_in_its_name_is_set_aside_whole(tmp_path: Path) -> None:
    (tmp_path / "a%2Eb.db").write_bytes(b"x" * 5_000)
    assert reopened(tmp_path, name="a.b").resets["corrupt"] > 0

    [aside] = asides(tmp_path)
    assert aside.name.startswith("a%2Eb.corrupt-")


# --- all or nothing ------------------------------------------------------------------------------


def test_a_commit_that_fails_in_the_middle_changes_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        add(store, 2, 1)
        before = state_of(store)
        ledger, totals = judged(store, 4, 3, src_trunk="gsm")
        # The ledger and all names of series can be written, and then no value.
        store.file._db.execute(
            "CREATE TEMP TRIGGER full BEFORE INSERT ON chunk "
            "BEGIN SELECT RAISE(ABORT, 'no room'); END"
        )

        with pytest.raises(StateNotWritten) as failed:
            store.commit(ledger, totals)
        store.file._db.execute("DROP TRIGGER full")

        assert str(store.file.path) in str(failed.value)
        assert state_of(store) == before
        assert store.kept.totals is before.totals
        store.commit(ledger, totals)
        after = state_of(store)

    assert records(after.totals) == 4
    assert reopened(tmp_path) == after


def test_nothing_of_a_failed_commit_is_in_the_file(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        add(store, 2, 1)
        before = state_of(store)
        ledger, totals = judged(store, 3)
        broken = Totals(
            {**totals.series, Series("x"): cast(Any, (object(),))},
            {**totals.born, Series("x"): 0},
        )

        with pytest.raises(TypeError):
            store.commit(ledger, broken)

    assert reopened(tmp_path) == before


def fail_at(db: sqlite3.Connection, step: int) -> None:
    """Make the connection break off at its virtual machine's *step*."""
    left = iter(range(step))
    db.set_progress_handler(lambda: next(left, None) is None, 1)


@pytest.mark.fault("E1")
def test_a_commit_cut_off_at_any_step_is_all_or_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        add(store, 2, 1)
        before = state_of(store)
        change = judged(store, 5, 4, 3, src_trunk="gsm")
    cut_off, step = 0, 1
    while True:
        store = Process(FileStore(tmp_path, "hq", "me", BOUNDS))
        assert state_of(store) == before
        fail_at(store.file._db, step)
        try:
            store.commit(*change)
        except StateNotWritten:
            cut_off, step = cut_off + 1, step + 1 + step // 7
            assert state_of(store) == before
            store.close()
        else:
            break
    after = state_of(store)
    store.file._db.set_progress_handler(None, 1)
    store.close()

    assert cut_off > 20
    assert after != before
    assert reopened(tmp_path) == after


@pytest.mark.fault("E3")
def test_a_full_disk_is_reported_and_the_page_is_committed_once_there_is_room(
    tmp_path: Path,
) -> None:
    with opened(tmp_path) as store:
        add(store, 2, 1)
        before = state_of(store)
        change = judged(store, *range(2_000, 2, -1), src_trunk="gsm")
        [[pages]] = store.file._db.execute("PRAGMA page_count")
        store.file._db.execute(f"PRAGMA max_page_count={pages}")

        for _ in range(3):
            with pytest.raises(StateNotWritten, match="full"):
                store.commit(*change)
            assert state_of(store) == before

        store.file._db.execute("PRAGMA max_page_count=1000000")
        store.commit(*change)
        after = state_of(store)

    assert records(after.totals) == 2_000
    assert reopened(tmp_path) == after


def test_a_full_disk_loses_nothing_at_a_restart(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        add(store, 2, 1)
        before = state_of(store)
        [[pages]] = store.file._db.execute("PRAGMA page_count")
        store.file._db.execute(f"PRAGMA max_page_count={pages}")
        with pytest.raises(StateNotWritten):
            add(store, *range(2_000, 2, -1), src_trunk="gsm")

    assert reopened(tmp_path) == before


@pytest.mark.fault("E2")
def test_a_commit_is_on_the_disk_when_it_returns(tmp_path: Path) -> None:
    """The power cannot be cut here, but a test can see that SQLite is asked to sync."""
    with opened(tmp_path) as store:
        pragmas = ("journal_mode", "synchronous")
        [found] = zip(
            *(store.file._db.execute(f"PRAGMA {p}").fetchone() for p in pragmas), strict=True
        )

    full = 2
    assert found == ("wal", full)


KILLABLE = """
import sys
from pathlib import Path
from tests.support.rows import BOUNDS
from tests.support.store_states import FileStore, Process, add
store = Process(FileStore(Path(sys.argv[1]), "hq", "me", BOUNDS))
high = store.kept.ledger.newest_key if store.kept.ledger else 0
while True:
    high += 1
    add(store, high, src_trunk=f"trunk {high % 50}")
    print(high, flush=True)
"""


@pytest.mark.fault("E1")
def test_ledger_and_totals_agree_after_kill_9_in_the_middle_of_commits(tmp_path: Path) -> None:
    told = 0
    for lines in (1, 40, 7, 90):
        with subprocess.Popen(
            [sys.executable, "-c", KILLABLE, str(tmp_path)],
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        ) as process:
            assert process.stdout is not None
            for _ in range(lines):
                told = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read().split("\n")
        told = max([told, *(int(each) for each in rest[:-1])])

        after = reopened(tmp_path)
        assert process.returncode == -signal.SIGKILL
        assert after.ledger is not None
        assert records(after.totals) == after.ledger.newest_key >= told
        assert sorted(after.ledger.remembered.values()) == [*range(1, after.ledger.newest_key + 1)]
    assert asides(tmp_path) == []


# --- buckets -------------------------------------------------------------------------------------


def by_family(totals: Totals) -> dict[str, dict[tuple[str, ...], tuple[int, ...]]]:
    found: dict[str, dict[tuple[str, ...], tuple[int, ...]]] = {}
    for series, value in totals.series.items():
        found.setdefault(series.family, {})[series.labels] = value
    return found


@pytest.mark.parametrize(
    ("changed", "dropped"),
    [
        pytest.param({"ring": (3, 9)}, {"cdr_ring_duration_seconds"}, id="ring"),
        pytest.param(
            {"duration": (60,)},
            {"cdr_duration_seconds", "cdr_talk_duration_seconds"},
            id="duration",
        ),
        pytest.param(
            {"duration": (60,), "ring": (3,)},
            {
                "cdr_duration_seconds",
                "cdr_talk_duration_seconds",
                "cdr_ring_duration_seconds",
            },
            id="both",
        ),
        pytest.param({"delay": (1,)}, set(), id="one that is not durable"),
        pytest.param({}, set(), id="none"),
    ],
)
def test_histograms_with_changed_buckets_begin_again_and_nothing_else_does(
    tmp_path: Path, changed: Bounds, dropped: set[str]
) -> None:
    with opened(tmp_path) as store:
        for number in range(1, 9):
            add(store, number, src_trunk=f"trunk {number}", born_at=float(number))
        before = state_of(store)

    with opened(tmp_path, bounds={**BOUNDS, **changed}) as store:
        assert set(store.kept.dropped_histograms) == dropped
        after = state_of(store)

    kept = {f: v for f, v in by_family(before.totals).items() if f not in dropped}
    assert by_family(after.totals) == kept
    assert (after.ledger, after.totals.trunks) == (before.ledger, before.totals.trunks)
    assert after.totals.born == {
        series: born for series, born in before.totals.born.items() if series.family not in dropped
    }
    with opened(tmp_path, bounds={**BOUNDS, **changed}) as store:
        assert store.kept.dropped_histograms == ()
        assert state_of(store) == after
        add(store, 9, src_trunk="trunk 1", bounds={**BOUNDS, **changed})
        later = state_of(store)
    assert reopened(tmp_path, bounds={**BOUNDS, **changed}) == later
    assert records(later.totals) == 9


def test_buckets_may_change_before_the_first_page(tmp_path: Path) -> None:
    assert reopened(tmp_path).ledger is None

    with opened(tmp_path, bounds={**BOUNDS, "ring": (1,)}) as store:
        assert store.kept.totals == initial_totals()
        add(store, 1, bounds={**BOUNDS, "ring": (1,)})

    assert records(reopened(tmp_path, bounds={**BOUNDS, "ring": (1,)}).totals) == 1


def test_rejected_rows_are_remembered(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        found = page(2, 1)
        rejected = (Rejected("id", 2**63 - 1), Rejected("number", 5, 9))
        verdict = from_the_beginning().judge(replace(found, rejected=rejected), NOW, TERMS)
        store.commit(verdict.ledger, store.kept.totals)

    ledger = reopened(tmp_path).ledger
    assert ledger is not None
    assert ledger.rejects == (2**63 - 1,)
    assert ledger.remembered[BY_ID.identity(rejected[1])] == 9


# --- a thousand of them ---------------------------------------------------------------------------


def test_a_state_is_read_once_when_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as store:
        add(store, 2, 1)
        before = state_of(store)
    reads: list[object] = []

    def counted(db: sqlite3.Connection) -> SavedState:
        reads.append(db)
        return read_state(db)

    for module in (open_file, file_store):
        monkeypatch.setattr(module, "read_state", counted)
    assert reopened(tmp_path) == before
    assert len(reads) == 1


def test_what_another_wrote_after_the_check_of_the_file_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as store:
        add(store, 2, 1)

    def connect_late(path: Path) -> sqlite3.Connection:
        with closing(connect(path)) as db:
            rows, changed = FileRows(db, read_whole(db)), ChangedRows()
            changed.put(META, [("reset_foreign", b"17.0")])
            with rows.transaction():
                rows.write(changed)
        return connect(path)

    monkeypatch.setattr(file_store, "connect", connect_late)
    with opened(tmp_path) as store:
        assert store.kept.resets["foreign"] == 17.0


def test_states_of_two_pbxs_share_the_texts_of_their_labels(tmp_path: Path) -> None:
    texts = []
    for name in ("hq", "branch"):
        with opened(tmp_path / name) as store:
            add(store, 1)
        with opened(tmp_path / name) as store:
            totals = store.kept.totals
            texts.append(
                {each: each for key in totals.series for each in (key.family, *key.labels)}
            )

    assert texts[0] == texts[1]
    assert all(texts[1][text] is text for text in texts[0])


def test_an_open_state_keeps_little_of_its_file_in_memory(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        assert store.file._db.execute("PRAGMA cache_size").fetchall() == [(4,)]
