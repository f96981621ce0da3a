from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdr_exporter.cdr import MAX_ID, Rejected
from cdr_exporter.errors import StateInUse, StateNotWritten, StateUnusable
from cdr_exporter.ledger import Ledger, from_the_beginning
from cdr_exporter.ledger.order import BY_ID, BY_TIME
from cdr_exporter.ledger.recheck_ranges import RecheckRange
from cdr_exporter.ledger.watermark import Watermark
from cdr_exporter.metrics.catalogue import RECORDS
from cdr_exporter.metrics.row_metrics import PageCount, group_by_labels
from cdr_exporter.metrics.totals import Bounds, Series, Totals, initial_totals
from cdr_exporter.store import VERSION, Store

from ..support.counts import records
from ..support.paths import ROOT
from ..support.rows import BOUNDS, page, record
from ..support.store_states import (
    NOW,
    TERMS,
    State,
    add,
    asides,
    judged,
    opened,
    outcome,
    reopened,
    spoilt_copies,
    state_of,
    truncated,
)

NOBODY = 65534


def files(directory: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in sorted(directory.iterdir())}


# --- stop, open, compare -------------------------------------------------------------------------


def test_the_life_of_a_state(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        assert store.path == tmp_path / "hq.db"
        assert state_of(store) == State(
            None, initial_totals(), {"corrupt": 0.0, "empty": 0.0, "foreign": 0.0}
        )
        assert store.dropped_histograms == ()

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
        ledger = replace(store.ledger or Ledger(), rejects=(1, 2**63 - 1), first_read="all")
        store.commit(ledger, store.totals)
        third = state_of(store)
    assert third.ledger is not None
    assert third.ledger.remembered_from > 1
    assert (third.ledger.rejects, third.ledger.in_baseline) == ((1, 2**63 - 1), True)
    assert reopened(tmp_path) == third
    assert reopened(tmp_path) == third
    assert asides(tmp_path) == []


def test_closing_twice_is_once(tmp_path: Path) -> None:
    store = Store(tmp_path, "hq", "me", BOUNDS)
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
        store = Store(directory, "hq", "me", BOUNDS)
        for rows, trunk, restart in pages:
            high += rows
            add(store, *range(high, high - rows, -1), src_trunk=trunk, born_at=float(high))
            if restart:
                committed = state_of(store)
                store.close()
                store = Store(directory, "hq", "me", BOUNDS)
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
        born = dict(store.totals.born)

    after = reopened(tmp_path).totals.born
    assert after == born
    assert after[Series(RECORDS.name, ("BUSY", "Inbound", "gsm"))] == 1_700_000_000.123456


def test_the_known_trunks_are_durable_and_other_is_not_one_of_them(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        verdict = from_the_beginning().judge(page(3, 2, 1), NOW, TERMS)
        count = PageCount(BOUNDS, frozenset({"none"}), 0)
        count.add_rows(group_by_labels(verdict.counted))
        totals = store.totals.merged(count.series(), count.trunks | {"gsm"}, 1.0)
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
    (tmp_path / "a.b.db").write_bytes(b"x" * 5_000)
    assert reopened(tmp_path, name="a.b").resets["corrupt"] > 0

    [aside] = asides(tmp_path)
    assert aside.name.startswith("a.b.corrupt-")


# --- all or nothing ------------------------------------------------------------------------------


def test_a_commit_that_fails_in_the_middle_changes_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        add(store, 2, 1)
        before = state_of(store)
        ledger, totals = judged(store, 4, 3, src_trunk="gsm")
        *_, last = totals.series
        # The ledger and all series but the last can be written.
        unborn = Totals(totals.series, {**totals.born, last: cast(Any, None)}, totals.trunks)

        with pytest.raises(StateNotWritten) as failed:
            store.commit(ledger, unborn)

        assert str(store.path) in str(failed.value)
        assert state_of(store) == before
        assert store.totals is before.totals
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
        store = Store(tmp_path, "hq", "me", BOUNDS)
        assert state_of(store) == before
        fail_at(store._db, step)
        try:
            store.commit(*change)
        except StateNotWritten:
            cut_off, step = cut_off + 1, step + 1 + step // 7
            assert state_of(store) == before
            store.close()
        else:
            break
    after = state_of(store)
    store._db.set_progress_handler(None, 1)
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
        [[pages]] = store._db.execute("PRAGMA page_count")
        store._db.execute(f"PRAGMA max_page_count={pages}")

        for _ in range(3):
            with pytest.raises(StateNotWritten, match="full"):
                store.commit(*change)
            assert state_of(store) == before

        store._db.execute("PRAGMA max_page_count=1000000")
        store.commit(*change)
        after = state_of(store)

    assert records(after.totals) == 2_000
    assert reopened(tmp_path) == after


def test_a_full_disk_loses_nothing_at_a_restart(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        add(store, 2, 1)
        before = state_of(store)
        [[pages]] = store._db.execute("PRAGMA page_count")
        store._db.execute(f"PRAGMA max_page_count={pages}")
        with pytest.raises(StateNotWritten):
            add(store, *range(2_000, 2, -1), src_trunk="gsm")

    assert reopened(tmp_path) == before


@pytest.mark.fault("E2")
def test_a_commit_is_on_the_disk_when_it_returns(tmp_path: Path) -> None:
    """The power cannot be cut here, but a test can see that SQLite is asked to sync."""
    with opened(tmp_path) as store:
        pragmas = ("journal_mode", "synchronous", "locking_mode")
        [found] = zip(*(store._db.execute(f"PRAGMA {p}").fetchone() for p in pragmas), strict=True)

    full = 2
    assert found == ("wal", full, "exclusive")


KILLABLE = """
import sys
from pathlib import Path
from tests.support.rows import BOUNDS
from tests.support.store_states import Store, add
store = Store(Path(sys.argv[1]), "hq", "me", BOUNDS)
high = store.ledger.newest_key if store.ledger else 0
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


# --- one owner -----------------------------------------------------------------------------------


def test_a_state_in_use_is_not_opened_again(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        with pytest.raises(StateInUse, match="another process") as refused:
            Store(tmp_path, "hq", "me", BOUNDS)
        add(store, 1)

    assert str(tmp_path / "hq") in str(refused.value)
    assert records(reopened(tmp_path).totals) == 1


@pytest.mark.fault("E7")
def test_a_state_in_use_is_not_opened_by_another_process(tmp_path: Path) -> None:
    attempt = (
        "import sys\nfrom pathlib import Path\n"
        "from cdr_exporter.errors import StateInUse\nfrom cdr_exporter.store import Store\n"
        "bounds = dict.fromkeys(('duration', 'ring', 'wait', 'legs'), (1,))\n"
        "try: Store(Path(sys.argv[1]), 'hq', 'me', bounds)\n"
        "except StateInUse: sys.exit(3)\n"
    )
    command = [sys.executable, "-c", attempt, str(tmp_path)]

    with opened(tmp_path):
        meanwhile = subprocess.run(command, check=False, timeout=60, cwd=ROOT).returncode
    after = subprocess.run(command, check=False, timeout=60, cwd=ROOT).returncode

    assert (meanwhile, after) == (3, 0)


def test_two_pbxs_do_not_lock_each_other_out(tmp_path: Path) -> None:
    with opened(tmp_path, "hq") as one, opened(tmp_path, "branch") as other:
        add(one, 1)
        add(other, 2, 1)

    assert records(reopened(tmp_path, name="hq").totals) == 1
    assert records(reopened(tmp_path, name="branch").totals) == 2


@pytest.mark.fault("G4")
def test_only_the_owner_may_read_what_is_written(tmp_path: Path) -> None:
    directory = tmp_path / "deep" / "state"
    before = os.umask(0)
    try:
        with opened(directory) as store:
            add(store, 1)
            modes = {f.name: stat.S_IMODE(f.stat().st_mode) for f in directory.iterdir()}
    finally:
        os.umask(before)

    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {"hq.db", "hq.lock", "hq.db-wal"} <= modes.keys()
    assert set(modes.values()) == {0o600}


def test_a_file_set_aside_is_still_the_owners_alone(tmp_path: Path) -> None:
    with opened(tmp_path):
        pass
    (tmp_path / "hq.db").write_bytes(b"")
    assert reopened(tmp_path).resets["empty"] > 0

    assert {stat.S_IMODE(f.stat().st_mode) for f in tmp_path.iterdir()} == {0o600}


# --- files that are not to be touched ------------------------------------------------------------


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Return a directory with the closed state of `hq`."""
    directory = tmp_path / "state"
    with opened(directory) as store:
        add(store, 2, 1)
    return directory


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """Return a directory with the state of `hq` as it is after a kill: with a log to recover."""
    return killed_in(tmp_path)


def killed_in(directory: Path) -> Path:
    with opened(directory / "alive") as store:
        add(store, *range(30, 0, -1))
        for number in range(31, 34):
            add(store, number, src_trunk=f"trunk {number}")
        shutil.copytree(directory / "alive", directory / "state")
    assert (directory / "state" / "hq.db-wal").stat().st_size > 0
    return directory / "state"


def digests(directory: Path) -> dict[str, str]:
    return {name: hashlib.sha256(text).hexdigest() for name, text in files(directory).items()}


def make_newer(directory: Path) -> None:
    with closing(sqlite3.connect(directory / "hq.db")) as db:
        db.execute("PRAGMA user_version=99")


@pytest.mark.fault("E8")
def test_a_file_of_a_newer_version_is_left_alone(kept: Path) -> None:
    make_newer(kept)
    before = digests(kept)

    for _ in range(2):
        with pytest.raises(StateUnusable, match=r"version 99 .* install the newer") as refused:
            Store(kept, "hq", "me", BOUNDS)
        assert str(kept / "hq.db") in str(refused.value)

    assert digests(kept) == before


@pytest.mark.fault("E8")
def test_a_file_of_a_newer_version_that_was_killed_is_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "alive.db", isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute(f"PRAGMA application_id={0x43445245}")
        db.execute("PRAGMA user_version=99")
        db.execute("CREATE TABLE later (x)")
        directory = tmp_path / "state"
        directory.mkdir()
        for suffix in ("", "-wal"):
            shutil.copy(tmp_path / f"alive.db{suffix}", directory / f"hq.db{suffix}")
    before = digests(directory)

    with pytest.raises(StateUnusable, match="version 99"):
        Store(directory, "hq", "me", BOUNDS)

    after = digests(directory)
    after.pop("hq.lock")
    assert after == before


@pytest.mark.fault("D11", "E8")
def test_a_file_of_another_client_is_left_alone(kept: Path) -> None:
    before, state = digests(kept), reopened(kept)

    for _ in range(2):
        with pytest.raises(StateUnusable, match="another client_id"):
            Store(kept, "hq", "you", BOUNDS)

    assert digests(kept) == before
    assert reopened(kept) == state


def test_the_file_does_not_hold_the_client_id(tmp_path: Path) -> None:
    with opened(tmp_path, client_id="UEnH9Dmv6uBJEXsY") as store:
        add(store, 1)

    assert all(b"UEnH9Dmv6uBJEXsY" not in text for text in files(tmp_path).values())


# --- files that cannot be used -------------------------------------------------------------------


def make_foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE somebody (elses)")
        db.commit()


def make_older(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version={VERSION - 1}")


@pytest.mark.fault("E6", "E9")
@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        pytest.param(lambda path: path.write_bytes(b""), "empty", id="no bytes"),
        pytest.param(make_foreign, "foreign", id="another program's"),
        pytest.param(make_older, "foreign", id="an older version's"),
        pytest.param(lambda path: path.write_bytes(b"\x00" * 8192), "corrupt", id="zeros"),
        pytest.param(lambda path: path.write_bytes(b"not a db" * 999), "corrupt", id="garbage"),
        pytest.param(lambda path: path.write_bytes(b"x"), "foreign", id="one byte"),
        pytest.param(
            lambda path: path.write_bytes(path.read_bytes()[:100]), "corrupt", id="a header"
        ),
    ],
)
def test_an_unusable_file_is_set_aside_and_counting_begins_again(
    kept: Path, spoil: Callable[[Path], Any], reason: str
) -> None:
    spoil(kept / "hq.db")
    spoilt, began = (kept / "hq.db").read_bytes(), time.time()

    with opened(kept) as store:
        assert (store.ledger, store.totals) == (None, initial_totals())
        assert {why for why, when in store.resets.items() if when} == {reason}
        assert began <= store.resets[reason] <= time.time()
        add(store, 7)
        after = state_of(store)

    assert reopened(kept) == after
    [aside] = asides(kept)
    assert aside.read_bytes() == spoilt


def test_no_file_that_was_set_aside_replaces_another(kept: Path) -> None:
    """Three in a row: two of them at least in the same second."""
    read_state = [b"first" * 999, b"second" * 999, b"third" * 999]
    for content in read_state:
        (kept / "hq.db").write_bytes(content)
        assert reopened(kept).resets["corrupt"] > 0

    assert sorted(aside.read_bytes() for aside in asides(kept)) == sorted(read_state)


def test_a_log_without_its_file_is_not_replayed(killed: Path) -> None:
    """A user who removes NAME.db to start again may overlook the log beside it."""
    log = (killed / "hq.db-wal").read_bytes()
    (killed / "hq.db").unlink()

    with opened(killed) as store:
        assert (store.ledger, store.totals) == (None, initial_totals())
        add(store, 5)
        after = state_of(store)

    assert reopened(killed) == after
    assert [aside.read_bytes() for aside in asides(killed)] == [log]


def test_a_log_goes_with_its_unusable_file(killed: Path) -> None:
    (killed / "hq.db").write_bytes(b"")
    before = files(killed)

    assert reopened(killed).ledger is None
    assert {aside.read_bytes() for aside in asides(killed)} == {b"", before["hq.db-wal"]}


@pytest.mark.fault("E9")
@pytest.mark.parametrize("half", [b"", b"SQLite format 3\x00", b"x" * 4096])
def test_a_creation_that_was_cut_off_leaves_no_half_state(tmp_path: Path, half: bytes) -> None:
    (tmp_path / "hq.new").write_bytes(half)
    (tmp_path / "hq.new-journal").write_bytes(half)

    with opened(tmp_path) as store:
        add(store, 1)

    after = reopened(tmp_path)
    assert records(after.totals) == 1
    assert not any(after.resets.values())
    assert asides(tmp_path) == []


def test_a_creation_that_fails_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "hq.new").mkdir()

    with pytest.raises(OSError, match=r"hq\.new"):
        Store(tmp_path, "hq", "me", BOUNDS)

    assert not (tmp_path / "hq.db").exists()
    (tmp_path / "hq.new").rmdir()
    assert reopened(tmp_path).ledger is None


def overwritten(whole: bytes, at: int) -> bytes:
    return whole[:at] + os.urandom(16) + whole[at + 16 :]


def flipped(whole: bytes, at: int) -> bytes:
    return whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :]


