"""The folder of the blocks, and what is kept in it to go on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cdr_exporter.errors import ConfigError, StateInUse
from cdr_exporter.history.folder import WORK, Folder, FolderError, Plan
from cdr_exporter.history.grid import BLOCK_SECONDS
from cdr_exporter.history.promtool import create_block
from cdr_exporter.history.seam import Seam
from cdr_exporter.programs import ProgramError

BLOCK = 1_700_006_400


def with_block(path: Path, start: int = BLOCK) -> Path:
    block = path / "01HF"
    block.mkdir(parents=True)
    (block / "meta.json").write_text(json.dumps({"minTime": start * 1000, "version": 1}))
    return path


def with_text(path: Path) -> Path:
    path.mkdir()
    (path / f"cdr-history-{BLOCK}.om").touch()
    return path


@pytest.mark.parametrize("make", [with_block, with_text], ids=["blocks", "texts"])
def test_a_folder_that_holds_blocks_is_refused(tmp_path: Path, make: object) -> None:
    folder = Folder(make(tmp_path / "out"))  # type: ignore[operator]

    with pytest.raises(ConfigError, match="holds blocks already"), folder.opened():
        pass
    assert not folder.work.exists()


def test_a_folder_in_which_a_run_was_cut_off_is_gone_on_with(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "out")
    with folder.opened():
        folder.begin(Plan("asked", {"hq": Seam(1.0, 0.5, baseline=True)}))
        with_block(folder.path, BLOCK + 60)

    with folder.opened():
        assert folder.plan() == Plan("asked", {"hq": Seam(1.0, 0.5, baseline=True)})
        assert folder.written(BLOCK_SECONDS) == {BLOCK}
        folder.finish()

    assert [each.name for each in folder.path.iterdir()] == ["01HF"]


def test_a_run_that_is_asked_for_something_else_is_not_gone_on_with(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.check_same(Plan("this", {}), "this")

    with pytest.raises(ConfigError, match="begun with other flags"):
        folder.check_same(Plan("this", {}), "that")


def test_two_processes_do_not_write_into_one_folder(tmp_path: Path) -> None:
    with (
        Folder(tmp_path).opened(),
        pytest.raises(StateInUse, match="another process"),
        Folder(tmp_path).opened(),
    ):
        pass


def test_what_is_kept_is_for_its_owner_only(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "out")
    with folder.opened():
        folder.begin(Plan("asked", {}))

        assert folder.work.stat().st_mode & 0o777 == 0o700
        assert {each.stat().st_mode & 0o777 for each in folder.work.iterdir()} == {0o600}


def test_a_full_disk_is_one_clear_line(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "out")
    folder.path.mkdir()
    (folder.path / "cdr-history-5.part").symlink_to("/dev/full")
    with pytest.raises(FolderError) as failed, folder.opened():
        folder.write_text(5, iter([b"x" * 9999]))

    assert str(failed.value) == (
        f"{folder.path}: no space left on device; when that is mended, the same command goes on"
    )
    assert list(folder.path.glob("*.om")) == []


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with (
        pytest.raises(FolderError, match="not a directory"),
        Folder(tmp_path / "file" / "out").opened(),
    ):
        pass


@pytest.mark.parametrize(
    ("script", "said"),
    [
        pytest.param("echo first >&2; echo 'no space left' >&2; exit 1", "no space left", id="it"),
        pytest.param("exit 7", "exit code 7", id="silent"),
    ],
)
def test_what_promtool_says_when_it_fails_is_in_one_line(
    tmp_path: Path, script: str, said: str
) -> None:
    tool = tmp_path / "promtool"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)

    with pytest.raises(ProgramError) as failed:
        create_block(str(tool), tmp_path / "text", tmp_path, BLOCK_SECONDS)
    assert str(failed.value) == f"{tool}: {said}"


def test_a_promtool_that_cannot_be_started_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="promtool: No such file"):
        create_block(str(tmp_path / "promtool"), tmp_path / "text", tmp_path, BLOCK_SECONDS)


def test_the_folder_of_what_is_kept_is_hidden_from_prometheus() -> None:
    assert WORK.startswith(".")
