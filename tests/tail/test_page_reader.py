from __future__ import annotations

from typing import Any

import pytest

from cdr_exporter.cdr import GarbledAnswer
from cdr_exporter.errors import TryAgain
from cdr_exporter.ledger.page import query
from cdr_exporter.metrics.self_metrics import SelfMetrics
from cdr_exporter.metrics.totals import Series
from cdr_exporter.tail.page_reader import PageReader, Stopped

from ..support.fake_pbx import FakePBX
from ..support.rows import BOUNDS

TOOK = 0.02
"""Seconds that an answer of `FakePBX` takes."""


class Bench:
    def __init__(self, rows: int = 100) -> None:
        self.pbx = FakePBX()
        self.pbx.call(rows)
        self.self_metrics = SelfMetrics(BOUNDS)
        self.reader = PageReader(self.pbx, self.self_metrics, self.pbx.clock)

    def own(self, family: str, *labels: str) -> int:
        return self.self_metrics.own[Series(family, labels)][0]


def test_a_page_further_down_waits_as_long_as_the_pbx_worked_for_the_one_before() -> None:
    it = Bench()
    for number in (1, 2, 3):
        it.reader.read(query(number, 20))

    assert it.pbx.clock.waited == pytest.approx([TOOK, TOOK])
    assert it.reader.last_duration == pytest.approx(TOOK)


def test_a_first_page_is_not_kept_waiting() -> None:
    it = Bench()
    for _ in range(3):
        it.reader.read(query(1, 20))

    assert it.pbx.clock.waited == []


def test_a_void_page_is_an_error_of_its_own_kind_that_passes() -> None:
    it = Bench()
    it.pbx.failures = [GarbledAnswer("ids out of order")]
    with pytest.raises(TryAgain, match="ids out of order") as raised:
        it.reader.read(query(1, 20))

    assert raised.value.reason == "garbled"
    assert it.own("cdr_exporter_rows_fetched_total") == 0
    assert it.own("cdr_exporter_requests_total") == 1
    assert it.reader.last_duration == pytest.approx(TOOK)


def test_nothing_is_asked_for_once_the_program_is_to_end() -> None:
    it = Bench()
    it.pbx.clock.stopping = True
    with pytest.raises(Stopped):
        it.reader.read(query(1, 20))

    assert it.pbx.requests == 0


@pytest.mark.parametrize(
    ("errcode", "label"), [(10004, "10004"), (99999, "other")], ids=["known", "unknown"]
)
def test_what_a_page_cost_is_counted_once(errcode: int, label: str) -> None:
    it = Bench()

    def refuse() -> None:
        it.pbx.errcodes[errcode] += 1

    it.pbx.before_answer = refuse
    it.reader.read(query(1, 20))
    it.pbx.before_answer = lambda: None
    it.reader.read(query(2, 20))

    assert it.own("cdr_exporter_api_errors_total", label) == 1
    assert it.own("cdr_exporter_requests_total") == 2
    assert it.own("cdr_exporter_rows_fetched_total") == 40


@pytest.mark.parametrize(("tells_total", "gauge"), [(True, 100), (False, None)])
def test_the_size_of_the_table_is_what_the_pbx_says(tells_total: bool, gauge: Any) -> None:
    it = Bench()
    it.pbx.tells_total = tells_total
    it.reader.read(query(1, 20))

    assert it.self_metrics.gauges.get(Series("cdr_pbx_records")) == gauge
