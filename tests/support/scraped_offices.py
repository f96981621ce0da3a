"""Exporters of offices whose calls are known, on a set clock, and what Prometheus scraped of them.

ScrapedPBX   one PBX, its exporter, and the pages of each scrape as text for promtool
Moments      when a call that ended becomes known, counted, and seen by a scrape
in_blocks    texts made into a block of `past_and_present`, which also has the Prometheus
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from pathlib import Path

from cdr_exporter.commands.shared import shared_in_files
from cdr_exporter.errors import TryAgain
from cdr_exporter.exposition import Exposition
from cdr_exporter.history import Asked, Machine, write_past
from cdr_exporter.history.text import target_labels
from cdr_exporter.metrics.snapshot import Snapshot
from cdr_exporter.settings import Settings
from pbx_simulator import SimulatedPBX
from pbx_simulator.directory import BERLIN as OFFICE

from .fake_clock import FakeClock
from .in_process_cdr_list import InProcessCDRList
from .office_of_truth import ZONE, Call
from .past_and_present import STATIC
from .poller_harness import PollerHarness

IDLE, STALE_AFTER, SETTLE = 1500, 2400, 60
"""Seconds: polls that would find nothing are left out, but for one in so many; how long a PBX is
silent until what it had is hidden; and for how long a call waits for more legs."""

FIRST_SCRAPE = 7
"""So many seconds after a whole multiple of the interval each scrape is."""

PAST_STEP = 300
"""Seconds from sample to sample of what `history` writes."""

BOUNDS = {
    "duration": (60, 300),
    "ring": (20,),
    "wait": (5, 20),
    "legs": (1, 2),
    "delay": (30, 300, 900),
}


class _CDRList(InProcessCDRList):
    """A list with the clock that its poller goes by."""

    def __init__(self, pbx: SimulatedPBX, clock: FakeClock, before: Callable[[], None]) -> None:
        super().__init__(pbx, before)
        self.clock = clock
        self.clock_offset = 0.0


@dataclass(frozen=True)
class Moments:
    """When the exporter polls a PBX that is not reached in *outages*, and when it is scraped.

    Polls are at whole multiples of *poll_interval* seconds, scrapes *scrape_interval* apart. What
    is said here is what the documentation says: a row counts at the first poll after its end, a
    call at the first that begins `SETTLE` seconds after that. After an outage, what ended so much
    earlier counts at once.
    """

    poll_interval: int
    scrape_interval: int
    outages: Sequence[range] = ()
    past_until: float = 0.0
    """Up to here `history` wrote what was, which counts rows and calls at their ends."""

    def known(self, ended: float) -> float:
        """Return when the rows of a call that *ended* are read."""
        return ended if ended <= self.past_until else self.poll(ended)

    def counted(self, ended: float) -> float:
        """Return when a call that *ended* is counted."""
        if ended <= self.past_until:
            return ended
        due = self._next(self.poll(ended) + SETTLE)
        after = self.poll(due)
        if due < after or self.poll(ended) in {outage.stop for outage in self.outages}:
            came_back = max(o.stop for o in self.outages if o.stop <= after)
            return came_back if came_back - ended >= SETTLE else self.poll(came_back + SETTLE)
        return due

    def scraped(self, at: float) -> int:
        """Return when the first scrape was that shows what was known *at* a moment."""
        if at <= self.past_until:
            return -int(-at // PAST_STEP) * PAST_STEP
        scrapes = -int(-(at - FIRST_SCRAPE) // self.scrape_interval)
        return scrapes * self.scrape_interval + FIRST_SCRAPE

    def is_reached(self, at: float) -> bool:
        """Say whether the PBX answers *at* a moment."""
        return not any(outage.start <= at < outage.stop for outage in self.outages)

    def poll(self, at: float) -> int:
        """Return when the first poll after a moment is that gets an answer."""
        poll = self._next(at)
        return next((o.stop for o in self.outages if poll in o), poll)

    def polls(self, calls: Sequence[Call], begin: int, end: int) -> list[int]:
        """Return when the PBX is asked, answered or not."""
        due = {self.known(call.ended) for call in calls}
        due |= {self.counted(call.ended) for call in calls}
        due |= {self.poll(at) for at in range(begin, end, IDLE)}
        due |= {at for outage in self.outages for at in (outage.start, outage.stop)}
        return sorted(int(at) for at in due if begin <= at <= end)

    def _next(self, at: float) -> int:
        return -int(-at // self.poll_interval) * self.poll_interval


class ScrapedPBX:
    """A PBX called *name* that lists *calls*, and its exporter.

    At *lost_at* (epoch seconds) the exporter loses its state, and starts anew.
    """

    def __init__(
        self,
        name: str,
        calls: Sequence[Call],
        moments: Moments,
        state_dir: Path,
        *,
        lost_at: float = float("inf"),
    ) -> None:
        self.name = name
        self.moments = moments
        self._calls = calls
        self._lost_at = lost_at
        self._clock = FakeClock()
        self._state_dir = state_dir
        self._pbx = SimulatedPBX(clock=lambda: self._clock.wall)
        self._listed = 0
        self._harness = self._new_harness(state_dir / "first")
        self._exposition = Exposition(BOUNDS, "1.2.3", {name: ZONE})
        self._shown: Snapshot | None = None
        self._shown_until = 0.0
        self._text = b""

    def _new_harness(self, state_dir: Path) -> PollerHarness:
        state_dir.mkdir(parents=True)
        return PollerHarness(
            state_dir,
            cdr_list=_CDRList(self._pbx, self._clock, self._refuse_in_an_outage),
            name=self.name,
            bounds=BOUNDS,
            timezone="Europe/Berlin",
            stale_after=float(STALE_AFTER),
            birth_hold=2.0 * self.moments.scrape_interval,
            dids={number: f"did {number[-3:]}" for number in OFFICE.dids},
            queues={number: f"queue {number}" for number in OFFICE.queues},
            destinations={"international": ("00",), "national": ("0",)},
        )

    def _refuse_in_an_outage(self) -> None:
        if not self.moments.is_reached(self._clock.wall):
            raise TryAgain("refused", reason="connect")

    def history(self, until: int, output: Path, kept: re.Pattern[bytes]) -> Iterator[bytes]:
        """Yield the samples up to *until* that `history` writes, those that *kept* matches.

        It is asked three hours later, when the exporter has not run yet.
        """
        self._list(until)
        clock = FakeClock(until + 3 * 3600.0)
        cdr_list = _CDRList(self._pbx, clock, lambda: None)
        asked = Asked(output, 31, PAST_STEP, None, STATIC, text=True)
        settings = Settings(pbxs=(self._harness.settings,), state_dir=self._state_dir / "first")
        publication = shared_in_files(settings).publication
        machine = Machine(clock, lambda _: cdr_list, lambda _: None, publication)
        write_past(asked, settings, BOUNDS, machine)
        for path in sorted(output.glob("*.om")):
            yield b"".join(kept.findall(path.read_bytes()))

    def lines(self, begin: int, end: int, kept: re.Pattern[bytes]) -> Iterator[bytes]:
        """Yield the samples of each scrape in a time, those that *kept* matches."""
        self._clock.pass_(begin - self._clock.wall)
        self._harness.poll()
        polls = ((at, False) for at in self.moments.polls(self._calls, begin, end))
        first = self.moments.scraped(begin + 1)
        scrapes = ((at, True) for at in range(first, end + 1, self.moments.scrape_interval))
        for at, is_scrape in merge(polls, scrapes):
            self._clock.pass_(at - self._clock.wall)
            if is_scrape:
                yield self._page(kept).replace(b"\n", b" %d\n" % at)
            else:
                self._poll(at)
        self._harness.close()

    def _page(self, kept: re.Pattern[bytes]) -> bytes:
        """Return what a scrape gets; between two polls only time changes it."""
        now, last = self._clock.now(), self._harness.last
        if self._shown is not last or now.steady >= self._shown_until:
            text = self._exposition.one_pbx(last, now, openmetrics=False).plain
            self._text = b"".join(kept.findall(text)).replace(b"{", b"{" + target_labels(STATIC))
            self._shown = last
            # The office's clock may change at a full hour.
            self._shown_until = now.steady + min(last.next_change(now), 3600 - now.wall % 3600)
        return self._text

    def _poll(self, at: int) -> None:
        if at >= self._lost_at:
            self._lost_at = float("inf")
            self._harness.close()
            self._harness = self._new_harness(self._state_dir / "second")
        self._list(at)
        self._harness.poll()

    def _list(self, until: float) -> None:
        """Let the PBX list the calls that ended up to *until*."""
        listed = bisect_right(self._calls, until, key=lambda call: call.ended)
        self._pbx.table.insert(
            leg for call in self._calls[self._listed : listed] for leg in call.legs
        )
        self._listed = listed
