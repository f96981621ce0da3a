"""The fields that newer firmware adds to each row, of either table, when it answers.

Rule: they are concluded from the row and never kept, so that a table of older firmware shows them
too after an upgrade, as a real one does. A field that the row has by itself stays as it is.

Observed on firmware 37.23: which fields there are, in which order, which are blank (`""`, null, 0)
where there is nothing to say; `call_note` and `call_note_id` of a PBX without call notes; that the
name of a menu or queue is without the word before it, and who has no number is his own number.

Assumed: `enb_call_note` is 1 where the call was recorded, as in the few rows that were published.
"""

from __future__ import annotations

import re
from calendar import timegm
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from zlib import crc32

from .rows import Row

_PARTY = re.compile(r"(?:(?:IVR|Queue|RingGroup|Conference|Voicemail) )?(.*)<([^<>]*)>", re.DOTALL)
_STAMP = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)", re.ASCII)
_CHANNELS = 1000


def all_fields(row: Mapping[str, Any], utc_offset_seconds: int) -> Row:
    """Return *row* as newer firmware sends it: its own fields, the added ones, its `new_id`."""
    own = {name: row[name] for name in row if name != "new_id"}
    added = _added(row, utc_offset_seconds)
    whole = own | {name: added[name] for name in added if name not in row}
    return whole | {"new_id": row["new_id"]} if "new_id" in row else whole


def call_id(row: Mapping[str, Any], utc_offset_seconds: int) -> str:
    """Return the `call_id` that all rows of a call share, such as `1766876280.12`.

    It is the start of the call (UTC epoch seconds) and a number. The start is that in the `uid`,
    or that of *row* where the `uid` has none.
    """
    uid = str(row.get("uid", ""))
    started = _started(uid)
    shown = row.get("timestamp", 0) if started is None else started - utc_offset_seconds
    return f"{shown}.{crc32(uid.encode('utf-8', 'replace')) % _CHANNELS}"


def _added(row: Mapping[str, Any], utc_offset_seconds: int) -> Row:
    (from_number, from_name), (to_number, to_name) = map(_party, (_of(row, "from"), _of(row, "to")))
    return {
        "call_from_number": from_number,
        "call_from_name": from_name,
        "call_to_number": to_number,
        "call_to_name": to_name,
        "call_id": call_id(row, utc_offset_seconds),
        "call_note": None,
        "call_note_id": "",
        "enb_call_note": int("record_file" in row),
        "did": row.get("did_number", ""),
        "did_name": "",
        "pin_code": "",
    }


def _of(row: Mapping[str, Any], side: str) -> str:
    return str(row.get(f"call_{side}", ""))


@lru_cache(maxsize=4096)
def _party(shown: str) -> tuple[str, str]:
    """Return number and name of a party, which is shown as `Name<number>` or as one of them."""
    found = _PARTY.fullmatch(shown)
    return (found[2], found[1]) if found else (shown, "")


def _started(uid: str) -> int | None:
    """Return the instant in local time that *uid* begins with, None without any."""
    found = _STAMP.match(uid)
    try:
        return timegm(tuple(map(int, found.groups()))) if found else None
    except ValueError:  # digits that are no date
        return None
