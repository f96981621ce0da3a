"""CDR rows in every form a test needs: only what the test is about has to be named.

`record` and `page` are in our words, `row` and `body` in the PBX's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from cdr_exporter.cdr import CDRAnswer, FlawedRecord, Record, Rejected
from cdr_exporter.ledger.page import Page, page_of, query
from cdr_exporter.metrics.catalogue import DELAY_BUCKETS, LEGS_BUCKETS
from cdr_exporter.settings import DURATION_BUCKETS, RING_BUCKETS, WAIT_BUCKETS

BOUNDS = {
    "duration": DURATION_BUCKETS,
    "ring": RING_BUCKETS,
    "wait": WAIT_BUCKETS,
    "legs": LEGS_BUCKETS,
    "delay": DELAY_BUCKETS,
}

EPOCH = 1_700_000_000
"""Row *n* starts at this second + *n*."""


def record(row_id: int = 1, **fields: Any) -> Record:
    """Return an answered inbound call of one minute that rang for five seconds."""
    usual = {
        "uid": f"uid-{row_id}",
        "started_at": EPOCH + row_id,
        "duration": 60,
        "ring_duration": 5,
        "talk_duration": 55,
        "disposition": "ANSWERED",
        "call_type": "Inbound",
        "src_trunk": "sip",
    }
    return Record(id=row_id, **{**usual, **fields})


def flawed(row_id: int, *unusable_fields: str) -> FlawedRecord:
    """Return the same call, of which the fields *unusable_fields* were unusable."""
    return FlawedRecord(
        **{f: getattr(record(row_id), f) for f in Record.__struct_fields__},
        unusable_fields=unusable_fields,
    )


def answer(
    rows: Sequence[Record] = (),
    *,
    errcode: int = 0,
    total: int | None = None,
    rejected: Sequence[Rejected] = (),
) -> CDRAnswer:
    """Return a decoded response."""
    return CDRAnswer(errcode=errcode, total=total, rows=rows, rejected=rejected)


def page(
    *row_ids: int, number: int = 1, size: int = 20, total: int | None = None, **fields: Any
) -> Page:
    """Return the valid page *number* that holds these rows, newest first."""
    rows = [record(row_id, **fields) for row_id in row_ids]
    return page_of(query(number, size), answer(rows, total=total))


def row(row_id: int = 1, **fields: Any) -> dict[str, Any]:
    """Return the PBX's JSON object for the same call as `record`."""
    usual = {
        "id": row_id,
        "uid": f"uid-{row_id}",
        "timestamp": EPOCH + row_id,
        "duration": 60,
        "ring_duration": 5,
        "talk_duration": 55,
        "disposition": "ANSWERED",
        "call_type": "Inbound",
        "src_trunk": "sip",
    }
    return {**usual, **fields}


def body(rows: Iterable[object] = (), **fields: Any) -> bytes:
    """Return a response body that holds *rows*; *fields* come beside or instead of the usual."""
    data = list(rows)
    usual = {"errcode": 0, "errmsg": "SUCCESS", "total_number": len(data), "data": data}
    return json.dumps({**usual, **fields}).encode()
