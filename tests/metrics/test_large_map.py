"""A large mapping with changes is what a dict with them is, and the mapping before stays."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdr_exporter.metrics import large_map
from cdr_exporter.metrics.large_map import with_changes

changes = st.lists(st.dictionaries(st.integers(0, 60), st.integers(), max_size=6), max_size=8)


@given(changes=changes, small=st.sampled_from([0, 10, 1000]))
def test_it_is_what_a_dict_is_after_any_changes(changes: list[dict[int, int]], small: int) -> None:
    before = {number: -number for number in range(40)}
    made: list[tuple[Mapping[int, int], dict[int, int]]] = [(before, dict(before))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large_map, "_SMALL", small)
        for each in changes:
            known, expected = made[-1]
            made.append((with_changes(known, each), {**expected, **each}))

    for found, expected in made:
        assert found == expected
        assert list(found) == list(expected)
        assert list(found.items()) == list(expected.items())
        assert (len(found), repr(found)) == (len(expected), repr(expected))
        assert [found.get(key) for key in range(70)] == [expected.get(key) for key in range(70)]
        assert [key in found for key in range(70)] == [key in expected for key in range(70)]


def test_what_has_not_changed_is_not_copied() -> None:
    large = dict.fromkeys(range(100000), 0)
    one = with_changes(large, {1: 1})
    two = with_changes(one, {2: 2})

    assert isinstance(two, large_map._Layered)
    assert two._base is large
    assert (one[2], two[2], large[1]) == (0, 2, 0)
