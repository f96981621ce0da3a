"""A row written by hand, completed.

Rule: fields that are given stay as they are, odd values included; only missing ones are filled in,
so that the row is consistent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .directory import BERLIN
from .rows import DEFAULT_TIME_FORMAT, Row, compact_time, display_time, make_row, reason
from .traffic import EXAMPLE_TAILS, nth

_DESK, _COLLEAGUE = BERLIN.extensions[:2]

_EXAMPLES: dict[Any, Row] = {
    "Inbound": {
        "call_from": "+496990009001",
        "call_to": _DESK.shown,
        "src_addr": BERLIN.trunk_addresses["SIP-Provider"],
        "src_trunk": "SIP-Provider",
        "did_number": "+493023125100",
    },
    "Outbound": {
        "call_from": _DESK.shown,
        "call_to": "06990009001",
        "src_addr": _DESK.address,
        "dst_trunk": "SIP-Provider",
        "dod_number": BERLIN.own_number(_DESK),
    },
    "Internal": {
        "call_from": _DESK.shown,
        "call_to": _COLLEAGUE.shown,
        "src_addr": _DESK.address,
    },
}


def example_row(
    fields: Mapping[str, Any],
    ended: int,
    serial: int,
    utc_offset_seconds: int,
    time_format: str = DEFAULT_TIME_FORMAT,
) -> Row:
    """Return *fields* completed to a whole row, by default of an answered inbound call.

    It ends at *ended* (UTC epoch seconds) unless *fields* hold a `timestamp`. None leaves a
    field out; *serial* makes the uids of one second differ.
    """
    call_type = fields.get("call_type", "Inbound")
    disposition = fields.get("disposition", "ANSWERED")
    whole = {
        "ring_duration": 0 if disposition in ("BUSY", "FAILED") else 2,
        "talk_duration": 46 if disposition in ("ANSWERED", "VOICEMAIL") else 0,
        "disposition": disposition,
        "call_type": call_type,
        "reason": reason("src", "hangup"),
        **_EXAMPLES.get(call_type, {}),
        **fields,
    }
    whole.setdefault("duration", _whole(whole["ring_duration"]) + _whole(whole["talk_duration"]))
    whole.setdefault("timestamp", ended - _whole(whole["duration"]))
    started = _whole(whole["timestamp"])
    whole.setdefault("time", display_time(started, utc_offset_seconds, time_format))
    whole.setdefault(
        "uid", f"{compact_time(started, utc_offset_seconds)}{nth(EXAMPLE_TAILS, serial):05X}"
    )
    return make_row(whole)


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0
