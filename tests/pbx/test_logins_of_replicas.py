"""Processes that share tokens and logins on record by locks that end: what who stood still may do.

A process stands still at a named step of what it does, and others go on meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

from cdr_exporter.errors import TryAgain
from cdr_exporter.pbx import Cancelled, documents
from cdr_exporter.pbx.token_document import TokenDocument
from cdr_exporter.pbx.token_rules import TokenState, digest

from ..support.client_harness import FIRST_PAGE, WallClock, failure
from ..support.lockout import Office
from ..support.memory_documents import MemoryDocuments

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0


class Replicas(Office):
    """An office whose documents have locks that end."""

    def __init__(self) -> None:
        clock = WallClock()
        self.shared = MemoryDocuments(clock, self._step)
        super().__init__(self.shared, clock, count(step=int(DAY)).__next__)
        self.pbx.step = self._step
        self._step_to_stand_still_at = ""
        self._meanwhile: Callable[[], None] = lambda: None

    def stand_still_at(self, step: str, meanwhile: Callable[[], None]) -> None:
        """Let who comes to *step* next stand still for an hour, at the end of which others act."""
        self._step_to_stand_still_at, self._meanwhile = step, meanwhile

    def _step(self, step: str) -> None:
        if step == self._step_to_stand_still_at:
            self._step_to_stand_still_at = ""
            self.clock.now += HOUR
            self._meanwhile()

    def fail_with(self, *secrets: str) -> None:
        """Log in with each of these, in vain."""
        for secret in secrets:
            failure(self.client(secret=secret))

    def lose_tokens(self) -> None:
        """Let the PBX and all processes forget the tokens."""
        self.pbx.issuer.expire(refresh_too=True)
        self.shared.contents.pop("hq.token", None)


@pytest.fixture
def office(monkeypatch: pytest.MonkeyPatch) -> Replicas:
    # Who waits for a lock gives up at once.
    monkeypatch.setattr(documents, "_LOOK_AGAIN_SECONDS", 0.0)
    return Replicas()


@pytest.mark.fault("A15")
@pytest.mark.parametrize("step", ["changed", "send"])
def test_a_login_that_others_took_off_the_record_is_not_sent_later(
    office: Replicas, step: str
) -> None:
    """The success of another frees it, and the budget is used up without it."""

    def meanwhile() -> None:
        office.client().fetch(FIRST_PAGE)
        office.lose_tokens()
        office.fail_with("w1", "w2", "w3", "w4", "w5")

    office.stand_still_at(step, meanwhile)
    error = failure(office.client(secret="w0"))

    assert isinstance(error, Cancelled)
    assert (office.pbx.logins, office.pbx.most) == (5, 4)


@pytest.mark.fault("A15")
def test_a_success_that_is_told_late_frees_no_refusal_that_came_after_it(office: Replicas) -> None:
    def meanwhile() -> None:
        office.pbx.issuer.change_secret("changed")
        office.fail_with("w1", "w2", "w3", "w4")

    office.stand_still_at("answered", meanwhile)
    office.client().fetch(FIRST_PAGE)
    office.lose_tokens()
    office.fail_with("w5", "w6", "w7")

    assert office.pbx.most == 4


@pytest.mark.fault("A15")
def test_what_is_decided_counts_what_came_on_record_until_it_is_written_down(
    office: Replicas,
) -> None:
    office.fail_with("w0", "w1", "w2")
    office.stand_still_at("change", lambda: office.fail_with("w3"))
    error = failure(office.client(secret="w4"))

    assert error.blocked == "credentials"
    assert (office.pbx.logins, office.pbx.most) == (4, 4)


@pytest.mark.fault("A15")
def test_a_refusal_is_on_record_however_late_it_is_told(office: Replicas) -> None:
    office.stand_still_at("answered", lambda: office.fail_with("w1", "w2"))
    office.fail_with("w0", "w3", "w4", "w5")

    assert office.pbx.most == 4


def test_a_refresh_after_the_lock_has_ended_is_not_sent(office: Replicas) -> None:
    office.client().fetch(FIRST_PAGE)
    office.clock.now += 25 * MINUTE
    other = office.client()
    late = office.client()

    def meanwhile() -> None:
        other.fetch(FIRST_PAGE)

    office.stand_still_at("send", meanwhile)
    error = failure(late)
    late.fetch(FIRST_PAGE)

    assert isinstance(error, Cancelled)
    assert office.pbx.logins == 1


def test_a_token_is_not_written_over_one_that_came_meanwhile(office: Replicas) -> None:
    kept = [TokenDocument(office.shared, "hq.token", digest("hq")) for _ in range(2)]
    for each in kept:
        each.read(office.clock.now)
    newer = TokenState(account=digest("hq"), logins=(office.clock.now,))
    kept[0].write(newer)

    with pytest.raises(TryAgain, match="another process has logged in meanwhile") as caught:
        kept[1].write(TokenState(account=digest("hq")))
    assert caught.value.reason == "state"
    assert kept[1].read(office.clock.now) == newer


def test_who_waits_for_a_lock_of_a_dead_process_gets_it_when_it_ends(office: Replicas) -> None:
    client = office.client()
    office.shared.open("token", "hq.token").try_lock(120.0)
    held_up = failure(client)
    office.clock.now += 120.0
    client.fetch(FIRST_PAGE)

    assert str(held_up) == "another process is busy logging in"
