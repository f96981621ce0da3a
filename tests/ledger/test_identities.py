from __future__ import annotations

import tracemalloc
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdr_exporter.cdr import MAX_ID
from cdr_exporter.ledger import identities as module
from cdr_exporter.ledger.identities import packed, with_added

# Few different ones, so that some are added again, with another key.
identities = st.dictionaries(st.integers(0, 400) | st.just(MAX_ID), st.integers(0, MAX_ID))


def assert_same(found: Mapping[int, int], expected: dict[int, int]) -> None:
    assert found == expected
    assert len(found) == len(expected)
    assert dict(found.items()) == expected
    assert sorted(found) == sorted(expected)
    assert sorted(found.values()) == sorted(expected.values())
    assert all(found[each] == key for each, key in expected.items())
    absent = {*range(-1, 402), MAX_ID - 1} - expected.keys()
    assert all(each not in found and found.get(each) is None for each in absent)


@given(identities, st.lists(identities, max_size=8))
def test_packed_identities_are_what_a_dict_of_them_would_be(
    first: dict[int, int], pages: list[dict[int, int]]
) -> None:
    found, expected = packed(first), dict(first)
    for page in pages:
        before, known = found, dict(expected)
        found, expected = with_added(found, page), {**expected, **page}
        assert_same(found, expected)
        assert_same(before, known)


@pytest.mark.parametrize("rows", [1, 20, 500])
def test_identities_stay_packed_however_many_come_at_a_time(rows: int) -> None:
    first = 5 << 60
    # Not what other threads of the test run take meanwhile.
    ours = [tracemalloc.Filter(True, each) for each in (__file__, module.__file__)]
    tracemalloc.start()
    try:
        found: Mapping[int, int] = {}
        for page in range(0, 2_000, rows):
            found = with_added(found, {first + n: n + (1 << 40) for n in range(page, page + rows)})
        taken = tracemalloc.take_snapshot().filter_traces(ours)
    finally:
        tracemalloc.stop()

    assert len(found) == 2_000
    # As a dict they take 250 kB.
    assert sum(each.size for each in taken.traces) < 60_000
