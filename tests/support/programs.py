"""Programs that judge from outside: promtool, Prometheus, a browser."""

import os
import shutil

import pytest


def require(program: str) -> str:
    """Return the path of *program*; without it skip, or fail where the build insists on it."""
    path = shutil.which(program)
    if path is not None:
        return path
    reason = f"{program} is not installed"
    if os.environ.get("CDR_EXPORTER_REQUIRE_E2E") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
