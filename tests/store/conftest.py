"""State directories as a process leaves them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..support.store_states import (
    add,
    killed_in,
    opened,
)


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
