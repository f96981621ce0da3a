"""Rows of a `FakePBX` that are too large for any answer."""

from __future__ import annotations

from msgspec.structs import replace

from cdr_exporter.cdr import CDRAnswer, Record
from cdr_exporter.cdr.contract import CDRQuery
from cdr_exporter.errors import PageTooLarge

from .fake_pbx import FakePBX

OVERSIZED = "oversized"
"""What the recording's name begins with of rows that are too large."""


def is_oversized(row: Record) -> bool:
    """Return whether *row* is too large."""
    return row.record_file.startswith(OVERSIZED)


def refuse_oversized(query: CDRQuery, answer: CDRAnswer) -> CDRAnswer:
    """Return *answer*, as an `edit_answer`; raises `PageTooLarge` if a row is too large for it."""
    if any(map(is_oversized, answer.rows)):
        raise PageTooLarge("the answer is longer than 147456 bytes")
    return answer


def make_oversized(pbx: FakePBX, *positions: int) -> None:
    """Let the rows at these *positions* be too large, 0 the newest by serial number."""
    serials = sorted(pbx.rows, reverse=True)
    for serial in (serials[position] for position in positions):
        pbx.rows[serial] = replace(pbx.rows[serial], record_file=f"{OVERSIZED}-{serial}")
    pbx.edit_answer = refuse_oversized
