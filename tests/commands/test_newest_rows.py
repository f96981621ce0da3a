"""Which rows `check --connect` takes for the newest, and what they cost the PBX."""

from __future__ import annotations

import random

import pytest

from cdr_exporter.cdr import CDRAnswer, Record
from cdr_exporter.cdr.contract import NEW, CDRQuery
from cdr_exporter.commands.newest_rows import NewestRows, read_newest_rows
from cdr_exporter.errors import PBXError, TryAgain
from cdr_exporter.metrics.self_metrics import SelfMetrics
from cdr_exporter.settings import PBX, SecretSource
from cdr_exporter.tail.page_reader import CDRList, PageReader
from pbx_simulator import SimulatedPBX
from pbx_simulator.firmware import Upgrade

from ..support.fake_clock import FakeClock
from ..support.fake_pbx import FakePBX
from ..support.in_process_cdr_list import InProcessCDRList
from ..support.rows import BOUNDS


def newest(pbx: CDRList) -> NewestRows:
    source = SecretSource(env="X")
    settings = PBX(name="hq", base_url="http://127.0.0.1", client_id="me", secret=source)
    clock = FakeClock()
    return read_newest_rows(settings, PageReader(pbx, SelfMetrics(BOUNDS), clock), clock)


def simulated(upgrade: Upgrade | None, *, upgraded_days: float = 0.5) -> NewestRows:
    """Return the newest rows of a PBX with a day's calls, upgraded in the middle of it."""
    now = 1_700_000_000.0
    pbx = SimulatedPBX(clock=lambda: now, days=1, upgrade=upgrade, upgraded_days=upgraded_days)
    return newest(InProcessCDRList(pbx, lambda: None))


def test_rows_with_ids_are_read_by_id_and_four_requests_are_all() -> None:
    pbx = FakePBX()
    pbx.call(1000)
    found = newest(pbx)

    assert [row.id for row in found.page.rows] == list(range(1000, 800, -1))
    assert found.legacy is None
    assert (pbx.requests, pbx.rows_sent) == (4, 260)


def test_a_clock_that_was_wrong_once_does_not_hide_the_newest_rows() -> None:
    pbx = FakePBX()
    pbx.call(300, started_at=2_085_978_496)
    pbx.call(300)

    assert newest(pbx).page.highest == 600


@pytest.mark.parametrize("place", ["first", "last", "left_out"])
def test_rows_without_ids_are_read_by_time_wherever_they_stand_by_id(place: str) -> None:
    pbx = FakePBX()
    pbx.without_id = place
    pbx.call(300)
    pbx.call_without_id(250)
    found = newest(pbx)

    assert {row.id for row in found.page.rows} == {0}
    assert found.legacy is None
    assert (pbx.requests, pbx.rows_sent) == (3, 240)


def test_a_single_row_without_id_is_a_broken_one() -> None:
    pbx = FakePBX()
    pbx.call(300)
    pbx.insert(301, id=0)

    assert newest(pbx).page.order.sort_by == "id"


def test_a_firmware_that_lists_both_tables_is_read_without_from() -> None:
    found = simulated(Upgrade())

    assert found.legacy is None
    assert found.page.order.by_time


def test_a_firmware_that_lists_the_legacy_table_only_is_read_with_from() -> None:
    found = simulated(Upgrade(shows="legacy"))

    assert {row.id for row in found.page.rows} == {0}
    assert found.legacy is not None
    assert found.legacy.rows[0].id > 0
    assert found.legacy.highest < found.page.lowest


def test_a_new_table_without_rows_is_not_read() -> None:
    found = simulated(Upgrade(shows="legacy"), upgraded_days=0)

    assert found.legacy is None
    assert found.page.rows[0].id > 0


def test_older_firmware_is_read_by_id_though_it_was_asked_for_new_rows() -> None:
    assert simulated(None).page.order.sort_by == "id"


def refuse(pbx: FakePBX, reason: str) -> None:
    """Let *pbx* answer no query for the new table."""

    def edit(query: CDRQuery, answer: CDRAnswer) -> CDRAnswer:
        if query.from_ == NEW:
            raise TryAgain("no", reason=reason, errcode=40002 if reason == "api" else None)
        return answer

    pbx.edit_answer = edit


def test_a_pbx_that_does_not_know_the_parameter_is_read_without() -> None:
    pbx = FakePBX()
    pbx.call(300)
    refuse(pbx, "api")

    assert newest(pbx).page.size == 200


def test_a_pbx_that_cannot_be_reached_is_not_asked_again() -> None:
    pbx = FakePBX()
    pbx.call(300)
    refuse(pbx, "timeout")

    with pytest.raises(PBXError):
        newest(pbx)
    assert pbx.requests == 3


def test_a_pbx_that_does_not_sort_by_time_is_read_by_id() -> None:
    pbx = FakePBX()
    pbx.call(300)
    chance = random.Random(1)

    def shuffled(query: CDRQuery, answer: CDRAnswer) -> CDRAnswer:
        rows: list[Record] = list(answer.rows)
        if query.sort_by == "time":
            chance.shuffle(rows)
        return CDRAnswer(errcode=0, total=answer.total, rows=rows)

    pbx.edit_answer = shuffled

    assert newest(pbx).page.size == 200
