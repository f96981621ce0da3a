"""What became of each call of an office, known by how the call was made and not from its rows.

    calls_of    the calls of an office in a time, with the rows that its PBX lists of them
    COURSES     when somebody was rung, answered and talked in each scenario of the simulator

Rule: nothing of the exporter is imported here, not through another module either (a test reads the
imports), so that the exporter, the dashboards and the rules can be compared with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from pbx_simulator.rows import Row, labels
from pbx_simulator.scenarios import any_scenario
from pbx_simulator.traffic import Traffic
from pbx_simulator.truth import SimulatedCall

ZONE = ZoneInfo("Europe/Berlin")
"""Where the office is: it opens by this clock, also after it was put forward or back."""

EMERGENCY = "112"

_EACH_EMERGENCY = 40
"""One of so many calls to the outside is to the emergency number."""


class Course(NamedTuple):
    """When something happened in a scenario, as numbers of the instants where its phases meet.

    *handed* is when people were rung first, *answered* when the first of them answered, *talk* the
    times with somebody. *visits* are the queues entered, each with when it was entered and when
    somebody answered there, or when it was left.
    """

    handed: int | None = None
    answered: int | None = None
    talk: tuple[tuple[int, int], ...] = ()
    visits: tuple[tuple[int, int], ...] = ()


_AT_ONCE = Course(0, 1, ((1, 2),))
_RUNG = Course(0)
_MET_NOBODY = Course()

COURSES: dict[str, Course] = {
    **{f"{kind}-answered": _AT_ONCE for kind in ("inbound", "outbound", "internal")},
    **{
        f"{kind}-{ending}": _RUNG
        for kind in ("inbound", "outbound", "internal")
        for ending in ("no-answer", "timed-out", "engaged", "busy", "failed")
    },
    "inbound-voicemail": _MET_NOBODY,
    "internal-voicemail": _MET_NOBODY,
    "ivr-only": _MET_NOBODY,
    "ivr-extension": Course(1, 2, ((2, 3),)),
    "ivr-extension-missed": Course(1),
    "ivr-extension-busy": Course(1),
    "ivr-queue-answered": Course(1, 3, ((3, 4),), ((1, 3),)),
    "queue-answered": Course(0, 2, ((2, 3),), ((0, 2),)),
    "queue-abandoned": Course(1, visits=((1, 2),)),
    "queue-survey": Course(3, 5, ((5, 6),), ((3, 5),)),
    "queue-voicemail": Course(1, visits=((1, 2),)),
    "queue-overflow": Course(1, 4, ((4, 5),), ((1, 2), (2, 4))),
    "ring-group-answered": _AT_ONCE,
    "ring-group-missed": _RUNG,
    "ring-group-voicemail": _RUNG,
    "extension-voicemail": _RUNG,
    "blind-transfer": Course(0, 1, ((1, 2), (3, 4))),
    "blind-transfer-missed": Course(0, 1, ((1, 2),)),
    # While who answered asks a colleague, the caller is still his.
    "attended-transfer": Course(0, 1, ((1, 5),)),
    "forwarded-out": Course(0, 2, ((2, 3),)),
    "conference": Course(0, 0, ((0, 1),)),
    "passed-through": _AT_ONCE,
    "passed-through-missed": _RUNG,
    "blocked": _MET_NOBODY,
    "recording-played": _MET_NOBODY,
    "recording-not-heard": _MET_NOBODY,
    "play-file": _MET_NOBODY,
    "outbound-retried": Course(0, 2, ((2, 3),)),
}


THROUGH_A_MENU = frozenset(
    {
        *("ivr-only", "ivr-extension", "ivr-extension-missed", "ivr-extension-busy"),
        *("ivr-queue-answered", "queue-abandoned", "queue-survey", "queue-voicemail"),
        *("queue-overflow", "play-file"),
    }
)
"""The scenarios in which a menu or an announcement comes first."""


class Visit(NamedTuple):
    """What became of a call in a queue, and after how many *seconds* there."""

    queue: str
    outcome: str
    seconds: int


class Call(NamedTuple):
    """A call, and what is true of it. Durations are in seconds.

    *started* and *ended* are in UTC epoch seconds. *wait* is that of an answered call and *gave_up*
    that of one that nobody answered, both from when people were rung first. *menu* is from the
    start until then, or to the end, of a call that met a menu first. *rows* are the
    (disposition, call_type, trunk) of its *legs*.
    """

    uid: str
    started: int
    ended: int
    outcome: str
    call_type: str
    trunk: str
    did: str
    visits: tuple[Visit, ...]
    destination: str
    talk_outside: int
    wait: int | None
    gave_up: int | None
    menu: int | None
    talk: int
    rows: tuple[tuple[str, str, str], ...]
    is_emergency: bool
    legs: tuple[Row, ...]

    @property
    def lasted(self) -> int:
        """From the first ring to the end of the last leg."""
        return self.ended - self.started


WARM_UP = 5 * 3600
"""So many seconds earlier the first calls end."""

_OF_ALL_KINDS = 400


def calls_of(seed: int, rate: float, begin: float, end: float) -> list[Call]:
    """Return the calls that end in (*begin*, *end*], in the order of their ends.

    At the *rate* 1 the office has 250 calls on a working day. Times are UTC epoch seconds. Before
    all stand 400 calls of all kinds that end in the `WARM_UP`, so that few series are new later.
    """
    first = Traffic(seed, utc_offset_seconds=utc_offset(begin))
    made = list(first.sample(_OF_ALL_KINDS, 0, begin - 3600, 3 * 3600, any_scenario))
    made += [
        call
        for since, until, offset in _offsets(begin, end)
        for call in Traffic(seed, rate=rate, utc_offset_seconds=offset).calls(
            since, until, lambda call: call.ended
        )
    ]
    return [_told(call, number) for number, call in enumerate(made)]


def _offsets(begin: float, end: float) -> Iterator[tuple[float, float, int]]:
    """Yield the parts of a time that have one offset from UTC, each with the offset in seconds."""
    changes = [
        hour
        for hour in range(int(begin) // 3600 * 3600 + 3600, int(end), 3600)
        if utc_offset(hour) != utc_offset(hour - 3600)
    ]
    for since, until in pairwise([begin, *changes, end]):
        yield since, until, utc_offset(since)


def utc_offset(at: float) -> int:
    """Return how many seconds the office's clock is ahead of UTC."""
    offset = datetime.fromtimestamp(at, ZONE).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


