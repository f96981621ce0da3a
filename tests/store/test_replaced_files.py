"""State files that are deleted, replaced or moved away while they are open."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from cdr_exporter.calls import CallChange, ClosedCall
from cdr_exporter.errors import StateInUse, StateNotWritten, StateReplaced
from cdr_exporter.store import FileStore

from ..support.counts import records
from ..support.paths import ROOT
from ..support.rows import BOUNDS
from ..support.store_states import Process, add, content, opened

TIME = re.compile(r"\.replaced-\d{8}T\d{6}Z")


def contents(path: Path) -> bytes | None:
    """Return what is in the file at *path*; None of a directory."""
    return None if path.is_dir() else path.read_bytes()


def replaced(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.replaced-*"))


def remove(*names: str) -> Callable[[Path], None]:
    def act(directory: Path) -> None:
        for name in names:
            (directory / name).unlink()

    return act


def put_another_file(directory: Path) -> None:
    with opened(directory.with_name("other")) as other:
        add(other, 1)
    shutil.copy(directory.with_name("other") / "hq.db", directory / "new")
    (directory / "new").rename(directory / "hq.db")


def put_a_copy(directory: Path) -> None:
    shutil.copy(directory / "hq.db", directory / "copy")
    (directory / "copy").replace(directory / "hq.db")


def put_a_directory(directory: Path) -> None:
    (directory / "hq.db").unlink()
    (directory / "hq.db").mkdir()


LOSSES = [
    pytest.param(remove("hq.db"), ["hq.db-wal"], id="file deleted"),
    pytest.param(remove("hq.db", "hq.db-wal", "hq.db-shm"), [], id="all of it deleted"),
    pytest.param(remove("hq.db-wal"), ["hq.db"], id="log deleted"),
    pytest.param(remove("hq.lock"), ["hq.db", "hq.db-wal"], id="lock file deleted"),
    pytest.param(shutil.rmtree, [], id="directory deleted"),
    pytest.param(lambda each: each.rename(each.with_name("away")), [], id="directory moved away"),
    pytest.param(put_another_file, ["hq.db", "hq.db-wal"], id="another state"),
    pytest.param(put_a_copy, ["hq.db", "hq.db-wal"], id="a copy of it"),
    pytest.param(put_a_directory, ["hq.db", "hq.db-wal"], id="a directory"),
]


@pytest.mark.fault("E16")
@pytest.mark.parametrize(("lose", "stands_there"), LOSSES)
def test_what_is_gone_is_noticed_at_the_next_commit_and_written_anew(
    tmp_path: Path, lose: Callable[[Path], None], stands_there: list[str]
) -> None:
    directory = tmp_path / "state"
    with opened(directory) as store:
        add(store, 2, 1)
        store.commit(calls=CallChange(closed={"1.1": ClosedCall(7.0)}))
        lose(directory)
        found = {each: contents(directory / each) for each in stands_there}
        for _ in range(2):
            with pytest.raises(StateReplaced, match=str(directory)):
                add(store, 3)
        store.store.rewrite(store.kept)
        add(store, 3, src_trunk="gsm")
        add(store, 4)
        # Another process is kept out, and what the first one has is there also after a kill.
        with pytest.raises(StateInUse):
            FileStore(directory, "hq", "me", BOUNDS)
        killed = shutil.copytree(directory, tmp_path / "killed")
        kept = store.kept

    for each in (killed, directory):
        with opened(each) as again:
            assert content(again.kept) == content(kept)
            assert (records(again.kept.totals), again.kept.lost_commits) == (4, 0)
    aside = {TIME.split(each.name)[1]: contents(each) for each in replaced(directory)}
    assert aside == {each.removeprefix("hq.db"): text for each, text in found.items()}


def test_what_is_replaced_within_a_commit_is_not_committed_to(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        add(store, 1)
        before = content(store.kept)

        def delete(statement: str) -> None:
            if "chunk" in statement:
                (tmp_path / "hq.db").unlink(missing_ok=True)

        store.file._db.set_trace_callback(delete)
        with pytest.raises(StateReplaced):
            add(store, 2, src_trunk="gsm")
        store.file._db.set_trace_callback(None)
        store.store.rewrite(store.kept)

    with opened(tmp_path) as again:
        assert content(again.kept) == before


def test_when_others_were_set_aside_is_still_known(tmp_path: Path) -> None:
    (tmp_path / "hq.db").write_bytes(b"x" * 5000)
    with opened(tmp_path) as store:
        resets = store.kept.resets
        (tmp_path / "hq.db").unlink()
        store.store.rewrite(store.kept)
    with opened(tmp_path) as again:
        assert again.kept.resets == resets
        assert again.kept.resets["corrupt"]


def test_series_keep_their_numbers_in_what_is_written_anew(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        for number in range(1, 40):
            add(store, number, src_trunk=f"trunk {number}")
        (tmp_path / "hq.db").unlink()
        store.store.rewrite(store.kept)
        for number in range(40, 60):
            add(store, number, src_trunk=f"trunk {number - 20}")
        totals = store.kept.totals
    with opened(tmp_path) as again:
        assert again.kept.totals == totals


@pytest.mark.fault("E16", "E7")
def test_another_process_that_has_come_meanwhile_keeps_its_state(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    holder = (
        "import sys\nfrom pathlib import Path\nfrom tests.support.store_states import add, opened\n"
        "with opened(Path(sys.argv[1])) as store:\n"
        "    add(store, 3, 2, 1)\n    print('there', flush=True)\n    sys.stdin.readline()\n"
        "    add(store, 4)\n"
    )
    first = Process(FileStore(directory, "hq", "me", BOUNDS))
    add(first, 1)
    shutil.rmtree(directory)
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "there\n"
        with pytest.raises(StateReplaced):
            add(first, 2)
        with pytest.raises(StateInUse):
            first.store.rewrite(first.kept)
        first.close()
        other.stdin.write("\n")
        other.stdin.close()
        assert other.wait() == 0

    with opened(directory) as again:
        assert records(again.kept.totals) == 4
    assert replaced(directory) == []


@pytest.mark.fault("E16", "E3")
def test_what_cannot_be_written_anew_yet_is_tried_again(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    with opened(directory) as store:
        add(store, 1)
        shutil.rmtree(directory)
        directory.write_bytes(b"no directory")
        for _ in range(2):
            with pytest.raises(StateReplaced):
                add(store, 2)
            with pytest.raises(StateNotWritten, match="free space"):
                store.store.rewrite(store.kept)
        directory.unlink()
        store.store.rewrite(store.kept)
        add(store, 2)

    with opened(directory) as again:
        assert records(again.kept.totals) == 2


def test_a_writing_anew_that_was_cut_off_leaves_what_stood_there(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        add(store, 1)
        put_a_copy(tmp_path)
        (tmp_path / "hq.new").mkdir()
        before = (tmp_path / "hq.db").read_bytes()
        with pytest.raises(StateNotWritten):
            store.store.rewrite(store.kept)

        assert (tmp_path / "hq.db").read_bytes() == before


# --- the number of the last commit ---------------------------------------------------------------


@pytest.mark.fault("E2", "E10")
def test_commits_that_are_missing_are_told_once(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        add(store, 1)
    older = (tmp_path / "hq.db").read_bytes()
    with opened(tmp_path) as store:
        for number in (2, 3, 4):
            add(store, number)
        assert store.kept.lost_commits == 0
    (tmp_path / "hq.db").write_bytes(older)

    assert [lost_commits(tmp_path) for _ in range(2)] == [3, 0]


@pytest.mark.parametrize("text", [b"", b"7", b"x" * 20, b"\xff" * 21, b"-" + b"9" * 19])
def test_a_lock_file_that_says_nothing_is_no_loss(tmp_path: Path, text: bytes) -> None:
    with opened(tmp_path) as store:
        add(store, 1)
    (tmp_path / "hq.lock").write_bytes(text)

    assert lost_commits(tmp_path) == 0


def test_a_state_that_begins_anew_lacks_no_commit(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        add(store, 1)
    (tmp_path / "hq.db").unlink()
    assert lost_commits(tmp_path) == 0

    (tmp_path / "hq.db").write_bytes(b"x" * 5000)
    assert lost_commits(tmp_path) == 0


def lost_commits(directory: Path) -> int:
    with closing(FileStore(directory, "hq", "me", BOUNDS)) as store:
        return store.load().lost_commits
