"""The legs that `history` has read: kept once each, and given back in the order of their ends."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from cdr_exporter.calls import Leg
from cdr_exporter.errors import StateNotWritten, StateUnusable
from cdr_exporter.store import KeptLeg, LegFile


def kept(number: int, end: int, uid: str = "") -> KeptLeg:
    return KeptLeg(number, uid, end, f"D{number}", Leg(end - 5, "answered", "Inbound", "sip", 5))


def ends(legs: list[list[Leg]]) -> list[list[int]]:
    return [sorted(leg.ended_at for leg in call) for call in legs]


def test_legs_outlive_the_process_and_are_kept_once_each(tmp_path: Path) -> None:
    for _ in range(2):
        with closing(LegFile(tmp_path / "it")) as file:
            file.add([kept(1, 200), kept(2, 100)])
            file.mark_read("all")

    with closing(LegFile(tmp_path / "it")) as file:
        assert list(file.rows(0, 999)) == [("D2", kept(2, 100).leg), ("D1", kept(1, 200).leg)]
        assert len(file) == 2
        assert (file.is_read("all"), file.is_read("new")) == (True, False)
        assert (file.holds([1, 2]), file.holds([1, 3])) == (True, False)


def test_rows_and_calls_are_those_that_ended_from_the_begin_to_before_the_end(
    tmp_path: Path,
) -> None:
    with closing(LegFile(tmp_path / "it")) as file:
        file.add([kept(1, 100, "a"), kept(2, 300, "a"), kept(3, 200, "b"), kept(4, 200)])
        for _ in range(2):  # a run that goes on sorts again
            file.sort()

        assert [disposition for disposition, _ in file.rows(100, 300)] == ["D1", "D3", "D4"]
        assert ends(list(file.calls(100, 300))) == [[200], [200]]
        assert ends(list(file.calls(300, 301))) == [[100, 300]]


def test_the_oldest_end_is_that_of_a_leg_whose_start_is_known(tmp_path: Path) -> None:
    with closing(LegFile(tmp_path / "it")) as file:
        assert file.oldest_end() is None
        file.add([kept(1, 0), kept(2, 300)])
        assert file.oldest_end() == 300


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "it").write_bytes(b"x" * 5000)

    with pytest.raises(StateUnusable, match="not a database"):
        LegFile(tmp_path / "it")


def test_a_full_disk_is_told_and_nothing_of_it_is_kept(tmp_path: Path) -> None:
    with closing(LegFile(tmp_path / "it")) as file:
        file.add([kept(1, 100)])
        [[pages]] = file._db.execute("PRAGMA page_count")
        file._db.execute(f"PRAGMA max_page_count={pages}")
        with pytest.raises(StateNotWritten, match="full; free space"):
            file.add([kept(number, 100) for number in range(2, 5_000)])

        assert len(file) == 1
