"""The lease of one PBX, from when this replica took it to its end here."""

from __future__ import annotations

from ..clock import Clock, Now


class Lease:
    """The lease of *pbx* with *epoch*; it counts here up to *valid_until* on the steady clock.

    Any thread may ask whether it is valid. One that was not valid once is never valid again: who
    goes on with the PBX takes it anew, with another epoch.
    """

    def __init__(self, pbx: str, epoch: int, valid_until: float) -> None:
        self.pbx = pbx
        self.epoch = epoch
        self._valid_until = valid_until
        self._ended = False

    def is_valid(self, now: Now) -> bool:
        """Say whether the PBX may be asked, written and shown by this replica at *now*."""
        return not self._ended and now.steady < self._valid_until

    def renew(self, valid_until: float, now: Now) -> None:
        """Let it count up to *valid_until*, unless it has lapsed at *now*."""
        if self.is_valid(now):
            self._valid_until = max(self._valid_until, valid_until)

    def end(self) -> None:
        """Let it count no longer."""
        self._ended = True

    def __repr__(self) -> str:
        return f"Lease({self.pbx!r}, epoch {self.epoch})"


class LeaseClock:
    """The clock of what is done under *lease*: it is stopping once the lease is not valid."""

    def __init__(self, clock: Clock, lease: Lease) -> None:
        self._clock = clock
        self._lease = lease

    def now(self) -> Now:
        """Return the time by both clocks."""
        return self._clock.now()

    def wait(self, seconds: float) -> None:
        """Wait for *seconds*, or until what it is for is to end."""
        self._clock.wait(seconds)

    @property
    def stopping(self) -> bool:
        """Whether it is to end, or has no valid lease."""
        return self._clock.stopping or not self._lease.is_valid(self._clock.now())
