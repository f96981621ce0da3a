"""The body of one response: lines that many scrapes share, then lines made for this scrape.

Rule: a scrape never puts the whole page together as one text; what a client has not taken yet does
not exist. Prometheus asks for gzip, and the shared lines are compressed once for all scrapes.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence

_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""RFC 1952, 2.3: deflate, no flags, no time, no extra flags, operating system unknown."""

_GZIP_LEVEL = 1
"""Level 9 makes the output a third smaller and takes four times as long."""

_BLOCKS_PER_PIECE = 512
"""Blocks joined at a time: to compress or send each by itself would be slow, all much memory."""


class CompressedBlocks:
    """Blocks of lines, compressed once, when a scrape first asks for gzip."""

    def __init__(self, blocks: Sequence[bytes]) -> None:
        self.blocks = blocks
        self.length = sum(map(len, blocks))
        """In bytes, uncompressed."""
        self._deflated: tuple[bytes, int] | None = None

    @property
    def deflated(self) -> tuple[bytes, int]:
        """The blocks as a deflate stream that can be continued, and the CRC-32 of their text."""
        if self._deflated is None:
            compressor = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
            parts, checksum = [], 0
            for text in self.pieces():
                parts.append(compressor.compress(text))
                checksum = zlib.crc32(text, checksum)
            parts.append(compressor.flush(zlib.Z_FULL_FLUSH))
            self._deflated = b"".join(parts), checksum
        return self._deflated

    def pieces(self) -> Iterator[bytes]:
        """Yield the text, uncompressed, many blocks at a time."""
        for first in range(0, len(self.blocks), _BLOCKS_PER_PIECE):
            yield b"".join(self.blocks[first : first + _BLOCKS_PER_PIECE])


class Body:
    """The body of one response: *shared* blocks, then the *own* lines of this scrape."""

    def __init__(self, shared: CompressedBlocks, own: bytes) -> None:
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
        return self._shared.length + len(self._own)

    def plain_parts(self) -> Iterator[bytes]:
        """Yield the text, uncompressed; each part is put together when it is asked for."""
        yield from self._shared.pieces()
        yield self._own

    def gzip_parts(self) -> tuple[bytes, ...]:
        """Return the gzip member in parts; only the lines of this scrape are compressed."""
        deflated, checksum = self._shared.deflated
        compressor = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        rest = compressor.compress(self._own) + compressor.flush()
        checksum = zlib.crc32(self._own, checksum)
        length = self.length & 0xFFFF_FFFF
        trailer = checksum.to_bytes(4, "little") + length.to_bytes(4, "little")
        return _GZIP_HEADER, deflated, rest, trailer
