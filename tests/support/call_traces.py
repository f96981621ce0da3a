"""Calls as traces: a row is a line, and reads like what happened.

    start  callee              disposition  ring talk  [type] [trunk] [reason]
    0      IVR Main<6200>      ANSWERED     0    20    in     sip     ivr_key_queue
    20     Queue Support<6400> ANSWERED     0    305   in     sip     connected

Columns stand apart by two blanks or more. *start* is in seconds after `BEGAN`; the duration is
ring + talk, unless `dur=N` says otherwise. Types are in, out, int. A trunk `a>b` came in by *a*
and went out by *b*.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from cdr_exporter.calls import CallRules, Leg, LegClassifier
from cdr_exporter.cdr import Record

BEGAN = 1_700_000_000
_TYPES = {"in": "Inbound", "out": "Outbound", "int": "Internal"}


def rows(trace: str, *, uid: str = "a-call", first_id: int = 1, **fields: object) -> list[Record]:
    """Return the rows of *trace*, ids in the order of its lines."""
    lines = [line.strip() for line in trace.strip().splitlines()]
    return [
        _row(re.split(r"\s{2,}", line), uid=uid, id=first_id + n, **fields)
        for n, line in enumerate(lines)
    ]


def _row(columns: Sequence[str], **fields: Any) -> Record:
    start, callee, disposition, ring, talk, *rest = columns
    extra = dict(each.split("=") for each in rest if "=" in each)
    plain = [each for each in rest if "=" not in each]
    call_type, trunk, reason, *_ = [*plain, "int", "", ""] if len(plain) < 1 else [*plain, "", ""]
    source, _, target = trunk.partition(">")
    if call_type == "out" and not target:
        source, target = "", source
    return Record(
        **{
            "call_to": callee,
            "started_at": BEGAN + int(start) if start != "?" else 0,
            "disposition": disposition,
            "ring_duration": int(ring),
            "talk_duration": int(talk),
            "duration": int(extra.get("dur", int(ring) + int(talk))),
            "did_number": extra.get("did", ""),
            "call_type": _TYPES[call_type],
            "src_trunk": source,
            "dst_trunk": target,
            "reason": f"src {reason}    " if reason else "",
            **fields,
        }
    )


def legs(trace: str, call_rules: CallRules | None = None) -> list[Leg]:
    """Return the legs of *trace*."""
    return legs_of(rows(trace), call_rules)


def legs_of(records: Iterable[Record], call_rules: CallRules | None = None) -> list[Leg]:
    """Return *records* as legs, as the default settings read them."""
    reader = LegClassifier(call_rules or CallRules())
    return [reader.classify(row) for row in records]
