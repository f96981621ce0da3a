"""A PBX that tells how many rows it has, and one that does not."""

from __future__ import annotations

import pytest

from ..support.fake_pbx import FakePBX


@pytest.fixture(params=[True, False], ids=["with-total", "no-total"])
def pbx(request: pytest.FixtureRequest) -> FakePBX:
    return FakePBX(tells_total=request.param)
