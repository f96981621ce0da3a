"""One row of the CDR list, in the simulator's own words.

Rule: what is zero or empty is left out, as the PBX leaves it out, and the rest stands in the
contract's order. Nothing here is shared with the exporter, so that the two can disagree.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

Row = dict[str, Any]

FIELDS = (
    "id",
    "time",
    "call_from",
    "call_to",
    "timestamp",
    "uid",
    "src_addr",
    "src_trunk",
    "dst_trunk",
    "duration",
    "ring_duration",
    "talk_duration",
    "disposition",
    "call_type",
    "did_number",
    "dod_number",
    "record_file",
    "reason",
)
_KNOWN = frozenset(FIELDS)
NUMBERS = frozenset({"id", "timestamp", "duration", "ring_duration", "talk_duration"})
SORT_FIELDS = (
    "id",
    "uid",
    "time",
    "duration",
    "ring_duration",
    "talk_duration",
    "disposition",
    "src_trunk",
    "dst_trunk",
    "call_type",
    "did_number",
    "dod_number",
    "src_addr",
)
DISPOSITIONS = ("ANSWERED", "NO ANSWER", "BUSY", "FAILED", "VOICEMAIL")
CALL_TYPES = ("Inbound", "Outbound", "Internal")


def row(fields: Mapping[str, Any]) -> Row:
    """Return *fields* as the PBX sends them: in order, without None, 0 and "".

    Fields outside the contract follow the others.
    """
    known = {name: fields[name] for name in FIELDS if fields.get(name)}
    return known | {name: fields[name] for name in fields if fields[name] and name not in _KNOWN}


def display_time(timestamp: int, utc_offset_seconds: int) -> str:
    """Return *timestamp* (UTC epoch seconds) as the PBX displays it: `MM/DD/YYYY HH:MM:SS`."""
    return _local("%m/%d/%Y %H:%M:%S", timestamp, utc_offset_seconds)


def compact_time(timestamp: int, utc_offset_seconds: int) -> str:
    """Return *timestamp* (UTC epoch seconds) as `uid` and `record_file` begin: 14 digits."""
    return _local("%Y%m%d%H%M%S", timestamp, utc_offset_seconds)


def _local(shape: str, timestamp: int, utc_offset_seconds: int) -> str:
    return time.strftime(shape, time.gmtime(timestamp + utc_offset_seconds))


def trunk_label(row: Mapping[str, Any]) -> str:
    """Return the trunk a row is counted under: the one it went out by, else it came in by.

    For all but outbound calls the other way round; `none` without any.
    """
    sides = [row.get("src_trunk"), row.get("dst_trunk")]
    if row.get("call_type") == "Outbound":
        sides.reverse()
    return sides[0] or sides[1] or "none"


def reason(party: str, key: str) -> str:
    """Return a `reason`: six parts joined by blanks of which four are empty, hence the tail."""
    return " ".join([party, key, "", "", "", ""])
