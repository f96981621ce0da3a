"""One row of the CDR list, in the simulator's own words.

Rule: what is zero or empty is left out, as the PBX leaves it out, and the rest stands in the
contract's order.

Documented: `time` is shown in the format that the PBX displays times in everywhere, a setting of
its administrator. Assumed: a format is one of three orders of the date and one of two clocks.
"""

from __future__ import annotations

import time
from calendar import timegm
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
_STAMPED = ("uid", "record_file")  # begin with a start, the call's or the leg's, as `compact_time`
_STAMP, _STAMP_LENGTH = "%Y%m%d%H%M%S", 14
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
DEFAULT_TIME_FORMAT = "MM/DD/YYYY HH:mm:ss"
TIME_FORMATS = {
    f"{date} {clock}": f"{date_shape} {clock_shape}"
    for date, date_shape in (
        ("MM/DD/YYYY", "%m/%d/%Y"),
        ("DD/MM/YYYY", "%d/%m/%Y"),
        ("YYYY/MM/DD", "%Y/%m/%d"),
    )
    for clock, clock_shape in (("HH:mm:ss", "%H:%M:%S"), ("hh:mm:ss AM", "%I:%M:%S AM"))
}
"""Format of `time` → its shape for strftime; AM stands for PM too."""

DISPOSITIONS = ("ANSWERED", "NO ANSWER", "BUSY", "FAILED", "VOICEMAIL")
CALL_TYPES = ("Inbound", "Outbound", "Internal")


def make_row(fields: Mapping[str, Any]) -> Row:
    """Return *fields* as the PBX sends them: in order, without None, 0 and "".

    Fields outside the contract follow the others.
    """
    known = {name: fields[name] for name in FIELDS if fields.get(name)}
    return known | {name: fields[name] for name in fields if fields[name] and name not in _KNOWN}


def key_of(row: Mapping[str, Any]) -> Any:
    """Return what identifies *row*: its `id`, or the `new_id` of a row without id."""
    return row.get("id", row.get("new_id"))


def moved(row: Row, seconds: int, utc_offset_seconds: int) -> Row:
    """Return *row* as a PBX writes it whose clock is *seconds* ahead: its times, uid, recording."""
    before, after = row["timestamp"], row["timestamp"] + seconds
    texts = {name: _stamped_later(row[name], seconds) for name in _STAMPED if name in row}
    if "record_file" in texts:
        texts["record_file"] = texts["record_file"].replace(f"-{before}.", f"-{after}.", 1)
    return {**row, "timestamp": after, "time": display_time(after, utc_offset_seconds), **texts}


def _stamped_later(text: str, seconds: int) -> str:
    """Return *text* with the instant that it begins with *seconds* later."""
    stamp, rest = text[:_STAMP_LENGTH], text[_STAMP_LENGTH:]
    return compact_time(timegm(time.strptime(stamp, _STAMP)) + seconds, 0) + rest


def display_time(
    timestamp: int, utc_offset_seconds: int, time_format: str = DEFAULT_TIME_FORMAT
) -> str:
    """Return *timestamp* (UTC epoch seconds) as the PBX displays it in *time_format*."""
    shown = _local(TIME_FORMATS[time_format], timestamp, utc_offset_seconds)
    is_afternoon = time.gmtime(timestamp + utc_offset_seconds).tm_hour >= 12
    # Not by %p, which the language of this machine decides.
    return f"{shown[:-2]}PM" if shown.endswith("AM") and is_afternoon else shown


def compact_time(timestamp: int, utc_offset_seconds: int) -> str:
    """Return *timestamp* (UTC epoch seconds) as `uid` and `record_file` begin: 14 digits."""
    return _local(_STAMP, timestamp, utc_offset_seconds)


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


def labels(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return what a row is counted under: (disposition, call_type, trunk).

    A field that is missing counts as the empty string, a list or an object as its text.
    """
    counted = (row.get("disposition", ""), row.get("call_type", ""), trunk_label(row))
    disposition, call_type, trunk = (
        str(value) if isinstance(value, list | dict) else value for value in counted
    )
    return disposition, call_type, trunk


def reason(party: str, key: str) -> str:
    """Return a `reason`: six parts joined by blanks of which four are empty, hence the tail."""
    return " ".join([party, key, "", "", "", ""])
