"""Newer firmware (x.21.0.117 and later): its two tables, and rows with `new_id` for `id`.

Rule: a `new_id` is opaque and unique to its row; the legs of one call (equal `uid`) share its
first half. Neither half grows with time, so it cannot be sorted by. (In the few rows published
the first half followed the end of the call; nothing says that it always does.)

An upgrade leaves the *legacy* table as it is and begins the *new* one, whose rows have no `id` and
no `reason`. The parameter `from` of `cdr/list` asks for one of them.

Unknown, hence options: where a real PBX puts rows without id in a listing by id, which table it
shows without `from`, and whether `total_number` then counts both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from .rows import Row

NEW, LEGACY = GENERATIONS = ("new", "legacy")
"""The two tables, as `from` calls them."""

BOTH = "both"
SHOWN = (BOTH, LEGACY)
FIRST, LAST, LEFT_OUT = ORDERS = ("first", "last", "left_out")

_IPV4 = re.compile(r"\d{1,3}(\.\d{1,3}){3}")
_SIP_PORT = 5060
_SPREAD = 2_654_435_761  # odd, so that multiplying by it modulo 2**32 maps no two serials alike


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What an upgrade of the firmware did.

    *order* is the place of rows without id in a listing by id with the newest first
    (`order_by=desc`; `asc` is the same read backwards): `first`, `last` or `left_out`. *mixed*
    is the share of new rows, 0 to 1, that are still written the old way. With *count_listed*
    the `total_number` of a listing by id counts only the rows that it lists.

    *shows* is what is listed without `from`: `both` tables or `legacy`. With *count_both* the
    `total_number` without `from` counts both tables, even where only one is shown. With `from`,
    only the table that it names is listed and counted.
    """

    order: str = FIRST
    mixed: float = 0.0
    count_listed: bool = False
    shows: str = BOTH
    count_both: bool = False

    def __post_init__(self) -> None:
        if self.shows not in SHOWN:
            raise ValueError(f"shows {self.shows!r} is none of {', '.join(SHOWN)}")
        if self.order not in ORDERS:
            raise ValueError(f"order {self.order!r} is none of {', '.join(ORDERS)}")
        if not 0 <= self.mixed <= 1:
            raise ValueError(f"mixed {self.mixed!r} is no share from 0 to 1")

    def generations(self, asked: str) -> tuple[str, ...]:
        """Return the tables that are listed where `from` is *asked*, "" without it."""
        if asked:
            return (asked,)
        return GENERATIONS if self.shows == BOTH else (LEGACY,)


OLD = "old"
KINDS: dict[str, Upgrade | None] = {
    OLD: None,
    "both-tables": Upgrade(),
    "legacy-only": Upgrade(shows=LEGACY),
    "legacy-only-total-of-both": Upgrade(shows=LEGACY, count_both=True),
}
"""The kinds of firmware that a PBX may have, by name: before an upgrade, and the three after it."""


def new_format(row: Mapping[str, Any], serial: int) -> Row:
    """Return *row* as newer firmware writes it: `new_id`, no `id` and `reason`, a port.

    One that has a `new_id` keeps it. Only a `src_addr` that is an IPv4 address gets a port.
    """
    kept = {name: row[name] for name in row if name not in ("id", "reason")}
    if _IPV4.fullmatch(str(row.get("src_addr"))):
        kept["src_addr"] = f"{row['src_addr']}:{_SIP_PORT}"
    return {"new_id": new_id(str(row.get("uid", serial)), serial), **kept}


def new_id(uid: str, serial: int) -> str:
    """Return the `new_id` of row number *serial*, a leg of the call *uid*."""
    return f"{crc32(uid.encode('utf-8', 'replace')):08X}-{serial * _SPREAD % 2**32:08X}"
