"""Polls that fail: what is counted, shown and logged, and how long the poller waits."""

from __future__ import annotations

import pytest

from cdr_exporter.errors import TryAgain, WaitLong

from ..support.fake_pbx import FakePBX
from ..support.poller_harness import MakeHarness


def test_failures_are_counted_by_reason_and_the_next_answer_counts_as_if_nothing_had_been(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    it = make_harness(pbx)
    it.poll()
    pbx.call(2)
    pbx.failures = [TryAgain("late", reason="timeout"), TryAgain("late", reason="timeout")]
    waits = [it.poll(), it.poll()]
    down, reason = it.gauge("cdr_up"), it.last.failure_reason
    it.poll()

    assert waits == [1.0, 2.0]
    assert (down, reason, it.last.failure_reason) == (0, "timeout", "")
    assert it.own("cdr_exporter_poll_failures_total", "timeout") == 2
    assert it.gauge("cdr_up") == 1
    assert it.counted == 2


def test_what_an_administrator_has_to_mend_is_shown_until_it_is_mended(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    it = make_harness(pbx)
    it.poll()
    blocked = WaitLong("x", reason="auth", blocked="ip_blocked", first=60, most=200)
    pbx.failures = [blocked, blocked, blocked]
    waits = [it.poll(), it.poll(), it.poll()]
    during = it.gauge("cdr_exporter_auth_blocked", "ip_blocked")
    it.poll()

    assert waits == [60, 120, 200]
    assert (during, it.gauge("cdr_exporter_auth_blocked", "ip_blocked")) == (1, 0)


def test_a_state_that_cannot_be_written_publishes_nothing_new(
    make_harness: MakeHarness, pbx: FakePBX, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = make_harness(pbx)
    it.poll()
    pbx.call(3)
    it.store._db.execute("PRAGMA query_only=1")
    it.poll()
    full = (it.counted, it.gauge("cdr_exporter_state_write_ok"), it.gauge("cdr_up"))
    it.store._db.execute("PRAGMA query_only=0")
    it.poll()

    assert full == (0, 0, 0)
    assert it.own("cdr_exporter_poll_failures_total", "state") == 1
    assert it.counted == 3
    assert it.gauge("cdr_exporter_state_write_ok") == 1


def test_after_a_lost_state_counting_begins_at_now_whatever_start_says(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    pbx.call(50)
    it = make_harness(pbx, start="all")
    it.poll()
    it.store.close()
    it.store.path.write_bytes(b"garbage" * 1000)
    it.restart()
    it.poll()
    pbx.call(1)
    it.poll()

    assert it.counted == 1


def test_back_off_grows_though_the_failures_differ(make_harness: MakeHarness, pbx: FakePBX) -> None:
    it = make_harness(pbx)
    pbx.failures = [
        TryAgain("x", reason=("connect", "timeout")[number % 2]) for number in range(12)
    ]
    waits = [it.poll() for _ in range(12)]

    assert waits[-1] == 150


def test_what_a_person_has_to_mend_waits_on_its_own_account(
    make_harness: MakeHarness, pbx: FakePBX
) -> None:
    it = make_harness(pbx)
    pbx.failures = [TryAgain("x", reason="http") for _ in range(5)]
    pbx.failures += [WaitLong("y", reason="http", first=60, most=1800)]
    waits = [it.poll() for _ in range(6)]

    assert waits[-1] == 60


def test_each_cause_is_logged_once(
    make_harness: MakeHarness, pbx: FakePBX, caplog: pytest.LogCaptureFixture
) -> None:
    it = make_harness(pbx)
    pbx.failures = [
        WaitLong(blocked, reason="auth", blocked=blocked, first=1, most=1)
        for blocked in ("token_cap", "token_cap", "ip_blocked", "ip_blocked")
    ]
    it.poll(5)

    assert [r.message for r in caplog.records if r.levelname == "WARNING"] == [
        "token_cap",
        "ip_blocked",
    ]