@pytest.mark.fault("E5")
def test_a_file_cut_off_anywhere_is_noticed(kept: Path) -> None:
    outcomes = list(spoilt_copies(kept, "hq.db", truncated, 512))

    assert len(outcomes) > 50
    assert all(found == "set aside" for found in outcomes)


@pytest.mark.fault("E5")
def test_a_file_cut_off_beside_its_log_is_noticed_or_mended(killed: Path) -> None:
    whole = outcome(shutil.copytree(killed, killed.with_name("whole")))
    outcomes = list(spoilt_copies(killed, "hq.db", truncated, 512))

    assert isinstance(whole, State)
    assert records(whole.totals) == 33
    assert len(outcomes) > 10
    assert all(found in ("set aside", whole) for found in outcomes)


@pytest.mark.fault("E2")
def test_a_log_cut_off_anywhere_leaves_what_some_commit_left(killed: Path) -> None:
    outcomes = list(spoilt_copies(killed, "hq.db-wal", truncated, 512))

    rows = [0]
    for found in outcomes:
        assert isinstance(found, State)
        rows.append(records(found.totals))
        assert rows[-1] == (found.ledger.newest_key if found.ledger else 0)
    # A log that is longer never holds less.
    assert rows == sorted(rows)
    assert set(rows) == {0, 30, 31, 32}


