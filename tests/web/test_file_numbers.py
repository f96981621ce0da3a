from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from cdr_exporter.web.file_numbers import (
    FEWEST_CONNECTIONS,
    FILES_PER_PBX,
    MOST_CONNECTIONS,
    MOST_FILES,
    connection_limits,
    file_limit,
    files_needed,
)

INFINITE = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("files", "pbxs", "total"),
    [
        pytest.param(65_536, 1, MOST_CONNECTIONS, id="plenty"),
        pytest.param(1_024, 20, 1_024 - 64 - 20 * FILES_PER_PBX, id="what the pollers leave"),
        pytest.param(1_024, 1_000, FEWEST_CONNECTIONS, id="not even enough for the pollers"),
    ],
)
def test_connections_get_what_the_pollers_do_not_need(files: int, pbxs: int, total: int) -> None:
    limits = connection_limits(files, pbxs)

    assert limits.total == total
    assert limits.per_client == total // 2


@pytest.mark.parametrize("pbxs", [1, 200, 1_000])
def test_what_is_needed_is_enough_for_the_fewest_connections(pbxs: int) -> None:
    assert connection_limits(files_needed(pbxs), pbxs).total == FEWEST_CONNECTIONS


RAISE = (
    "import resource, sys; from cdr_exporter.web import raise_file_limit;"
    "resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])));"
    "print(raise_file_limit(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
)


@pytest.mark.parametrize(
    ("soft", "hard", "expected"),
    [
        pytest.param(256, 1_024, 1_024, id="to the hard one"),
        pytest.param(1_024, 1_024, 1_024, id="nowhere"),
    ],
)
def test_the_limit_is_raised(soft: int, hard: int, expected: int) -> None:
    command = [sys.executable, "-c", RAISE, str(soft), str(hard)]
    raised = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert raised.split() == [str(expected)] * 2


@pytest.mark.parametrize(
    ("soft", "hard", "expected"),
    [
        pytest.param(1_024, 4_096, 4_096, id="the hard one"),
        pytest.param(1_024, 1_000_000_000, MOST_FILES, id="a billion"),
        pytest.param(1_024, INFINITE, MOST_FILES, id="infinite"),
        pytest.param(100_000, 1_000_000, 100_000, id="more already"),
        pytest.param(INFINITE, INFINITE, MOST_FILES, id="infinite already"),
    ],
)
def test_the_limit_is_never_raised_without_bound(soft: int, hard: int, expected: int) -> None:
    assert file_limit(soft, hard) == expected
