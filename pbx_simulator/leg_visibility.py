"""When the legs of a call become rows.

Rule: only the order in which calls are added and the instants of their legs decide, so that the
same calls told in parts make the same rows.

Not known of a real box, hence to be chosen: whether all legs of a call appear when it ends, in
the order of their starts, or each when it ends itself.
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
    """A row that appears, and the call that it is of."""

    row: Row
    call: SimulatedCall


class PendingLegs:
    """The legs that are still to appear. ValueError: *legs_appear* is none of `LEGS_APPEAR`."""

    def __init__(self, legs_appear: str = AT_CALL_END) -> None:
        if legs_appear not in LEGS_APPEAR:
            raise ValueError(f"legs_appear {legs_appear!r} is none of {', '.join(LEGS_APPEAR)}")
        self.way = legs_appear
        self._added = 0
        self._waiting: list[
            tuple[int, int, int, LegRow]
        ] = []  # when, number of call, number of leg

    def instants(self, call: SimulatedCall) -> list[int]:
        """Return when each leg of *call* appears (UTC epoch seconds), in the order of legs."""
        if self.way == ONE_BY_ONE:
            return [end(leg) for leg in call.legs]
        return [call.ended] * len(call.legs)

    def first(self, call: SimulatedCall) -> int:
        """Return when the first of the legs of *call* appears (UTC epoch seconds)."""
        return min(map(end, call.legs)) if self.way == ONE_BY_ONE else call.ended

    def add(self, call: SimulatedCall, written: SimulatedCall) -> None:
        """Let the legs of *written* appear at the instants of *call*.

        They are one call, as it was and as a PBX writes it whose clock is wrong.
        """
        self._added += 1
        for number, (instant, row) in enumerate(
            zip(self.instants(call), written.legs, strict=True)
        ):
            heappush(self._waiting, (instant, self._added, number, LegRow(row, written)))

    def due(self, until: float = math.inf) -> list[LegRow]:
        """Return the legs that appear up to *until* (UTC epoch seconds), in that order."""
        due: list[LegRow] = []
        while self._waiting and self._waiting[0][0] <= until:
            due.append(heappop(self._waiting)[-1])
        return due


def in_order_of_appearance(
    calls: Iterable[tuple[SimulatedCall, SimulatedCall]], legs_appear: str
) -> list[LegRow]:
    """Return all legs of *calls*, each as `PendingLegs.add` takes it, as they appear."""
    appearing = PendingLegs(legs_appear)
    for call, written in calls:
        appearing.add(call, written)
    return appearing.due()
