"""The checksum of texts that stand in a row, from the checksums of each. Pure.

Rule: no text is read again because another one changed. Where one of many texts changes, only what
it is joined with on the way to the checksum of all is computed again: 10 steps for 1,000 texts.

The CRC-32 of a text (RFC 1952, 8) is the remainder of a polynomial over bits, so that

    crc(left + right) = crc(left) · x^(8 · length of right)  xor  crc(right)

modulo the polynomial of the CRC. zlib has this as crc32_combine; Python does not offer it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, reduce
from itertools import accumulate, repeat
from typing import NamedTuple

_POLYNOMIAL = 0xEDB8_8320
"""Of the CRC-32, without x^32. The highest bit of a number is the coefficient of x^0."""

_ONE = 1 << 31
_X_TO_THE_8 = 1 << 23


def _times_x(factor: int) -> int:
    return factor >> 1 ^ _POLYNOMIAL if factor & 1 else factor >> 1


def _times_x_to_the_4(factor: int) -> int:
    return _times_x(_times_x(_times_x(_times_x(factor))))


_LOWEST_TIMES_X_TO_THE_4 = tuple(map(_times_x_to_the_4, range(16)))


def multiplied(left: int, right: int) -> int:
    """Return the product of two polynomials, modulo that of the CRC; four bits at a time."""
    by_4 = _times_x(right)
    by_2 = _times_x(by_4)
    by_1 = _times_x(by_2)
    high, low = (0, by_4, right, by_4 ^ right), (0, by_1, by_2, by_1 ^ by_2)
    product = 0
    for place in range(0, 32, 4):
        bits = left >> place
        carried = _LOWEST_TIMES_X_TO_THE_4[product & 15]
        product = product >> 4 ^ carried ^ high[bits >> 2 & 3] ^ low[bits & 3]
    return product


@cache
def _powers(place: int) -> Sequence[int]:
    """Return x^(8 · n · 256^place) for each byte n."""
    step = multiplied(_powers(place - 1)[255], _powers(place - 1)[1]) if place else _X_TO_THE_8
    return tuple(accumulate(repeat(step, 255), multiplied, initial=_ONE))


def power(length: int) -> int:
    """Return x^(8 · *length*) modulo the polynomial of the CRC."""
    digits = length.to_bytes(8, "little")
    return reduce(multiplied, (_powers(place)[n] for place, n in enumerate(digits) if n), _ONE)


class Measure(NamedTuple):
    """What of a text is enough to place it in a row of others, without the text.

    *crc* is its CRC-32, *length* its bytes, *size* its bytes when compressed, and *power* is
    x^(8 · length).
    """

    crc: int
    length: int
    size: int
    power: int


EMPTY = Measure(0, 0, 0, _ONE)


def measure(text: bytes, size: int, before: Measure = EMPTY) -> Measure:
    """Return the measure of *text*, which takes *size* bytes when compressed.

    *before* is the measure of the text in whose place it stands. Most numbers have as many digits
    as before, so that often the length stays, and the power with it.
    """
    length = len(text)
    return Measure(zlib.crc32(text), length, size, _power(length, before))


def in_a_row(measures: Iterable[Measure], before: Measure = EMPTY) -> Measure:
    """Return the measure of these texts in a row; *before* is that of what stood there."""
    crc = length = size = 0
    for each in measures:
        crc = multiplied(crc, each.power) ^ each.crc
        length += each.length
        size += each.size
    return Measure(crc, length, size, _power(length, before))


def _power(length: int, before: Measure) -> int:
    return before.power if length == before.length else power(length)


def _joined(left: Measure, right: Measure, before: Measure) -> Measure:
    if not right.length:
        return left
    if not left.length:
        return right
    length = left.length + right.length
    is_known = length == before.length
    return Measure(
        multiplied(left.crc, right.power) ^ right.crc,
        length,
        left.size + right.size,
        before.power if is_known else multiplied(left.power, right.power),
    )


class MeasureTree:
    """The measure of *count* texts in a row, of which some are replaced at a time.

    A binary tree as an array: the first is the root, and the children of n are 2n and 2n + 1. It
    has room for the next power of two; what is missing is empty.
    """

    def __init__(self, count: int) -> None:
        self._first_leaf = 1 << max(count - 1, 0).bit_length()
        self._nodes = [EMPTY] * (2 * self._first_leaf)

    @property
    def root(self) -> Measure:
        """The measure of all of them in a row."""
        return self._nodes[1]

    def replace(self, changed: Mapping[int, Measure]) -> None:
        """Replace the measures of the texts with these indices, and what depends on them."""
        nodes = self._nodes
        for index, each in changed.items():
            nodes[self._first_leaf + index] = each
        touched = {(self._first_leaf + index) // 2 for index in changed}
        while touched - {0}:
            for node in touched:
                nodes[node] = _joined(nodes[2 * node], nodes[2 * node + 1], nodes[node])
            touched = {node // 2 for node in touched}
