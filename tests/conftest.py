"""What holds for every test, and the fixtures that tests of several rooms use."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from .support.fake_pbx import FakePBX
from .support.poller_harness import MakeHarness, PollerHarness

# Machines are slow at times, and that is no failure.
settings.register_profile("here", deadline=None)
settings.load_profile("here")


@pytest.fixture
def make_harness(tmp_path: Path) -> Iterator[MakeHarness]:
    made: list[PollerHarness] = []

    def make(
        pbx: FakePBX | None = None, *, state_dir: Path | None = None, **others: Any
    ) -> PollerHarness:
        directory = state_dir or tmp_path / f"state-{len(made)}"
        made.append(PollerHarness(directory, pbx, **others))
        return made[-1]

    yield make
    for each in made:
        each.close()