@pytest.mark.fault("E5")
@pytest.mark.parametrize("spoil", [overwritten, flipped], ids=["overwritten", "one byte flipped"])
def test_bad_bytes_anywhere_end_in_no_other_error(
    kept: Path, spoil: Callable[[bytes, int], bytes]
) -> None:
    outcomes = list(spoilt_copies(kept, "hq.db", spoil, 331))

    assert "set aside" in outcomes
    assert all(isinstance(found, State | str) for found in outcomes)


@pytest.mark.fault("E5")
@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE ledger",
        "DROP TABLE chunk",
        "DROP TABLE meta",
        "DELETE FROM meta WHERE key = 'client'",
        "DELETE FROM chunk",
        "DELETE FROM chunk WHERE chunk = 0",
        "DELETE FROM series WHERE number = 0",
        "UPDATE chunk SET series_values = '[[1'",
        "UPDATE chunk SET series_values = '[[\"1\"]]'",
        "UPDATE ledger SET facts = 'x'",
        "UPDATE ledger SET facts = x'ff'",
        "UPDATE ledger SET facts = '{}'",
        """UPDATE ledger SET facts = replace(facts, '"order":"id"', '"order":"size"')""",
        """UPDATE ledger SET facts = replace(facts, '"newest_key":2', '"newest_key":"x"')""",
        """UPDATE ledger SET facts = replace(facts, '"unread":[]', '"unread":[[1]]')""",
        """UPDATE ledger SET facts = replace(facts, '"recheck":[]', '"recheck":[[1,2]]')""",
        "DROP TABLE remembered",
        "UPDATE series SET labels = '[1]' WHERE number = 0",
        "UPDATE series SET labels = x'ff' WHERE number = 0",
        "UPDATE series SET family = CAST(x'ff' AS TEXT) WHERE number = 0",
        "UPDATE meta SET value = 'x' WHERE key = 'bounds'",
        "UPDATE meta SET value = x'00' WHERE key = 'bounds'",
        "INSERT INTO meta VALUES ('reset_corrupt', 'long ago')",
        "UPDATE remembered SET key = 'x'",
    ],
)
def test_a_file_whose_content_makes_no_sense_is_set_aside(kept: Path, statement: str) -> None:
    with closing(sqlite3.connect(kept / "hq.db")) as db:
        db.execute(statement)
        db.commit()

    assert outcome(kept) == "set aside"


