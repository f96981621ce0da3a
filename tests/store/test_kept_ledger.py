"""Every part of the ledger is kept, by id and by time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cdr_exporter.cdr import MAX_ID
from cdr_exporter.ledger import Ledger
from cdr_exporter.ledger.order import BY_ID, BY_TIME
from cdr_exporter.ledger.recheck_ranges import RecheckRange
from cdr_exporter.ledger.watermark import Watermark

from ..support.rows import record
from ..support.store_states import (
    TERMS,
    opened,
    outcome,
    reopened,
    write_rows,
)

LEDGER_BY_ID = Ledger(
    newest_key=MAX_ID,
    remembered_from=17,
    remembered={BY_ID.identity(record(n)): n for n in (17, 18, 20, MAX_ID)},
    unread=((30, 40), (5, 5)),
    recheck=(
        RecheckRange(41, 99, 1_700_000_000, 1_700_000_100.5),
        RecheckRange(19, 19, 1_699_999_000),
    ),
    rejects=(0, 7, MAX_ID),
    watermark=Watermark(1_700_000_300, 1_700_000_200, ((4_000_000_000, 4_000_000_060),)),
    first_read="now",
    new_rows_above=20,
)
LEDGER_BY_TIME = Ledger(
    order=BY_TIME,
    newest_key=1_700_000_900,
    remembered_from=1_700_000_400,
    remembered={5: 1_700_000_400, 3: 1_700_000_400, MAX_ID: 1_700_000_900},
    unread=((1_699_000_000, 1_699_000_000),),
    recheck=(RecheckRange(1_700_000_400, 1_700_000_900, 0, 1_700_000_950.0),),
    rejects=(9,),
    watermark=Watermark(1_700_000_960),
    first_read="all",
    newest_at_start=1_700_000_123,
    new_rows_above=1_700_000_800,
    newest_possible=1_700_000_850,
    id_ledger=LEDGER_BY_ID,
)

WHOLE = [
    pytest.param(Ledger(), id="blank"),
    pytest.param(LEDGER_BY_ID, id="by id"),
    pytest.param(LEDGER_BY_TIME, id="by time, after one by id"),
    pytest.param(replace(LEDGER_BY_TIME, id_ledger=None), id="by time from the first start"),
    pytest.param(replace(LEDGER_BY_TIME, id_ledger=Ledger()), id="by time, after a blank one"),
]


def kept_of(directory: Path) -> Ledger:
    ledger = reopened(directory).ledger
    assert ledger is not None
    return ledger


def with_ledger(directory: Path, *ledgers: Ledger) -> Ledger:
    """Commit *ledgers* one after the other, and return what a restart finds."""
    with opened(directory) as store:
        for ledger in ledgers:
            store.commit(ledger, store.kept.totals)
    return kept_of(directory)


@pytest.mark.parametrize("ledger", WHOLE)
def test_a_ledger_comes_back_whole(tmp_path: Path, ledger: Ledger) -> None:
    found = with_ledger(tmp_path, ledger)

    assert found == ledger
    assert (found.order, found.id_ledger) == (ledger.order, ledger.id_ledger)
    # These fields are not compared: one is computed, and ranges are rechecked after a start.
    assert found.lowest_remembered == min([ledger.remembered_from, *ledger.remembered.values()])
    assert [each.last_read for each in found.recheck] == [0.0] * len(ledger.recheck)
    assert kept_of(tmp_path) == ledger


def fields_of(ledger: Ledger) -> set[str]:
    blank = Ledger()
    names = set(Ledger.__dataclass_fields__)
    return {name for name in names if getattr(ledger, name) != getattr(blank, name)}


def test_every_field_of_a_ledger_is_covered_by_the_test_above() -> None:
    assert fields_of(LEDGER_BY_TIME) | {"lowest_remembered"} == set(Ledger.__dataclass_fields__)
    assert fields_of(LEDGER_BY_ID) == fields_of(LEDGER_BY_TIME) - {
        "order",
        "id_ledger",
        "newest_at_start",
        "newest_possible",
    }


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"remembered": {1: 1}}, id="identities gone and come"),
        pytest.param({"remembered": {}}, id="all identities gone"),
        pytest.param({"remembered": dict.fromkeys(LEDGER_BY_ID.remembered, 25)}, id="keys moved"),
        pytest.param({"unread": (), "recheck": (), "rejects": ()}, id="nothing left to read"),
        pytest.param({"watermark": Watermark(), "first_read": ""}, id="a mark that went back"),
    ],
)
def test_a_later_ledger_replaces_the_whole_of_an_earlier_one(
    tmp_path: Path, changed: dict[str, Any]
) -> None:
    later = replace(LEDGER_BY_ID, **changed)

    assert with_ledger(tmp_path, LEDGER_BY_ID, later) == later
    assert with_ledger(tmp_path, LEDGER_BY_ID) == LEDGER_BY_ID


def test_a_ledger_by_time_takes_the_place_of_one_by_id(tmp_path: Path) -> None:
    assert with_ledger(tmp_path, LEDGER_BY_ID, LEDGER_BY_TIME) == LEDGER_BY_TIME


def test_a_later_ledger_by_time_keeps_what_was_before(tmp_path: Path) -> None:
    later = replace(LEDGER_BY_TIME, newest_key=1_700_001_000, remembered={8: 1_700_001_000})

    assert with_ledger(tmp_path, LEDGER_BY_TIME, later) == later
    # Now the ledger before is the one that was read, and the file is written by another process.
    with opened(tmp_path) as store:
        assert store.kept.ledger is not None
        store.commit(replace(store.kept.ledger, newest_key=1_700_001_001), store.kept.totals)
    assert kept_of(tmp_path) == replace(later, newest_key=1_700_001_001)


def test_another_ledger_before_replaces_the_whole_of_the_first(tmp_path: Path) -> None:
    later = replace(LEDGER_BY_TIME, id_ledger=replace(LEDGER_BY_ID, remembered={1: 17}))

    assert with_ledger(tmp_path, LEDGER_BY_TIME, later) == later


def test_after_a_break_what_was_before_is_gone_for_good(tmp_path: Path) -> None:
    broken = LEDGER_BY_TIME.new_lineage(TERMS)

    assert broken.id_ledger is None
    assert with_ledger(tmp_path, LEDGER_BY_TIME, broken) == broken


def test_a_part_that_makes_no_sense_is_set_aside_with_the_rest(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    assert with_ledger(directory, LEDGER_BY_TIME) == LEDGER_BY_TIME
    write_rows(directory, "ledger", {"id_ledger": b"{}"})

    assert outcome(directory) == "set aside"
