"""The calls by quarter of an hour as rows, one each, and of which time they are known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

from ..metrics.quarters import KINDS, Cells, Coverage, QuarterChange, Quarters, quarters_of
from .checked_rows import ChangedRows
from .schema import META, QUARTER

_Kind = Annotated[int, msgspec.Meta(ge=0, lt=len(KINDS))]
_Sum = Annotated[int, msgspec.Meta(ge=0)]

_COVERAGE = "coverage"

_cells = msgspec.json.Decoder(dict[_Kind, tuple[_Sum, _Sum, _Sum, _Sum, _Sum]])
_coverage = msgspec.json.Decoder(Coverage)
_json = msgspec.json.Encoder()


def read(rows: Mapping[int, bytes], meta: Mapping[str, bytes]) -> Quarters:
    """Return the quarters in *rows*; raises msgspec's errors where a row makes no sense."""
    coverage = _coverage.decode(meta[_COVERAGE]) if _COVERAGE in meta else Coverage()
    quarters: list[tuple[int, Cells]] = [(n, _cells.decode(text)) for n, text in rows.items()]
    return quarters_of(quarters, coverage)


def write(rows: ChangedRows, change: QuarterChange) -> None:
    """Write *change* to *rows*."""
    if change.dropped_before:
        rows.delete_below(QUARTER, change.dropped_before)
    written = change.written.items()
    rows.put(QUARTER, ((quarter, _json.encode(cells)) for quarter, cells in written))
    if change.covers_more:
        rows.put(META, [(_COVERAGE, _json.encode(change.after.coverage))])
