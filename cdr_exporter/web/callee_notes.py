"""What the pages say of callees whom number and name do not tell. Pure.

`number_plan` may not fit the PBX: then its machines count as persons, or its persons as machines.
The counters say so since counting began, so a note stays after the plan was mended; for how it fits
now there is `check --connect`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..metrics.catalogue import RECORDS, UNRECOGNISED_CALLEES
from ..metrics.totals import Series, Value

_LARGE_SHARE = 0.1
"""Of the rows ANSWERED: that is more than a few callees nobody has entered anywhere."""

_FEWEST_ROWS = 20
"""Rows ANSWERED; of fewer a share says nothing."""

_REMEDY = "check number_plan; check --connect shows which numbers"


def callee_notes(counted: Mapping[Series, Value]) -> Iterator[str]:
    """Yield a sentence for each thing that is wrong with *counted*, the totals of one PBX."""
    conflict, neither = (_doubts(counted, kind) for kind in ("conflict", "neither"))
    answered = sum(
        value[0]
        for series, value in counted.items()
        if series.family == RECORDS.name and series.labels[0] == "ANSWERED"
    )
    if conflict:
        yield f"Legs whose callee's number and name disagree, so far: {conflict:,}; {_REMEDY}."
    if answered >= _FEWEST_ROWS and neither > _LARGE_SHARE * answered:
        yield (
            f"Of {answered:,} rows ANSWERED so far, {neither:,} do not tell by number or name who "
            f"picked up, and count as persons; {_REMEDY}."
        )


def _doubts(counted: Mapping[Series, Value], kind: str) -> int:
    return counted.get(Series(UNRECOGNISED_CALLEES.name, (kind,)), (0,))[0]
