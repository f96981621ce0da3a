"""The orders in which a table can be followed: by id, or by start where rows have no id.

What a key, an identity and evidence are in each order is defined here.

| | by id | by time |
|---|---|---|
| the key of a row | its id | its start, in epoch seconds; rows may share one |
| a new row appears | at the top | below the calls that began after it |
| a page is evidence for | its lowest to its highest id | the seconds between its first and last |
| after that, rows may appear | at ids that were missing | anywhere, until no call can be as long |

By time there are two lists: the one that the PBX shows to everybody, and that of the new table
alone (`from=new`), for firmware that shows new rows nowhere else.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from ..cdr import MAX_ID, Record, Rejected
from ..cdr.contract import NEW, CDRQuery
from ..cdr.record import THIRTY_ONE_BITS

_SPREAD = 0x9E37_79B9_7F4A_7C15
"""Multiplier of ids (2**64 divided by the golden ratio), so that the identities of neighbouring ids
differ in many bits."""


@dataclass(frozen=True, slots=True)
class Order:
    """How rows are ordered, and which of them are listed.

    *name* is what a state file calls it. *sort_by* and *table* are the values of the PBX's query
    parameters `sort_by` and `from`; without *table*, `from` is not sent.
    """

    name: str
    sort_by: str
    by_time: bool
    table: str | None = None

    def key(self, row: Record) -> int:
        """Return the place of *row*: its id, or the start of the call in epoch seconds."""
        return row.started_at if self.by_time else row.id

    def identity(self, row: Record | Rejected) -> int:
        """Return a 63-bit number that no other row has; the same in both orders."""
        if row.id:
            return self._identity_with_id(row.id, row.fingerprint)
        return _identity_without_id(row) if isinstance(row, Record) else row.fingerprint

    def _identity_with_id(self, row_id: int, fingerprint: int) -> int:
        """Return the identity of a row with an id: rows that were given the same id differ."""
        return (fingerprint ^ row_id * _SPREAD) & MAX_ID

    def evidence_for(self, lowest: int, highest: int) -> tuple[int, int]:
        """Return the lowest and highest key that a page from *lowest* to *highest* is evidence for.

        By time, the first and the last second may have more rows outside of the page.
        """
        return (lowest + 1, highest - 1) if self.by_time else (lowest, highest)


BY_ID = Order("id", "id", by_time=False)
BY_TIME = Order("time", "time", by_time=True)
NEW_BY_TIME = Order("new", "time", by_time=True, table=NEW)

ORDER_BY_NAME = {order.name: order for order in (BY_ID, BY_TIME, NEW_BY_TIME)}


def order_of(query: CDRQuery) -> Order:
    """Return the order in which *query* asks for rows: by id where it does not say."""
    if query.from_ == NEW:
        return NEW_BY_TIME
    return BY_TIME if query.sort_by == BY_TIME.sort_by else BY_ID


def _identity_without_id(row: Record) -> int:
    """Return 63 bits made of `new_id`, or where that is missing of all that never changes later."""
    parts = (row.new_id,) if row.new_id else _unchanging_parts(row)
    text = "\0".join(parts).encode()
    return (zlib.crc32(text) << 31 | zlib.crc32(text[::-1]) & THIRTY_ONE_BITS) ^ row.fingerprint


def _unchanging_parts(row: Record) -> tuple[str, ...]:
    numbers = (row.started_at, row.duration, row.ring_duration, row.talk_duration)
    parties = (row.uid, row.call_from, row.call_to, row.src_trunk, row.dst_trunk)
    return (*parties, row.disposition, row.call_type, *map(str, numbers))
