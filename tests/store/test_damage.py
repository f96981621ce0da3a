"""Bits that flip, pages that change places, rows that vanish: noticed, or without any effect.

Each case damages a copy of a small state. It has to be set aside as corrupt, or to hold what it
held, and then to take the next commit as if nothing had been. A damaged log may leave an earlier
commit, which has to be told. `pytest -s` shows how many cases went which way.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest

from cdr_exporter.calls import CallChange, ClosedCall
from cdr_exporter.store.open_file import client_hash, reason_to_set_aside
from cdr_exporter.store.schema import PAGE_SIZE, TABLES, WHOLE

from ..support.store_states import Content, add, content, files, opened

IN_MEMORY = Path("/dev/shm")  # noqa: S108 - a directory of our own is made in it

NOTICED, HARMLESS, EARLIER = "noticed", "harmless", "an earlier commit"

Files = Mapping[str, bytes]


class Spoilt(NamedTuple):
    """A state to spoil: its *files*, those it had *before*, and what its commits left, in order."""

    files: Files
    before: Files
    left: list[Content]


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """Return a directory in memory, where there is such a thing."""
    where = IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None
    with TemporaryDirectory(dir=where) as name:
        yield Path(name)


@pytest.fixture(scope="module")
def closed(directory: Path) -> Spoilt:
    """Return a state that was closed: all of it in its file."""
    state = directory / "closed"
    with opened(state) as store:
        add(store, *range(30, 0, -1))
        calls = {f"{number}.{number}": ClosedCall(float(number)) for number in range(150)}
        store.commit(calls=CallChange(closed=calls))
    before = files(state)
    with opened(state) as store:
        # A new total in a row of the same length, and a free page.
        add(store, 31)
        store.commit(calls=CallChange(forgotten=list(calls)[:90]))
        left = [content(store.kept)]
    return Spoilt(files(state), before, left)


@pytest.fixture(scope="module")
def killed(directory: Path) -> Spoilt:
    """Return a state that was killed: its last commits in its log."""
    state, left = directory / "killed", []
    with opened(state) as store:
        add(store, *range(30, 0, -1))
        store.file._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        left = [content(store.kept)]
        before = files(state)
        for number in range(31, 36):
            add(store, number, src_trunk="sip" if number % 2 else "gsm")
            left.append(content(store.kept))
        there = {name: text for name, text in files(state).items() if name != "hq.db-shm"}
    return Spoilt(there, before, left)


def bit_of(name: str) -> Callable[[Spoilt, random.Random, Path], Files]:
    """Return what flips a bit of the file *name*: mostly where something is written in it."""

    def flip(state: Spoilt, chance: random.Random, _: Path) -> Files:
        text = state.files[name]
        at = chance.randrange(len(text))
        if chance.random() < 0.8:
            at = chance.choice([each for each, byte in enumerate(text) if byte])
        return with_bit_flipped(state.files, name, 8 * at + chance.randrange(8))

    return flip


def with_bit_flipped(whole: Files, name: str, bit: int) -> Files:
    text = bytearray(whole[name])
    text[bit // 8] ^= 1 << bit % 8
    return {**whole, name: bytes(text)}


def pages(text: bytes) -> list[bytes]:
    return [text[at : at + PAGE_SIZE] for at in range(0, len(text), PAGE_SIZE)]


def swap_pages(state: Spoilt, chance: random.Random, _: Path) -> Files:
    found = pages(state.files["hq.db"])
    one, other = chance.sample(range(len(found)), 2)
    found[one], found[other] = found[other], found[one]
    return {**state.files, "hq.db": b"".join(found)}


def lose_a_write(state: Spoilt, chance: random.Random, _: Path) -> Files:
    """Return the files with one page, or some, as they were before."""
    found, before = pages(state.files["hq.db"]), pages(state.before["hq.db"])
    changed = [n for n, page in enumerate(before) if page != found[n]]
    for number in chance.sample(changed, chance.randrange(1, len(changed))):
        found[number] = before[number]
    return {**state.files, "hq.db": b"".join(found)}


def change_rows(state: Spoilt, chance: random.Random, scratch: Path) -> Files:
    """Delete a row by another program, put one of before in its place, or write it twice."""
    path, older = scratch / "rows.db", scratch / "older.db"
    path.write_bytes(state.files["hq.db"])
    older.write_bytes(state.before["hq.db"])
    table = chance.choice([*TABLES, WHOLE])
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("ATTACH ? AS older", (str(older),))
        count = db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608
        if count:
            [key] = db.execute(
                f"SELECT key FROM {table} LIMIT 1 OFFSET {chance.randrange(count)}"  # noqa: S608
            ).fetchone()
            text = f"SELECT * FROM older.{table} WHERE key = ?"  # noqa: S608
            if chance.random() < 0.5:
                db.execute(f"DELETE FROM {table} WHERE key = ?", (key,))  # noqa: S608
            else:
                db.execute(f"INSERT OR REPLACE INTO {table} {text}", (key,))
    return {**state.files, "hq.db": path.read_bytes()}


def what_became_of(
    damaged: Files, left: list[Content], directory: Path, *, deep: bool = True
) -> str:
    """Open *damaged* and say what became of it; *left* is what its commits had left, in order.

    *deep* says whether the next commit is tried, too.
    """
    state = directory / "damaged"
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir()
    for name, text in damaged.items():
        (state / name).write_bytes(text)
    reason = reason_to_set_aside(state / "hq.db", client_hash("me"))
    if reason is not None:
        assert reason == "corrupt"
        return NOTICED
    if not deep:
        return HARMLESS
    with opened(state) as store:
        found = content(store.kept)
        assert found in left
        whole = found == left[-1]
        assert (store.kept.lost_commits == 0) == whole
        add(store, 36, src_trunk="isdn")
        store.commit(calls=CallChange(forgotten=["120.120"]))
        after = content(store.kept)
    with opened(state) as store:
        assert content(store.kept) == after
        assert store.kept.lost_commits == 0
    return HARMLESS if whole else EARLIER


@pytest.mark.fault("E5")
@pytest.mark.parametrize(
    ("which", "spoil", "cases", "at_least"),
    [
        pytest.param("closed", bit_of("hq.db"), 180, 120, id="a bit of the file"),
        pytest.param("killed", bit_of("hq.db"), 60, 10, id="a bit of the file beside its log"),
        pytest.param("killed", bit_of("hq.db-wal"), 100, 0, id="a bit of the log"),
        pytest.param("closed", swap_pages, 60, 50, id="pages swapped"),
        pytest.param("closed", lose_a_write, 50, 40, id="pages as they were before"),
        pytest.param("closed", change_rows, 50, 30, id="rows deleted or as they were before"),
    ],
)
def test_damage_is_noticed_or_changes_nothing(
    request: pytest.FixtureRequest,
    directory: Path,
    which: str,
    spoil: Callable[[Spoilt, random.Random, Path], Files],
    cases: int,
    at_least: int,
) -> None:
    state: Spoilt = request.getfixturevalue(which)
    chance = random.Random(cases)
    became = Counter(
        what_became_of(spoil(state, chance, directory), state.left, directory) for _ in range(cases)
    )
    print(dict(became))  # noqa: T201 - figures are what one asks for with -s

    assert became.total() == cases
    assert became[NOTICED] >= at_least
    assert not became[EARLIER] or spoil.__name__ == "flip"


@pytest.mark.fault("E5")
@pytest.mark.parametrize("bit", range(8))
def test_each_byte_of_the_header_is_noticed_or_changes_nothing(
    closed: Spoilt, directory: Path, bit: int
) -> None:
    became = Counter(
        what_became_of(
            with_bit_flipped(closed.files, "hq.db", 8 * at + bit),
            closed.left,
            directory,
            deep=at % 16 == bit,
        )
        for at in range(100)
    )

    assert became[NOTICED] > 60
    assert became.total() == 100


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.fault("E5")
def test_each_byte_of_a_file_is_noticed_or_changes_nothing(closed: Spoilt, directory: Path) -> None:
    chance = random.Random(7)
    became = Counter(
        what_became_of(
            with_bit_flipped(closed.files, "hq.db", 8 * at + chance.randrange(8)),
            closed.left,
            directory,
            deep=chance.random() < 0.05,
        )
        for at in range(len(closed.files["hq.db"]))
    )
    print(dict(became))  # noqa: T201 - figures are what a long test is run for

    assert became.total() == len(closed.files["hq.db"])
    # Nothing stands in most bytes of so small a file.
    assert became[NOTICED] > became.total() // 5


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.fault("E2", "E5")
def test_a_log_damaged_anywhere_leaves_what_some_commit_left(
    killed: Spoilt, directory: Path
) -> None:
    chance = random.Random(8)
    became = Counter(
        what_became_of(
            with_bit_flipped(killed.files, "hq.db-wal", 8 * at + chance.randrange(8)),
            killed.left,
            directory,
        )
        for at in range(0, len(killed.files["hq.db-wal"]), 31)
    )
    print(dict(became))  # noqa: T201 - figures are what a long test is run for

    assert became[EARLIER] > became.total() // 2