# --- files that cannot be written ----------------------------------------------------------------


@pytest.fixture
def mortal() -> Iterator[Path]:
    """Return a directory in which modes hold for this process, even where root runs the tests."""
    with TemporaryDirectory() as name:
        directory, ours = Path(name), os.geteuid()
        try:
            if ours == 0:
                os.chown(directory, NOBODY, NOBODY)
                os.seteuid(NOBODY)
                if not os.access(directory, os.W_OK, effective_ids=True):
                    pytest.skip("root, and the temporary directory is for root alone")
            yield directory
        finally:
            os.seteuid(ours)
            for each in [directory, *directory.rglob("*")]:
                each.chmod(0o700)


@pytest.mark.fault("E4")
def test_a_directory_that_cannot_be_made_is_an_os_error(mortal: Path) -> None:
    mortal.chmod(0o500)

    with pytest.raises(PermissionError):
        Store(mortal / "state", "hq", "me", BOUNDS)


@pytest.mark.fault("E4")
def test_a_directory_that_cannot_be_written_is_an_os_error(mortal: Path) -> None:
    mortal.chmod(0o500)

    with pytest.raises(PermissionError):
        Store(mortal, "hq", "me", BOUNDS)


@pytest.mark.fault("E4")
@pytest.mark.parametrize("bounds", [BOUNDS, {**BOUNDS, "ring": (7,)}], ids=["same", "changed"])
def test_a_state_in_a_directory_made_read_only_is_refused(mortal: Path, bounds: Bounds) -> None:
    with opened(mortal) as store:
        add(store, 1)
    before = files(mortal)
    mortal.chmod(0o500)

    with pytest.raises(StateUnusable, match=r"hq\.db"):
        Store(mortal, "hq", "me", bounds)

    assert files(mortal) == before
    mortal.chmod(0o700)
    assert records(reopened(mortal, bounds=bounds).totals) == 1