def _told(made: SimulatedCall, number: int) -> Call:
    """Return *made*, the call so *number* of the office, with what is true of it."""
    truth, instants, course = made.truth, made.instants, COURSES[made.scenario]
    is_emergency = made.scenario == "outbound-answered" and number % _EACH_EMERGENCY == 0
    legs = tuple({**leg, "call_to": EMERGENCY} if is_emergency else leg for leg in made.legs)
    handed, answered = (
        None if at is None else instants[at] for at in (course.handed, course.answered)
    )
    return Call(
        uid=made.uid,
        started=made.started,
        ended=made.ended,
        outcome=truth.outcome,
        call_type=truth.call_type,
        trunk=truth.trunk,
        did=truth.did,
        visits=tuple(
            Visit(queue, outcome, instants[until] - instants[since])
            for (queue, outcome), (since, until) in zip(truth.queues, course.visits, strict=True)
        ),
        destination="other" if is_emergency else truth.destination,
        talk_outside=sum(leg.get("talk_duration", 0) for leg in legs if "dst_trunk" in leg),
        wait=answered - handed if answered is not None and handed is not None else None,
        gave_up=made.ended - handed
        if truth.outcome == "no_answer" and handed is not None
        else None,
        menu=(made.ended if handed is None else handed) - made.started
        if made.scenario in THROUGH_A_MENU
        else None,
        talk=sum(instants[until] - instants[since] for since, until in course.talk),
        rows=tuple(labels(leg) for leg in legs),
        is_emergency=is_emergency,
        legs=legs,
    )
