"""Lists that are not as the contract has them, and are counted all the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cdr_exporter.cdr import CDRAnswer
from cdr_exporter.cdr.contract import CDRQuery
from cdr_exporter.metrics.totals import Series

from ..support.fake_pbx import FakePBX
from ..support.poller_harness import MakeHarness

DUPLICATES = "cdr_exporter_duplicate_ids_total"


@pytest.mark.fault("D13")
def test_two_rows_of_one_id_are_two_and_the_same_row_twice_is_one(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    pbx.call(30)
    it = make_harness(pbx, start="all")
    it.poll()
    pbx.call(2)
    pbx.insert(1_000, id=32, uid="another")
    pbx.rows[1_001] = pbx.rows[31]
    it.poll(3)

    assert it.counted == 33
    assert it.total(DUPLICATES) == 3
    assert it.own("cdr_exporter_poll_failures_total", "garbled") == 0


@pytest.mark.fault("D13")
def test_rows_of_one_id_that_are_read_while_catching_up_are_counted_once_each(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    pbx.call(5_000)
    for number in range(40, 4_900):
        pbx.insert(10_000 + number, id=number, started_at=1_600_000_000 + number)
    it = make_harness(pbx, start="all")
    it.poll(5)

    assert it.counted == len(pbx.rows)


@pytest.mark.fault("C8")
def test_rows_count_though_total_number_is_behind_them(make_harness: MakeHarness) -> None:
    pbx = FakePBX()
    pbx.call(50)
    it = make_harness(pbx, start="all")
    it.poll()

    def behind(query: CDRQuery, answer: CDRAnswer) -> CDRAnswer:
        return replace(answer, total=15)

    pbx.edit_answer = behind
    pbx.call(60)
    it.poll()

    assert it.counted == 110
    assert it.own("cdr_exporter_poll_failures_total", "garbled") == 0


@pytest.mark.fault("D9")
@pytest.mark.parametrize("start", [86_400, 2_085_978_496])
def test_an_impossible_time_moves_neither_the_newest_start_nor_the_delay(
    make_harness: MakeHarness, pbx: FakePBX, start: int
) -> None:
    pbx.call(30)
    it = make_harness(pbx)
    it.poll()
    newest = it.gauge("cdr_last_record_timestamp_seconds")
    pbx.call(80, started_at=start)
    it.poll()
    delays = it.last.own[Series("cdr_exporter_ingest_delay_seconds")]

    assert it.counted == 80
    assert it.gauge("cdr_last_record_timestamp_seconds") == newest
    assert sum(delays) == 0
