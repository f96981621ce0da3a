"""What one scrape gets: blocks of lines that many share, and a tail made for this scrape.

Rule: the whole page as one piece of text exists only while a scrape asks for it plain.
Prometheus asks for it compressed, and that is done once for all.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence

_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_GZIP_LEVEL = 1
"""Level 9 makes it a third smaller and takes four times as long."""

_AT_ONCE = 512


class Kept:
    """Blocks of lines, and their compressed form once somebody asked for it."""

    def __init__(self, blocks: Sequence[bytes]) -> None:
        self.blocks = blocks
        self.length = sum(map(len, blocks))
        self._deflated: tuple[bytes, int] | None = None

    @property
    def deflated(self) -> tuple[bytes, int]:
        """Deflate blocks that more may follow, and the CRC of the text."""
        if self._deflated is None:
            start = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
            parts, checksum = [], 0
            for text in self._pieces():
                parts.append(start.compress(text))
                checksum = zlib.crc32(text, checksum)
            parts.append(start.flush(zlib.Z_FULL_FLUSH))
            self._deflated = b"".join(parts), checksum
        return self._deflated

    def _pieces(self) -> Iterator[bytes]:
        for first in range(0, len(self.blocks), _AT_ONCE):
            yield b"".join(self.blocks[first : first + _AT_ONCE])


class Body:
    """The answer to one scrape."""

    def __init__(self, kept: Kept, tail: bytes) -> None:
        self._kept = kept
        self._tail = tail

    @property
    def plain(self) -> bytes:
        """The text as it is."""
        return b"".join((*self._kept.blocks, self._tail))

    @property
    def gzipped(self) -> bytes:
        """One gzip member, of which the kept part was compressed once."""
        deflated, checksum = self._kept.deflated
        end = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        checksum = zlib.crc32(self._tail, checksum)
        length = (self._kept.length + len(self._tail)) & 0xFFFF_FFFF
        trailer = checksum.to_bytes(4, "little") + length.to_bytes(4, "little")
        return b"".join((_GZIP_HEADER, deflated, end.compress(self._tail), end.flush(), trailer))
