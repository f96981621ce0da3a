"""Rows as newer firmware writes them: with `new_id`, without `id` and `reason`.

Rule: a `new_id` is opaque and unique to its row; the legs of one call (equal `uid`) share its
first half. Neither half grows with time, so it cannot be sorted by.

Unknown, hence an option: where a real PBX puts rows without id in a listing by id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from .rows import Row

FIRST, LAST, LEFT_OUT = ORDERS = ("first", "last", "left_out")

_SPREAD = 2_654_435_761  # odd, so that multiplying by it modulo 2**32 maps no two serials alike


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What an upgrade of the firmware did.

    *order* is the place of rows without id in a listing by id with the newest first
    (`order_by=desc`; `asc` is the same read backwards): `first`, `last` or `left_out`. *mixed*
    is the share of new rows, 0 to 1, that are still written the old way. With *count_listed*
    the `total_number` of a listing by id counts only the rows that it lists.
    """

    order: str = FIRST
    mixed: float = 0.0
    count_listed: bool = False

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise ValueError(f"order {self.order!r} is none of {', '.join(ORDERS)}")
        if not 0 <= self.mixed <= 1:
            raise ValueError(f"mixed {self.mixed!r} is no share from 0 to 1")


def new_format(row: Mapping[str, Any], serial: int) -> Row:
    """Return *row* as newer firmware writes it; one that has a `new_id` keeps it."""
    kept = {name: row[name] for name in row if name not in ("id", "reason")}
    return {"new_id": new_id(str(row.get("uid", serial)), serial), **kept}


def new_id(uid: str, serial: int) -> str:
    """Return the `new_id` of row number *serial*, a leg of the call *uid*."""
    return f"{crc32(uid.encode('utf-8', 'replace')):08X}-{serial * _SPREAD % 2**32:08X}"