@pytest.mark.fault("E4")
@pytest.mark.parametrize("mode", [0o000, 0o200, 0o400], ids=oct)
@pytest.mark.parametrize("bounds", [BOUNDS, {**BOUNDS, "ring": (7,)}], ids=["same", "changed"])
def test_a_file_that_cannot_be_read_and_written_is_refused(
    mortal: Path, bounds: Bounds, mode: int
) -> None:
    with opened(mortal) as store:
        add(store, 1)
    (mortal / "hq.db").chmod(mode)

    with pytest.raises(StateUnusable, match=r"hq\.db"):
        Store(mortal, "hq", "me", bounds)

    (mortal / "hq.db").chmod(0o600)
    assert records(reopened(mortal, bounds=bounds).totals) == 1
    assert asides(mortal) == []


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
        assert set(store.dropped_histograms) == dropped
        after = state_of(store)

    kept = {f: v for f, v in by_family(before.totals).items() if f not in dropped}
    assert by_family(after.totals) == kept
    assert (after.ledger, after.totals.trunks) == (before.ledger, before.totals.trunks)
    assert after.totals.born == {
        series: born for series, born in before.totals.born.items() if series.family not in dropped
    }
    with opened(tmp_path, bounds={**BOUNDS, **changed}) as store:
        assert store.dropped_histograms == ()
        assert state_of(store) == after
        add(store, 9, src_trunk="trunk 1")
        later = state_of(store)
    assert reopened(tmp_path, bounds={**BOUNDS, **changed}) == later
    assert records(later.totals) == 9


