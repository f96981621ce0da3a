"""Programs that judge from outside: promtool, Prometheus, a browser."""

import os
import shutil
from pathlib import Path

import pytest

PROMETHEUS_3 = "CDR_EXPORTER_PROMETHEUS_3"
"""The environment variable with the folder of a second Prometheus and promtool, of version 3."""


def require(program: str) -> str:
    """Return the path of *program*; without it skip, or fail where the build insists on it."""
    path = shutil.which(program)
    if path is not None:
        return path
    reason = f"{program} is not installed"
    if os.environ.get("CDR_EXPORTER_REQUIRE_E2E") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def of_prometheus_3(program: str) -> str:
    """Return the path of *program* in the folder of Prometheus 3; skip where none is named."""
    folder = os.environ.get(PROMETHEUS_3)
    if not folder:
        pytest.skip(f"{PROMETHEUS_3} names no folder of Prometheus 3")
    path = Path(folder) / program
    assert path.is_file(), f"{PROMETHEUS_3} has no {program}"
    return str(path)
