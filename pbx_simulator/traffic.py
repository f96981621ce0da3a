"""When the simulated office telephones: repeatable by seed, busy by day, quiet at night.

Rule: time is divided into slots of five minutes of UTC, each with its own `Random` made of the
seed and the slot. What happens in a slot depends on nothing else, so history, live traffic and
any part of either agree.

Calls are asked for by one instant of theirs, such as the end; the start may be up to
`LONGEST_CALL_SECONDS` earlier.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import count as numbers
from random import Random
from typing import NamedTuple

from .call_drawing import UID_TAILS, CallDrawing, UnplacedCall, place_call
from .directory import BERLIN, Directory
from .scenarios import (
    CALL_TYPES,
    LONGEST_CALL_SECONDS,
    DrawName,
    direct_scenario,
    scenario_by_type,
)
from .truth import SimulatedCall

SLOT_SECONDS = 300

# Calls an hour on a working day, hour by hour from midnight: about 250 a day, most of them in
# the middle of the morning and of the afternoon.
WORKING_DAY = (
    *(0.4, 0.3, 0.2, 0.2, 0.3, 0.8),
    *(3.0, 9.0, 20.0, 30.0, 32.0, 27.0),
    *(14.0, 17.0, 28.0, 27.0, 20.0, 11.0),
    *(5.0, 3.0, 2.0, 1.2, 0.8, 0.5),
)
WEEKEND = 0.06  # of a working day
CALLS_A_DAY = sum(WORKING_DAY) * (5 + 2 * WEEKEND) / 7  # on average, at the rate 1
_SATURDAY = 5
_DEAD_TRUNK_HOURS = 8  # on average a trunk that fails now and then does so in one hour of so many


class Habits(NamedTuple):
    """When an office telephones.

    *working_day* is calls an hour, hour by hour from midnight, *weekend* the share of it on
    Saturdays and Sundays, *call_types* the share of each type of call, in percent.
    *failing_trunk* fails now and then: for an hour, none of the calls out by it comes about.
    """

    working_day: Sequence[float] = WORKING_DAY
    weekend: float = WEEKEND
    call_types: Mapping[str, int] = CALL_TYPES
    failing_trunk: str = ""


OFFICE_HOURS = Habits()

CALL_CENTRE_HOURS = Habits(
    working_day=(
        *(4.0, 2.0, 1.0, 1.0, 1.0, 2.0),
        *(6.0, 14.0, 24.0, 32.0, 38.0, 40.0),
        *(36.0, 34.0, 36.0, 38.0, 42.0, 46.0),
        *(48.0, 44.0, 34.0, 22.0, 14.0, 8.0),
    ),
    weekend=0.55,
    call_types={"Inbound": 80, "Outbound": 14, "Internal": 6},
)
"""Busiest in the evening, at weekends too, and called more than calling."""
_RECENT_SLOTS = 2 * LONGEST_CALL_SECONDS // SLOT_SECONDS  # live traffic asks for these each time

# Calls of different origin have tails of their own, so that no two calls have one uid.
EXAMPLE_TAILS = range(UID_TAILS // 4)
_SAMPLE_TAILS = range(UID_TAILS // 4, UID_TAILS // 2)
_OFFICE_TAILS = range(UID_TAILS // 2, UID_TAILS)


class Traffic:
    """The calls of one office.

    *seed* picks the calls and *rate* multiplies them. *min_calls_per_minute* is the
    least rate, so that a demo at night has calls to show; it changes nothing in busier hours. The
    office's day and week begin at *utc_offset_seconds* from UTC. Without *multi_leg* every call
    has one leg, from one party straight to the other. *check_stop* is called for every slot and
    every call, and may raise to end the making of calls. *directory* and *habits* are whose calls
    they are.
    """

    def __init__(
        self,
        seed: int | str,
        *,
        rate: float = 1.0,
        min_calls_per_minute: float = 0.0,
        utc_offset_seconds: int = 0,
        multi_leg: bool = True,
        check_stop: Callable[[], None] = lambda: None,
        directory: Directory = BERLIN,
        habits: Habits = OFFICE_HOURS,
    ) -> None:
        self._seed = seed
        self._rate = rate
        self._floor = min_calls_per_minute * 60
        self._utc_offset_seconds = utc_offset_seconds
        self._habits = habits
        self._drawing = CallDrawing(directory)
        self._scenario = scenario_by_type(habits.call_types) if multi_leg else direct_scenario
        self._check_stop = check_stop
        self._recent_slot = lru_cache(maxsize=_RECENT_SLOTS)(self._slot)

    def calls_per_hour(self, at: float) -> float:
        """Return how many calls begin in an hour like the one around *at* (UTC epoch seconds)."""
        local = time.gmtime(at + self._utc_offset_seconds)
        hour = local.tm_hour + local.tm_min / 60 - 0.5  # an hour's figure holds at its middle
        before, part = math.floor(hour), hour % 1
        day = self._habits.working_day
        curve = (1 - part) * day[before] + part * day[(before + 1) % 24]
        week = self._habits.weekend if local.tm_wday >= _SATURDAY else 1.0
        return max(curve * week * self._rate, self._floor)

    def calls(
        self, after: float, until: float, instant: Callable[[SimulatedCall], int]
    ) -> list[SimulatedCall]:
        """Return the calls whose *instant* lies in (*after*, *until*], in the order of these.

        All are UTC epoch seconds, and an instant is from start to end of its call.
        """
        slots = range(_slot_of(after - LONGEST_CALL_SECONDS), _slot_of(until) + 1)
        calls = (call for slot in slots for call in self._recent_slot(slot))
        timed = [(instant(call), call.started, call.uid, call) for call in calls]
        return [each[-1] for each in sorted(each for each in timed if after < each[0] <= until)]

    def sample(
        self,
        count: int,
        serial: int,
        until: float,
        over: float,
        scenario: DrawName = direct_scenario,
    ) -> Iterator[SimulatedCall]:
        """Yield *count* calls whose ends are spread evenly over *over* seconds up to *until*.

        The time of day plays no part. *scenario* draws the scenario of each; by default calls
        have one leg. *serial* is the number of the first call: samples of one seed with other
        numbers differ, so the next sample begins at *serial* + *count*.
        """
        rng = _random(f"{self._seed}/sample/{serial}")
        for number in range(count):
            call = self._drawing.draw(rng, scenario(rng))
            ended = int(until - over * (count - 1 - number) / count)
            yield self._placed(call, ended - call.instants[-1], nth(_SAMPLE_TAILS, serial + number))

    def begun(self, serial: int, at: float, scenario: DrawName) -> SimulatedCall:
        """Return a call as `sample` makes them, that begins at *at*."""
        rng = _random(f"{self._seed}/sample/{serial}")
        call = self._drawing.draw(rng, scenario(rng))
        return self._placed(call, int(at), nth(_SAMPLE_TAILS, serial))

    def _slot(self, slot: int) -> list[SimulatedCall]:
        rng = _random(f"{self._seed}/{slot}")
        tails = numbers(rng.randrange(len(_OFFICE_TAILS)))
        dead = self._dead_trunk(slot)
        draw = self._drawing.draw
        return [
            self._placed(draw(rng, self._scenario(rng), dead), start, nth(_OFFICE_TAILS, number))
            for start, number in zip(self._starts(rng, slot * SLOT_SECONDS), tails, strict=False)
        ]

    def _dead_trunk(self, slot: int) -> str:
        """Return the trunk by which no call leaves in *slot*, empty where there is none."""
        hour = slot * SLOT_SECONDS // 3600
        dead = self._habits.failing_trunk and not _random(f"{self._seed}/dead/{hour}").randrange(
            _DEAD_TRUNK_HOURS
        )
        return self._habits.failing_trunk if dead else ""

    def _placed(self, call: UnplacedCall, started: int, tail: int) -> SimulatedCall:
        return place_call(call, started, tail, self._utc_offset_seconds)

    def _starts(self, rng: Random, slot_start: int) -> Iterator[int]:
        per_second = self.calls_per_hour(slot_start + SLOT_SECONDS / 2) / 3600
        self._check_stop()
        at = slot_start + _gap(rng, per_second)
        while at < slot_start + SLOT_SECONDS:
            self._check_stop()
            yield int(at)
            at += _gap(rng, per_second)


def _slot_of(at: float) -> int:
    return math.floor(at / SLOT_SECONDS)


def nth(tails: range, number: int) -> int:
    """Return the tail of call *number*, beginning again where *tails* are used up."""
    return tails[number % len(tails)]


def _gap(rng: Random, per_second: float) -> float:
    """Seconds to the next call; exponential gaps make a Poisson process."""
    return rng.expovariate(per_second) if per_second > 0 else math.inf


def _random(seed: str) -> Random:
    return Random(seed)
