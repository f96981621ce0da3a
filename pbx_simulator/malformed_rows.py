"""Rows that break the contract, or that a reader may fail on.

Rule: a kind changes how one row is *sent*; the table keeps the true row, and `totals` counts
that. A kind is a name, so that the control path can ask for it.

    id-*        the row's id is missing, of the wrong type, or out of range; id-digits is the
                true id as a text
    duration-*  values that JSON parsers accept and arithmetic does not, or that cannot be true
    trunk-*     odd text as the name of the row's trunk
    no-object   the row is a string; row-null: it is null
    digits-5000 an integer of 5,000 digits; nesting-100k: 100,000 nested lists. A page with
                either cannot be parsed at all
    giant       a text of 17 MiB: the row is longer than any answer that a reader may take
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .http_messages import RawJSON
from .rows import Row

MalformRow = Callable[[Row], Any]


def _with(**fields: Any) -> MalformRow:
    return lambda row: {**row, **fields}


def _without_id(row: Row) -> Row:
    return {name: row[name] for name in row if name != "id"}


def _giant(row: Row) -> Row:
    return {**row, "record_file": "R" * (17 << 20)}


def _digits(row: Row) -> Row:
    return {**row, "id": str(row.get("id", 0))}


def _trunk(text: str | RawJSON) -> MalformRow:
    """Put *text* into the field that the row's trunk is counted by."""

    def malformed(row: Row) -> Row:
        side = "dst_trunk" if row.get("call_type") == "Outbound" else "src_trunk"
        return {**row, side: text}

    return malformed


ROW_KINDS: dict[str, MalformRow] = {
    "id-missing": _without_id,
    "id-null": _with(id=None),
    "id-bool": _with(id=True),
    "id-zero": _with(id=0),
    "id-negative": _with(id=-1),
    "id-float": _with(id=1.0),
    "id-huge": _with(id=2**70),
    "id-text": _with(id="first"),
    "id-digits": _digits,
    "duration-nan": _with(duration=RawJSON("NaN")),
    "duration-infinity": _with(duration=RawJSON("Infinity")),
    "duration-1e400": _with(duration=RawJSON("1e400")),
    "duration-negative": _with(duration=-5),
    "duration-huge": _with(duration=10**12),
    "duration-text": _with(duration="long"),
    "trunk-surrogate": _trunk(RawJSON(r'"Trunk\ud800"')),
    "trunk-nul": _trunk("Trunk\0"),
    "trunk-newline": _trunk('Trunk\n"quoted\\'),
    "trunk-long": _trunk("T" * 10_000),
    "no-object": lambda _: "row",
    "row-null": lambda _: None,
    "digits-5000": _with(duration=RawJSON("1" * 5000)),
    "giant": _giant,
    "nesting-100k": _with(record_file=RawJSON("[" * 100_000 + "]" * 100_000)),
}
