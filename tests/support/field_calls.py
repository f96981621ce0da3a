"""Calls as a P-Series writes them, each with what a manager would say about it."""

from __future__ import annotations

import json
from typing import Any

from cdr_exporter.calls import CallRules
from cdr_exporter.cdr import Record, decode
from cdr_exporter.settings import EMERGENCY_NUMBERS

from .paths import ROOT

Case = dict[str, Any]

CASES: list[Case] = json.loads((ROOT / "tests/calls/data/calls.json").read_text("utf-8"))
AN_HOUR_AGO = 1_700_000_000

DIDS = {"5550": "5550"}
QUEUES = {"6400": "6400", "6401": "6401"}
DESTINATIONS = {"premium": ("0900",), "international": ("00",)}
RULES = CallRules(
    emergency_numbers=EMERGENCY_NUMBERS, dids=DIDS, queues=QUEUES, destinations=DESTINATIONS
)
"""What the cases take for configured."""


def records(rows: list[Case], uid: str = "a-call", first_id: int = 1) -> list[Record]:
    """Return *rows* as the decoder reads them from the answer of a PBX."""
    data = [
        {**row, "id": n, "uid": uid, "timestamp": AN_HOUR_AGO + row["timestamp"]}
        for n, row in enumerate(rows, start=first_id)
    ]
    answer = {"errcode": 0, "errmsg": "SUCCESS", "total_number": len(data), "data": data}
    return list(decode(json.dumps(answer).encode()).rows)
