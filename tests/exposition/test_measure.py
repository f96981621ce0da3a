from __future__ import annotations

import zlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdr_exporter.exposition.measure import (
    EMPTY,
    MeasureTree,
    in_a_row,
    measure,
    multiplied,
    power,
)

texts = st.lists(st.binary(max_size=300), max_size=12)
changes = st.lists(
    st.dictionaries(st.integers(0, 40), st.binary(max_size=40), max_size=6), max_size=6
)


@given(texts)
def test_the_checksum_of_texts_in_a_row_is_that_of_the_whole_text(row: Sequence[bytes]) -> None:
    found = in_a_row(measure(each, 7) for each in row)

    whole = b"".join(row)
    assert (found.crc, found.length) == (zlib.crc32(whole), len(whole))
    assert found.size == 7 * len(row)
    assert found.power == power(len(whole))


@pytest.mark.parametrize(
    "length", [0, 1, 255, 256, 257, 65_535, 65_536, 70_000, (1 << 24) - 1, (1 << 24) + 3]
)
def test_a_text_of_any_length_may_follow(length: int) -> None:
    first, second = b"cdr_up 1.0\n", bytes(length)

    found = in_a_row([measure(first, 0), measure(second, 0)])

    assert found.crc == zlib.crc32(first + second)


lengths = st.integers(0, 1 << 40)


@given(lengths, lengths)
def test_what_a_length_does_to_a_checksum_adds_up(one: int, other: int) -> None:
    assert multiplied(power(one), power(other)) == power(one + other)
    assert multiplied(power(other), power(one)) == power(one + other)


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_the_measure_of_another_text_owes_nothing_to_that_of_before(old: bytes, new: bytes) -> None:
    known = measure(old, 1)

    assert measure(new, 2, known) == measure(new, 2)
    assert in_a_row([measure(new, 2), known], known) == in_a_row([measure(new, 2), known])


@given(st.integers(1, 41), changes)
def test_a_tree_has_the_measure_of_the_whole_text_after_any_changes(
    count: int, steps: Sequence[dict[int, bytes]]
) -> None:
    tree, row = MeasureTree(count), [b""] * count
    assert tree.root == EMPTY

    for step in steps:
        changed = {index % count: text for index, text in step.items()}
        tree.replace({index: measure(text, len(text)) for index, text in changed.items()})
        for index, text in changed.items():
            row[index] = text

        whole = b"".join(row)
        assert tree.root == measure(whole, len(whole))


def test_no_text_at_all_has_the_empty_measure() -> None:
    tree = MeasureTree(0)
    tree.replace({})

    assert tree.root == EMPTY == in_a_row([])


def test_a_change_costs_what_depends_on_it_and_no_more() -> None:
    tree = MeasureTree(1_000)
    tree.replace({index: measure(b"%d" % index, 0) for index in range(1_000)})
    before = list(tree._nodes)

    tree.replace({700: measure(b"other", 0)})

    pairs = zip(before, tree._nodes, strict=True)
    assert sum(old is not new for old, new in pairs) == 11  # itself, and 10 above it
