"""Where the demo keeps its files."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from cdr_exporter.commands import demo


def test_the_demo_keeps_its_files_in_memory_where_no_disk_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shm").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "read-only"))
    monkeypatch.setattr(demo, "IN_MEMORY", ("/proc/nowhere", str(tmp_path / "shm")))

    with demo.temporary_directory() as directory:
        assert Path(directory).parent == tmp_path / "shm"

    assert list((tmp_path / "shm").iterdir()) == []