def test_buckets_may_change_before_the_first_page(tmp_path: Path) -> None:
    assert reopened(tmp_path).ledger is None

    with opened(tmp_path, bounds={**BOUNDS, "ring": (1,)}) as store:
        assert store.totals == initial_totals()
        add(store, 1)

    assert records(reopened(tmp_path, bounds={**BOUNDS, "ring": (1,)}).totals) == 1


def test_rejected_rows_are_remembered(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        found = page(2, 1)
        rejected = (Rejected("id", 2**63 - 1), Rejected("number", 5, 9))
        verdict = from_the_beginning().judge(replace(found, rejected=rejected), NOW, TERMS)
        store.commit(verdict.ledger, store.totals)

    ledger = reopened(tmp_path).ledger
    assert ledger is not None
    assert ledger.rejects == (2**63 - 1,)
    assert ledger.remembered[BY_ID.identity(rejected[1])] == 9


# --- every field of the ledger -------------------------------------------------------------------

LEDGER_BY_ID = Ledger(
    newest_key=MAX_ID,
    remembered_from=17,
    remembered={BY_ID.identity(record(n)): n for n in (17, 18, 20, MAX_ID)},
    unread=((30, 40), (5, 5)),
    recheck=(
        RecheckRange(41, 99, 1_700_000_000, 1_700_000_100.5),
        RecheckRange(19, 19, 1_699_999_000),
    ),
    rejects=(0, 7, MAX_ID),
    watermark=Watermark(1_700_000_300, 1_700_000_200, (4, MAX_ID)),
    first_read="now",
)
LEDGER_BY_TIME = Ledger(
    order=BY_TIME,
    newest_key=1_700_000_900,
    remembered_from=1_700_000_400,
    remembered={5: 1_700_000_400, 3: 1_700_000_400, MAX_ID: 1_700_000_900},
    unread=((1_699_000_000, 1_699_000_000),),
    recheck=(RecheckRange(1_700_000_400, 1_700_000_900, 0, 1_700_000_950.0),),
    rejects=(9,),
    watermark=Watermark(1_700_000_960),
    first_read="all",
    newest_at_start=1_700_000_123,
    id_ledger=LEDGER_BY_ID,
)

WHOLE = [
    pytest.param(Ledger(), id="blank"),
    pytest.param(LEDGER_BY_ID, id="by id"),
    pytest.param(LEDGER_BY_TIME, id="by time, after one by id"),
    pytest.param(replace(LEDGER_BY_TIME, id_ledger=None), id="by time from the first start"),
    pytest.param(replace(LEDGER_BY_TIME, id_ledger=Ledger()), id="by time, after a blank one"),
]


def kept_of(directory: Path) -> Ledger:
    ledger = reopened(directory).ledger
    assert ledger is not None
    return ledger


def with_ledger(directory: Path, *ledgers: Ledger) -> Ledger:
    """Commit *ledgers* one after the other, and return what a restart finds."""
    with opened(directory) as store:
        for ledger in ledgers:
            store.commit(ledger, store.totals)
    return kept_of(directory)


@pytest.mark.parametrize("ledger", WHOLE)
def test_a_ledger_comes_back_whole(tmp_path: Path, ledger: Ledger) -> None:
    found = with_ledger(tmp_path, ledger)

    assert found == ledger
    assert (found.order, found.id_ledger) == (ledger.order, ledger.id_ledger)
    # These fields are not compared: one is computed, and ranges are rechecked after a start.
    assert found.lowest_remembered == min([ledger.remembered_from, *ledger.remembered.values()])
    assert [each.last_read for each in found.recheck] == [0.0] * len(ledger.recheck)
    assert kept_of(tmp_path) == ledger


def fields_of(ledger: Ledger) -> set[str]:
    blank = Ledger()
    names = set(Ledger.__dataclass_fields__)
    return {name for name in names if getattr(ledger, name) != getattr(blank, name)}


def test_every_field_of_a_ledger_is_covered_by_the_test_above() -> None:
    assert fields_of(LEDGER_BY_TIME) | {"lowest_remembered"} == set(Ledger.__dataclass_fields__)
    assert fields_of(LEDGER_BY_ID) == fields_of(LEDGER_BY_TIME) - {
        "order",
        "id_ledger",
        "newest_at_start",
    }


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"remembered": {1: 1}}, id="identities gone and come"),
        pytest.param({"remembered": {}}, id="all identities gone"),
        pytest.param({"remembered": dict.fromkeys(LEDGER_BY_ID.remembered, 25)}, id="keys moved"),
        pytest.param({"unread": (), "recheck": (), "rejects": ()}, id="nothing left to read"),
        pytest.param({"watermark": Watermark(), "first_read": ""}, id="a mark that went back"),
    ],
)
def test_a_later_ledger_replaces_the_whole_of_an_earlier_one(
    tmp_path: Path, changed: dict[str, Any]
) -> None:
    later = replace(LEDGER_BY_ID, **changed)

    assert with_ledger(tmp_path, LEDGER_BY_ID, later) == later
    assert with_ledger(tmp_path, LEDGER_BY_ID) == LEDGER_BY_ID


