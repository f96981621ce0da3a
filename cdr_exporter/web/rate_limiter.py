"""`rate_limit`: how many requests are answered, by a token bucket as in the exporter-toolkit."""

from __future__ import annotations


class RateLimiter:
    """Lets *burst* requests through at once, and one more each *interval* seconds; 0 is no limit.

    Times are those of a steady clock, in seconds.
    """

    def __init__(self, interval: float, burst: int, now: float) -> None:
        self._interval = interval
        self._burst = burst
        self._tokens = float(burst)
        self._filled_at = now

    def allows(self, now: float) -> bool:
        """Return whether one more request may be answered, and count it."""
        if not self._interval:
            return True
        gained = (now - self._filled_at) / self._interval
        self._tokens = min(self._burst, self._tokens + gained)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
