"""What holds for every test, and the fixtures that tests of several rooms use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import settings

from .support.fake_pbx import FakePBX
from .support.poller_harness import MakeHarness, PollerHarness
from .support.postgres import PostgresServer, TestDatabase

# Machines are slow at times, and that is no failure: so there are no deadlines.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("random", deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

# promtool and Prometheus, which are written in Go, spend a sixth less of processor time so: they
# collect what they no longer need less often, and use more memory, some 400 MB at most.
os.environ.setdefault("GOGC", "400")


NOBODY = 65534
"""A user who owns nothing."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the modules that take or wait longest first, so that no worker is left alone with one.

    A module's tests go to one worker, which makes what they share.
    """
    items.sort(key=_is_quick)


def _is_quick(item: pytest.Item) -> bool:
    return not any(item.get_closest_marker(name) for name in ("e2e", "slow", "long"))


@pytest.fixture
def make_harness(tmp_path: Path) -> Iterator[MakeHarness]:
    """Return a function that makes harnesses, closed at the end of the test."""
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


@pytest.fixture
def mortal() -> Iterator[Path]:
    """Return a directory in which modes hold for this process, even where root runs the tests."""
    with TemporaryDirectory() as name:
        directory, ours = Path(name), os.geteuid()
        try:
            if ours == 0:
                os.chown(directory, NOBODY, NOBODY)
                os.seteuid(NOBODY)
                if not os.access(directory, os.W_OK, effective_ids=True):
                    pytest.skip("root, and the temporary directory is for root alone")
            yield directory
        finally:
            os.seteuid(ours)
            for each in [directory, *directory.rglob("*")]:
                if not each.is_symlink():
                    each.chmod(0o700)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """Return a PostgreSQL for all tests of this process; started for the first that asks for it."""
    with PostgresServer(passwords=True) as server:
        yield server


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> Iterator[TestDatabase]:
    """Return an empty database of the test's own."""
    database = postgres_server.make_database()
    yield database
    database.drop()
