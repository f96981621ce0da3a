"""The clock of the PBX, which can be wrong.

Rule: the times written into rows show it, and the `Date` of answers; tokens expire by the true
time.
"""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate

from .truth import SimulatedCall, moved


class PBXClock:
    """*true_time* returns UTC epoch seconds; *ahead* is the error of the PBX's clock in seconds."""

    def __init__(
        self, true_time: Callable[[], float], utc_offset_seconds: int, ahead: int = 0
    ) -> None:
        self.true_time = true_time
        self.ahead = ahead
        self._utc_offset_seconds = utc_offset_seconds

    def shown_time(self) -> int:
        """Return what the PBX takes for now (UTC epoch seconds)."""
        return int(self.true_time()) + self.ahead

    def http_date(self) -> str:
        """Return what the PBX takes for now, as its answers name it; empty after year 9999."""
        try:
            return formatdate(self.shown_time(), usegmt=True)
        except (ValueError, OverflowError, OSError):
            return ""

    def written(self, call: SimulatedCall) -> SimulatedCall:
        """Return *call* with the times that the PBX writes."""
        return moved(call, self.ahead, self._utc_offset_seconds) if self.ahead else call
