"""The order a table is followed in: by id, or by start where rows have no id.

Rule: everything that differs between the two stands here, so that the ledger is one.

| | by id | by time |
|---|---|---|
| a row's place (`key`) | its id | its start, epoch seconds; rows may share one |
| a new row appears | at the top | below the calls that began after it |
| a page proves | its lowest to its top id | what lies between its ends, which may go on |
| after that, rows turn up | at ids that were missing | anywhere, until no call is as long |
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from ..cdr import MAX_ID, Record, Rejected
from ..cdr.record import THIRTY_ONE_BITS

_SPREAD = 0x9E37_79B9_7F4A_7C15
"""Odd and irregular, so that ids and fingerprints that lie close give identities that do not."""


@dataclass(frozen=True, slots=True)
class Order:
    """How rows are ordered; *sort_by* is the contract's word, *by_time* as in the table above."""

    sort_by: str
    by_time: bool

    def key(self, row: Record) -> int:
        """Return the place of *row*."""
        return row.started_at if self.by_time else row.id

    def identity(self, row: Record | Rejected) -> int:
        """Return 63 bits that are of this row and no other."""
        if row.id:
            return self._identity_with_id(row.id, row.fingerprint)
        return _identity_without_id(row) if isinstance(row, Record) else row.fingerprint

    def _identity_with_id(self, row_id: int, fingerprint: int) -> int:
        """Return the identity of a row with an id."""
        return (fingerprint ^ row_id * _SPREAD) & MAX_ID

    def evidence_for(self, lowest: int, highest: int) -> tuple[int, int]:
        """Return the keys that a page from *lowest* to *highest* leaves no doubt about."""
        return (lowest + 1, highest - 1) if self.by_time else (lowest, highest)


BY_ID = Order("id", by_time=False)
BY_TIME = Order("time", by_time=True)

ORDER_BY_FIELD = {order.sort_by: order for order in (BY_ID, BY_TIME)}


def _identity_without_id(row: Record) -> int:
    """Tell rows without id apart: by `new_id`, else by all that does not change later."""
    parts = (row.new_id,) if row.new_id else _unchanging_parts(row)
    text = "\0".join(parts).encode()
    return (zlib.crc32(text) << 31 | zlib.crc32(text[::-1]) & THIRTY_ONE_BITS) ^ row.fingerprint


def _unchanging_parts(row: Record) -> tuple[str, ...]:
    numbers = (row.started_at, row.duration, row.ring_duration, row.talk_duration)
    parties = (row.uid, row.call_from, row.call_to, row.src_trunk, row.dst_trunk)
    return (*parties, row.disposition, row.call_type, *map(str, numbers))
