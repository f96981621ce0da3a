"""Lines that are kept compressed, in pieces that can be put together in any order.

A piece is a part of a deflate stream (RFC 1951) that ends on a byte and refers to nothing before
it. So pieces in a row, and an end, are one deflate stream, and that with the checksum of its text
is one gzip member: nothing is compressed again because something else on the page has changed.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .measure import EMPTY, Measure, in_a_row, measure

_LEVEL = 1
"""Level 6 makes the pieces an eighth smaller and takes three times as long."""


class Piece(NamedTuple):
    """Some lines, as a part of a deflate stream."""

    deflated: bytes
    measure: Measure

    def text(self) -> bytes:
        """Return the lines."""
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(self.deflated)


class Block(NamedTuple):
    """Pieces in a row, and the measure of all of them."""

    pieces: Sequence[Piece]
    measure: Measure


NO_BLOCK = Block((), EMPTY)


def piece_of(text: bytes, before: Measure = EMPTY) -> Piece:
    """Return *text* as a piece, in place of one with the measure *before*."""
    deflated = _deflated(text, zlib.Z_SYNC_FLUSH)
    return Piece(deflated, measure(text, len(deflated), before))


def last_piece_of(text: bytes) -> bytes:
    """Return *text* as the end of a deflate stream."""
    return _deflated(text, zlib.Z_FINISH)


def block_of(pieces: Iterable[Piece], before: Measure = EMPTY) -> Block:
    """Return *pieces* as a block, in place of one with the measure *before*."""
    row = tuple(pieces)
    return Block(row, in_a_row((each.measure for each in row), before))


def _deflated(text: bytes, end: int) -> bytes:
    # Made anew for each piece, so that it does not refer to the one before.
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(text) + compressor.flush(end)
