"""Names of the files in a state directory, and how they are opened."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdr_exporter.state_files import (
    StateFileError,
    file_of,
    file_system_of,
    open_file,
    refuse_links,
    try_directory,
)

ENDINGS = (
    *("db", "db-wal", "db-shm", "db-journal", "new", "new-journal", "lock", "requests"),
    *("token", "token.new", "token.lock", "corrupt-20261128T000000Z", "replaced-20261128T000000Z"),
    *("corrupt-20261128T000000Z-2", "corrupt-20261128T000000Z-wal"),
)
"""All that the files of a PBX end with."""

CREATE = os.O_WRONLY | os.O_CREAT


def files_of(name: str) -> set[str]:
    """Return the names of all files of a PBX, as a disk that ignores case sees them."""
    return {file_of(Path("state"), name, ending).name.lower() for ending in ENDINGS}


@pytest.mark.fault("E21")
@pytest.mark.parametrize("other", [f"hq.{ending}" for ending in (*ENDINGS, "TOKEN", "2edb")])
def test_no_file_of_a_pbx_is_called_as_one_of_another(other: str) -> None:
    assert not files_of("hq") & files_of(other)


NAMES = st.lists(
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", fullmatch=True),
    max_size=4,
    unique_by=str.lower,
)


@pytest.mark.fault("E21")
@given(NAMES)
def test_names_that_differ_by_more_than_case_have_no_file_in_common(names: list[str]) -> None:
    assert all(not files_of(one) & files_of(two) for one, two in combinations(names, 2))


def test_a_name_without_dots_is_the_beginning_of_its_files_as_it_stands() -> None:
    assert file_of(Path("state"), "Head-office_1", "db") == Path("state/Head-office_1.db")


@pytest.mark.fault("E20")
def test_a_file_is_not_opened_through_a_symbolic_link(tmp_path: Path) -> None:
    target, link = tmp_path / "precious", tmp_path / "hq.token"
    target.write_text("kept")
    link.symlink_to(target)

    with pytest.raises(StateFileError, match="symbolic link"):
        open_file(link, CREATE | os.O_TRUNC)
    assert target.read_text() == "kept"


@pytest.mark.fault("E20")
def test_a_link_to_nothing_makes_no_file(tmp_path: Path) -> None:
    (tmp_path / "hq.token").symlink_to(tmp_path / "made")

    with pytest.raises(StateFileError, match="symbolic link"):
        open_file(tmp_path / "hq.token", CREATE)
    assert not (tmp_path / "made").exists()


@pytest.mark.fault("E20")
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "directory"])
def test_what_is_no_file_keeps_nobody_waiting(
    make: Callable[[Path], object], tmp_path: Path
) -> None:
    make(tmp_path / "hq.token")

    with pytest.raises(StateFileError, match="no regular file"):
        open_file(tmp_path / "hq.token", os.O_RDONLY)
    with pytest.raises(StateFileError, match="no regular file"):
        refuse_links(tmp_path / "hq.token", tmp_path / "absent")


def test_a_file_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    os.close(open_file(tmp_path / "hq.token", CREATE))

    assert (tmp_path / "hq.token").stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file that is another's")
def test_a_file_that_root_makes_is_that_of_the_directorys_owner(tmp_path: Path) -> None:
    os.chown(tmp_path, 10088, 10099)
    os.close(open_file(tmp_path / "hq.token", CREATE))
    made = (tmp_path / "hq.token").stat()

    assert (made.st_uid, made.st_gid) == (10088, 10099)


def test_a_directory_is_tried_without_a_trace(tmp_path: Path) -> None:
    try_directory(tmp_path)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/mountinfo").exists(), reason="Linux tells it there")
def test_the_file_system_of_a_file_is_that_of_the_nearest_mount() -> None:
    assert file_system_of(Path("/proc/self/status")) == "proc"
