"""A table with few rows yet, which grows while the rows that we remember are searched in it."""

from __future__ import annotations

import pytest

from ..support.counts import records
from ..support.fake_pbx import FakePBX
from ..support.poller_harness import MakeHarness


def call(pbx: FakePBX, times: int) -> None:
    for _ in range(times):
        pbx.call()


@pytest.mark.parametrize("known", [1, 5], ids="{} known".format)
@pytest.mark.parametrize("new", [30, 60], ids="{} new".format)
def test_rows_that_come_while_the_known_ones_are_searched_make_no_other_table(
    known: int, new: int, make_harness: MakeHarness, caplog: pytest.LogCaptureFixture
) -> None:
    it = make_harness(FakePBX(), start="all")
    it.poll()
    for calls in (known, new, new, new):
        it.clock.pass_(1)
        call(it.pbx, calls)
        it.poll()
        it.pbx.before_answer = lambda: call(it.pbx, 4)
    it.pbx.before_answer = lambda: None
    it.clock.pass_(1)
    it.poll()

    assert "no known record" not in caplog.text
    assert records(it.state.totals) == len(it.pbx.rows)
