"""State files that cannot be used are set aside, and counting begins anew."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cdr_exporter.metrics.totals import initial_totals
from cdr_exporter.store import VERSION, FileStore

from ..support.counts import records
from ..support.rows import BOUNDS
from ..support.store_states import (
    State,
    add,
    asides,
    files,
    opened,
    outcome,
    reopened,
    spoilt_copies,
    state_of,
    truncated,
)


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
        assert (store.kept.ledger, store.kept.totals) == (None, initial_totals())
        assert {why for why, when in store.kept.resets.items() if when} == {reason}
        assert began <= store.kept.resets[reason] <= time.time()
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
        assert (store.kept.ledger, store.kept.totals) == (None, initial_totals())
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
        FileStore(tmp_path, "hq", "me", BOUNDS)

    assert not (tmp_path / "hq.db").exists()
    (tmp_path / "hq.new").rmdir()
    assert reopened(tmp_path).ledger is None


def overwritten(whole: bytes, at: int) -> bytes:
    return whole[:at] + os.urandom(16) + whole[at + 16 :]


def flipped(whole: bytes, at: int) -> bytes:
    return whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :]


@pytest.mark.slow
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


@pytest.mark.slow
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
