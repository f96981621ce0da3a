"""Calls in the state file: saved with the ledger and the totals, or not at all."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdr_exporter.calls import CallChange, CallRules, ClosedCall, Leg, OpenCall, TrackedCalls
from cdr_exporter.errors import StateNotWritten
from cdr_exporter.ledger import Ledger
from cdr_exporter.metrics.call_metrics import number_zeros
from cdr_exporter.metrics.totals import Series, initial_totals
from cdr_exporter.store import FileStore

from ..support.rows import BOUNDS
from ..support.store_states import Process, write_rows

LEG = Leg(
    1_700_000_000, "answered", "Inbound", "sip", 60, 5, 55, "person", "sip", "sales", "support"
)
CALL = OpenCall.of([LEG, Leg(1_700_000_060, "no_answer", "Internal", "none")], 123.5)
DID = Series("cdr_did_calls_total", ("sales", "answered"))


def opened(directory: Path, call_rules: CallRules | None = None) -> closing[Process]:
    zeros = number_zeros(call_rules) if call_rules else None
    return closing(Process(FileStore(directory, "hq", "me", BOUNDS, zeros)))


def kept(directory: Path, *changes: CallChange) -> TrackedCalls:
    """Commit *changes* one after the other, and return what a new process finds."""
    with opened(directory) as store:
        for change in changes:
            store.commit(Ledger(), initial_totals(), change)
        here = store.kept.calls
    with opened(directory) as store:
        assert store.kept.calls == here
        return store.kept.calls


def test_an_open_call_is_found_again_as_it_was(tmp_path: Path) -> None:
    assert kept(tmp_path, CallChange(opened={"a": CALL})).open == {"a": CALL}


def test_a_call_that_was_counted_is_remembered_and_open_no_more(tmp_path: Path) -> None:
    calls = kept(
        tmp_path,
        CallChange(opened={"a": CALL, "b": CALL}),
        CallChange(closed={"a": ClosedCall(77), "c": ClosedCall(78, counted=False)}),
    )

    assert calls.open == {"b": CALL}
    assert calls.closed == {"a": ClosedCall(77), "c": ClosedCall(78, counted=False)}


def test_what_is_forgotten_is_gone(tmp_path: Path) -> None:
    calls = kept(
        tmp_path,
        CallChange(opened={"a": CALL}, closed={"b": ClosedCall(77)}),
        CallChange(forgotten=["a", "b"]),
    )

    assert (calls.open, calls.closed) == ({}, {})


uids = st.sampled_from("abcdefgh")
fates = st.sampled_from([CALL, ClosedCall(7), ClosedCall(8, counted=False), None])
"""What a change does to a uid; None: it is forgotten."""


@st.composite
def changes(draw: st.DrawFn) -> CallChange:
    fate = draw(st.dictionaries(uids, fates, max_size=6))
    return CallChange(
        opened={uid: each for uid, each in fate.items() if isinstance(each, OpenCall)},
        closed={uid: each for uid, each in fate.items() if isinstance(each, ClosedCall)},
        forgotten=[uid for uid, each in fate.items() if each is None],
    )


@given(steps=st.lists(changes(), max_size=5))
@settings(max_examples=40, deadline=None)
def test_after_any_changes_the_file_has_the_calls_that_the_process_had(
    tmp_path_factory: pytest.TempPathFactory, steps: list[CallChange]
) -> None:
    kept(tmp_path_factory.mktemp("state"), *steps)


def test_a_commit_that_fails_changes_no_call(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.commit(Ledger(), initial_totals(), CallChange(opened={"a": CALL}))
        store.file._db.execute("PRAGMA query_only=1")
        with pytest.raises(StateNotWritten):
            store.commit(Ledger(), initial_totals(), CallChange(closed={"a": ClosedCall(77)}))

        assert store.kept.calls.open == {"a": CALL}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'["gone",5]',
        b'["counted"]',
        b'["counted","x"]',
        b'["counted",1e999]',
        b"[[],5]",
        b"[[[1]],5]",
        b'[[["x","answered","Inbound","sip"]],5]',
    ],
    ids=repr,
)
def test_calls_that_make_no_sense_are_set_aside_with_the_rest(
    tmp_path: Path, content: bytes
) -> None:
    kept(tmp_path, CallChange(opened={"a": CALL}))
    write_rows(tmp_path, "calls", {"a": content})
    with opened(tmp_path) as store:
        assert store.kept.ledger is None
        assert store.kept.resets["corrupt"]


# --- numbers that the user named -----------------------------------------------------------------


def test_a_number_that_is_named_later_exists_at_0_beside_what_was_counted(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.commit(Ledger(), initial_totals(["sip"]))
    with opened(tmp_path, CallRules(dids={"1": "sales"})) as store:
        assert store.kept.totals.series[DID] == (0,)
        assert store.kept.totals.born[DID] == 0.0


def test_a_number_that_is_no_longer_named_is_dropped_and_begins_again_at_0(tmp_path: Path) -> None:
    named = CallRules(dids={"1": "sales", "2": "support"})
    fewer = CallRules(dids={"2": "support"})
    support = Series("cdr_did_calls_total", ("support", "answered"))
    with opened(tmp_path, named) as store:
        totals = store.kept.totals.merged({DID: (3,), support: (4,)}, store.kept.totals.trunks, 0.0)
        store.commit(Ledger(), totals)
    with opened(tmp_path, fewer) as store:
        assert DID not in store.kept.totals.series
        assert store.kept.totals.series[support] == (4,)
    with opened(tmp_path, named) as store:
        assert store.kept.totals.series[DID] == (0,)
        assert store.kept.totals.series[support] == (4,)
