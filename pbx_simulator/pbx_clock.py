"""The clock of the PBX, which can be wrong.

Rule: only the times written into rows show it; tokens expire by the true time.
"""

from __future__ import annotations

from collections.abc import Callable

from .truth import SimulatedCall, moved


class PBXClock:
    """*true_time* returns UTC epoch seconds; *ahead* is the error of the PBX's clock in seconds."""

    def __init__(self, true_time: Callable[[], float], utc_offset_seconds: int) -> None:
        self.true_time = true_time
        self.ahead = 0
        self._utc_offset_seconds = utc_offset_seconds

    def shown_time(self) -> int:
        """Return what the PBX takes for now (UTC epoch seconds)."""
        return int(self.true_time()) + self.ahead

    def written(self, call: SimulatedCall) -> SimulatedCall:
        """Return *call* with the times that the PBX writes."""
        return moved(call, self.ahead, self._utc_offset_seconds) if self.ahead else call
