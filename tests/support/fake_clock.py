"""A clock that tests move by hand."""

from __future__ import annotations

from cdr_exporter.clock import Now


class FakeClock:
    """Both clocks of a poller; waiting moves them and takes no time."""

    def __init__(self, wall: float = 1_700_000_000.0) -> None:
        self.wall = wall
        self.steady = 1_000.0
        self.waited: list[float] = []
        self.stopping = False

    def now(self) -> Now:
        return Now(self.wall, self.steady)

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.pass_(seconds)

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds
