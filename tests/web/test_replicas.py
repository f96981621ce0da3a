"""Who holds each PBX is asked of the database, by few at a time, and never for long."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping

import pytest

from cdr_exporter.leases import Holder
from cdr_exporter.web.replicas import HoldersUnknown, Replicas

from ..support.fake_clock import FakeClock
from ..support.replicas import HERE, FakeHolders, elsewhere, no_longer, replicas
from ..support.web_server import wait_until


def test_each_pbx_of_the_configuration_has_its_holder_in_their_order() -> None:
    database = FakeHolders(unasked=HERE, branch=no_longer(), new=None, hq=HERE)

    told = replicas(database, "hq", "branch", "new", "unheard-of").holders()

    assert list(told.items()) == [
        ("hq", HERE),
        ("branch", no_longer()),
        ("new", None),
        ("unheard-of", None),
    ]
    assert database.asked == [("hq", "branch", "new", "unheard-of")]


def test_an_answer_is_given_to_others_for_a_second() -> None:
    clock, database = FakeClock(), FakeHolders(hq=elsewhere())
    known = replicas(database, now=clock.now)

    def ask_at(seconds: float) -> Holder | None:
        clock.steady = seconds
        return known.holders()["hq"]

    assert ask_at(0.0) == elsewhere()
    database.holders = {"hq": HERE}
    assert ask_at(0.9) == elsewhere()
    assert ask_at(1.1) == HERE
    assert len(database.asked) == 2


@pytest.mark.fault("F15")
def test_a_database_that_is_away_leaves_nothing_known_and_is_asked_anew_after_a_second() -> None:
    clock, database = FakeClock(), FakeHolders(hq=elsewhere())
    known = replicas(database, now=clock.now)

    database.away = True
    for _ in range(3):
        with pytest.raises(HoldersUnknown) as caught:
            known.holders()
    assert "canary" not in str(caught.value)
    assert len(database.asked) == 1

    database.away = False
    clock.pass_(1.1)
    assert known.holders() == {"hq": elsewhere()}


@pytest.mark.fault("F15")
@pytest.mark.parametrize(
    ("lease", "seconds", "is_given"),
    [
        pytest.param(2.0, 1.9, True, id="younger than a short lease"),
        pytest.param(2.0, 2.1, False, id="older than a short lease"),
        pytest.param(600.0, 4.9, True, id="young"),
        pytest.param(600.0, 5.1, False, id="older than anybody waits"),
    ],
)
def test_an_answer_that_took_too_long_is_given_to_nobody(
    lease: float, seconds: float, is_given: bool
) -> None:
    clock, database = FakeClock(), FakeHolders(hq=elsewhere())
    # As where the machine is suspended meanwhile.
    database.meanwhile = lambda: clock.pass_(seconds)
    known = replicas(database, lease=lease, now=clock.now)

    if is_given:
        assert known.holders() == {"hq": elsewhere()}
    else:
        with pytest.raises(HoldersUnknown):
            known.holders()


class Asking:
    """Threads that want to know who holds the PBXs, and what they got."""

    def __init__(self, known: Replicas, count: int) -> None:
        self.refused = 0
        self.told: list[Mapping[str, Holder | None]] = []
        self._known = known
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _ask(self) -> None:
        try:
            self.told.append(self._known.holders())
        except HoldersUnknown:
            self.refused += 1

    def wait(self) -> None:
        for thread in self._threads:
            thread.join(10)


@pytest.mark.fault("F15")
def test_two_threads_at_most_wait_for_a_database_that_stands_still() -> None:
    database = FakeHolders(hq=elsewhere())
    known = replicas(database)

    with database.standing_still():
        asking = Asking(known, 4)
        wait_until(lambda: asking.refused == 2, "two are refused soon")
        assert asking.told == []
    asking.wait()

    assert (asking.told, asking.refused) == ([{"hq": elsewhere()}] * 2, 2)
    assert len(database.asked) == 1


def test_nobody_waits_longer_than_he_wants_to() -> None:
    database = FakeHolders(hq=elsewhere())
    known = replicas(database)

    with database.standing_still(), pytest.raises(HoldersUnknown):
        known.holders(patience=0.0)


def test_nobody_waits_for_an_answer_that_would_be_too_old() -> None:
    clock, database = FakeClock(), FakeHolders(hq=elsewhere())
    known = replicas(database, lease=2.0, now=clock.now)

    with database.standing_still():
        with pytest.raises(HoldersUnknown):
            known.holders(patience=0.0)
        clock.pass_(2.1)
        # The test would take some seconds if this waited.
        with pytest.raises(HoldersUnknown):
            known.holders()
    assert len(database.asked) == 1


def test_places_to_wait_are_given_back() -> None:
    clock, database = FakeClock(), FakeHolders(hq=elsewhere())
    known = replicas(database, now=clock.now)

    for away in (True, True, False, False, True, False):
        database.away = away
        clock.pass_(1.1)
        with contextlib.suppress(HoldersUnknown):
            known.holders()
    with database.standing_still():
        clock.pass_(1.1)
        asking = Asking(known, 4)
        wait_until(lambda: asking.refused == 2, "two are refused soon")
    asking.wait()

    assert len(asking.told) == 2


@pytest.mark.parametrize("address", ["", "http://two.example", "two.example:0", "a b", "<b>"])
def test_an_address_that_is_none_becomes_no_target_and_no_link(address: str) -> None:
    with pytest.raises(HoldersUnknown):
        replicas(FakeHolders(hq=HERE, branch=elsewhere(address))).holders()


def test_a_bug_is_not_taken_for_a_database_that_is_away() -> None:
    database = FakeHolders(hq=HERE)

    def fail() -> None:
        raise KeyError

    database.meanwhile = fail

    with pytest.raises(KeyError):
        replicas(database).holders()