def test_a_ledger_by_time_takes_the_place_of_one_by_id(tmp_path: Path) -> None:
    assert with_ledger(tmp_path, LEDGER_BY_ID, LEDGER_BY_TIME) == LEDGER_BY_TIME


def test_a_later_ledger_by_time_keeps_what_was_before(tmp_path: Path) -> None:
    later = replace(LEDGER_BY_TIME, newest_key=1_700_001_000, remembered={8: 1_700_001_000})

    assert with_ledger(tmp_path, LEDGER_BY_TIME, later) == later
    # Now the ledger before is the one that was read, and the file is written by another process.
    with opened(tmp_path) as store:
        assert store.ledger is not None
        store.commit(replace(store.ledger, newest_key=1_700_001_001), store.totals)
    assert kept_of(tmp_path) == replace(later, newest_key=1_700_001_001)


def test_another_ledger_before_replaces_the_whole_of_the_first(tmp_path: Path) -> None:
    later = replace(LEDGER_BY_TIME, id_ledger=replace(LEDGER_BY_ID, remembered={1: 17}))

    assert with_ledger(tmp_path, LEDGER_BY_TIME, later) == later


def test_after_a_break_what_was_before_is_gone_for_good(tmp_path: Path) -> None:
    broken = LEDGER_BY_TIME.new_lineage(TERMS)

    assert broken.id_ledger is None
    assert with_ledger(tmp_path, LEDGER_BY_TIME, broken) == broken


def test_read_times_are_used_and_not_written(tmp_path: Path) -> None:
    read = tuple(replace(each, last_read=1_700_009_999.0) for each in LEDGER_BY_ID.recheck)
    reread = replace(LEDGER_BY_ID, recheck=read)
    with opened(tmp_path) as store:
        store.commit(LEDGER_BY_ID, store.totals)
        before = store._db.total_changes
        store.keep_read_times(reread)

        assert store.ledger is reread
        assert store._db.total_changes == before
    assert [each.last_read for each in kept_of(tmp_path).recheck] == [0.0, 0.0]


def test_a_ledger_taken_in_memory_is_written_by_the_next_commit(tmp_path: Path) -> None:
    more = {**LEDGER_BY_ID.remembered, 77: 21}
    with opened(tmp_path) as store:
        store.commit(LEDGER_BY_ID, store.totals)
        store.keep_read_times(replace(LEDGER_BY_ID, remembered=more))
        assert store.ledger is not None
        store.commit(store.ledger, store.totals)

    assert kept_of(tmp_path) == replace(LEDGER_BY_ID, remembered=more)


def test_a_part_that_makes_no_sense_is_set_aside_with_the_rest(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    assert with_ledger(directory, LEDGER_BY_TIME) == LEDGER_BY_TIME
    with closing(sqlite3.connect(directory / "hq.db")) as db:
        db.execute("UPDATE ledger SET facts = '{}' WHERE part = 'id_ledger'")
        db.commit()

    assert outcome(directory) == "set aside"
