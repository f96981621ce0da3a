"""The state of a PBX as a value: an event makes another one of it, and changes nothing."""

from __future__ import annotations

from contextlib import suppress
from hashlib import sha256
from random import Random
from typing import Any

import pytest

from cdr_exporter.cdr import CDRAnswer
from cdr_exporter.clock import Now
from cdr_exporter.errors import TryAgain
from cdr_exporter.ingest import (
    EndOfPoll,
    Event,
    JudgedPage,
    KeptState,
    PBXState,
    PollBegan,
    StateChange,
    call_rules_of,
    counting_rules_of,
)
from cdr_exporter.ledger import from_the_beginning
from cdr_exporter.ledger.page import page_of, query
from cdr_exporter.settings import PBX, SecretSource

from ..support.memory_store import MemoryStore
from ..support.poller_harness import MakeHarness, PollerHarness
from ..support.rows import BOUNDS, record
from ..support.store_states import content

NOW = Now(1_700_100_000.0, 5_000.0)


def digest(*values: object) -> str:
    """Return a hash of all that *values* hold."""
    return sha256(repr(values).encode()).hexdigest()


def assert_same(kept: KeptState, state: PBXState) -> None:
    """Assert that *kept* is all of *state* but for when ranges were read again."""
    assert content(kept)._replace(ledger=None) == content(state)._replace(ledger=None)
    assert kept.ledger == state.ledger or (
        kept.ledger is not None and kept.ledger.differs_by_reads_only(state.ledger)
    )


class Watched:
    """Watches each event of a poller, and keeps its changes in a store of its own."""

    def __init__(self, it: PollerHarness) -> None:
        self.seen: list[type[Event]] = []
        self.copy = MemoryStore()
        self._it = it
        self._take = it.poller._take
        it.poller._take = self.take  # type: ignore[method-assign]

    def take(self, event: Event) -> StateChange:
        state, now = self._it.state, self._it.clock.now()
        before = digest(state)
        once, again = state.after(event, now), state.after(event, now)

        assert digest(once) == digest(again)
        assert digest(state) == before
        self.copy.commit(once.change)
        assert_same(self.copy.load(), once.state)
        self.seen.append(type(event))
        return self._take(event)


def live_through(it: PollerHarness, seed: int) -> Watched:
    """Let everything happen that a PBX does, in a random order, for sixty polls."""
    watched, chance = Watched(it), Random(seed)
    changes: list[Any] = [
        lambda: it.pbx.call(chance.randint(1, 90), src_trunk=f"trunk {chance.randint(1, 4)}"),
        lambda: it.pbx.call(uid=f"call {chance.randint(1, 9)}", duration=chance.randint(0, 99)),
        lambda: it.pbx.delete(*sorted(it.pbx.rows)[: chance.randint(0, 5)]),
        lambda: it.pbx.roll_back(max(it.pbx.rows, default=1) - 1),
        lambda: it.pbx.failures.append(TryAgain("refused", reason="connect")),
        lambda: it.clock.pass_(chance.choice([5, 70, 400, 90_000])),
        lambda: None,
    ]
    for number in range(60):
        chance.choice(changes)()
        if number == 36:
            it.pbx.reset()
        if number == 48:
            it.pbx.call_without_id(30)
        with suppress(TryAgain):
            it.clock.pass_(max(1.0, it.poll()))
    return watched


@pytest.mark.parametrize("start", ["now", "all"])
def test_an_event_leaves_the_state_as_it_was_and_its_change_is_all_that_a_store_needs(
    make_harness: MakeHarness, start: str
) -> None:
    it = make_harness(start=start, late_window=120.0)
    watched = live_through(it, seed=len(start))

    assert len(set(watched.seen)) >= 4
    assert it.counted > 100
    assert it.total("cdr_exporter_lineage_breaks_total") >= 1
    assert_same(it.store.load(), it.state)


def begun(start: str = "all") -> PBXState:
    """Return the state of a process that has just begun, in its first poll."""
    pbx = PBX(
        name="hq",
        base_url="http://127.0.0.1",
        client_id="me",
        secret=SecretSource(env="X"),
        start=start,
    )
    rules = counting_rules_of(pbx, call_rules_of(pbx), BOUNDS)
    return PBXState.of(MemoryStore().load(), rules).after(PollBegan(), NOW).state


def page_with(state: PBXState, *row_ids: int) -> JudgedPage:
    rows = [record(each) for each in row_ids]
    page = page_of(query(1, 20), CDRAnswer(errcode=0, total=len(rows), rows=rows))
    ledger = state.ledger or from_the_beginning()
    return JudgedPage(page, ledger.judge(page, NOW.wall, state.rules.limits))


def test_a_page_counts_once_whatever_became_of_its_commit() -> None:
    state = begun()
    event = page_with(state, 3, 2, 1)
    lost, _ = state.after(event, NOW)
    kept, change = state.after(event, NOW)
    again, nothing = kept.after(page_with(kept, 3, 2, 1), NOW)

    assert digest(lost) == digest(kept)
    assert change.totals is not None
    assert (nothing.is_empty, digest(again.totals)) == (True, digest(kept.totals))


def test_when_ranges_were_read_again_is_known_and_not_kept() -> None:
    state, _ = begun().after(page_with(begun(), 5, 3, 1), NOW)
    later = Now(NOW.wall + 400, NOW.steady + 400)
    page = page_with(state, 5, 3, 1).page
    assert state.ledger is not None
    verdict = state.ledger.judge(page, later.wall, state.rules.limits)
    after, change = state.after(JudgedPage(page, verdict), later)

    assert change.is_empty
    assert after.ledger is not None
    assert [each.last_read for each in after.ledger.recheck] == [later.wall] * 2
    assert [each.last_read for each in state.ledger.recheck] == [NOW.wall] * 2


def test_nothing_is_shown_until_all_is_read() -> None:
    state, _ = begun().after(page_with(begun(), 2, 1), NOW)
    going_on, unshown = state.after(EndOfPoll(all_read=False), NOW)
    shown, first = state.after(EndOfPoll(all_read=True), NOW)

    assert (state.visibility.shown, going_on.visibility.shown) == (False, False)
    assert unshown.first_shown is None
    assert shown.visibility.shown
    assert first.first_shown == shown.first_shown is not None


def test_after_a_lost_state_nobody_says_since_when_it_is_shown() -> None:
    kept = MemoryStore().load()
    rules = begun().rules
    lost = PBXState.of(KeptState(totals=kept.totals, resets={"corrupt": 1.0}), rules)
    shown, change = lost.after(EndOfPoll(all_read=True), NOW)

    assert lost.start == "now"
    assert shown.visibility.shown
    assert change.first_shown is None
