"""When the legs of a call become rows.

Rule: only the order in which calls are added and the times of their legs decide, so that the
same calls, added all at once or bit by bit, make the same rows in the same order.

Unknown, hence an option: whether a real PBX shows all legs of a call when the call ends, in the
order of their starts, or each leg when that leg ends.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from heapq import heappop, heappush
from typing import NamedTuple

from .rows import Row
from .truth import SimulatedCall, end

AT_CALL_END, ONE_BY_ONE = LEGS_APPEAR = ("at_call_end", "one_by_one")


class LegRow(NamedTuple):
    """The row of a leg, and the call that the leg is of."""

    row: Row
    call: SimulatedCall


class PendingLegs:
    """The legs that have not appeared yet. ValueError: *legs_appear* is not in `LEGS_APPEAR`."""

    def __init__(self, legs_appear: str = AT_CALL_END) -> None:
        if legs_appear not in LEGS_APPEAR:
            raise ValueError(f"legs_appear {legs_appear!r} is none of {', '.join(LEGS_APPEAR)}")
        self._legs_appear = legs_appear
        self._added = 0
        # A heap of (instant, number of the call, number of the leg, the leg).
        self._waiting: list[tuple[int, int, int, LegRow]] = []

    def instants(self, call: SimulatedCall) -> list[int]:
        """Return when each leg of *call* appears (UTC epoch seconds), in the order of legs."""
        if self._legs_appear == ONE_BY_ONE:
            return [end(leg) for leg in call.legs]
        return [call.ended] * len(call.legs)

    def first(self, call: SimulatedCall) -> int:
        """Return when the first of the legs of *call* appears (UTC epoch seconds)."""
        return min(map(end, call.legs)) if self._legs_appear == ONE_BY_ONE else call.ended

    def add(self, call: SimulatedCall, written: SimulatedCall) -> None:
        """Let the legs of *written* appear when those of *call* do.

        Both are the same call: *call* in true time, *written* as the PBX's clock shows it.
        """
        self._added += 1
        for number, (instant, row) in enumerate(
            zip(self.instants(call), written.legs, strict=True)
        ):
            heappush(self._waiting, (instant, self._added, number, LegRow(row, written)))

    def due(self, until: float = math.inf) -> list[LegRow]:
        """Remove and return the legs that appear up to *until* (UTC epoch seconds), in order."""
        due: list[LegRow] = []
        while self._waiting and self._waiting[0][0] <= until:
            due.append(heappop(self._waiting)[-1])
        return due


def in_order_of_appearance(
    calls: Iterable[tuple[SimulatedCall, SimulatedCall]], legs_appear: str
) -> list[LegRow]:
    """Return all legs of *calls*, pairs as of `PendingLegs.add`, in the order of appearance."""
    pending = PendingLegs(legs_appear)
    for call, written in calls:
        pending.add(call, written)
    return pending.due()
