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

from cdr_exporter.calls import CallChange, ClosedCall
from cdr_exporter.metrics.totals import initial_totals
from cdr_exporter.store import VERSION, FileStore
from cdr_exporter.store.schema import PAGE_SIZE

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
    replace_in_rows,
    set_version,
    spoilt_copies,
    state_of,
    truncated,
    write_rows,
)


def make_foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE somebody (elses)")
        db.commit()


def make_older(path: Path) -> None:
    set_version(path.parent, VERSION - 1)


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
        "DROP TABLE whole",
        "DELETE FROM whole",
        "INSERT INTO whole SELECT 1, content, checksum FROM whole",
        "DELETE FROM chunk",
        "DELETE FROM chunk WHERE key = 0",
        "DELETE FROM remembered",
        "INSERT INTO calls SELECT 'x', content, checksum FROM meta WHERE key = 'client'",
        "INSERT INTO calls SELECT * FROM meta WHERE key = 'client'",
        "UPDATE remembered SET key = key + 1",
        "UPDATE chunk SET content = '[[7]]' WHERE key = 0",
        "UPDATE meta SET content = CAST(content AS TEXT)",
        "UPDATE meta SET checksum = checksum + 1 WHERE key = 'client'",
        "CREATE TABLE one_more (key)",
        "CREATE TRIGGER one AFTER INSERT ON chunk BEGIN DELETE FROM calls; END",
        "CREATE INDEX one ON chunk (content)",
        "ALTER TABLE calls ADD COLUMN more",
        "UPDATE sqlite_master SET sql = CAST(sql AS BLOB) WHERE name = 'calls'",
        "UPDATE sqlite_master SET tbl_name = 7 WHERE name = 'calls'",
    ],
)
def test_a_row_or_table_that_nobody_of_us_wrote_is_noticed(kept: Path, statement: str) -> None:
    with closing(sqlite3.connect(kept / "hq.db")) as db:
        db.execute("PRAGMA writable_schema=1")
        db.execute(statement)
        db.commit()

    assert outcome(kept) == "set aside"


@pytest.mark.fault("E5")
def test_rows_that_have_changed_places_are_noticed(tmp_path: Path) -> None:
    """Each row is there, and right; but SQLite would not find it by its key."""
    with opened(tmp_path / "state") as store:
        add(store, 1)
        calls = {f"{number}.{number}": ClosedCall(float(number)) for number in range(300)}
        store.commit(calls=CallChange(closed=calls))
    path = tmp_path / "state" / "hq.db"
    pages = [
        path.read_bytes()[at : at + PAGE_SIZE] for at in range(0, path.stat().st_size, PAGE_SIZE)
    ]
    one, other = [n for n, page in enumerate(pages) if b"counted" in page and page[0] == 10][:2]
    pages[one], pages[other] = pages[other], pages[one]
    path.write_bytes(b"".join(pages))

    assert outcome(tmp_path / "state") == "set aside"


@pytest.mark.fault("E5")
@pytest.mark.parametrize(
    ("table", "old", "new"),
    [
        pytest.param("ledger", '"order":"id"', '"order":"size"', id="no such order"),
        pytest.param("ledger", '"newest_key":2', '"newest_key":"x"', id="no number"),
        pytest.param("ledger", '"unread":[]', '"unread":[[1]]', id="half a range"),
        pytest.param("ledger", '"recheck":[]', '"recheck":[[1,2]]', id="a range without time"),
        pytest.param("ledger", '"newest_key":2,', "", id="a fact is missing"),
        pytest.param("remembered", ":2", ':"x"', id="no key of a row"),
        pytest.param("series", '"cdr_calls_total"', '"cdr^calls_total"', id="no such family"),
        pytest.param("series", '"cdr_calls_total"', '"cdr_up"', id="a family that is not kept"),
        pytest.param("series", '["answered",', '["x","answered",', id="one label more"),
        pytest.param("series", '["answered",', "[", id="one label less"),
        pytest.param("series", '["answered",', "[1,", id="no text in a label"),
        pytest.param("series", "],0.0]", "],-2.0]", id="no such birth"),
        pytest.param("series", "],0.0]", "],1e999]", id="a birth at infinity"),
        pytest.param("series", '"busy"', '"answered"', id="one series twice"),
        pytest.param("chunk", "[2]", "[-2]", id="a count below 0"),
        pytest.param("chunk", "[2]", "[2.5]", id="a broken count"),
        pytest.param("chunk", "[2]", "[1e999]", id="an endless count"),
        pytest.param("chunk", "[2]", '["2"]', id="no number in a count"),
        pytest.param("chunk", "[2]", "[2,2]", id="one number more"),
        pytest.param("chunk", "[0,0,", "[0,", id="one bucket less"),
        pytest.param("chunk", ",[0]", "", id="values are missing"),
        pytest.param("meta", '"duration":[1,', '"duration":[', id="one bound less"),
        pytest.param("meta", '"duration":[1,', '"duration":["x",', id="no bound"),
        pytest.param("meta", '"duration":[1,', '"x":[1,', id="no bounds of a histogram"),
    ],
)
def test_a_row_that_makes_no_sense_is_noticed_whatever_its_checksum(
    kept: Path, table: str, old: str, new: str
) -> None:
    replace_in_rows(kept, table, old, new)

    assert outcome(kept) == "set aside"


@pytest.mark.fault("E5")
@pytest.mark.parametrize(
    ("table", "rows"),
    [
        pytest.param("meta", {"client": None}, id="nobody's"),
        pytest.param("meta", {"reset_corrupt": b'"long ago"'}, id="a reset at no time"),
        pytest.param("ledger", {"now": b"{}"}, id="an empty ledger"),
        pytest.param("ledger", {"now": b"\xff"}, id="no text"),
        pytest.param("chunk", {0: None}, id="the first values are missing"),
        pytest.param("series", {0: None}, id="the first series is missing"),
    ],
)
def test_a_row_that_is_missing_or_empty_is_noticed_whatever_the_sum(
    kept: Path, table: str, rows: dict[int | str, bytes | None]
) -> None:
    write_rows(kept, table, rows)

    assert outcome(kept) == "set aside"
