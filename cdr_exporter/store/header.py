"""The first bytes of a state file, which tell SQLite how to read all others.

Nothing has a checksum for them. So those that we know are compared; the rest of the header is how
often the file was changed, and how large it is, which SQLite compares with the file. The version
and the application are in it, too: `open_file` judges them.
"""

from __future__ import annotations

from .schema import PAGE_SIZE

LENGTH = 100

_KNOWN = (
    (0, b"SQLite format 3\0"),
    (16, PAGE_SIZE.to_bytes(2, "big")),
    (20, bytes((0, 64, 32, 32))),  # no bytes left free; fractions of a page, fixed for all files
    (44, (4).to_bytes(4, "big")),  # the format of the schema
    (52, bytes(4)),  # no automatic vacuum
    (56, (1).to_bytes(4, "big")),  # UTF-8
    (64, bytes(4)),  # no incremental vacuum
    (72, bytes(20)),  # reserved
)
"""From which byte on there are which."""

_LOGS = ((1, 1), (2, 2))
"""How changes are made, for writing and for reading: 1 by a journal, as the file is created, 2 by
a log (WAL)."""


def is_damaged(header: bytes) -> bool:
    """Say whether *header*, the first `LENGTH` bytes of a file, is not that of a state file."""
    log = (header[18], header[19]) if len(header) == LENGTH else None
    return log not in _LOGS or any(header[at : at + len(known)] != known for at, known in _KNOWN)
