"""The body of one response: compressed blocks that many scrapes share, then lines made for it.

Rule: a scrape never puts the whole page together; what a client has not taken yet does not exist.
Prometheus asks for gzip and gets the blocks as they are kept; who asks for the text gets it from
the same blocks, one piece after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

from .measure import Measure, in_a_row, measure
from .pieces import Block, last_piece_of

_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""RFC 1952, 2.3: deflate, no flags, no time, no extra flags, operating system unknown."""

_TRAILER_BYTES = 8

_BLOCKS_AT_A_TIME = 64
"""Blocks joined before they are sent: to send each by itself is slow, all of them much memory."""


class Row(NamedTuple):
    """Blocks in a row, and the measure of all of them."""

    blocks: Sequence[Block]
    measure: Measure


def row_of(block: Block) -> Row:
    """Return *block* as a row of one."""
    return Row((block,), block.measure)


class Body:
    """The body of one response: *shared* rows of blocks, then the *own* lines of this scrape."""

    def __init__(self, shared: Sequence[Row], own: bytes) -> None:
        self._shared = shared
        self._own = own

    @property
    def plain(self) -> bytes:
        """The text, uncompressed."""
        return b"".join(self.plain_parts())

    @property
    def gzipped(self) -> bytes:
        """The text as one gzip member (RFC 1952)."""
        return b"".join(self.gzip_parts())

    @property
    def length(self) -> int:
        """Of the text, uncompressed, in bytes."""
        return self._measure.length

    @property
    def gzip_length(self) -> int:
        """Of the gzip member, in bytes."""
        return len(_GZIP_HEADER) + self._measure.size + _TRAILER_BYTES

    def plain_parts(self) -> Iterator[bytes]:
        """Yield the text, uncompressed; each part is put together when it is asked for."""
        for row in self._shared:
            for block in row.blocks:
                yield from (piece.text() for piece in block.pieces)
        yield self._own

    def gzip_parts(self) -> Iterator[bytes]:
        """Yield the gzip member; each part is put together when it is asked for."""
        yield _GZIP_HEADER
        for row in self._shared:
            for first in range(0, len(row.blocks), _BLOCKS_AT_A_TIME):
                blocks = row.blocks[first : first + _BLOCKS_AT_A_TIME]
                yield b"".join([piece.deflated for block in blocks for piece in block.pieces])
        yield self._end
        length = self._measure.length & 0xFFFF_FFFF
        yield self._measure.crc.to_bytes(4, "little") + length.to_bytes(4, "little")

    @cached_property
    def _end(self) -> bytes:
        return last_piece_of(self._own)

    @cached_property
    def _measure(self) -> Measure:
        """The measure of all of it."""
        rows = [row.measure for row in self._shared]
        return in_a_row((*rows, measure(self._own, len(self._end))))
