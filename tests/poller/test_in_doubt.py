"""A commit whose answer was lost: each row counts once, whether or not it is kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdr_exporter.metrics.snapshot import Snapshot
from cdr_exporter.poller.poller import Poller
from cdr_exporter.settings import PBX, SecretSource

from ..support.counts import records
from ..support.fake_pbx import FakePBX
from ..support.memory_store import MemoryStore
from ..support.poller_harness import poller_of

HQ = PBX(
    name="hq",
    base_url="http://127.0.0.1",
    client_id="me",
    secret=SecretSource(env="X"),
    start="all",
)

KEPT = pytest.mark.parametrize("kept", [True, False], ids=["kept", "not kept"])


class Counting:
    """A poller of a PBX without rows at its start, and what it has shown."""

    def __init__(self) -> None:
        self.pbx, self.store, self.shown = FakePBX(), MemoryStore(), list[Snapshot]()
        self.poller = self._poller()
        self.poller.poll()

    def _poller(self) -> Poller:
        return poller_of(HQ, self.pbx, self.store, self.pbx.clock, self.shown.append)

    def restart(self) -> None:
        self.poller = self._poller()

    @property
    def counted(self) -> int:
        return records(self.shown[-1].totals)

    @property
    def state_write_ok(self) -> float:
        [ok] = [
            value
            for series, value in self.shown[-1].gauges.items()
            if series.family == "cdr_exporter_state_write_ok"
        ]
        return ok


@KEPT
def test_what_was_published_stays_until_it_is_known_whether_the_commit_is_kept(kept: bool) -> None:
    it = Counting()
    it.pbx.call(4)
    it.poller.poll()
    it.pbx.call(3)
    it.store.in_doubt = kept
    it.poller.poll()
    before = (it.counted, it.state_write_ok, it.shown[-1].failure_reason)
    it.poller.poll()

    assert before == (4, 0, "state")
    assert (it.counted, it.state_write_ok, it.shown[-1].failure_reason) == (7, 1, "")


@KEPT
def test_while_the_database_cannot_be_asked_nothing_new_is_read_or_shown(kept: bool) -> None:
    it = Counting()
    it.pbx.call(4)
    it.store.in_doubt = kept
    it.poller.poll()
    it.store.full = True
    asked = it.pbx.requests
    it.poller.poll()
    it.poller.poll()
    during = (it.counted, it.state_write_ok, it.pbx.requests - asked)
    it.store.full = False
    it.poller.poll()

    assert during == (0, 0, 0)
    assert it.counted == 4


@KEPT
def test_a_state_that_was_replaced_meanwhile_is_written_anew(kept: bool) -> None:
    it = Counting()
    it.pbx.call(4)
    it.poller.poll()
    it.pbx.call(3)
    it.store.in_doubt = kept
    it.poller.poll()
    it.store.replaced = True
    it.poller.poll()

    assert it.counted == 7
    assert records(it.store.load().totals) == 7


@pytest.mark.fault("E24")
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([True, False, None, "restart"]))))
def test_after_any_answers_lost_each_row_is_counted_once(
    polls: list[tuple[int, bool | str | None]],
) -> None:
    it, rows = Counting(), 0
    for calls, fate in polls:
        it.pbx.call(calls)
        rows += calls
        if fate == "restart":
            it.restart()
        it.store.in_doubt = fate if isinstance(fate, bool) else None
        it.poller.poll()
        assert it.counted <= rows
    it.store.in_doubt = None
    for _ in range(2):
        it.poller.poll()

    assert it.counted == rows
    assert records(it.store.load().totals) == rows


@KEPT
def test_rows_that_the_pbx_deletes_in_doubt_are_counted_where_the_commit_is_kept(
    kept: bool,
) -> None:
    it = Counting()
    it.pbx.call(4)
    it.poller.poll()
    it.pbx.call(3)
    it.store.in_doubt = kept
    it.poller.poll()
    it.pbx.delete(*sorted(it.pbx.rows)[-3:])
    it.poller.poll()

    assert it.counted == records(it.store.load().totals) == (7 if kept else 4)
    assert it.state_write_ok == 1
