"""State files that belong to somebody else, or that this process may not use, are left alone."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from cdr_exporter.errors import StateInUse, StateUnusable
from cdr_exporter.metrics.totals import Bounds
from cdr_exporter.store import FileStore

from ..support.counts import records
from ..support.paths import ROOT
from ..support.rows import BOUNDS
from ..support.store_states import (
    Process,
    add,
    asides,
    files,
    opened,
    reopened,
    set_version,
)

# --- one owner -----------------------------------------------------------------------------------


def test_a_state_in_use_is_not_opened_again(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        with pytest.raises(StateInUse, match="another process") as refused:
            FileStore(tmp_path, "hq", "me", BOUNDS)
        add(store, 1)

    assert str(tmp_path / "hq") in str(refused.value)
    assert records(reopened(tmp_path).totals) == 1


@pytest.mark.fault("E7")
def test_a_state_in_use_is_not_opened_by_another_process(tmp_path: Path) -> None:
    attempt = (
        "import sys\nfrom pathlib import Path\n"
        "from cdr_exporter.errors import StateInUse\nfrom cdr_exporter.store import FileStore\n"
        "bounds = dict.fromkeys(('duration', 'ring', 'wait', 'legs'), (1,))\n"
        "try: FileStore(Path(sys.argv[1]), 'hq', 'me', bounds)\n"
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


def digests(directory: Path) -> dict[str, str]:
    return {name: hashlib.sha256(text).hexdigest() for name, text in files(directory).items()}


def make_newer(directory: Path) -> None:
    set_version(directory, 99)


@pytest.mark.fault("E8")
def test_a_file_of_a_newer_version_is_left_alone(kept: Path) -> None:
    make_newer(kept)
    before = digests(kept)

    for _ in range(2):
        with pytest.raises(StateUnusable, match=r"version 99 .* install the newer") as refused:
            FileStore(kept, "hq", "me", BOUNDS)
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
        FileStore(directory, "hq", "me", BOUNDS)

    after = digests(directory)
    after.pop("hq.lock")
    assert after == before


@pytest.mark.fault("D11", "E8")
def test_a_file_of_another_client_is_left_alone(kept: Path) -> None:
    before, state = digests(kept), reopened(kept)

    for _ in range(2):
        with pytest.raises(StateUnusable, match="another client_id"):
            FileStore(kept, "hq", "you", BOUNDS)

    assert digests(kept) == before
    assert reopened(kept) == state


def test_the_file_does_not_hold_the_client_id(tmp_path: Path) -> None:
    with opened(tmp_path, client_id="UEnH9Dmv6uBJEXsY") as store:
        add(store, 1)

    assert all(b"UEnH9Dmv6uBJEXsY" not in text for text in files(tmp_path).values())


# --- files that cannot be written ----------------------------------------------------------------


@pytest.mark.fault("E4")
def test_a_directory_that_cannot_be_made_is_an_os_error(mortal: Path) -> None:
    mortal.chmod(0o500)

    with pytest.raises(PermissionError):
        FileStore(mortal / "state", "hq", "me", BOUNDS)


@pytest.mark.fault("E4")
def test_a_directory_that_cannot_be_written_is_an_os_error(mortal: Path) -> None:
    mortal.chmod(0o500)

    with pytest.raises(PermissionError):
        FileStore(mortal, "hq", "me", BOUNDS)


@pytest.mark.fault("E4")
@pytest.mark.parametrize("bounds", [BOUNDS, {**BOUNDS, "ring": (7,)}], ids=["same", "changed"])
def test_a_state_in_a_directory_made_read_only_is_refused(mortal: Path, bounds: Bounds) -> None:
    with opened(mortal) as store:
        add(store, 1)
    before = files(mortal)
    mortal.chmod(0o500)

    with pytest.raises(StateUnusable, match=r"hq\.db"):
        FileStore(mortal, "hq", "me", bounds)

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
        FileStore(mortal, "hq", "me", bounds)

    (mortal / "hq.db").chmod(0o600)
    assert records(reopened(mortal, bounds=bounds).totals) == 1
    assert asides(mortal) == []


# --- symbolic links ------------------------------------------------------------------------------


@pytest.mark.fault("E20")
@pytest.mark.parametrize("ending", ["db", "db-wal", "db-journal", "db-shm"])
@pytest.mark.parametrize("there", [True, False], ids=["to a file", "to nothing"])
def test_a_planted_link_is_not_followed(tmp_path: Path, ending: str, there: bool) -> None:
    target, link = tmp_path / "precious", tmp_path / "state" / f"hq.{ending}"
    link.parent.mkdir()
    if there:
        target.write_text("kept")
    link.symlink_to(target)

    with pytest.raises(StateUnusable, match=rf"hq\.{ending}: it is a symbolic link"):
        FileStore(link.parent, "hq", "me", BOUNDS)

    assert link.is_symlink()
    assert target.exists() == there
    assert not there or target.read_text() == "kept"


@pytest.mark.fault("E20")
def test_a_link_planted_for_a_new_file_is_not_written_through(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("kept")
    (tmp_path / "hq.new").symlink_to(target)
    with opened(tmp_path) as store:
        add(store, 1)

    assert target.read_text() == "kept"


@pytest.mark.fault("E21")
def test_pbxs_whose_names_hold_endings_of_files_are_kept_apart(tmp_path: Path) -> None:
    names = ("hq", "hq.db", "hq.lock", "hq.db-wal", "hq.corrupt-20261128T000000Z")
    for name in names:
        with closing(FileStore(tmp_path, name, name, BOUNDS)) as store:
            add(Process(store), *range(len(name) - 1, 0, -1))

    for name in names:
        with closing(FileStore(tmp_path, name, name, BOUNDS)) as store:
            assert records(store.load().totals) == len(name) - 1
